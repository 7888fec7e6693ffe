package detectors

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/driftd/driftd/result"
)

// Every verdict names its reason in words, with the numbers that made it.

// shownBins is how many bins that moved a reason names, and shownNames how many features.
const (
	shownBins  = 3
	shownNames = 5
)

func insufficientReason(f *result.Feature) string {
	gate := f.Thresholds.Statistic
	s := f.Statistics[gate]
	bins := 0
	for _, b := range f.Bins {
		if b.Reference > 0 {
			bins++
		}
	}
	switch {
	case f.Reference.Count == 0:
		return "the reference has no values"
	case f.NMin == 0 && gate == ConventionPopmon: // n_min is that of the default gate, of which the threshold says nothing
		return fmt.Sprintf("the reference has %d values; needs about %d", f.Reference.Count, referenceNeeds(bins, Default().Warning))
	case f.NMin == 0:
		return fmt.Sprintf("the reference has %d values; needs about %d for a warning at %s", f.Reference.Count, referenceNeeds(bins, f.Thresholds.Warning),
			short(f.Thresholds.Warning))
	case f.Current.Count < f.NMin:
		return fmt.Sprintf("needs %d, has %d", f.NMin, f.Current.Count)
	case s.Reason != "":
		return s.Reason
	}
	return gate + " does not exist"
}

// effectReason: psi_debiased 0.43 ≥ 0.25 with q 1.2e-30 (n 1344, reference 9408).
func effectReason(f *result.Feature, effect float64, v result.Verdict) string {
	threshold := f.Thresholds.Drift
	if v == result.Warning {
		threshold = f.Thresholds.Warning
	}
	chance := ""
	if f.QValue != nil {
		chance = " with q " + probability(*f.QValue)
	}
	return fmt.Sprintf("%s %s ≥ %s%s (n %d, reference %d)",
		f.Thresholds.Statistic, beside(effect, threshold), shortest(threshold), chance, f.Current.Count, f.Reference.Count)
}

func stableReason(f *result.Feature, effect float64) string {
	gate := f.Thresholds.Statistic
	value := beside(*f.Statistics[gate].Value, f.Thresholds.Warning) // with its sign
	if effect < f.Thresholds.Warning {
		return fmt.Sprintf("%s %s < %s (n %d, reference %d)",
			gate, value, shortest(f.Thresholds.Warning), f.Current.Count, f.Reference.Count)
	}
	return fmt.Sprintf("%s %s ≥ %s, but chance explains it: q %s > %s (n %d, reference %d)",
		gate, value, shortest(f.Thresholds.Warning),
		besideP(*f.QValue, f.Thresholds.Q), short(f.Thresholds.Q), f.Current.Count, f.Reference.Count)
}

// shortest is a threshold for people: as it was configured, or three digits of one that was computed.
func shortest(x float64) string {
	if s := short(x); len(s) <= 6 {
		return s
	}
	return digits(x, 3)
}

// movedReasons names the bins whose share moved most, and where the median went.
func movedReasons(f *result.Feature) []string {
	type move struct{ before, after, by float64 }
	moves := make([]move, len(f.Bins))
	order := make([]int, len(f.Bins))
	for i, b := range f.Bins {
		m := move{before: float64(b.Reference) / float64(f.Reference.Count), after: float64(b.Current) / float64(f.Current.Count), by: 0}
		m.by = math.Abs(m.after - m.before)
		moves[i], order[i] = m, i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(moves[b].by, moves[a].by) })
	var out []string
	for _, i := range order[:min(shownBins, len(order))] {
		if moves[i].by > 0 {
			out = append(out, fmt.Sprintf("bin %s: %s → %s", f.Bins[i].Label, percent(moves[i].before), percent(moves[i].after)))
		}
	}
	told := slices.ContainsFunc(f.Seen, func(s string) bool { return strings.HasPrefix(s, "median ") })
	if before, after := f.Reference.Median, f.Current.Median; before != nil && after != nil && !told {
		out = append(out, fmt.Sprintf("median %s → %s", digits(*before, 4), digits(*after, 4)))
	}
	return out
}

func rateReason(name string, s result.Stat, q float64) string {
	text := fmt.Sprintf("%s %s against %s with q %s", name, percent(*s.Value), percent(*s.Baseline), probability(q))
	switch {
	case name == "missing_rate" && *s.Value == 1:
		text += ": no event has a value"
	case name == "invalid_rate" && *s.Value >= 0.5:
		text += ": another encoding?"
	}
	return text
}

// reasons sums the tally up: what made the verdict first, then what could not be judged.
func (t *tally) reasons(v result.Verdict, share *float64, driftShare float64) []string {
	var out []string
	if len(t.driftingPredictions) > 0 {
		out = append(out, "the prediction drifts: "+names(t.driftingPredictions))
	}
	if len(t.drifting) > 0 {
		sign := "<"
		if *share >= driftShare {
			sign = "≥"
		}
		out = append(out, fmt.Sprintf("%d of %d judged features drift (%s %s %s): %s",
			len(t.drifting), t.judged, percent(*share), sign, percent(driftShare), names(t.drifting)))
	}
	if len(t.warning) > 0 {
		out = append(out, fmt.Sprintf("%d warn: %s", len(t.warning), names(t.warning)))
	}
	if v == result.Stable {
		out = append(out, fmt.Sprintf("none of %d judged features and predictions drifts or warns", t.judged+t.judgedPredictions))
	}
	if n := len(t.insufficient); n > 0 {
		out = append(out, fmt.Sprintf("%d could not be judged: %s", n, names(t.insufficient)))
	} else if v == result.Insufficient {
		out = append(out, "there is no feature to judge")
	}
	return out
}

func names(all []string) string {
	if len(all) <= shownNames {
		return strings.Join(all, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(all[:shownNames], ", "), len(all)-shownNames)
}

// digits formats x with n significant digits, without an exponent where that is readable.
func digits(x float64, n int) string {
	if a := math.Abs(x); a >= 1e-3 && a < 1e15 {
		decimals := max(n-1-int(math.Floor(math.Log10(a))), 0)
		return trimZeros(strconv.FormatFloat(x, 'f', decimals, 64))
	}
	return strconv.FormatFloat(x, 'g', n, 64)
}

func trimZeros(s string) string {
	if strings.Contains(s, ".") {
		s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	}
	return s
}

// beside formats a value that stands beside a threshold with three digits, or as many as it takes to tell them apart.
func beside(x, threshold float64) string {
	for n := 3; n < 17; n++ {
		s := digits(x, n)
		back, err := strconv.ParseFloat(s, 64)
		if err != nil || cmp.Compare(back, threshold) == cmp.Compare(x, threshold) {
			return s
		}
	}
	return short(x)
}

// besideP is beside for probabilities.
func besideP(x, threshold float64) string {
	if s := probability(x); x > threshold {
		if back, err := strconv.ParseFloat(s, 64); err != nil || back > threshold {
			return s
		}
	}
	return beside(x, threshold)
}

// probability formats a p- or q-value with two digits.
func probability(p float64) string {
	if p == 0 {
		return "below 1e-300"
	}
	return strconv.FormatFloat(p, 'g', 2, 64)
}

// percent formats a share with one decimal: 12.0 %; a share that is not 0 never reads as 0.0 %.
func percent(x float64) string {
	if x > 0 && x < 0.0005 {
		return strconv.FormatFloat(100*x, 'g', 2, 64) + " %"
	}
	return strconv.FormatFloat(100*x, 'f', 1, 64) + " %"
}
