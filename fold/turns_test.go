package fold_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/driftd/driftd/detectors"
	"github.com/driftd/driftd/fold"
	"github.com/driftd/driftd/reference"
	"github.com/driftd/driftd/window"
)

// Models, versions and encodings that take turns are counted model by model, pane by pane. The results and the state are those of counting
// record by record, to the byte, over windows that close, repeated ids, late and refused records, and wherever commits and crashes fall.
func TestModelsThatTakeTurns(t *testing.T) {
	const models = 6
	count := uint64(1000)
	if testing.Short() {
		count = 150
	}
	step := int64(2000 / count) // seconds
	stream := newWireStream(t, 3, 1)
	rng := rand.New(rand.NewPCG(41, 42))
	refs, counting := map[string]*reference.Reference{}, stream.counting(fold.ModelConfig{}) //nolint:exhaustruct // every model has one
	counting.MaxModels, counting.Models = models, map[string]fold.ModelConfig{}
	for i := range models {
		ref := stream.ref
		if i%3 > 0 {
			ref = stream.renamed(t, i)
		}
		refs[ref.Fingerprint()] = ref
		counting.Models[fmt.Sprintf("m%d", i)] = fold.ModelConfig{ //nolint:exhaustruct // no rules
			Reference: ref.Fingerprint(), Timing: timing(15, window.Spec{Size: 30 * minute, Every: 15 * minute}), Detectors: detectors.Default(), //nolint:exhaustruct // not extended
		}
	}
	counting.Defaults = counting.Models["m0"]
	var messages []fold.Message
	for seq := uint64(1); seq <= count; seq++ {
		of := rng.IntN(models)
		m := fold.Message{Seq: seq, Subject: "ml.events.m0", Time: 60_000 + int64(seq)*step*1000, Data: nil} //nolint:exhaustruct // no retry
		if of == 0 && rng.IntN(2) == 0 {
			m.Data = bytes.ReplaceAll(stream.table().Protobuf(), []byte("features.f0"), []byte("features.zz"))
			messages = append(messages, m)
			continue
		}
		for k := range 1 + rng.IntN(3)*rng.IntN(20) {
			line := stream.move(stream.appendEvent(nil), 0)
			line = bytes.Replace(line, []byte(`"ts":60`), fmt.Appendf(nil, `"ts":%d`, 60+int64(seq)*step-int64(rng.IntN(2)*rng.IntN(60))), 1)
			line = bytes.Replace(line, []byte(`"model":"m"`), fmt.Appendf(nil, `"model":"m%d"`, of), 1)
			if of%3 > 0 {
				line = ownNames(line, of)
			}
			switch rng.IntN(10) {
			case 0:
				line = bytes.Replace(line, []byte("2026-11-01"), []byte("2026-12-01"), 1)
			case 1:
				line = bytes.Replace(line, []byte(`":1`), []byte(`":"a word", "again":1`), 1)
			case 2:
				line = bytes.Replace(line, []byte(`"alpha"`), []byte(`"\u0061lpha"`), 1)
			case 3:
				line = line[:rng.IntN(len(line))]
			}
			if k > 0 {
				m.Data = append(m.Data, '\n')
			}
			if m.Data = append(m.Data, line...); rng.IntN(10) == 0 {
				m.Data = append(append(m.Data, '\n'), line...) // the same id
			}
		}
		m.Subject = []string{fmt.Sprintf("ml.events.m%d", of), "predictions"}[rng.IntN(2)]
		messages = append(messages, m)
	}
	find := func(fingerprint string) (*reference.Reference, error) { return refs[fingerprint], nil }
	budget := fold.Budget{Messages: 900, Bytes: 32 << 20}
	want := run(t, counting, find, messages, chance{rng: rng, commit: 0, crash: 0, budget: budget, alone: true}) //nolint:exhaustruct // no poison
	if len(want.docs) < 20 || len(want.dead) < 20 {
		t.Fatalf("only %d documents and %d dead letters", len(want.docs), len(want.dead))
	}
	lazy := &idler{waited: 0}
	for _, c := range []chance{{commit: 0}, {commit: 0.01}, {commit: 0.02, crash: 0.01}, {commit: 0.02, settle: 0.5, beside: lazy.begin}} { //nolint:exhaustruct // filled here
		c.rng, c.budget = rng, budget
		got := run(t, counting, find, messages, c)
		if diff := cmp.Diff(texts(want.docs), texts(got.docs)); diff != "" {
			t.Fatalf("commits %v, crashes %v: (-one by one +together)\n%s", c.commit, c.crash, diff)
		}
		if diff := cmp.Diff(want.dead, got.dead); diff != "" {
			t.Fatalf("commits %v, crashes %v: dead letters (-one by one +together)\n%s", c.commit, c.crash, diff)
		}
		if c.crash == 0 && c.beside == nil && !cmp.Equal(want.shards, got.shards) { // else panes are put into other shards
			t.Errorf("commits %v, crashes %v: the state differs", c.commit, c.crash)
		}
	}
}
