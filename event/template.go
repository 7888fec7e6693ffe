package event

import (
	"bytes"
	"encoding/binary"
	"math"
	"slices"
)

// Producers write their records with one piece of code: what stands between the values is the same bytes in each. A template is those
// bytes of a record that was decoded the general way. A record that has them, with a value wherever that one had a value, is JSON of
// the same structure and the same names, so that neither needs to be looked at again: only the values are read, and those of features
// go to columns, where they can be counted together. Any doubt sends the record the general way, which also finds what is wrong with it.

// template is what the records of one producer have in common.
type template struct {
	slots   []slot
	tail    []byte // from behind the last value to the record's end
	seen    keySet
	unknown int     // keys that the format does not know
	hits    int     // records that followed it
	columns Columns // of the features of the present message's records
}

// slot is a value of the record and what stands before it.
type slot struct {
	before []byte
	head   uint64 // its first eight bytes, as far as there are any
	mask   uint64
	role   role
	name   []byte // of a part of the prediction or a segment dimension
	column int    // of a feature
}

// span is a value of a record that is decoded the general way.
type span struct {
	from, to int
	role     role
	kind     ValueKind
	name     []byte
}

const (
	maxTemplates = 4 // of a producer: that are tried
	// What all templates may have together, in values of a record and in bytes of columns, before all of them are forgotten. A producer counts
	// as so many values.
	maxSlots      = 1 << 18
	maxColumns    = 64 << 20
	producerSlots = 8
	sniffed       = 64  // bytes of a message in which the name of a producer is looked for
	maxPause      = 64  // records that are decoded the general way at once, because those before followed no template
	fewHits       = 64  // a template that fewer records followed was not worth learning
	maxThrift     = 512 // records that follow no template before another one is learnt
	wordBytes     = 8
	fewRooms      = 16 // of columns that begin
)

// templates is what the decoder has learnt.
type templates struct {
	*producer // of the present message
	producers map[string]*producer
	used      []*Columns // that have rows of the present message
	slots     int        // of all templates
	bytes     int        // of their columns

	learning bool // spans are noted
	spans    []span
	role     role // of the value that is read
	strange  bool // the record has something that no template can have
}

var (
	modelKey = []byte(`"model"`) //nolint:gochecknoglobals // a constant
	quote    = []byte{'"'}       //nolint:gochecknoglobals // a constant
)

// producer is what has been learnt of one producer's records.
type producer struct {
	all     []*template // the one that was followed last comes first
	pause   int         // how many records to come are not tried
	penalty int         // the next pause
	rest    int         // how many more records that follow no template are let go before one is learnt
	thrift  int         // the next rest
}

// begin begins a message of a producer: the columns of the last one are over, but for those that are held. Without a name, that of the model
// with which the message may begin is as good.
func (t *templates) begin(name string, message []byte) {
	for _, c := range t.used {
		if c.used = false; !c.held {
			c.empty()
		}
	}
	t.used = t.used[:0]
	if t.slots > maxSlots || t.bytes > maxColumns {
		t.producer, t.producers, t.slots, t.bytes = nil, nil, 0, 0
	}
	var known *producer
	if name != "" {
		known = t.producers[name]
	} else {
		sniffed := sniffModel(message)
		if known = t.producers[string(sniffed)]; known == nil {
			name = string(sniffed)
		}
	}
	if known == nil {
		if t.producers == nil {
			t.producers = map[string]*producer{}
		}
		known = new(producer)
		t.producers[name] = known
		t.slots += producerSlots
	}
	t.producer = known
}

// sniffModel returns what stands where the model of a message's first record often is, or nothing.
func sniffModel(message []byte) []byte {
	_, rest, found := bytes.Cut(message[:min(sniffed, len(message))], modelKey)
	if !found {
		return nil
	}
	name, _, _ := bytes.Cut(bytes.TrimLeft(rest, `: "`), quote)
	return name
}

// follow decodes the record at i by a template and returns its end, or -1 where none fits: then it is to be decoded the general way.
func (d *Decoder) follow(i int) int {
	t := &d.templates
	if t.learning = false; t.pause > 0 {
		t.pause--
		return -1
	}
	for k, one := range t.all {
		if end := d.followOne(one, i); end >= 0 {
			one.hits++
			if t.penalty = 0; k > 0 {
				copy(t.all[1:], t.all[:k])
				t.all[0] = one
			}
			return end
		}
		d.begin(i)
	}
	t.pause, t.penalty = t.penalty, min(2*t.penalty+1, maxPause)
	if t.rest > 0 {
		t.rest--
		return -1
	}
	t.learning, t.strange, t.spans = true, false, t.spans[:0]
	return -1
}

func (d *Decoder) followOne(t *template, i int) int {
	b, row := d.msg, t.columns.rows
	if row >= t.columns.room {
		d.templates.bytes -= t.columns.bytes()
		t.columns.makeRoom(row)
		d.templates.bytes += t.columns.bytes()
	}
	for k := range t.slots {
		s := &t.slots[k]
		if !s.precedes(b, i) {
			return -1
		}
		i += len(s.before)
		if s.role == roleFeature {
			i = d.cell(&t.columns.all[s.column], row, i)
		} else {
			i = d.assignAt(s, i)
		}
		if i < 0 {
			return -1
		}
	}
	if len(b)-i < len(t.tail) || !bytes.Equal(b[i:i+len(t.tail)], t.tail) {
		return -1
	}
	d.seen = t.seen
	d.ev.UnknownKeys = t.unknown
	if len(t.columns.all) > 0 {
		d.ev.Columns, d.ev.Row = &t.columns, row
	}
	if d.judge(); d.reject.Reason != 0 {
		return -1
	}
	if t.columns.rows++; !t.columns.used {
		t.columns.used = true
		d.templates.used = append(d.templates.used, &t.columns)
	}
	return i + len(t.tail)
}

// precedes reports whether what the slot's value is behind stands at i.
func (s *slot) precedes(b []byte, i int) bool {
	n := len(s.before)
	switch {
	case len(b)-i < n:
		return false
	case len(b)-i < wordBytes:
		return bytes.Equal(b[i:i+n], s.before)
	case binary.LittleEndian.Uint64(b[i:])&s.mask != s.head:
		return false
	}
	return n <= wordBytes || bytes.Equal(b[i+wordBytes:i+n], s.before[wordBytes:])
}

// assignAt reads the value at i, which is no feature.
func (d *Decoder) assignAt(s *slot, i int) int {
	var v Value
	next := d.value(i, &v, 0)
	if next < 0 || v.Kind == ValueInvalid {
		return -1
	}
	d.assign(s.role, s.name, &v, i)
	return next
}

// assign does with a value what its role asks for. A label has no template, and a feature a column.
func (d *Decoder) assign(r role, name []byte, v *Value, at int) {
	ev := &d.ev
	switch r {
	case roleModel:
		d.setModel(v, at)
	case roleVersion:
		ev.Version = d.text(v)
	case roleID:
		if ev.ID = d.text(v); v.Kind == ValueString {
			at++ // behind the quote
		}
		d.idAt = at
	case roleStatus:
		ev.Status = d.text(v)
	case roleTime:
		ev.Time, ev.HasTime, d.tsBad = instantOf(v, at)
	case rolePredictionTime:
		ev.PredictionTime, ev.HasPredTime, d.predBad = instantOf(v, at)
	case roleLatency:
		d.setLatency(v)
	case rolePrediction:
		if v.Kind != ValueNull || len(name) != len(PredictionName) {
			ev.Prediction = append(ev.Prediction, Field{Name: name, Value: *v})
		}
	case roleSegment:
		ev.Segments = append(ev.Segments, Field{Name: name, Value: *v})
	case roleSchema:
		if v.Kind != ValueNumber && v.Kind != ValueNull {
			ev.WrongType++
		}
	case roleUnknown, roleFeature, roleLabel:
	}
}

// cell reads the value at i into a row of a column. It returns -1 for one of another type.
func (d *Decoder) cell(c *Column, row, i int) int {
	b := d.msg
	if c.kind == kindNumber {
		x, next := shortNumber(b, i)
		if next == 0 {
			var v Value
			if next = d.value(i, &v, 0); v.Kind == ValueNull {
				v.Num = math.NaN()
			} else if v.Kind != ValueNumber {
				return -1
			}
			x = v.Num
		}
		c.nums[row] = x
		return next
	}
	if i < len(b) && b[i] == '"' && c.kind == kindText {
		unescaped := len(d.scratch) // what is behind it is gone with the record, but columns stay
		s, next := d.str(i)
		if len(d.scratch) != unescaped {
			return -1
		}
		c.strings[row] = s
		return next
	}
	var v Value
	next := d.value(i, &v, 0)
	switch {
	case c.kind == kindText && v.Kind == ValueNull:
		c.strings[row] = nil
	case c.kind == kindBool && v.Kind == ValueBool:
		c.nums[row] = v.Num
	default:
		return -1
	}
	return next
}

// makeRoom makes room for another row in the columns of a template.
func (c *Columns) makeRoom(row int) {
	c.room = max(fewRooms, 2*c.room)
	for i := range c.all {
		if col := &c.all[i]; col.kind == kindText {
			col.strings = append(make([][]byte, 0, c.room), col.strings[:row]...)[:c.room]
		} else {
			col.nums = append(make([]float64, 0, c.room), col.nums[:row]...)[:c.room]
		}
	}
}

// bytes returns what the rows of a template's columns take, about.
func (c *Columns) bytes() int { return 8 * c.room * len(c.all) }

// note notes a value of a record from which a template may be learnt.
func (t *templates) note(from, to int, k ValueKind) {
	if k == ValueInvalid { // its own values were noted, where they are nobody's
		t.strange = t.strange || t.role != roleUnknown
		return
	}
	t.spans = append(t.spans, span{from: from, to: to, role: t.role, kind: k})
}

// learn makes a template of the current record, which ends before end and is good, or sees that it cannot.
func (d *Decoder) learn(end int) {
	t := &d.templates
	ev := &d.ev
	if t.strange || len(t.spans) == 0 || d.seen&keyLabel != 0 || ev.DuplicateKeys > 0 || ev.WrongType > 0 {
		return
	}
	one := &template{seen: d.seen, unknown: ev.UnknownKeys}
	at := d.start
	literal := func(to int) []byte { return bytes.Clone(d.msg[at:to]) }
	names := map[string]bool{}
	for _, sp := range t.spans {
		s := slot{before: literal(sp.from), role: sp.role, name: bytes.Clone(sp.name)}
		var head, mask [wordBytes]byte
		for i := range copy(head[:], s.before) {
			mask[i] = 0xff
		}
		s.head, s.mask = binary.LittleEndian.Uint64(head[:]), binary.LittleEndian.Uint64(mask[:])
		if at = sp.to; sp.role == roleFeature {
			if names[string(s.name)] {
				return // the last one wins, and the others are counted
			}
			names[string(s.name)] = true
			s.column = len(one.columns.all)
			one.columns.all = append(one.columns.all, Column{name: s.name, path: s.name, role: roleFeature, kind: columnKind(sp.kind)})
		}
		one.slots = append(one.slots, s)
	}
	one.tail = literal(end)
	one.columns.shape, one.columns.lasting = newShape(one.columns.all), true
	if len(t.all) == maxTemplates {
		last := t.all[maxTemplates-1]
		if last.hits < fewHits {
			t.thrift = min(2*t.thrift+1, maxThrift)
		} else {
			t.thrift = 0
		}
		t.slots -= len(last.slots)
		t.bytes -= last.columns.bytes()
		t.all = t.all[:maxTemplates-1]
	}
	t.rest = t.thrift
	t.slots += len(one.slots)
	t.all = slices.Insert(t.all, 0, one)
}

// columnKind returns the kind of a column that begins with a value of a kind. A null tells nothing: most are numbers that are missing.
func columnKind(k ValueKind) kind {
	switch k {
	case ValueString:
		return kindText
	case ValueBool:
		return kindBool
	case ValueNull, ValueNumber, ValueInvalid:
	}
	return kindNumber
}
