package reference

import (
	"maps"
	"math"
	"slices"

	"github.com/driftd/driftd/cells"
	"github.com/driftd/driftd/event"
)

// run is a stretch of a column's numbers that are of one pane: rows mostly come in the order of their times.
type run struct {
	pane int64
	n    int
}

// others counts what of a column is no number, in one pane.
type others struct {
	falses, trues, invalid uint64
	strings                map[string]uint64
}

// note keeps the pane of the value that was just settled.
func (c *column) note(kind event.ValueKind, s string) {
	if c.at == untimed && c.runs == nil && c.others == nil {
		return // the common case of rows without times
	}
	if kind == event.ValueNumber {
		if n := len(c.runs); n > 0 && c.runs[n-1].pane == c.at {
			c.runs[n-1].n++
			return
		}
		c.runs = append(c.runs, run{c.at, 1})
		return
	}
	if kind == event.ValueNull || c.at == untimed {
		return
	}
	o := c.others[c.at]
	if o == nil {
		if c.others == nil {
			c.others = map[int64]*others{}
		}
		o = &others{falses: 0, trues: 0, invalid: 0, strings: nil}
		c.others[c.at] = o
	}
	switch kind {
	case event.ValueBool:
		if c.num != 0 {
			o.trues++
		} else {
			o.falses++
		}
	case event.ValueString:
		if o.strings == nil {
			o.strings = map[string]uint64{}
		}
		o.strings[s]++
	case event.ValueInvalid:
		o.invalid++
	case event.ValueNull, event.ValueNumber:
	}
}

// byPane counts a column over its frozen cells, pane by pane, in their encoding. It gives up, with nil, beyond limit bytes.
func (c *column) byPane(f *Feature, panes []PaneRows, pane int64, limit int) [][]byte {
	numbers := make([][][]float64, len(panes))
	index := func(t int64) int {
		i, _ := slices.BinarySearchFunc(panes, floor(t, pane), PaneRows.compare)
		return i
	}
	rest := c.numbers
	for _, r := range c.leading() {
		if r.pane != untimed {
			i := index(r.pane)
			numbers[i] = append(numbers[i], rest[:r.n])
		}
		rest = rest[r.n:]
	}
	beside := make([][]*others, len(panes))
	for _, start := range slices.Sorted(maps.Keys(c.others)) {
		i := index(start)
		beside[i] = append(beside[i], c.others[start])
	}
	out := make([][]byte, len(panes))
	var scratch []float64
	for i := range panes {
		counts := cells.NewCounts(f.Space)
		if f.Space.Kind() == cells.Categorical {
			addCategories(counts, numbers[i], beside[i])
		} else {
			scratch = addNumbers(counts, numbers[i], beside[i], scratch[:0])
		}
		counts.Missing = panes[i].Rows - counts.N() - counts.Inf - counts.Invalid
		out[i] = counts.AppendBinary(nil)
		if limit -= len(out[i]); limit < 0 {
			return nil
		}
	}
	return out
}

// leading returns the runs of all numbers; those before the first row with a time were not noted.
func (c *column) leading() []run {
	noted := 0
	for _, r := range c.runs {
		noted += r.n
	}
	if n := len(c.numbers) - noted; n > 0 {
		return append([]run{{untimed, n}}, c.runs...)
	}
	return c.runs
}

// addNumbers counts the values of a pane of a numeric feature. It returns the buffer that it used.
func addNumbers(c *cells.Counts, numbers [][]float64, beside []*others, values []float64) []float64 {
	for _, xs := range numbers {
		for _, x := range xs {
			switch {
			case math.IsInf(x, 0):
				c.Inf++
			case !math.IsNaN(x):
				values = append(values, x)
			}
		}
	}
	for _, o := range beside {
		for range o.falses {
			values = append(values, 0)
		}
		for range o.trues {
			values = append(values, 1)
		}
		c.Invalid += o.invalid
		for s, n := range o.strings { // sums of counts: the order does not matter
			infs, invalid := nonNumber(s, n)
			c.Inf, c.Invalid = c.Inf+infs, c.Invalid+invalid
		}
	}
	slices.Sort(values)
	c.AddSorted(values)
	return values
}

// addCategories counts the values of a pane of a categorical feature.
func addCategories(c *cells.Counts, numbers [][]float64, beside []*others) {
	var buf []byte
	for _, xs := range numbers {
		for _, x := range xs {
			switch {
			case math.IsInf(x, 0):
				c.Inf++
			case !math.IsNaN(x):
				buf = event.AppendShortest(buf[:0], x)
				c.AddCategory(buf)
			}
		}
	}
	repeat := func(v string, n uint64) {
		buf = append(buf[:0], v...)
		for range n {
			c.AddCategory(buf)
		}
	}
	for _, o := range beside {
		repeat("false", o.falses)
		repeat("true", o.trues)
		c.Invalid += o.invalid
		for s, n := range o.strings { // counts: the order does not matter
			repeat(s, n)
		}
	}
}

// nonNumber says what n strings are in a numeric feature: some stand for infinities, some for a missing value.
func nonNumber(s string, n uint64) (infs, invalid uint64) {
	v := event.Value{Kind: event.ValueString, Num: 0, Str: []byte(s)}
	_, class := v.Float()
	switch class {
	case event.ClassInf:
		return n, 0
	case event.ClassInvalid:
		return 0, n
	case event.ClassMissing, event.ClassValue:
	}
	return 0, 0
}

// paneLengths are what a pane that takes too much room is made longer to: an hour, six hours, a day.
func paneLengths(first int64) []int64 {
	out := []int64{first}
	for _, h := range []int64{1, 6, 24} {
		if ms := h * 60 * 60 * 1000; ms > first && ms%first == 0 {
			out = append(out, ms)
		}
	}
	return out
}

// countByPane adds the counts by pane to a reference, over panes as short as their bound lets them be. A reference of rows
// without times has none, and neither has one whose days do not fit the bound.
func (b *Builder) countByPane(r *Reference) {
	if b.opts.Pane == 0 || len(b.panes) == 0 {
		return
	}
	for _, pane := range paneLengths(b.opts.Pane) {
		if b.countPanes(r, pane) {
			return
		}
	}
}

func (b *Builder) countPanes(r *Reference, pane int64) bool {
	var panes []PaneRows
	for _, start := range slices.Sorted(maps.Keys(b.panes)) {
		from := b.panes[start]
		at := floor(start, pane)
		if n := len(panes); n == 0 || panes[n-1].Start != at {
			panes = append(panes, PaneRows{Start: at, Rows: 0, Latency: nil})
		}
		p := &panes[len(panes)-1]
		p.Rows += from.Rows
		if from.Latency == nil {
			continue
		}
		if p.Latency == nil {
			p.Latency = cells.NewHistogram()
		}
		if err := p.Latency.Merge(from.Latency); err != nil {
			return false // more than 64 bits of latencies: there are no such rows
		}
	}
	if len(panes) > maxPaneRows {
		return false
	}
	limit := b.opts.PaneBytes
	counts := make([][][]byte, len(r.Features))
	for i := range r.Features {
		f := &r.Features[i]
		counts[i] = b.columns[columnKey{f.Role, f.Name}].byPane(f, panes, pane, limit)
		if counts[i] == nil {
			return false
		}
		for _, c := range counts[i] {
			limit -= len(c)
		}
	}
	r.Pane, r.Panes = pane, panes
	for i := range r.Features {
		r.Features[i].panes = counts[i]
	}
	return true
}
