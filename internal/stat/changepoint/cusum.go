package changepoint

import (
	"fmt"
	"math"

	"github.com/driftd/driftd/internal/exact/wire"
)

// CUSUMParams are the parameters of a CUSUM.
type CUSUMParams struct {
	Warmup int     // values from which mean and standard deviation are learned; 0: Mean and Std are given
	Mean   float64 // the level, where Warmup is 0
	Std    float64 // its standard deviation, where Warmup is 0
	MinStd float64 // the least standard deviation, in the unit of the series: what is too small to matter
	K      float64 // half of the shift to find, in standard deviations
	H      float64 // the threshold, in standard deviations
}

// DefaultCUSUM finds a shift of one standard deviation within about ten values. With a known level it gives a false alarm every 465 values on
// average; learned from Warmup values it gives more, the fewer they are.
func DefaultCUSUM() CUSUMParams {
	return CUSUMParams{Warmup: 100, Mean: 0, Std: 0, MinStd: 0, K: 0.5, H: 5}
}

// Validate says which parameter is impossible, or nil.
func (p CUSUMParams) Validate() error {
	switch {
	case p.Warmup < 0 || p.Warmup == 1 || p.Warmup > maxParameter:
		return impossible("warmup", p.Warmup, "0, or 2 to 1048576")
	case !Accepts(p.Mean):
		return impossible("mean", p.Mean, "a number")
	case p.Warmup == 0 && !(p.Std > 0 && Accepts(p.Std)):
		return impossible("std", p.Std, "above 0, or there must be a warmup")
	case !(p.MinStd >= 0 && Accepts(p.MinStd)):
		return impossible("min_std", p.MinStd, "0 or above")
	case !(p.K >= 0 && p.K <= 100):
		return impossible("k", p.K, "0 to 100")
	case !(p.H > 0 && p.H <= 1e6):
		return impossible("h", p.H, "above 0 and at most 1000000")
	}
	return nil
}

// CUSUM is Page's cumulative sum of standardised deviations from a level, on both sides: the quickest test, on average, for a shift of a
// size that is known beforehand.
//
// Formula: z = (x - mean)/std; up = max(0, up + z - K), down = max(0, down - z - K); a change where one is above H. Unit: standard deviations.
// With K = ½ and normal values an alarm comes every 465 values without a change for H = 5 (168 for H = 4), and 10.4 (8.4) values after a shift
// of one standard deviation. Assumptions: independent values; autocorrelation brings false alarms. After a change the state, and what was
// learned, is thrown away before the next value.
// Special cases: while the learned standard deviation is 0, and MinStd too, learning goes on. Cost: constant.
// Reference: E. S. Page, Continuous inspection schemes, 1954; D. C. Montgomery, Introduction to Statistical Quality Control, chapter 9;
// B. P. Welford 1962 (the running variance).
type CUSUM struct {
	params             CUSUMParams
	n                  uint64  // values that were learned from
	mean, m2           float64 // of those
	learned            bool    // or given
	up, down           float64
	upSince, downSince uint64 // values since the sum was 0
	change             Change // by the last value
}

// NewCUSUM returns a detector that has seen nothing.
func NewCUSUM(p CUSUMParams) (*CUSUM, error) {
	if err := p.Validate(); err != nil {
		return nil, err
	}
	return freshCUSUM(p), nil
}

func freshCUSUM(p CUSUMParams) *CUSUM {
	return &CUSUM{
		params: p, n: 0, mean: 0, m2: 0, learned: p.Warmup == 0, up: 0, down: 0, upSince: 0, downSince: 0, change: None,
	}
}

// Level returns the mean and the standard deviation that values are compared with; false while they are learned.
func (d *CUSUM) Level() (mean, std float64, ok bool) {
	if !d.learned {
		return 0, 0, false
	}
	if d.params.Warmup == 0 {
		return d.params.Mean, max(d.params.Std, d.params.MinStd), true
	}
	return d.mean, d.std(), true
}

func (d *CUSUM) std() float64 { return max(math.Sqrt(d.m2/float64(d.n-1)), d.params.MinStd) }

// Age implements Detector: the values since the sum was 0.
func (d *CUSUM) Age() uint64 {
	if d.change == Down {
		return max(1, d.downSince)
	}
	return max(1, d.upSince)
}

// Add implements Detector.
func (d *CUSUM) Add(x float64) Change {
	if !Accepts(x) {
		return None
	}
	if d.change != None {
		*d = *freshCUSUM(d.params)
	}
	x += 0 // no negative zero
	mean, std, ok := d.Level()
	if !ok {
		d.learn(x)
		return None
	}
	z := min(max((x-mean)/std, -MaxValue), MaxValue)
	d.up, d.upSince = raise(d.up, z-d.params.K, d.upSince)
	d.down, d.downSince = raise(d.down, -z-d.params.K, d.downSince)
	switch {
	case d.up > d.params.H:
		d.change = Up
	case d.down > d.params.H:
		d.change = Down
	}
	return d.change
}

func (d *CUSUM) learn(x float64) {
	d.n++
	off := x - d.mean
	d.mean += off / float64(d.n)
	d.m2 += float64(off * (x - d.mean))
	d.learned = d.n >= uint64(d.params.Warmup) && d.std() > 0
}

// raise adds to a sum that does not fall below 0, and counts the values since it was.
func raise(sum, by float64, since uint64) (float64, uint64) {
	if sum+by <= 0 {
		return 0, 0
	}
	return sum + by, since + 1
}

// AppendBinary implements Detector.
func (d *CUSUM) AppendBinary(b []byte) []byte {
	b = appendHeader(b, d.change != None)
	b = append(b, byte(d.change))
	for _, n := range []uint64{d.n, d.upSince, d.downSince} {
		b = wire.AppendUvarint(b, n)
	}
	for _, x := range []float64{d.mean, d.m2, d.up, d.down} {
		b = appendFloat(b, x)
	}
	return b
}

// Decode implements Detector.
func (d *CUSUM) Decode(b []byte) (rest []byte, err error) {
	r := wire.NewReader(b)
	n := freshCUSUM(d.params)
	changed := header(r)
	n.change = readChange(r, changed)
	n.n, n.upSince, n.downSince = r.Uvarint(), r.Uvarint(), r.Uvarint()
	for _, x := range []*float64{&n.mean, &n.m2, &n.up, &n.down} {
		*x = r.Finite()
	}
	switch {
	case r.Err() != nil:
	case n.m2 < 0 || n.up < 0 || n.down < 0:
		r.Fail("a negative sum")
	case n.params.Warmup == 0 && n.n != 0:
		r.Fail("%d values were learned from, of a level that is given", n.n)
	case n.params.Warmup > 0:
		n.learned = n.n >= uint64(n.params.Warmup) && n.std() > 0
	}
	if r.Err() == nil && !n.learned && (n.up != 0 || n.down != 0 || n.change != None) {
		r.Fail("a sum without a level")
	}
	if err := r.Err(); err != nil {
		return b, fmt.Errorf("reading CUSUM: %w", err)
	}
	*d = *n
	return r.Rest(), nil
}
