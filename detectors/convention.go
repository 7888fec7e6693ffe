package detectors

import (
	"math"

	"github.com/driftd/driftd/cells"
)

// Conventions of other tools whose default rule can be taken from counts over cells: as Config.Convention they are the gate of every
// feature, in the place of gate, warning, drift and threshold. n_min stays, and so do the rules of rates and of the model.
const (
	ConventionEvidently = "evidently" // Wasserstein over the standard deviation ≥ 0.1, Jensen-Shannon distance in nats ≥ 0.1
	ConventionAzure     = "azure"     // the same two, the second in base 2, at 0.5
)

// elsewhere says of the conventions that counts cannot give why that is so, and what to do.
func elsewhere() map[string]string {
	const files = "; compare files by `driftd analyze --convention "
	return map[string]string{
		"nannyml": "nannyml needs rows: its bins have equal widths, which are no cut points of the cells, and its threshold comes from " +
			"ten parts of the reference's rows; `threshold: auto` learns from the reference's own chunks" + files + "nannyml`",
		"scouter": "scouter has a threshold that falls with the window's size, χ²/n, which is no setting here; `gate: psi` with " +
			"`bins: quantile10`, `smoothing: floor` and `epsilon: 1e-10` is nearly its number" + files + "scouter`",
		"tfdv": "tfdv needs rows: its histograms have equal widths between the ends of each side, which are no cut points of the cells; " +
			"for categories `gate: l_infinity` is its number" + files + "tfdv`",
		"popmon": "popmon needs rows: its bins have equal widths, which are no cut points of the cells, and its limits come from the " +
			"reference's time slots" + files + "popmon`",
	}
}

// borrowed returns the configuration with the gate of the tool whose convention is asked for.
func (c Config) borrowed(kind cells.Kind) Config {
	var numbers, categories float64
	switch c.Convention {
	case ConventionEvidently:
		numbers, categories = 0.1, 0.1/math.Sqrt(math.Ln2) // its distance is in nats, js in bits
	case ConventionAzure:
		numbers, categories = 0.5, 0.5
	default:
		return c
	}
	c.Gate, c.Drift, c.Threshold = "wasserstein_normed", numbers, ThresholdFixed
	if kind == cells.Categorical {
		c.Gate, c.Drift = "js", categories
	}
	c.Warning = c.Drift
	return c
}
