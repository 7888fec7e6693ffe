package rows

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/big"
	"slices"
	"unicode/utf8"

	"github.com/parquet-go/parquet-go"

	"github.com/driftd/driftd/event"
)

// parquetCursor reads one column page by page.
type parquetCursor struct {
	leaf    *parquetLeaf
	groups  []parquet.RowGroup
	pages   parquet.Pages
	page    parquet.Page
	left    int64 // rows of the current group that no page has given yet
	numbers []float64
	texts   [][]byte
	dict    parquet.Dictionary // of which dictNumbers or dictTexts are the values
	dictNum []float64
	dictTxt [][]byte
}

// parquetValues is what one page holds. defs, where not nil, says for each row whether it has a value: that is so where it equals
// maxDef. One of numbers, texts and bools holds the values, or none where the column has no values that a feature can take.
type parquetValues struct {
	rows    int
	defs    []byte
	maxDef  byte
	numbers []float64
	texts   [][]byte
	isText  bool
	isBool  bool
	invalid bool
}

// next returns the values of the next page, valid until the next call, or io.EOF.
func (c *parquetCursor) next() (v parquetValues, err error) {
	defer guard(&err)
	if c.page != nil {
		parquet.Release(c.page)
		c.page = nil
	}
	for {
		if c.pages == nil {
			if len(c.groups) == 0 {
				return v, io.EOF
			}
			group := c.groups[0]
			c.groups = c.groups[1:]
			c.left = group.NumRows()
			c.pages = group.ColumnChunks()[c.leaf.index].Pages()
			c.dict = nil
		}
		page, err := c.pages.ReadPage()
		switch {
		case errors.Is(err, io.EOF):
			if e := c.pages.Close(); e != nil {
				return v, fmt.Errorf("%w (%w)", errParquet, e)
			}
			c.pages = nil
			if c.left != 0 {
				return v, fmt.Errorf("%w (%d rows are missing)", errParquet, c.left)
			}
			continue
		case err != nil:
			return v, fmt.Errorf("%w (%w)", errParquet, err)
		}
		c.page = page
		c.left -= page.NumRows()
		if c.left < 0 {
			return v, fmt.Errorf("%w (more rows than it should have)", errParquet)
		}
		if c.leaf.repeated {
			return parquetValues{rows: int(page.NumRows()), invalid: true}, nil
		}
		return c.values(page)
	}
}

func (c *parquetCursor) close() {
	if c.page != nil {
		parquet.Release(c.page)
	}
	if c.pages != nil {
		_ = c.pages.Close() // it was only read
	}
}

// values converts a page.
func (c *parquetCursor) values(page parquet.Page) (parquetValues, error) {
	v := parquetValues{rows: int(page.NumRows()), maxDef: c.leaf.maxDef, isBool: c.leaf.kind == parquet.Boolean}
	if c.leaf.maxDef > 0 {
		v.defs = page.DefinitionLevels()
		if len(v.defs) != v.rows {
			return v, fmt.Errorf("%w (%d levels for %d rows)", errParquet, len(v.defs), v.rows)
		}
	}
	if dict := page.Dictionary(); dict != nil {
		if c.dict != dict {
			c.dict = dict
			var err error
			if c.dictNum, c.dictTxt, err = c.convert(dict.Page(), c.dictNum[:0], c.dictTxt[:0], true); err != nil {
				return v, err
			}
		}
		c.numbers, c.texts = c.numbers[:0], c.texts[:0]
		data := page.Data()
		indexes := data.Int32()
		v.isText = c.isText()
		for _, i := range indexes {
			switch {
			case i < 0 || int(i) >= max(len(c.dictNum), len(c.dictTxt)):
				return v, fmt.Errorf("%w (a value beyond the dictionary)", errParquet)
			case v.isText:
				c.texts = append(c.texts, c.dictTxt[i])
			default:
				c.numbers = append(c.numbers, c.dictNum[i])
			}
		}
	} else {
		var err error
		if c.numbers, c.texts, err = c.convert(page, c.numbers[:0], c.texts[:0], false); err != nil {
			return v, err
		}
		v.isText = c.isText()
	}
	v.numbers, v.texts = c.numbers, c.texts
	present := v.rows
	if v.defs != nil {
		present = 0
		for _, d := range v.defs {
			if d == v.maxDef {
				present++
			}
		}
	}
	if got := max(len(v.numbers), len(v.texts)); got != present {
		return v, fmt.Errorf("%w (%d values for %d rows)", errParquet, got, present)
	}
	return v, nil
}

func (c *parquetCursor) isText() bool {
	return c.leaf.scale == 0 && (c.leaf.kind == parquet.ByteArray || c.leaf.kind == parquet.FixedLenByteArray)
}

// convert appends the values of a page that is no dictionary's index. With keep, texts are copied.
func (c *parquetCursor) convert(page parquet.Page, numbers []float64, texts [][]byte, keep bool) ([]float64, [][]byte, error) {
	values := page.Data()
	data := &values
	scaled := func(x float64) float64 {
		if c.leaf.scale != 0 {
			return x * c.leaf.scale
		}
		return x
	}
	switch c.leaf.kind {
	case parquet.Boolean:
		bits := data.Boolean()
		for i := range int(page.NumValues() - page.NumNulls()) {
			if i/8 >= len(bits) {
				return nil, nil, fmt.Errorf("%w (too few booleans)", errParquet)
			}
			numbers = append(numbers, float64(bits[i/8]>>(i%8)&1))
		}
	case parquet.Int32:
		for _, x := range data.Int32() {
			if c.leaf.unsigned {
				numbers = append(numbers, float64(uint32(x)))
				continue
			}
			numbers = append(numbers, scaled(float64(x)))
		}
	case parquet.Int64:
		for _, x := range data.Int64() {
			if c.leaf.unsigned {
				numbers = append(numbers, float64(uint64(x)))
				continue
			}
			numbers = append(numbers, scaled(float64(x)))
		}
	case parquet.Int96: // an old form of timestamps: nanoseconds of a Julian day
		for _, x := range data.Int96() {
			day, ns := int64(x[2])-2440588, int64(x[1])<<32|int64(x[0])
			numbers = append(numbers, float64(day*86_400_000+ns/1_000_000))
		}
	case parquet.Float:
		for _, x := range data.Float() {
			numbers = append(numbers, float64(x))
		}
	case parquet.Double:
		numbers = append(numbers, data.Double()...)
	case parquet.ByteArray:
		bytes, offsets := data.ByteArray()
		for i := 1; i < len(offsets); i++ {
			numbers, texts = c.appendBytes(numbers, texts, bytes[offsets[i-1]:offsets[i]], keep)
		}
	case parquet.FixedLenByteArray:
		bytes, size := data.FixedLenByteArray()
		for ; size > 0 && len(bytes) >= size; bytes = bytes[size:] {
			if c.isText() {
				texts = append(texts, hex.AppendEncode(nil, bytes[:size]))
				continue
			}
			numbers, texts = c.appendBytes(numbers, texts, bytes[:size], keep)
		}
	}
	return numbers, texts, nil
}

// appendBytes appends a text, or a decimal written as a big-endian integer.
func (c *parquetCursor) appendBytes(numbers []float64, texts [][]byte, b []byte, keep bool) ([]float64, [][]byte) {
	if c.isText() {
		if keep {
			b = slices.Clone(b)
		}
		return numbers, append(texts, b)
	}
	n := new(big.Int).SetBytes(b)
	if len(b) > 0 && b[0]&0x80 != 0 {
		n.Sub(n, new(big.Int).Lsh(big.NewInt(1), uint(8*len(b))))
	}
	x, _ := new(big.Float).SetInt(n).Float64()
	return append(numbers, x*c.leaf.scale), texts
}

// value returns value k of those that are there.
func (v *parquetValues) value(k int) event.Value {
	switch {
	case v.isText:
		if !utf8.Valid(v.texts[k]) {
			return event.Value{Kind: event.ValueInvalid, Num: 0, Str: nil}
		}
		return event.Value{Kind: event.ValueString, Num: 0, Str: v.texts[k]}
	case v.isBool && v.numbers[k] != 0:
		return event.Value{Kind: event.ValueBool, Num: 1, Str: []byte("true")}
	case v.isBool:
		return event.Value{Kind: event.ValueBool, Num: 0, Str: []byte("false")}
	}
	return event.Value{Kind: event.ValueNumber, Num: v.numbers[k], Str: nil}
}

// visit gives the values to a Visitor, runs of numbers at once.
func (v *parquetValues) visit(to Visitor) {
	if v.invalid {
		for range v.rows {
			to.Value(event.Value{Kind: event.ValueInvalid, Num: 0, Str: nil})
		}
		return
	}
	k := 0
	for i := 0; i < v.rows; {
		j := i
		for j < v.rows && (v.defs == nil || v.defs[j] == v.maxDef) { //nolint:gocritic // one definition level a row, or none at all
			if v.defs == nil {
				j = v.rows
				break
			}
			j++
		}
		if j > i && !v.isText && !v.isBool {
			to.Numbers(v.numbers[k : k+j-i])
		} else {
			for m := range j - i {
				to.Value(v.value(k + m))
			}
		}
		k += j - i
		i = j
		for j < v.rows && v.defs[j] != v.maxDef {
			j++
		}
		if j > i {
			to.Nulls(j - i)
		}
		i = j
	}
}
