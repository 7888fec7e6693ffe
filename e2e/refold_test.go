package e2e_test

import (
	"bytes"
	"maps"
	"math"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/driftd/driftd/config"
	"github.com/driftd/driftd/fold"
	"github.com/driftd/driftd/ingest"
	"github.com/driftd/driftd/journal"
	"github.com/driftd/driftd/reference"
)

// refold is an undisturbed reading of the stored input: every message of the stream, folded in memory as package pipeline
// does, beginning with the daemon's first configuration, in which no reference was stored yet.
func refold(tb testing.TB, js jetstream.JetStream, configPath string) (*fold.Output, fold.Stats) {
	tb.Helper()
	return refoldStream(tb, js, configPath, journal.InputStream(0))
}

// refoldStream is refold of any partition's stream.
func refoldStream(tb testing.TB, js jetstream.JetStream, configPath, name string) (*fold.Output, fold.Stats) {
	tb.Helper()
	cfg, err := config.Load(configPath)
	if err != nil {
		tb.Fatal(err)
	}
	stored, err := journal.OpenReferences(tb.Context(), js)
	if err != nil {
		tb.Fatal(err)
	}
	refs := func(fingerprint string) (*reference.Reference, error) {
		data, err := stored.Get(tb.Context(), fingerprint)
		if err != nil {
			return nil, err
		}
		return reference.Decode(data)
	}
	stream, err := js.Stream(tb.Context(), name)
	if err != nil {
		tb.Fatal(err)
	}
	state := stream.CachedInfo().State
	if state.FirstSeq != 1 {
		tb.Fatalf("the input begins at %d: nothing can be compared", state.FirstSeq)
	}
	in, err := ingest.OpenConsumer(tb.Context(), js, name, 1, ingest.ConsumerOptions{})
	if err != nil {
		tb.Fatal(err)
	}
	defer in.Close()
	p := fold.New(name, cfg.Counting(), [2]uint64{1, 2}, refs, fold.Budget{Messages: math.MaxInt, Bytes: math.MaxInt})
	out := &fold.Output{}
	for seq := uint64(1); seq <= state.LastSeq; seq++ {
		m, err := in.Next(tb.Context())
		if err != nil {
			tb.Fatalf("reading message %d: %v", seq, err)
		}
		done, err := p.Apply(fold.Message{Seq: m.Seq, Subject: m.Subject, Time: m.Time, Data: m.Data}, out)
		if err != nil || !done {
			tb.Fatalf("folding message %d: done %v, %v", m.Seq, done, err)
		}
	}
	return out, p.Stats()
}

// outbox reads all documents of the outbox by their id, and fails where one is there twice.
func outbox(tb testing.TB, js jetstream.JetStream) map[string][]byte {
	tb.Helper()
	stream, err := js.Stream(tb.Context(), journal.OutboxStream)
	if err != nil {
		tb.Fatal(err)
	}
	docs, numbers := map[string][]byte{}, map[uint64]bool{}
	last := stream.CachedInfo().State.LastSeq
	for seq := stream.CachedInfo().State.FirstSeq; seq != 0 && seq <= last; seq++ {
		m, err := stream.GetMsg(tb.Context(), seq)
		if err != nil {
			tb.Fatalf("reading message %d of the outbox: %v", seq, err)
		}
		id := m.Header.Get(jetstream.MsgIDHeader)
		if _, twice := docs[id]; twice || id == "" {
			tb.Errorf("document %q is in the outbox twice, or has no id (message %d)", id, seq)
		}
		number, err := strconv.ParseUint(m.Header.Get(journal.HeaderDocNumber), 10, 64)
		if err != nil || numbers[number] {
			tb.Errorf("document %s has the number %q: unreadable, or given twice", id, m.Header.Get(journal.HeaderDocNumber))
		}
		docs[id], numbers[number] = m.Data, true
	}
	for n := uint64(1); n <= uint64(len(docs)); n++ {
		if !numbers[n] {
			tb.Errorf("no document has the number %d of %d", n, len(docs))
		}
	}
	return docs
}

// sameAsUndisturbed fails unless the outbox and the dead letters are, byte for byte, what an undisturbed reading of the same
// stored input gives: nothing more, nothing less, nothing twice.
func sameAsUndisturbed(t *testing.T, js jetstream.JetStream, configPath string) (documents int, stats fold.Stats) {
	t.Helper()
	begin := time.Now()
	want, stats := refold(t, js, configPath)
	got := outbox(t, js)
	differ := 0
	for _, d := range want.Docs {
		data, ok := got[d.ID]
		delete(got, d.ID)
		if !ok || !bytes.Equal(data, d.Data) {
			if differ++; differ <= 3 {
				t.Errorf("document %s differs (there: %v)\nundisturbed %s\noutbox      %s", d.ID, ok, d.Data, data)
			}
		}
	}
	if differ > 3 {
		t.Errorf("%d documents differ", differ)
	}
	for _, id := range slices.Sorted(maps.Keys(got)) {
		t.Errorf("document %s is in the outbox, but not in an undisturbed reading: %s", id, got[id])
	}
	dead, err := journal.ListDeadLetters(t.Context(), js, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(dead, want.DeadLetters) {
		t.Errorf("%d dead letters, an undisturbed reading has %d, or they differ", len(dead), len(want.DeadLetters))
	}
	t.Logf("compared %d documents and %d dead letters with an undisturbed reading of %d messages, in %v",
		len(want.Docs), len(dead), stats.Messages, time.Since(begin).Round(time.Millisecond))
	return len(want.Docs), stats
}
