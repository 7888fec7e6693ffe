package detectors

import (
	"math"

	"github.com/driftd/driftd/cells"
	"github.com/driftd/driftd/reference"
	"github.com/driftd/driftd/result"
)

// Evaluate computes the configured statistics of a feature in one window; those that verdicts need are always among them. The verdict
// that it sets is provisional: what the effect alone says; Judge corrects for the number of features and gives the reasons. f and cur are
// not changed.
//
// It is Plan for a single window whose length is not known, so that thresholds are the configured ones. Whoever judges more than one
// window makes the plan once: it costs some milliseconds, unless a Memo knows its n_min.
func Evaluate(f *reference.Feature, cur *cells.Counts, cfg Config) result.Feature {
	return NewPlan(f, cfg, NoChunks("the length of the window is not known"), nil).Evaluate(cur)
}

// Plan is how one feature is judged against one reference: what follows from both alone is computed once. It is not safe for
// concurrent use.
type Plan struct {
	f       *reference.Feature
	asked   Config // as the caller has it
	cfg     Config // with the gate of another tool, where asked has its convention
	gate    string // the name of its statistic
	basis   *basis
	wanted  []Spec // the statistics
	sums    sums   // what they need of the cells
	table   refTable
	nMin    uint64
	natural *natural   // nil: thresholds are fixed
	noAuto  string     // why, where auto was asked for
	rival   *rivalGate // nil: the gate is a statistic of this package
	noRival string     // why it does not exist, where one was asked for
}

// NewPlan prepares the judgement of a feature; chunks are the reference's own stretches, for `threshold: auto`. It keeps all three and
// changes none. memo may be nil.
func NewPlan(f *reference.Feature, cfg Config, chunks Chunks, memo *Memo) *Plan {
	asked := cfg
	cfg = cfg.borrowed(f)
	p := &Plan{
		f: f, asked: asked, cfg: cfg, gate: gateFor(f.Space.Kind(), cfg), basis: newBasis(f, cfg), wanted: memo.specs(f.Space.Kind(), cfg), sums: 0, table: refTable{}, nMin: 0,
		natural: nil, noAuto: "", rival: nil, noRival: "",
	}
	for i := range p.wanted {
		p.sums |= p.wanted[i].sums
	}
	in := p.basis.input(cells.NewCounts(f.Space), cfg, 0)
	p.table = newRefTable(&in)
	if len(p.table.bins) > 0 || p.table.other > 0 {
		if cfg.Convention == ConventionScouter || cfg.asksRival() { // by its own threshold chance would alarm at every n
			p.nMin = nMin(f, p.table, DefaultGate, Default(), memo)
		} else {
			p.nMin = nMin(f, p.table, p.gate, cfg, memo)
		}
	}
	if cfg.asksRival() && in.M() > 0 {
		p.rival, p.noRival = p.newRival(chunks)
	}
	if cfg.Threshold == ThresholdAuto {
		p.natural, p.noAuto = p.newNatural(chunks)
	}
	return p
}

// Config returns what the plan was made of.
func (p *Plan) Config() Config { return p.asked }

// Evaluate is as the function of this name.
func (p *Plan) Evaluate(cur *cells.Counts) result.Feature {
	f, cfg := p.f, p.cfg
	in := p.basis.input(cur, cfg, p.sums)
	out := result.Feature{
		Feature: f.Name, Role: f.Role, Kind: f.Space.Kind().String(), Reference: p.basis.side, Current: in.side,
		Statistics: make(map[string]result.Stat, len(p.wanted)), Bins: in.Bins, QValue: nil, NMin: p.nMin, Weight: cfg.Weight, Seen: nil,
		Thresholds: result.Thresholds{
			Statistic: p.gate, Warning: cfg.Warning, Drift: cfg.Drift, Auto: p.noAuto,
			Q: cfg.Q, EffectOnly: cfg.borrows() || !gateHasP(p.gate), RateWarning: cfg.RateWarning, RateDrift: cfg.RateDrift,
		},
		Verdict: result.Insufficient, Reasons: []string{},
	}
	if p.natural != nil && in.Problem == "" {
		p.natural.raise(&in, &out.Thresholds)
	}
	if p.nMin > 0 {
		cfg.byWindow(in, &out.Thresholds)
	}
	if in.sweep == nil {
		out.Reference.Median = nil
	}
	if out.Bins == nil {
		out.Bins = []result.Bin{}
	}
	for i := range p.wanted {
		s := &p.wanted[i]
		if s.Name == p.gate && binned(s.Name) {
			out.Statistics[s.Name] = existing(s.Compute(cfg.gateTable(in)))
		} else {
			out.Statistics[s.Name] = existing(s.Compute(in))
		}
	}
	if cfg.asksRival() {
		p.byRival(&in, &out)
	}
	if effect, ok := judgeable(&out); ok {
		out.Verdict = effectVerdict(effect, out.Thresholds.Warning, out.Thresholds.Drift)
	}
	if out.Verdict == result.Warning || out.Verdict == result.Drift || p.rateMoved(&out) {
		out.Seen = explain(&in)
	}
	return out
}

// newRival returns the rule of another tool, or why there is none.
func (p *Plan) newRival(chunks Chunks) (*rivalGate, string) {
	if p.cfg.learns(p.f.Space.Kind()) && len(chunks.Counts) == 0 {
		return nil, p.cfg.Convention + " learns from ten parts of the reference, which are not known: " + chunks.Reason
	}
	g, err := newRivalGate(p.f, p.cfg.Convention, chunks)
	if err != nil {
		return nil, err.Error()
	}
	return g, ""
}

// byRival sets the number of the gate, and its thresholds, by the rule of another tool.
func (p *Plan) byRival(in *Input, out *result.Feature) {
	switch {
	case in.Problem != "":
	case p.rival == nil:
		out.Statistics[p.gate] = null(p.noRival)
	default:
		s, drift := p.rival.judge(in.Cur)
		out.Statistics[p.gate] = existing(s)
		out.Thresholds.Warning, out.Thresholds.Drift = drift, drift
	}
}

// judgeable returns the size of the effect where the feature's distribution can be judged.
func judgeable(f *result.Feature) (effect float64, ok bool) {
	s := f.Statistics[f.Thresholds.Statistic]
	if s.Value == nil || f.NMin == 0 || f.Current.Count < f.NMin || (s.PValue == nil && !f.Thresholds.EffectOnly) {
		return 0, false
	}
	return math.Abs(*s.Value), true
}

// rateMoved reports whether a rate is far enough from its baseline for a verdict.
func (p *Plan) rateMoved(f *result.Feature) bool {
	for _, s := range p.wanted {
		if s.Rate == NotARate {
			continue
		}
		if st := f.Statistics[s.Name]; st.Value != nil && st.Baseline != nil && math.Abs(*st.Value-*st.Baseline) >= f.Thresholds.RateWarning {
			return true
		}
	}
	return false
}

// effectVerdict says what an effect of this size is, before chance is considered.
func effectVerdict(effect, warning, drift float64) result.Verdict {
	switch {
	case effect >= drift:
		return result.Drift
	case effect >= warning:
		return result.Warning
	}
	return result.Stable
}
