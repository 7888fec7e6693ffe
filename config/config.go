package config

import "github.com/driftd/driftd/detectors"

// The fields' tags are read by the validation and by the generator of the documentation: `min`, `max` and `enum` bound a
// value (a pipe separates the choices). A field that others inherit from stands before them: decoding follows the order
// of the fields, not of the file.

// Config is a whole configuration. Load, Parse and Default return complete ones.
type Config struct {
	// The broker, and the streams that driftd keeps in it.
	NATS NATS `yaml:"nats"`

	// The directory of everything that driftd keeps on disk: the embedded broker, the embedded store, the generated token and
	// the addresses in use. A relative path starts at the working directory. It is created when missing.
	DataDir string `yaml:"data_dir"`

	// The HTTP API, the metrics and the page.
	Web Web `yaml:"web"`

	// Where results are kept for queries.
	Store Store `yaml:"store"`

	// When counted input is committed. A commit is one atomic batch: what was not committed never happened.
	Commit Commit `yaml:"commit"`

	// Bounds that keep a bad sender from harming the others.
	Limits Limits `yaml:"limits"`

	// What happens to events of a model that is not under `models`. `auto` counts them with `defaults`, up to
	// `limits.max_models` models, and shows each as `no_reference` until it has a reference. `reject` accepts the models under
	// `models` only; events of all others become dead letters, with a reason.
	UnknownModels string `yaml:"unknown_models" enum:"auto|reject"`

	// What holds for every model that does not say otherwise.
	Defaults Defaults `yaml:"defaults"`

	// Settings by model name (1 to 128 of `A-Z a-z 0-9 _ -`). A model needs no entry here to be monitored: see `unknown_models`.
	Models map[string]Model `yaml:"models" key:"name"`

	// Who is told of alerts, by a name of your own (1 to 64 of `A-Z a-z 0-9 _ -`). What a notifier was told is kept under its name.
	Notifiers map[string]Notifier `yaml:"notifiers" key:"notifier"`

	// When driftd alerts about itself. A reload changes it.
	SelfAlerts SelfAlerts `yaml:"self_alerts"`

	// What driftd says on its standard error.
	Log Log `yaml:"log"`
}

// Notifier tells somebody of alerts. Files are read when they are used, so that a secret that changes needs no restart, and a relative
// path starts at the directory of the configuration file. Secrets are in files, or in variables of the environment; never here.
type Notifier struct {
	// `alertmanager` tells instances of Prometheus' Alertmanager (API v2). `slack` tells channels of Slack, with a bot's token or by an
	// incoming webhook. `webhook` posts JSON to an address of your own. `nats` publishes every transition on the broker, on
	// `driftd.alerts.<model>`, for programs. `log` writes to driftd's own log.
	Type string `yaml:"type" enum:"alertmanager|log|nats|slack|webhook"`

	// Where the receiver is. alertmanager: every instance of a cluster, such as `http://alertmanager-0:9093`, never a load balancer.
	// webhook: each address is told on its own. slack: its API, where it is not `https://slack.com/api`. A user or password in an
	// address is refused: it would be shown in logs.
	URLs []string `yaml:"urls"`

	// A file with the address of the receiver where the address itself is a secret: Slack's incoming webhook, or a webhook with a key
	// in its address.
	URLFile string `yaml:"url_file"`

	// The name of a variable of the environment instead of `url_file`.
	URLEnv string `yaml:"url_env"`

	// Labels that an alert must have to be told here, such as `{team: risk, severity: critical}`; empty: all alerts.
	Match map[string]string `yaml:"match" key:"label"`

	// Labels of every alert that is told here, such as the name of the cluster (alertmanager).
	ExternalLabels map[string]string `yaml:"external_labels" key:"label"`

	// The channel that is told (slack, with a token): its id, or `#name`. Empty: only what has a route is told.
	Channel string `yaml:"channel"`

	// Channels for some alerts, such as those of a team (slack, with a token). The first route whose labels an alert has holds; an alert
	// without one is told in `channel`.
	Routes []Route `yaml:"routes"`

	// Whether a message comes with a picture of both distributions and of the statistic over time (slack, with a token).
	Pictures bool `yaml:"pictures"`

	// A user name for basic authentication; it needs `password_file` or `password_env`.
	User string `yaml:"user"`

	// A file with the password of `user`.
	PasswordFile string `yaml:"password_file"`

	// The name of a variable of the environment instead of `password_file`.
	PasswordEnv string `yaml:"password_env"`

	// A file with a bearer token; of slack: the bot's token (`xoxb-…`).
	TokenFile string `yaml:"token_file"`

	// The name of a variable of the environment instead of `token_file`.
	TokenEnv string `yaml:"token_env"`

	// A file with the key that signs what is posted (webhook), or while it is replaced the new and the old one, a line each. Without
	// one nothing is signed.
	SecretFile string `yaml:"secret_file"`

	// The name of a variable of the environment instead of `secret_file`.
	SecretEnv string `yaml:"secret_env"`

	// Certificates of the connection.
	TLS TLS `yaml:"tls"`

	// How long one delivery may take.
	Timeout Duration `yaml:"timeout" min:"100ms" max:"5m"`
}

// Route tells some alerts in a channel of their own.
type Route struct {
	// Labels that an alert must have, such as `{team: risk}`.
	Match map[string]string `yaml:"match" key:"label"`

	// The channel: its id, or `#name`.
	Channel string `yaml:"channel"`
}

// NATS is the connection to the broker and the layout of the streams. At most one way to authenticate is allowed. Files
// are read when they are used, and a relative path starts at the directory of the configuration file.
type NATS struct {
	// Addresses of the broker (NATS server 2.12.1 or newer with JetStream), separated by commas, such as
	// `nats://nats-0:4222,nats://nats-1:4222`; `tls://`, `ws://` and `wss://` are understood as well. Empty: driftd runs the broker
	// itself, see `nats.embedded`. A user or password in an address is refused: it would be shown in logs.
	URL string `yaml:"url"`

	// A NATS credentials file (JWT and seed).
	CredentialsFile string `yaml:"credentials_file"`

	// A file with the seed of an NKey.
	NKeyFile string `yaml:"nkey_file"`

	// A user name; it needs `password_file`.
	User string `yaml:"user"`

	// A file with the password of `user`.
	PasswordFile string `yaml:"password_file"`

	// A file with a token.
	TokenFile string `yaml:"token_file"`

	// Certificates of the connection.
	TLS TLS `yaml:"tls"`

	// The stream that driftd reads: events, labels and markers. It is created when missing; a stream of your own is read
	// whole, as it is.
	Stream string `yaml:"stream"`

	// Several input streams instead of the one of `stream`, so that several daemons share the work: each partition has one owner
	// at a time. A partition's number is its place in this list, from 0, and its state stays with the number: add new ones at the
	// end. Every model belongs to one partition.
	Partitions []Partition `yaml:"partitions"`

	// How long a daemon that died keeps its partitions from the others: leases in the bucket `DRIFTD_LEASES` are renewed three
	// times as often. `0s` keeps no leases and works on every partition: for the only daemon of a broker. Two such daemons harm
	// no result, but undo each other's work.
	LeaseTTL Duration `yaml:"lease_ttl" min:"0s" max:"10m"`

	// How many servers keep each stream that driftd creates. The embedded broker is one server.
	Replicas int `yaml:"replicas" min:"1" max:"5"`

	// The broker that driftd runs itself where `nats.url` is empty.
	Embedded Embedded `yaml:"embedded"`

	// The input stream, where driftd creates it.
	Input Input `yaml:"input"`

	// The stream of checkpoints, panes and results that are not forwarded yet.
	State State `yaml:"state"`

	// The stream that hands committed results to the store and to subscribers.
	Outbox Outbox `yaml:"outbox"`
}

// Partition is one input stream with a state of its own.
type Partition struct {
	// The models whose events and labels the partition takes. Without `stream`, driftd creates the stream `DRIFTD_IN_<number>`, which
	// takes these models and no others: the broker refuses a message of a model that no partition names. With `stream`, it says
	// which models are in that stream, for commands such as `driftd reference activate`.
	Models []string `yaml:"models"`

	// A stream of your own, read whole, as it is. Without `models`, it holds every model that no other partition names.
	Stream string `yaml:"stream"`
}

// TLS names the files of a TLS connection.
type TLS struct {
	// Certificates of the authorities to trust, in PEM. Empty: those of the system.
	CAFile string `yaml:"ca_file"`

	// The client's certificate, in PEM; it needs `key_file`.
	CertFile string `yaml:"cert_file"`

	// The key of `cert_file`, in PEM.
	KeyFile string `yaml:"key_file"`
}

// Embedded is the broker in driftd's own process.
type Embedded struct {
	// The address on which the embedded broker listens; port 0 takes a free one. Clients need the token that is generated in the
	// data directory.
	Listen string `yaml:"listen"`

	// The largest message that the embedded broker accepts.
	MaxPayload Bytes `yaml:"max_payload" min:"1MiB" max:"64MiB"`
}

// Input bounds the input stream.
type Input struct {
	// How long the input stream keeps a message. `0s` keeps all, until `max_bytes`.
	MaxAge Duration `yaml:"max_age" min:"0s"`

	// How large the input stream may grow before its oldest messages go. `0`: 4 GiB for each partition, less where the broker has not
	// enough room.
	MaxBytes Bytes `yaml:"max_bytes" min:"0"`

	// What happens when messages are gone that were not counted: retention overtook driftd, or somebody deleted them. `continue`
	// counts them as lost in the present windows of every model, which are marked incomplete. `halt` stops until an operator
	// has looked.
	OnLoss string `yaml:"on_loss" enum:"continue|halt"`
}

// State bounds the state stream.
type State struct {
	// How large the state stream of each partition may grow. A full state stream stops counting, and says so, until it is given more.
	// `0`: 10 GiB shared among the partitions, at least 1 GiB each, less where the broker has not enough room. The broker reserves it.
	MaxBytes Bytes `yaml:"max_bytes" min:"0"`
}

// Outbox bounds the outbox stream.
type Outbox struct {
	// How long a result waits for a store that is down. Beyond it results expire, which is counted.
	MaxAge Duration `yaml:"max_age" min:"1m"`

	// How large the outbox may grow before its oldest results expire. `0`: 10 GiB, less where the broker has not enough room.
	MaxBytes Bytes `yaml:"max_bytes" min:"0"`
}

// Web is the HTTP server.
type Web struct {
	// The address on which the HTTP server listens; port 0 takes a free one. Beyond loopback it needs `config_file`.
	Listen string `yaml:"listen"`

	// A web configuration of Prometheus' exporter-toolkit with TLS and users. A relative path starts at the directory of the
	// configuration file.
	ConfigFile string `yaml:"config_file"`

	// The address under which people reach the page, such as `https://driftd.example.com`: links in alerts begin with it. Empty: the
	// address that it listens on.
	ExternalURL string `yaml:"external_url"`

	// Names under which the server may be asked for (the Host header), besides the listening address and loopback names.
	AllowedHosts []string `yaml:"allowed_hosts"`

	// What `/metrics` shows of models, for a Prometheus that has no InfluxDB beside it.
	Metrics WebMetrics `yaml:"metrics"`
}

// WebMetrics bounds the series of `/metrics` that are of models and features. docs/metrics.md has them.
type WebMetrics struct {
	// Of how many models `/metrics` shows what the last final window said, in the order of their names: about twenty series for each
	// model and size of its windows. `0` shows none.
	Models int `yaml:"models" min:"0" max:"100000"`

	// Of how many features of each of these models, in the order of the result: six series for each feature and size of window. `0` shows
	// none.
	Features int `yaml:"features" min:"0" max:"5000"`
}

// Store keeps results as time series.
type Store struct {
	// `embedded` is a database file in the data directory, for a single node; `influxdb` is a bucket of an InfluxDB, 1.8 or 2.x.
	Type string `yaml:"type" enum:"embedded|influxdb"`

	// How long the embedded store keeps results, measured from the newest event time of the data and not from the wall clock.
	// `0s` keeps all. A bucket of InfluxDB has a retention of its own.
	Retention Duration `yaml:"retention" min:"0s"`

	// The InfluxDB, where `store.type` is `influxdb`.
	InfluxDB InfluxDB `yaml:"influxdb"`
}

// InfluxDB is where results go, and how. docs/data-model.md describes what is written there.
type InfluxDB struct {
	// The address, such as `https://influx.example.org:8086`. A user or password in it is refused: it would be shown in logs.
	URL string `yaml:"url"`

	// The organisation. 1.8 has none: leave it empty.
	Org string `yaml:"org"`

	// The bucket; of 1.8 the database, or `database/retention-policy`. `driftd init influxdb` creates it.
	Bucket string `yaml:"bucket"`

	// A file with the token; of 1.8 `user:password`. It is read again after a refusal. Empty: no authentication.
	TokenFile string `yaml:"token_file"`

	// Certificates of the connection.
	TLS TLS `yaml:"tls"`

	// The language in which the page and the API ask. `auto` takes InfluxQL where the server is a 1.x, else Flux.
	Query string `yaml:"query" enum:"auto|influxql|flux"`

	// The longest that one request may take.
	Timeout Duration `yaml:"timeout" min:"1s" max:"5m"`

	// Lines in one request.
	BatchLines int `yaml:"batch_lines" min:"1" max:"50000"`

	// Bytes in one request, before compression.
	BatchBytes Bytes `yaml:"batch_bytes" min:"64KiB" max:"64MiB"`

	// Whether requests are compressed.
	Gzip bool `yaml:"gzip"`

	// Whether the bins of features are written: `driftd_histogram`, which is most of the series. The page does not need them.
	Histograms bool `yaml:"histograms"`
}

// Commit bounds what one atomic batch may hold. The first bound that is reached commits.
type Commit struct {
	// The longest time between two commits while there is input.
	Interval Duration `yaml:"interval" min:"10ms" max:"1m"`

	// Messages in one batch. The broker's own limit is 1,000.
	MaxMessages int `yaml:"max_messages" min:"10" max:"950"`

	// Bytes in one batch.
	MaxBytes Bytes `yaml:"max_bytes" min:"1MiB" max:"256MiB"`
}

// Limits bounds what senders can make driftd hold.
type Limits struct {
	// The largest message that is decoded. A larger one is a dead letter.
	MaxMessage Bytes `yaml:"max_message" min:"1KiB" max:"64MiB"`

	// The largest single event or label inside a message. A larger one is a dead letter.
	MaxRecord Bytes `yaml:"max_record" min:"1KiB" max:"64MiB"`

	// Named values that one event may have: features, parts of the prediction and segment dimensions together. An event with more
	// is a dead letter.
	MaxFeatures int `yaml:"max_features" min:"1" max:"100000"`

	// Models that are counted without an entry under `models`. Events of further ones become dead letters, with a reason.
	MaxModels int `yaml:"max_models" min:"1" max:"100000"`

	// Versions of a model that have results of their own. Further ones are counted together as `other`.
	MaxVersions int `yaml:"max_versions" min:"1" max:"1000"`

	// Ids that are remembered to recognise a repeated event, in the order of the stream; each takes 36 to 52 bytes of memory.
	DedupIDs int `yaml:"dedup_ids" min:"0" max:"100000000"`

	// Over how long a repeated event should be recognised. It costs nothing: where `dedup_ids` reach back less, results say so
	// (`dedup_short`). 0s: no span is stated.
	DedupHorizon Duration `yaml:"dedup_horizon" min:"0s" max:"366d"`

	// How long a model must be silent, with everything pending read, before its last windows are closed.
	IdleTimeout Duration `yaml:"idle_timeout" min:"10ms" max:"7d"`

	// How far an event's time may be ahead of the broker's. An event further ahead is counted at the broker's time.
	FutureTolerance Duration `yaml:"future_tolerance" min:"0s" max:"1d"`
}

// Defaults is what a model takes where it does not say otherwise.
type Defaults struct {
	// The windows that are judged: each begins every `every` and is `size` long, aligned to midnight, 1 January 1970 UTC.
	Windows []Window `yaml:"windows"`

	// The length of a base pane, the smallest interval that is counted on its own. It divides 15 minutes and the size and slide
	// of every window. Shorter panes cost memory and allow finer slides.
	Pane Duration `yaml:"pane" min:"1s" max:"15m"`

	// How long after its end a window still takes late events, as a new revision of its result.
	Lateness Duration `yaml:"lateness" min:"0s" max:"366d"`

	// How far the watermark stays behind the newest event, so that events may arrive out of order.
	WatermarkDelay Duration `yaml:"watermark_delay" min:"0s" max:"30d"`

	// How many cut points a new reference keeps of a numeric feature. Up to this many distinct values every statistic is exact;
	// beyond it some carry bounds. It is frozen in a reference when that is created.
	Resolution int `yaml:"resolution" min:"10" max:"1000000"`

	// How features are judged.
	Detectors detectors.Config `yaml:"detectors"`

	// What is worth an alert, by the name of the rule. Without a word here the rules of docs/alerting.md hold.
	Rules map[string]Rule `yaml:"rules" key:"rule"`
}

// Window is one kind of window.
type Window struct {
	// How long the window is: a multiple of the pane.
	Size Duration `yaml:"size"`

	// How often a window begins: a multiple of the pane, at most `size`. Without it, windows follow each other (`size`); a
	// smaller one makes them overlap.
	Every Duration `yaml:"every"`

	// For low traffic: a window goes on, pane by pane, until it holds so many events of all versions together, or is `extend_to`
	// long; the next one begins where it ends. Its result says when it really began and ended. 0: a window ends after its size.
	MinEvents int `yaml:"min_events"`

	// How long a window may become that waits for `min_events`: a multiple of the pane, more than the size. Needed with `min_events`.
	ExtendTo Duration `yaml:"extend_to"`
}

// Model is what is said about one model. What is left out is taken from `defaults`.
type Model struct {
	// What windows are compared with. A text is the name of a stored reference: `reference: churn-q3`. Empty: the reference that
	// `driftd reference activate` chose.
	Reference Reference `yaml:"reference"`

	// Replaces all of `defaults.windows`.
	Windows []Window `yaml:"windows"`

	// Replaces `defaults.pane`.
	Pane Duration `yaml:"pane" min:"1s" max:"15m"`

	// Replaces `defaults.lateness`.
	Lateness Duration `yaml:"lateness" min:"0s" max:"366d"`

	// Replaces `defaults.watermark_delay`.
	WatermarkDelay Duration `yaml:"watermark_delay" min:"0s" max:"30d"`

	// Replaces `defaults.detectors`, key by key.
	Detectors detectors.Config `yaml:"detectors"`

	// Changes the rules of `defaults.rules`, key by key, and adds others.
	Rules map[string]Rule `yaml:"rules" key:"rule"`

	// How labels meet predictions, and what they say of the model's quality. Without a `mode`, labels are only counted.
	Labels Labels `yaml:"labels"`

	// Settings by the name of a feature or of a part of the prediction.
	Features map[string]Feature `yaml:"features" key:"feature"`

	// Parts of the events that are counted and judged on their own beside all of them, by the name of a dimension: a `segment` field of
	// the events, else a feature. Dimensions are not crossed. Each value costs the counts of a model of its own. See docs/segments.md.
	Segments map[string]Segment `yaml:"segments" key:"dimension"`

	// Two live versions that are compared over the same windows, by a name of yours, at most 8: a canary, a shadow or an A/B test. Each
	// window gets a verdict: promote, hold or roll back. See docs/versions.md.
	Compare map[string]Comparison `yaml:"compare" key:"comparison"`

	// Groups of people between which the predictions are compared. See docs/fairness.md.
	Fairness Fairness `yaml:"fairness"`

	// What happened, for the reader of the page: a deployment, a campaign, a broken upstream. It is shown beside the windows
	// that it meets, at most 1,000 of a model; nothing is counted or judged by it.
	Annotations []Annotation `yaml:"annotations"`
}

// Segment says which values of a dimension have results of their own. All others are one segment, `other`, and the events without a
// value another, `(missing)`.
type Segment struct {
	// The values that are counted on their own, at most 100. Empty: the `largest` ones of the model's reference, which then has to be
	// created with `--segment-by`.
	Values []string `yaml:"values"`

	// How many values of the reference are counted on their own, those with the most rows; without a meaning where `values` are named.
	Largest int `yaml:"largest" min:"1" max:"100"`
}

// Annotation is a span of event time with a note.
type Annotation struct {
	// When it began, in RFC 3339 with a zone, such as `2026-11-22T10:00:00Z`.
	Start Time `yaml:"start"`

	// When it was over, in RFC 3339 with a zone: after `start`.
	End Time `yaml:"end"`

	// What happened: at most 256 bytes.
	Text string `yaml:"text"`
}

// Feature is what is said about one feature. What is left out is taken from its model.
type Feature struct {
	// Whether the name is one of a `feature` or of a part of the `prediction`. Without it, `prediction`, `prediction.label`,
	// `prediction.score` and `prediction.score.<class>` are predictions and every other name is a feature.
	Role string `yaml:"role" enum:"feature|prediction"`

	// Replaces the model's `detectors`, key by key.
	Detectors detectors.Config `yaml:"detectors"`

	// `true` neither judges nor shows the feature; it is still counted.
	Ignore bool `yaml:"ignore"`
}

// SelfAlerts are the thresholds of the alerts about driftd itself that depend on what an installation is made for; the others have
// none. docs/operations.md lists all of them.
type SelfAlerts struct {
	// The alert `lag` fires when a partition has had so many stored messages, or more, that are not committed, for five minutes.
	LagMessages int `yaml:"lag_messages" min:"1" max:"1000000000"`

	// The alert `sink_behind` fires when the store has not taken this share of the outbox, in percent, for a minute.
	OutboxPercent int `yaml:"outbox_percent" min:"1" max:"100"`

	// The alert `state_filling` fires when a state stream is filled to this share of its limit, in percent.
	StatePercent int `yaml:"state_percent" min:"1" max:"100"`
}

// Log is driftd's own log.
type Log struct {
	// The least severe message that is written.
	Level string `yaml:"level" enum:"debug|info|warn|error"`

	// `text` for people, `json` for machines.
	Format string `yaml:"format" enum:"text|json"`
}
