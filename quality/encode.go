package quality

import (
	"errors"
	"fmt"

	"github.com/driftd/driftd/cells"
	"github.com/driftd/driftd/internal/exact/wire"
)

const countsVersion = 1

// AppendBinary appends the canonical form of c with its version: equal counts have equal bytes, however they came about. The Spec is
// not in it.
func (c *Counts) AppendBinary(b []byte) []byte {
	b = append(b, countsVersion)
	for _, n := range c.numbers() {
		b = wire.AppendUvarint(b, *n)
	}
	for _, s := range c.sums() {
		b = s.AppendBinary(b)
	}
	for _, v := range c.vectors() {
		b = v.AppendBinary(b)
	}
	return c.delay.AppendBinary(b)
}

// DecodeCounts reads the counts over s at the start of b and returns what follows them. Bytes that AppendBinary does not write are an
// error that wraps wire.ErrCorrupt.
func DecodeCounts(s *Spec, b []byte) (c *Counts, rest []byte, err error) {
	r := wire.NewReader(b)
	if v := r.Byte(); v != countsVersion {
		r.Fail("version %d of quality counts, this program knows %d", v, countsVersion)
	}
	c = NewCounts(s)
	for _, n := range c.numbers() {
		*n = r.Uvarint()
	}
	fail := func(err error) (*Counts, []byte, error) {
		return nil, b, fmt.Errorf("reading quality counts: %w", err)
	}
	if r.Err() != nil {
		return fail(r.Err())
	}
	rest = r.Rest()
	for _, sum := range c.sums() {
		if rest, err = sum.Decode(rest); err != nil {
			return fail(err)
		}
	}
	for _, v := range c.vectors() {
		var read *cells.Counts
		if read, rest, err = cells.DecodeCounts(v.Space(), rest); err != nil {
			return fail(err)
		}
		*v = *read
	}
	if c.delay, rest, err = cells.DecodeHistogram(rest); err != nil {
		return fail(err)
	}
	if err := c.check(); err != nil {
		return fail(fmt.Errorf("%w: %w", wire.ErrCorrupt, err))
	}
	return c, rest, nil
}

// check says what the parts contradict each other in.
func (c *Counts) check() error {
	for _, v := range c.vectors() {
		if _, known := v.Max(); known {
			return errors.New("a range of values that is never kept")
		}
	}
	if _, known := c.delay.Max(); known {
		return errors.New("a largest delay, which is never kept")
	}
	total := func(numbers ...uint64) (sum uint64, ok bool) {
		for _, n := range numbers {
			if sum += n; sum < n {
				return 0, false
			}
		}
		return sum, true
	}
	flawed, ok := total(c.flawed[:]...)
	if !ok || flawed > c.predictions {
		return fmt.Errorf("%d flawed predictions of %d", flawed, c.predictions)
	}
	unusable, ok := total(c.unusable[:]...)
	if !ok || unusable > c.labels {
		return fmt.Errorf("%d unusable labels of %d", unusable, c.labels)
	}
	usable, good := c.labels-unusable, c.predictions-flawed
	if c.spec.task == Regression {
		n, ok := total(c.errors.N(), c.errors.Inf)
		if !ok || n != usable || c.absolute.N() != c.errors.N() || c.absolute.Inf != c.errors.Inf || c.zero > usable {
			return fmt.Errorf("%d errors of %d usable labels", n, usable)
		}
		return nil
	}
	if n, ok := total(c.confusion...); !ok || n != usable {
		return fmt.Errorf("%d rows in the confusion matrix, %d usable labels", n, usable)
	}
	if c.scored > usable || c.outside > c.scored || c.losses > c.scored-c.outside {
		return fmt.Errorf("%d scored rows of %d, %d outside and %d with a loss", c.scored, usable, c.outside, c.losses)
	}
	if n, ok := total(c.estimable, c.inestimable); !ok || n != good {
		return fmt.Errorf("%d predictions for the estimate, %d are good", n, good)
	}
	var binned []uint64
	for i := range c.bins {
		if c.bins[i].positive > c.bins[i].n {
			return fmt.Errorf("calibration bin %d has %d positives of %d", i, c.bins[i].positive, c.bins[i].n)
		}
		binned = append(binned, c.bins[i].n)
	}
	if n, ok := total(binned...); !ok || n > c.scored-c.outside {
		return fmt.Errorf("%d rows in calibration bins of %d", n, c.scored-c.outside)
	}
	for i := range c.sets {
		set := &c.sets[i]
		n, ok := total(set.positive.N(), set.negative.N())
		if !ok || n != c.scored || set.all.N() != c.estimable || set.predicted > c.estimable {
			return fmt.Errorf("class %d has %d scored rows of %d, and %d of %d predictions", i, n, c.scored, set.all.N(), c.estimable)
		}
	}
	return nil
}
