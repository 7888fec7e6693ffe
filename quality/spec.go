package quality

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/driftd/driftd/cells"
	"github.com/driftd/driftd/internal/exact/wire"
)

// Bounds of a Spec, so that counts and what is decoded from foreign bytes need bounded memory.
const (
	MaxClasses   = 64      // tracked classes of a multiclass task; every other class is `other`
	MaxClassName = 256     // bytes of one class
	MaxBins      = 100     // calibration bins
	MaxKnots     = 1 << 20 // of one calibration
)

// Defaults of a Config.
const (
	DefaultThreshold = 0.5
	DefaultBins      = 10
	DefaultPoints    = 500 // equal steps on [0, 1] of the scores' cut points
)

const specVersion = 1

// Config is what a Spec is made of. Points and Calibrations are frozen from a reference by Build, or left empty.
type Config struct {
	Task Task

	// Positive is the positive class of a binary task in its categorical form (`1`, `fraud`), Negative the other one. Without
	// Positive they are 1 and 0, which booleans are too. With a Positive and no Negative every other class is the negative one.
	Positive, Negative string

	// Threshold is the smallest score that predicts the positive class, for predictions that are a score alone. 0 is a threshold
	// like another: Default has that of probabilities.
	Threshold float64

	// Classes are the tracked classes of a multiclass task, in any order.
	Classes []string

	Bins int // calibration bins of equal width on [0, 1]; 0: DefaultBins

	// Points cut the scores (of every class), or the errors of a regression, into cells: finite and increasing. ROC AUC and
	// average precision are exact while all scores are among them, else bounded. Empty: a grid of DefaultPoints steps with the
	// threshold, and 0 for a regression.
	Points []float64

	// TargetCenter is a value near the targets of a regression, such as the reference's mean. It only keeps the confidence interval
	// of R² free of cancellation.
	TargetCenter float64

	// Calibrations map scores to probabilities for Estimate, one for each class that has a score (one for a binary task). Empty: the
	// scores are taken as probabilities, unchecked.
	Calibrations []Calibration
}

// Default is the Config of a task whose scores are probabilities, without a reference.
func Default(task Task) Config {
	return Config{
		Task: task, Positive: "", Negative: "", Threshold: DefaultThreshold, Classes: nil, Bins: DefaultBins,
		Points: nil, TargetCenter: 0, Calibrations: nil,
	}
}

// Spec is a frozen Config: what is counted and over which cells. Immutable, safe for concurrent use, shared by all counts over it.
type Spec struct {
	task         Task
	classes      []string // binary: negative, positive; multiclass: sorted
	index        map[string]int
	rest         bool // binary: every class but the positive one is the negative one
	threshold    float64
	bins         int
	center       float64
	calibrations []Calibration

	scores   *cells.Space // classification: of the scores
	grid     *cells.Space // multiclass: of calibrated probabilities
	errors   *cells.Space // regression
	absolute *cells.Space // regression: of the errors' magnitudes
}

// NewSpec freezes a Config. The error names the setting and what it may be.
func NewSpec(cfg Config) (*Spec, error) {
	s := &Spec{task: cfg.Task, bins: cfg.Bins, threshold: cfg.Threshold + 0, center: cfg.TargetCenter + 0}
	if s.bins == 0 {
		s.bins = DefaultBins
	}
	if err := s.setClasses(cfg); err != nil {
		return nil, fmt.Errorf("building quality spec: %w", err)
	}
	switch {
	case s.bins < 1 || s.bins > MaxBins:
		return nil, fmt.Errorf("building quality spec: %d calibration bins, from 1 to %d are allowed", cfg.Bins, MaxBins)
	case math.IsNaN(s.threshold) || math.IsInf(s.threshold, 0):
		return nil, fmt.Errorf("building quality spec: the threshold is %v, it must be finite", cfg.Threshold)
	case math.IsNaN(s.center) || math.IsInf(s.center, 0):
		return nil, fmt.Errorf("building quality spec: the target center is %v, it must be finite", cfg.TargetCenter)
	}
	if err := s.setCalibrations(cfg.Calibrations); err != nil {
		return nil, fmt.Errorf("building quality spec: %w", err)
	}
	if err := s.setSpaces(cfg.Points); err != nil {
		return nil, fmt.Errorf("building quality spec: %w", err)
	}
	return s, nil
}

func (s *Spec) setClasses(cfg Config) error {
	switch s.task {
	case Regression:
		if cfg.Positive != "" || cfg.Negative != "" || len(cfg.Classes) > 0 {
			return errors.New("a regression has no classes")
		}
	case Binary:
		switch {
		case len(cfg.Classes) > 0:
			return errors.New("a binary task has a positive and a negative class, and no list of classes")
		case cfg.Positive == "" && cfg.Negative != "":
			return errors.New("a negative class without a positive one")
		case cfg.Positive == "":
			s.classes = []string{"0", "1"}
		default:
			s.classes, s.rest = []string{cfg.Negative, cfg.Positive}, cfg.Negative == ""
		}
		if s.classes[0] == s.classes[1] {
			return fmt.Errorf("%q is the positive and the negative class", s.classes[0])
		}
	case Multiclass:
		switch {
		case cfg.Positive != "" || cfg.Negative != "":
			return errors.New("a multiclass task has classes, and no positive one")
		case len(cfg.Classes) < 2 || len(cfg.Classes) > MaxClasses:
			return fmt.Errorf("%d classes, from 2 to %d are allowed", len(cfg.Classes), MaxClasses)
		}
		s.classes = slices.Sorted(slices.Values(cfg.Classes))
	default:
		return fmt.Errorf("unknown task %v", s.task)
	}
	s.index = make(map[string]int, len(s.classes))
	for i, c := range s.classes {
		if _, twice := s.index[c]; twice {
			return fmt.Errorf("the class %q is given twice", c)
		}
		if len(c) > MaxClassName {
			return fmt.Errorf("a class of %d bytes, at most %d are allowed", len(c), MaxClassName)
		}
		if i > 0 || !s.rest {
			s.index[c] = i
		}
	}
	return nil
}

func (s *Spec) setCalibrations(calibrations []Calibration) error {
	if len(calibrations) == 0 {
		return nil
	}
	if len(calibrations) != s.scoredClasses() {
		return fmt.Errorf("%d calibrations for %d scores", len(calibrations), s.scoredClasses())
	}
	for _, c := range calibrations {
		if err := c.check(); err != nil {
			return err
		}
		s.calibrations = append(s.calibrations, c.clone())
	}
	return nil
}

func (s *Spec) setSpaces(points []float64) (err error) {
	if s.task == Regression {
		if len(points) == 0 {
			points = []float64{0}
		}
		if s.errors, err = cells.NewNumeric(points); err != nil {
			return err
		}
		magnitudes := make([]float64, len(points))
		for i, p := range points {
			magnitudes[i] = math.Abs(p)
		}
		s.absolute, err = cells.NewNumeric(increasing(magnitudes))
		return err
	}
	if len(points) == 0 {
		points = increasing(append(steps(DefaultPoints), s.threshold))
	}
	if s.scores, err = cells.NewNumeric(points); err != nil {
		return err
	}
	if s.task == Multiclass {
		s.grid, err = cells.NewNumeric(steps(DefaultPoints))
	}
	return err
}

// steps returns 0, 1/n, …, 1.
func steps(n int) []float64 {
	out := make([]float64, n+1)
	for i := range out {
		out[i] = float64(i) / float64(n)
	}
	return out
}

// increasing sorts xs in place and returns its distinct values.
func increasing(xs []float64) []float64 {
	for i := range xs {
		xs[i] += 0 // -0 + 0 is 0
	}
	slices.Sort(xs)
	return slices.Compact(xs)
}

// Task returns what the model predicts.
func (s *Spec) Task() Task { return s.task }

// Classes returns the classes that predictions and labels are indexes of: negative and positive, or the tracked ones in byte
// order. The negative class is "" where it is every other one. The caller must not change them.
func (s *Spec) Classes() []string { return s.classes }

// Points returns the cut points of the scores, or of the errors. The caller must not change them.
func (s *Spec) Points() []float64 {
	if s.task == Regression {
		return s.errors.Points()
	}
	return s.scores.Points()
}

// Calibrations returns how scores become probabilities, for each class that has a score; none: unchecked. The caller must not change them.
func (s *Spec) Calibrations() []Calibration { return s.calibrations }

// Freeze returns a Config with what the Spec froze of a reference: the cut points, the calibrations, and the center of the targets.
func (s *Spec) Freeze(cfg Config) Config {
	cfg.Points, cfg.Calibrations, cfg.TargetCenter = s.Points(), s.calibrations, s.center
	return cfg
}

// Describe says for people what is predicted.
func (s *Spec) Describe() string {
	switch s.task {
	case Binary:
		other := fmt.Sprintf("%q", s.classes[0])
		if s.rest {
			other = "every other class"
		}
		return fmt.Sprintf("a binary task (positive %q, negative %s, threshold %v, %d bins)", s.classes[1], other, s.threshold, s.bins)
	case Multiclass:
		return fmt.Sprintf("a multiclass task (%q, %d bins)", s.classes, s.bins)
	case Regression:
	}
	return "a regression"
}

// Fingerprint identifies the Spec: `sha256:` of its canonical bytes.
func (s *Spec) Fingerprint() string {
	sum := sha256.Sum256(s.AppendBinary(nil))
	return "sha256:" + hex.EncodeToString(sum[:])
}

// Equal reports whether both count the same over the same cells.
func (s *Spec) Equal(o *Spec) bool {
	return s == o || slices.Equal(s.AppendBinary(nil), o.AppendBinary(nil))
}

// AppendBinary appends the canonical form of the Spec, with its version.
func (s *Spec) AppendBinary(b []byte) []byte {
	b = append(b, specVersion, byte(s.task))
	if s.rest {
		b = append(b, 1)
	} else {
		b = append(b, 0)
	}
	b = wire.AppendUvarint(b, uint64(len(s.classes)))
	for _, c := range s.classes {
		b = wire.AppendString(b, c)
	}
	b = wire.AppendFloat(b, s.threshold)
	b = wire.AppendUvarint(b, uint64(s.bins))
	b = wire.AppendFloat(b, s.center)
	points := s.Points()
	b = wire.AppendUvarint(b, uint64(len(points)))
	for _, p := range points {
		b = wire.AppendFloat(b, p)
	}
	b = wire.AppendUvarint(b, uint64(len(s.calibrations)))
	for i := range s.calibrations {
		b = s.calibrations[i].appendBinary(b)
	}
	return b
}

// DecodeSpec reads the Spec at the start of b and returns what follows it. Bytes that AppendBinary does not write are an error that
// wraps wire.ErrCorrupt.
func DecodeSpec(b []byte) (s *Spec, rest []byte, err error) {
	r := wire.NewReader(b)
	if v := r.Byte(); v != specVersion {
		r.Fail("version %d of a quality spec, this program knows %d", v, specVersion)
	}
	cfg := Default(Task(r.Byte()))
	others := r.Byte()
	if others > 1 {
		r.Fail("unknown kind %d of a negative class", others)
	}
	names := make([]string, r.Count(1))
	for i := range names {
		if names[i] = r.String(MaxClassName); r.Err() != nil {
			break
		}
	}
	if cfg.Task == Binary {
		if len(names) != 2 {
			r.Fail("%d classes of a binary task", len(names))
		} else {
			cfg.Negative, cfg.Positive = names[0], names[1]
		}
		if r.Err() == nil && (others == 1) != (cfg.Negative == "") {
			r.Fail("a negative class %q of kind %d", cfg.Negative, others)
		}
	} else {
		cfg.Classes = names
	}
	cfg.Threshold = r.Finite()
	if cfg.Bins = int(min(r.Uvarint(), MaxBins+1)); cfg.Bins == 0 {
		r.Fail("no calibration bins")
	}
	cfg.TargetCenter = r.Finite()
	if cfg.Points = make([]float64, r.Count(8)); len(cfg.Points) == 0 {
		r.Fail("no cut points")
	}
	for i := range cfg.Points {
		cfg.Points[i] = r.Finite()
	}
	for range r.Count(1) {
		c := decodeCalibration(r)
		if r.Err() != nil {
			break
		}
		cfg.Calibrations = append(cfg.Calibrations, c)
	}
	if r.Err() == nil {
		read := b[:r.Offset()]
		if s, err = NewSpec(cfg); err != nil {
			r.Fail("%v", err)
		} else if !slices.Equal(s.AppendBinary(nil), read) {
			r.Fail("classes out of order")
		}
	}
	if err := r.Err(); err != nil {
		return nil, b, fmt.Errorf("reading quality spec: %w", err)
	}
	return s, r.Rest(), nil
}
