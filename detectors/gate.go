package detectors

import (
	"fmt"
	"math"
	"slices"

	"github.com/driftd/driftd/cells"
	"github.com/driftd/driftd/internal/stat"
	"github.com/driftd/driftd/reference"
)

// DefaultGate is the statistic that verdicts of a feature's distribution are taken by, unless Config.Gate says another.
const DefaultGate = "psi_debiased"

// Gates are the statistics that can be a gate: those that measure an effect, larger being further apart.
func Gates() []string {
	return []string{
		DefaultGate, "psi", "kl", "js", "hellinger", "total_variation", "l_infinity", "chi2", "ks", "wasserstein", "wasserstein_normed", "mean_shift",
	}
}

// gateHasP reports whether a gate has a p-value of its own; the others are held against their threshold alone.
func gateHasP(name string) bool {
	return slices.Contains([]string{DefaultGate, "psi", "chi2", "ks", "mean_shift"}, name)
}

// binned reports whether a gate is a statistic of the table of bins: as a gate it is taken of the judged table.
func binned(name string) bool {
	return !slices.Contains([]string{"ks", "wasserstein", "wasserstein_normed", "mean_shift"}, name)
}

// gateFor is the gate of a feature of this kind.
func gateFor(kind cells.Kind, cfg Config) string {
	applies := func(s Spec) bool { return s.Name == cfg.Gate && s.AppliesTo(kind) }
	if cfg.Gate == ConventionPopmon || slices.ContainsFunc(Builtin(), applies) {
		return cfg.Gate
	}
	return DefaultGate
}

// nMin is the number of values that a verdict by this gate needs against a reference.
func nMin(f *reference.Feature, t refTable, gate string, cfg Config, memo *Memo) uint64 {
	if f.Counts.N() == 0 {
		return 0
	}
	key := ""
	if memo != nil {
		key = fmt.Sprint(gate, cfg.Warning, cfg.smoothing(), t)
		if n, ok := memo.known[key]; ok {
			return n
		}
	}
	var n uint64
	if gate == "ks" {
		n = ksLeast(f.Counts.N(), cfg.Warning)
	} else {
		law, threshold := lawOf(gate, cfg)
		n = law.minimumN(t, threshold)
	}
	if memo != nil {
		if len(memo.known) >= maxMemo {
			clear(memo.known)
		}
		memo.known[key] = n
	}
	return n
}

// Memo remembers n_min by what it follows from: the features of a reference whose bins hold the same counts, as the deciles of
// continuous features do, need it once. And it lets features that are judged alike share the list of their statistics. It changes no
// result. It is not safe for concurrent use.
type Memo struct {
	known  map[string]uint64
	wanted map[string][]Spec
}

// maxMemo bounds a Memo; a full one starts over.
const maxMemo = 10_000

// NewMemo returns an empty one.
func NewMemo() *Memo { return &Memo{known: map[string]uint64{}, wanted: map[string][]Spec{}} }

// specs returns the statistics that a feature of a kind has, which nobody changes.
func (m *Memo) specs(kind cells.Kind, cfg Config) []Spec {
	key := ""
	if m != nil {
		key = fmt.Sprint(kind, cfg.Gate, cfg.Statistics)
		if specs, ok := m.wanted[key]; ok {
			return specs
		}
	}
	var specs []Spec
	for _, s := range Builtin() {
		if s.AppliesTo(kind) && cfg.wants(s) {
			specs = append(specs, s)
		}
	}
	if m != nil {
		if len(m.wanted) >= maxMemo {
			clear(m.wanted)
		}
		m.wanted[key] = specs
	}
	return specs
}

// lawOf is the null law of a gate and the threshold that it is asked about. Gates of which no such law is known take that of psi_debiased
// at its own default: enough values for the distributions to be comparable.
func lawOf(gate string, cfg Config) (nullLaw, float64) {
	law := psiLaw(cfg.smoothing())
	plain := func(threshold, _, _ float64, _ int) float64 { return threshold }
	square := func(threshold, _, _ float64, _ int) float64 { return threshold * threshold }
	switch gate {
	case DefaultGate:
	case "psi":
		law.at = plain
	case "js":
		law.at, law.psi = square, func(threshold float64) float64 { return 8 * math.Ln2 * threshold * threshold }
		law.term = func(n, m float64, _ int) func(t, c uint64) float64 {
			return func(t, c uint64) float64 { return stat.JSTerm(float64(t-c), float64(c), m, n) }
		}
	case "hellinger":
		law.at, law.psi = square, func(threshold float64) float64 { return 8 * threshold * threshold }
		law.term = func(n, m float64, _ int) func(t, c uint64) float64 {
			return func(t, c uint64) float64 { return stat.HellingerTerm(float64(t-c), float64(c), m, n) }
		}
	default:
		return law, Default().Warning
	}
	return law, cfg.Warning
}

// ksLeast is n_min by the null of the Kolmogorov-Smirnov distance, which knows no bins.
func ksLeast(m uint64, threshold float64) uint64 {
	holds := func(n uint64) bool {
		p, ok := stat.KSPValue(threshold, n, m, stat.KSDefault)
		return ok && p <= nullTail
	}
	if threshold > 1 || !holds(endlessN) {
		return 0
	}
	lo, hi := uint64(0), uint64(endlessN)
	for hi-lo > 1 {
		if mid := lo + (hi-lo)/2; holds(mid) {
			hi = mid
		} else {
			lo = mid
		}
	}
	return hi
}
