package event

// maxModel is the longest name of a model, in bytes.
const maxModel = 128

// ValidModel reports whether name can name a model: 1 to 128 of A-Z, a-z, 0-9, '_' and '-', so that it is one token of
// a NATS subject.
func ValidModel[S string | []byte](name S) bool {
	if len(name) == 0 || len(name) > maxModel {
		return false
	}
	for i := range len(name) {
		switch c := name[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '_', c == '-':
		default:
			return false
		}
	}
	return true
}

// ResolveModel returns the model that ev belongs to: the one that its body names or, where it names none, subject, the
// model's token of the message's subject (empty if the subject has none). It refuses the record if neither names a
// model, if the name is no valid one, or if the two disagree. The result is a view of ev or of subject.
func ResolveModel[S string | []byte](subject S, ev *Event) ([]byte, *RejectError) {
	switch {
	case len(ev.Model) == 0 && len(subject) == 0:
		return nil, &RejectError{Reason: RejectNoModel, Detail: `name the model in "model" or in the subject`}
	case len(ev.Model) == 0:
		if !ValidModel(subject) {
			return nil, badModel([]byte(subject))
		}
		return []byte(subject), nil
	case !ValidModel(ev.Model):
		return nil, badModel(ev.Model)
	case len(subject) != 0 && string(subject) != string(ev.Model):
		return nil, &RejectError{
			Reason: RejectModelMismatch, Model: ev.Model,
			Detail: `"model" differs from the model of the subject; publish each model's records on its own subject`,
		}
	}
	return ev.Model, nil
}

// badModel refuses a name.
func badModel(name []byte) *RejectError {
	return &RejectError{
		Reason: RejectModelName, Model: name, Detail: "a model's name is 1 to 128 of A-Z, a-z, 0-9, '_' and '-'",
	}
}
