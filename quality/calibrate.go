package quality

import (
	"cmp"
	"math"
	"math/big"
	"slices"

	"github.com/driftd/driftd/cells"
)

// Group is the labelled rows of one score: how many there are, and how many of them are of the class.
type Group struct {
	Score       float64
	N, Positive uint64
}

// Groups returns the labelled rows of a class (0 of a binary task is its positive class) by score, from the smallest. A cell that is no single
// score is taken at its middle.
func (c *Counts) Groups(class int) []Group {
	var out []Group
	set := &c.sets[class]
	for p := range cells.Walk(set.negative, set.positive) {
		out = append(out, Group{Score: p.Lo/2 + p.Hi/2, N: p.Ref + p.Cur, Positive: p.Cur})
	}
	return out
}

// together merges groups of equal scores, in the order of the scores.
func together(folds ...[]Group) []Group {
	all := slices.Concat(folds...)
	slices.SortFunc(all, func(a, b Group) int { return cmp.Compare(a.Score, b.Score) })
	var out []Group
	for _, g := range all {
		switch k := len(out) - 1; {
		case g.N == 0:
		case k >= 0 && out[k].Score == g.Score:
			out[k].N += g.N
			out[k].Positive += g.Positive
		default:
			g.Score += 0 // -0 + 0 is 0
			out = append(out, g)
		}
	}
	return out
}

// fit is isotonic regression of the labels on the scores: equal scores averaged, adjacent violators pooled, linear between the blocks.
//
// Reference: R. E. Barlow, D. J. Bartholomew, J. M. Bremner, H. D. Brunk, Statistical Inference under Order Restrictions, 1972; the
// knots and what lies between and beyond them as in sklearn.isotonic.IsotonicRegression(out_of_bounds="clip").
func fit(groups []Group) (x, y []float64) {
	type block struct {
		first, last int
		n, positive uint64
	}
	var blocks []block
	for i, g := range groups {
		blocks = append(blocks, block{i, i, g.N, g.Positive})
		for k := len(blocks) - 1; k > 0; k-- {
			a, b := &blocks[k-1], &blocks[k]
			if above(b.positive, b.n, a.positive, a.n) {
				break
			}
			a.last, a.n, a.positive = b.last, a.n+b.n, a.positive+b.positive
			blocks = blocks[:k]
		}
	}
	for _, b := range blocks {
		p := float64(b.positive) / float64(b.n)
		x, y = append(x, groups[b.first].Score), append(y, p)
		if b.first < b.last {
			x, y = append(x, groups[b.last].Score), append(y, p)
		}
	}
	return x, y
}

// above reports whether a/b > c/d.
func above(a, b, c, d uint64) bool {
	if a|b|c|d < 1<<32 {
		return a*d > c*b
	}
	left := new(big.Int).Mul(new(big.Int).SetUint64(a), new(big.Int).SetUint64(d))
	right := new(big.Int).Mul(new(big.Int).SetUint64(c), new(big.Int).SetUint64(b))
	return left.Cmp(right) > 0
}

// calibrationError is the expected calibration error of groups of rows, each by its calibration, over bins of equal width; NaN
// where a score has no probability.
func calibrationError(folds [][]Group, by []*Calibration, bins int) float64 {
	type sums struct{ p, y float64 }
	table := make([]sums, bins)
	total := 0.0
	for i, fold := range folds {
		for _, g := range fold {
			p, ok := by[i].Probability(g.Score)
			if !ok {
				return math.NaN()
			}
			b := &table[min(int(p*float64(bins)), bins-1)]
			b.p += float64(g.N) * p
			b.y += float64(g.Positive)
			total += float64(g.N)
		}
	}
	if total == 0 {
		return math.NaN()
	}
	sum := 0.0
	for _, b := range table {
		sum += math.Abs(b.p - b.y)
	}
	return min(sum/total, 1)
}

// FitIsotonic is isotonic regression of the labels on the scores, whether or not it helps. Without a row it is the identity.
func FitIsotonic(groups []Group) Calibration {
	all := together(groups)
	x, y := fit(all)
	out := Calibration{Method: Isotonic, X: x, Y: y, Rows: 0, Error: math.NaN(), CrossFitted: math.NaN()}
	if len(x) == 0 {
		out.Method = Identity
	}
	for _, g := range all {
		out.Rows += g.N
	}
	return out
}

// Calibrate chooses how the scores of a class become probabilities: by isotonic regression on all folds only if that helps, which is judged
// by cross-fitting: each fold is calibrated by a regression on the others, and the expected calibration errors over bins of equal
// width are compared. Scores outside [0, 1] are no probabilities, so they are always calibrated. Folds are
// disjoint sets of labelled rows: random parts of a sample, or stretches of time; with fewer than two, or without labels of both
// kinds in what a regression sees, there is nothing to judge by and the scores stay as they are.
func Calibrate(folds [][]Group, bins int) Calibration {
	all := together(folds...)
	out := Calibration{Method: Identity, X: nil, Y: nil, Rows: 0, Error: 0, CrossFitted: math.NaN()}
	var positive uint64
	for _, g := range all {
		out.Rows += g.N
		positive += g.Positive
	}
	identity := make([]*Calibration, len(folds))
	out.Error = calibrationError(folds, identity, bins)
	if positive == 0 || positive == out.Rows {
		return out
	}
	fitted := make([]*Calibration, len(folds))
	usable := len(folds) > 1
	for i := range folds {
		others := together(slices.Concat(folds[:i:i], folds[i+1:])...)
		x, y := fit(others)
		usable = usable && len(x) > 0
		fitted[i] = &Calibration{Method: Isotonic, X: x, Y: y, Rows: 0, Error: 0, CrossFitted: 0}
	}
	if usable {
		out.CrossFitted = calibrationError(folds, fitted, bins)
	}
	if math.IsNaN(out.Error) || out.CrossFitted < out.Error {
		out.Method = Isotonic
		out.X, out.Y = fit(all)
	}
	return out
}
