package journal_test

import (
	"bytes"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/driftd/driftd/broker/brokertest"
	"github.com/driftd/driftd/journal"
)

func TestEnsureStreamsIsIdempotent(t *testing.T) {
	_, js := brokertest.New(t)
	l := journal.Layout{
		Partitions:    []journal.Partition{{Number: 0, Subjects: []string{"ml.events.a", "ml.labels.a"}}, {Number: 1, Subjects: []string{"ml.events.b"}}},
		InputMaxBytes: 1 << 30, InputMaxAge: time.Hour, OutboxMaxAge: time.Hour,
	}
	for range 2 {
		if err := journal.EnsureStreams(deadline(t), js, l); err != nil {
			t.Fatal(err)
		}
	}
	var names []string
	for n := range js.StreamNames(deadline(t)).Name() {
		names = append(names, n)
	}
	slices.Sort(names)
	want := []string{"DRIFTD_IN_0", "DRIFTD_IN_1", "DRIFTD_OUTBOX", "DRIFTD_REFERENCES", "DRIFTD_STATE_0", "DRIFTD_STATE_1"}
	if d := cmp.Diff(want, names); d != "" {
		t.Errorf("streams (-want +got):\n%s", d)
	}
	in := streamInfo(t, js, "DRIFTD_IN_0", ">").Config
	if !cmp.Equal(in.Subjects, []string{"ml.events.a", "ml.labels.a", "driftd.control.0"}) || !in.DenyDelete || !in.DenyPurge || in.MaxAge != time.Hour {
		t.Errorf("input stream = %+v", in)
	}
	// A limit that the configuration does not name may be what the operator made it.
	l.InputMaxBytes, l.InputMaxAge = 0, 0
	if err := journal.EnsureStreams(deadline(t), js, l); err != nil {
		t.Errorf("without limits in the configuration: %v", err)
	}
}

// An outbox of a version that knew no verdicts gets their subject, and keeps all else as an operator made it.
func TestEnsureStreamsAddsVerdicts(t *testing.T) {
	_, js := brokertest.New(t)
	ctx := deadline(t)
	if err := journal.EnsureStreams(ctx, js, journal.Layout{}); err != nil {
		t.Fatal(err)
	}
	before := streamInfo(t, js, "DRIFTD_OUTBOX", ">").Config
	before.Subjects = []string{"driftd.result.*", "driftd.transition.*"}
	before.MaxBytes = 1 << 20
	if _, err := js.UpdateStream(ctx, before); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := journal.EnsureStreams(ctx, js, journal.Layout{}); err != nil {
			t.Fatal(err)
		}
	}
	after := streamInfo(t, js, "DRIFTD_OUTBOX", ">").Config
	if want := []string{"driftd.result.*", "driftd.transition.*", "driftd.verdicts.*"}; !cmp.Equal(after.Subjects, want) || after.MaxBytes != 1<<20 {
		t.Errorf("the outbox has %v and %d bytes, want %v and as many as before", after.Subjects, after.MaxBytes, want)
	}
}

func TestEnsureStreamsNamesEveryMismatch(t *testing.T) {
	_, js := brokertest.New(t)
	ctx := deadline(t)
	for _, c := range []jetstream.StreamConfig{
		{Name: "DRIFTD_IN_0", Subjects: []string{"ml.events.>", "ml.labels.*", "driftd.control.0"}, MaxMsgsPerSubject: 5, DenyDelete: true},
		{Name: "DRIFTD_STATE_0", Subjects: []string{"driftd.state.0.>"}, MaxAge: time.Hour, AllowDirect: true},
		{Name: "DRIFTD_OUTBOX", Subjects: []string{"driftd.result.*", "driftd.transition.*"}, Duplicates: time.Second, MaxAge: time.Hour},
	} {
		if _, err := js.CreateStream(ctx, c); err != nil {
			t.Fatal(err)
		}
	}
	err := journal.EnsureStreams(ctx, js, journal.Layout{OutboxMaxAge: 2 * time.Hour})
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{
		"stream DRIFTD_IN_0: subjects must be driftd.control.0,ml.events.*,ml.labels.*, found driftd.control.0,ml.events.>,ml.labels.*",
		"stream DRIFTD_IN_0: max_msgs_per_subject must be -1, found 5",
		"stream DRIFTD_IN_0: deny_purge must be true, found false",
		"stream DRIFTD_STATE_0: discard must be DiscardNew, found DiscardOld",
		"stream DRIFTD_STATE_0: allow_atomic must be true, found false",
		"stream DRIFTD_STATE_0: allow_direct must be false, found true",
		"stream DRIFTD_STATE_0: max_age must be 0s, found 1h0m0s",
		"stream DRIFTD_OUTBOX: duplicate_window must be 10m0s, found 1s",
		"stream DRIFTD_OUTBOX: max_age must be 2h0m0s, found 1h0m0s",
		"nats stream edit DRIFTD_IN_0",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error lacks %q:\n%v", want, err)
		}
	}
	if _, ok := errors.AsType[*journal.MismatchError](err); !ok {
		t.Errorf("error = %T, want *MismatchError inside", err)
	}
	if in := streamInfo(t, js, "DRIFTD_IN_0", ">").Config; in.MaxMsgsPerSubject != 5 {
		t.Error("an existing stream was changed")
	}
}

func TestForeignStream(t *testing.T) {
	_, js := brokertest.New(t)
	ctx := deadline(t)
	var warnings []string
	l := journal.Layout{
		Partitions: []journal.Partition{{Number: 0, Stream: "PREDICTIONS"}},
		Warn:       func(stream, w string) { warnings = append(warnings, stream+": "+w) },
	}
	if err := journal.EnsureStreams(ctx, js, l); !errors.Is(err, jetstream.ErrStreamNotFound) {
		t.Fatalf("an absent stream = %v", err)
	}
	c := jetstream.StreamConfig{Name: "PREDICTIONS", Subjects: []string{"predictions.>"}, MaxMsgsPerSubject: 9, AllowMsgTTL: true}
	if _, err := js.CreateStream(ctx, c); err != nil {
		t.Fatal(err)
	}
	if err := journal.EnsureStreams(ctx, js, l); err != nil {
		t.Fatal(err)
	}
	all := strings.Join(warnings, "\n")
	for _, want := range []string{"max_msgs_per_subject=9", "allow_msg_ttl", "deny_delete is off", "deny_purge is off", "driftd.control.0", "no limit"} {
		if !strings.Contains(all, want) {
			t.Errorf("no warning about %q in:\n%s", want, all)
		}
	}
	if _, err := js.CreateStream(ctx, jetstream.StreamConfig{
		Name: "WORK", Subjects: []string{"w.>", "driftd.control.*"},
		Retention: jetstream.WorkQueuePolicy,
	}); err != nil {
		t.Fatal(err)
	}
	err := journal.EnsureStreams(ctx, js, journal.Layout{Partitions: []journal.Partition{{Number: 3, Stream: "WORK"}}})
	if err == nil || !strings.Contains(err.Error(), "stream WORK: retention must be Limits, found WorkQueue") {
		t.Errorf("a work queue = %v", err)
	}
}

func TestOverlappingSubjectsAreExplained(t *testing.T) {
	_, js := brokertest.New(t)
	if _, err := js.CreateStream(deadline(t), jetstream.StreamConfig{Name: "MINE", Subjects: []string{"ml.>"}}); err != nil {
		t.Fatal(err)
	}
	err := journal.EnsureStreams(deadline(t), js, journal.Layout{})
	if err == nil || !strings.Contains(err.Error(), "another stream already captures") || !strings.Contains(err.Error(), "nats.partitions") {
		t.Errorf("error = %v", err)
	}
}

// reserved returns what the streams of two partitions, the outbox and the references may grow to, by name.
func reserved(t *testing.T, js jetstream.JetStream) (total int64, of map[string]int64) {
	t.Helper()
	of = map[string]int64{}
	for _, name := range []string{"DRIFTD_IN_0", "DRIFTD_IN_1", "DRIFTD_STATE_0", "DRIFTD_STATE_1", "DRIFTD_OUTBOX", "DRIFTD_REFERENCES"} {
		s, err := js.Stream(deadline(t), name)
		if err != nil {
			t.Fatal(err)
		}
		of[name] = s.CachedInfo().Config.MaxBytes
		total += of[name]
	}
	return total, of
}

func twoPartitions() journal.Layout {
	return journal.Layout{Partitions: []journal.Partition{
		{Number: 0, Subjects: []string{"ml.events.a"}}, {Number: 1, Subjects: []string{"ml.events.b"}},
	}}
}

// The defaults fit into the store that is known: the sizes of two partitions add up to 4+4+5+5+10+1 GiB, and 80 % of 5 GiB is 4. What
// exists stays as it is when less is left at the next start, and a given size is never scaled.
func TestFit(t *testing.T) {
	_, js := brokertest.New(t)
	l := twoPartitions()
	l.OutboxMaxBytes = 1 << 30
	if err := journal.EnsureStreams(deadline(t), js, l.Fit(5<<30)); err != nil {
		t.Fatal(err)
	}
	total, of := reserved(t, js)
	if total > 4<<30 || total < 4<<30-6 || of["DRIFTD_OUTBOX"] != 1<<30 || of["DRIFTD_STATE_0"]/5 != of["DRIFTD_IN_1"]/4 {
		t.Errorf("reserved %d bytes: %v; want all of 4 GiB, and the parts of the defaults", total, of)
	}
	if err := journal.EnsureStreams(deadline(t), js, l.Fit(3<<30)); err != nil {
		t.Errorf("with less room than the streams were made with: %v", err)
	}
}

// A broker that says nothing of its room, and has less than the defaults: every stream gets the same part.
func TestNoRoomForTheDefaults(t *testing.T) {
	e := brokertest.Start(t, "")
	_, js := brokertest.Connect(t, e.URL(), e.Token())
	const room = 3 << 30
	if e.StoreLimit() < 2*room {
		t.Fatalf("this test needs a disk with more than %d bytes", int64(3*room))
	}
	if _, err := js.CreateStream(deadline(t), jetstream.StreamConfig{Name: "OTHERS", Subjects: []string{"others"}, MaxBytes: e.StoreLimit() - room}); err != nil {
		t.Fatal(err)
	}
	if err := journal.EnsureStreams(deadline(t), js, twoPartitions()); err != nil {
		t.Fatal(err)
	}
	// 29 GiB by default: a sixteenth is the largest power of two that fits 3 GiB.
	total, of := reserved(t, js)
	want := map[string]int64{
		"DRIFTD_IN_0": 256 << 20, "DRIFTD_IN_1": 256 << 20, "DRIFTD_STATE_0": 320 << 20, "DRIFTD_STATE_1": 320 << 20, "DRIFTD_OUTBOX": 640 << 20,
		"DRIFTD_REFERENCES": 64 << 20,
	}
	if !maps.Equal(of, want) {
		t.Errorf("reserved %d bytes: %v, want %v", total, of, want)
	}
	// A size that was asked for is not negotiable.
	if err := js.DeleteStream(deadline(t), "DRIFTD_OUTBOX"); err != nil {
		t.Fatal(err)
	}
	l := twoPartitions()
	l.OutboxMaxBytes = 2 * room
	if err := journal.EnsureStreams(deadline(t), js, l); err == nil || !strings.Contains(err.Error(), "lower its max_bytes") {
		t.Errorf("a given size without room: %v", err)
	}
}

func TestReferences(t *testing.T) {
	_, js := setup(t, journal.Layout{})
	ctx := deadline(t)
	r, err := journal.OpenReferences(ctx, js)
	if err != nil {
		t.Fatal(err)
	}
	small, large := []byte("canonical"), bytes.Repeat([]byte("0123456789abcdef"), 100_000) // 1.6 MB: four chunks
	meta := journal.ReferenceMeta{Model: "churn", Rows: 12, Start: 1, End: 2, Source: "train.csv"}
	a, err := r.Put(ctx, "week 1", small, meta)
	if err != nil {
		t.Fatal(err)
	}
	// source: printf canonical | sha256sum
	const fingerprint = "sha256:0deeb8fa1dbbee4c0dbe7f5e3c9183940139f26d22797ee8ab07c00557a4c2ff"
	if a.Fingerprint != fingerprint {
		t.Errorf("fingerprint = %s, want %s", a.Fingerprint, fingerprint)
	}
	b, err := r.Put(ctx, "big", large, meta)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		m    journal.ReferenceMeta
		want []byte
	}{{a, small}, {b, large}} {
		got, err := r.Get(ctx, c.m.Fingerprint)
		if err != nil || !bytes.Equal(got, c.want) {
			t.Errorf("get %s: %d bytes, %v", c.m.Name, len(got), err)
		}
	}
	if again, err := r.Put(ctx, "week 1", small, meta); err != nil || again != a {
		t.Errorf("the same again = %+v, %v; want %+v", again, err, a)
	}
	if _, err := r.Put(ctx, "week 1", large, meta); !errors.Is(err, journal.ErrReferenceExists) {
		t.Errorf("other bytes under the name = %v", err)
	}
	if _, err := r.Put(ctx, "alias", small, meta); err != nil {
		t.Fatal(err)
	}
	list, err := r.List(ctx)
	if err != nil || len(list) != 3 || list[0].Name != "alias" || list[1].Name != "big" || list[2] != a {
		t.Errorf("list = %+v, %v", list, err)
	}
	if got, err := r.Resolve(ctx, "week 1"); err != nil || got != a || got.Size != 9 || got.Created == 0 || got.Rows != 12 {
		t.Errorf("resolve = %+v, %v", got, err)
	}
	if err := r.Delete(ctx, "week 1"); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Get(ctx, a.Fingerprint); err != nil {
		t.Errorf("content that another name stands for is gone: %v", err)
	}
	for _, n := range []string{"alias", "big"} {
		if err := r.Delete(ctx, n); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := r.Get(ctx, b.Fingerprint); !errors.Is(err, journal.ErrReferenceNotFound) {
		t.Errorf("deleted content = %v", err)
	}
	if _, err := r.Resolve(ctx, "big"); !errors.Is(err, journal.ErrReferenceNotFound) {
		t.Errorf("deleted name = %v", err)
	}
	if n := streamInfo(t, js, journal.ReferencesStream, ">").State.Msgs; n != 0 {
		t.Errorf("%d messages are left", n)
	}
	if _, err := r.Put(ctx, "week 1", large, meta); err != nil {
		t.Errorf("a deleted name is free again: %v", err)
	}
}

func TestDamagedReferenceIsRefused(t *testing.T) {
	_, js := setup(t, journal.Layout{})
	ctx := deadline(t)
	r, err := journal.OpenReferences(ctx, js)
	if err != nil {
		t.Fatal(err)
	}
	m, err := r.Put(ctx, "n", bytes.Repeat([]byte("x"), 1<<20), journal.ReferenceMeta{})
	if err != nil {
		t.Fatal(err)
	}
	subject := "driftd.reference.blob." + strings.TrimPrefix(m.Fingerprint, "sha256:")
	if _, err := js.Publish(ctx, subject+".1", bytes.Repeat([]byte("y"), 512<<10)); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Get(ctx, m.Fingerprint); !errors.Is(err, journal.ErrReferenceDamaged) {
		t.Errorf("a changed chunk = %v", err)
	}
	s, err := js.Stream(ctx, journal.ReferencesStream)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Purge(ctx, jetstream.WithPurgeSubject(subject+".1")); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Get(ctx, m.Fingerprint); !errors.Is(err, journal.ErrReferenceDamaged) {
		t.Errorf("a missing chunk = %v", err)
	}
	if _, err := r.Put(ctx, "n", bytes.Repeat([]byte("x"), 1<<20), journal.ReferenceMeta{}); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Get(ctx, m.Fingerprint); err != nil {
		t.Errorf("storing it again does not repair it: %v", err)
	}
	for _, bad := range []string{"", "sha256:", "sha256:*", "sha256:" + strings.Repeat("Z", 64), m.Fingerprint + "0"} {
		if _, err := r.Get(ctx, bad); err == nil || errors.Is(err, journal.ErrReferenceNotFound) {
			t.Errorf("get %q = %v", bad, err)
		}
	}
	for _, bad := range []string{"", "a\nb", strings.Repeat("n", 201)} {
		if _, err := r.Put(ctx, bad, []byte("x"), journal.ReferenceMeta{}); err == nil {
			t.Errorf("name %q accepted", bad)
		}
	}
}
