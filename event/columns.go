package event

import (
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Encoding is how a message is written.
type Encoding uint8

// The encodings of a message.
const (
	EncodingJSON     Encoding = iota // an object, an array of objects, or NDJSON
	EncodingProtobuf                 // driftd.v1.Events of docs/schema/events.proto
	EncodingArrow                    // an Arrow IPC stream
)

// EncodingOf tells a message's encoding by how it begins, so that no header can be lost or wrong. No JSON begins with either of the
// two others: 0x08 is the key of the first field of driftd.v1.Events, and four times 0xff the marker that begins Arrow's messages.
func EncodingOf(message []byte) Encoding {
	switch {
	case len(message) == 0:
	case message[0] == 0x08:
		return EncodingProtobuf
	case len(message) >= 4 && string(message[:4]) == "\xff\xff\xff\xff":
		return EncodingArrow
	}
	return EncodingJSON
}

// maxRows bounds the records of a columnar message: a column of one repeated value takes next to no bytes a row.
const maxRows = 1 << 16

// role is what a column is in the record.
type role uint8

const (
	roleUnknown role = iota
	roleModel
	roleVersion
	roleID
	roleTime
	roleLatency
	roleStatus
	rolePrediction // a part of it
	roleFeature
	roleSegment
	roleLabel
	rolePredictionTime
	roleSchema
)

// kind is what the values of a column are.
type kind uint8

const (
	kindNumber kind = iota + 1
	kindInteger
	kindBool
	kindString
)

// Columns is the records of a columnar message. It is valid until the next Reset of the Decoder that read it.
type Columns struct {
	rows int
	all  []Column
}

// Column is one name of the records with its values.
type Column struct {
	name    []byte // of a feature or a segment without its prefix; of all others whole
	path    []byte // whole
	role    role
	kind    kind
	nums    []float64 // by row; NaN where the value is null
	ints    []int64   // by row, of kindInteger: what a float64 cannot hold
	strings [][]byte  // by row, or by index
	index   []uint32  // by row, of a dictionary; nil: there is none
	isNull  []bool    // by row; nil: no value is null
	bad     bool      // a string is not UTF-8
}

// Rows returns the number of records.
func (c *Columns) Rows() int { return c.rows }

// Features calls f with every column of features.
func (c *Columns) Features(f func(*Column)) {
	for i := range c.all {
		if c.all[i].role == roleFeature {
			f(&c.all[i])
		}
	}
}

// Name returns the feature's name.
func (c *Column) Name() []byte { return c.name }

// Numbers returns the values of a column of numbers or booleans by row, as Value.Float would have them: NaN is missing. It returns
// nil for a column of strings.
func (c *Column) Numbers() []float64 {
	if c.kind == kindString {
		return nil
	}
	return c.nums
}

// Strings returns the values of a column of strings: by row, or by index where that is not nil, which is by row. It returns nil for
// other columns and where a value is null.
func (c *Column) Strings() (values [][]byte, index []uint32) {
	if c.kind != kindString || c.isNull != nil {
		return nil, nil
	}
	return c.strings, c.index
}

var (
	trueText     = []byte("true")      //nolint:gochecknoglobals // a constant
	falseText    = []byte("false")     //nolint:gochecknoglobals // a constant
	plusInfText  = []byte("Infinity")  //nolint:gochecknoglobals // a constant
	minusInfText = []byte("-Infinity") //nolint:gochecknoglobals // a constant
)

// Value returns the value of a row as the JSON of it would be read. NaN is null, and an infinity the string that stands for it in JSON.
// Str is empty for numbers.
func (c *Column) Value(row int) Value {
	if len(c.isNull) > 0 && c.isNull[row] {
		return Value{Kind: ValueNull}
	}
	if c.kind == kindString {
		return Value{Kind: ValueString, Str: c.text(row)}
	}
	switch x := c.nums[row]; {
	case c.kind == kindBool && x != 0:
		return Value{Kind: ValueBool, Num: 1, Str: trueText}
	case c.kind == kindBool:
		return Value{Kind: ValueBool, Str: falseText}
	case math.IsNaN(x):
		return Value{Kind: ValueNull}
	case math.IsInf(x, 1):
		return Value{Kind: ValueString, Str: plusInfText}
	case math.IsInf(x, -1):
		return Value{Kind: ValueString, Str: minusInfText}
	default:
		return Value{Kind: ValueNumber, Num: x}
	}
}

func (c *Column) text(row int) []byte {
	if c.index != nil {
		row = int(c.index[row])
	}
	return c.strings[row]
}

// add returns a new column that keeps the memory of what was there in an earlier message.
func (c *Columns) add() *Column {
	if len(c.all) < cap(c.all) {
		c.all = c.all[:len(c.all)+1]
	} else {
		c.all = append(c.all, Column{})
	}
	col := &c.all[len(c.all)-1]
	*col = Column{nums: col.nums[:0], ints: col.ints[:0], strings: col.strings[:0]}
	return col
}

// Prefixes of the columns of what is nested in a record.
const (
	featurePrefix = "features."
	segmentPrefix = "segment."
)

// call gives a column its name, which says its role.
func (c *Column) call(path []byte) {
	c.path, c.name = path, path
	switch name := string(path); name {
	case "model":
		c.role = roleModel
	case "version":
		c.role = roleVersion
	case "id":
		c.role = roleID
	case "ts":
		c.role = roleTime
	case "latency_ms":
		c.role = roleLatency
	case "status":
		c.role = roleStatus
	case "label":
		c.role = roleLabel
	case "prediction_ts":
		c.role = rolePredictionTime
	case "schema":
		c.role = roleSchema
	case PredictionName, PredictionLabelName, PredictionScoreName:
		c.role = rolePrediction
	default:
		switch {
		case strings.HasPrefix(name, featurePrefix):
			c.role, c.name = roleFeature, path[len(featurePrefix):]
		case strings.HasPrefix(name, segmentPrefix):
			c.role, c.name = roleSegment, path[len(segmentPrefix):]
		case strings.HasPrefix(name, PredictionScorePrefix):
			c.role = rolePrediction
		}
	}
}

// readColumns reads the columns of the message; a detail says why it cannot.
func (d *Decoder) readColumns(enc Encoding) (detail string) {
	d.columns.rows, d.columns.all = 0, d.columns.all[:0]
	if enc == EncodingProtobuf {
		detail = d.columns.readProtobuf(d.msg, d.limits)
	} else {
		detail = d.columns.readArrow(d.msg, d.limits)
	}
	if detail != "" {
		return detail
	}
	return d.columns.check(d.limits)
}

// check says what is wrong with columns that could be read.
func (c *Columns) check(l Limits) string {
	names := make([]string, 0, 64)
	for i := range c.all {
		col := &c.all[i]
		names = append(names, string(col.path))
		col.bad = slices.ContainsFunc(col.strings, func(s []byte) bool { return !utf8.Valid(s) })
		switch {
		case !utf8.Valid(col.path):
			return "the name of column " + strconv.Itoa(i) + " is not UTF-8"
		case len(col.name) > l.MaxName:
			return "the name of column " + strconv.Itoa(i) + " is longer than max_name"
		}
		for k := range col.nums {
			if len(col.isNull) > 0 && col.isNull[k] {
				col.nums[k] = math.NaN()
			}
		}
	}
	slices.Sort(names)
	for i := 1; i < len(names); i++ {
		if names[i] == names[i-1] {
			return "the column " + strconv.QuoteToASCII(names[i]) + " is there twice"
		}
	}
	return ""
}

// row decodes a row: it does for each column what member does for a key.
func (d *Decoder) row(row int) bool {
	d.begin(0)
	d.raw = d.raw[:0]
	ev := &d.ev
	features := false
	for i := range d.columns.all {
		col := &d.columns.all[i]
		if col.role == roleFeature && d.keep {
			features = true
			if col.bad && !utf8.Valid(col.Value(row).Str) {
				d.soft(0, RejectMalformed, "invalid UTF-8 in a string: encode the message as UTF-8")
			}
			continue
		}
		v := col.Value(row)
		if col.bad && !utf8.Valid(v.Str) {
			d.soft(0, RejectMalformed, "invalid UTF-8 in a string: encode the message as UTF-8")
		}
		switch col.role {
		case roleModel:
			d.setModel(&v, 0)
		case roleVersion:
			ev.Version = d.columnText(col, row, &v)
		case roleID:
			ev.ID = d.columnText(col, row, &v)
		case roleStatus:
			ev.Status = d.columnText(col, row, &v)
		case roleTime:
			ev.Time, ev.HasTime, d.tsBad = instantOf(&v, 0)
		case rolePredictionTime:
			ev.PredictionTime, ev.HasPredTime, d.predBad = instantOf(&v, 0)
		case roleLatency:
			d.setLatency(&v)
		case rolePrediction:
			if v.Kind != ValueNull || len(col.name) != len(PredictionName) {
				ev.Prediction = append(ev.Prediction, Field{Name: col.name, Value: v})
			}
		case roleFeature:
			ev.Features = append(ev.Features, Field{Name: col.name, Value: v})
		case roleSegment:
			ev.Segments = append(ev.Segments, Field{Name: col.name, Value: v})
		case roleLabel:
			d.seen |= keyLabel
			ev.Label = v
		case roleSchema:
			if v.Kind != ValueNumber && v.Kind != ValueNull {
				ev.WrongType++
			}
		case roleUnknown:
			ev.UnknownKeys++
		}
	}
	if features {
		ev.Columns, ev.Row = &d.columns, row
	}
	d.judge()
	d.index++
	switch {
	case d.reject.Reason != 0:
		d.reject.Model = ev.Model
	case !d.keep:
		ev.Raw = d.Raw()
	}
	return true
}

// Fields puts the features of the current event of a columnar message into Features, as without KeepColumns, and sets Raw.
func (d *Decoder) Fields() {
	ev := &d.ev
	if ev.Columns == nil {
		return
	}
	ev.Columns.Features(func(c *Column) {
		ev.Features = append(ev.Features, Field{Name: c.name, Value: c.Value(ev.Row)})
	})
	ev.Columns, ev.Raw = nil, d.Raw()
}

// columnText is text for a value of a column: a number has no literal and gets its shortest one.
func (d *Decoder) columnText(c *Column, row int, v *Value) []byte {
	if v.Kind != ValueNumber {
		return d.text(v)
	}
	from := len(d.scratch)
	if c.kind == kindInteger {
		d.scratch = strconv.AppendInt(d.scratch, c.ints[row], 10)
	} else {
		d.scratch = AppendShortest(d.scratch, v.Num)
	}
	return d.scratch[from:len(d.scratch):len(d.scratch)]
}

// appendRow appends a row as the JSON of its record, for whoever wants to see or send it again.
func (c *Columns) appendRow(b []byte, row int) []byte {
	b = append(b, '{')
	first := true
	key := func(name []byte) {
		if !first {
			b = append(b, ',')
		}
		first = false
		b = append(appendString(b, name), ':')
	}
	value := func(col *Column) {
		switch v := col.Value(row); v.Kind {
		case ValueString:
			b = appendString(b, v.Str)
		case ValueBool:
			b = append(b, v.Str...)
		case ValueNumber:
			if col.kind == kindInteger {
				b = strconv.AppendInt(b, col.ints[row], 10)
			} else {
				b = AppendShortest(b, v.Num)
			}
		case ValueNull, ValueInvalid:
			b = append(b, "null"...)
		}
	}
	nested := map[string][]*Column{}
	for i := range c.all {
		col := &c.all[i]
		switch {
		case col.role == roleFeature:
			nested["features"] = append(nested["features"], col)
		case col.role == roleSegment:
			nested["segment"] = append(nested["segment"], col)
		case col.role == rolePrediction && len(col.name) > len(PredictionName):
			nested["prediction"] = append(nested["prediction"], col)
		default:
			key(col.path)
			value(col)
		}
	}
	for _, object := range []string{"prediction", "features", "segment"} {
		if len(nested[object]) == 0 {
			continue
		}
		key([]byte(object))
		b, first = append(b, '{'), true
		var scores []*Column
		for _, col := range nested[object] {
			if name := string(col.name); strings.HasPrefix(name, PredictionScorePrefix) && object == "prediction" {
				scores = append(scores, col)
				continue
			}
			key([]byte(strings.TrimPrefix(string(col.name), PredictionName+".")))
			value(col)
		}
		if len(scores) > 0 {
			key([]byte("scores"))
			b, first = append(b, '{'), true
			for _, col := range scores {
				key(col.name[len(PredictionScorePrefix):])
				value(col)
			}
			b, first = append(b, '}'), false
		}
		b, first = append(b, '}'), false
	}
	return append(b, '}')
}

// appendString appends s as a JSON string.
func appendString(b, s []byte) []byte {
	text, err := json.Marshal(string(s))
	if err != nil {
		panic("BUG: a string that JSON cannot hold: " + err.Error())
	}
	return append(b, text...)
}
