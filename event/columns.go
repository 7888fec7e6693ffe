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
	kindText // of JSON: strings by row, nil where the value is null
)

// Columns is the records of a columnar message, or the features of those of another one that follow a template. It is valid until the
// Decoder that read it begins the next message, unless it is held.
type Columns struct {
	rows   int
	all    []Column
	others []int // of all those that are no features
	ids    int   // which of them is the ids; -1: none
	bad    bool  // a column has a string that is not UTF-8
	shape  *Shape
	known  bool // the columns that were read until now are those of shape
	room   int  // rows of a template's columns

	lasting   bool   // of a template
	holdable  bool   // of a message
	unescaped []byte // strings that are written with escapes
	used      bool   // it has rows of the present message
	held      bool
}

// Rows returns the number of rows so far.
func (c *Columns) Rows() int { return c.rows }

// Lasting says whether the columns are those of a template: what further messages say comes behind it.
func (c *Columns) Lasting() bool { return c.lasting }

// Hold keeps the rows when their message is over, until Release, and reports whether it does: those of an Arrow message end with it, because nobody
// knows how much memory they take. The messages are read in place. The rows of further ones come behind them and are numbered on where the columns
// are Lasting; else they are in other columns.
func (c *Columns) Hold() bool {
	c.held = c.lasting || c.holdable
	return c.held
}

// Release gives up the rows of columns that are held: those of the present message when that is over.
func (c *Columns) Release() {
	if c.held && c.lasting && !c.used {
		c.empty()
	}
	c.held = false
}

// maxSpare is how many values columns may have whose memory is kept for a time when others are held.
const maxSpare = 1 << 18

// nextColumns takes columns for another columnar message: the first ones that are not held.
func (d *Decoder) nextColumns() {
	last := d.columns
	at := slices.IndexFunc(d.all, func(c *Columns) bool { return !c.held })
	if at < 0 {
		at = len(d.all)
		d.all = append(d.all, &Columns{})
	}
	d.columns = d.all[at]
	d.columns.shape = last.shape
	if last != d.columns && last != d.all[0] && !last.held && last.rows*len(last.all) > maxSpare {
		*last = Columns{shape: last.shape}
	}
}

// empty gives up the rows of a template's columns, and the messages that they are of.
func (c *Columns) empty() {
	for i := range c.all {
		if col := &c.all[i]; col.kind == kindText {
			clear(col.strings[:min(c.rows+1, c.room)]) // one more: of a record that followed the template to some value
		}
	}
	c.rows, c.unescaped = 0, c.unescaped[:0]
}

// Shape stands for the names of columns and their order: Columns of one Shape have the same.
type Shape struct {
	paths []string
	roles []role
	cuts  []int // how long what stands before the name is
}

// Shape returns what stands for the names of the columns.
func (c *Columns) Shape() *Shape { return c.shape }

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
	spare   []uint32  // memory for index
	isNull  []bool    // by row; nil: no value is null
	good    bool      // all strings are known to be UTF-8
	bad     bool      // a string is not
}

// Len returns the number of columns, which have different names.
func (c *Columns) Len() int { return len(c.all) }

// Column returns the i-th column.
func (c *Columns) Column(i int) *Column { return &c.all[i] }

// IsFeature reports whether the column is of a feature.
func (c *Column) IsFeature() bool { return c.role == roleFeature }

// IsPrediction reports whether the column is of a part of the prediction.
func (c *Column) IsPrediction() bool { return c.role == rolePrediction }

// Name returns the feature's name, or that of the part of the prediction.
func (c *Column) Name() []byte { return c.name }

// Numbers returns the values of a column of numbers or booleans by row, as Value.Float would have them: NaN is missing. It returns
// nil for a column of strings.
func (c *Column) Numbers() []float64 {
	if c.kind == kindString || c.kind == kindText {
		return nil
	}
	return c.nums
}

// Strings returns the values of a column of strings: by row, nil where the value is null, or by index where that is not nil, which is by
// row. It returns nil for other columns.
func (c *Column) Strings() (values [][]byte, index []uint32) {
	if c.kind == kindText || c.kind == kindString && c.isNull == nil {
		return c.strings, c.index
	}
	return nil, nil
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
	switch {
	case c.kind == kindText && c.strings[row] == nil:
		return Value{Kind: ValueNull}
	case c.kind == kindString || c.kind == kindText:
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
	spare := col.spare
	if col.index != nil {
		spare = col.index[:0]
	}
	*col = Column{nums: col.nums[:0], ints: col.ints[:0], strings: col.strings[:0], spare: spare}
	return col
}

// Prefixes of the columns of what is nested in a record.
const (
	featurePrefix = "features."
	segmentPrefix = "segment."
)

// call gives the last column its name. Messages of one producer have the same names in the same order, and those are known.
func (c *Columns) call(path []byte) {
	col, at := &c.all[len(c.all)-1], len(c.all)-1
	if c.known && at < len(c.shape.paths) && c.shape.paths[at] == string(path) {
		col.path, col.name, col.role = path, path[c.shape.cuts[at]:], c.shape.roles[at]
		return
	}
	c.known = false
	col.call(path)
}

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

// columnar reads the columns of a message that is in such, and reports whether it is.
func (d *Decoder) columnar() bool {
	enc := EncodingOf(d.msg)
	if enc == EncodingJSON {
		return false
	}
	if d.state, d.broken = framingRows, d.readColumns(enc); d.broken != "" {
		d.state = framingBroken
	}
	return true
}

// readColumns reads the columns of the message; a detail says why it cannot.
func (d *Decoder) readColumns(enc Encoding) (detail string) {
	d.nextColumns()
	c := d.columns
	c.holdable = enc == EncodingProtobuf
	c.rows, c.all, c.known = 0, c.all[:0], c.shape != nil
	if enc == EncodingProtobuf {
		detail = c.readProtobuf(d.msg, d.limits)
	} else {
		detail = c.readArrow(d.msg, d.limits)
	}
	if detail != "" {
		return detail
	}
	if !c.known || len(c.all) != len(c.shape.paths) {
		c.shape = nil
		if detail = c.checkNames(d.limits); detail != "" {
			return detail
		}
		c.shape = newShape(c.all)
	}
	c.check()
	return ""
}

func newShape(all []Column) *Shape {
	s := &Shape{paths: make([]string, len(all)), roles: make([]role, len(all)), cuts: make([]int, len(all))}
	for i := range all {
		c := &all[i]
		s.paths[i], s.roles[i], s.cuts[i] = string(c.path), c.role, len(c.path)-len(c.name)
	}
	return s
}

// checkNames says what is wrong with the names of columns that could be read.
func (c *Columns) checkNames(l Limits) string {
	names := make([]string, 0, 64)
	for i := range c.all {
		col := &c.all[i]
		names = append(names, string(col.path))
		switch {
		case !utf8.Valid(col.path):
			return "the name of column " + strconv.Itoa(i) + " is not UTF-8"
		case len(col.name) > l.MaxName:
			return "the name of column " + strconv.Itoa(i) + " is longer than max_name"
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

// check looks at the values of columns that could be read.
func (c *Columns) check() {
	c.others, c.ids, c.bad = c.others[:0], -1, false
	for i := range c.all {
		col := &c.all[i]
		if col.role != roleFeature {
			c.others = append(c.others, i)
		}
		if col.role == roleID {
			c.ids = i
		}
		col.bad = !col.good && slices.ContainsFunc(col.strings, func(s []byte) bool { return !utf8.Valid(s) })
		c.bad = c.bad || col.bad
		if len(col.isNull) > 0 {
			for k := range col.nums {
				if col.isNull[k] {
					col.nums[k] = math.NaN()
				}
			}
		}
	}
}

// row decodes a row: it does for each column what member does for a key.
func (d *Decoder) row(row int) bool {
	d.begin(0)
	d.raw = d.raw[:0]
	ev, c := &d.ev, d.columns
	for i := range c.all {
		if !c.bad {
			break
		}
		if col := &c.all[i]; col.bad && !utf8.Valid(col.Value(row).Str) {
			d.soft(0, RejectMalformed, "invalid UTF-8 in a string: encode the message as UTF-8")
		}
	}
	for _, i := range c.others {
		col := &c.all[i]
		v := col.Value(row)
		switch col.role {
		case roleVersion, roleID, roleStatus:
			if v.Kind == ValueNumber {
				v.Str = d.columnLiteral(col, row)
			}
		case roleLabel:
			d.seen |= keyLabel
			ev.Label = v
		case roleUnknown:
			ev.UnknownKeys++
		default:
		}
		d.assign(col.role, col.name, &v, 0)
	}
	if len(c.others) < len(c.all) {
		if ev.Columns, ev.Row = c, row; !d.keep {
			d.spread()
		}
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

// Fields puts the features that the current event has in columns into Features, as without KeepColumns, and sets Raw. Numbers have no literal
// there.
func (d *Decoder) Fields() {
	if d.ev.Columns != nil {
		d.spread()
		d.ev.Raw = d.Raw()
	}
}

// spread puts the features that the current event has in columns into Features.
func (d *Decoder) spread() {
	ev := &d.ev
	for i := range ev.Columns.Len() {
		if c := &ev.Columns.all[i]; c.role == roleFeature {
			ev.Features = append(ev.Features, Field{Name: c.name, Value: c.Value(ev.Row)})
		}
	}
	ev.Columns = nil
}

// columnLiteral returns a number of a column as a text that was not written: in its shortest form.
func (d *Decoder) columnLiteral(c *Column, row int) []byte {
	from := len(d.scratch)
	d.scratch = c.appendLiteral(d.scratch, row)
	return d.scratch[from:len(d.scratch):len(d.scratch)]
}

// appendLiteral appends a number of a row.
func (c *Column) appendLiteral(b []byte, row int) []byte {
	if c.kind == kindInteger {
		return strconv.AppendInt(b, c.ints[row], 10)
	}
	return AppendShortest(b, c.nums[row])
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
			b = col.appendLiteral(b, row)
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
