package rivals

import (
	"math"

	"gonum.org/v1/gonum/mathext"

	"github.com/driftd/driftd/internal/stat"
)

const (
	popmonBins    = 40
	popmonEpsilon = 10e-6 // as popmon writes 1e-5
	popmonRed     = 7     // standard deviations
)

func popmon() Convention {
	return Convention{
		Name: Popmon, Source: "popmon 1.4, popmon/analysis/comparison/comparisons.py, config.py; bins of histogrammar 1.x",
		Rule: "a red light: the mean or standard deviation more than 7 standard deviations of ten chunks of the reference away from theirs, " +
			"a z-score of the χ² or Kolmogorov-Smirnov comparison beyond 7, or a category that the reference does not have",
		Model: "traffic lights a column, so any column's red light is the model's",
		Known: "psi and jsd are computed of raw counts, not of shares, so they say mostly how many rows there are; a Kolmogorov-Smirnov score of 6.81 and more has no p-value and sets no light; " +
			"ten values estimate a spread of which 7 are taken; the pull of the number of rows is left out here, as are those of quantiles",
		Share: 0, numbers: popmonNumbers, prepare: popmonPrepare,
	}
}

// popmonTable counts in histogrammar's automatic bins of the reference: 40 over its 5 % to 95 % quantiles and a tenth more, of the
// same width to both sides as far as there are values.
func popmonTable(f *Feature) (ref, cur []uint64) {
	if f.Categorical {
		return f.union()
	}
	bin := popmonBinning(&f.Ref)
	at := math.Inf(-1)
	merge(&f.Ref, &f.Cur, func(x float64, r, c uint64) {
		if b := bin(x); b != at {
			ref, cur, at = append(ref, 0), append(cur, 0), b
		}
		ref[len(ref)-1] += r
		cur[len(cur)-1] += c
	})
	return ref, cur
}

func popmonBinning(ref *Sample) func(float64) float64 {
	lo, hi := ref.quantile(0.05), ref.quantile(0.95)
	if lo == hi {
		lo, hi = ref.ends()
	}
	width := 1.0
	if hi > lo {
		width = (hi - lo) * (1.0 / 0.9)
	}
	origin := lo - width*0.05
	width /= popmonBins
	return func(x float64) float64 { return math.Floor((x - origin) / width) }
}

const popmonRaw = "of raw counts, not of shares: it grows with the number of rows and is large where the sizes differ"

func popmonRawDivergence(p, q []float64) (kl float64) {
	for i := range p {
		a, b := p[i]+popmonEpsilon, q[i]+popmonEpsilon
		kl += a * math.Log(a/b)
	}
	return kl
}

func popmonNumbers(f *Feature) []Number {
	if f.empty() {
		return []Number{{Name: "psi"}, {Name: "jsd"}}
	}
	ref, cur := popmonTable(f)
	p, q := shares(cur, 1), shares(ref, 1) // raw counts
	mid := make([]float64, len(p))
	for i := range p {
		mid[i] = 0.5 * (p[i] + q[i])
	}
	linf, _ := stat.LInfinity(ref, cur)
	out := []Number{
		number("psi", popmonRawDivergence(p, q)+popmonRawDivergence(q, p), popmonRaw),
		number("jsd", 0.5*(popmonRawDivergence(p, mid)+popmonRawDivergence(q, mid)), popmonRaw),
		number("max_prob_diff", linf, ""),
	}
	if x, pv, ok := popmonChi2(ref, cur); ok {
		out = append(out, withP("chi2", x, pv, ""))
	}
	if !f.Categorical {
		score := popmonKS(ref, cur)
		ks := number("ks", score, "of bins, times the root of nm/(n + m)")
		if pv := popmonKSP(score); !math.IsNaN(pv) {
			ks.P, ks.HasP = pv, true
		} else {
			ks.Known += "; a score of 6.81 and more has no p-value in popmon, where ROOT has 0: it sets no light"
		}
		out = append(out, ks)
	}
	return out
}

// popmonChi2 is ROOT's χ² of two unweighted histograms.
func popmonChi2(ref, cur []uint64) (x, p float64, ok bool) {
	m, n := float64(total(ref)), float64(total(cur))
	k := 0
	for i := range ref {
		if both := float64(ref[i] + cur[i]); both > 0 {
			d := m*float64(cur[i]) - n*float64(ref[i])
			x += d * d / both
			k++
		}
	}
	if k < 2 {
		return 0, 1, false
	}
	x = x / m / n
	return x, stat.ChiSquareSF(x, k-1), true
}

func popmonKS(ref, cur []uint64) float64 {
	m, n := float64(total(ref)), float64(total(cur))
	var a, b uint64
	most := 0.0
	for i := range ref {
		a, b = a+ref[i], b+cur[i]
		most = max(most, math.Abs(float64(a)/m-float64(b)/n))
	}
	return most * math.Sqrt(m*n/(m+n))
}

// popmonKSP is popmon's transcription of ROOT's Kolmogorov probability; NaN from 6.8116 on.
func popmonKSP(u float64) float64 {
	switch {
	case u < 0.2:
		return 1
	case u < 0.755:
		v := 1 / (u * u)
		s := 0.0
		for _, c := range []float64{-1.2337005501361697, -11.103304951225528, -30.842513753404244} {
			s += math.Exp(c * v)
		}
		return 1 - 2.50662827*s/u
	case u < 6.8116:
		s, sign := 0.0, 1.0
		terms := int(max(1, math.RoundToEven(3/u)))
		for j := 1; j <= min(terms, 4); j++ {
			s += sign * math.Exp(-2*float64(j*j)*u*u)
			sign = -sign
		}
		return 2 * s
	}
	return math.NaN()
}

// popmonEndless is the score where popmon's is infinite: of a p-value that is 0 or 1 in a double, and of a category that the reference does
// not have, which is a red light without a number. It is just beyond that of the least p-value that a double has, 38.467.
const popmonEndless = 38.5

// popmonScore is by how many standard deviations a p-value is off: |Φ⁻¹(p)|. popmon's lights look at both ends, so a p-value of 1 is red.
func popmonScore(p float64) float64 {
	tail := min(p, 1-p) // exact: erfinv of 1 - 2p has no digits left below 10⁻¹²
	if tail <= 0 {
		return popmonEndless
	}
	return -mathext.NormalQuantile(tail)
}

func popmonPrepare(f *Feature) func() Decision {
	pull := popmonPull(f)
	return func() Decision { return popmonDecide(f, pull) }
}

// popmonDecide takes the worst light, in standard deviations.
func popmonDecide(f *Feature, pullOf func() (float64, string, bool)) Decision {
	ref, cur := popmonTable(f)
	worst := Decision{Why: "everything is in one bin"}
	light := func(name string, score float64, known string) {
		if !worst.OK || score > worst.Value {
			worst = above(name, min(score, math.MaxFloat64), popmonRed, true, known)
		}
	}
	if f.Categorical {
		for i, r := range ref {
			if r == 0 && cur[i] > 0 {
				light("unknown_labels", popmonEndless, "one value in a category that the reference does not have is a red light")
			}
		}
	}
	if _, p, ok := popmonChi2(ref, cur); ok {
		light("chi2_z", popmonScore(p), "")
	}
	if !f.Categorical {
		if p := popmonKSP(popmonKS(ref, cur)); !math.IsNaN(p) {
			light("ks_z", popmonScore(p), "")
		}
		if pull, which, ok := pullOf(); ok {
			light(which, math.Abs(pull), "")
		}
	}
	return worst
}

// popmonPull is the larger pull of the mean and the standard deviation. popmon takes them from the middles of its bins, this from the
// values.
func popmonPull(f *Feature) func() (pull float64, which string, ok bool) {
	profiles := []struct {
		name string
		of   func(*Sample) float64
	}{{"mean", (*Sample).mean}, {"std", func(s *Sample) float64 { return s.std(0) }}}
	means, stds := make([]float64, len(profiles)), make([]float64, len(profiles))
	for k, p := range profiles {
		var xs []float64
		for i := range f.RefChunks {
			if len(f.RefChunks[i].Values) > 0 {
				xs = append(xs, p.of(&f.RefChunks[i]))
			}
		}
		if len(xs) > 1 {
			mean, std := meanStd(xs)
			means[k], stds[k] = mean, std*math.Sqrt(float64(len(xs))/float64(len(xs)-1)) // pandas' std
		}
	}
	return func() (pull float64, which string, ok bool) {
		for k, p := range profiles {
			if stds[k] > 0 {
				if x := (p.of(&f.Cur) - means[k]) / stds[k]; math.Abs(x) > math.Abs(pull) {
					pull, which = x, p.name+"_pull"
				}
			}
		}
		return pull, which, which != ""
	}
}
