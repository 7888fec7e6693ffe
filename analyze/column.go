package analyze

import (
	"math"
	"slices"

	"github.com/driftd/driftd/event"
)

// part is what one column holds in the rows of one segment. Part 0 of a column is all rows.
type part struct {
	numbers    []float64         // finite, zeros without a sign; of a numeric column
	categories map[string]uint64 // of a categorical column
	missing    uint64
	inf        uint64
	invalid    uint64
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
	v.numbers += uint64(len(xs))
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
		v.numbers++
		p.numbers = append(p.numbers, x+0)
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

// categoryVisitor reads a column as categories. It is a rows.Visitor.
type categoryVisitor struct {
	parts []part
	rows  segmentation
	row   int
	buf   []byte
	ids   map[string]*uint64 // of part 0: one lookup a value, no allocation
}

func newCategoryVisitor(parts []part, rows segmentation) *categoryVisitor {
	for i := range parts {
		parts[i].categories = map[string]uint64{}
	}
	return &categoryVisitor{parts: parts, rows: rows, row: 0, buf: nil, ids: map[string]*uint64{}}
}

func (v *categoryVisitor) part() *part {
	if v.rows == nil {
		return &v.parts[0]
	}
	v.row++
	return &v.parts[v.rows[v.row-1]]
}

func (v *categoryVisitor) count(p *part, category []byte) {
	if v.rows != nil {
		p.categories[string(category)]++
		return
	}
	n, ok := v.ids[string(category)]
	if !ok {
		n = new(uint64)
		v.ids[string(category)] = n
	}
	*n++
}

// end moves the counts to where they belong.
func (v *categoryVisitor) end() {
	for category, n := range v.ids {
		v.parts[0].categories[category] = *n
	}
	v.ids = nil
}

// Numbers implements rows.Visitor.
func (v *categoryVisitor) Numbers(xs []float64) {
	for _, x := range xs {
		v.Value(event.Value{Kind: event.ValueNumber, Num: x, Str: nil})
	}
}

// Nulls implements rows.Visitor.
func (v *categoryVisitor) Nulls(n int) {
	for range n {
		v.part().missing++
	}
}

// Value implements rows.Visitor.
func (v *categoryVisitor) Value(value event.Value) {
	p := v.part()
	if value.Kind == event.ValueNumber { // a number that is none: as the daemon, which meets them as strings
		switch {
		case math.IsNaN(value.Num):
			p.missing++
			return
		case math.IsInf(value.Num, 0):
			p.inf++
			return
		}
	}
	category, class := value.AppendCategory(v.buf[:0])
	v.buf = category
	switch class {
	case event.ClassValue:
		v.count(p, category)
	case event.ClassMissing:
		p.missing++
	default:
		p.invalid++
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
		for category, n := range p.categories {
			all.categories[category] += n
		}
	}
}
