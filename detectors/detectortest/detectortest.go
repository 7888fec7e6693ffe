// Package detectortest is the conformance suite of statistics: what every one of them must do whatever it measures. Run it over
// detectors.Builtin; a new statistic is in it by its line there.
package detectortest

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/driftd/driftd/cells"
	"github.com/driftd/driftd/detectors"
	"github.com/driftd/driftd/reference"
	"github.com/driftd/driftd/result"
)

// Tolerance is how far from zero a statistic of equal samples may be: the rounding of a few sums of logarithms.
const Tolerance = 1e-12

// filler adds one sample, with the values that are in no distribution, to counts.
type filler func(c *cells.Counts)

// scenario is a reference with a sample in parts: any order and any split of the parts is the same sample.
type scenario struct {
	name    string
	feature *reference.Feature
	same    filler   // adds the reference's own sample
	parts   []filler // a different sample
	few     []filler // samples of no or one value
}

// Run checks every statistic on every kind of input that it is defined for.
func Run(t *testing.T, specs []detectors.Spec) {
	for _, s := range specs {
		t.Run(s.Name, func(t *testing.T) {
			for _, sc := range scenarios(t) {
				if !s.AppliesTo(sc.feature.Space.Kind()) {
					continue
				}
				t.Run(sc.name, func(t *testing.T) {
					noDriftOnEqualSamples(t, s, sc)
					orderAndSplit(t, s, sc)
					argumentsUnchanged(t, s, sc)
					fewValues(t, s, sc)
				})
			}
		})
	}
}

func compute(s detectors.Spec, f *reference.Feature, c *cells.Counts, cfg detectors.Config) result.Stat {
	return s.Compute(detectors.NewInput(f, c, cfg))
}

func count(f *reference.Feature, fill ...filler) *cells.Counts {
	c := cells.NewCounts(f.Space)
	for _, add := range fill {
		add(c)
	}
	return c
}

// noDriftOnEqualSamples: a sample compared with itself is nowhere evidence of drift.
func noDriftOnEqualSamples(t *testing.T, s detectors.Spec, sc scenario) {
	t.Helper()
	for _, cfg := range configs() {
		st := compute(s, sc.feature, count(sc.feature, sc.same), cfg)
		WellFormed(t, s.Name+" of equal samples", st)
		if st.Value == nil {
			continue // WellFormed checked the reason
		}
		zero := 0.0
		if st.Baseline != nil {
			zero = *st.Baseline
		}
		fell := s.Rate == detectors.RateRise && *st.Value < zero // which is no drift, whatever its p
		if st.PValue != nil && *st.PValue < 0.25 && !fell {      // no table of anderson_darling goes higher
			t.Errorf("%s of equal samples has p %v", s.Name, *st.PValue)
		}
		if *st.Value > zero+Tolerance || (s.Rate == detectors.RateChange && *st.Value != zero) {
			t.Errorf("%s of equal samples is %v, want %v", s.Name, *st.Value, zero)
		}
	}
}

// orderAndSplit: the parts counted together, in another order, merged, and after a merge was taken back, give the same bits.
func orderAndSplit(t *testing.T, s detectors.Spec, sc scenario) {
	t.Helper()
	rng := rand.New(rand.NewPCG(3, 5))
	for _, cfg := range configs() {
		want := compute(s, sc.feature, count(sc.feature, sc.parts...), cfg)
		WellFormed(t, s.Name, want)
		for range 3 {
			shuffled := append([]filler(nil), sc.parts...)
			rng.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
			if diff := cmp.Diff(want, compute(s, sc.feature, count(sc.feature, shuffled...), cfg)); diff != "" {
				t.Errorf("%s depends on the order:\n%s", s.Name, diff)
			}
			at := rng.IntN(len(shuffled) + 1)
			merged, right := count(sc.feature, shuffled[:at]...), count(sc.feature, shuffled[at:]...)
			if err := merged.Merge(right); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, compute(s, sc.feature, merged, cfg)); diff != "" {
				t.Errorf("%s of merged counts differs:\n%s", s.Name, diff)
			}
			extra := count(sc.feature, sc.same)
			if err := merged.Merge(extra); err != nil {
				t.Fatal(err)
			}
			if err := merged.Subtract(extra); err != nil {
				t.Fatal(err)
			}
			merged.Compact()
			if diff := cmp.Diff(want, compute(s, sc.feature, merged, cfg)); diff != "" {
				t.Errorf("%s after adding and subtracting a pane differs:\n%s", s.Name, diff)
			}
		}
	}
}

// argumentsUnchanged: computing twice gives the same, and leaves both counts as they were.
func argumentsUnchanged(t *testing.T, s detectors.Spec, sc scenario) {
	t.Helper()
	cur := count(sc.feature, sc.parts...)
	refBefore, curBefore := sc.feature.Counts.AppendBinary(nil), cur.AppendBinary(nil)
	in := detectors.NewInput(sc.feature, cur, detectors.Default())
	bins := append([]result.Bin(nil), in.Bins...)
	first, second := s.Compute(in), s.Compute(in)
	if diff := cmp.Diff(first, second); diff != "" {
		t.Errorf("%s differs from call to call:\n%s", s.Name, diff)
	}
	if diff := cmp.Diff(bins, in.Bins); diff != "" {
		t.Errorf("%s changed the bins:\n%s", s.Name, diff)
	}
	if !bytes.Equal(refBefore, sc.feature.Counts.AppendBinary(nil)) || !bytes.Equal(curBefore, cur.AppendBinary(nil)) {
		t.Errorf("%s changed the counts", s.Name)
	}
}

// fewValues: no or one value, on either side, gives a number or a reason; never a panic, never a NaN.
func fewValues(t *testing.T, s detectors.Spec, sc scenario) {
	t.Helper()
	for _, cfg := range configs() {
		for i, few := range sc.few {
			what := fmt.Sprintf("%s of few values (%d)", s.Name, i)
			WellFormed(t, what, compute(s, sc.feature, count(sc.feature, few), cfg))
			small := *sc.feature
			small.Counts = count(sc.feature, few)
			WellFormed(t, what+" in the reference", compute(s, &small, count(sc.feature, sc.parts...), cfg))
			WellFormed(t, what+" on both sides", compute(s, &small, count(sc.feature, few), cfg))
		}
	}
	empty := compute(s, sc.feature, count(sc.feature), detectors.Default())
	if empty.Value != nil || empty.PValue != nil || empty.Reason == "" {
		t.Errorf("%s of an empty window is %+v, want null with a reason", s.Name, empty)
	}
}

// WellFormed checks what holds for every statistic: numbers are finite, a p-value is a probability, bounds enclose the value,
// and a number that does not exist has a reason.
func WellFormed(tb testing.TB, what string, s result.Stat) {
	tb.Helper()
	for name, p := range map[string]*float64{
		"value": s.Value, "p_value": s.PValue, "lower": s.Lower, "upper": s.Upper, "baseline": s.Baseline,
	} {
		if p != nil && (math.IsNaN(*p) || math.IsInf(*p, 0)) {
			tb.Errorf("%s: %s is %v", what, name, *p)
		}
	}
	if (s.Value == nil || s.PValue == nil) && strings.TrimSpace(s.Reason) == "" {
		tb.Errorf("%s: a number is null without a reason: %+v", what, s)
	}
	if s.Value == nil && (s.PValue != nil || s.Lower != nil || s.Upper != nil) {
		tb.Errorf("%s: no value, but a p-value or bounds", what)
	}
	if s.PValue != nil && !(*s.PValue >= 0 && *s.PValue <= 1) {
		tb.Errorf("%s: p_value %v", what, *s.PValue)
	}
	if (s.Lower == nil) != (s.Upper == nil) {
		tb.Errorf("%s: one bound only", what)
	}
	if s.Value != nil && s.Lower != nil && s.Upper != nil && !(*s.Lower <= *s.Value && *s.Value <= *s.Upper) {
		tb.Errorf("%s: value %v outside of [%v, %v]", what, *s.Value, *s.Lower, *s.Upper)
	}
}
