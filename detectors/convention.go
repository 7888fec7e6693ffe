package detectors

import (
	"math"

	"github.com/driftd/driftd/cells"
	"github.com/driftd/driftd/internal/stat"
	"github.com/driftd/driftd/reference"
	"github.com/driftd/driftd/result"
)

// Conventions of other tools whose default rule can be taken from counts over cells: as Config.Convention they are the gate of every
// feature, in the place of gate, warning, drift and threshold. n_min stays, and so do the rules of rates and of the model. Such a gate is taken
// of every bin, as the tools do, and not of the judged table; categories that the reference does not track are one. A rule that is taken by no
// statistic of this package has its own number in result.Feature.Statistics, under the convention's name.
const (
	ConventionEvidently = "evidently" // Wasserstein over the standard deviation ≥ 0.1, Jensen-Shannon distance in nats ≥ 0.1
	ConventionAzure     = "azure"     // the same two, the second in base 2, at 0.5
	ConventionScouter   = "scouter"   // PSI over the reference's deciles or categories ≥ χ²₀.₉₅(B - 1)/n
	ConventionNannyML   = "nannyml"   // Jensen-Shannon distance > mean + 3 deviations of ten parts of the reference
	ConventionTFDV      = "tfdv"      // Jensen-Shannon divergence of ten equal widths of each side > 0.3; for categories L-infinity > 0.3
	ConventionPopmon    = "popmon"    // the worst of the lights of mean, deviation, χ² and Kolmogorov-Smirnov > 7 standard deviations
)

// What the rules of these tools are made of.
const (
	evidentlyFew   = 5     // distinct values up to which a number is a category to Evidently
	scouterEpsilon = 1e-10 // the least share of a bin; Scouter adds it to every share, which is the same to ten digits
	scouterAlpha   = 0.05
	scouterBins    = 10 // of a number, those that equal deciles leave empty included
)

// Conventions are the values of Config.Convention.
func Conventions() []string {
	return []string{
		ConventionDefault, ConventionSciPy, ConventionEvidently, ConventionAzure, ConventionScouter, ConventionNannyML, ConventionTFDV,
		ConventionPopmon,
	}
}

// borrows reports whether the gate is that of another tool.
func (c Config) borrows() bool {
	return c.Convention == ConventionEvidently || c.Convention == ConventionAzure || c.Convention == ConventionScouter || c.asksRival()
}

// borrowed returns the configuration with the gate of the tool whose convention is asked for.
func (c Config) borrowed(f *reference.Feature) Config {
	var numbers, categories float64
	category := f.Space.Kind() == cells.Categorical
	switch c.Convention {
	case ConventionEvidently:
		numbers, categories = 0.1, 0.1/math.Sqrt(math.Ln2) // its distance is in nats, js in bits
		category = category || (f.Distinct > 0 && f.Distinct <= evidentlyFew)
	case ConventionAzure:
		numbers, categories = 0.5, 0.5
	case ConventionNannyML, ConventionTFDV: // the rule gives the thresholds
		c.Gate, c.Threshold = "js", ThresholdFixed
		if c.Convention == ConventionTFDV && category {
			c.Gate = "l_infinity"
		}
		return c
	case ConventionScouter: // the threshold is the window's
		c.Gate, c.Threshold = "psi", ThresholdFixed
		c.Bins, c.Smoothing, c.Epsilon = BinsQuantile10, SmoothingFloor, scouterEpsilon
		return c
	case ConventionPopmon:
		c.Gate, c.Threshold = ConventionPopmon, ThresholdFixed
		return c
	default:
		return c
	}
	c.Gate, c.Drift, c.Threshold = "wasserstein_normed", numbers, ThresholdFixed
	if category {
		c.Gate, c.Drift = "js", categories
	}
	c.Warning = c.Drift
	return c
}

// gateTable is the input with the table that the gate is taken of, where the gate is a statistic of bins.
func (c Config) gateTable(in Input) Input {
	switch {
	case !c.borrows():
		return in.judged()
	case c.Convention != ConventionScouter || in.Ref.Space().Kind() != cells.Categorical || in.Problem != "":
		return in
	}
	// Scouter's client drops the categories that the reference does not have.
	var ref, cur []uint64
	for i, r := range in.RefBins {
		if r > 0 {
			ref, cur = append(ref, r), append(cur, in.CurBins[i])
		}
	}
	if in.RefBins, in.CurBins = ref, cur; total(cur) == 0 {
		in.Problem = "the window has none of the reference's categories, and scouter drops the others"
	}
	return in
}

// byWindow sets the thresholds of a rule that depends on the window: Scouter's, by the number of its bins and of the values in them.
func (c Config) byWindow(in Input, t *result.Thresholds) {
	if in = c.gateTable(in); c.Convention != ConventionScouter || in.Problem != "" {
		return
	}
	bins := scouterBins
	if in.Ref.Space().Kind() == cells.Categorical {
		bins = len(in.RefBins)
	}
	t.Drift = stat.ChiSquareQuantile(scouterAlpha, bins-1) / float64(total(in.CurBins))
	t.Warning = t.Drift
}
