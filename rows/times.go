package rows

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/driftd/driftd/event"
)

// timesMemory is how many bytes of the times of events are kept in memory before a temporary file is used.
const timesMemory = 8 << 20

// newTimes keeps the times of events, which are no column of a Table.
func newTimes() *spill { return &spill{columns: []*spillColumn{{}}, budget: timesMemory} }

// keepTime keeps the time of an event.
func keepTime(times *spill, e *event.Event) error {
	if !e.HasTime {
		return times.nulls(0, 1)
	}
	return times.add(0, event.Value{Kind: event.ValueNumber, Num: float64(e.Time), Str: nil})
}

// Times gives the event time of every row to each, in the order of the rows: Unix milliseconds, and false where a row has none. They are those
// of the column with the role `ts`, and in a file of events those of the events. Without either, Times returns false. A time that cannot be
// read is an *Error.
func (t *Table) Times(ctx context.Context, each func(ms int64, ok bool)) (bool, error) {
	v := &timeVisitor{each: each, row: 0, err: nil}
	stop := func() error {
		if v.err != nil {
			return v.err
		}
		return ctx.Err() //nolint:wrapcheck // it was the caller's
	}
	var err error
	if i := slices.IndexFunc(t.columns, func(c Column) bool { return c.Role == "ts" }); i >= 0 {
		err = t.source.read(i, v, stop)
	} else if t.times != nil {
		err = t.times.read(0, v, stop)
	} else {
		return false, nil
	}
	switch {
	case v.err != nil:
		return true, located(t.path, 0, v.err)
	case ctx.Err() != nil:
		return true, ctx.Err() //nolint:wrapcheck // it was the caller's
	case err != nil:
		return true, located(t.path, 0, err)
	}
	return true, nil
}

// timeVisitor reads a column as times. It is a Visitor.
type timeVisitor struct {
	each func(ms int64, ok bool)
	row  uint64
	err  error // of the first row whose time cannot be read
}

// Numbers implements Visitor.
func (v *timeVisitor) Numbers(xs []float64) {
	for _, x := range xs {
		v.Value(event.Value{Kind: event.ValueNumber, Num: x, Str: nil})
	}
}

// Nulls implements Visitor.
func (v *timeVisitor) Nulls(n int) {
	for range n {
		v.Value(event.Value{Kind: event.ValueNull, Num: 0, Str: nil})
	}
}

// Value implements Visitor.
func (v *timeVisitor) Value(value event.Value) {
	v.row++
	switch {
	case v.err != nil:
	case value.Kind == event.ValueNull:
		v.each(0, false)
	default:
		ms, err := instant(value)
		if err != nil {
			if value.Kind == event.ValueNumber { // a column keeps no texts of numbers
				value.Str = strconv.AppendFloat(nil, value.Num, 'g', -1, 64)
				_, err = instant(value)
			}
			v.err = fmt.Errorf("row %d: %w", v.row, err)
			return
		}
		v.each(ms, true)
	}
}
