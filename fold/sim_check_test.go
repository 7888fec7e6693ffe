package fold_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"

	"github.com/google/go-cmp/cmp"

	"github.com/driftd/driftd/fold"
	"github.com/driftd/driftd/result"
)

// asForetold fails unless a run said what the oracle foretold, in its order, and nothing twice.
func asForetold(j *journal, o *oracle, f *simFigures) error {
	ids := map[string]bool{}
	var got []said
	for _, d := range j.docs {
		if ids[d.ID] {
			return fmt.Errorf("document %s comes twice: %s", d.ID, d.Data)
		}
		ids[d.ID] = true
		switch {
		case bytes.HasPrefix(d.Data, []byte(`{"schema":1,"type":"summary"`)):
			one, err := readSaid(d.Data)
			if err != nil {
				return err
			}
			got = append(got, one)
		case bytes.HasPrefix(d.Data, []byte(`{"schema":1,"type":"features"`)):
			if err := readX(d.Data, &got[len(got)-1]); err != nil {
				return err
			}
		}
	}
	for i := range max(len(got), len(o.said)) {
		switch {
		case i == len(got):
			return fmt.Errorf("result %d is missing: %+v", i, o.said[i])
		case i == len(o.said):
			return fmt.Errorf("result %d was not foretold: %+v", i, got[i])
		}
		if !reflect.DeepEqual(o.said[i], got[i]) {
			diff := cmp.Diff(o.said[i], got[i])
			return fmt.Errorf("result %d of %+v differs (-foretold +said):\n%s", i, got[i], diff)
		}
		f.Summaries++
		if got[i].Key.Segment != result.All {
			f.Parts++
		}
		f.Late += int(got[i].Counts.Late)
		if got[i].Revision > 0 {
			f.Revisions++
		}
		if w := got[i].Window; w.End-w.Start > w.Size {
			f.Extended++
		}
		if !got[i].Complete {
			f.Incomplete++
		}
	}
	dead := make([]refused, 0, len(j.dead))
	for _, d := range j.dead {
		dead = append(dead, refused{d.Seq, d.Index, d.Reason})
	}
	if f.Refused += len(dead); !slices.Equal(dead, o.refused) {
		return fmt.Errorf("dead letters %v, foretold %v", dead, o.refused)
	}
	return nil
}

func readSaid(data []byte) (said, error) {
	var s result.Summary
	if err := json.Unmarshal(data, &s); err != nil {
		return said{}, fmt.Errorf("reading a summary: %w", err)
	}
	out := said{
		Key: s.Key, Window: s.Window, Revision: s.Revision, Reference: "", Lost: s.Lost, Complete: s.Complete, Counts: s.Counts,
		Errors: s.Errors, Status: s.Status, Latency: [2]uint64{s.Latency.Count, s.Latency.Invalid}, X: [4]uint64{},
	}
	if s.Ref != nil {
		out.Reference = s.Ref.Fingerprint
	}
	return out, nil
}

// readX reads the counts of feature x of the result that came last.
func readX(data []byte, into *said) error {
	var doc struct {
		Features []struct {
			Feature string
			Current struct{ Count, Missing, Invalid, Inf uint64 }
		}
	}
	if err := json.Unmarshal(data, &doc); err != nil {
		return fmt.Errorf("reading features: %w", err)
	}
	for _, f := range doc.Features {
		if f.Feature == "x" {
			into.X = [4]uint64{absent: f.Current.Missing, number: f.Current.Count, infinite: f.Current.Inf, invalid: f.Current.Invalid}
		}
	}
	return nil
}

// split runs the models in two partitions. Each model's documents are those of the one partition, so all counts add up to it.
func split(s *schedule, refs fold.References, whole *journal) error {
	for _, first := range []bool{true, false} {
		mine := func(model string) bool { return (model == "a") == first }
		part := schedule{seed: s.seed, counting: s.counting, msgs: nil, splitable: false, disturbed: chance{}} //nolint:exhaustruct // it is not
		for i := range s.msgs {
			m := s.msgs[i]
			model := m.model
			if model == "" && len(m.records) > 0 {
				model = m.records[0].model
			}
			if m.isControl() || mine(model) {
				part.msgs = append(part.msgs, m)
			}
		}
		part.number()
		want := &journal{} //nolint:exhaustruct // its documents are compared
		for _, d := range whole.docs {
			if mine(d.Model) {
				want.docs = append(want.docs, d)
			}
		}
		calm := undisturbed()
		calm.poison = part.poison()
		got, err := play(s.counting, refs, part.stored(), calm)
		if err != nil {
			return err
		}
		got.dead = nil
		if err := differ(want, got); err != nil {
			return err
		}
	}
	return nil
}
