package journal

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/nats-io/nats.go/jetstream"
)

// errNoRoom is wrapped by the error of a stream whose default size the broker has no room for.
var errNoRoom = errors.New("the broker has no room for its default size")

// ensure creates a stream, or verifies the one that has its name. One that was created with more room than is wanted now is made smaller.
func ensure(ctx context.Context, js jetstream.JetStream, want jetstream.StreamConfig, l limits, created map[string]bool) error {
	s, err := js.Stream(ctx, want.Name)
	switch {
	case err == nil && created[want.Name] && want.MaxBytes < s.CachedInfo().Config.MaxBytes:
		s, err = js.UpdateStream(ctx, want)
	case err == nil && slices.Equal(sorted(s.CachedInfo().Config.Subjects), firstOutbox()) && want.Name == OutboxStream:
		grown := s.CachedInfo().Config
		grown.Subjects = want.Subjects
		s, err = js.UpdateStream(ctx, grown)
	case errors.Is(err, jetstream.ErrStreamNotFound):
		s, err = js.CreateStream(ctx, want)
		created[want.Name] = err == nil
		if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
			s, err = js.Stream(ctx, want.Name) // another process was faster, with other settings
		}
	}
	if err != nil {
		return createError(want, err, l.maxBytes == 0)
	}
	return verifyOwn(s.CachedInfo().Config, want, l)
}

// firstOutbox are the subjects of an outbox that knew no verdicts.
func firstOutbox() []string { return []string{resultSubject + "*", transitionSubject + "*"} }

func sorted(all []string) []string { return slices.Sorted(slices.Values(all)) }

func createError(want jetstream.StreamConfig, err error, scalable bool) error {
	var api jetstream.JetStreamError
	if errors.As(err, &api) && api.APIError() != nil {
		switch api.APIError().ErrorCode {
		case codeSubjectOverlap:
			return fmt.Errorf("creating stream %s: %w: another stream already captures one of %s; "+
				"name it in nats.partitions to use it as it is, or give driftd other subjects", want.Name, err, strings.Join(want.Subjects, ", "))
		case codeStorageExceeded, codeInsufficientResources, codeMaxBytesLimit:
			if scalable {
				err = fmt.Errorf("%w: %w", errNoRoom, err)
			}
			return fmt.Errorf("creating stream %s: %w: it reserves %d bytes; lower its max_bytes or give the broker more storage",
				want.Name, err, want.MaxBytes)
		}
	}
	return fmt.Errorf("creating stream %s: %w", want.Name, err)
}

// checker collects mismatches of one stream.
type checker struct {
	stream string
	errs   []error
}

func (c *checker) want(field string, wanted, found any, remedy string) {
	if w, f := fmt.Sprint(wanted), fmt.Sprint(found); w != f {
		c.errs = append(c.errs, &MismatchError{Stream: c.stream, Field: field, Wanted: w, Found: f, Remedy: remedy})
	}
}

// verifyOwn compares a stream that bears one of driftd's names with what driftd would create.
func verifyOwn(found, want jetstream.StreamConfig, l limits) error {
	c := &checker{stream: found.Name}
	edit := "change it with `nats stream edit " + found.Name + "`"
	fixed := "it cannot be edited: move the stream away with a backup and let driftd create it"
	fs, ws := slices.Clone(found.Subjects), slices.Clone(want.Subjects)
	slices.Sort(fs)
	slices.Sort(ws)
	c.want("subjects", strings.Join(ws, ","), strings.Join(fs, ","), edit+", or correct nats.partitions")
	c.want("retention", want.Retention, found.Retention, fixed)
	c.want("storage", want.Storage, found.Storage, fixed)
	c.want("discard", want.Discard, found.Discard, edit)
	c.want("allow_atomic", want.AllowAtomicPublish, found.AllowAtomicPublish, edit)
	c.want("allow_rollup_hdrs", want.AllowRollup, found.AllowRollup, edit)
	c.want("allow_msg_ttl", want.AllowMsgTTL, found.AllowMsgTTL, edit)
	c.want("allow_direct", want.AllowDirect, found.AllowDirect, edit+": reads must come from the leader")
	c.want("deny_delete", want.DenyDelete, found.DenyDelete, fixed)
	c.want("deny_purge", want.DenyPurge, found.DenyPurge, fixed)
	c.want("max_msgs_per_subject", unlimited(want.MaxMsgsPerSubject), unlimited(found.MaxMsgsPerSubject), edit)
	c.want("max_msgs", unlimited(want.MaxMsgs), unlimited(found.MaxMsgs), edit)
	c.want("max_msg_size", unlimited(int64(want.MaxMsgSize)), unlimited(int64(found.MaxMsgSize)), edit)
	c.want("mirror", false, found.Mirror != nil, fixed)
	c.want("sources", 0, len(found.Sources), edit)
	c.want("subject_transform", false, found.SubjectTransform != nil, edit)
	c.want("sealed", false, found.Sealed, fixed)
	c.want("no_ack", false, found.NoAck, edit)
	c.want("allow_msg_counter", false, found.AllowMsgCounter, fixed)
	c.want("persist_mode", jetstream.DefaultPersistMode, found.PersistMode, fixed)
	if want.Discard == jetstream.DiscardNew && found.MaxAge != 0 {
		c.want("max_age", "0s", found.MaxAge, edit+": the state of an idle partition would expire")
	}
	if l.maxBytes != 0 {
		c.want("max_bytes", l.maxBytes, found.MaxBytes, edit+", or correct the configuration")
	}
	if l.maxAge != 0 {
		c.want("max_age", l.maxAge, found.MaxAge, edit+", or correct the configuration")
	}
	if l.replicas != 0 {
		c.want("num_replicas", l.replicas, found.Replicas, edit+", or correct the configuration")
	}
	duplicates := want.Duplicates
	if l.maxAge == 0 && found.MaxAge > 0 {
		duplicates = min(duplicates, found.MaxAge) // the server refuses a window longer than the age
	}
	if found.Duplicates < duplicates {
		c.want("duplicate_window", duplicates, found.Duplicates, edit)
	}
	return errors.Join(c.errs...)
}

// unlimited maps the server's two ways to say "no limit" to one.
func unlimited(n int64) int64 {
	if n <= 0 {
		return -1
	}
	return n
}

// verifyForeign checks a user's own stream as a partition's input and changes nothing.
func verifyForeign(ctx context.Context, js jetstream.JetStream, p Partition, warn func(stream, warning string)) error {
	s, err := js.Stream(ctx, p.Stream)
	if err != nil {
		return fmt.Errorf("reading stream %s of partition %d: %w: driftd does not create a stream that the configuration names",
			p.Stream, p.Number, err)
	}
	found := s.CachedInfo().Config
	c := &checker{stream: found.Name}
	c.want("retention", jetstream.LimitsPolicy, found.Retention,
		"other policies delete what driftd has not read; let a stream with limits retention source it")
	c.want("no_ack", false, found.NoAck, "publishers could not know what was stored")
	if found.Mirror != nil {
		c.want("mirror", false, true, "use the origin, or let a stream source it")
	}
	for _, w := range densityWarnings(found) {
		warn(found.Name, w)
	}
	if !slices.ContainsFunc(found.Subjects, func(s string) bool { return matches(s, ControlSubject(p.Number)) }) {
		warn(found.Name, "does not capture "+ControlSubject(p.Number)+
			": markers cannot be written, so the last window closes with the next event only")
	}
	return errors.Join(c.errs...)
}

// densityWarnings names settings by which messages may vanish from the middle of a stream: driftd will report them as lost.
func densityWarnings(c jetstream.StreamConfig) []string {
	var out []string
	add := func(bad bool, text string) {
		if bad {
			out = append(out, text)
		}
	}
	add(c.MaxMsgsPerSubject > 0, fmt.Sprintf("max_msgs_per_subject=%d removes messages before driftd may have read them", c.MaxMsgsPerSubject))
	add(c.AllowMsgTTL, "allow_msg_ttl lets single messages expire, which driftd reports as lost")
	add(c.AllowRollup, "allow_rollup_hdrs lets a publisher remove messages, which driftd reports as lost")
	add(!c.DenyDelete, "deny_delete is off: a deleted message is reported as lost")
	add(!c.DenyPurge, "deny_purge is off: purged messages are reported as lost")
	add(c.Storage == jetstream.MemoryStorage, "memory storage does not survive a restart of the broker")
	add(c.Discard == jetstream.DiscardNew && c.MaxAge == 0, "discard=new without max_age refuses events once the stream is full")
	add(c.MaxBytes <= 0 && c.MaxMsgs <= 0 && c.MaxAge <= 0, "has no limit at all and will fill the disk")
	return out
}

// matches says whether a subject pattern covers a literal subject.
func matches(pattern, subject string) bool {
	pt, st := strings.Split(pattern, "."), strings.Split(subject, ".")
	for i, p := range pt {
		if p == ">" {
			return len(st) > i
		}
		if i >= len(st) || p != "*" && p != st[i] {
			return false
		}
	}
	return len(pt) == len(st)
}
