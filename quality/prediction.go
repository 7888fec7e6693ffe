package quality

import (
	"bytes"
	"errors"
	"fmt"
	"math"

	"github.com/driftd/driftd/event"
	"github.com/driftd/driftd/internal/exact/wire"
)

// NoClass is the class of a prediction or label that has none: of a regression, or of one that is flawed.
const NoClass = -1

// Prediction is what a model answered, read by a Spec and as small as it can be kept until its label comes. It is immutable.
type Prediction struct {
	Flaw   Flaw
	Class  int       // binary: 0 or 1, the positive class; multiclass: index in Spec.Classes, their number for any other; or NoClass
	Scores []float64 // binary: that of the positive class; multiclass: one for each of Spec.Classes; nil where there is none. Finite
	Value  float64   // of a regression; finite
}

// Label is the truth about a prediction, read by a Spec.
type Label struct {
	Flaw  Flaw
	Class int     // as in Prediction
	Value float64 // of a regression; finite
}

// Prediction reads the prediction of an event. It never fails: what cannot be used has a Flaw.
//
// Binary: a number is the score of the positive class, and the class follows from the threshold; a string or a boolean is a class
// without a score; of a label with a score the score is that of the positive class, whatever the label; of scores by class the one
// of the positive class counts. Multiclass: a string, number or boolean is a class, also beside a score, which is then of no
// use; of scores by class the largest wins (the first class at ties), a class of the Spec that is not among them has 0.
// Regression: a number. Booleans are 1 and 0 where these are the classes.
func (s *Spec) Prediction(fields []event.Field) Prediction {
	var label, score, value *event.Value
	scores := fields[:0:0]
	for i := range fields {
		switch f := &fields[i]; {
		case string(f.Name) == event.PredictionName:
			value = &f.Value
		case string(f.Name) == event.PredictionLabelName:
			label = &f.Value
		case string(f.Name) == event.PredictionScoreName:
			score = &f.Value
		case bytes.HasPrefix(f.Name, []byte(event.PredictionScorePrefix)):
			scores = append(scores, *f)
		}
	}
	if label != nil && label.Kind == event.ValueNull {
		label = nil
	}
	switch s.task {
	case Regression:
		return regressionOf(value)
	case Multiclass:
		if value != nil {
			label = value
		}
		return s.multiclassOf(label, scores)
	case Binary:
	}
	if value != nil && value.Kind == event.ValueNumber {
		score, value = value, nil
	}
	if value != nil {
		label = value
	}
	return s.binaryOf(label, score, scores)
}

func regressionOf(value *event.Value) Prediction {
	if value == nil {
		return Prediction{Flaw: FlawNoPrediction, Class: NoClass}
	}
	x, flaw := number(*value, FlawNoPrediction, FlawPredictionType, FlawScore)
	return Prediction{Flaw: flaw, Class: NoClass, Value: x}
}

// number reads a number; null is missing, NaN and the infinities are odd, all else is wrong.
func number(v event.Value, missing, wrong, odd Flaw) (float64, Flaw) {
	x, class := v.Float()
	switch {
	case class == event.ClassInvalid:
		return 0, wrong
	case v.Kind == event.ValueNull:
		return 0, missing
	case class != event.ClassValue:
		return 0, odd
	}
	return x + 0, FlawNone // -0 + 0 is 0
}

func (s *Spec) binaryOf(label, score *event.Value, scores []event.Field) Prediction {
	p := Prediction{Class: NoClass}
	for i := range scores {
		if string(scores[i].Name[len(event.PredictionScorePrefix):]) == s.classes[1] {
			score = &scores[i].Value
		}
	}
	switch {
	case label == nil && score == nil && len(scores) > 0:
		return flawed(FlawScore) // scores, but not of the positive class
	case label == nil && score == nil:
		return flawed(FlawNoPrediction)
	}
	if score != nil {
		x, flaw := number(*score, FlawScore, FlawScore, FlawScore)
		if flaw != FlawNone {
			return flawed(flaw)
		}
		p.Scores = []float64{x}
		p.Class = 0
		if x >= s.threshold {
			p.Class = 1
		}
	}
	if label != nil {
		class, flaw := s.class(*label, FlawNoPrediction, FlawPredictionType, FlawPredictionType)
		if flaw != FlawNone {
			return flawed(flaw)
		}
		p.Class = class
	}
	return p
}

func flawed(f Flaw) Prediction { return Prediction{Flaw: f, Class: NoClass} }

func (s *Spec) multiclassOf(label *event.Value, scores []event.Field) Prediction {
	p := Prediction{Class: NoClass}
	if len(scores) > 0 {
		p.Scores = make([]float64, len(s.classes))
		best := math.Inf(-1)
		for i := range scores {
			x, flaw := number(scores[i].Value, FlawScore, FlawScore, FlawScore)
			if flaw != FlawNone {
				return flawed(flaw)
			}
			class, tracked := s.index[string(scores[i].Name[len(event.PredictionScorePrefix):])]
			if !tracked {
				class = len(s.classes)
			} else {
				p.Scores[class] = x
			}
			if x > best || (x == best && class < p.Class) {
				best, p.Class = x, class
			}
		}
	}
	if label != nil {
		class, flaw := s.class(*label, FlawNoPrediction, FlawPredictionType, FlawPredictionType)
		if flaw != FlawNone {
			return flawed(flaw)
		}
		p.Class = class
	}
	if p.Class == NoClass {
		return flawed(FlawNoPrediction)
	}
	return p
}

// class finds the class of a label in its categorical form.
func (s *Spec) class(v event.Value, missing, wrong, unknown Flaw) (int, Flaw) {
	var scratch [64]byte
	name, class := v.AppendCategory(scratch[:0])
	switch class {
	case event.ClassMissing:
		return NoClass, missing
	case event.ClassInf, event.ClassInvalid:
		return NoClass, wrong
	case event.ClassValue:
	}
	if i, ok := s.index[string(name)]; ok {
		return i, FlawNone
	}
	if v.Kind == event.ValueBool {
		name = scratch[:1]
		name[0] = '0' + byte(v.Num)
		if i, ok := s.index[string(name)]; ok {
			return i, FlawNone
		}
	}
	switch {
	case s.task == Multiclass:
		return len(s.classes), FlawNone
	case s.rest:
		return 0, FlawNone
	}
	return NoClass, unknown
}

// Label reads a label. It never fails: what cannot be used has a Flaw.
func (s *Spec) Label(v event.Value) Label {
	if s.task == Regression {
		x, flaw := number(v, FlawNoLabel, FlawLabelType, FlawLabelType)
		return Label{Flaw: flaw, Class: NoClass, Value: x}
	}
	class, flaw := s.class(v, FlawNoLabel, FlawLabelType, FlawLabelClass)
	return Label{Flaw: flaw, Class: class}
}

// AppendBinary appends the canonical form of p, for whoever keeps it until its label comes: a dozen bytes for a binary one.
func (p *Prediction) AppendBinary(b []byte) []byte {
	b = append(b, byte(p.Flaw))
	b = wire.AppendVarint(b, int64(p.Class))
	b = wire.AppendUvarint(b, uint64(len(p.Scores)))
	for _, x := range p.Scores {
		b = wire.AppendFloat(b, x+0) // -0 + 0 is 0
	}
	if p.Value == 0 {
		return append(b, 0)
	}
	return wire.AppendFloat(append(b, 1), p.Value)
}

// DecodePrediction reads the prediction at the start of b, which must be one of this Spec, and returns what follows it.
func (s *Spec) DecodePrediction(b []byte) (p Prediction, rest []byte, err error) {
	r := wire.NewReader(b)
	p.Flaw = Flaw(r.Byte())
	p.Class = int(r.Varint())
	if n := r.Count(8); n > 0 {
		p.Scores = make([]float64, n)
		for i := range p.Scores {
			p.Scores[i] = r.Finite()
		}
	}
	switch r.Byte() {
	case 0:
	case 1:
		if p.Value = r.Finite(); p.Value == 0 {
			r.Fail("a zero in the long form")
		}
	default:
		r.Fail("unknown form of a value")
	}
	if r.Err() == nil {
		if e := s.checkPrediction(&p); e != nil {
			r.Fail("%v", e)
		}
	}
	if err := r.Err(); err != nil {
		return Prediction{}, b, fmt.Errorf("reading prediction: %w", err)
	}
	return p, r.Rest(), nil
}

// checkPrediction says what keeps p from being a prediction that s has read.
func (s *Spec) checkPrediction(p *Prediction) error {
	if p.Flaw >= flawEnd {
		return fmt.Errorf("unknown flaw %d", p.Flaw)
	}
	if p.Flaw != FlawNone {
		if p.Class != NoClass || p.Scores != nil || p.Value != 0 {
			return errors.New("a flawed prediction with a content")
		}
		return nil
	}
	for _, x := range p.Scores {
		if math.IsNaN(x) || math.IsInf(x, 0) {
			return fmt.Errorf("a score of %v", x)
		}
	}
	if n := len(p.Scores); n != 0 && n != s.scoredClasses() {
		return fmt.Errorf("%d scores, the spec has %d", n, s.scoredClasses())
	}
	if !s.validClass(p.Class) {
		return fmt.Errorf("class %d of %d", p.Class, len(s.classes))
	}
	if math.IsNaN(p.Value) || math.IsInf(p.Value, 0) || (s.task != Regression && p.Value != 0) {
		return fmt.Errorf("a value of %v", p.Value)
	}
	return nil
}

func (s *Spec) checkLabel(l Label) error {
	switch {
	case l.Flaw >= flawEnd:
		return fmt.Errorf("unknown flaw %d", l.Flaw)
	case l.Flaw != FlawNone:
		return nil
	case !s.validClass(l.Class):
		return fmt.Errorf("label of class %d of %d", l.Class, len(s.classes))
	case math.IsNaN(l.Value) || math.IsInf(l.Value, 0):
		return fmt.Errorf("a label of %v", l.Value)
	}
	return nil
}

func (s *Spec) validClass(class int) bool {
	switch s.task {
	case Regression:
		return class == NoClass
	case Multiclass:
		return class >= 0 && class <= len(s.classes)
	case Binary:
	}
	return class == 0 || class == 1
}

// scoredClasses returns how many scores a prediction has, if it has any.
func (s *Spec) scoredClasses() int {
	switch s.task {
	case Binary:
		return 1
	case Multiclass:
		return len(s.classes)
	case Regression:
	}
	return 0
}

// AppendBinary appends the canonical form of l, for whoever keeps it until a correction comes.
func (l *Label) AppendBinary(b []byte) []byte {
	b = append(b, byte(l.Flaw))
	b = wire.AppendVarint(b, int64(l.Class))
	return wire.AppendFloat(b, l.Value+0) // -0 + 0 is 0
}

// DecodeLabel reads the label at the start of b, which must be one of this Spec, and returns what follows it.
func (s *Spec) DecodeLabel(b []byte) (l Label, rest []byte, err error) {
	r := wire.NewReader(b)
	l = Label{Flaw: Flaw(r.Byte()), Class: int(r.Varint()), Value: r.Finite()}
	if r.Err() == nil {
		if e := s.checkLabel(l); e != nil {
			r.Fail("%v", e)
		}
	}
	if err := r.Err(); err != nil {
		return Label{}, b, fmt.Errorf("reading label: %w", err)
	}
	return l, r.Rest(), nil
}
