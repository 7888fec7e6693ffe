package analyze

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/driftd/driftd/cells"
	"github.com/driftd/driftd/detectors"
	"github.com/driftd/driftd/internal/stat/rivals"
	"github.com/driftd/driftd/result"
)

// RivalReport is what another tool says of all features together, by its own default rule.
type RivalReport struct {
	Source  string         `json:"source"` // the tool and version whose conventions these are
	Rule    string         `json:"rule"`   // of a feature
	Model   string         `json:"model"`  // of all together
	Known   string         `json:"known"`  // what is known to be wrong with the rule
	Verdict result.Verdict `json:"verdict"`
	Reasons []string       `json:"reasons"`
}

// RivalFeature is what it says of one feature.
type RivalFeature struct {
	Verdict   result.Verdict `json:"verdict"`
	Statistic string         `json:"statistic"` // what the rule looks at; empty: it says nothing
	Value     *float64       `json:"value"`     // of the statistic, or its p-value
	Threshold *float64       `json:"threshold"`
	Reason    string         `json:"reason"`
	Known     []string       `json:"known,omitempty"` // what is known to be wrong with its numbers
}

// Decided is the verdict that --fail-on-drift looks at, with its reasons: that of the tool whose convention was asked for, else driftd's.
func (r *Report) Decided() (result.Verdict, []string) {
	if r.Rival != nil {
		return r.Rival.Verdict, r.Rival.Reasons
	}
	return r.Verdict, r.Reasons
}

// isRival reports whether the convention is that of another tool.
func isRival(convention string) bool { return slices.Contains(rivals.Names(), convention) }

// Conventions are the names that Options.Convention takes.
func Conventions() []string {
	return append([]string{detectors.ConventionDefault, detectors.ConventionSciPy}, rivals.Names()...)
}

// rival computes the numbers of another tool and asks for its decision. Both sides were sorted by what judged them before.
func (w *worker) rival(out *Feature, kind cells.Kind, ref, cur *part, chunks []part) error {
	c, err := rivals.Find(w.Convention)
	if err != nil {
		return err //nolint:wrapcheck // it says which convention
	}
	in := &rivals.Feature{}
	if kind == cells.Categorical {
		in.Categorical = true
		all := ref.tally.names()
		maps.Copy(all, cur.tally.names())
		names := slices.Sorted(maps.Keys(all))
		counts := func(p *part) []uint64 {
			seen := p.tally.names()
			t := make([]uint64, len(names))
			for i, name := range names {
				t[i] = seen[name]
			}
			return t
		}
		in.RefTable, in.CurTable = counts(ref), counts(cur)
		for i := range chunks {
			in.TableChunks = append(in.TableChunks, counts(&chunks[i]))
		}
	} else {
		in.Ref, in.Cur = rivals.Of(ref.numbers), rivals.Of(cur.numbers)
		for i := range chunks {
			w.scratch = sortFloats(chunks[i].numbers, w.scratch)
			in.RefChunks = append(in.RefChunks, rivals.Of(chunks[i].numbers))
		}
	}
	statistics := map[string]result.Stat{}
	say := &RivalFeature{Verdict: result.Insufficient}
	for _, n := range c.Numbers(in) {
		switch {
		case !n.OK:
			s := null(n.Why)
			if n.HasP {
				s.PValue = &n.P
			}
			statistics[n.Name] = s
		case n.HasP:
			statistics[n.Name] = result.Stat{Value: &n.Value, PValue: &n.P}
		default:
			statistics[n.Name] = value(n.Value, "has no p-value by this convention")
		}
		if n.OK && n.Known != "" {
			say.Known = append(say.Known, n.Name+": "+n.Known)
		}
	}
	w.decide(&c, in, say)
	out.Rival = say
	w.show(out, statistics, out.Bins)
	return nil
}

func (w *worker) decide(c *rivals.Convention, in *rivals.Feature, say *RivalFeature) {
	d := c.Decide(in)
	if !d.OK {
		say.Reason = d.Why
		return
	}
	say.Verdict, say.Statistic, say.Value, say.Threshold = result.Stable, d.Statistic, &d.Value, &d.Threshold
	if d.Drift {
		say.Verdict = result.Drift
	}
	what, relation := d.Statistic, "up to"
	switch {
	case d.IsP && d.Drift:
		what, relation = "the p-value of "+what, "below"
	case d.IsP:
		what, relation = "the p-value of "+what, "not below"
	case d.Drift:
		relation = "beyond"
	}
	say.Reason = fmt.Sprintf("%s is %.4g, %s %.4g", what, d.Value, relation, d.Threshold)
	if d.Why != "" {
		say.Reason += "; " + d.Why
	}
	for _, p := range []**float64{&say.Value, &say.Threshold} {
		if math.IsInf(**p, 0) {
			*p = nil
		}
	}
}

// chunked reads the reference's column once more, in parts of consecutive rows: rules that learn from the reference need them.
func (w *worker) chunked(ctx context.Context, f *feature, kind cells.Kind) ([]part, error) {
	size := w.ref.Rows() / rivals.Chunks
	if f.ref < 0 || size == 0 {
		return nil, nil
	}
	of := make(segmentation, w.ref.Rows())
	for i := range of {
		of[i] = uint16(uint64(i)/size) + 1 // at most 19 chunks
	}
	parts := make([]part, 1+int(of[len(of)-1]))
	if kind == cells.Categorical {
		_, err := w.tallyColumn(ctx, w.ref, f.ref, parts, of, heldBytesSciPy, func(tallys []*tally) {
			for i := range parts {
				parts[i].tally = tallys[i]
			}
		})
		return parts[1:], err
	}
	inner, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	// They fitted a moment ago, so there is room for them.
	if err := visit(inner, w.ref, f.ref, &numericVisitor{parts: parts, rows: of, room: w.room(), stop: cancel}); err != nil {
		return nil, err
	}
	return parts[1:], nil
}

// rivalReport sums the decisions of one segment, or of all rows, up.
func (a *analysis) rivalReport(features []Feature) *RivalReport {
	if !isRival(a.Convention) {
		return nil
	}
	c, err := rivals.Find(a.Convention)
	if err != nil {
		return nil // check has found it
	}
	out := &RivalReport{Source: c.Source, Rule: c.Rule, Model: c.Model, Known: c.Known, Verdict: result.Insufficient, Reasons: []string{}}
	judged, drifting := 0, 0
	for i := range features {
		switch f := &features[i]; {
		case f.Rival == nil || f.Rival.Verdict == result.Insufficient:
		case f.Rival.Verdict == result.Drift:
			judged, drifting = judged+1, drifting+1
			out.Reasons = append(out.Reasons, f.Feature.Feature+": "+f.Rival.Reason)
		default:
			judged++
		}
	}
	switch {
	case judged == 0:
		out.Reasons = append(out.Reasons, "no feature could be judged by this rule")
		return out
	case c.Drifts(drifting, judged):
		out.Verdict = result.Drift
	default:
		out.Verdict = result.Stable
	}
	out.Reasons = slices.Insert(out.Reasons, 0, fmt.Sprintf("%d of %d features drift by this rule (%s)", drifting, judged, c.Model))
	return out
}

// rival writes the verdict of another tool under its name, or, without one, what it says of each feature.
func (t *table) rival(name string, r *RivalReport, features []Feature) {
	if r == nil {
		return
	}
	if name != "" {
		t.verdict(pad(name, 11), r.Verdict, r.Reasons[:1])
		t.line("%-10s %s", "", "its rule: "+r.Rule)
		t.line("%-10s %s", "", "known: "+r.Known)
		return
	}
	for i := range features {
		f := &features[i]
		if f.Rival == nil {
			continue
		}
		t.line("")
		t.line("%s by this rule: %s: %s", t.paint(ansiBold, shorten(f.Feature.Feature, maxName)), t.verdictWord(f.Rival.Verdict, ""), oneLine(f.Rival.Reason))
		for _, name := range slices.Sorted(maps.Keys(f.Statistics)) {
			s := f.Statistics[name]
			line := fmt.Sprintf("  %-20s %-12s", name, number(s.Value))
			if s.PValue != nil {
				line += " p " + probability(s.PValue)
			}
			t.line("%s", line)
		}
		for _, k := range f.Rival.Known {
			t.line("  known: %s", oneLine(k))
		}
	}
}
