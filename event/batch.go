package event

import (
	"bytes"
	"math"
	"slices"
)

// Batch is records for a caller who takes many of them at once instead of one by one, the rows from Row to before End of Columns: all are prediction
// events of one model and one version, and nothing of any is refused or of a wrong type. Latencies are for the caller to judge. It is valid until
// the next call of Next or Batch. The first element of a slice is that of First, which is Row or before.
type Batch struct {
	Columns     *Columns
	First       int
	Row, End    int
	Model       []byte  // empty: the body names none
	Version     []byte  // empty: `unknown`
	Times       []int64 // Unix milliseconds; nil: the rows have none
	UnknownKeys int     // of each row

	IDs         [][]byte  // empty where there is none; nil: no row has one
	Latencies   []float64 // milliseconds, NaN where there is none; nil: no row has one
	Statuses    [][]byte  // or by StatusIndex; empty where there is none; nil: no row has one
	StatusIndex []uint32  // nil: there is none

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

// fewTogether records are as well taken one by one.
const fewTogether = 4

// Batch returns the records from Index()+1 on that can be taken together, or nil where the next one is to be read by Next. Skip says how many were
// taken.
func (d *Decoder) Batch() *Batch {
	if !d.keep || d.state == framingStart && !d.opened() {
		return nil
	}
	b := &d.batch
	c, first, row, end, unknown := d.columns, 0, d.index+1, d.columns.rows, 0
	switch d.state {
	case framingRows:
	case framingLines:
		if d.taken == len(d.ahead) {
			if d.pos = skipSpace(d.msg, d.pos); d.pos == len(d.msg) || d.msg[d.pos] != '{' {
				return nil
			}
			if d.begin(d.pos); !d.lookAhead(d.pos) {
				return nil
			}
		}
		c, first, row, end = &d.following.columns, d.ahead[0].row, d.ahead[d.taken].row, d.ahead[len(d.ahead)-1].row+1
		unknown = d.following.unknown
	case framingStart, framingFirst, framingMore, framingBehind, framingBroken, framingDone:
		return nil
	}
	if end-row < fewTogether {
		return nil
	}
	if b.state == batchUnknown {
		if b.state = batchNone; b.gather(c, first, end, d.limits) {
			b.state = batchOne
			b.UnknownKeys += unknown
		}
	}
	if b.state != batchOne {
		return nil
	}
	b.Row = row
	return b
}

// opened looks how the message begins, and reports whether there is one.
func (d *Decoder) opened() bool {
	if len(d.msg) == 0 {
		return false
	}
	if !d.columnar() {
		d.frame()
	}
	return true
}

// Skip moves behind n records that were taken from the Batch: Index is that of the last one.
func (d *Decoder) Skip(n int) {
	d.index += n
	if d.raw = d.raw[:0]; d.state == framingLines {
		d.taken += n
		d.pos = d.ahead[d.taken-1].end
	}
}

// gather fills a batch with rows of columns and reports whether they are one.
func (b *Batch) gather(c *Columns, first, end int, l Limits) bool {
	*b = Batch{Columns: c, First: first, End: end, state: b.state, text: b.text[:0], ids: b.ids[:0], codes: b.codes[:0], times: b.times[:0]}
	return !c.bad && !slices.ContainsFunc(c.others, func(i int) bool { return !b.take(&c.all[i], l) })
}

// take takes a column that is no feature, as Decoder.assign takes its values, and reports whether it can be taken at once.
func (b *Batch) take(c *Column, l Limits) (ok bool) {
	switch c.role {
	case roleModel:
		b.Model, ok = b.constant(c)
		return ok
	case roleVersion:
		b.Version, ok = b.constant(c)
		return ok && len(b.Version) <= l.MaxName
	case roleID:
		if c.index == nil && c.isString() {
			b.IDs = c.strings[b.First:b.End]
			return true
		}
		b.ids, ok = b.texts(c, b.ids)
		b.IDs = b.ids
		return ok
	case roleTime:
		return b.takeTimes(c)
	case roleLatency:
		b.Latencies = c.nums[b.First:min(b.End, len(c.nums))]
		return c.kind == kindNumber || c.kind == kindInteger
	case roleStatus:
		if c.index == nil && c.isString() {
			b.Statuses = c.strings[b.First:b.End]
			return true
		} else if c.isString() {
			b.Statuses, b.StatusIndex = c.strings, c.index[b.First:b.End]
			return true
		}
		b.codes, ok = b.texts(c, b.codes)
		b.Statuses = b.codes
		return ok
	case roleSegment:
		return c.kind == kindText || !slices.ContainsFunc(c.strings, func(s []byte) bool { return len(s) > l.MaxName }) // texts were looked at
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

// isString reports whether the strings of the column are what texts are of its rows: those of null are empty.
func (c *Column) isString() bool {
	return c.kind == kindText || c.kind == kindString && c.isNull == nil
}

// constant returns the string that every row has; ok is false where they have different ones, or some have none.
func (b *Batch) constant(c *Column) (s []byte, ok bool) {
	if !c.isString() {
		return nil, false
	}
	if c.index != nil {
		of := c.index[b.First:b.End]
		return c.strings[of[0]], !slices.ContainsFunc(of, func(i uint32) bool { return i != of[0] })
	}
	of := c.strings[b.First:b.End]
	return of[0], !slices.ContainsFunc(of, func(o []byte) bool { return !bytes.Equal(o, of[0]) })
}

// texts appends the text of each row to out, as Decoder.text has it; ok is false where a value is none.
func (b *Batch) texts(c *Column, out [][]byte) (texts [][]byte, ok bool) {
	if c.kind == kindBool {
		return out, false
	}
	for row := b.First; row < b.End; row++ {
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
	switch {
	case len(c.isNull) > 0 || c.kind == kindBool:
		return false
	case c.kind == kindInteger:
		b.Times = c.ints[b.First:b.End]
		return !slices.ContainsFunc(b.Times, func(ms int64) bool { return ms < minMillis || ms > maxMillis })
	}
	for row := b.First; row < b.End; row++ {
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
