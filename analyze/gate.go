package analyze

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/driftd/driftd/event"
	"github.com/driftd/driftd/internal/stat"
	"github.com/driftd/driftd/internal/stat/fairness"
	"github.com/driftd/driftd/internal/stat/twosample"
	"github.com/driftd/driftd/result"
	"github.com/driftd/driftd/rows"
)

// Gate says what the current file must keep to, for a delivery pipeline: the content of a file of `--gate`. A bound on a number that
// does not exist is not kept: nothing passes because it could not be looked at.
type Gate struct {
	// Bounds of the share of columns that drifted.
	DriftShare Bound `yaml:"drift_share"`

	// The columns that may not drift, by name; `"*"` is every one.
	NoDrift []string `yaml:"no_drift"`

	// Bounds of statistics, by column and by the names of docs/statistics.md.
	Statistics map[string]map[string]Bound `yaml:"statistics" key:"column"`

	// The value of the label, and of a prediction that is a label, that counts as positive. Without it 1, true and "1" are.
	Positive string `yaml:"positive"`

	// From which score on a prediction that is a number is positive. 0: 0.5.
	Threshold float64 `yaml:"threshold"`

	// Bounds of `accuracy` and `roc_auc` of the rows of the current file that have a label.
	Quality map[string]Bound `yaml:"quality" key:"metric"`

	// Bounds of the distance of groups.
	Fairness Fairness `yaml:"fairness"`
}

// Fairness bounds how far the groups of a column are apart. A difference is held against the lower end of its simultaneous 95 %
// interval, a ratio against the upper end: what chance explains in a small group stops nobody.
type Fairness struct {
	// The column that says which group a row is of: a `segment` column or a feature.
	By string `yaml:"by"`

	// Bounds by metric: demographic_parity_difference, demographic_parity_ratio, equal_opportunity_difference, equalized_odds_difference or
	// accuracy_difference.
	Metrics map[string]Bound `yaml:"metrics" key:"metric"`
}

// Bound is the least or the largest value that is kept, written `min 0.8` or `max 0.1`. The zero value is none.
type Bound struct {
	kind  string // min or max; empty: none
	limit float64
}

// Max returns a bound from above.
func Max(limit float64) Bound { return Bound{kind: "max", limit: limit} }

// Min returns a bound from below.
func Min(limit float64) Bound { return Bound{kind: "min", limit: limit} }

// UnmarshalText implements encoding.TextUnmarshaler.
func (b *Bound) UnmarshalText(text []byte) error {
	kind, number, _ := strings.Cut(string(text), " ")
	limit, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	if (kind != "min" && kind != "max") || err != nil || limit-limit != 0 {
		return errors.New("must be a bound such as min 0.8 or max 0.1")
	}
	*b = Bound{kind: kind, limit: limit}
	return nil
}

// String returns the bound as it is said.
func (b Bound) String() string {
	if b.kind == "min" {
		return "at least " + short(b.limit)
	}
	return "at most " + short(b.limit)
}

func short(x float64) string { return strconv.FormatFloat(x, 'g', 4, 64) }

// Check is one bound of a gate and what the files say.
type Check struct {
	Name   string // such as quality.accuracy
	Bound  Bound
	Value  *float64 // what is held against the bound; nil with a Reason
	Kept   bool
	Reason string
}

// String is one line for people.
func (c Check) String() string {
	switch {
	case c.Bound == (Bound{}):
		return c.Name + ": " + c.Reason
	case c.Value == nil:
		return c.Name + " does not exist: " + c.Reason
	case c.Kept:
		return fmt.Sprintf("%s is %s, %s", c.Name, short(*c.Value), c.Bound)
	}
	return fmt.Sprintf("%s is %s and must be %s%s", c.Name, short(*c.Value), c.Bound, c.Reason)
}

func (b Bound) check(name string, value *float64, reason string) Check {
	c := Check{Name: name, Bound: b, Value: value, Kept: false, Reason: reason}
	if value != nil {
		c.Kept = b.kind == "min" && *value >= b.limit || b.kind == "max" && *value <= b.limit
	}
	return c
}

// qualityMetrics and fairnessMetrics are what can be bounded.
func qualityMetrics() []string { return []string{"accuracy", "roc_auc"} }

func gaps(r *fairness.Report) map[string]fairness.Gap {
	return map[string]fairness.Gap{
		"demographic_parity_difference": r.DemographicParityDifference, "demographic_parity_ratio": r.DemographicParityRatio,
		"equal_opportunity_difference": r.EqualOpportunityDifference, "equalized_odds_difference": r.EqualizedOddsDifference,
		"accuracy_difference": r.AccuracyDifference,
	}
}

// Validate returns what is wrong with a gate, or nil.
func (g *Gate) Validate() error {
	var errs []error
	known := func(section string, bounds map[string]Bound, names []string) {
		for _, name := range slices.Sorted(maps.Keys(bounds)) {
			if !slices.Contains(names, name) {
				errs = append(errs, fmt.Errorf("%s.%s: there are %s", section, name, strings.Join(names, ", ")))
			}
		}
	}
	known("quality", g.Quality, qualityMetrics())
	known("fairness.metrics", g.Fairness.Metrics, slices.Sorted(maps.Keys(gaps(&fairness.Report{})))) //nolint:exhaustruct // only the names are meant
	if (g.Fairness.By == "") != (len(g.Fairness.Metrics) == 0) {
		errs = append(errs, errors.New("fairness: needs both by and metrics"))
	}
	if !(g.Threshold >= 0 && g.Threshold <= 1) {
		errs = append(errs, fmt.Errorf("threshold: must be 0 to 1, got %v", g.Threshold))
	}
	if g.DriftShare == (Bound{}) && len(g.NoDrift)+len(g.Statistics)+len(g.Quality)+len(g.Fairness.Metrics) == 0 {
		errs = append(errs, errors.New("the gate asks for nothing: give drift_share, no_drift, statistics, quality or fairness"))
	}
	return errors.Join(errs...)
}

// Check holds a report, and the rows of the current file where the gate asks for quality or fairness, against the gate. The checks are in
// the order of the gate's settings and of names.
func (g *Gate) Check(ctx context.Context, o Options, r *Report) ([]Check, error) {
	var out []Check
	if g.DriftShare != (Bound{}) {
		out = append(out, g.DriftShare.check("drift_share", r.DriftShare, "no column could be judged"))
	}
	out = append(out, g.noDrift(r)...)
	for _, column := range slices.Sorted(maps.Keys(g.Statistics)) {
		for _, name := range slices.Sorted(maps.Keys(g.Statistics[column])) {
			s, why := statistic(r, column, name)
			out = append(out, g.Statistics[column][name].check("statistics."+column+"."+name, s, why))
		}
	}
	if len(g.Quality)+len(g.Fairness.Metrics) == 0 {
		return out, nil
	}
	t, err := g.read(ctx, o)
	if err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(g.Quality)) {
		e := t.quality(name)
		out = append(out, g.Quality[name].check("quality."+name, e.Value, e.Reason))
	}
	report := fairness.Assess(t.groupList(), fairnessLevel, 0)
	for _, name := range slices.Sorted(maps.Keys(g.Fairness.Metrics)) {
		gap := gaps(&report)[name]
		held, why := gap.Lower, gap.Reason
		if strings.HasSuffix(name, "_ratio") {
			held = gap.Upper
		}
		if held != nil {
			why = fmt.Sprintf(" (between %s and %s; the value itself is %s)", gap.Low, gap.High, short(*gap.Value))
		}
		out = append(out, g.Fairness.Metrics[name].check("fairness."+name, held, why))
	}
	return out, nil
}

// fairnessLevel is that of the intervals of groups.
const fairnessLevel = 0.95

func (g *Gate) noDrift(r *Report) []Check {
	var out []Check
	for _, column := range g.NoDrift {
		found := false
		for i := range r.Features {
			f := &r.Features[i]
			if column != result.All && f.Feature.Feature != column || f.Kind == KindIgnored {
				continue
			}
			found = true
			c := Check{Name: "no_drift." + f.Feature.Feature, Bound: Bound{}, Value: nil, Kept: f.Verdict != result.Drift, Reason: "verdict " + string(f.Verdict)}
			if !c.Kept {
				c.Reason = strings.Join(f.Reasons, "; ")
			}
			out = append(out, c)
		}
		if !found {
			out = append(out, Max(0).check("no_drift."+column, nil, "there is no such column"))
		}
	}
	return out
}

// statistic returns a statistic of a column, or why it does not exist.
func statistic(r *Report, column, name string) (value *float64, why string) {
	for i := range r.Features {
		if f := &r.Features[i]; f.Feature.Feature == column {
			s, ok := f.Statistics[name]
			if !ok {
				return nil, "the column has no such statistic"
			}
			return s.Value, s.Reason
		}
	}
	return nil, "there is no such column"
}

// truth is what the labels of the current file say of its predictions.
type truth struct {
	groups            map[string]*fairness.Group
	all               fairness.Group
	positive, hostile []float64 // scores of the rows whose label is positive, and of the others
}

func (t *truth) groupList() []fairness.Group {
	out := make([]fairness.Group, 0, len(t.groups))
	for _, name := range slices.Sorted(maps.Keys(t.groups)) {
		out = append(out, *t.groups[name])
	}
	return out
}

// read goes over the rows of the current file.
func (g *Gate) read(ctx context.Context, o Options) (*truth, error) {
	in, err := rows.Open(o.Current, rows.Options{Map: o.Map})
	if err != nil {
		return nil, err //nolint:wrapcheck // it says which file and where
	}
	defer func() { _ = in.Close() }()                                                                                // it was only read
	t := &truth{groups: map[string]*fairness.Group{}, all: fairness.Group{Name: "all"}, positive: nil, hostile: nil} //nolint:exhaustruct // no rows
	for n := 0; ; n++ {
		if n%10_000 == 0 && ctx.Err() != nil {
			return nil, fmt.Errorf("reading labels: %w", ctx.Err())
		}
		ev, err := in.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err //nolint:wrapcheck // as above
		}
		if err := g.add(t, ev); err != nil {
			return nil, err
		}
	}
	switch {
	case t.all.N == 0 && (len(g.Quality) > 0 || len(g.Fairness.Metrics) > 0):
		return nil, &UsageError{o.Current + " has no predictions: say which column holds them, by --map prediction=COLUMN"}
	case t.all.TP+t.all.FP+t.all.FN+t.all.TN == 0 && g.needsLabels():
		return nil, &UsageError{o.Current + " has no labels: say which column holds them, by --map label=COLUMN"}
	}
	return t, nil
}

// needsLabels reports whether some bound is about labels.
func (g *Gate) needsLabels() bool {
	if len(g.Quality) > 0 {
		return true
	}
	for name := range g.Fairness.Metrics {
		if !strings.HasPrefix(name, "demographic_parity") {
			return true
		}
	}
	return false
}

// maxGroups bounds the groups of a column: one with more says which row it is.
const maxGroups = 1000

func (g *Gate) add(t *truth, ev *event.Event) error {
	score, selected, ok := g.prediction(ev)
	if !ok {
		return nil
	}
	labelled := ev.Label.Kind != 0 && ev.Label.Kind != event.ValueNull && ev.Label.Kind != event.ValueInvalid
	positive := labelled && g.isPositive(ev.Label)
	t.all.Add(selected, labelled, positive)
	switch {
	case score == nil || !labelled:
	case positive:
		t.positive = append(t.positive, *score)
	default:
		t.hostile = append(t.hostile, *score)
	}
	if g.Fairness.By == "" {
		return nil
	}
	name := result.NoValue
	if value, ok := ev.AppendDimension(nil, g.Fairness.By); ok {
		name = string(value)
	}
	group := t.groups[name]
	if group == nil {
		if len(t.groups) == maxGroups {
			return &UsageError{fmt.Sprintf("fairness.by %s has more than %d values: take a column that groups the rows", g.Fairness.By, maxGroups)}
		}
		group = &fairness.Group{Name: name} //nolint:exhaustruct // no rows
		t.groups[name] = group
	}
	group.Add(selected, labelled, positive)
	return nil
}

// prediction returns the score of a row, nil for a label alone, and whether it is positive. ok is false where the row predicts nothing.
func (g *Gate) prediction(ev *event.Event) (score *float64, selected, ok bool) {
	threshold := g.Threshold
	if threshold == 0 {
		threshold = 0.5
	}
	for i := range ev.Prediction {
		f := &ev.Prediction[i]
		switch string(f.Name) {
		case event.PredictionName, event.PredictionScoreName:
			if f.Kind == event.ValueNumber && f.Num-f.Num == 0 {
				x := f.Num
				score = &x
				if !ok {
					selected, ok = x >= threshold, true
				}
				continue
			}
			if f.Kind == event.ValueString || f.Kind == event.ValueBool {
				selected, ok = g.isPositive(f.Value), true
			}
		case event.PredictionLabelName:
			if f.Kind != event.ValueNull && f.Kind != event.ValueInvalid {
				selected, ok = g.isPositive(f.Value), true // what it says itself, whatever the score
			}
		}
	}
	return score, selected, ok
}

// isPositive reports whether a label is the positive one.
func (g *Gate) isPositive(v event.Value) bool {
	text, class := v.AppendCategory(nil)
	if class != event.ClassValue {
		return false
	}
	if g.Positive != "" {
		return string(text) == g.Positive
	}
	return string(text) == "1" || string(text) == "true"
}

// quality returns a metric of all rows that have a label.
func (t *truth) quality(name string) stat.Estimate {
	if name == "accuracy" {
		report := fairness.Assess([]fairness.Group{t.all}, fairnessLevel, 0)
		return report.Groups[0].Accuracy
	}
	n, m := len(t.positive), len(t.hostile)
	switch {
	case n+m == 0:
		return stat.Missing("no row has a score and a label: a prediction that is a label has no order")
	case n == 0 || m == 0:
		return stat.Missing(fmt.Sprintf("%d rows are positive and %d are not: it needs both", n, m))
	}
	slices.Sort(t.positive)
	slices.Sort(t.hostile)
	c, err := twosample.Compare(t.positive, t.hostile)
	if err != nil || !c.MannWhitney.OK {
		return stat.Missing("the number overflows")
	}
	auc := c.MannWhitney.Value / (float64(n) * float64(m)) // U of the positive ones: the pairs in which they have the larger score
	return stat.Estimate{Value: &auc, Lower: nil, Upper: nil, PValue: nil, Reason: ""}
}
