package event

import "bytes"

// Limits bounds what one record may be. A record beyond a limit is refused as RejectOversize or RejectLimits; a field that
// is zero or negative stands for its default.
type Limits struct {
	MaxRecord int // bytes of one record; default 1 MiB
	MaxDepth  int // objects and arrays inside one another, the record itself included; default 64
	MaxFields int // named values of one record: prediction parts, features and segment dimensions together; default 5,000
	MaxName   int // bytes of a flattened name (`prediction.score.<class>` is one), of a version and of a segment value; default 256
}

// DefaultLimits returns the limits of design section 5, which are also those of the JSON Schemas in docs/schema.
func DefaultLimits() Limits {
	return Limits{MaxRecord: 1 << 20, MaxDepth: 64, MaxFields: 5000, MaxName: 256}
}

// framing says where in the message the decoder stands.
type framing uint8

const (
	framingStart  framing = iota // nothing was read
	framingLines                 // objects one after another: the next one starts at or after pos
	framingFirst                 // behind the '[' of an array
	framingMore                  // behind an element of an array
	framingBehind                // behind the ']' of an array
	framingRows                  // row index+1 of a columnar message is next
	framingBroken                // a columnar message cannot be read
	framingDone                  // the message is used up
)

// Decoder splits messages into records and decodes them. It is strict where a lenient reading could count something that
// was not meant (bad numbers, invalid UTF-8, truncated records), and forgiving where the rest of a record stays right
// (unknown keys, wrong types, repeated keys: counted in the Event). It keeps its scratch between messages and does not
// allocate for a good record once the scratch has grown. It is not safe for concurrent use.
//
// A message is one object, an array of objects, or objects one after another, separated by nothing, white space or
// newlines (NDJSON); a UTF-8 byte order mark at its start is skipped. Every record stands alone:
//
//   - A line that is not a record is refused under an index of its own, and decoding goes on at the next line. A broken
//     object of several lines is refused as one; decoding goes on at the first later line that starts with '{'.
//   - In an array, a syntax error refuses the rest of the message as one record, for nobody can say where the next element
//     starts. What leaves no doubt about that (a bare NaN, invalid UTF-8, a lone surrogate, a number beyond float64, an
//     element that is no object) refuses its own element only.
//   - White space has no records. A message without a single byte is one malformed record.
//
// A message may also be columnar, which its first byte says: see Encoding.
//
// The work is linear in the message's length: a broken object of several lines may be read again from each of its
// lines, but no byte more than MaxDepth+1 times.
type Decoder struct {
	limits Limits
	msg    []byte
	pos    int
	state  framing
	index  int

	start, end int // the current record in msg
	ev         Event
	reject     RejectError // Reason 0: the record is good
	hard       bool        // reject is a syntax error: the end of the record is not known

	idAt     int // offset of the id's first byte, where that is known
	seen     keySet
	modelBad int      // offset of a model that is no string, or -1
	tsBad    timeFlaw // of `ts`
	predBad  timeFlaw // of `prediction_ts`
	fields   int      // named values met in the record, for MaxFields

	scratch []byte // unescaped strings and flattened names; earlier views stay valid when it grows
	path    []byte // the flattened name of the open objects, with a '.' behind each
	marks   []int  // lengths of path at the objects that are open
	open    []byte // opening brackets of the containers that skip is in

	columns   *Columns   // of a columnar message
	all       []*Columns // those, and those that are or were held
	broken    string     // why a columnar message cannot be read
	batch     Batch
	keep      bool // features stay in the columns
	templates templates
	following *template // that the records of ahead follow
	ahead     []ahead
	taken     int    // of those
	missed    int    // offset of a record that follows no template, -1
	raw       []byte // of a row, as JSON

	predictionName, labelName, scoreName, scorePrefix []byte
}

// NewDecoder returns a Decoder with the limits l. Call Reset before the first Next.
func NewDecoder(l Limits) *Decoder {
	def := DefaultLimits()
	for _, f := range []struct {
		have *int
		def  int
	}{
		{&l.MaxRecord, def.MaxRecord}, {&l.MaxDepth, def.MaxDepth}, {&l.MaxFields, def.MaxFields}, {&l.MaxName, def.MaxName},
	} {
		if *f.have <= 0 {
			*f.have = f.def
		}
	}
	columns := &Columns{}
	return &Decoder{
		limits: l, columns: columns, all: []*Columns{columns}, state: framingDone, index: -1,
		predictionName: []byte(PredictionName), labelName: []byte(PredictionLabelName),
		scoreName: []byte(PredictionScoreName), scorePrefix: []byte(PredictionScorePrefix),
	}
}

// Reset starts a new message. The decoder reads message in place until the next Reset and never writes to it.
func (d *Decoder) Reset(message []byte) { d.ResetFrom("", message) }

// ResetFrom is Reset for a message of a producer whose records are alike, and may be unlike those of others. Nothing but speed depends on the
// name, which may be empty where it is not known.
func (d *Decoder) ResetFrom(producer string, message []byte) {
	d.msg, d.pos, d.state, d.index, d.batch.state = message, 0, framingStart, -1, batchUnknown
	d.ahead, d.taken, d.missed = d.ahead[:0], 0, -1
	if d.keep {
		d.templates.begin(producer, message)
	}
	d.begin(0)
}

// KeepColumns leaves the features of columnar messages where they are, in Event.Columns, for a caller who counts column by column. Those of
// other messages are put into columns where the decoder sees how: see template.
func (d *Decoder) KeepColumns() {
	d.keep = true
	d.templates.begin("", nil)
}

// Next moves to the next record of the message and reports whether there is one. Whether it is good, Event says.
func (d *Decoder) Next() bool {
	for {
		i := d.pos
		switch d.state {
		case framingStart:
			if len(d.msg) == 0 {
				return d.refuseRest(0, "the message is empty; send one JSON object, an array of objects or NDJSON")
			}
			if d.columnar() {
				continue
			}
			d.frame()
		case framingLines:
			if d.taken < len(d.ahead) {
				return d.hand()
			}
			if i = skipSpace(d.msg, i); i < len(d.msg) {
				return d.line(i)
			}
			d.state = framingDone
		case framingFirst:
			i = skipSpace(d.msg, i)
			if i >= len(d.msg) || d.msg[i] != ']' {
				return d.element(i)
			}
			d.state, d.pos = framingBehind, i+1
		case framingMore:
			i = skipSpace(d.msg, i)
			switch {
			case i < len(d.msg) && d.msg[i] == ',':
				return d.element(skipSpace(d.msg, i+1))
			case i < len(d.msg) && d.msg[i] == ']':
				d.state, d.pos = framingBehind, i+1
			default:
				return d.refuseRest(i, "expected ',' or ']' after an element of the array"+found(d.msg, i))
			}
		case framingBehind:
			if i = skipSpace(d.msg, i); i < len(d.msg) {
				return d.refuseRest(i, "the array is closed, but the message goes on"+found(d.msg, i))
			}
			d.state = framingDone
		case framingRows:
			if d.index+1 < d.columns.rows {
				return d.row(d.index + 1)
			}
			d.state = framingDone
		case framingBroken:
			return d.refuseRest(0, d.broken)
		case framingDone:
			return false
		}
	}
}

// frame looks how the message begins, which is JSON if anything.
func (d *Decoder) frame() {
	i := 0
	if bytes.HasPrefix(d.msg, []byte("\xef\xbb\xbf")) {
		i = 3
	}
	i = skipSpace(d.msg, i)
	if i < len(d.msg) && d.msg[i] == '[' {
		d.state, d.pos = framingFirst, i+1
	} else {
		d.state, d.pos = framingLines, i
	}
}

// Index returns the position of the current record in its message, from 0; refused records have one too. It is -1 before
// the first Next.
func (d *Decoder) Index() int { return d.index }

// Event returns the current record or why it was refused: exactly one of the two is not nil. Both, and every slice in
// them, are valid until the next call of Next.
func (d *Decoder) Event() (*Event, *RejectError) {
	if d.reject.Reason != 0 {
		return nil, &d.reject
	}
	if d.index < 0 {
		return nil, &RejectError{Reason: RejectMalformed, Detail: "no record was read: call Next first"}
	}
	return &d.ev, nil
}

// Raw returns the bytes of the current record, also of a refused one: from its start to where decoding goes on. For a row of a columnar
// message it is the same record as JSON, which is the caller's until the next call of Next.
func (d *Decoder) Raw() []byte {
	if d.state == framingRows && d.index >= 0 {
		if len(d.raw) == 0 {
			d.raw = d.columns.appendRow(d.raw, d.index)
		}
		return d.raw
	}
	return d.msg[d.start:d.end:d.end]
}

// NextIDs appends what are probably the ids of up to n records behind the current one, for a caller who can prepare for them. Nothing may
// depend on them: they are what stands where the ids are if the records are like the current one, each in its line. They are views like
// those of Event.
func (d *Decoder) NextIDs(ids [][]byte, n int) [][]byte {
	if d.state == framingRows {
		for row := d.index + 1; row <= d.index+n && row < d.columns.rows && d.columns.ids >= 0; row++ {
			ids = append(ids, d.columns.all[d.columns.ids].Value(row).Str)
		}
		return ids
	}
	if d.taken < len(d.ahead) {
		c := &d.following.columns
		for _, one := range d.ahead[d.taken:min(d.taken+n, len(d.ahead))] {
			if c.ids < 0 {
				break
			}
			ids = append(ids, c.all[c.ids].strings[one.row])
		}
		return ids
	}
	length, size := d.end-d.start, len(d.ev.ID)
	if d.idAt < 0 || size == 0 {
		return ids
	}
	for at := d.end; n > 0; n-- {
		line := bytes.IndexByte(d.msg[at:min(at+2*length, len(d.msg))], '\n')
		id := at + line + 1 + d.idAt - d.start
		if line < 0 || id+size > len(d.msg) {
			break
		}
		ids = append(ids, d.msg[id:id+size:id+size])
		at += line + 1
	}
	return ids
}

// NextMessageID is NextIDs for the record of a later message, where messages have one record each.
func (d *Decoder) NextMessageID(ids [][]byte, message []byte) [][]byte {
	size := len(d.ev.ID)
	if d.idAt < 0 || size == 0 || d.index > 0 || d.start > 0 || len(d.msg)-d.end > 1 || d.idAt+size > len(message) {
		return ids
	}
	return append(ids, message[d.idAt:d.idAt+size:d.idAt+size])
}

// begin clears what the decoder knows of the last record; the next one starts at byte i.
func (d *Decoder) begin(i int) {
	ev := &d.ev
	*ev = Event{Prediction: ev.Prediction[:0], Features: ev.Features[:0], Segments: ev.Segments[:0]}
	d.start, d.end = i, i
	d.reject, d.hard = RejectError{}, false
	d.idAt = -1
	d.seen, d.modelBad, d.tsBad, d.predBad, d.fields = 0, -1, timeFlaw{}, timeFlaw{}, 0
	d.scratch, d.path = d.scratch[:0], d.path[:0]
}

// finish ends the current record before byte end and lets decoding go on there.
func (d *Decoder) finish(end int) bool {
	d.index++
	d.end, d.pos = end, end
	if !d.hard && end-d.start > d.limits.MaxRecord {
		d.soft(d.start, RejectOversize, "the record is larger than max_record; send smaller records or raise the limit")
	}
	if d.reject.Reason != 0 {
		d.reject.Model = d.ev.Model
	} else {
		d.ev.Raw = d.Raw()
	}
	return true
}

// refuseRest refuses all bytes from i on as one malformed record.
func (d *Decoder) refuseRest(i int, detail string) bool {
	d.begin(i)
	d.fail(i, RejectMalformed, detail)
	d.state = framingDone
	return d.finish(len(d.msg))
}

// line decodes the record at i of a message that is a sequence of objects.
func (d *Decoder) line(i int) bool {
	b := d.msg
	d.begin(i)
	if b[i] != '{' {
		d.fail(i, RejectMalformed, notObject(b, i))
		return d.finish(nextLine(b, i))
	}
	if d.lookAhead(i) {
		return d.hand()
	}
	end := d.readRecord(i)
	if end < 0 {
		return d.finish(resync(b, i, d.reject.Offset))
	}
	// Anything but a newline or another object behind the object puts the whole line in doubt.
	j := skipBlanks(b, end)
	if j < len(b) && b[j] != '\n' && b[j] != '{' {
		d.fail(j, RejectMalformed, "expected a newline or another object after the record"+found(b, j))
		return d.finish(nextLine(b, j))
	}
	return d.finish(end)
}

// readRecord decodes the object at i in the fastest way that there is.
func (d *Decoder) readRecord(i int) int {
	if !d.keep {
		return d.record(i)
	}
	if i != d.missed {
		d.begin(i)
		if t, end := d.follow(i); t != nil {
			if d.fill(t, t.columns.rows); d.reject.Reason == 0 {
				d.keepRow(t)
				return end
			}
			d.begin(i)
		}
	}
	end := d.record(i)
	if d.templates.learning && end >= 0 && d.reject.Reason == 0 {
		d.learn(end)
	}
	d.templates.learning = false
	return end
}

// element decodes the element at i of a message that is an array.
func (d *Decoder) element(i int) bool {
	b := d.msg
	if i >= len(b) {
		return d.refuseRest(i, "the array is not closed: the message may have been cut off")
	}
	d.begin(i)
	d.state = framingMore
	var end int
	if b[i] == '{' {
		end = d.readRecord(i)
	} else {
		d.soft(i, RejectMalformed, notObject(b, i))
		var v Value
		end = d.value(i, &v, 0)
	}
	if end < 0 {
		d.reject.Detail += "; the rest of the array is not read"
		d.state, end = framingDone, len(b)
	}
	return d.finish(end)
}

// fail refuses the record for a syntax error at byte i; nothing of it counts after that. It returns -1, which the
// scanning functions hand up in place of the next offset.
func (d *Decoder) fail(i int, reason RejectReason, detail string) int {
	d.hard = true
	d.reject = RejectError{Reason: reason, Offset: i, Detail: detail}
	return -1
}

// soft refuses the record for something that leaves its end certain. Of several reasons the first of RejectReason stays,
// and of several places the first.
func (d *Decoder) soft(i int, reason RejectReason, detail string) {
	if !d.hard && (d.reject.Reason == 0 || reason < d.reject.Reason) {
		d.reject = RejectError{Reason: reason, Offset: i, Detail: detail}
	}
}

// nextLine returns the offset behind the next newline at or after i, or the end of b.
func nextLine(b []byte, i int) int {
	if n := bytes.IndexByte(b[i:], '\n'); n >= 0 {
		return i + n + 1
	}
	return len(b)
}

// resync returns where decoding goes on after the object at start broke at byte bad. A broken line must not take the
// lines after it along: `{"a":1` cut off before its brace breaks only at the '{' of the next line, which is a record.
// So an object that runs over its line gives way to the first later line that starts like a record, read or not.
func resync(b []byte, start, bad int) int {
	next := nextLine(b, start)
	if bad < next {
		return next
	}
	for next < len(b) && b[next] != '{' {
		next = nextLine(b, next)
	}
	return next
}

// notObject says that what starts at byte i is no object.
func notObject(b []byte, i int) string {
	if b[i] == '[' {
		return "a record is a JSON object; an array of records must be the whole message"
	}
	return "a record is a JSON object" + found(b, i)
}
