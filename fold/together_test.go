package fold_test

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/driftd/driftd/detectors"
	"github.com/driftd/driftd/event"
	"github.com/driftd/driftd/fold"
	"github.com/driftd/driftd/internal/columnstest"
	"github.com/driftd/driftd/window"
)

// plainTables makes messages of prediction events that are mostly what can be folded together, and much of what ends that: rows of other panes,
// late ones, such from the future, repeated ids and none, several versions, more of them than are counted on their own, and statuses likewise.
func plainTables(rng *rand.Rand, messages int) []columnstest.Table {
	names := []string{
		"id", "version", "ts", "latency_ms", "status", "prediction", "features.f0", "features.f1", "features.c0", "features.strange", "extra",
	}
	out := make([]columnstest.Table, messages)
	for seq := range out {
		rows := 1 + rng.IntN(70)
		values := make([][]any, len(names))
		version, mixed, timed := fmt.Sprint("v", rng.IntN(1+seq/20)), rng.IntN(6) == 0, rng.IntN(8) > 0
		step := []int64{0, minute / 60, minute / 8}[rng.IntN(3)]
		for row := range rows {
			ts := midnight + int64(seq)*3*minute + int64(row)*step
			switch rng.IntN(60) {
			case 0:
				ts -= rng.Int64N(200) * minute
			case 1:
				ts = midnight + int64(seq)*3*minute + 15*minute + 1 + rng.Int64N(2*minute) // beyond the tolerance
			}
			again := rng.IntN(20) == 0
			if again {
				ts += rng.Int64N(4 * minute)
			}
			for i, name := range names {
				var v any
				switch name {
				case "id":
					if v = strconv.Itoa(1000*seq + row); again {
						v = strconv.Itoa(1000*max(0, seq-rng.IntN(20)) + rng.IntN(rows))
					} else if rng.IntN(30) == 0 {
						v = ""
					}
				case "version":
					if v = version; mixed {
						v = fmt.Sprint("v", rng.IntN(30))
					}
				case "ts":
					if timed {
						v = ts
					}
				case "latency_ms":
					v = []any{100 * rng.Float64(), 0.0, -1.0, math.Inf(1), nil}[max(0, rng.IntN(40)-35)]
				case "status":
					v = []string{"ok", "ok", "ok", "500", strconv.Itoa(400 + rng.IntN(50)), ""}[rng.IntN(6)]
				case "prediction":
					if v = any(rng.Float64()); rng.IntN(10) == 0 {
						v = nil
					}
				case "features.c0":
					v = []string{"alpha", "beta", "new"}[rng.IntN(3)]
				default:
					if v = any(100 + 10*rng.NormFloat64()); rng.IntN(15) == 0 {
						v = nil
					}
				}
				values[i] = append(values[i], v)
			}
		}
		out[seq] = columnstest.Table{Names: names, Values: values}
	}
	return out
}

// Records that are folded together give the same documents and the same committed state, to the byte, as records that are folded one by one,
// in every encoding; the documents also wherever commits and crashes fall.
func TestTogetherIsOneByOne(t *testing.T) {
	stream := newWireStream(t, 2, 1)
	seeds, most := uint64(4), 80
	if testing.Short() {
		most = 40
	}
	var sum fold.Stats
	for seed := range seeds {
		rng := rand.New(rand.NewPCG(seed, 61))
		counting := stream.counting(fold.ModelConfig{Detectors: detectors.Default()}) //nolint:exhaustruct // filled below
		counting.DedupIDs, counting.DedupHorizon, counting.MaxVersions = 500, 60*minute, 5
		m := &counting.Defaults
		m.Timing = timing(15, window.Spec{Size: 60 * minute, Every: 15 * minute}, window.Spec{Size: 60 * minute, Every: 60 * minute}) //nolint:exhaustruct // not extended
		m.Timing.Lateness, m.Timing.WatermarkDelay = 37*minute, rng.Int64N(5)*minute
		refs := none
		switch seed % 4 {
		case 0: // no reference
		case 1:
			m.Timing.Windows[1].ExtendTo, m.Timing.Windows[1].MinEvents = 180*minute, 500
			fallthrough
		default:
			m.Reference, refs = stream.ref.Fingerprint(), stream.refs
		}
		tables := plainTables(rng, most)
		stored := func(encode func(columnstest.Table) []byte) []fold.Message {
			out := make([]fold.Message, 0, len(tables)+1)
			for i, table := range tables {
				out = append(out, fold.Message{Seq: uint64(i + 1), Subject: "ml.events.m", Time: midnight + int64(i)*3*minute + 10*minute, Data: encode(table)}) //nolint:exhaustruct // no retry
			}
			end := event.Control{Kind: event.ControlMarker, Watermark: midnight + 48*hourMS}                                                  //nolint:exhaustruct // a marker
			return append(out, fold.Message{Seq: uint64(len(out) + 1), Subject: "driftd.control.0", Time: end.Watermark, Data: end.Encode()}) //nolint:exhaustruct // no retry
		}
		at := rng.Uint64()
		calm := func() chance { // commits at the same places
			return chance{rng: rand.New(rand.NewPCG(at, 62)), commit: 0.1, crash: 0, budget: unlimited(), poison: nil} //nolint:exhaustruct // not alone
		}
		first := calm()
		first.alone = true
		want := run(t, counting, refs, stored(func(table columnstest.Table) []byte { return table.JSON(t) }), first)
		if len(want.docs) < most/10 {
			t.Fatalf("only %d documents", len(want.docs))
		}
		for name, encode := range map[string]func(columnstest.Table) []byte{
			"NDJSON":   func(table columnstest.Table) []byte { return table.JSON(t) },
			"protobuf": func(table columnstest.Table) []byte { return table.Protobuf() },
			"Arrow":    func(table columnstest.Table) []byte { return table.Arrow(t) },
		} {
			msgs := stored(encode)
			for _, alone := range []bool{false, true} {
				if alone && name == "NDJSON" {
					continue
				}
				c := calm()
				c.alone = alone
				got := run(t, counting, refs, msgs, c)
				if diff := cmp.Diff(texts(want.docs), texts(got.docs)); diff != "" {
					t.Fatalf("seed %d, %s, one by one %v: documents (-NDJSON one by one +these)\n%s", seed, name, alone, diff)
				}
				if diff := cmp.Diff(want.counts(), got.counts()); diff != "" {
					t.Fatalf("seed %d, %s, one by one %v: the state (-NDJSON one by one +these)\n%s", seed, name, alone, diff)
				}
			}
			rng := rand.New(rand.NewPCG(at, 63))
			c := chance{rng: rng, commit: 0.1 * rng.Float64(), crash: 0.05, budget: fold.Budget{Messages: 60 + rng.IntN(100), Bytes: 1 << 22}, poison: nil} //nolint:exhaustruct // not alone
			got := run(t, counting, refs, msgs, c)
			if diff := cmp.Diff(texts(want.docs), texts(got.docs)); diff != "" {
				t.Fatalf("seed %d, %s, with crashes: documents (-NDJSON one by one +these)\n%s", seed, name, diff)
			}
		}
		tally(t, counting, refs, stored(func(table columnstest.Table) []byte { return table.JSON(t) }), 1)
		messagesTogether(t, counting, refs, tables)
		s := tally(t, counting, refs, stored(func(table columnstest.Table) []byte { return table.Protobuf() }), 1)
		for i, n := range s.Counters() {
			*sum.Counters()[i] += *n
		}
	}
	if t.Logf("%+v", sum); sum.Events == 0 || sum.Duplicates == 0 || sum.Late == 0 || sum.LateAccepted == 0 || sum.Future == 0 || sum.WithoutID == 0 || sum.WrongTypes == 0 {
		t.Errorf("the messages do not try what they should: %+v", sum)
	}
}

// messagesTogether does the same for messages of one record each, which are folded together with those behind them.
func messagesTogether(t *testing.T, counting fold.Counting, refs fold.References, tables []columnstest.Table) {
	t.Helper()
	var msgs []fold.Message
	for i, table := range tables {
		for k, line := range bytes.Split(bytes.TrimSpace(table.JSON(t)), []byte("\n")) {
			at := midnight + int64(i)*3*minute + 10*minute + int64(k)
			msgs = append(msgs, fold.Message{Seq: uint64(len(msgs) + 1), Subject: "ml.events.m", Time: at, Data: line}) //nolint:exhaustruct // no retry
		}
	}
	end := event.Control{Kind: event.ControlMarker, Watermark: midnight + 48*hourMS}                                                    //nolint:exhaustruct // a marker
	msgs = append(msgs, fold.Message{Seq: uint64(len(msgs) + 1), Subject: "driftd.control.0", Time: end.Watermark, Data: end.Encode()}) //nolint:exhaustruct // no retry
	c := undisturbed()
	c.alone = true
	want := run(t, counting, refs, msgs, c)
	c.alone, c.some = false, 64
	got := run(t, counting, refs, msgs, c)
	if diff := cmp.Diff(texts(want.docs), texts(got.docs)); diff != "" {
		t.Fatalf("documents (-one by one +together)\n%s", diff)
	}
	if diff := cmp.Diff(want.counts(), got.counts()); diff != "" {
		t.Fatalf("the state (-one by one +together)\n%s", diff)
	}
	rng := rand.New(rand.NewPCG(7, 64))
	c = chance{rng: rng, commit: 0.02, crash: 0.01, budget: fold.Budget{Messages: 60 + rng.IntN(100), Bytes: 1 << 22}, some: 64} //nolint:exhaustruct // not alone
	got = run(t, counting, refs, msgs, c)
	if diff := cmp.Diff(texts(want.docs), texts(got.docs)); diff != "" {
		t.Fatalf("with crashes: documents (-one by one +together)\n%s", diff)
	}
	tally(t, counting, refs, msgs, 64)
}

// tally returns what a partition counted of all messages, so many of which are offered at once. Record by record it is the same, and so is where event
// time is behind all of them.
func tally(t *testing.T, counting fold.Counting, refs fold.References, msgs []fold.Message, some int) fold.Stats {
	t.Helper()
	together := fold.New("IN", counting, [2]uint64{1, 2}, refs, unlimited())
	alone := fold.New("IN", counting, [2]uint64{1, 2}, refs, unlimited())
	alone.CountAlone(math.MaxUint64)
	for at := 0; at < len(msgs); {
		n, done, err := together.ApplySome(msgs[at:min(at+some, len(msgs))], &fold.Output{}) //nolint:exhaustruct // empty
		if err != nil || !done {
			t.Fatal(done, err)
		}
		for _, m := range msgs[at : at+n] {
			if done, err := alone.Apply(m, &fold.Output{}); err != nil || !done { //nolint:exhaustruct // empty
				t.Fatal(done, err)
			}
		}
		at += n
		if diff := cmp.Diff(alone.Stats(), together.Stats()); diff != "" {
			t.Fatalf("statistics behind %d messages (-one by one +together)\n%s", at, diff)
		}
		if diff := cmp.Diff(alone.Sources(), together.Sources()); diff != "" {
			t.Fatalf("sources behind %d messages (-one by one +together)\n%s", at, diff)
		}
		if alone.Position() != together.Position() {
			t.Fatalf("the position is %+v, one by one %+v", together.Position(), alone.Position())
		}
	}
	return together.Stats()
}

// Rows of one pane, among which is one that is too far ahead of the broker's clock: it is counted when the broker stored it.
func TestTogetherEndsBeforeTheFuture(t *testing.T) {
	counting := newWireStream(t, 2, 1).counting(fold.ModelConfig{Timing: timing(60, window.Spec{Size: 60 * minute, Every: 60 * minute})}) //nolint:exhaustruct // counted only
	const tolerance = 5 * minute
	message := func(seq uint64, times ...any) fold.Message {
		table := columnstest.Table{Names: []string{"ts"}, Values: [][]any{times}}
		return fold.Message{Seq: seq, Subject: "ml.events.m", Time: midnight, Data: table.Protobuf()} //nolint:exhaustruct // no retry
	}
	s := tally(t, counting, none, []fold.Message{
		message(1, midnight), message(2, midnight+1, midnight+tolerance, midnight+2), message(3, midnight+3, midnight+tolerance+1, midnight+4),
	}, 1)
	if s.Events != 7 || s.Future != 1 {
		t.Errorf("%d events, %d of the future, want 7 and 1", s.Events, s.Future)
	}
}
