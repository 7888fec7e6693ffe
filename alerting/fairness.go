package alerting

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/driftd/driftd/result"
)

// Rules about fairness look at documents of fairness, which come at maturities as those of quality do.

// validateFairness checks what rules about groups have, and only they.
func (r *Rule) validateFairness() (string, error) {
	switch {
	case r.Kind != KindFairness && r.Dimension != "":
		return "dimension", fmt.Errorf("is for rules of the kind %s, got the kind %s", KindFairness, r.Kind)
	case r.Kind != KindFairness:
		return "", nil
	case !slices.Contains(result.FairnessMetrics(), r.Metric):
		return "metric", fmt.Errorf("must be one of %s, got %q", strings.Join(result.FairnessMetrics(), ", "), r.Metric)
	case r.Maturity < 0:
		return "maturity", errors.New("must be one of the model's maturities, or 0s")
	case r.Relative, r.Estimate, r.MinLabels != 0:
		return "", fmt.Errorf("relative, estimate and min_labels are not for the kind %s: how many cases a group needs is the model's fairness.n_min", KindFairness)
	case !(r.Threshold > 0 && r.Threshold < 1):
		return "threshold", fmt.Errorf("must be above 0 and below 1, got %v", r.Threshold)
	}
	return "", nil
}

// StepFairness looks at the documents of fairness of a window, all of one version and one maturity, with every rule about groups that looks
// at that maturity, and returns what changed, in canonical order. Windows that overlap the one before are left out, as in Step.
func (b *Book) StepFairness(docs []*result.Fairness, rules []Rule) []result.Transition {
	if len(docs) == 0 || docs[0].Window.End%docs[0].Window.Size != 0 {
		return nil
	}
	var out []result.Transition
	for i := range rules {
		r := &rules[i]
		if r.Kind == KindFairness && r.matures(docs[0].Maturity, docs[0].Final) && (r.Scope == ScopeAll) == (docs[0].Key.Version == result.All) {
			out = append(out, b.stepFairness(r, docs)...)
		}
	}
	return b.inhibit(standingFor(docs[0]), rules, out)
}

// standingFor is standing for a document of fairness.
func standingFor(f *result.Fairness) *result.Summary {
	sum := new(result.Summary) // nothing more is looked at
	sum.Type, sum.ResultID, sum.Key, sum.Window, sum.Ref = typeQuality, f.ResultID, f.Key, f.Window, f.Ref
	for i := range f.Groups {
		sum.Counts.Events += f.Groups[i].Predictions + f.Groups[i].Labels
	}
	return sum
}

// stepFairness moves one subject by one window.
func (b *Book) stepFairness(r *Rule, docs []*result.Fairness) []result.Transition {
	of, o := r.apart(docs)
	subject := Subject{Rule: r.Name, Key: docs[0].Key, Size: docs[0].Window.Size}
	if of == nil || b.open[subject] == nil && !o.hit {
		return nil
	}
	sum := standingFor(of)
	in := b.incident(subject)
	in.Absent, in.Metric, in.Maturity = 0, r.Metric, of.Maturity
	t := in.move(r, sum, func() { in.look(r, sum.Window, in.keep(r), o) })
	b.forget(in, sum.Window.End)
	return t
}

// apart holds where the groups of any dimension are further apart than the threshold allows by more than chance: by the lower end of a
// difference, by the upper one of a ratio. It returns the document of the dimension in which they are furthest apart, nil where no group
// can be compared.
func (r *Rule) apart(docs []*result.Fairness) (of *result.Fairness, all observation) {
	type seen struct {
		doc *result.Fairness
		o   observation
	}
	var list []seen
	for _, doc := range docs {
		i := slices.IndexFunc(doc.Gaps, func(g result.FairnessGap) bool { return g.Metric == r.Metric })
		if r.Dimension != "" && r.Dimension != doc.Dimension || i < 0 || doc.Gaps[i].Value == nil || doc.Gaps[i].Lower == nil || doc.Gaps[i].Upper == nil {
			continue
		}
		list = append(list, seen{doc, r.gap(doc, &doc.Gaps[i])})
	}
	if len(list) == 0 {
		return nil, observation{} //nolint:exhaustruct // there is none
	}
	slices.SortStableFunc(list, func(a, b seen) int {
		if a.o.hit != b.o.hit {
			if a.o.hit {
				return -1
			}
			return 1
		}
		if r.low() {
			return cmp.Compare(a.o.value, b.o.value)
		}
		return cmp.Compare(b.o.value, a.o.value)
	})
	all = list[0].o
	for _, s := range list[1:] {
		if all.clear = all.clear && s.o.clear; s.o.hit {
			all.reasons = append(all.reasons, s.o.reasons...)
		}
	}
	return list[0].doc, all
}

// gap holds one measure against the threshold. `clear` is a share of what a ratio is away from 1.
func (r *Rule) gap(doc *result.Fairness, g *result.FairnessGap) observation {
	value := *g.Value
	says := fmt.Sprintf("%s of %s is %.4g (%.4g to %.4g, all pairs of groups): between %s and %s", r.Metric, doc.Dimension, value, *g.Lower, *g.Upper, g.Low, g.High)
	if doc.Maturity > 0 {
		says += ", " + after(doc.Maturity) + " after the window"
	}
	o := observation{
		segment: "", feature: "", role: "", hit: *g.Lower >= r.Threshold, clear: value < r.Clear*r.Threshold, value: value, threshold: r.Threshold,
		unit: r.Metric, reasons: []string{fmt.Sprintf("%s; the bound is %.4g", says, r.Threshold)},
	}
	if r.low() {
		o.hit, o.clear = *g.Upper <= r.Threshold, 1-value < r.Clear*(1-r.Threshold)
	}
	return o
}
