package fold_test

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/driftd/driftd/event"
	"github.com/driftd/driftd/fold"
	"github.com/driftd/driftd/internal/columnstest"
	"github.com/driftd/driftd/result"
)

// mixedTables makes messages of events and labels as tables: nulls, a type that is wrong for all of a message, late and repeated records, labels
// before their predictions, corrected, of ids that nobody has, and such that carry their prediction.
func mixedTables(rng *rand.Rand, messages int) []columnstest.Table {
	out := make([]columnstest.Table, messages)
	for seq := range out {
		names := []string{
			"id", "version", "ts", "latency_ms", "status", "label", "prediction.score", "features.f0", "features.f1", "features.c0", "features.strange",
			"segment.region", "prediction_ts",
		}
		if seq%5 == 0 {
			names[6] = "prediction"
		}
		labelOf := []func(int) any{
			func(c int) any { return float64(c) }, func(c int) any { return c == 1 }, func(c int) any { return strconv.Itoa(c) }, func(c int) any { return int64(c) },
		}[rng.IntN(4)]
		wrong := rng.IntN(10) == 0
		rows := 1 + rng.IntN(20)
		values := make([][]any, len(names))
		for i := range values {
			values[i] = make([]any, rows)
		}
		for row := range rows {
			isLabel := rng.IntN(3) == 0
			ts := midnight + int64(seq)*3*minute + int64(row)*minute/8
			if rng.IntN(12) == 0 {
				ts -= rng.Int64N(200) * minute
			}
			for i, name := range names {
				var v any
				switch name {
				case "id":
					v = strconv.Itoa(rng.IntN(10 + 10*seq)) // often one that was there, or comes
				case "version":
					v = fmt.Sprint("v", rng.IntN(2))
				case "ts":
					v = ts
				case "label":
					if isLabel {
						v = labelOf(rng.IntN(2))
					}
				case "prediction", "prediction.score":
					if !isLabel || rng.IntN(5) == 0 {
						v = rng.Float64()
					}
				case "prediction_ts":
					if isLabel && rng.IntN(3) == 0 {
						v = ts - rng.Int64N(30)*minute
					}
				case "features.f1":
					if v = any(100 + 10*rng.NormFloat64()); wrong {
						v = "not a number"
					}
				case "features.f0", "latency_ms", "features.strange":
					v = 100 + 10*rng.NormFloat64()
				case "features.c0":
					v = []string{"alpha", "beta", "new"}[rng.IntN(3)]
				case "segment.region":
					v = []string{"eu", "us", "elsewhere"}[rng.IntN(3)]
				case "status":
					v = []string{"ok", "500"}[rng.IntN(2)]
				}
				if name != "id" && name != "ts" && rng.IntN(15) == 0 {
					v = nil
				}
				values[i][row] = v
			}
		}
		out[seq] = columnstest.Table{Names: names, Values: values}
	}
	return out
}

// counts is the committed state without the samples of rolling references, which keep records as they were written.
func (j *journal) counts() map[string]string {
	out := map[string]string{"header": string(j.head)}
	for name, data := range j.shards {
		if !strings.HasPrefix(name, "rolling.s.") {
			out[name] = string(data)
		}
	}
	return out
}

// The same events and labels as NDJSON, as protobuf and as Arrow give the same documents and the same committed state, to the byte: with segments,
// with references of every kind and with labels that are joined. The documents stay the same wherever commits, crashes and lost caches fall.
func TestEncodingsGiveTheSameBytes(t *testing.T) {
	stream := newWireStream(t, 2, 1)
	seeds, most := uint64(4), 120
	if testing.Short() {
		seeds, most = 3, 30
	}
	var sum labelFigures
	joined, segments, judged := uint64(0), 0, 0
	for seed := range seeds {
		rng := rand.New(rand.NewPCG(seed, 51))
		counting := labelled()
		m := &counting.Defaults
		m.Segments = []fold.SegmentConfig{{Dimension: "c0", Values: []string{"alpha"}, Largest: 0}, {Dimension: "region", Values: []string{"eu", "us"}, Largest: 0}}
		refs := none
		switch m.ReferenceName = "r"; seed % 4 {
		case 0:
			m.Rolling = &fold.Rolling{Previous: hourMS, Same: "", Version: "", Resolution: 50}
		case 1:
			m.Rolling = &fold.Rolling{Previous: 0, Same: "", Version: "v1", Resolution: 100}
		case 2:
			m.Reference, refs = stream.ref.Fingerprint(), stream.refs
		case 3:
			m.Reference, refs, m.Segments = stream.ref.Fingerprint(), stream.refs, nil // columns are counted as columns
		}
		tables := mixedTables(rng, most)
		stored := func(encode func(columnstest.Table) []byte) []fold.Message {
			out := make([]fold.Message, 0, len(tables)+1)
			for i, table := range tables {
				out = append(out, fold.Message{Seq: uint64(i + 1), Subject: "ml.events.m", Time: midnight + int64(i)*3*minute + 10*minute, Data: encode(table), Retry: ""})
			}
			end := event.Control{Kind: event.ControlMarker, Watermark: midnight + 48*hourMS} //nolint:exhaustruct // a marker
			return append(out, fold.Message{Seq: uint64(len(out) + 1), Subject: "driftd.control.0", Time: end.Watermark, Data: end.Encode(), Retry: ""})
		}
		lines := stored(func(table columnstest.Table) []byte { return table.JSON(t) })
		at := rng.Uint64()
		calm := func() labelChance { // commits at the same places
			return labelChance{chance: chance{rng: rand.New(rand.NewPCG(at, 52)), commit: 0.1, crash: 0, budget: unlimited(), poison: nil}, behind: 0, lost: 0}
		}
		want, _ := playLabels(t, counting, refs, lines, calm(), nil)
		for name, encode := range map[string]func(columnstest.Table) []byte{
			"protobuf": func(table columnstest.Table) []byte { return table.Protobuf() },
			"Arrow":    func(table columnstest.Table) []byte { return table.Arrow(t) },
		} {
			t.Run(fmt.Sprint("seed=", seed, " ", name), func(t *testing.T) {
				msgs := stored(encode)
				got, _ := playLabels(t, counting, refs, msgs, calm(), nil)
				if diff := cmp.Diff(texts(want.docs), texts(got.docs)); diff != "" {
					t.Fatalf("documents (-NDJSON +columns)\n%s", diff)
				}
				if diff := cmp.Diff(want.counts(), got.counts()); diff != "" {
					t.Errorf("the state (-NDJSON +columns)\n%s", diff)
				}
				rng := rand.New(rand.NewPCG(at, 53))
				got, f := playLabels(t, counting, refs, msgs, labelChance{
					chance: chance{rng: rng, commit: 0.1 * rng.Float64(), crash: 0.05, budget: fold.Budget{Messages: 40 + rng.IntN(60), Bytes: 1 << 22}, poison: nil},
					behind: 0.3, lost: 0.5,
				}, nil)
				equal(t, want, got)
				sum.crashes, sum.rebuilt, sum.reread = sum.crashes+f.crashes, sum.rebuilt+f.rebuilt, sum.reread+f.reread
			})
		}
		for _, d := range want.docs {
			if q, ok := readQuality(t, d); ok {
				joined += q.Labels
			}
			if strings.Contains(string(d.Data[:min(300, len(d.Data))]), `"segment":"region=eu"`) {
				segments++
			}
			if strings.Contains(string(d.Data), `"verdict":"`+string(result.Drift)) || strings.Contains(string(d.Data), `"verdict":"`+string(result.Stable)) {
				judged++
			}
		}
	}
	if t.Logf("%+v, %d labels, %d documents of a segment, %d judged", sum, joined, segments, judged); joined == 0 || segments == 0 || judged == 0 || sum.reread == 0 {
		t.Error("the messages do not try what they should")
	}
}
