package config

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/driftd/driftd/alerting"
	"github.com/driftd/driftd/detectors"
)

// Rule says when an incident begins and ends. A rule of `defaults` holds for every model; a model may change it or add its own.
// What is left out has the default of the rule's kind, or of the rule with the same name that it inherits from.
type Rule struct {
	// `false` switches the rule off.
	Enabled bool `yaml:"enabled"`

	// What the rule looks at; required for a rule with a name of its own. See docs/alerting.md for each.
	Kind string `yaml:"kind" enum:"feature_drift|prediction_drift|drift_share|missing_values|invalid_values|unseen_values|out_of_range|latency|latency_bound|latency_slo|error_rate|error_slo|throughput_drop|no_data|loss|quality|label_coverage|fairness|change_point|condition"`

	// Whose windows it looks at: of `all` versions together, or of `each` version.
	Scope string `yaml:"scope" enum:"all|each"`

	// For routing and for people, such as info, warning or critical.
	Severity string `yaml:"severity"`

	// What the rule's value is held against, in the unit of its kind: a share, a ratio or milliseconds. 0 takes the feature's own
	// threshold of drift (feature_drift, prediction_drift) or 0.5 (drift_share).
	Threshold float64 `yaml:"threshold"`

	// The quantile of the latency (latency, latency_bound): 0.5, 0.9, 0.95, 0.99 or 0.999.
	Quantile float64 `yaml:"quantile"`

	// The metric of the model's quality (quality), by its name in results. Empty with `relative`: roc_auc of a binary task (accuracy where the reference
	// has no scores), accuracy of a multiclass one, mae of a regression. Or the measure of fairness (fairness): docs/fairness.md has them.
	Metric string `yaml:"metric"`

	// At which of the model's `labels.maturities` a window is judged (quality, label_coverage, fairness, a change_point of quality); 0s: the last of
	// them, and with the window's own result where fairness needs no label (demographic_parity_…).
	Maturity Duration `yaml:"maturity"`

	// Whether `threshold` is the share by which the metric may be worse than the reference's (quality), or the label coverage less than in the windows
	// before (label_coverage), or how much higher the error rate may be than the reference's: 0.02 is two percentage points (error_rate).
	Relative bool `yaml:"relative"`

	// Looks at what is estimated without labels, with the window's own result (quality).
	Estimate bool `yaml:"estimate"`

	// From how many labels on a metric is judged, and label_coverage from how many predictions on.
	MinLabels int `yaml:"min_labels"`

	// The dimension of the model's `fairness` whose groups are looked at (fairness); empty: those of any.
	Dimension string `yaml:"dimension"`

	// The features that a rule on features looks at; empty: all.
	Features []string `yaml:"features"`

	// Parts of the events that the rule looks at instead of all events: dimensions of the model's `segments` (`region`), values of them
	// (`region=eu`), or `*` for all. All of them are one incident. Empty: all events together.
	Segments []string `yaml:"segments"`

	// A yes or a no about one window (condition), in the language of docs/alerting.md, such as
	// `events > 1000 and latency.p99 > 500`.
	When Text `yaml:"when"`

	// The series whose level is looked at (change_point).
	Change Change `yaml:"change"`

	// The objective of latency_slo and error_slo.
	SLO SLO `yaml:"slo"`

	// In how many of the last windows the condition must hold before the incident fires, such as `2 of 3`.
	For Hits `yaml:"for"`

	// The share of the threshold below which a window is quiet: between the two, nothing changes.
	Clear float64 `yaml:"clear"`

	// How many quiet windows in a row end the incident.
	Quiet int `yaml:"quiet"`

	// How long, in event time, the incident goes on after the condition held last.
	KeepFiringFor Duration `yaml:"keep_firing_for"`

	// Labels of its alerts, for routing.
	Labels map[string]string `yaml:"labels" key:"label"`

	// Texts of its alerts: templates of Go's text/template over the transition (docs/schema/transition.schema.json).
	Annotations map[string]Text `yaml:"annotations" key:"annotation"`

	// Rules of the same model that are not worth a message while this one fires; `*` is all others.
	Inhibits []string `yaml:"inhibits"`
}

// Change is a series of windows and the detector of a change of its level, see docs/alerting.md.
type Change struct {
	// error_rate, throughput, drift_share, latency.mean, latency.p50, latency.p90, latency.p95, latency.p99, latency.p999 or `quality.` and a metric
	// (quality.accuracy); or, of each of the rule's `features`, mean or a statistic.
	Series string `yaml:"series"`

	// How a change is found.
	Detector string `yaml:"detector" enum:"cusum|adwin|page_hinkley"`

	// Which changes are told.
	Direction string `yaml:"direction" enum:"up|down|both"`

	// Of cusum in standard deviations (0: 5), of adwin about the share of false alarms (0: 0.002), of page_hinkley in the unit of the series times
	// windows (0: 50, which is far too much for a rate).
	Threshold float64 `yaml:"threshold"`

	// From how many windows cusum learns the level and its spread (0: 100). Fewer learn sooner and raise more false alarms.
	Warmup int `yaml:"warmup"`
}

// SLO is an objective for the share of good events and how quickly its error budget may burn: multi-window, multi-burn-rate
// alerts, see docs/alerting.md.
type SLO struct {
	// The share of good events, such as 0.999.
	Objective float64 `yaml:"objective"`

	// How long a good event takes at most (latency_slo), within 1 %.
	Latency Duration `yaml:"latency"`

	// The alert fires when any of these burns.
	Burns []Burn `yaml:"burns"`
}

// Burn is a pair of windows in which the share of bad events is at least `factor` times the error budget.
type Burn struct {
	// The long window, which says that it matters.
	Long Duration `yaml:"long"`

	// The short window, which says that it goes on. A window of the model must divide both.
	Short Duration `yaml:"short"`

	// How many times faster than the objective allows: 14.4 spends 2 % of the budget of 30 days in an hour.
	Factor float64 `yaml:"factor"`
}

// Text is a text that may have several lines.
type Text string

// Hits is `k of n`: in k of the last n windows.
type Hits [2]int

var hitsText = regexp.MustCompile(`^([0-9]{1,4}) of ([0-9]{1,4})$`)

// String returns the text form.
func (h Hits) String() string { return fmt.Sprintf("%d of %d", h[0], h[1]) }

// MarshalText implements encoding.TextMarshaler.
func (h Hits) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (h *Hits) UnmarshalText(text []byte) error {
	m := hitsText.FindSubmatch(text)
	if m == nil {
		return errors.New("must be windows such as 2 of 3")
	}
	for i := range h {
		n, err := strconv.Atoi(string(m[i+1]))
		if err != nil {
			return err
		}
		h[i] = n
	}
	return nil
}

// ruleOf is the inverse of Rule.alert.
func ruleOf(r alerting.Rule) Rule {
	out := Rule{
		Enabled: true, Kind: string(r.Kind), Scope: string(r.Scope), Severity: r.Severity, Threshold: r.Threshold, Quantile: 0, Metric: r.Metric,
		Maturity: milliseconds(r.Maturity), Relative: r.Relative, Estimate: r.Estimate, MinLabels: r.MinLabels, Dimension: r.Dimension,
		Features: slices.Clone(r.Features), Segments: slices.Clone(r.Segments), When: Text(r.When), SLO: SLO{Objective: 0, Latency: 0, Burns: []Burn{}}, For: Hits{r.Hits, r.Of},
		Change: Change{Series: "", Detector: alerting.DetectorCUSUM, Direction: alerting.DirectionBoth, Threshold: 0, Warmup: 0},
		Clear:  r.Clear, Quiet: r.Quiet, KeepFiringFor: milliseconds(r.KeepFiring), Labels: map[string]string{}, Annotations: map[string]Text{},
		Inhibits: slices.Clone(r.Inhibits),
	}
	if q, err := strconv.ParseFloat(r.Quantile, 64); err == nil {
		out.Quantile = q
	}
	if out.Features == nil {
		out.Features = []string{}
	}
	if out.Segments == nil {
		out.Segments = []string{}
	}
	if out.Inhibits == nil {
		out.Inhibits = []string{}
	}
	maps.Copy(out.Labels, r.Labels)
	if c := r.Change; c != nil {
		out.Change = Change{Series: c.Series, Detector: c.Detector, Direction: c.Direction, Threshold: c.Threshold, Warmup: c.Warmup}
	}
	if r.SLO != nil {
		out.SLO.Objective, out.SLO.Latency = r.SLO.Objective, Duration(r.SLO.Milliseconds*1e6)
		for _, b := range r.SLO.Burns {
			out.SLO.Burns = append(out.SLO.Burns, Burn{Long: milliseconds(b.Long), Short: milliseconds(b.Short), Factor: b.Factor})
		}
	}
	return out
}

func milliseconds(ms int64) Duration { return Duration(ms) * 1_000_000 }

// alert returns the rule as it is evaluated. windows are those of its model.
func (r Rule) alert(name string, windows []Window) alerting.Rule {
	out := alerting.Rule{
		Name: name, Kind: alerting.Kind(r.Kind), Scope: alerting.Scope(r.Scope), Severity: r.Severity, Threshold: r.Threshold, Quantile: "",
		Metric: r.Metric, Maturity: r.Maturity.Milliseconds(), Relative: r.Relative, Estimate: r.Estimate, MinLabels: r.MinLabels, Dimension: r.Dimension, Features: nil, Segments: nil,
		When: string(r.When), Change: nil, SLO: nil, Hits: r.For[0], Of: r.For[1], Clear: r.Clear, Quiet: r.Quiet,
		KeepFiring: r.KeepFiringFor.Milliseconds(), Labels: nil, Annotations: nil, Inhibits: nil,
	}
	if r.Quantile != 0 {
		out.Quantile = strconv.FormatFloat(r.Quantile, 'f', -1, 64)
	}
	if len(r.Features) > 0 {
		out.Features = slices.Clone(r.Features)
	}
	if len(r.Segments) > 0 {
		out.Segments = slices.Clone(r.Segments)
	}
	if len(r.Inhibits) > 0 {
		out.Inhibits = slices.Clone(r.Inhibits)
	}
	if len(r.Labels) > 0 {
		out.Labels = maps.Clone(r.Labels)
	}
	for annotation, text := range r.Annotations {
		if out.Annotations == nil {
			out.Annotations = map[string]string{}
		}
		out.Annotations[annotation] = string(text)
	}
	if out.Kind == alerting.KindChangePoint {
		c := r.Change
		out.Change = &alerting.Change{Series: c.Series, Detector: c.Detector, Direction: c.Direction, Threshold: c.Threshold, Warmup: c.Warmup}
	}
	if out.Kind == alerting.KindLatencySLO || out.Kind == alerting.KindErrorSLO {
		out.SLO = &alerting.SLO{Objective: r.SLO.Objective, Milliseconds: float64(r.SLO.Latency) / 1e6, Burns: nil, Window: 0}
		for _, b := range r.SLO.Burns {
			out.SLO.Burns = append(out.SLO.Burns, alerting.Burn{Long: b.Long.Milliseconds(), Short: b.Short.Milliseconds(), Factor: b.Factor})
		}
		var sizes []int64
		for _, w := range windows {
			if w.Size > 0 {
				sizes = append(sizes, w.Size.Milliseconds())
			}
		}
		out.SLO.Window = out.SLO.Step(sizes)
	}
	return out
}

// alerts returns the rules that are switched on, in the order in which one inhibits another: the defaults in theirs, then the
// others by name.
func alerts(rules map[string]Rule, windows []Window) []alerting.Rule {
	out := []alerting.Rule{}
	builtin := alerting.Defaults()
	names := make([]string, 0, len(builtin))
	for i := range builtin {
		names = append(names, builtin[i].Name)
	}
	own := slices.Sorted(maps.Keys(rules))
	for _, name := range append(names, slices.DeleteFunc(own, func(n string) bool { return slices.Contains(names, n) })...) {
		if r, ok := rules[name]; ok && r.Enabled {
			out = append(out, r.alert(name, windows))
		}
	}
	return out
}

// defaultRules are those of an empty file.
func defaultRules() map[string]Rule {
	out := map[string]Rule{}
	for _, r := range alerting.Defaults() {
		out[r.Name] = ruleOf(r)
	}
	return out
}

// completeRules gives every rule what it inherits: from the rule of its name one level up, or from what its kind has by default.
func (d *document) completeRules(c *Config) {
	c.Defaults.Rules = d.inheritRules("defaults.rules", c.Defaults.Rules, defaultRules())
	for name, m := range c.Models {
		m.Rules = d.inheritRules(joinKey("models", name)+".rules", m.Rules, c.Defaults.Rules)
		c.Models[name] = m
	}
}

func (d *document) inheritRules(path string, own, base map[string]Rule) map[string]Rule {
	out := map[string]Rule{}
	for name, r := range base {
		out[name] = r.clone()
	}
	for name, r := range own {
		p := joinKey(path, name)
		if !d.written(p) {
			continue
		}
		from, inherits := base[name]
		if kind := d.written(p + ".kind"); !inherits || kind && r.Kind != from.Kind {
			from = ruleOf(alerting.Template(name, alerting.Kind(r.Kind)))
			from.Kind = r.Kind
		}
		whole, ok := reflect.TypeAssert[Rule](d.overlay(p, reflect.ValueOf(from.clone()), reflect.ValueOf(r)))
		if !ok {
			panic("BUG: config: an overlay of a rule that is none")
		}
		out[name] = whole
	}
	return out
}

// overlay returns base with the fields that the file writes under path.
func (d *document) overlay(path string, base, own reflect.Value) reflect.Value {
	out := reflect.New(base.Type()).Elem()
	out.Set(base)
	for _, f := range reflect.VisibleFields(base.Type()) {
		p := joinKey(path, yamlName(f))
		switch {
		case !d.written(p):
		case f.Type.Kind() == reflect.Struct:
			out.FieldByIndex(f.Index).Set(d.overlay(p, base.FieldByIndex(f.Index), own.FieldByIndex(f.Index)))
		default:
			out.FieldByIndex(f.Index).Set(own.FieldByIndex(f.Index))
		}
	}
	return out
}

// clone returns a copy that shares no memory.
func (r Rule) clone() Rule {
	r.Features, r.Segments, r.Inhibits, r.SLO.Burns = slices.Clone(r.Features), slices.Clone(r.Segments), slices.Clone(r.Inhibits), slices.Clone(r.SLO.Burns)
	r.Labels, r.Annotations = maps.Clone(r.Labels), maps.Clone(r.Annotations)
	return r
}

// rules applies the rules about rules.
func (k *checker) rules(path string, rules map[string]Rule, windows []Window) []finding {
	var out []finding
	for _, name := range slices.Sorted(maps.Keys(rules)) {
		r, p := rules[name], joinKey(path, name)
		add := func(field, format string, args ...any) {
			out = append(out, finding{path: joinKey(p, field), also: []string{p, p + ".kind", p + ".slo.latency", p + ".slo.objective"}, message: fmt.Sprintf(format, args...)})
		}
		switch {
		case r.Kind == "" && !k.d.isBroken(p+".kind"):
			out = append(out, finding{path: p, message: "needs a kind, such as {kind: condition, when: latency.p99 > 500}; the rules that exist already are " +
				list(slices.Sorted(maps.Keys(defaultRules())), "and")})
			continue
		case k.d.isBroken(p + ".kind"):
			continue
		}
		a := r.alert(name, windows)
		if err := a.Validate(); err != nil {
			rule, ok := errors.AsType[*alerting.RuleError](err)
			if !ok {
				add("kind", "%v", err)
				continue
			}
			if at, ok := errors.AsType[*alerting.ConditionError](err); ok {
				out = append(out, k.condition(p+".when", at))
				continue
			}
			add(rule.Field, "%v", rule.Err)
			continue
		}
		if a.SLO != nil && a.SLO.Window == 0 && len(windows) > 0 {
			add("slo", "needs a window of the model that divides all its burns: add {size: %s} to windows", r.SLO.shortest())
		}
		for i, other := range r.Inhibits {
			if _, ok := rules[other]; !ok && other != "*" {
				out = append(out, finding{path: joinIndex(p+".inhibits", i), also: []string{p + ".inhibits"}, message: fmt.Sprintf("names the rule %q, which the model has not got%s",
					shorten(other), suggestion(other, slices.Sorted(maps.Keys(rules))))})
			}
		}
		if a.Kind == alerting.KindCondition {
			out = append(out, k.statistics(p+".when", a.When)...)
		}
	}
	return out
}

// shortest returns the shortest window of an objective.
func (s SLO) shortest() Duration {
	out := s.Burns[0].Short
	for _, b := range s.Burns {
		out = min(out, b.Short)
	}
	return out
}

// condition places a mistake inside an expression in the file.
func (k *checker) condition(path string, e *alerting.ConditionError) finding {
	f := finding{path: path, message: "cannot be read: " + e.Detail}
	if text, ok := k.d.texts[path]; ok {
		f.at = text.at(e.Line, e.Column)
	}
	return f
}

// statistics reports names in a condition that no statistic has.
func (k *checker) statistics(path, when string) []finding {
	c, err := alerting.Compile(when)
	if err != nil {
		return nil
	}
	known := slices.Sorted(slices.Values(detectors.Names()))
	var out []finding
	_, names := c.Statistics()
	for _, name := range names {
		if !slices.Contains(known, name) {
			out = append(out, finding{path: path, message: fmt.Sprintf("asks for the statistic %q, which does not exist%s", shorten(name), suggestion(name, known))})
		}
	}
	return out
}

// suggestion ends a message with what may have been meant, or with nothing.
func suggestion(word string, known []string) string {
	if near, ok := nearest(word, known); ok {
		return fmt.Sprintf("; did you mean %q?", near)
	}
	return "; there are " + strings.Join(known, ", ")
}

// textPlace says where the characters of a text stand in the file.
type textPlace struct {
	place

	block  bool // its lines are lines of the file
	indent int  // of a block, in columns
}

// at returns where a character of the text stands.
func (t textPlace) at(line, column int) place {
	switch {
	case t.block:
		return place{line: t.line + line - 1, col: t.indent + column}
	case line > 1:
		return t.place // folded: lines of the text are not lines of the file
	}
	return place{line: t.line, col: t.col + column - 1}
}
