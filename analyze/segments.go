package analyze

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/driftd/driftd/event"
	"github.com/driftd/driftd/result"
	"github.com/driftd/driftd/rows"
)

// maxSegments bounds the values that are analysed on their own; the rest is one segment, `other`.
const maxSegments = 50

// Segments of rows without a value, and of rare values.
const (
	segmentMissing = "(missing)"
	segmentOther   = result.Other
)

// maxSegmentValues bounds the different values of the column of --segment-by: one with more says which row it is, not of which group.
const maxSegmentValues = 1 << 17

var errTooManySegments = errors.New("too many segments")

// segmentVisitor notes the value of every row as a number. It is a rows.Visitor.
type segmentVisitor struct {
	ids    map[string]uint32
	names  []string
	counts []uint64
	rows   []uint32
	buf    []byte
	stop   func(err error)
}

func (v *segmentVisitor) add(name []byte) {
	id, ok := v.ids[string(name)]
	if !ok {
		if len(v.names) == maxSegmentValues {
			v.stop(errTooManySegments)
			return
		}
		id = uint32(len(v.names))
		v.ids[string(name)] = id
		v.names = append(v.names, string(name))
		v.counts = append(v.counts, 0)
	}
	v.counts[id]++
	v.rows = append(v.rows, id)
}

// Numbers implements rows.Visitor.
func (v *segmentVisitor) Numbers(xs []float64) {
	for _, x := range xs {
		v.Value(event.Value{Kind: event.ValueNumber, Num: x, Str: nil})
	}
}

// Nulls implements rows.Visitor.
func (v *segmentVisitor) Nulls(n int) {
	for range n {
		v.add([]byte(segmentMissing))
	}
}

// Value implements rows.Visitor.
func (v *segmentVisitor) Value(value event.Value) {
	if value.Kind == event.ValueNumber && value.Num-value.Num != 0 { // NaN and infinities
		v.add([]byte(segmentMissing))
		return
	}
	name, class := value.AppendCategory(v.buf[:0])
	v.buf = name
	if class != event.ClassValue {
		name = []byte(segmentMissing)
	}
	v.add(name)
}

// findSegments reads the column of --segment-by: the largest values over both sides get segments of their own.
func (a *analysis) findSegments(ctx context.Context) error {
	if a.SegmentBy == "" {
		return nil
	}
	v := &segmentVisitor{ids: map[string]uint32{}}
	read := func(t *rows.Table) ([]uint32, error) {
		v.rows = nil
		if t == nil {
			return nil, nil
		}
		i := slices.IndexFunc(t.Columns(), func(c rows.Column) bool { return c.Header == a.SegmentBy })
		if i < 0 {
			for range t.Rows() {
				v.Nulls(1)
			}
			return v.rows, nil
		}
		inner, cancel := context.WithCancelCause(ctx)
		defer cancel(nil)
		v.stop = cancel
		err := t.Read(inner, i, v)
		if errors.Is(context.Cause(inner), errTooManySegments) {
			return nil, &UsageError{fmt.Sprintf("--segment-by %s: more than %d different values; take a column that groups the rows", a.SegmentBy, maxSegmentValues)}
		}
		return v.rows, err //nolint:wrapcheck // it says which file and where
	}
	ref, err := read(a.ref)
	if err != nil {
		return err
	}
	cur, err := read(a.cur)
	if err != nil {
		return err
	}
	order := make([]int, len(v.names))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(x, y int) int {
		return cmp.Or(cmp.Compare(v.counts[y], v.counts[x]), cmp.Compare(v.names[x], v.names[y]))
	})
	kept := map[string]int{}
	for _, i := range order[:min(len(order), maxSegments)] {
		kept[v.names[i]] = 0
	}
	a.segments = slices.Sorted(maps.Keys(kept))
	for k, name := range a.segments {
		kept[name] = k + 1
	}
	other := 0
	if len(order) > maxSegments {
		if _, taken := kept[segmentOther]; !taken {
			a.segments = append(a.segments, segmentOther)
			kept[segmentOther] = len(a.segments)
		}
		other = kept[segmentOther]
	}
	number := make([]uint16, len(v.names))
	for i, name := range v.names {
		number[i] = uint16(cmp.Or(kept[name], other))
	}
	split := func(ids []uint32) (segmentation, []uint64) {
		out, counts := make(segmentation, len(ids)), make([]uint64, len(a.segments)+1)
		for i, id := range ids {
			out[i] = number[id]
			counts[out[i]]++
		}
		return out, counts
	}
	a.refRows, a.refCount = split(ref)
	a.curRows, a.curCount = split(cur)
	return nil
}
