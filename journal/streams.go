package journal

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Defaults of the streams that driftd creates, and what a stream gets at least where they are scaled down.
const (
	defaultInputBytes      = 4 << 30
	defaultStateBytes      = 10 << 30 // of all partitions together
	defaultStateLeast      = 1 << 30  // of each
	defaultOutboxBytes     = 10 << 30
	defaultReferencesBytes = 1 << 30
	defaultOutboxAge       = 7 * 24 * time.Hour
	outboxDuplicateWindow  = 10 * time.Minute

	leastBytes = 64 << 20
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

// Layout says which streams there are and how large. A zero limit means the default when the stream is created, less where the
// broker has not so much room, and is not checked when the stream exists; a given one must be what the stream has.
type Layout struct {
	Partitions      []Partition // empty: partition 0 with the default subjects
	Replicas        int         // of every stream driftd creates; default 1
	InputMaxBytes   int64       // default 4 GiB; the oldest messages go first
	InputMaxAge     time.Duration
	StateMaxBytes   int64         // default 10 GiB shared among the partitions, at least 1 GiB each; a full one stops commits, nothing is lost
	OutboxMaxBytes  int64         // default 10 GiB
	OutboxMaxAge    time.Duration // default 7 days
	ReferencesBytes int64         // default 1 GiB
	// Warn is told of settings that weaken a guarantee without breaking it; nil ignores them.
	Warn func(stream, warning string)

	scale float64 // of the defaults; 0: 1
}

// defaultState is the default limit of a partition's state stream.
func (l *Layout) defaultState() int64 {
	return max(defaultStateLeast, defaultStateBytes/int64(max(1, len(l.Partitions))))
}

// bytes returns a stream's limit: the given one, else the default as far as there is room.
func (l *Layout) bytes(given, def int64) int64 {
	if given != 0 || l.scale == 0 {
		return orDefault(given, def)
	}
	return max(leastBytes, int64(float64(def)*l.scale))
}

// Fit returns the layout with its default limits scaled down so that all streams together reserve at most 80 % of store
// bytes. Given limits stay as they are.
func (l Layout) Fit(store int64) Layout {
	parts := int64(max(1, len(l.Partitions)))
	fixed, scaled := int64(0), int64(0)
	add := func(given, def int64) {
		if given != 0 {
			fixed += given
		} else {
			scaled += def
		}
	}
	add(l.InputMaxBytes*parts, defaultInputBytes*parts)
	add(l.StateMaxBytes*parts, l.defaultState()*parts)
	add(l.OutboxMaxBytes, defaultOutboxBytes)
	add(l.ReferencesBytes, defaultReferencesBytes)
	if room := store / 10 * 8; store > 0 && fixed+scaled > room && scaled > 0 {
		l.scale = max(float64(room-fixed)/float64(scaled), leastScale)
	}
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

// leastScale is where scaling the defaults down ends.
const leastScale = 1.0 / 1024

// EnsureStreams creates the streams of a layout, or verifies those that exist. What does not fit is refused with *MismatchError,
// all of them joined; it never changes an existing stream, but for the
// subjects that a later version added to the outbox. Where the broker has not enough room for the defaults, all streams that
// are created get the same part of theirs. It may be called by several processes at once.
func EnsureStreams(ctx context.Context, js jetstream.JetStream, l Layout) error {
	if len(l.Partitions) == 0 {
		l.Partitions = []Partition{{}}
	}
	warn := l.Warn
	if warn == nil {
		warn = func(string, string) {}
	}
	told := map[string]bool{}
	l.Warn = func(stream, warning string) { // once, however often it is tried
		if !told[stream+warning] {
			told[stream+warning] = true
			warn(stream, warning)
		}
	}
	created := map[string]bool{}
	for {
		err := l.ensure(ctx, js, created)
		if l.scale == 0 {
			l.scale = 1
		}
		if err == nil && l.scale < 1 {
			for _, name := range slices.Sorted(maps.Keys(created)) {
				l.Warn(name, fmt.Sprintf("was made smaller than the default, by the factor %.3g: the broker has not more room", l.scale))
			}
		}
		if !errors.Is(err, errNoRoom) || l.scale <= leastScale {
			return err
		}
		l.scale /= 2
	}
}

// ensure is one try. created are the streams that an earlier one has made, which may be made smaller.
func (l Layout) ensure(ctx context.Context, js jetstream.JetStream, created map[string]bool) error {
	var errs []error
	for _, p := range l.Partitions {
		if p.Stream != "" {
			errs = append(errs, verifyForeign(ctx, js, p, l.Warn))
		} else {
			errs = append(errs, ensure(ctx, js, inputConfig(p, l), limits{l.InputMaxBytes, l.InputMaxAge, l.Replicas}, created))
		}
		errs = append(errs, ensure(ctx, js, stateConfig(p.Number, l), limits{l.StateMaxBytes, 0, l.Replicas}, created))
	}
	errs = append(errs,
		ensure(ctx, js, outboxConfig(l), limits{l.OutboxMaxBytes, l.OutboxMaxAge, l.Replicas}, created),
		ensure(ctx, js, referencesConfig(l), limits{l.ReferencesBytes, 0, l.Replicas}, created))
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
	c.MaxBytes = l.bytes(l.InputMaxBytes, defaultInputBytes)
	c.MaxAge = l.InputMaxAge
	c.Discard = jetstream.DiscardOld       // a log: new events are worth more than counted ones; driftd reports what it had not read
	c.DenyDelete, c.DenyPurge = true, true // sequences stay dense
	return c
}

func stateConfig(partition int, l Layout) jetstream.StreamConfig {
	c := base(StateStream(partition), "driftd: checkpoint, counts and unforwarded results of a partition", l)
	c.Subjects = []string{fmt.Sprintf("driftd.state.%d.>", partition)}
	c.MaxBytes = l.bytes(l.StateMaxBytes, l.defaultState())
	c.Discard = jetstream.DiscardNew // the checkpoint of an idle partition is the oldest message: it must never be dropped
	c.AllowAtomicPublish, c.AllowRollup, c.AllowMsgTTL = true, true, true
	c.DenyDelete = true
	return c
}

func outboxConfig(l Layout) jetstream.StreamConfig {
	c := base(OutboxStream, "driftd: committed results and alert transitions for stores, notifiers and subscribers", l)
	c.Subjects = []string{resultSubject + "*", transitionSubject + "*", verdictSubject + "*"}
	c.MaxBytes = l.bytes(l.OutboxMaxBytes, defaultOutboxBytes)
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
	c.MaxBytes = l.bytes(l.ReferencesBytes, defaultReferencesBytes)
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
