package alerting

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/driftd/driftd/internal/stat/changepoint"
	"github.com/driftd/driftd/result"
)

// Change says which series of a model's windows a rule looks at for a change of its level, and how: for a decay that stays under every
// threshold.
type Change struct {
	// Series is error_rate, throughput, drift_share, latency.mean, latency.p50 … latency.p999; or, of each of the rule's features, mean or
	// a statistic; or quality. and a metric.
	Series string `json:"series"`

	Detector  string `json:"detector"`  // DetectorCUSUM, DetectorADWIN or DetectorPageHinkley
	Direction string `json:"direction"` // DirectionUp, DirectionDown or DirectionBoth

	// Threshold of the detector: of cusum in standard deviations, of adwin about the share of false alarms, of page_hinkley in the unit of
	// the series times windows. 0: the detector's own.
	Threshold float64 `json:"threshold,omitempty"`

	// Warmup is how many windows cusum learns the level from. 0: the detector's own.
	Warmup int `json:"warmup,omitempty"`
}

// The detectors and the directions of a change.
const (
	DetectorCUSUM       = "cusum"
	DetectorADWIN       = "adwin"
	DetectorPageHinkley = "page_hinkley"

	DirectionUp   = "up"
	DirectionDown = "down"
	DirectionBoth = "both"
)

// Watch is what a rule remembers of one series.
type Watch struct {
	Feature string      `json:"feature,omitempty"` // empty: the series is of the model
	Role    result.Role `json:"role,omitempty"`
	Of      Change      `json:"of"` // the state is of this detector
	State   []byte      `json:"state"`
	Past    []float64   `json:"past"` // the last values, for telling how far the level moved
}

// maxWatched bounds the values that a watch keeps beside its detector, and the features of a rule.
const (
	maxWatched         = 256
	maxWatchedFeatures = 64
)

// serviceSeries are the series that are of the model, beside those of its quality.
func serviceSeries() []string {
	return []string{
		"error_rate", "throughput", "drift_share", "latency.mean", "latency.p50", "latency.p90", "latency.p95", "latency.p99", "latency.p999",
	}
}

// ofModel reports whether a series is of the model.
func ofModel(series string) bool {
	metric, ok := strings.CutPrefix(series, seriesOfQuality)
	return slices.Contains(serviceSeries(), series) || ok && slices.Contains(Metrics(), metric)
}

// detector makes the detector of a change.
func (c Change) detector() (changepoint.Detector, error) {
	switch c.Detector {
	case DetectorADWIN:
		p := changepoint.DefaultADWIN()
		p.Delta, p.Clock = cmp.Or(c.Threshold, p.Delta), 1 // windows are few: look at each
		return changepoint.NewADWIN(p)
	case DetectorPageHinkley:
		p := changepoint.DefaultPageHinkley()
		p.Threshold = cmp.Or(c.Threshold, p.Threshold)
		return changepoint.NewPageHinkley(p)
	}
	p := changepoint.DefaultCUSUM()
	p.H, p.Warmup = cmp.Or(c.Threshold, p.H), cmp.Or(c.Warmup, p.Warmup)
	return changepoint.NewCUSUM(p)
}

// validateChange checks the series of a rule, and how it is looked at.
func (r *Rule) validateChange() (string, error) {
	if r.Kind != KindChangePoint {
		return "", nil
	}
	c := r.Change
	switch {
	case c == nil || c.Series == "":
		return "change", fmt.Errorf("needs a series: one of %s, quality. and a metric, or mean or a statistic with features", strings.Join(serviceSeries(), ", "))
	case ofModel(c.Series) && len(r.Features) > 0:
		return "features", fmt.Errorf("cannot be given for the series %s, which is of the model", c.Series)
	case strings.HasPrefix(c.Series, seriesOfQuality) && !ofModel(c.Series):
		return "change", fmt.Errorf("has the series %s: the metrics are %s", c.Series, strings.Join(Metrics(), ", "))
	case !ofModel(c.Series) && (len(r.Features) == 0 || len(r.Features) > maxWatchedFeatures):
		return "features", fmt.Errorf("must name the 1 to %d features whose %s is looked at; the series of the model are %s",
			maxWatchedFeatures, c.Series, strings.Join(serviceSeries(), ", "))
	case !slices.Contains([]string{DetectorCUSUM, DetectorADWIN, DetectorPageHinkley}, c.Detector):
		return "change", fmt.Errorf("must have a detector of cusum, adwin and page_hinkley, got %q", c.Detector)
	case !slices.Contains([]string{DirectionUp, DirectionDown, DirectionBoth}, c.Direction):
		return "change", fmt.Errorf("must have a direction of up, down and both, got %q", c.Direction)
	case c.Warmup != 0 && c.Detector != DetectorCUSUM:
		return "change", errors.New("has a warmup, which only the detector cusum has")
	}
	if _, err := c.detector(); err != nil {
		return "change", err
	}
	if r.Hits != 1 || r.Of != 1 {
		return "for", fmt.Errorf("must be 1 of 1: a change is told once, got %d of %d", r.Hits, r.Of)
	}
	return "", nil
}

// point of a series of a window: whose it is, and its value.
type seriesValue struct {
	feature string
	role    result.Role
	value   float64
}

// read returns the values that a window has of the rule's series.
func (r *Rule) read(sum *result.Summary, features []result.Feature) []seriesValue {
	if v := serviceValue(r.Change.Series, sum); v != nil {
		return []seriesValue{{feature: "", role: "", value: *v}}
	}
	var out []seriesValue
	for i := range features {
		f := &features[i]
		v := f.Statistics[r.Change.Series].Value
		if r.Change.Series == "mean" {
			v = f.Current.Mean
		}
		if slices.Contains(r.Features, f.Feature) && v != nil {
			out = append(out, seriesValue{feature: f.Feature, role: f.Role, value: *v})
		}
	}
	return out
}

// serviceValue returns the value of a series of the model, or nil.
func serviceValue(series string, sum *result.Summary) *float64 {
	switch series {
	case "error_rate":
		if sum.Counts.Events == 0 {
			return nil
		}
		v := float64(sum.Errors) / float64(sum.Counts.Events)
		return &v
	case "throughput":
		return &sum.ThroughputHz
	case "drift_share":
		return sum.DriftShare
	case "latency.mean":
		return sum.Latency.Mean
	}
	for _, q := range Quantiles() {
		if series == "latency.p"+strings.ReplaceAll(quantileName(q)[1:], ".", "") {
			return sum.Latency.Quantiles[q]
		}
	}
	return nil
}

// watch moves the detectors of a rule by one window. A change fires at once; the incident is over after quiet windows without another.
func (b *Book) watch(r *Rule, sum *result.Summary, values []seriesValue) []result.Transition {
	subject := Subject{Rule: r.Name, Key: sum.Key, Size: sum.Window.Size}
	if b.open[subject] == nil && len(values) == 0 {
		return nil
	}
	in := b.incident(subject)
	in.Absent = 0
	var observed []observation
	for _, v := range values {
		if o, ok := in.watched(r, v); ok {
			observed = append(observed, o)
		}
	}
	t := in.move(r, sum, func() {
		keep := in.keep(r)
		for _, o := range observed {
			in.look(r, sum.Window, keep, o)
		}
	})
	b.forget(in, sum.Window.End)
	return t
}

// watched gives a value to the detector of its series. ok is false for a value that no detector takes.
func (in *Incident) watched(r *Rule, v seriesValue) (o observation, ok bool) {
	if !changepoint.Accepts(v.value) {
		return observation{}, false
	}
	i := slices.IndexFunc(in.Watches, func(w Watch) bool { return w.Feature == v.feature && w.Role == v.role })
	if i < 0 {
		in.Watches = append(in.Watches, Watch{Feature: v.feature, Role: v.role, Of: *r.Change, State: nil, Past: nil})
		i = len(in.Watches) - 1
	}
	w := &in.Watches[i]
	if w.Of != *r.Change { // another detector begins anew
		w.Of, w.State, w.Past = *r.Change, nil, nil
	}
	d, err := r.Change.detector()
	if err != nil {
		return observation{}, false // Validate refused it
	}
	if w.State != nil {
		if _, err := d.Decode(w.State); err != nil {
			w.Past = nil // begun anew: a state of a version that is not read any more
		}
	}
	change := d.Add(v.value)
	w.State = d.AppendBinary(nil)
	w.Past = append(w.Past, v.value)
	w.Past = slices.Delete(w.Past, 0, max(0, len(w.Past)-maxWatched))
	o = observation{
		segment: "", feature: v.feature, role: v.role, hit: false, clear: true, value: v.value, threshold: v.value, unit: r.Change.Series, reasons: nil,
	}
	if m := in.member("", v.feature, v.role); m != nil { // what it said when the level changed
		o.value, o.threshold, o.reasons = m.Value, m.Threshold, m.Reasons
	}
	switch {
	case change == changepoint.None, change == changepoint.Up && r.Change.Direction == DirectionDown, change == changepoint.Down && r.Change.Direction == DirectionUp:
		return o, true
	}
	after := int(min(d.Age(), uint64(len(w.Past))))
	now, before := mean(w.Past[len(w.Past)-after:]), mean(w.Past[:len(w.Past)-after])
	word := "rose"
	if change == changepoint.Down {
		word = "fell"
	}
	o.hit, o.clear, o.value, o.threshold = true, false, now, before
	o.reasons = []string{fmt.Sprintf("%s %s: on average %.4g in the last %d windows, %.4g in the %d before (%s)",
		r.Change.Series, word, now, after, before, len(w.Past)-after, r.Change.Detector)}
	w.Past = slices.Clone(w.Past[len(w.Past)-after:]) // the new level is what the next one is compared with
	return o, true
}

// mean returns the mean of values, 0 of none.
func mean(xs []float64) float64 {
	var m float64
	for i, x := range xs {
		m += (x - m) / float64(i+1)
	}
	return m
}
