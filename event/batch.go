package event

import (
	"bytes"
	"math"
	"slices"
)

// Batch is the rows of a columnar message for a caller who takes many of them at once instead of one by one: all are prediction events of one
// model and one version, and nothing of any is refused or of a wrong type. Latencies are for the caller to judge. It is valid until the Decoder
// begins the next message. Slices by row have one element for each row of the message.
type Batch struct {
	Columns     *Columns
	Model       []byte  // empty: the body names none
	Version     []byte  // empty: `unknown`
	Times       []int64 // by row, Unix milliseconds; nil: the rows have none
	UnknownKeys int     // of each row

	IDs         [][]byte  // by row, empty where there is none; nil: no row has one
	Latencies   []float64 // by row, milliseconds, NaN where there is none; nil: no row has one
	Statuses    [][]byte  // by row, or by StatusIndex; empty where there is none; nil: no row has one
	StatusIndex []uint32  // by row; nil: there is none

	state batching
	text  []byte // of numbers that are texts, for IDs and Statuses
	ids   [][]byte
	codes [][]byte
	times []int64
}

// batching says what is known of the message.
type batching uint8

const (
	batchUnknown batching = iota
	batchNone
	batchOne
)

// Batch returns the rows from Index()+1 on of a columnar message that can be taken together, or nil where the next record is to be read by Next.
// Skip says how many were taken.
func (d *Decoder) Batch() *Batch {
	if d.state == framingStart {
		d.columnar()
	}
	if !d.keep || d.state != framingRows || d.index+1 >= d.columns.rows {
		return nil
	}
	b := &d.batch
	if b.state == batchUnknown {
		if b.state = batchNone; d.columns.gather(b, d.limits) {
			b.state = batchOne
		}
	}
	if b.state != batchOne {
		return nil
	}
	return b
}

// Skip moves behind n rows that were taken from the Batch: Index is that of the last one.
func (d *Decoder) Skip(n int) {
	d.index += n
	d.raw = d.raw[:0]
}

// gather fills a batch and reports whether the columns are one.
func (c *Columns) gather(b *Batch, l Limits) bool {
	*b = Batch{Columns: c, state: b.state, text: b.text[:0], ids: b.ids[:0], codes: b.codes[:0], times: b.times[:0]}
	return !c.bad && !slices.ContainsFunc(c.others, func(i int) bool { return !b.take(&c.all[i], l) })
}

// take takes a column that is no feature, as Decoder.assign takes its values, and reports whether it can be taken at once.
func (b *Batch) take(c *Column, l Limits) (ok bool) {
	switch c.role {
	case roleModel:
		b.Model, ok = c.constant()
		return ok
	case roleVersion:
		b.Version, ok = c.constant()
		return ok && len(b.Version) <= l.MaxName
	case roleID:
		if c.kind == kindString && c.index == nil && c.isNull == nil {
			b.IDs = c.strings
			return true
		}
		b.ids, ok = b.texts(c, b.ids)
		b.IDs = b.ids
		return ok
	case roleTime:
		return b.takeTimes(c)
	case roleLatency:
		b.Latencies = c.nums
		return c.kind == kindNumber || c.kind == kindInteger
	case roleStatus:
		if c.kind == kindString && c.isNull == nil {
			b.Statuses, b.StatusIndex = c.strings, c.index
			return true
		}
		b.codes, ok = b.texts(c, b.codes)
		b.Statuses = b.codes
		return ok
	case roleSegment:
		return !slices.ContainsFunc(c.strings, func(s []byte) bool { return len(s) > l.MaxName })
	case roleSchema:
		return c.kind == kindInteger || c.kind == kindNumber && !slices.ContainsFunc(c.nums, func(x float64) bool { return math.IsInf(x, 0) })
	case roleUnknown:
		b.UnknownKeys++
	case roleLabel:
		return false // rows may be labels
	case rolePrediction, rolePredictionTime, roleFeature: // counted by columns; said of labels only
	}
	return true
}

// constant returns the string that every row has; ok is false where they have different ones, or some have none.
func (c *Column) constant() (s []byte, ok bool) {
	if c.kind != kindString || c.isNull != nil {
		return nil, false
	}
	if c.index == nil {
		s = c.strings[0]
		return s, !slices.ContainsFunc(c.strings, func(o []byte) bool { return !bytes.Equal(o, s) })
	}
	first := c.index[0]
	return c.strings[first], !slices.ContainsFunc(c.index, func(i uint32) bool { return i != first })
}

// texts appends the text of each row to out, as Decoder.text has it; ok is false where a value is none.
func (b *Batch) texts(c *Column, out [][]byte) (texts [][]byte, ok bool) {
	if c.kind == kindBool {
		return out, false
	}
	for row := range b.Columns.rows {
		v := c.Value(row)
		if v.Kind == ValueNumber {
			from := len(b.text)
			b.text = c.appendLiteral(b.text, row)
			v.Str = b.text[from:len(b.text):len(b.text)]
		}
		out = append(out, v.Str)
	}
	return out, true
}

// takeTimes reads the times; every row must have one.
func (b *Batch) takeTimes(c *Column) (ok bool) {
	if len(c.isNull) > 0 || c.kind == kindBool {
		return false
	}
	for row := range b.Columns.rows {
		var ms int64
		var flaw string
		if c.kind == kindString {
			ms, flaw = parseRFC3339(c.text(row))
		} else {
			ms, flaw = epochMillis(c.nums[row]) // NaN is out of range
		}
		if flaw != "" {
			return false
		}
		b.times = append(b.times, ms)
	}
	b.Times = b.times
	return true
}
