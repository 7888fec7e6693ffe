package event

// AppendDimension appends the value that the record has of a segment dimension: of its `segment` field of this name, else of its
// feature, in the form of AppendCategory; of a name that comes twice the last one. Nothing is appended where ok is false: the
// record has neither, or what it has is null, a NaN or an infinity, or no scalar.
func (e *Event) AppendDimension(dst []byte, name string) (value []byte, ok bool) {
	for _, fields := range [2][]Field{e.Segments, e.Features} {
		for i := len(fields) - 1; i >= 0; i-- {
			if string(fields[i].Name) != name {
				continue
			}
			return appendPart(dst, &fields[i].Value)
		}
	}
	if e.Columns != nil {
		for i := range e.Columns.Len() {
			if c := &e.Columns.all[i]; c.role == roleFeature && string(c.name) == name {
				v := c.Value(e.Row)
				return appendPart(dst, &v)
			}
		}
	}
	return dst, false
}

func appendPart(dst []byte, v *Value) (value []byte, ok bool) {
	if v.Kind == ValueNumber && v.Num-v.Num != 0 {
		return dst, false // a row of a file may hold one
	}
	value, class := v.AppendCategory(dst)
	return value, class == ClassValue
}
