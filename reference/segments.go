package reference

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/driftd/driftd/cells"
	"github.com/driftd/driftd/event"
	"github.com/driftd/driftd/internal/exact/wire"
	"github.com/driftd/driftd/result"
)

// A part of the rows is compared with the same part of the reference: compared with all of it, every part that differs from the
// whole would drift for ever. So a reference holds the counts of its rows by segment too, over the cells of the whole.

// SegmentBy names a dimension by whose values rows are counted on their own: a `segment` field, else a feature.
type SegmentBy struct {
	Name    string
	Values  []string // those counted on their own; empty: the Largest ones of the rows
	Largest int      // how many of them; 0: DefaultSegments
}

// Dimension is the rows of a reference by the values of one dimension. Every row is in one segment: those of values that are not
// counted on their own are in result.Other, those without a value in result.NoValue.
type Dimension struct {
	Name     string
	Segments []Segment // those with rows, by Value
}

// Segment is the rows of one value.
type Segment struct {
	Value   string
	Rows    uint64
	Latency *cells.Histogram // nil where none of them has one

	features []segmentFeature // in the order of the reference's
}

// segmentFeature is what one feature was in the rows of a segment.
type segmentFeature struct {
	counts               *cells.Counts // over the feature's cells
	distinct, singletons uint64
}

// Dimension returns the dimension of a name, or nil.
func (r *Reference) Dimension(name string) *Dimension {
	i, ok := slices.BinarySearchFunc(r.Dimensions, name, func(d Dimension, name string) int { return strings.Compare(d.Name, name) })
	if !ok {
		return nil
	}
	return &r.Dimensions[i]
}

// find returns the segment of a value, or nil.
func (d *Dimension) find(value string) *Segment {
	i, ok := slices.BinarySearchFunc(d.Segments, value, func(s Segment, value string) int { return strings.Compare(s.Value, value) })
	if !ok {
		return nil
	}
	return &d.Segments[i]
}

// Has reports whether rows of a value are counted on their own; result.Other and result.NoValue are values too.
func (d *Dimension) Has(value string) bool { return d.find(value) != nil }

// Without returns the values of all segments but some, and but result.NoValue.
func (d *Dimension) Without(some []string) []string {
	var out []string
	for i := range d.Segments {
		if v := d.Segments[i].Value; v != result.NoValue && !slices.Contains(some, v) {
			out = append(out, v)
		}
	}
	return out
}

// Segment returns the reference of the rows of these values of a dimension alone, over the cells of all, or nil where there are none. It is
// not counted by pane. Of several values together what is distinct is known up to the cells, and what was seen once is not known.
func (r *Reference) Segment(dimension string, values ...string) *Reference {
	d := r.Dimension(dimension)
	if d == nil {
		return nil
	}
	var rows uint64
	var latency *cells.Histogram
	var last *Segment
	counts := make([]*cells.Counts, len(r.Features))
	for _, v := range values {
		s := d.find(v)
		if s == nil {
			continue
		}
		rows, last = rows+s.Rows, s
		for i := range s.features {
			if counts[i] == nil {
				counts[i] = s.features[i].counts.Clone()
			} else if err := counts[i].Merge(s.features[i].counts); err != nil {
				panic(fmt.Sprintf("BUG: segments of one reference that do not add: %v", err))
			}
		}
		if s.Latency == nil {
			continue
		}
		if latency == nil {
			latency = cells.NewHistogram()
		}
		if err := latency.Merge(s.Latency); err != nil {
			panic(fmt.Sprintf("BUG: latencies that do not add: %v", err))
		}
	}
	if last == nil {
		return nil
	}
	out := r.Over(r.Name, r.Start, r.End, rows, latency, counts)
	if rows == last.Rows {
		for i := range last.features {
			out.Features[i].Distinct, out.Features[i].Singletons = last.features[i].distinct, last.features[i].singletons
		}
	}
	return out
}

// Largest returns the values of a dimension that are counted on their own, the n with the most rows, in byte order.
func (d *Dimension) Largest(n int) []string {
	order := slices.Clone(d.Segments)
	order = slices.DeleteFunc(order, func(s Segment) bool { return s.Value == result.Other || s.Value == result.NoValue })
	slices.SortFunc(order, func(a, b Segment) int { return cmp.Or(cmp.Compare(b.Rows, a.Rows), strings.Compare(a.Value, b.Value)) })
	out := make([]string, 0, min(n, len(order)))
	for _, s := range order[:min(n, len(order))] {
		out = append(out, s.Value)
	}
	slices.Sort(out)
	return out
}

// CheckDimension says what is wrong with the name of a dimension, or nil.
func CheckDimension(name string) error {
	if name == "" || len(name) > maxDimensionBytes || strings.ContainsAny(name, "=*") {
		return fmt.Errorf("%q is no dimension: a name has 1 to %d bytes, and neither '=' nor '*'", name, maxDimensionBytes)
	}
	return nil
}

// checkSegments says what no reference can be counted by.
func checkSegments(all []SegmentBy) []error {
	var errs []error
	if len(all) > MaxDimensions {
		errs = append(errs, fmt.Errorf("%d segment dimensions, at most %d are allowed", len(all), MaxDimensions))
	}
	for i, by := range all {
		if err := CheckDimension(by.Name); err != nil {
			errs = append(errs, err)
		}
		if slices.ContainsFunc(all[:i], func(o SegmentBy) bool { return o.Name == by.Name }) {
			errs = append(errs, fmt.Errorf("the segment dimension %q is given twice", by.Name))
		}
		if len(by.Values) > MaxSegments || by.Largest < 0 || by.Largest > MaxSegments {
			errs = append(errs, fmt.Errorf("the segment dimension %q has %d values and asks for the %d largest, at most %d are allowed",
				by.Name, len(by.Values), by.Largest, MaxSegments))
		}
		for _, v := range by.Values {
			if len(v) > maxName {
				errs = append(errs, fmt.Errorf("the segment %.40q… of %q has %d bytes, at most %d are allowed", v, by.Name, len(v), maxName))
			}
		}
	}
	return errs
}

// segmentRows collects the rows of a dimension by value.
type segmentRows struct {
	by     SegmentBy
	values map[string]*part
	buf    []byte
}

// part is the raw values of the rows of one value.
type part struct {
	rows    uint64
	latency *cells.Histogram // nil: none
	columns map[columnKey]*column
}

func newSegmentRows(by SegmentBy) *segmentRows {
	return &segmentRows{by: by, values: map[string]*part{}, buf: nil}
}

// heldPart is about what a value, and a column of it, takes in memory beside its raw values.
const heldPart = 256

// add adds a row. It returns about how many bytes are held more.
func (s *segmentRows) add(e *event.Event) (held int) {
	value, ok := e.AppendDimension(s.buf[:0], s.by.Name)
	s.buf = value
	switch {
	case !ok:
		value = []byte(result.NoValue)
	case len(value) > maxName, len(s.by.Values) > 0 && !slices.ContainsFunc(s.by.Values, func(v string) bool { return v == string(value) }):
		value = []byte(result.Other)
	}
	p := s.values[string(value)]
	if p == nil {
		p = &part{rows: 0, latency: nil, columns: map[columnKey]*column{}}
		s.values[string(value)] = p
		held += heldPart
	}
	p.rows++
	if e.HasLatency {
		h := p.latency
		if h == nil {
			h = cells.NewHistogram()
		}
		if h.Add(e.Latency) {
			p.latency = h
		}
	}
	set := func(role result.Role, fields []event.Field) {
		for i := range fields {
			key := columnKey{role, string(fields[i].Name)}
			c := p.columns[key]
			if c == nil {
				c = newColumn()
				p.columns[key] = c
				held += heldPart
			}
			held += c.set(p.rows, untimed, fields[i].Value)
		}
	}
	set(result.RolePrediction, e.Prediction)
	set(result.RoleFeature, e.Features)
	return held
}

// countBySegment adds the counts by segment to a reference.
func (b *Builder) countBySegment(r *Reference) error {
	for _, s := range b.segments {
		if len(s.values) > maxSegmentValues {
			return fmt.Errorf("the segment dimension %q has %d values, of which at most %d are looked at for the largest: name those to count on their own",
				s.by.Name, len(s.values), maxSegmentValues)
		}
		r.Dimensions = append(r.Dimensions, s.freeze(r))
	}
	slices.SortFunc(r.Dimensions, func(a, b Dimension) int { return strings.Compare(a.Name, b.Name) })
	return nil
}

// freeze chooses the values that are counted on their own and counts the rows of each over the cells of the whole.
func (s *segmentRows) freeze(r *Reference) Dimension {
	own := map[string]bool{result.NoValue: true}
	if len(s.by.Values) > 0 {
		for _, v := range s.by.Values {
			own[v] = true
		}
	} else {
		all := Dimension{Name: s.by.Name, Segments: nil}
		for v, p := range s.values {
			all.Segments = append(all.Segments, Segment{Value: v, Rows: p.rows, Latency: nil, features: nil})
		}
		for _, v := range all.Largest(cmp.Or(s.by.Largest, DefaultSegments)) {
			own[v] = true
		}
	}
	parts := map[string][]*part{}
	for _, v := range slices.Sorted(maps.Keys(s.values)) {
		if own[v] {
			parts[v] = append(parts[v], s.values[v])
		} else {
			parts[result.Other] = append(parts[result.Other], s.values[v])
		}
	}
	d := Dimension{Name: s.by.Name, Segments: nil}
	for _, v := range slices.Sorted(maps.Keys(parts)) {
		d.Segments = append(d.Segments, freezeParts(v, parts[v], r))
	}
	return d
}

func freezeParts(value string, parts []*part, r *Reference) Segment {
	s := Segment{Value: value, Rows: 0, Latency: nil, features: make([]segmentFeature, len(r.Features))}
	for _, p := range parts {
		s.Rows += p.rows
		if p.latency == nil {
			continue
		}
		if s.Latency == nil {
			s.Latency = cells.NewHistogram()
		}
		if err := s.Latency.Merge(p.latency); err != nil {
			panic(fmt.Sprintf("BUG: latencies that do not add: %v", err))
		}
	}
	for i := range r.Features {
		f := &r.Features[i]
		var columns []*column
		for _, p := range parts {
			if c := p.columns[columnKey{f.Role, f.Name}]; c != nil {
				columns = append(columns, c)
			}
		}
		s.features[i] = countColumns(columns, f, s.Rows)
	}
	return s
}

// countColumns counts raw values over the cells of a feature. Its distinct values are those of the feature's kind.
func countColumns(columns []*column, f *Feature, rows uint64) segmentFeature {
	numbers := make([][]float64, 0, len(columns))
	beside := make([]*others, 0, len(columns))
	for _, c := range columns {
		c.settle()
		numbers = append(numbers, c.numbers)
		beside = append(beside, &others{falses: c.falses, trues: c.trues, invalid: c.invalid, strings: c.strings})
	}
	out := segmentFeature{counts: cells.NewCounts(f.Space), distinct: 0, singletons: 0}
	if f.Space.Kind() == cells.Categorical {
		addCategories(out.counts, numbers, beside)
		out.distinct, out.singletons = countCategories(numbers, beside)
	} else {
		out.distinct, out.singletons = countNumbers(addNumbers(out.counts, numbers, beside, nil))
	}
	out.counts.Missing = rows - out.counts.N() - out.counts.Inf - out.counts.Invalid
	out.counts.Compact()
	return out
}

// countNumbers returns how many different values there are, and how many of them come once.
func countNumbers(sorted []float64) (distinct, singletons uint64) {
	for rest := sorted; len(rest) > 0; {
		run := 1
		for run < len(rest) && rest[run] == rest[0] {
			run++
		}
		if distinct++; run == 1 {
			singletons++
		}
		rest = rest[run:]
	}
	return distinct, singletons
}

// countCategories is countNumbers for the values of a categorical feature.
func countCategories(numbers [][]float64, beside []*others) (distinct, singletons uint64) {
	seen := map[string]uint64{}
	var buf []byte
	for _, xs := range numbers {
		for _, x := range xs {
			if x-x == 0 {
				buf = event.AppendShortest(buf[:0], x)
				seen[string(buf)]++
			}
		}
	}
	for _, o := range beside {
		for s, n := range o.strings {
			seen[s] += n
		}
		if o.falses > 0 {
			seen["false"] += o.falses
		}
		if o.trues > 0 {
			seen["true"] += o.trues
		}
	}
	for _, n := range seen {
		if n == 1 {
			singletons++
		}
	}
	return uint64(len(seen)), singletons
}

// appendSegments appends the counts by segment.
func (r *Reference) appendSegments(b []byte) []byte {
	b = wire.AppendUvarint(b, uint64(len(r.Dimensions)))
	for i := range r.Dimensions {
		d := &r.Dimensions[i]
		b = wire.AppendString(b, d.Name)
		b = wire.AppendUvarint(b, uint64(len(d.Segments)))
		for j := range d.Segments {
			s := &d.Segments[j]
			b = wire.AppendString(b, s.Value)
			b = wire.AppendUvarint(b, s.Rows)
			if s.Latency == nil {
				b = append(b, 0)
			} else {
				b = s.Latency.AppendBinary(append(b, 1))
			}
			for k := range s.features {
				f := &s.features[k]
				b = f.counts.AppendBinary(b)
				b = wire.AppendUvarint(b, f.distinct)
				b = wire.AppendUvarint(b, f.singletons)
			}
		}
	}
	return b
}

// decodeSegments reads what appendSegments wrote, and checks that the segments of every dimension add up to the whole.
func decodeSegments(ref *Reference, r *wire.Reader) error {
	n := r.Count(2)
	if n == 0 || n > MaxDimensions {
		r.Fail("%d segment dimensions", n)
	}
	for range n {
		d := Dimension{Name: r.String(maxDimensionBytes), Segments: nil}
		if err := CheckDimension(d.Name); r.Err() == nil && err != nil {
			r.Fail("%v", err)
		}
		if k := len(ref.Dimensions); k > 0 && ref.Dimensions[k-1].Name >= d.Name {
			r.Fail("the dimension %q is not above the one before", d.Name)
		}
		segments := r.Count(3)
		if segments == 0 || segments > MaxSegments+2 {
			r.Fail("%d segments", segments)
		}
		for range segments {
			s, err := decodeSegment(ref, r)
			if err != nil {
				return fmt.Errorf("dimension %q: %w", d.Name, err)
			}
			if k := len(d.Segments); k > 0 && d.Segments[k-1].Value >= s.Value {
				r.Fail("the segment %q is not above the one before", s.Value)
			}
			d.Segments = append(d.Segments, *s)
		}
		if r.Err() != nil {
			return r.Err()
		}
		if err := d.check(ref); err != nil {
			return fmt.Errorf("%w: dimension %q: %w", wire.ErrCorrupt, d.Name, err)
		}
		ref.Dimensions = append(ref.Dimensions, d)
	}
	return r.Err()
}

func decodeSegment(ref *Reference, r *wire.Reader) (*Segment, error) {
	s := &Segment{Value: r.String(maxName), Rows: r.Uvarint(), Latency: nil, features: make([]segmentFeature, len(ref.Features))}
	if r.Err() == nil && (s.Rows == 0 || s.Rows > ref.Rows) {
		r.Fail("segment %q of %d rows", s.Value, s.Rows)
	}
	if r.Err() != nil {
		return nil, r.Err()
	}
	var err error
	if s.Latency, err = decodeLatency(r, s.Rows); err != nil {
		return nil, err
	}
	for i := range s.features {
		f := &s.features[i]
		c, rest, err := cells.DecodeCounts(ref.Features[i].Space, r.Rest())
		if err != nil {
			return nil, fmt.Errorf("segment %q: %q: %w", s.Value, ref.Features[i].Name, err)
		}
		r.Bytes(len(r.Rest()) - len(rest))
		f.counts, f.distinct, f.singletons = c, r.Uvarint(), r.Uvarint()
		of := Feature{Name: "", Role: "", Space: c.Space(), Counts: c, Deciles: decilesOver(c), Distinct: f.distinct, Singletons: f.singletons, panes: nil}
		if c.Space().Kind() == cells.Categorical {
			of.Deciles = nil
		}
		if err := of.check(s.Rows); r.Err() == nil && err != nil {
			r.Fail("segment %q: %q: %v", s.Value, ref.Features[i].Name, err)
		}
	}
	return s, r.Err()
}

// check says when the segments are not the rows of the whole.
func (d *Dimension) check(ref *Reference) error {
	var rows uint64
	latency := cells.NewHistogram()
	for i := range d.Segments {
		rows += d.Segments[i].Rows // each is at most the whole's, and there are few
		if l := d.Segments[i].Latency; l != nil {
			if err := latency.Merge(l); err != nil {
				return err
			}
		}
	}
	if rows != ref.Rows {
		return fmt.Errorf("%d rows in segments, %d in all", rows, ref.Rows)
	}
	whole := cells.NewHistogram()
	if ref.Latency != nil {
		whole = ref.Latency
	}
	if !bytes.Equal(latency.AppendBinary(nil), whole.AppendBinary(nil)) {
		return fmt.Errorf("%d latencies in segments, %d in all, or others", latency.Count(), whole.Count())
	}
	for i := range ref.Features {
		f := &ref.Features[i]
		rest := f.Counts.Clone()
		for j := range d.Segments {
			if err := rest.Subtract(d.Segments[j].features[i].counts); err != nil {
				return fmt.Errorf("%q: %w", f.Name, err)
			}
		}
		if left := rest.N() + rest.Missing + rest.Inf + rest.Invalid; left != 0 {
			return fmt.Errorf("%q: %d rows are in no segment", f.Name, left)
		}
	}
	return nil
}
