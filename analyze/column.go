package analyze

import (
	"errors"
	"math"
	"slices"

	"github.com/driftd/driftd/cells"
	"github.com/driftd/driftd/event"
	"github.com/driftd/driftd/internal/exact"
	"github.com/driftd/driftd/reference"
)

// part is what one column holds in the rows of one segment. Part 0 of a column is all rows.
type part struct {
	numbers []float64          // finite, zeros without a sign; of a numeric column
	frozen  *reference.Feature // the cells of a categorical column of the reference
	counts  *cells.Counts      // of a categorical column of the current file, over these
	tally   *tally             // of a categorical column under the SciPy convention
	missing uint64
	inf     uint64
	invalid uint64
}

// segmentation says which segment each row is in: 1 and up; nil: there are none.
type segmentation []uint16

// numericVisitor reads a column as numbers. It is a rows.Visitor.
type numericVisitor struct {
	parts   []part // all rows together without segments, else one a segment from 1 on
	rows    segmentation
	row     int
	text    string // the first text that is no number
	texts   uint64
	numbers uint64 // numbers and booleans, for the decision what the column is
	room    uint64 // how many there may be
	stop    func(err error)
}

var errTooManyNumbers = errors.New("too many numbers")

// more reports whether n further numbers fit; where they do not, the reading stops.
func (v *numericVisitor) more(n int) bool {
	if v.numbers += uint64(n); v.numbers <= v.room {
		return true
	}
	v.stop(errTooManyNumbers)
	return false
}

func (v *numericVisitor) part() *part {
	if v.rows == nil {
		return &v.parts[0]
	}
	v.row++
	return &v.parts[v.rows[v.row-1]]
}

// Numbers implements rows.Visitor.
func (v *numericVisitor) Numbers(xs []float64) {
	if !v.more(len(xs)) {
		return
	}
	p := &v.parts[0]
	for _, x := range xs {
		if v.rows != nil {
			p = v.part()
		}
		switch {
		case x-x == 0: // finite
			p.numbers = append(p.numbers, x+0) // -0 + 0 is 0
		case math.IsNaN(x):
			p.missing++
		default:
			p.inf++
		}
	}
}

// Nulls implements rows.Visitor.
func (v *numericVisitor) Nulls(n int) {
	if v.rows == nil {
		v.parts[0].missing += uint64(n)
		return
	}
	for range n {
		v.part().missing++
	}
}

// Value implements rows.Visitor.
func (v *numericVisitor) Value(value event.Value) {
	p := v.part()
	x, class := value.Float()
	switch class {
	case event.ClassValue:
		if v.more(1) {
			p.numbers = append(p.numbers, x+0)
		}
	case event.ClassMissing:
		p.missing++
	case event.ClassInf:
		p.inf++
	default:
		if value.Kind == event.ValueString {
			if v.texts == 0 {
				v.text = string(value.Str)
			}
			v.texts++
		}
		p.invalid++
	}
}

// frozenVisitor counts a column over the cells of a saved reference, without keeping its numbers. It is a rows.Visitor.
type frozenVisitor struct {
	parts   []part
	rows    segmentation
	row     int
	scratch *exact.Scatter
}

// Numbers implements rows.Visitor.
func (v *frozenVisitor) Numbers(xs []float64) {
	v.parts[0].counts.AddNumbers(xs, v.scratch)
	if v.rows == nil {
		return
	}
	for _, x := range xs {
		v.parts[v.rows[v.row]].counts.AddNumber(x)
		v.row++
	}
}

// Nulls implements rows.Visitor.
func (v *frozenVisitor) Nulls(n int) {
	for range n {
		v.each(func(c *cells.Counts) { c.AddMissing() })
	}
}

// Value implements rows.Visitor.
func (v *frozenVisitor) Value(value event.Value) {
	x, class := value.Float()
	v.each(func(c *cells.Counts) {
		switch class {
		case event.ClassValue:
			c.AddNumber(x)
		case event.ClassMissing:
			c.AddMissing()
		case event.ClassInf:
			c.AddInf()
		default:
			c.AddInvalid()
		}
	})
}

// each counts a row in all rows and in its segment.
func (v *frozenVisitor) each(count func(c *cells.Counts)) {
	count(v.parts[0].counts)
	if v.rows != nil {
		count(v.parts[v.rows[v.row]].counts)
		v.row++
	}
}

// whole makes part 0 of the parts of the segments, where there are any.
func whole(parts []part) {
	if len(parts) == 1 {
		return
	}
	all := &parts[0]
	for i := range parts[1:] {
		p := &parts[1+i]
		all.missing += p.missing
		all.inf += p.inf
		all.invalid += p.invalid
		all.numbers = append(slices.Grow(all.numbers, len(p.numbers)), p.numbers...)
	}
}
