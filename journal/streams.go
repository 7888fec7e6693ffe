package journal

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Defaults of the streams that driftd creates.
const (
	defaultInputBytes      = 4 << 30
	defaultStateBytes      = 2 << 30
	defaultOutboxBytes     = 1 << 30
	defaultReferencesBytes = 1 << 30
	defaultOutboxAge       = 7 * 24 * time.Hour
	outboxDuplicateWindow  = 10 * time.Minute
)

// Partition is one unfiltered input stream with its state stream.
type Partition struct {
	Number int
	// Stream names a user's own existing stream, which is verified and never changed. Empty: DRIFTD_IN_<Number>, created.
	Stream string
	// Subjects of a stream that driftd creates, beside its control subject; empty: ml.events.* and ml.labels.*.
	Subjects []string
}

// InputName returns the name of the partition's input stream.
func (p Partition) InputName() string {
	if p.Stream != "" {
		return p.Stream
	}
	return InputStream(p.Number)
}

// Layout says which streams there are and how large. A zero limit means the default when the stream is created, and is
// not checked when it exists; a given one must be what the stream has.
type Layout struct {
	Partitions      []Partition // empty: partition 0 with the default subjects
	Replicas        int         // of every stream driftd creates; default 1
	InputMaxBytes   int64       // default 4 GiB; the oldest messages go first
	InputMaxAge     time.Duration
	StateMaxBytes   int64         // default 2 GiB; a full state stream stops commits, nothing is lost
	OutboxMaxBytes  int64         // default 1 GiB
	OutboxMaxAge    time.Duration // default 7 days
	ReferencesBytes int64         // default 1 GiB
	// Warn is told of settings that weaken a guarantee without breaking it; nil ignores them.
	Warn func(stream, warning string)
}

// Fit returns the layout with its default limits scaled down so that all streams together reserve at most 80 % of store
// bytes. Given limits stay as they are.
func (l Layout) Fit(store int64) Layout {
	parts := int64(max(1, len(l.Partitions)))
	sum := int64(0)
	add := func(given, def, times int64) {
		if given == 0 {
			given = def
		}
		sum += given * times
	}
	add(l.InputMaxBytes, defaultInputBytes, parts)
	add(l.StateMaxBytes, defaultStateBytes, parts)
	add(l.OutboxMaxBytes, defaultOutboxBytes, 1)
	add(l.ReferencesBytes, defaultReferencesBytes, 1)
	if store <= 0 || sum <= store/10*8 {
		return l
	}
	ratio := float64(store) * 0.8 / float64(sum)
	scale := func(given *int64, def int64) {
		if *given == 0 {
			*given = max(16<<20, int64(float64(def)*ratio))
		}
	}
	scale(&l.InputMaxBytes, defaultInputBytes)
	scale(&l.StateMaxBytes, defaultStateBytes)
	scale(&l.OutboxMaxBytes, defaultOutboxBytes)
	scale(&l.ReferencesBytes, defaultReferencesBytes)
	return l
}

// MismatchError says that an existing stream is not what driftd needs. Several are joined.
type MismatchError struct {
	Stream, Field string
	Wanted, Found string
	Remedy        string
}

func (e *MismatchError) Error() string {
	return fmt.Sprintf("stream %s: %s must be %s, found %s: %s", e.Stream, e.Field, e.Wanted, e.Found, e.Remedy)
}

// EnsureStreams creates the streams of a layout, or verifies those that exist. It never changes an existing stream: what
// does not fit is refused with *MismatchError, all of them joined. It may be called by several processes at once.
func EnsureStreams(ctx context.Context, js jetstream.JetStream, l Layout) error {
	if len(l.Partitions) == 0 {
		l.Partitions = []Partition{{}}
	}
	if l.Warn == nil {
		l.Warn = func(string, string) {}
	}
	var errs []error
	for _, p := range l.Partitions {
		if p.Stream != "" {
			errs = append(errs, verifyForeign(ctx, js, p, l.Warn))
		} else {
			errs = append(errs, ensure(ctx, js, inputConfig(p, l), limits{l.InputMaxBytes, l.InputMaxAge, l.Replicas}))
		}
		errs = append(errs, ensure(ctx, js, stateConfig(p.Number, l), limits{l.StateMaxBytes, 0, l.Replicas}))
	}
	errs = append(errs,
		ensure(ctx, js, outboxConfig(l), limits{l.OutboxMaxBytes, l.OutboxMaxAge, l.Replicas}),
		ensure(ctx, js, referencesConfig(l), limits{l.ReferencesBytes, 0, l.Replicas}))
	return errors.Join(errs...)
}

// limits are the settings that an operator may have chosen; zero ones are not verified.
type limits struct {
	maxBytes int64
	maxAge   time.Duration
	replicas int
}

func inputConfig(p Partition, l Layout) jetstream.StreamConfig {
	subjects := p.Subjects
	if len(subjects) == 0 {
		subjects = []string{"ml.events.*", "ml.labels.*"}
	}
	c := base(InputStream(p.Number), "driftd: events, labels and markers of a partition, in one order", l)
	c.Subjects = append(slices.Clone(subjects), ControlSubject(p.Number))
	c.MaxBytes = orDefault(l.InputMaxBytes, defaultInputBytes)
	c.MaxAge = l.InputMaxAge
	c.Discard = jetstream.DiscardOld       // a log: new events are worth more than counted ones; driftd reports what it had not read
	c.DenyDelete, c.DenyPurge = true, true // sequences stay dense
	return c
}

func stateConfig(partition int, l Layout) jetstream.StreamConfig {
	c := base(StateStream(partition), "driftd: checkpoint, counts and unforwarded results of a partition", l)
	c.Subjects = []string{fmt.Sprintf("driftd.state.%d.>", partition)}
	c.MaxBytes = orDefault(l.StateMaxBytes, defaultStateBytes)
	c.Discard = jetstream.DiscardNew // the checkpoint of an idle partition is the oldest message: it must never be dropped
	c.AllowAtomicPublish, c.AllowRollup, c.AllowMsgTTL = true, true, true
	c.DenyDelete = true
	return c
}

func outboxConfig(l Layout) jetstream.StreamConfig {
	c := base(OutboxStream, "driftd: committed results and alert transitions for stores, notifiers and subscribers", l)
	c.Subjects = []string{resultSubject + "*", transitionSubject + "*"}
	c.MaxBytes = orDefault(l.OutboxMaxBytes, defaultOutboxBytes)
	c.MaxAge = l.OutboxMaxAge
	if c.MaxAge == 0 {
		c.MaxAge = defaultOutboxAge
	}
	c.Discard = jetstream.DiscardOld                    // an outage beyond the bound must not stop counting; expiry is counted by the sinks
	c.Duplicates = min(c.MaxAge, outboxDuplicateWindow) // the server refuses a window longer than the age
	return c
}

func referencesConfig(l Layout) jetstream.StreamConfig {
	c := base(ReferencesStream, "driftd: references by content, and their names", l)
	c.Subjects = []string{referenceSubject + ">"}
	c.MaxBytes = orDefault(l.ReferencesBytes, defaultReferencesBytes)
	c.MaxMsgsPerSubject = 1
	c.Discard = jetstream.DiscardNew
	c.DenyDelete = true
	return c
}

func base(name, description string, l Layout) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name: name, Description: description, Retention: jetstream.LimitsPolicy, Storage: jetstream.FileStorage,
		Replicas: max(1, l.Replicas), MaxMsgs: -1, MaxMsgsPerSubject: -1, MaxMsgSize: -1, MaxConsumers: -1,
	}
}

func orDefault(given, def int64) int64 {
	if given != 0 {
		return given
	}
	return def
}
