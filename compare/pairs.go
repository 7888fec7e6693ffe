package compare

import (
	"fmt"
	"math"

	"github.com/driftd/driftd/internal/exact"
	"github.com/driftd/driftd/internal/exact/wire"
	"github.com/driftd/driftd/internal/stat"
	"github.com/driftd/driftd/result"
)

// Pairs counts answers of two versions to the same requests. Counts over the same number of classes add, in any order.
type Pairs struct {
	Baseline, Candidate uint64 // answers with an id, each where its own time is
	Both                uint64 // requests that both answered, where the baseline's answer is
	Matched             uint64 // the same, where the candidate's answer is
	Unusable            uint64 // of Both: an answer has neither a class nor a number

	classes int // of the matrix: rows and columns; 0: none
	matrix  []uint64

	scores, beyond uint64
	sum, squares   exact.Sum // of the candidate's number less the baseline's
}

// NewPairs returns empty counts over a number of classes, which may be 0.
func NewPairs(classes int) *Pairs {
	return &Pairs{classes: classes, matrix: make([]uint64, classes*classes)} //nolint:exhaustruct // empty
}

// Answer is what a version said: a class, or -1, and a number, if HasScore.
type Answer struct {
	Class    int
	Score    float64
	HasScore bool
}

// Add counts two answers to one request.
func (p *Pairs) Add(baseline, candidate Answer, tolerance float64) {
	p.Both++
	classes := baseline.Class >= 0 && candidate.Class >= 0 && max(baseline.Class, candidate.Class) < p.classes
	if classes {
		p.matrix[baseline.Class*p.classes+candidate.Class]++
	}
	d := candidate.Score - baseline.Score
	numbers := baseline.HasScore && candidate.HasScore && !math.IsInf(d, 0)
	if numbers {
		p.scores++
		exact.AddBoth(&p.sum, &p.squares, d)
		if math.Abs(d) > tolerance {
			p.beyond++
		}
	}
	if !classes && !numbers {
		p.Unusable++
	}
}

// Merge adds other counts. Those over another number of classes leave out their matrix.
func (p *Pairs) Merge(o *Pairs) {
	for i, n := range o.numbers() {
		*p.numbers()[i] += *n
	}
	if o.classes == p.classes {
		for i, n := range o.matrix {
			p.matrix[i] += n
		}
	}
	p.sum.Merge(&o.sum)
	p.squares.Merge(&o.squares)
}

func (p *Pairs) numbers() []*uint64 {
	return []*uint64{&p.Baseline, &p.Candidate, &p.Both, &p.Matched, &p.Unusable, &p.scores, &p.beyond}
}

// pairsVersion begins every encoding. A later version reads those before it.
const pairsVersion = 1

// AppendBinary appends the canonical encoding.
func (p *Pairs) AppendBinary(b []byte) []byte {
	b = append(b, pairsVersion)
	for _, n := range p.numbers() {
		b = wire.AppendUvarint(b, *n)
	}
	b = wire.AppendUvarint(b, uint64(p.classes))
	for _, n := range p.matrix {
		b = wire.AppendUvarint(b, n)
	}
	return p.squares.AppendBinary(p.sum.AppendBinary(b))
}

// maxClasses bounds what is read back: more than labels.classes may have.
const maxClasses = 1000

// DecodePairs reads what AppendBinary wrote, and returns what follows it.
func DecodePairs(b []byte) (p *Pairs, rest []byte, err error) {
	r := wire.NewReader(b)
	if v := r.Byte(); v != pairsVersion {
		r.Fail("version %d of pairs, want %d", v, pairsVersion)
	}
	p = &Pairs{} //nolint:exhaustruct // read below
	for _, n := range p.numbers() {
		*n = r.Uvarint()
	}
	if n := r.Uvarint(); n > maxClasses {
		r.Fail("%d classes", n)
	} else {
		p.classes = int(n)
	}
	if err := r.Err(); err != nil {
		return nil, b, fmt.Errorf("reading pairs: %w", err)
	}
	p.matrix = make([]uint64, p.classes*p.classes)
	for i := range p.matrix {
		p.matrix[i] = r.Uvarint()
	}
	if err := r.Err(); err != nil {
		return nil, b, fmt.Errorf("reading pairs: %w", err)
	}
	rest = r.Rest()
	for _, s := range []*exact.Sum{&p.sum, &p.squares} {
		if rest, err = s.Decode(rest); err != nil {
			return nil, b, fmt.Errorf("reading pairs: %w", err)
		}
	}
	return p, rest, nil
}

func (p *Pairs) clone() *Pairs {
	out := NewPairs(p.classes)
	out.Merge(p)
	return out
}

// level is the confidence of the intervals that are told for who looks once.
const level = 0.95

// describe says what the pairs are.
func (p *Pairs) describe(classes []string, tolerance float64) result.Agreement {
	out := result.Agreement{
		Baseline: p.Baseline, Candidate: p.Candidate, Both: p.Both, OnlyBaseline: less(p.Baseline, p.Both), OnlyCandidate: less(p.Candidate, p.Matched),
		Answered: p.answered(), Unusable: p.Unusable, Classes: nil, Matrix: nil, Agreed: none("no classes of both"), Kappa: none("no classes of both"),
		Scores: p.scores, MeanDiff: none("no numbers of both"), RMSDiff: none("no numbers of both"), BeyondTol: none("no numbers of both"),
	}
	if equal, n, kappa := p.agreement(); n > 0 {
		if p.classes == len(classes) {
			out.Classes = classes
			for i := range p.classes {
				out.Matrix = append(out.Matrix, p.matrix[i*p.classes:(i+1)*p.classes:(i+1)*p.classes])
			}
		}
		out.Agreed = wilson(equal, n)
		if out.Kappa = none("both said one class only"); !math.IsNaN(kappa) {
			out.Kappa = value(kappa)
		}
	}
	if p.scores > 0 {
		if mean, ok := exact.Mean(&p.sum, p.scores); ok {
			out.MeanDiff = value(mean)
		}
		if square, ok := exact.Mean(&p.squares, p.scores); ok {
			out.RMSDiff = value(math.Sqrt(square))
		}
		out.BeyondTol = wilson(p.beyond, p.scores)
		out.BeyondTol.Baseline = &tolerance
	}
	return out
}

// answered is the share of the baseline's requests that the candidate answered; nil without requests.
func (p *Pairs) answered() *float64 {
	if p.Baseline == 0 {
		return nil
	}
	v := float64(p.Both) / float64(p.Baseline)
	return &v
}

// agreement returns how many of n pairs of classes are equal, and Cohen's kappa (1960): (p_o - p_e)/(1 - p_e), p_o the share of equal ones, p_e what
// chance would make of the two rows of totals; NaN where p_e is 1.
func (p *Pairs) agreement() (equal, n uint64, kappa float64) {
	expected := 0.0
	for i := range p.classes {
		var row, column uint64
		for j := range p.classes {
			row += p.matrix[i*p.classes+j]
			column += p.matrix[j*p.classes+i]
		}
		n += row
		equal += p.matrix[i*p.classes+i]
		expected += float64(float64(row) * float64(column))
	}
	if n == 0 {
		return 0, 0, math.NaN()
	}
	all := float64(n)
	expected /= all * all
	if expected >= 1 {
		return equal, n, math.NaN()
	}
	return equal, n, (float64(equal)/all - expected) / (1 - expected)
}

// less is a - b, or 0: a pane may have lost what it counted of b.
func less(a, b uint64) uint64 { return a - min(a, b) }

func none(reason string) result.Stat {
	return result.Stat{Value: nil, PValue: nil, Lower: nil, Upper: nil, Baseline: nil, Reason: reason}
}

func value(x float64) result.Stat {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return none("beyond the range of numbers")
	}
	return result.Stat{Value: &x, PValue: nil, Lower: nil, Upper: nil, Baseline: nil, Reason: ""}
}

func wilson(k, n uint64) result.Stat {
	i, ok := stat.Wilson(k, n, level)
	if !ok {
		return none("no events")
	}
	out := value(float64(k) / float64(n))
	out.Lower, out.Upper = &i.Lower, &i.Upper
	return out
}

// estimate is a statistic as documents have it.
func estimate(e stat.Estimate) result.Stat {
	return result.Stat{Value: e.Value, PValue: e.PValue, Lower: e.Lower, Upper: e.Upper, Baseline: nil, Reason: e.Reason}
}
