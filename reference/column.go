package reference

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/driftd/driftd/cells"
	"github.com/driftd/driftd/event"
	"github.com/driftd/driftd/internal/stat/rivals"
)

// column holds the raw values of one feature, of which the kind is known only at the end.
type column struct {
	numbers []float64 // NaN and infinities included
	falses  uint64    // booleans
	trues   uint64
	strings map[string]uint64 // how often each was seen
	invalid uint64            // arrays and other things that are no value

	row  uint64 // the row that pending is of, from 1; 0: there is none
	kind event.ValueKind
	num  float64
	str  string
	at   int64 // the pane of the row, or untimed

	runs   []run             // the panes of numbers, once a row has a time
	others map[int64]*others // what else there is in a pane
}

func newColumn() *column {
	return &column{
		numbers: nil, falses: 0, trues: 0, strings: map[string]uint64{}, invalid: 0, row: 0, kind: 0, num: 0, str: "",
		at: untimed, runs: nil, others: nil,
	}
}

// set notes the value of a row. A name that a row has twice counts once: the last value wins, so the latest is held back.
// It returns about how many bytes are held more.
func (c *column) set(row uint64, pane int64, v event.Value) (held int) {
	if row != c.row {
		held = c.settle()
	}
	c.at = pane
	c.row, c.kind, c.num, c.str = row, v.Kind, v.Num, ""
	if v.Kind == event.ValueString {
		c.str = string(v.Str)
	}
	return held
}

// settle counts the value held back, and returns about how many bytes that takes.
func (c *column) settle() (held int) {
	if c.row == 0 {
		return 0
	}
	runs := len(c.runs)
	c.row = 0
	switch c.kind {
	case event.ValueNull: // missing, as a row that has not got the name at all
	case event.ValueNumber:
		if c.num == 0 {
			c.num = 0 // -0
		}
		c.numbers = append(c.numbers, c.num)
		held = 8
	case event.ValueBool:
		if c.num != 0 {
			c.trues++
		} else {
			c.falses++
		}
	case event.ValueString:
		if c.strings[c.str]++; c.strings[c.str] == 1 {
			held = 64 + len(c.str)
		}
	case event.ValueInvalid:
		c.invalid++
	}
	c.note(c.kind, c.str)
	return held + 16*(len(c.runs)-runs)
}

// freeze makes a feature of the column: its kind, its cells and the counts over them.
func (c *column) freeze(k columnKey, rows uint64, o *Options) (*Feature, error) {
	c.settle()
	if len(k.name) > maxName {
		return nil, fmt.Errorf("%s %.40q…: a name of %d bytes, at most %d are allowed", k.role, k.name, len(k.name), maxName)
	}
	kind, err := c.decide(k, o)
	if err != nil {
		return nil, err
	}
	f := &Feature{Name: k.name, Role: k.role, Space: nil, Counts: nil, Deciles: nil, Distinct: 0, Singletons: 0, panes: nil}
	edges, hasEdges := o.Edges[k.name]
	switch {
	case kind == cells.Categorical && hasEdges:
		return nil, fmt.Errorf("%s %q is categorical and has no edges; remove them, or set its kind to numeric", k.role, k.name)
	case kind == cells.Categorical:
		err = c.freezeCategorical(f, o.MaxCategories)
	default:
		err = c.freezeNumeric(f, o, edges)
	}
	if err != nil {
		return nil, fmt.Errorf("%s %q: %w", k.role, k.name, err)
	}
	f.Counts.Missing += rows - f.Counts.N() - f.Counts.Missing - f.Counts.Inf - f.Counts.Invalid // absent from a row, or null
	f.Counts.Compact()
	return f, nil
}

// decide returns the kind of a column: as given, else numeric where all values are numbers or booleans (or nothing but null),
// else categorical. The strings that stand for NaN and infinities say nothing.
func (c *column) decide(k columnKey, o *Options) (cells.Kind, error) {
	if kind, ok := o.Kinds[k.name]; ok {
		return kind, nil
	}
	example, text := "", false
	for s := range c.strings {
		v := event.Value{Kind: event.ValueString, Num: 0, Str: []byte(s)}
		if _, class := v.Float(); class == event.ClassInvalid && (!text || s < example) {
			example, text = s, true
		}
	}
	numbers := uint64(len(c.numbers)) + c.falses + c.trues
	switch {
	case text && numbers > 0 && o.Mixed:
		var texts uint64
		for _, n := range c.strings {
			texts += n
		}
		if numbers >= texts {
			return cells.Numeric, nil
		}
		return cells.Categorical, nil
	case text && numbers > 0:
		return 0, fmt.Errorf("%s %q is a number or a boolean in %d rows, but a string such as %.40q in others; "+
			"set its kind: numeric (strings then count as invalid) or categorical", k.role, k.name, numbers, example)
	case text:
		return cells.Categorical, nil
	}
	return cells.Numeric, nil
}

func (c *column) freezeNumeric(f *Feature, o *Options, edges []float64) error {
	values := make([]float64, 0, len(c.numbers)+int(c.trues+c.falses))
	infs, invalid := uint64(0), c.invalid
	for _, x := range c.numbers {
		switch {
		case math.IsInf(x, 0):
			infs++
		case !math.IsNaN(x):
			values = append(values, x)
		}
	}
	for range c.falses {
		values = append(values, 0)
	}
	for range c.trues {
		values = append(values, 1)
	}
	for s, n := range c.strings {
		i, bad := nonNumber(s, n)
		infs, invalid = infs+i, invalid+bad
	}
	slices.Sort(values)
	if o.NannyMLEdges && len(values) > 0 {
		sample := rivals.Of(values)
		bins := rivals.FitNanny(&sample)
		if own := bins.Edges(); !math.IsNaN(own[0]) && !math.IsInf(own[0], 0) { // a width beyond all numbers makes no bins
			edges = append(slices.Clip(edges), own...)
		}
	}
	if err := f.freezeSorted(values, o.Resolution, edges); err != nil {
		return err
	}
	f.Counts.Inf, f.Counts.Invalid = infs, invalid
	return nil
}

// freezeSorted makes the cells of sorted numbers and counts them.
func (f *Feature) freezeSorted(values []float64, resolution int, edges []float64) error {
	f.Deciles = deciles(values)
	points, err := cutPoints(values, resolution, f.Deciles, edges)
	if err != nil {
		return err
	}
	if f.Space, err = cells.NewNumeric(points); err != nil {
		return err
	}
	f.Counts = cells.NewCounts(f.Space)
	f.Counts.AddSorted(values)
	for rest := values; len(rest) > 0; {
		run := 1
		for run < len(rest) && rest[run] == rest[0] {
			run++
		}
		f.Distinct++
		if run == 1 {
			f.Singletons++
		}
		rest = rest[run:]
	}
	return nil
}

// deciles returns the nine deciles of sorted values: h = k(n-1)/10 in integers, between the order statistics at its floor and
// above it (type 7 of Hyndman and Fan 1996, NumPy's default).
func deciles(sorted []float64) []float64 {
	if len(sorted) == 0 {
		return nil
	}
	out := make([]float64, 0, 9)
	for k := 1; k <= 9; k++ {
		h := k * (len(sorted) - 1)
		i, rest := h/10, h%10
		e := sorted[i]
		if rest != 0 {
			e = cells.Interpolate(sorted[i], sorted[i+1], float64(rest)/10)
		}
		if e == 0 {
			e = 0 // -0
		}
		out = append(out, e)
	}
	return out
}

// cutPoints returns the points of a numeric feature with these sorted values: all distinct ones while they fit the
// resolution R, else the smallest, and the order statistics at the ranks ⌈kn/R⌉, k = 1 … R. Ranks are at most ⌈n/R⌉ apart, so
// they meet every run of equal values with a mass of 1/R. The deciles and the edges are always points.
func cutPoints(sorted []float64, resolution int, deciles, edges []float64) ([]float64, error) {
	var points []float64 // not all distinct values: there may be as many as there are values
	for i, x := range sorted {
		if (i == 0 || x != sorted[i-1]) && len(points) <= resolution {
			points = append(points, x)
		}
	}
	if len(points) > resolution {
		n := uint64(len(sorted))
		r := uint64(resolution)
		points = append(points[:0], sorted[0])
		for k := uint64(1); k <= r; k++ {
			points = append(points, sorted[(k*n+r-1)/r-1])
		}
	}
	points = append(points, deciles...)
	for _, e := range edges {
		if math.IsNaN(e) || math.IsInf(e, 0) {
			return nil, fmt.Errorf("the edge %v is not finite", e)
		}
		points = append(points, e+0) // -0 + 0 is 0
	}
	slices.Sort(points)
	return slices.Compact(points), nil
}

func (c *column) freezeCategorical(f *Feature, maxCategories int) error {
	counts := make(map[string]uint64, len(c.strings))
	for s, n := range c.strings {
		counts[s] += n
	}
	var infs uint64
	var buf []byte
	for _, x := range c.numbers {
		switch {
		case math.IsInf(x, 0):
			infs++
		case !math.IsNaN(x):
			buf = event.AppendShortest(buf[:0], x)
			counts[string(buf)]++
		}
	}
	if c.falses > 0 {
		counts["false"] += c.falses
	}
	if c.trues > 0 {
		counts["true"] += c.trues
	}
	if err := f.freezeCounts(counts, maxCategories); err != nil {
		return err
	}
	f.Counts.Inf, f.Counts.Invalid = infs, c.invalid
	return nil
}

// freezeCounts makes the cells of categories that were seen so often, and counts them.
func (f *Feature) freezeCounts(counts map[string]uint64, maxCategories int) error {
	type category struct {
		name string
		n    uint64
	}
	all := make([]category, 0, len(counts))
	for name, n := range counts {
		all = append(all, category{name, n})
		if n == 1 {
			f.Singletons++
		}
	}
	f.Distinct = uint64(len(all))
	slices.SortFunc(all, func(a, b category) int { return cmp.Or(cmp.Compare(b.n, a.n), cmp.Compare(a.name, b.name)) })
	var tracked []string
	for _, k := range all {
		if k.n >= MinCategoryCount && len(tracked) < maxCategories && len(k.name) <= cells.MaxCategoryName {
			tracked = append(tracked, k.name)
		}
	}
	var err error
	if f.Space, err = cells.NewCategorical(tracked); err != nil {
		return err
	}
	f.Counts = cells.NewCounts(f.Space)
	for _, k := range all {
		name := []byte(k.name)
		for range k.n {
			f.Counts.AddCategory(name)
		}
	}
	return nil
}
