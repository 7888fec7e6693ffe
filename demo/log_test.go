package demo_test

import (
	"crypto/sha256"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/driftd/driftd/config"
	"github.com/driftd/driftd/demo"
	"github.com/driftd/driftd/event"
)

func flights(t *testing.T) []demo.Flight {
	t.Helper()
	all, err := demo.Flights()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func model(t *testing.T) *demo.Model {
	t.Helper()
	m, err := demo.EmbeddedModel()
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func month(m time.Month) int64 { return time.Date(2001, m, 1, 0, 0, 0, 0, time.UTC).UnixMilli() }

// The counts and shares are those of data/README.md, made with awk from the file.
func TestFlights(t *testing.T) {
	all := flights(t)
	want := map[time.Month]string{
		time.January: "16942 20.6", time.February: "15272 23.1", time.March: "17050 21.2", time.April: "16701 18.2", time.May: "17294 16.3",
		time.June: "16741 21.3",
	}
	got := map[time.Month]string{}
	for m := time.January; m <= time.June; m++ {
		late := 0
		of := demo.Between(all, month(m), month(m+1))
		for _, f := range of {
			if f.Late() {
				late++
			}
		}
		got[m] = fmt.Sprintf("%d %.1f", len(of), 100*float64(late)/float64(len(of)))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("flights and percent late by month (-want +got):\n%s", diff)
	}
	if len(all) != 100_000 {
		t.Errorf("%d flights, want 100000", len(all))
	}
}

// seen is what a decoder reads from a log.
type seen struct {
	events, labels, late, null int
	versions                   map[string]int
	miles                      float64
}

func read(t *testing.T, l *demo.Log) (seen, [32]byte) {
	t.Helper()
	out, hash, last := seen{versions: map[string]int{}}, sha256.New(), int64(math.MinInt64)
	decoder := event.NewDecoder(event.DefaultLimits())
	departed := map[string]int64{}
	for r := range l.Records() {
		hash.Write(r.Line)
		decoder.Reset(r.Line)
		if !decoder.Next() {
			t.Fatalf("no record in %s", r.Line)
		}
		e, refused := decoder.Event()
		if refused != nil || e.DuplicateKeys+e.UnknownKeys+e.WrongType > 0 || string(e.Model) != demo.ModelName {
			t.Fatalf("%s: %v", r.Line, refused)
		}
		if e.Time < last || e.Time != r.Time || e.IsLabel != r.Label {
			t.Fatalf("%s: at %d, after %d; said to be at %d, label %v", r.Line, e.Time, last, r.Time, r.Label)
		}
		last = e.Time
		if e.IsLabel {
			if departed[string(e.ID)] == 0 || e.Time <= departed[string(e.ID)] {
				t.Fatalf("%s: landed before it departed", r.Line)
			}
			out.labels++
			out.late += int(e.Label.Num)
			continue
		}
		out.events++
		out.versions[string(e.Version)]++
		departed[string(e.ID)] = e.Time
		if !e.HasLatency || e.Latency <= 0 || len(e.Features) != 6 || len(e.Prediction) != 1 || e.Prediction[0].Num <= 0 || e.Prediction[0].Num >= 1 {
			t.Fatalf("%s: incomplete", r.Line)
		}
		for _, f := range e.Features {
			switch {
			case string(f.Name) == "distance_miles":
				out.miles += f.Num
			case f.Kind == event.ValueNull:
				out.null++
			}
		}
	}
	return out, [32]byte(hash.Sum(nil))
}

func TestLogIsCompleteOrderedAndDeterministic(t *testing.T) {
	all := flights(t)
	l := &demo.Log{Flights: demo.Between(all, month(time.February), month(time.March)), Model: model(t), Incidents: demo.Incidents()}
	got, hash := read(t, l)
	// February has 15,272 flights; 14,509 have a number that 20 does not divide, 3,357 of them late (awk on the file). Nothing is injected.
	if got.events != 15272 || got.labels != 14509 || got.late != 3357 || got.null != 0 || got.versions["1"] != 15272 {
		t.Errorf("got %+v", got)
	}
	if _, again := read(t, l); again != hash {
		t.Error("the same log has other bytes the second time")
	}
}

// Reports come on average ten hours after the landing, exponentially distributed: half of them within 6.93 hours (10 ln 2), 95 % within 29.96
// (10 ln 20). Of 14,509 the standard errors are 0.08 and 0.36 hours. A log that ends earlier has no report from then on, and is the same before.
func TestReports(t *testing.T) {
	all, m := demo.Between(flights(t), month(time.February), month(time.March)), model(t)
	landed := map[string]int64{} // as docs/demo.md says: half an hour, 460 miles an hour, and the delay
	for _, f := range all {
		minutes := math.Round(30 + float64(f.Miles)/460*60 + float64(f.Delay))
		landed[fmt.Sprintf("flight-%06d", f.Row)] = f.Departure + int64(max(minutes, 1))*60_000
	}
	whole := &demo.Log{Flights: all, Model: m, Incidents: nil, End: 0}
	short := *whole
	short.End = month(time.February) + 3*24*3_600_000
	var waits []float64
	var before []string
	decoder := event.NewDecoder(event.DefaultLimits())
	for r := range whole.Records() {
		if !r.Label || r.Time < short.End {
			before = append(before, string(r.Line))
		}
		if decoder.Reset(r.Line); r.Label && decoder.Next() {
			e, _ := decoder.Event()
			waits = append(waits, float64(e.Time-landed[string(e.ID)])/3_600_000)
		}
	}
	slices.Sort(waits)
	for _, q := range []struct{ share, hours, within float64 }{{0, 0, 0.05}, {0.5, 6.93, 0.4}, {0.95, 29.96, 1.8}} {
		if got := waits[int(q.share*float64(len(waits)))]; math.Abs(got-q.hours) > q.within {
			t.Errorf("%.0f %% are reported within %.2f hours of the landing, want %.2f", 100*q.share, got, q.hours)
		}
	}
	var got []string
	for r := range short.Records() {
		got = append(got, string(r.Line))
	}
	if diff := cmp.Diff(before, got); diff != "" {
		t.Errorf("a log with an end (-want +got):\n%s", diff)
	}
}

// TestIncidents: each one changes what it says, on its days only.
func TestIncidents(t *testing.T) {
	all, m := flights(t), model(t)
	for _, in := range demo.Incidents() {
		week := demo.Between(all, in.Start, in.End)
		clean, _ := read(t, &demo.Log{Flights: week, Model: m, Incidents: nil})
		got, _ := read(t, &demo.Log{Flights: week, Model: m, Incidents: demo.Incidents()})
		ord := 0
		for _, f := range week {
			if f.Origin == "ORD" {
				ord++
			}
		}
		want := clean
		switch in.Kind {
		case demo.Kilometres:
			if ratio := got.miles / clean.miles; math.Abs(ratio-1.609344) > 1e-4 {
				t.Errorf("distances × %v, want × 1.609344", ratio)
			}
			want.miles = got.miles
		case demo.MissingCode:
			want.null = ord
			if share := float64(ord) / float64(len(week)); share < 0.04 || share > 0.07 {
				t.Errorf("%.3f of the flights miss their origin, the text says about 5 %%", share)
			}
		case demo.SlowVersion:
			want.versions = map[string]int{"2": len(week)}
		}
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(seen{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", in.Kind, diff)
		}
		for _, span := range [][2]int64{{in.Start - 7*24*3_600_000, in.Start}, {in.End, in.End + 7*24*3_600_000}} {
			beside := demo.Between(all, span[0], span[1])
			_, with := read(t, &demo.Log{Flights: beside, Model: m, Incidents: demo.Incidents()})
			if _, without := read(t, &demo.Log{Flights: beside, Model: m, Incidents: nil}); with != without {
				t.Errorf("%s changes a week beside its own", in.Kind)
			}
		}
	}
}

// TestConfigTellsOfTheIncidents: the page shows notes of the configuration, the terminal the table; both say the same.
func TestConfigTellsOfTheIncidents(t *testing.T) {
	c, err := config.Parse("driftd.yaml", demo.Config())
	if err != nil {
		t.Fatal(err)
	}
	m := c.Models[demo.ModelName]
	var want []config.Annotation
	for _, in := range demo.Incidents() {
		want = append(want, config.Annotation{Start: config.Time(in.Start), End: config.Time(in.End), Text: "injected: " + in.Text})
	}
	if diff := cmp.Diff(want, m.Annotations); diff != "" {
		t.Errorf("annotations (-incidents +driftd.yaml):\n%s", diff)
	}
	if m.Reference.Name != demo.ReferenceName || len(c.Models) != 1 {
		t.Errorf("reference %q of %d models", m.Reference, len(c.Models))
	}
	if d := config.Default().Model("x"); !m.Detectors.Equal(d.Detectors) {
		t.Error("the demo judges by thresholds of its own")
	}
	for _, in := range demo.Incidents() {
		if !strings.Contains(in.String(), in.Text) || time.UnixMilli(in.Start).UTC().Weekday() != time.Monday {
			t.Errorf("%s: want a Monday", in)
		}
	}
}

// The score of a logistic regression, by hand: with all coefficients 0 it is 1/2, and an unknown airport has the mean of all.
func TestScore(t *testing.T) {
	m := &demo.Model{Coefficients: make([]float64, len(demo.Terms())), Mean: 7, Origin: map[string]float64{"A": 3}}
	in := m.Input(demo.Flight{Row: 1, Departure: 6 * 3_600_000, Origin: "A", Destination: "B", Miles: 2000, Delay: 0})
	if diff := cmp.Diff(demo.Input{Hour: 6, Distance: 2000, OriginMean: 3, DestinationMean: 7}, in); diff != "" {
		t.Errorf("input (-want +got):\n%s", diff)
	}
	if got := m.Score(in); got != 0.5 {
		t.Errorf("score %v, want 0.5", got)
	}
	want := []float64{1, 1, 0, 0, -1, 2, 0.3, 0.7} // six o'clock is a quarter turn
	for i, x := range in.Row() {
		if math.Abs(x-want[i]) > 1e-15 {
			t.Errorf("term %s is %v, want %v", demo.Terms()[i], x, want[i])
		}
	}
}
