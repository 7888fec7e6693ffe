package app

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	promconfig "github.com/prometheus/common/config"

	"github.com/driftd/driftd/alerting"
	"github.com/driftd/driftd/alerting/notify"
	"github.com/driftd/driftd/alerting/picture"
	"github.com/driftd/driftd/config"
	"github.com/driftd/driftd/ingest"
	"github.com/driftd/driftd/internal/secret"
	"github.com/driftd/driftd/journal"
	"github.com/driftd/driftd/result"
)

// Times of couriers.
const (
	notifyMaxWait  = time.Minute            // between two tries while a receiver is away
	notifyGrouping = 200 * time.Millisecond // what a window says at once goes out at once
)

// consumerPrefix begins the names of the notifiers' consumers of the outbox.
const consumerPrefix = "driftd-notify-"

// notifiers are the couriers of all receivers, each with its own consumer, and the silences that they look at.
type notifiers struct {
	silences *silences
	couriers []*notify.Courier // two of each receiver: of transitions, and of alerts about driftd itself
	names    []string          // of the receivers
}

// openNotifiers builds a courier for every receiver: for transitions, and for the alerts about driftd itself.
func (a *App) openNotifiers(ctx context.Context) error {
	records, silenced, err := notify.OpenBuckets(ctx, a.js, a.config.NATS.Replicas)
	if err != nil {
		return err
	}
	a.notifiers = &notifiers{silences: newSilences(silenced, a.log), couriers: nil, names: nil}
	for _, name := range slices.Sorted(maps.Keys(a.config.Notifiers)) {
		n := a.config.Notifiers[name]
		receivers, err := Receivers(name, n, a.notifyHost())
		if err != nil {
			return fmt.Errorf("notifier %s: %w", name, err)
		}
		for _, r := range receivers {
			o := notify.Options{
				Name: r.Name, Notifier: r.Notifier, Records: records, Silences: a.notifiers.silences.List, Match: both(n.Match, r.Match), Logger: a.log, Now: time.Now,
				Timeout: n.Timeout.Std(), MaxWait: notifyMaxWait, Grouping: notifyGrouping,
				Source: func(ctx context.Context) (notify.Source, error) {
					sink, err := ingest.Transitions(ctx, a.js, consumerPrefix+r.Name)
					return transitions{sink}, err
				},
			}
			self := o
			self.Name, self.Records = r.Name+"-self", nil
			self.Source = func(context.Context) (notify.Source, error) {
				return &notify.Self{Firing: a.selfwatch.firing, Now: time.Now, Every: watchEvery}, nil
			}
			a.notifiers.names = append(a.notifiers.names, r.Name)
			a.notifiers.couriers = append(a.notifiers.couriers, notify.NewCourier(o), notify.NewCourier(self))
		}
	}
	return nil
}

// Untold returns how many committed transitions the notifiers have not read yet or not told: 0 when every receiver knows what
// it should.
func (a *App) Untold(ctx context.Context) (uint64, error) {
	var left uint64
	for _, name := range a.notifiers.names {
		cons, err := a.js.Consumer(ctx, journal.OutboxStream, consumerPrefix+name)
		if errors.Is(err, jetstream.ErrConsumerNotFound) {
			left++ // it has not begun
			continue
		}
		if err != nil {
			return 0, fmt.Errorf("asking how far the notifier %s is: %w", name, err)
		}
		info := cons.CachedInfo()
		left += info.NumPending + uint64(max(info.NumAckPending, 0))
	}
	// What was acknowledged before is pending in its courier, so this look comes second.
	for _, c := range a.notifiers.couriers {
		left += uint64(max(c.Stats().Pending, 0))
	}
	return left, nil
}

// both joins what the configuration wants of an alert with what a receiver of several wants.
func both(want map[string]string, match func(map[string]string) bool) func(map[string]string) bool {
	return func(labels map[string]string) bool {
		return alerting.Match(want, labels) && (match == nil || match(labels))
	}
}

// notifyHost is what notifiers need of this process.
func (a *App) notifyHost() notify.Host {
	return notify.Host{Logger: a.log, Page: a.pageURL, Now: time.Now, Broker: a.js, Picture: a.picture}
}

// pictureEvery is how often the store is asked for a result that it will have in a moment: store and notifiers read the outbox each at
// its own speed.
const pictureEvery = 200 * time.Millisecond

// picture draws a transition from what the store has of it, and waits for its result as long as ctx lives.
func (a *App) picture(ctx context.Context, t *result.Transition) ([]byte, error) {
	tick := time.NewTicker(pictureEvery)
	defer tick.Stop()
	for {
		png, err := picture.Draw(ctx, a.reader, t)
		if !errors.Is(err, picture.ErrNotYet) {
			return png, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-tick.C:
		}
	}
}

// Receivers builds what a notifier of the configuration tells. Nobody is asked or told.
func Receivers(name string, n config.Notifier, h notify.Host) ([]notify.Receiver, error) {
	i := slices.IndexFunc(notify.Builtin(), func(s notify.Spec) bool { return s.Type == n.Type })
	if i < 0 {
		return nil, fmt.Errorf("the type %s is not known", n.Type)
	}
	client, err := httpClient(n)
	if err != nil {
		return nil, err
	}
	s := notify.Settings{
		Name: name, URLs: n.URLs, External: n.ExternalLabels, Channel: n.Channel, Routes: nil, Pictures: n.Pictures, Client: client,
		Token: secretOf(n.TokenFile, n.TokenEnv), Address: secretOf(n.URLFile, n.URLEnv), Key: secretOf(n.SecretFile, n.SecretEnv),
	}
	for _, r := range n.Routes {
		s.Routes = append(s.Routes, notify.Route{Match: r.Match, Channel: r.Channel})
	}
	return notify.Builtin()[i].New(s, h)
}

// secretOf reads a secret when it is asked; nil: there is none.
func secretOf(file, env string) func() (secret.String, error) {
	switch {
	case file != "":
		return func() (secret.String, error) { return secret.ReadFile(file) }
	case env != "":
		return func() (secret.String, error) { return secret.FromEnv(env) }
	}
	return nil
}

// pageURL is where people reach the page.
func (a *App) pageURL() string {
	if u := a.config.Web.ExternalURL; u != "" {
		return u
	}
	return a.URL()
}

// httpClient returns a client with the authentication of a notifier, by the conventions of Prometheus: files are read again when
// they change. It follows no redirect: a POST would become a GET.
func httpClient(n config.Notifier) (*http.Client, error) {
	c := promconfig.DefaultHTTPClientConfig
	c.FollowRedirects = false
	c.TLSConfig = promconfig.TLSConfig{CAFile: n.TLS.CAFile, CertFile: n.TLS.CertFile, KeyFile: n.TLS.KeyFile} //nolint:exhaustruct // the defaults are meant
	if n.User != "" {
		c.BasicAuth = &promconfig.BasicAuth{Username: n.User, PasswordFile: n.PasswordFile} //nolint:exhaustruct // as above
		if n.PasswordEnv != "" {
			password, err := secret.FromEnv(n.PasswordEnv)
			if err != nil {
				return nil, err
			}
			c.BasicAuth.Password = promconfig.Secret(password.Reveal())
		}
	}
	switch {
	case n.Type == "slack": // its client sends the token itself
	case n.TokenFile != "":
		c.Authorization = &promconfig.Authorization{Type: "Bearer", CredentialsFile: n.TokenFile} //nolint:exhaustruct // as above
	case n.TokenEnv != "":
		token, err := secret.FromEnv(n.TokenEnv)
		if err != nil {
			return nil, err
		}
		c.Authorization = &promconfig.Authorization{Type: "Bearer", Credentials: promconfig.Secret(token.Reveal())} //nolint:exhaustruct // as above
	}
	if err := c.Validate(); err != nil {
		return nil, err
	}
	return promconfig.NewClientFromConfig(c, "driftd")
}

// transitions adapts a sink of the outbox.
type transitions struct{ sink *ingest.Sink }

func (t transitions) Fetch(ctx context.Context, limit int) ([]notify.Message, error) {
	msgs, err := t.sink.Fetch(ctx, limit)
	out := make([]notify.Message, 0, len(msgs))
	for _, m := range msgs {
		out = append(out, notify.Message{Data: m.Data, Time: time.UnixMilli(m.Time), Ack: m.Ack})
	}
	return out, err
}

// run starts everything and returns the parts, to be stopped.
func (n *notifiers) run(ctx context.Context, fail context.CancelCauseFunc) []*part {
	parts := make([]*part, 0, 1+len(n.couriers))
	parts = append(parts, start(ctx, fail, "the watch over silences", n.silences.run))
	for _, c := range n.couriers {
		parts = append(parts, start(ctx, fail, "the notifier "+c.Name(), c.Run))
	}
	return parts
}

// courierMetric is one figure of every courier.
type courierMetric struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	read func(notify.Stats) float64
}

func courierMetrics() []courierMetric {
	desc := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc("driftd_notifier_"+name, help, []string{"notifier"}, nil)
	}
	return []courierMetric{
		{desc("up", "1 while the receiver takes what it is told."), prometheus.GaugeValue, func(s notify.Stats) float64 { return truth(!s.Down) }},
		{desc("told_total", "Changes of incidents that the receiver took."), prometheus.CounterValue, func(s notify.Stats) float64 { return float64(s.Told) }},
		{desc("failures_total", "Deliveries that failed and are tried again."), prometheus.CounterValue, func(s notify.Stats) float64 { return float64(s.Failed) }},
		{desc("refused_total", "Changes that the receiver will not have."), prometheus.CounterValue, func(s notify.Stats) float64 { return float64(s.Refused) }},
		{desc("pending", "Changes that wait to be told."), prometheus.GaugeValue, func(s notify.Stats) float64 { return float64(s.Pending) }},
	}
}

// Describe implements prometheus.Collector.
func (n *notifiers) Describe(ch chan<- *prometheus.Desc) {
	for _, m := range courierMetrics() {
		ch <- m.desc
	}
}

// Collect implements prometheus.Collector.
func (n *notifiers) Collect(ch chan<- prometheus.Metric) {
	for _, c := range n.couriers {
		stats := c.Stats()
		for _, m := range courierMetrics() {
			ch <- prometheus.MustNewConstMetric(m.desc, m.kind, m.read(stats), c.Name())
		}
	}
}
