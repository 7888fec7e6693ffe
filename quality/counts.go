package quality

import (
	"fmt"
	"math"

	"github.com/driftd/driftd/cells"
	"github.com/driftd/driftd/internal/exact"
)

// Feed counts what became of labels, for the coverage beside the metrics. Whoever joins labels to predictions counts here.
type Feed struct {
	Corrected uint64 // labels that replaced an earlier one of their prediction
	Duplicate uint64 // labels that said again what was known
	Unmatched uint64 // labels whose prediction never came within the horizon
	Evicted   uint64 // predictions that a limit pushed out before their label came
}

// moment is an exact sum of a number that each row has, and of its squares.
type moment struct{ sum, squares exact.Sum }

func (m *moment) add(x float64) {
	m.sum.Add(x)
	m.squares.AddSquare(x)
}

// scoreSet holds the score cells of one class.
type scoreSet struct {
	positive, negative *cells.Counts // labelled rows, by whether their label is the class
	all                *cells.Counts // every prediction: scores of a binary task, calibrated probabilities of a multiclass one
	right, wrong       moment        // calibrated probabilities of the class, of predictions of the class and of all others
	predicted          uint64        // predictions of the class that have probabilities
}

// bin is one calibration bin: of the probability of the positive class, or of the predicted one among several.
type bin struct {
	n, positive uint64
	sum         exact.Sum // of the probabilities
	residual    exact.Sum // of the squares of probability less outcome
}

// Counts is what is known about the predictions of a pane or a window and their labels. It is not safe for concurrent use. Counts
// over equal Specs can be added and subtracted in any order.
type Counts struct {
	Feed Feed

	spec        *Spec
	predictions uint64
	flawed      [flawEnd]uint64 // predictions, by flaw
	labels      uint64
	unusable    [flawEnd]uint64 // labelled rows that no metric can use, by the flaw of the prediction, else of the label
	delay       *cells.Histogram

	// Classification. The last row (labels) and column (predictions) of a multiclass confusion matrix are `other`.
	confusion   []uint64
	scored      uint64 // labelled rows with scores
	outside     uint64 // of these, rows with a score outside [0, 1]
	losses      uint64 // of these, rows in logLoss and brier
	logLoss     moment
	brier       moment
	bins        []bin
	sets        []scoreSet
	estimable   uint64 // predictions with probabilities
	inestimable uint64 // flawless predictions without

	// Regression.
	errors, absolute *cells.Counts
	square           moment // of the squares of the errors, each rounded
	target           moment
	relative         moment // of |error|/|target|
	zero             uint64 // targets of 0, which have no relative error
	centered         centered
}

// centered are the sums for the confidence interval of R²: u is the target less Spec's center, e the error.
type centered struct{ u, u2, u3, u4, e2u, e2u2 exact.Sum }

// NewCounts returns empty counts over s.
func NewCounts(s *Spec) *Counts {
	c := &Counts{spec: s, delay: cells.NewHistogram()}
	if s.task == Regression {
		c.errors, c.absolute = cells.NewCounts(s.errors), cells.NewCounts(s.absolute)
		return c
	}
	c.confusion = make([]uint64, c.width()*c.width())
	c.bins = make([]bin, s.bins)
	c.sets = make([]scoreSet, s.scoredClasses())
	all := s.scores
	if s.task == Multiclass {
		all = s.grid
	}
	for i := range c.sets {
		c.sets[i].positive, c.sets[i].negative, c.sets[i].all = cells.NewCounts(s.scores), cells.NewCounts(s.scores), cells.NewCounts(all)
	}
	return c
}

// width is the number of rows of the confusion matrix.
func (c *Counts) width() int {
	if c.spec.task == Multiclass {
		return len(c.spec.classes) + 1
	}
	return len(c.spec.classes)
}

// Spec returns what is counted over.
func (c *Counts) Spec() *Spec { return c.spec }

// Predictions returns the number of predictions, flawed ones included.
func (c *Counts) Predictions() uint64 { return c.predictions }

// Labels returns how many labels are counted, unusable ones included. Labels/Predictions is the label coverage.
func (c *Counts) Labels() uint64 { return c.labels }

// Flawed returns how many predictions have the flaw.
func (c *Counts) Flawed(f Flaw) uint64 { return c.flawed[f] }

// Unusable returns how many labels are in no metric because their prediction or they themselves have the flaw.
func (c *Counts) Unusable(f Flaw) uint64 { return c.unusable[f] }

// Delay returns the q-quantile of the labels' delay in milliseconds, within cells.HistogramAccuracy; false where there is none.
func (c *Counts) Delay(q float64) (ms float64, ok bool) { return c.delay.Quantile(q) }

// AddPrediction counts a prediction, whether or not a label will ever come: for the coverage and for Estimate.
func (c *Counts) AddPrediction(p Prediction) {
	c.mustBeOurs(c.spec.checkPrediction(&p))
	c.predictions++
	switch {
	case p.Flaw != FlawNone:
		c.flawed[p.Flaw]++
	case c.spec.task != Regression:
		c.addEstimate(&p)
	}
}

// mustBeOurs panics on a prediction or label that was not read by the Spec: an error of the program.
func (c *Counts) mustBeOurs(err error) {
	if err != nil {
		panic("BUG: counting quality: " + err.Error())
	}
}

// addEstimate counts what Estimate needs.
func (c *Counts) addEstimate(p *Prediction) {
	var scratch [MaxClasses]float64
	q := c.spec.probabilities(p.Scores, scratch[:0])
	if len(q) == 0 {
		c.inestimable++
		return
	}
	c.estimable++
	for i := range c.sets {
		set := &c.sets[i]
		class := i
		if c.spec.task == Binary {
			class = 1
			set.all.AddNumber(p.Scores[i])
		} else {
			set.all.AddNumber(q[i])
		}
		set.all.ForgetRange()
		if p.Class == class {
			set.predicted++
			set.right.add(q[i])
		} else {
			set.wrong.add(q[i])
		}
	}
}

// probabilities appends the calibrated probability of each class that has a score, nothing where they do not exist. Those of several
// classes are divided by their sum, where it is not 0.
func (s *Spec) probabilities(scores, into []float64) []float64 {
	for i, x := range scores {
		var c *Calibration
		if len(s.calibrations) > 0 {
			c = &s.calibrations[i]
		}
		q, ok := c.Probability(x)
		if !ok {
			return nil
		}
		into = append(into, q)
	}
	if s.task == Binary {
		return into
	}
	total := 0.0
	for _, q := range into {
		total += q
	}
	for i := range into {
		if total > 0 {
			into[i] = min(into[i]/total, 1)
		} else {
			into[i] = 1 / float64(len(into))
		}
	}
	return into
}

// AddLabel counts the label of a prediction.
func (c *Counts) AddLabel(p Prediction, l Label) {
	c.mustBeOurs(c.spec.checkPrediction(&p))
	c.mustBeOurs(c.spec.checkLabel(l))
	c.labels++
	switch {
	case p.Flaw != FlawNone:
		c.unusable[p.Flaw]++
	case l.Flaw != FlawNone:
		c.unusable[l.Flaw]++
	case c.spec.task == Regression:
		c.addError(p.Value, l.Value)
	default:
		c.confusion[l.Class*c.width()+p.Class]++
		if len(p.Scores) > 0 {
			c.addScores(&p, l.Class)
		}
	}
}

// AddDelay counts how long after its prediction a label came. A negative delay, of a label before its prediction, is 0.
func (c *Counts) AddDelay(ms int64) {
	c.delay.Add(float64(max(ms, 0)))
	c.delay.ForgetMax()
}

// SubLabel takes out what AddLabel counted, for a label that is corrected. On an error c is unchanged.
func (c *Counts) SubLabel(p Prediction, l Label) error {
	one := NewCounts(c.spec)
	one.AddLabel(p, l)
	return c.Subtract(one)
}

func (c *Counts) addScores(p *Prediction, label int) {
	c.scored++
	inside := true
	for i, x := range p.Scores {
		inside = inside && x >= 0 && x <= 1
		class, set := i, &c.sets[i]
		if c.spec.task == Binary {
			class = 1
		}
		side := set.negative
		if label == class {
			side = set.positive
		}
		side.AddNumber(x)
		side.ForgetRange()
	}
	if !inside {
		c.outside++
		return
	}
	if c.spec.task == Binary {
		x := p.Scores[0]
		d, truth := x, 1-clipped(x)
		if label == 1 {
			d, truth = x-1, clipped(x)
		}
		c.addLoss(truth, float64(d*d))
		c.addBin(x, d, label == 1)
		return
	}
	if label < len(p.Scores) { // of a class that is not tracked the probability is not known
		squares := 0.0
		for i, x := range p.Scores {
			if i == label {
				x--
			}
			squares += float64(x * x)
		}
		c.addLoss(clipped(p.Scores[label]), squares)
	}
	if p.Class < len(p.Scores) {
		x := p.Scores[p.Class]
		d, right := x, label == p.Class
		if right {
			d = x - 1
		}
		c.addBin(x, d, right)
	}
}

// clipped keeps the logarithms of a probability and of its complement finite, as scikit-learn's log_loss does.
func clipped(p float64) float64 {
	const least = 1e-15
	return min(max(p, least), 1-least)
}

func (c *Counts) addLoss(truth, squares float64) {
	c.losses++
	c.logLoss.add(-math.Log(truth))
	c.brier.add(squares)
}

func (c *Counts) addBin(x, d float64, positive bool) {
	b := &c.bins[min(int(x*float64(len(c.bins))), len(c.bins)-1)]
	b.n++
	if positive {
		b.positive++
	}
	b.sum.Add(x)
	b.residual.AddSquare(d)
}

func (c *Counts) addError(prediction, target float64) {
	e := prediction - target // an infinity where that overflows: counted as such, and no metric has a value then
	c.errors.AddNumber(e)
	c.errors.ForgetRange()
	c.absolute.AddNumber(math.Abs(e))
	c.absolute.ForgetRange()
	e2 := float64(e * e)
	c.square.add(e2)
	c.target.add(target)
	if target == 0 {
		c.zero++
	} else {
		c.relative.add(math.Abs(e) / math.Abs(target))
	}
	u := target - c.spec.center
	u2 := float64(u * u)
	c.centered.u.Add(u)
	c.centered.u2.AddSquare(u)
	c.centered.u3.Add(float64(u2 * u))
	c.centered.u4.AddSquare(u2)
	c.centered.e2u.Add(float64(e2 * u))
	c.centered.e2u2.AddSquare(float64(e * u))
}

// numbers, sums and vectors list the parts of c, always in the same order: all that can be done with counts is done with each.
func (c *Counts) numbers() []*uint64 {
	out := []*uint64{
		&c.Feed.Corrected, &c.Feed.Duplicate, &c.Feed.Unmatched, &c.Feed.Evicted,
		&c.predictions, &c.labels, &c.scored, &c.outside, &c.losses, &c.estimable, &c.inestimable, &c.zero,
	}
	for f := FlawNoPrediction; f < flawEnd; f++ {
		out = append(out, &c.flawed[f], &c.unusable[f])
	}
	for i := range c.confusion {
		out = append(out, &c.confusion[i])
	}
	for i := range c.bins {
		out = append(out, &c.bins[i].n, &c.bins[i].positive)
	}
	for i := range c.sets {
		out = append(out, &c.sets[i].predicted)
	}
	return out
}

func (c *Counts) sums() []*exact.Sum {
	if c.spec.task == Regression {
		z := &c.centered
		return []*exact.Sum{
			&c.square.sum, &c.square.squares, &c.target.sum, &c.target.squares, &c.relative.sum, &c.relative.squares,
			&z.u, &z.u2, &z.u3, &z.u4, &z.e2u, &z.e2u2,
		}
	}
	out := []*exact.Sum{&c.logLoss.sum, &c.logLoss.squares, &c.brier.sum, &c.brier.squares}
	for i := range c.bins {
		out = append(out, &c.bins[i].sum, &c.bins[i].residual)
	}
	for i := range c.sets {
		set := &c.sets[i]
		out = append(out, &set.right.sum, &set.right.squares, &set.wrong.sum, &set.wrong.squares)
	}
	return out
}

func (c *Counts) vectors() []*cells.Counts {
	if c.spec.task == Regression {
		return []*cells.Counts{c.errors, c.absolute}
	}
	out := make([]*cells.Counts, 0, 3*len(c.sets))
	for i := range c.sets {
		out = append(out, c.sets[i].positive, c.sets[i].negative, c.sets[i].all)
	}
	return out
}

// Merge adds everything that o counted, which stays as it is. On an error c is unchanged.
func (c *Counts) Merge(o *Counts) error {
	if !c.spec.Equal(o.spec) {
		return fmt.Errorf("merging quality: %w", ErrDifferentSpec)
	}
	sum := c.Clone()
	into, from := sum.numbers(), o.numbers()
	for i := range into {
		if *into[i]+*from[i] < *into[i] {
			return fmt.Errorf("merging quality: %w", ErrTooMany)
		}
		*into[i] += *from[i]
	}
	theirs := o.vectors()
	for i, v := range sum.vectors() {
		if err := v.Merge(theirs[i]); err != nil {
			return fmt.Errorf("merging quality: %w", err)
		}
		v.ForgetRange()
	}
	if err := sum.delay.Merge(o.delay); err != nil {
		return fmt.Errorf("merging quality: %w", err)
	}
	sum.delay.ForgetMax()
	more := o.sums()
	for i, s := range sum.sums() {
		s.Merge(more[i])
	}
	*c = *sum
	return nil
}

// Subtract takes everything that o counted out of c: it inverts Merge, to the bit. o stays as it is. On an error c is unchanged.
func (c *Counts) Subtract(o *Counts) error {
	if !c.spec.Equal(o.spec) {
		return fmt.Errorf("subtracting quality: %w", ErrDifferentSpec)
	}
	rest := c.Clone()
	from, taken := rest.numbers(), o.numbers()
	for i := range from {
		if *taken[i] > *from[i] {
			return fmt.Errorf("subtracting quality: %w", ErrNotContained)
		}
		*from[i] -= *taken[i]
	}
	theirs := o.vectors()
	for i, v := range rest.vectors() {
		if err := v.Subtract(theirs[i]); err != nil {
			return fmt.Errorf("subtracting quality: %w: %w", ErrNotContained, err)
		}
		v.ForgetRange()
	}
	if err := rest.delay.Subtract(o.delay); err != nil {
		return fmt.Errorf("subtracting quality: %w: %w", ErrNotContained, err)
	}
	rest.delay.ForgetMax()
	less := o.sums()
	for i, s := range rest.sums() {
		s.Subtract(less[i])
	}
	*c = *rest
	return nil
}

// Clone returns an independent copy over the same Spec.
func (c *Counts) Clone() *Counts {
	out := NewCounts(c.spec)
	to := out.numbers()
	for i, n := range c.numbers() {
		*to[i] = *n
	}
	sums := out.sums()
	for i, s := range c.sums() {
		*sums[i] = s.Clone()
	}
	vectors := out.vectors()
	for i, v := range c.vectors() {
		*vectors[i] = *v.Clone()
	}
	out.delay = c.delay.Clone()
	return out
}

// Compact packs the cells, which is what older panes are kept as. Everything still works; what adds to them unpacks them.
func (c *Counts) Compact() {
	for _, v := range c.vectors() {
		v.Compact()
	}
}
