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
	loose   bool    // it has values that go to the event at once, so that one record must be done before the next one is read
	hits    int     // records that followed it
	columns Columns // of the values of the present message's records
}

// slot is a value of the record and what stands before it.
type slot struct {
	before []byte
	head   uint64 // its first eight bytes, as far as there are any
	mask   uint64
	role   role
	name   []byte // of a part of the prediction or a segment dimension
	column int    // that the value goes to; -1: none
	loose  bool   // the value goes to the event at once
}

// ahead is a record that was read before it is asked for.
type ahead struct {
	start, end int
	id         int // offset of the id's first byte; -1: there is none
	row        int
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
	fewRooms      = 16      // of columns that begin
	maxAhead      = 256     // records of a message that are read before the first of them is asked for
	maxUnescaped  = 1 << 20 // bytes of strings without their escapes that columns keep
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

// follow reads the record at i by a template into the next row of its columns. It returns nil where none fits: then it is to be decoded the
// general way.
func (d *Decoder) follow(i int) (one *template, end int) {
	t := &d.templates
	if t.learning = false; t.pause > 0 {
		t.pause--
		return nil, -1
	}
	for k, one := range t.all {
		if end := d.followOne(one, i); end >= 0 {
			if t.penalty = 0; k > 0 {
				copy(t.all[1:], t.all[:k])
				t.all[0] = one
			}
			return one, end
		}
		d.begin(i)
	}
	t.pause, t.penalty = t.penalty, min(2*t.penalty+1, maxPause)
	if t.rest > 0 {
		t.rest--
		return nil, -1
	}
	t.learning, t.strange, t.spans = true, false, t.spans[:0]
	return nil, -1
}

// followOne reads the record at i by a template into a row behind those that its columns have, and returns its end or -1. The caller counts the
// row, or leaves it.
func (d *Decoder) followOne(t *template, i int) int {
	b, row := d.msg, t.columns.rows
	if row == 0 {
		t.columns.unescaped = t.columns.unescaped[:0]
	}
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
		switch {
		case s.column >= 0:
			i = d.cell(&t.columns, &t.columns.all[s.column], row, i)
		case s.loose:
			i = d.assignAt(s, i)
		default:
			i = d.passOver(s.role, i)
		}
		if i < 0 {
			return -1
		}
	}
	if len(b)-i < len(t.tail) || !bytes.Equal(b[i:i+len(t.tail)], t.tail) || d.reject.Reason != 0 {
		return -1
	}
	return i + len(t.tail)
}

// keepRow counts the row that followOne read.
func (d *Decoder) keepRow(t *template) {
	t.hits++
	if t.columns.rows++; !t.columns.used {
		t.columns.used = true
		d.templates.used = append(d.templates.used, &t.columns)
	}
}

// lookAhead reads the record at i and those behind it, each in its line, as far as they follow one template, and reports whether there is one.
func (d *Decoder) lookAhead(i int) bool {
	d.ahead, d.taken = d.ahead[:0], 0
	if !d.keep || i == d.missed {
		return false
	}
	t, end := d.follow(i)
	if t == nil {
		d.missed = i // it would not be followed the next time either
		return false
	}
	if t.loose {
		return false
	}
	b := d.msg
	for {
		next := skipBlanks(b, end)
		if next < len(b) && b[next] != '\n' && b[next] != '{' || end-i > d.limits.MaxRecord {
			break // it is refused
		}
		d.ahead = append(d.ahead, ahead{start: i, end: end, id: d.idAt, row: t.columns.rows})
		d.keepRow(t)
		if i = skipSpace(b, next); len(d.ahead) == maxAhead || i >= len(b) || b[i] != '{' {
			break
		}
		d.scratch = d.scratch[:0]
		if end = d.followOne(t, i); end < 0 {
			break
		}
	}
	d.following, d.batch.state = t, batchUnknown
	return len(d.ahead) > 0
}

// ReadAlike reads n > 0 messages of one record each, as far as they follow the template that the last record of their producer followed, and returns
// how many do. Batch returns them as if they were the lines of one message, for the caller to take some of them with Skip; Drop forgets the others.
// None of them is to be had by Next. The messages are read in place, for as long as ResetFrom says of one.
func (d *Decoder) ReadAlike(producer string, messages func(i int) []byte, n int) int {
	d.ResetFrom(producer, messages(0))
	if !d.keep || len(d.templates.all) == 0 || d.templates.all[0].loose {
		return 0
	}
	t := d.templates.all[0]
	for i := range n {
		b := messages(i)
		d.msg, d.scratch = b, d.scratch[:0]
		end := d.followOne(t, 0)
		if end < 0 || end > d.limits.MaxRecord || skipSpace(b, end) < len(b) {
			break
		}
		d.ahead = append(d.ahead, ahead{start: 0, end: end, id: d.idAt, row: t.columns.rows})
		d.keepRow(t)
	}
	d.following, d.state = t, framingLines
	return len(d.ahead)
}

// Drop forgets the records that were read ahead and not taken.
func (d *Decoder) Drop() {
	if d.taken == len(d.ahead) {
		return
	}
	c := &d.following.columns
	rows := d.ahead[d.taken].row
	for i := range c.all {
		if col := &c.all[i]; col.kind == kindText {
			clear(col.strings[rows:min(c.rows+1, c.room)])
		}
	}
	c.rows, d.ahead = rows, d.ahead[:d.taken]
}

// skipBlanks returns the offset of the first byte at or after i that is no blank within a line.
func skipBlanks(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\t' || b[i] == '\r') {
		i++
	}
	return i
}

// hand makes the next record that was read ahead the current one.
func (d *Decoder) hand() bool {
	one := d.ahead[d.taken]
	d.taken++
	d.begin(one.start)
	d.fill(d.following, one.row)
	d.idAt = one.id
	return d.finish(one.end)
}

// fill makes the event of a row that followed a template, but for what of it is loose.
func (d *Decoder) fill(t *template, row int) {
	c, ev := &t.columns, &d.ev
	for _, i := range c.others {
		col := &c.all[i]
		if col.role == roleTime {
			ev.Time, ev.HasTime = col.ints[row], true
			continue
		}
		v := col.Value(row)
		d.assign(col.role, col.name, &v, 0)
	}
	d.seen = t.seen
	ev.UnknownKeys = t.unknown
	if len(c.others) < len(c.all) {
		ev.Columns, ev.Row = c, row
	}
	d.judge()
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

// passOver reads the value at i of a key that says nothing of an event.
func (d *Decoder) passOver(r role, i int) int {
	var v Value
	next := d.value(i, &v, 0)
	if v.Kind == ValueInvalid || r == roleSchema && v.Kind != ValueNumber && v.Kind != ValueNull {
		return -1
	}
	return next
}

// cell reads the value at i into a row of a column. It returns -1 for one of another type, and for one that is to be refused.
func (d *Decoder) cell(all *Columns, c *Column, row, i int) int {
	b := d.msg
	switch c.kind {
	case kindNumber:
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
	case kindInteger:
		var v Value
		next := d.value(i, &v, 0)
		ms, ok, flaw := instantOf(&v, i)
		if !ok || flaw.detail != "" {
			return -1
		}
		c.ints[row] = ms
		return next
	case kindText:
		return d.textCell(all, c, row, i)
	case kindBool, kindString:
	}
	var v Value
	next := d.value(i, &v, 0)
	if v.Kind != ValueBool {
		return -1
	}
	c.nums[row] = v.Num
	return next
}

// textCell is cell for texts: strings, null, and the numbers that stand for one.
func (d *Decoder) textCell(all *Columns, c *Column, row, i int) int {
	var v Value
	var next int
	if i < len(d.msg) && d.msg[i] == '"' {
		v.Kind = ValueString
		unescaped := len(d.scratch) // what is behind it is gone with the record, but columns stay
		if v.Str, next = d.str(i); len(d.scratch) != unescaped {
			if len(all.unescaped) > maxUnescaped {
				return -1
			}
			from, room := len(all.unescaped), cap(all.unescaped)
			all.unescaped = append(all.unescaped, v.Str...)
			d.templates.bytes += cap(all.unescaped) - room
			v.Str = all.unescaped[from:len(all.unescaped):len(all.unescaped)]
		}
	} else {
		next = d.value(i, &v, 0)
	}
	switch {
	case next < 0:
		return -1
	case v.Kind == ValueNull:
		v.Str = nil
	case v.Kind == ValueNumber && (c.role == roleID || c.role == roleVersion || c.role == roleStatus):
	case v.Kind != ValueString, (c.role == roleVersion || c.role == roleSegment) && len(v.Str) > d.limits.MaxName:
		return -1
	}
	if c.role == roleID {
		if d.idAt = i; v.Kind == ValueString {
			d.idAt++ // behind the quote
		}
	}
	c.strings[row] = v.Str
	return next
}

// makeRoom makes room for another row in the columns of a template.
func (c *Columns) makeRoom(row int) {
	c.room = max(fewRooms, 2*c.room)
	for i := range c.all {
		switch col := &c.all[i]; col.kind {
		case kindText:
			col.strings = append(make([][]byte, 0, c.room), col.strings[:row]...)[:c.room]
		case kindInteger:
			col.ints = append(make([]int64, 0, c.room), col.ints[:row]...)[:c.room]
		case kindNumber, kindBool, kindString:
			col.nums = append(make([]float64, 0, c.room), col.nums[:row]...)[:c.room]
		}
	}
}

// bytes returns what the rows of a template's columns take.
func (c *Columns) bytes() int {
	row := 0
	for i := range c.all {
		if row += 8; c.all[i].kind == kindText {
			row += 16 // a slice
		}
	}
	return row*c.room + cap(c.unescaped)
}

// note notes a value of a record from which a template may be learnt.
func (t *templates) note(from, to int, k ValueKind) {
	if k == ValueInvalid { // its own values were noted, where they are nobody's
		t.strange = t.strange || t.role != roleUnknown
		return
	}
	t.spans = append(t.spans, span{from: from, to: to, role: t.role, kind: k})
}

// partKey is a name among those of its role.
type partKey struct {
	role role
	name string
}

// learn makes a template of the current record, which ends before end and is good, or sees that it cannot.
func (d *Decoder) learn(end int) {
	t := &d.templates
	ev := &d.ev
	if t.strange || len(t.spans) == 0 || d.seen&keyLabel != 0 || ev.DuplicateKeys > 0 || ev.WrongType > 0 {
		return
	}
	one := &template{seen: d.seen, unknown: ev.UnknownKeys}
	one.columns.ids = -1
	at := d.start
	literal := func(to int) []byte { return bytes.Clone(d.msg[at:to]) }
	names := map[partKey]bool{}
	for _, sp := range t.spans {
		s := slot{before: literal(sp.from), role: sp.role, name: bytes.Clone(sp.name), column: -1}
		var head, mask [wordBytes]byte
		for i := range copy(head[:], s.before) {
			mask[i] = 0xff
		}
		s.head, s.mask = binary.LittleEndian.Uint64(head[:]), binary.LittleEndian.Uint64(mask[:])
		at = sp.to
		key := partKey{sp.role, string(s.name)}
		if len(s.name) > 0 && names[key] {
			return // the last one wins, and the others are counted
		}
		names[key] = true
		var k kind
		if k, s.loose = columnKind(sp.role, sp.kind); k != 0 {
			s.column = len(one.columns.all)
			if sp.role != roleFeature {
				one.columns.others = append(one.columns.others, s.column)
			}
			if sp.role == roleID {
				one.columns.ids = s.column
			}
			one.columns.all = append(one.columns.all, Column{name: s.name, path: s.name, role: sp.role, kind: k})
		}
		one.loose = one.loose || s.loose
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

// columnKind returns the kind of a column that begins with a value of a kind; 0: the value goes to none, at once to the event if it is loose. A null
// tells nothing: most are numbers that are missing.
func columnKind(r role, k ValueKind) (of kind, loose bool) {
	switch r {
	case roleModel, roleVersion, roleID, roleStatus:
		return kindText, false
	case roleTime:
		if k != ValueString && k != ValueNumber {
			return 0, true
		}
		return kindInteger, false
	case roleLatency:
		if k != ValueNumber && k != ValueNull {
			return 0, true
		}
		return kindNumber, false
	case rolePredictionTime:
		return 0, true
	case roleUnknown, roleSchema, roleLabel:
		return 0, false
	case roleFeature, rolePrediction, roleSegment:
	}
	switch k {
	case ValueString:
		return kindText, false
	case ValueBool:
		return kindBool, false
	case ValueNull, ValueNumber, ValueInvalid:
	}
	return kindNumber, false
}
