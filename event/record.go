package event

import "slices"

// The meaning of a record: which keys it may have and what their values become. docs/schema/event.schema.json and
// label.schema.json say what to send; this file also says what becomes of everything else.

// keySet is the set of known top-level keys that a record has had.
type keySet uint16

const (
	keyModel keySet = 1 << iota
	keyVersion
	keyID
	keyTime
	keyLatency
	keyStatus
	keyPrediction
	keyFeatures
	keySegment
	keyLabel
	keyPredictionTime
	keySchema
)

// timeFlaw says why a time cannot be read; an empty detail means that it can, or that there is none.
type timeFlaw struct {
	offset int
	detail string
}

// record decodes the object at i and returns the offset behind it, or -1 if it breaks.
func (d *Decoder) record(i int) int {
	b := d.msg
	if i = skipSpace(b, i+1); i < len(b) && b[i] == '}' {
		d.judge()
		return i + 1
	}
	for {
		var name []byte
		if name, i = d.key(i); i < 0 {
			return i
		}
		if i = d.member(name, i); i < 0 {
			return i
		}
		i = skipSpace(b, i)
		switch {
		case i < len(b) && b[i] == ',':
			i = skipSpace(b, i+1)
		case i < len(b) && b[i] == '}':
			d.judge()
			return i + 1
		default:
			return d.unexpected(i, "',' or '}' after a value")
		}
	}
}

// member decodes the value at i of the top-level key name. A key that comes again replaces all that its earlier value set.
func (d *Decoder) member(name []byte, i int) int {
	ev := &d.ev
	var v Value
	role := &d.templates.role
	*role = roleUnknown
	switch string(name) {
	case "model":
		*role = roleModel
		d.again(keyModel)
		next := d.value(i, &v, 1)
		d.setModel(&v, i)
		return next
	case "version":
		*role = roleVersion
		d.again(keyVersion)
		i = d.value(i, &v, 1)
		ev.Version = d.text(&v)
	case "id":
		*role = roleID
		d.again(keyID)
		i = d.value(i, &v, 1)
		ev.ID = d.text(&v)
	case "status":
		*role = roleStatus
		d.again(keyStatus)
		i = d.value(i, &v, 1)
		ev.Status = d.text(&v)
	case "ts":
		*role = roleTime
		d.again(keyTime)
		var next int
		ev.Time, ev.HasTime, d.tsBad, next = d.instant(i)
		return next
	case "prediction_ts":
		*role = rolePredictionTime
		d.again(keyPredictionTime)
		var next int
		ev.PredictionTime, ev.HasPredTime, d.predBad, next = d.instant(i)
		return next
	case "latency_ms":
		*role = roleLatency
		d.again(keyLatency)
		i = d.value(i, &v, 1)
		d.setLatency(&v)
	case "prediction":
		*role = rolePrediction
		d.again(keyPrediction)
		ev.Prediction = ev.Prediction[:0]
		return d.prediction(i)
	case "features":
		*role = roleFeature
		d.again(keyFeatures)
		ev.Features, i = d.object(i, ev.Features[:0], nil, 1)
	case "segment":
		*role = roleSegment
		d.again(keySegment)
		ev.Segments, i = d.object(i, ev.Segments[:0], nil, 1)
	case "label":
		*role = roleLabel
		d.again(keyLabel)
		i = d.value(i, &ev.Label, 1)
	case "schema":
		*role = roleSchema
		d.again(keySchema)
		if i = d.value(i, &v, 1); v.Kind != ValueNumber && v.Kind != ValueNull {
			ev.WrongType++
		}
	default:
		ev.UnknownKeys++
		i = d.value(i, &v, 1)
	}
	return i
}

func (d *Decoder) setModel(v *Value, i int) {
	d.ev.Model, d.modelBad = v.Str, -1
	if v.Kind != ValueString {
		d.ev.Model = nil
		if v.Kind != ValueNull {
			d.modelBad = i
		}
	}
}

func (d *Decoder) setLatency(v *Value) {
	ev := &d.ev
	ev.Latency, ev.HasLatency, ev.LatencyInvalid = 0, false, false
	switch {
	case v.Kind == ValueNumber && v.Num >= 0:
		ev.Latency, ev.HasLatency = v.Num+0, true // -0 + 0 is 0
	case v.Kind != ValueNull:
		ev.LatencyInvalid = true
	}
}

// again counts a known key that the record has had.
func (d *Decoder) again(k keySet) {
	if d.seen&k != 0 {
		d.ev.DuplicateKeys++
	}
	d.seen |= k
}

// text returns a string as it is and a number as written. Other types count as absent.
func (d *Decoder) text(v *Value) []byte {
	if v.Kind == ValueBool || v.Kind == ValueInvalid {
		d.ev.WrongType++
		return nil
	}
	return v.Str
}

// instant reads the time at i: RFC 3339 with a zone, epoch milliseconds, or null for none.
func (d *Decoder) instant(i int) (ms int64, ok bool, flaw timeFlaw, next int) {
	var v Value
	next = d.value(i, &v, 1)
	ms, ok, flaw = instantOf(&v, i)
	return ms, ok, flaw, next
}

// instantOf reads the time v, which stands at byte i.
func instantOf(v *Value, i int) (ms int64, ok bool, flaw timeFlaw) {
	var detail string
	switch v.Kind {
	case ValueNull:
		return 0, false, timeFlaw{}
	case ValueString:
		ms, detail = parseRFC3339(v.Str)
	case ValueNumber:
		ms, detail = epochMillis(v.Num)
	default:
		detail = "a time is a string (RFC 3339 with a zone) or a number (epoch milliseconds)"
	}
	if detail != "" {
		return 0, false, timeFlaw{offset: i, detail: detail}
	}
	return ms, true, timeFlaw{}
}

// prediction decodes the prediction at i into its parts.
func (d *Decoder) prediction(i int) int {
	ev := &d.ev
	if i >= len(d.msg) || d.msg[i] != '{' {
		ev.Prediction, i = d.field(i, ev.Prediction, d.predictionName, 1)
		if n := len(ev.Prediction); n > 0 && ev.Prediction[n-1].Kind == ValueNull {
			ev.Prediction = ev.Prediction[:0]
		}
		return i
	}
	b := d.msg
	if d.limits.MaxDepth < 2 {
		return d.tooDeep(i)
	}
	if i = skipSpace(b, i+1); i < len(b) && b[i] == '}' {
		return i + 1
	}
	for {
		var name []byte
		if name, i = d.key(i); i < 0 {
			return i
		}
		switch string(name) {
		case "label":
			ev.Prediction, i = d.field(i, ev.Prediction, d.labelName, 2)
		case "score":
			ev.Prediction, i = d.field(i, ev.Prediction, d.scoreName, 2)
		case "scores":
			ev.Prediction, i = d.object(i, ev.Prediction, d.scorePrefix, 2)
		default:
			var v Value
			ev.UnknownKeys++
			d.templates.role = roleUnknown
			i = d.value(i, &v, 2)
			d.templates.role = rolePrediction
		}
		if i < 0 {
			return i
		}
		i = skipSpace(b, i)
		switch {
		case i < len(b) && b[i] == ',':
			i = skipSpace(b, i+1)
		case i < len(b) && b[i] == '}':
			return i + 1
		default:
			return d.unexpected(i, "',' or '}' after a value")
		}
	}
}

// object appends the values of the object at i, which has depth containers around it, to out: nested objects flattened
// with '.', each name behind prefix. null is an object without values; another type is one too and counts as wrong.
func (d *Decoder) object(i int, out []Field, prefix []byte, depth int) (fields []Field, next int) {
	b := d.msg
	if i >= len(b) || b[i] != '{' {
		var v Value
		d.templates.strange = true
		if i = d.value(i, &v, depth); v.Kind != ValueNull {
			d.ev.WrongType++
		}
		return out, i
	}
	d.path, d.marks = append(d.path[:0], prefix...), d.marks[:0]
	for {
		// An object opens at i, and len(d.marks) more are open between it and the outermost one.
		if depth+len(d.marks) >= d.limits.MaxDepth {
			return out, d.tooDeep(i)
		}
		i = skipSpace(b, i+1)
		closing := i < len(b) && b[i] == '}'
		for {
			if closing {
				i++
				if len(d.marks) == 0 {
					d.path = d.path[:0]
					return out, i
				}
				d.path = d.path[:d.marks[len(d.marks)-1]]
				d.marks = d.marks[:len(d.marks)-1]
			} else {
				var name []byte
				if name, i = d.key(i); i < 0 {
					return out, i
				}
				if i < len(b) && b[i] == '{' {
					if len(d.path)+len(name) < d.limits.MaxName {
						d.marks = append(d.marks, len(d.path))
						d.path = append(append(d.path, name...), '.')
						break
					}
					d.soft(i, RejectLimits, "a name is longer than max_name")
				}
				if out, i = d.field(i, out, name, depth+1+len(d.marks)); i < 0 {
					return out, i
				}
			}
			i = skipSpace(b, i)
			closing = i < len(b) && b[i] == '}'
			if !closing {
				if i >= len(b) || b[i] != ',' {
					return out, d.unexpected(i, "',' or '}' after a value")
				}
				i = skipSpace(b, i+1)
			}
		}
	}
}

// field appends the value at i, which has depth containers around it, to out under the name d.path + key.
func (d *Decoder) field(i int, out []Field, key []byte, depth int) (fields []Field, next int) {
	d.fields++
	switch {
	case len(d.path)+len(key) > d.limits.MaxName:
		d.soft(i, RejectLimits, "a name is longer than max_name")
	case d.fields > d.limits.MaxFields:
		d.soft(i, RejectLimits, "the record has more values than max_fields")
	default:
		if len(d.path) > 0 {
			from := len(d.scratch)
			d.scratch = append(append(d.scratch, d.path...), key...)
			key = d.scratch[from:len(d.scratch):len(d.scratch)]
		}
		if len(out) < cap(out) {
			out = out[:len(out)+1]
		} else {
			out = append(out, Field{})
		}
		f := &out[len(out)-1]
		f.Name = key
		i = d.value(i, &f.Value, depth)
		if t := &d.templates; t.learning && len(t.spans) > 0 {
			t.spans[len(t.spans)-1].name = key
		}
		return out, i
	}
	var dropped Value
	return out, d.value(i, &dropped, depth)
}

// judge looks at a record that is complete: which kind it is, and what refuses it apart from its syntax.
func (d *Decoder) judge() {
	ev := &d.ev
	if d.seen&keyLabel != 0 {
		// A wide log may carry an empty label column beside its predictions: those have no label yet, they are none.
		ev.IsLabel = ev.Label.Kind != ValueNull || len(ev.Prediction) == 0 && len(ev.Features) == 0 && ev.Columns == nil
	}
	if d.modelBad >= 0 {
		d.soft(d.modelBad, RejectNoModel, "model is not a string")
	}
	if d.tsBad.detail != "" {
		d.soft(d.tsBad.offset, RejectBadTime, "ts: "+d.tsBad.detail)
	}
	if ev.IsLabel {
		// Labels and predictions share the columns of a message: a label whose prediction is null in all its parts carries none.
		if !slices.ContainsFunc(ev.Prediction, func(f Field) bool { return f.Kind != ValueNull }) {
			ev.Prediction = ev.Prediction[:0]
		}
		if d.predBad.detail != "" {
			d.soft(d.predBad.offset, RejectBadTime, "prediction_ts: "+d.predBad.detail)
		}
		if len(ev.ID) == 0 && len(ev.Prediction) == 0 {
			d.soft(d.start, RejectNoLabelID, "a label needs the id of its prediction, or carries the prediction itself")
		}
	}
	if len(ev.Version) > d.limits.MaxName {
		d.soft(d.start, RejectLimits, "version is longer than max_name")
	}
	for i := range ev.Segments {
		if len(ev.Segments[i].Str) > d.limits.MaxName {
			d.soft(d.start, RejectLimits, "a segment value is longer than max_name")
		}
	}
}
