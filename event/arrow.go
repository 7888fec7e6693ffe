package event

import (
	"bytes"
	"fmt"
	"math"
	"strconv"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// arrowMemory is what one message may take, unpacked.
const arrowMemory = 128 << 20

// boundedAllocator refuses what goes beyond, by a panic: there is no other way to refuse, and the reader recovers from it.
type boundedAllocator struct {
	*memory.GoAllocator

	left int
}

func (a *boundedAllocator) take(size int) {
	if a.left -= size; size < 0 || a.left < 0 {
		panic(a.exceeded())
	}
}

// exceeded says so; it is true when left is below 0.
func (a *boundedAllocator) exceeded() string {
	return fmt.Sprintf("the message takes more than %d bytes unpacked: send fewer events a message", arrowMemory)
}

func (a *boundedAllocator) Allocate(size int) []byte {
	a.take(size)
	return a.GoAllocator.Allocate(size)
}

func (a *boundedAllocator) Reallocate(size int, b []byte) []byte {
	a.take(max(0, size-len(b)))
	return a.GoAllocator.Reallocate(size, b)
}

// readArrow reads an Arrow IPC stream: its schema, and one record batch or more.
func (c *Columns) readArrow(b []byte, l Limits) (detail string) {
	unpacked := &boundedAllocator{memory.NewGoAllocator(), arrowMemory}
	// The library checks what it reads by the bounds of its slices, and so do we what it hands out.
	defer func() {
		v := recover()
		switch {
		case unpacked.left < 0: // the library may have recovered from it
			detail = unpacked.exceeded()
		case v != nil:
			detail = fmt.Sprintf("the Arrow stream is broken, it may have been cut off: %v", v)
		}
	}()
	if detail := checkArrow(b, l); detail != "" {
		return detail
	}
	r, err := ipc.NewReader(bytes.NewReader(b), ipc.WithAllocator(unpacked))
	if err != nil {
		return "the Arrow stream is broken, it may have been cut off: " + err.Error()
	}
	defer r.Release()
	for r.Next() {
		batch := r.RecordBatch()
		if batch.NumRows() > int64(maxRows-c.rows) {
			return fmt.Sprintf("more than %d rows: a columnar message has 1 to %d", maxRows, maxRows)
		}
		in := arrowBatch{columns: c, limits: l, unpacked: unpacked, first: c.rows == 0, at: 0, rows: int(batch.NumRows())}
		for i, arr := range batch.Columns() {
			if detail := in.add(batch.ColumnName(i), arr, nil); detail != "" {
				return "column " + strconv.QuoteToASCII(batch.ColumnName(i)) + ": " + detail
			}
		}
		c.rows += in.rows
	}
	if err := r.Err(); err != nil {
		return "the Arrow stream is broken, it may have been cut off: " + err.Error()
	}
	if c.rows == 0 {
		return fmt.Sprintf("0 rows: a columnar message has 1 to %d", maxRows)
	}
	for i := range c.all {
		if detail := c.all[i].finish(c.rows, nil, false); detail != "" {
			return fmt.Sprintf("column %d %q: %s", i, clip(c.all[i].path), detail)
		}
	}
	return ""
}

// arrowBatch appends the rows of one record batch. The columns of all batches are the same: there is one schema.
type arrowBatch struct {
	columns  *Columns
	limits   Limits
	unpacked *boundedAllocator
	first    bool
	at       int // the next column
	rows     int
}

// What is kept of a value in a column of numbers, and of one in the words of a column of strings, without its text.
const (
	cellBytes = 17
	textBytes = 24
)

// add appends the values of arr. Structs are flattened with '.', as objects are in JSON; parent says which rows have a null around them.
func (a *arrowBatch) add(name string, arr arrow.Array, parent []bool) string {
	if arr.Len() != a.rows {
		return fmt.Sprintf("%d values for %d rows", arr.Len(), a.rows)
	}
	a.unpacked.take(len(name) + cellBytes*a.rows)
	nulls := parent
	if arr.NullN() > 0 || arr.DataType().ID() == arrow.NULL {
		nulls = make([]bool, a.rows)
		for i := range nulls {
			nulls[i] = arr.IsNull(i) || len(parent) > 0 && parent[i]
		}
	}
	if s, ok := arr.(*array.Struct); ok {
		fields, ok := s.DataType().(*arrow.StructType)
		if !ok {
			return "a struct without fields"
		}
		for i := range s.NumField() {
			if detail := a.add(name+"."+fields.Field(i).Name, s.Field(i), nulls); detail != "" {
				return detail
			}
		}
		return ""
	}
	if a.first {
		if len(a.columns.all) >= a.limits.MaxFields {
			return "the message has more columns than max_fields"
		}
		a.columns.add()
		a.columns.call([]byte(name))
	}
	c := &a.columns.all[a.at]
	a.at++
	before := a.columns.rows
	if nulls != nil && c.isNull == nil {
		c.isNull = make([]bool, before, before+a.rows)
	}
	if c.isNull != nil {
		c.isNull = append(c.isNull, make([]bool, a.rows)...)
		copy(c.isNull[before:], nulls)
	}
	return c.appendArrow(arr, a.unpacked)
}

// appendArrow appends the values of an array that is no struct.
func (c *Column) appendArrow(arr arrow.Array, unpacked *boundedAllocator) string {
	switch v := arr.(type) {
	case *array.Float64:
		c.kind, c.nums = kindNumber, append(c.nums, v.Float64Values()...)
	case *array.Float32:
		c.kind = kindNumber
		for _, x := range v.Float32Values() {
			c.nums = append(c.nums, float64(x))
		}
	case *array.Int64:
		appendIntegers(c, v.Int64Values())
	case *array.Int32:
		appendIntegers(c, v.Int32Values())
	case *array.Int16:
		appendIntegers(c, v.Int16Values())
	case *array.Int8:
		appendIntegers(c, v.Int8Values())
	case *array.Uint32:
		appendIntegers(c, v.Uint32Values())
	case *array.Uint16:
		appendIntegers(c, v.Uint16Values())
	case *array.Uint8:
		appendIntegers(c, v.Uint8Values())
	case *array.Timestamp:
		return c.appendTimes(v)
	case *array.Boolean:
		c.kind = kindBool
		for i := range v.Len() {
			x := 0.0
			if v.IsValid(i) && v.Value(i) {
				x = 1
			}
			c.nums = append(c.nums, x)
		}
	case *array.Null:
		c.kind = kindNumber
		c.nums = append(c.nums, make([]float64, v.Len())...)
	case *array.Dictionary:
		return c.appendDictionary(v, unpacked)
	case array.StringLike:
		c.kind = kindString
		c.appendStrings(v, unpacked)
	default:
		return unreadableType
	}
	return ""
}

func appendIntegers[T int64 | int32 | int16 | int8 | uint32 | uint16 | uint8](c *Column, values []T) {
	c.kind = kindInteger
	for _, v := range values {
		c.ints, c.nums = append(c.ints, int64(v)), append(c.nums, float64(v))
	}
}

// appendTimes appends times in milliseconds, a fraction cut off towards the past as that of a JSON time is.
func (c *Column) appendTimes(v *array.Timestamp) string {
	typ, ok := v.DataType().(*arrow.TimestampType)
	if !ok {
		return "a timestamp without a unit"
	}
	for _, t := range v.Values() {
		ms := int64(t)
		switch typ.Unit {
		case arrow.Second:
			if ms > math.MaxInt64/1000 || ms < math.MinInt64/1000 {
				return "a time out of range"
			}
			ms *= 1000
		case arrow.Millisecond:
		case arrow.Microsecond:
			ms = floorDiv(ms, 1000)
		case arrow.Nanosecond:
			ms = floorDiv(ms, 1_000_000)
		}
		c.kind, c.ints, c.nums = kindInteger, append(c.ints, ms), append(c.nums, float64(ms))
	}
	return ""
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

// appendStrings appends a copy of each: the library's memory goes with its reader.
func (c *Column) appendStrings(v array.StringLike, unpacked *boundedAllocator) {
	size := 0
	unpacked.take(textBytes * v.Len())
	for i := range v.Len() {
		if v.IsValid(i) {
			size += len(v.Value(i))
		}
	}
	unpacked.take(size)
	text := make([]byte, 0, size)
	for i := range v.Len() {
		from := len(text)
		if v.IsValid(i) {
			text = append(text, v.Value(i)...)
		}
		c.strings = append(c.strings, text[from:len(text):len(text)])
	}
}

// appendDictionary appends indices; each batch may have a dictionary of its own.
func (c *Column) appendDictionary(v *array.Dictionary, unpacked *boundedAllocator) string {
	words, ok := v.Dictionary().(array.StringLike)
	if !ok {
		return "a dictionary of " + v.Dictionary().DataType().String() + "; only one of strings is read"
	}
	if c.kind = kindString; c.index == nil {
		c.index = []uint32{}
	}
	base := len(c.strings)
	c.appendStrings(words, unpacked)
	for i := range v.Len() {
		at := 0
		if v.IsValid(i) {
			if at = v.GetValueIndex(i); at < 0 || at >= words.Len() {
				return fmt.Sprintf("index %d into a dictionary of %d", at, words.Len())
			}
		}
		if base+at >= len(c.strings) { // only nulls, and nothing that they could point at
			c.strings = append(c.strings, nil)
		}
		c.index = append(c.index, uint32(base+at))
	}
	return ""
}
