package demo

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/driftd/driftd/result"
)

const day = int64(24 * time.Hour / time.Millisecond)

// Report collects what driftd said about a log, from the documents that any subscriber gets, and holds it against what was
// injected. It is not safe for concurrent use.
type Report struct {
	injected []Incident
	alerts   []*alert // in the order in which they fired
	windows  int
	events   uint64
	labels   uint64
	last     map[string]int64  // start of the newest window with events, by version
	natural  map[string]*calm  // by feature, of the days without an injected incident
	judged   map[int64]*judged // quality by start of the window
}

// alert is an incident that fired.
type alert struct {
	fired    *result.Transition
	resolved *result.Transition // nil: it still fires
	found    int                // index of the injected incident that it found; -1: none
}

// calm is what was said about a feature on the days when nothing was injected.
type calm struct {
	statistic        string
	days, judged     int
	notable          int // days with a warning or a drift
	largest, warning float64
	at               int64 // start of the window with the largest value
	needs            uint64
}

// judged is what was said of the quality of a window: first without labels, and last with those that had come.
type judged struct{ foretold, known *result.Quality }

// NewReport returns an empty report of a log with injected incidents.
func NewReport(injected []Incident) *Report {
	return &Report{
		injected: injected, alerts: nil, windows: 0, events: 0, labels: 0, last: map[string]int64{}, natural: map[string]*calm{}, judged: map[int64]*judged{},
	}
}

// Window adds the summary of a window.
func (r *Report) Window(s *result.Summary) {
	if s.Counts.Events > 0 {
		r.last[s.Key.Version] = max(r.last[s.Key.Version], s.Window.Start)
	}
	if s.Key.Version != result.All || s.Revision != 0 {
		return
	}
	r.windows++
	r.events += s.Counts.Events
	r.labels += s.Counts.Labels
}

// Features adds what a window says about features.
func (r *Report) Features(d *result.FeatureDoc) {
	incident := slices.ContainsFunc(r.injected, func(i Incident) bool { return i.Start < d.Window.End && d.Window.Start < i.End })
	if d.Key.Version != result.All || d.Revision != 0 || incident {
		return
	}
	for _, f := range d.Features {
		if f.Current.Count == 0 {
			continue // a day of labels only
		}
		c := r.natural[f.Feature]
		if c == nil {
			c = &calm{statistic: f.Thresholds.Statistic, warning: f.Thresholds.Warning} //nolint:exhaustruct // counted below
			r.natural[f.Feature] = c
		}
		c.days++
		c.needs = f.NMin
		gate := f.Statistics[f.Thresholds.Statistic].Value
		if f.Verdict == result.Insufficient || gate == nil {
			continue
		}
		if f.Verdict != result.Stable {
			c.notable++
		}
		if c.judged++; c.judged == 1 || *gate > c.largest {
			c.largest, c.at = *gate, d.Window.Start
		}
	}
}

// Quality adds what was said of the quality of a window at a maturity.
func (r *Report) Quality(q *result.Quality) {
	if q.Key.Version != result.All || q.Key.Segment != result.All {
		return
	}
	j := r.judged[q.Window.Start]
	if j == nil {
		j = &judged{foretold: nil, known: nil}
		r.judged[q.Window.Start] = j
	}
	if q.Maturity == 0 {
		j.foretold = q
	}
	if q.Final {
		j.known = q
	}
}

// Transition adds a change of an incident.
func (r *Report) Transition(t *result.Transition) {
	switch t.To {
	case result.Firing:
		found := slices.IndexFunc(r.injected, func(i Incident) bool {
			return i.Rule == t.Rule && i.Feature == t.Feature && i.Version == t.Key.Version && i.Start <= t.Since && t.Since < i.End
		})
		r.alerts = append(r.alerts, &alert{fired: t, resolved: nil, found: found})
	case result.Resolved:
		for _, a := range r.alerts {
			if a.fired.Incident == t.Incident {
				a.resolved = t
			}
		}
	case result.Inactive, result.Pending: // nothing that a person was told
	}
}

// Missed lists the injected incidents that no alert found.
func (r *Report) Missed() []Incident {
	var out []Incident
	for i, in := range r.injected {
		if r.finder(i) == nil {
			out = append(out, in)
		}
	}
	return out
}

// finder returns the first alert that found an injected incident, or nil.
func (r *Report) finder(incident int) *alert {
	if i := slices.IndexFunc(r.alerts, func(a *alert) bool { return a.found == incident }); i >= 0 {
		return r.alerts[i]
	}
	return nil
}

// Alert is what a terminal shows of a transition: nothing, unless it fires or is resolved. The date is the day whose window
// decided it, at its end.
func Alert(t *result.Transition) string {
	if t.To != result.Firing && t.To != result.Resolved {
		return ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s  %-8s  %-8s  %s\n", date(t.Window.Start), strings.ToUpper(string(t.To)), t.Severity, subject(t))
	for _, reason := range t.Reasons {
		fmt.Fprintf(&b, "%32s%s\n", "", reason)
	}
	return b.String()
}

// subject is a title without its state, which stands elsewhere.
func subject(t *result.Transition) string { return strings.TrimSuffix(t.Title, " "+string(t.To)) }

func date(t int64) string { return time.UnixMilli(t).UTC().Format(time.DateOnly) }

// Summary says what was found of what was injected, what else fired, and what the flights themselves did. labelled are the
// flights of the reference and of the log.
func (r *Report) Summary(took time.Duration, labelled []Flight) string {
	var b strings.Builder
	fmt.Fprintf(&b, "\nsummary   %d windows of a day judged, %d events and %d labels, in %.1f s\n", r.windows, r.events, r.labels, took.Seconds())
	for i, in := range r.injected {
		fmt.Fprintf(&b, "%-8s  %s  %s\n", head(i, "injected"), date(in.Start), in.Text)
		fmt.Fprintf(&b, "%22s%s\n", "", r.outcome(i))
	}
	others := 0
	for _, a := range r.alerts {
		if a.found < 0 || r.finder(a.found) != a {
			fmt.Fprintf(&b, "%-8s  %s  %s%s\n", head(others, "also"), date(a.fired.Window.Start), subject(a.fired), r.origin(a))
			others++
		}
	}
	if others == 0 {
		fmt.Fprintf(&b, "also      no other alert\n")
	}
	r.describeQuality(&b)
	r.describeNatural(&b)
	fmt.Fprintf(&b, "%-8s  share of flights that were late, the label:%s\n", "", lateShares(labelled))
	return b.String()
}

// head is a heading in front of the first line of several.
func head(i int, word string) string {
	if i > 0 {
		return ""
	}
	return word
}

// outcome says when an injected incident was found, and when it cleared.
func (r *Report) outcome(incident int) string {
	a, in := r.finder(incident), r.injected[incident]
	if a == nil {
		return "NOT FOUND"
	}
	out := fmt.Sprintf("found at the end of %s, %s after it began", date(a.fired.Window.Start), days(a.fired.Window.End-in.Start))
	version := a.fired.Key.Version
	switch {
	case a.resolved != nil:
		return out + fmt.Sprintf("; cleared at the end of %s, %s after it ended", date(a.resolved.Window.Start), days(a.resolved.Window.End-in.End))
	case version != result.All && r.last[version] < r.last[result.All]:
		return out + fmt.Sprintf("; still open: version %s has no events after %s that could clear it", version, date(r.last[version]))
	}
	return out + "; still open"
}

// origin says what another alert may come from.
func (r *Report) origin(a *alert) string {
	for _, in := range r.injected {
		if in.Start <= a.fired.Since && a.fired.Since < in.End {
			return " (began while " + in.Text + ")"
		}
	}
	return fmt.Sprintf(" (natural: %s %.3g)", a.fired.Unit, a.fired.Value)
}

func days(ms int64) string {
	if n := float64(ms) / float64(day); n != 1 {
		return fmt.Sprintf("%.3g days", n)
	}
	return "1 day"
}

// describeQuality says how right the model was, and how well that was foretold before its labels came.
func (r *Report) describeQuality(b *strings.Builder) {
	var days, inBand, banded int
	var maturity int64
	var predictions, labels uint64
	var waits, values []float64
	for _, start := range slices.Sorted(maps.Keys(r.judged)) {
		j := r.judged[start]
		if j.known == nil || j.known.Labels == 0 || j.known.DelayP50 == nil {
			continue
		}
		days++
		maturity, predictions, labels = j.known.Maturity, predictions+j.known.Predictions, labels+j.known.Labels
		waits = append(waits, *j.known.DelayP50)
		accuracy := measured(j.known.Metrics, "accuracy")
		if accuracy == nil || accuracy.Value == nil {
			continue
		}
		values = append(values, *accuracy.Value)
		if j.foretold == nil || j.foretold.Estimate == nil {
			continue
		}
		if band := measured(j.foretold.Estimate.Metrics, "accuracy"); band != nil && band.Lower != nil && band.Upper != nil {
			banded++
			if *band.Lower <= *accuracy.Value && *accuracy.Value <= *band.Upper {
				inBand++
			}
		}
	}
	if days == 0 || len(values) == 0 {
		return
	}
	slices.Sort(waits)
	slices.Sort(values)
	hours := func(ms float64) float64 { return ms / float64(time.Hour.Milliseconds()) }
	fmt.Fprintf(b, "quality   of %d days, %.3g hours after each: labels of %.1f %% of the predictions, half of a day's within %.1f hours\n",
		days, hours(float64(maturity)), 100*float64(labels)/float64(predictions), hours(waits[len(waits)/2]))
	fmt.Fprintf(b, "%-8s  accuracy %.3f to %.3f, half of the days above %.3f; foretold at the day's end without labels: in its band on %d of %d days\n",
		"", values[0], values[len(values)-1], values[len(values)/2], inBand, banded)
}

// measured returns a metric of all classes by name, nil where there is none.
func measured(of []result.Metric, name string) *result.Metric {
	if i := slices.IndexFunc(of, func(m result.Metric) bool { return m.Name == name && m.Class == "" }); i >= 0 {
		return &of[i]
	}
	return nil
}

// describeNatural says how far each feature moved on its own.
func (r *Report) describeNatural(b *strings.Builder) {
	notable := 0
	for _, c := range r.natural {
		notable += c.notable
	}
	fmt.Fprintf(b, "natural   on the days without an incident, features that reached a warning: %d (of all features and days)\n", notable)
	names := slices.SortedFunc(maps.Keys(r.natural), func(x, y string) int {
		return cmp.Or(cmp.Compare(r.natural[y].largest, r.natural[x].largest), cmp.Compare(x, y))
	})
	for _, name := range names {
		c := r.natural[name]
		moved := "never judged"
		if c.judged > 0 {
			moved = fmt.Sprintf("%s at most %6.3f (%s); a warning begins at %.3g", c.statistic, c.largest, date(c.at), c.warning)
		}
		if few := c.days - c.judged; few > 0 {
			moved += fmt.Sprintf("; %d of %d days had too few events, it needs %d", few, c.days, c.needs)
		}
		fmt.Fprintf(b, "%-8s  %-23s %s\n", "", name, moved)
	}
}

// lateShares lists the share of late flights by month of departure.
func lateShares(flights []Flight) string {
	all, late := map[time.Month]int{}, map[time.Month]int{}
	for _, f := range flights {
		month := time.UnixMilli(f.Departure).UTC().Month()
		all[month]++
		if f.Late() {
			late[month]++
		}
	}
	var b strings.Builder
	for i, m := range slices.Sorted(maps.Keys(all)) {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, " %s %.1f %%", m, 100*float64(late[m])/float64(all[m]))
	}
	return b.String()
}
