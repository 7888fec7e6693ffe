package event

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
)

// Fields of driftd.v1.Events and driftd.v1.Column, see docs/schema/events.proto.
const (
	fieldRows     = 1
	fieldColumn   = 2
	fieldName     = 1
	fieldDoubles  = 2
	fieldIntegers = 3
	fieldBooleans = 4
	fieldStrings  = 5
	fieldIndices  = 6
	fieldNulls    = 7
)

// readProtobuf reads a driftd.v1.Events by hand: what generated code would build costs more than all the rest. Strings stay views of
// the message. The number of rows must come first, as every writer that keeps to the order of the fields puts it.
func (c *Columns) readProtobuf(b []byte, l Limits) string {
	num, typ, n := protowire.ConsumeTag(b)
	if n < 0 || num != fieldRows || typ != protowire.VarintType {
		return "the protobuf message does not begin with the number of its rows"
	}
	b = b[n:]
	rows, n := protowire.ConsumeVarint(b)
	if n < 0 {
		return badProtobuf(n)
	}
	if rows == 0 || rows > maxRows {
		return fmt.Sprintf("%d rows: a columnar message has 1 to %d", rows, maxRows)
	}
	c.rows = int(rows)
	for b = b[n:]; len(b) > 0; b = b[n:] {
		if num, typ, n = protowire.ConsumeTag(b); n < 0 {
			return badProtobuf(n)
		}
		b = b[n:]
		if num != fieldColumn || typ != protowire.BytesType {
			if n = protowire.ConsumeFieldValue(num, typ, b); n < 0 {
				return badProtobuf(n)
			}
			if num == fieldRows {
				return "the number of rows is there twice"
			}
			continue // a field of a later version
		}
		var body []byte
		if body, n = protowire.ConsumeBytes(b); n < 0 {
			return badProtobuf(n)
		}
		if len(c.all) >= l.MaxFields {
			return "the message has more columns than max_fields"
		}
		col := c.add()
		if detail := c.readColumn(col, body); detail != "" {
			return fmt.Sprintf("column %d %q: %s", len(c.all)-1, clip(col.path), detail)
		}
	}
	return ""
}

func badProtobuf(n int) string {
	return "the protobuf message is broken, it may have been cut off: " + protowire.ParseError(n).Error()
}

// clip shortens a name for a message.
func clip(s []byte) []byte { return s[:min(len(s), 64)] }

func (c *Columns) readColumn(col *Column, b []byte) string {
	rows, all, known := c.rows, b, true
	var nulls []byte
	var n int
	for ; len(b) > 0; b = b[n:] {
		num, typ, k := protowire.ConsumeTag(b)
		if k < 0 {
			return badProtobuf(k)
		}
		b = b[k:]
		if typ != protowire.BytesType || num > fieldNulls {
			if n = protowire.ConsumeFieldValue(num, typ, b); n < 0 {
				return badProtobuf(n)
			}
			if num <= fieldNulls {
				return "a repeated field that is not packed"
			}
			known = false
			continue // a field of a later version
		}
		var body []byte
		if body, n = protowire.ConsumeBytes(b); n < 0 {
			return badProtobuf(n)
		}
		var detail string
		switch int(num) {
		case fieldName:
			c.call(body)
		case fieldDoubles:
			detail = col.readDoubles(body, rows)
		case fieldIntegers, fieldBooleans:
			detail = col.readVarints(body, rows, num == fieldBooleans)
		case fieldStrings:
			if detail = col.is(kindString); detail == "" && len(col.strings) == rows {
				detail = "more strings than rows"
			}
			col.strings = append(col.strings, body)
		case fieldIndices:
			detail = col.readIndices(body, rows)
		case fieldNulls:
			nulls = body
		}
		if detail != "" {
			return detail
		}
	}
	// Before a string stands its length, whose last byte is ASCII, and behind it the ASCII key of a field that is known: it is UTF-8 if all is.
	col.good = known && col.kind == kindString && utf8.Valid(all)
	return col.finish(rows, nulls, false)
}

// is gives the column a kind; it has one only.
func (c *Column) is(k kind) string {
	if c.kind != 0 && c.kind != k {
		return "values of two types"
	}
	c.kind = k
	return ""
}

func (c *Column) readDoubles(b []byte, rows int) string {
	if detail := c.is(kindNumber); detail != "" {
		return detail
	}
	if len(b)%8 != 0 || len(c.nums)+len(b)/8 > rows {
		return "not as many doubles as rows"
	}
	from := len(c.nums)
	c.nums = slices.Grow(c.nums, len(b)/8)[:from+len(b)/8]
	for i := range c.nums[from:] {
		c.nums[from+i] = math.Float64frombits(binary.LittleEndian.Uint64(b[8*i:]))
	}
	return ""
}

func (c *Column) readVarints(b []byte, rows int, boolean bool) string {
	k := kindInteger
	if boolean {
		k = kindBool
	}
	if detail := c.is(k); detail != "" {
		return detail
	}
	for len(b) > 0 {
		v, n := protowire.ConsumeVarint(b)
		if n < 0 {
			return badProtobuf(n)
		}
		if b = b[n:]; len(c.nums) == rows {
			return "more values than rows"
		}
		if boolean {
			c.nums = append(c.nums, float64(min(v, 1)))
			continue
		}
		c.ints = append(c.ints, int64(v))
		c.nums = append(c.nums, float64(int64(v)))
	}
	return ""
}

func (c *Column) readIndices(b []byte, rows int) string {
	if c.index == nil {
		c.index = slices.Grow(c.spare[:0], rows)
	}
	for len(b) > 0 {
		v, n := protowire.ConsumeVarint(b)
		if n < 0 {
			return badProtobuf(n)
		}
		if b = b[n:]; len(c.index) == rows {
			return "more indices than rows"
		}
		c.index = append(c.index, uint32(min(v, math.MaxUint32)))
	}
	return ""
}

// finish checks a column that was read: a value for each row. bits has a bit for each row, the lowest of the first byte first: set where
// the row is null or, where valid, where it is not.
func (c *Column) finish(rows int, bits []byte, valid bool) string {
	switch {
	case c.path == nil:
		return "it has no name"
	case c.kind == 0:
		return "it has no values"
	case c.kind != kindString && (c.index != nil || len(c.nums) != rows):
		return fmt.Sprintf("%d values for %d rows", len(c.nums), rows)
	case c.kind == kindString && c.index == nil && len(c.strings) != rows:
		return fmt.Sprintf("%d strings for %d rows", len(c.strings), rows)
	case c.index != nil && len(c.index) != rows:
		return fmt.Sprintf("%d indices for %d rows", len(c.index), rows)
	}
	if bits != nil {
		if len(bits) < (rows+7)/8 {
			return "fewer bits of nulls than rows"
		}
		for i := range rows {
			if bits[i/8]>>(i%8)&1 == 1 != valid {
				if c.isNull == nil {
					c.isNull = make([]bool, rows)
				}
				c.isNull[i] = true
			}
		}
	}
	for row, i := range c.index {
		if int(i) >= len(c.strings) {
			if len(c.isNull) == 0 || !c.isNull[row] {
				return fmt.Sprintf("index %d of row %d into %d strings", i, row, len(c.strings))
			}
			c.index[row] = 0
		}
	}
	return ""
}
