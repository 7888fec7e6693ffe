package fold_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"testing"

	"github.com/driftd/driftd/event"
	"github.com/driftd/driftd/fold"
	"github.com/driftd/driftd/internal/testenv"
	"github.com/driftd/driftd/labels"
	"github.com/driftd/driftd/result"
	"github.com/driftd/driftd/window"
)

// worker is a row of employment-ma.
type worker struct {
	class, label int
	score        float64
}

// workers reads the first rows of employment-ma with their targets, which are in the same order; 0: all.
func workers(t *testing.T, n int) []worker {
	t.Helper()
	var out []worker
	table(t, func(cell func(string) string) {
		if n == 0 || len(out) < n {
			out = append(out, worker{class: int(parse(t, cell("prediction"))), label: 0, score: parse(t, cell("predicted_probability"))})
		}
	}, "data", "employment-ma", "predictions.csv.gz")
	i := 0
	table(t, func(cell func(string) string) {
		if i < len(out) {
			out[i].label = int(parse(t, cell("employed")))
		}
		i++
	}, "data", "employment-ma", "targets.csv.gz")
	return out
}

// plainQuality is the quality of rows by plain loops over them, by the conventions of ../shared/vectors/README.md.
func plainQuality(rows []worker) (matrix [2][2]uint64, values, estimates map[string]float64) {
	var loss, brier, tp, fp, fn, tn, wins, pairs float64
	var bins [10]struct{ n, sum, positive float64 }
	for _, r := range rows {
		matrix[r.label][r.class]++
		truth := r.score
		if r.label == 0 {
			truth = 1 - r.score
		}
		loss -= math.Log(min(max(truth, 1e-15), 1-1e-15))
		brier += (r.score - float64(r.label)) * (r.score - float64(r.label))
		b := &bins[min(int(r.score*10), 9)]
		b.n, b.sum, b.positive = b.n+1, b.sum+r.score, b.positive+float64(r.label)
		if r.class == 1 {
			tp, fp = tp+r.score, fp+1-r.score
		} else {
			fn, tn = fn+r.score, tn+1-r.score
		}
		for _, o := range rows {
			if r.label == 1 && o.label == 0 {
				switch pairs++; {
				case r.score > o.score:
					wins++
				case r.score == o.score:
					wins += 0.5
				}
			}
		}
	}
	n, ece := float64(len(rows)), 0.0
	for _, b := range bins {
		if b.n > 0 {
			ece += math.Abs(b.sum-b.positive) / n
		}
	}
	at := func(label, class int) float64 { return float64(matrix[label][class]) }
	values = map[string]float64{
		"accuracy": (at(0, 0) + at(1, 1)) / n, "precision": at(1, 1) / (at(1, 1) + at(0, 1)), "recall": at(1, 1) / (at(1, 1) + at(1, 0)),
		"log_loss": loss / n, "brier": brier / n, "ece": ece, "roc_auc": wins / pairs,
	}
	estimates = map[string]float64{"accuracy": (tp + tn) / n, "precision": tp / (tp + fp), "recall": tp / (tp + fn), "f1": 2 * tp / (2*tp + fp + fn)}
	return matrix, values, estimates
}

// goldenOf reads what a vector of ../shared/vectors says, which scikit-learn and plain implementations made (its README.md).
func goldenOf(t *testing.T, file, name string) map[string]float64 {
	t.Helper()
	data, err := os.ReadFile(testenv.Shared(t, "vectors", file))
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(data) {
		var v struct {
			Name  string
			Stats map[string]any
		}
		if err := json.Unmarshal(line, &v); err != nil {
			t.Fatal(err)
		}
		if v.Name == name {
			out := map[string]float64{}
			for k, x := range v.Stats {
				if x, ok := x.(float64); ok {
					out[k] = x
				}
			}
			return out
		}
	}
	t.Fatalf("%s has no vector %s", file, name)
	return nil
}

// The real predictions of employment-ma, 500 a day, and their real targets 36 hours after them: each day says what plain loops over its rows say, and what is
// estimated before any label is there; the days of a vector's rows together say what the vector says.
func TestEmploymentQuality(t *testing.T) {
	const perDay, late, step = 500, 750, day / 500 // rows; 36 hours are 750 of them
	n := 0
	if testing.Short() {
		n = 3000
	}
	rows := workers(t, n)
	counting := labelled()
	m := &counting.Defaults
	m.Timing = window.Timing{Windows: []window.Spec{{Size: day, Every: day}}, Pane: 60 * minute, Lateness: 6 * hourMS, WatermarkDelay: 0} //nolint:exhaustruct // not extended
	m.Labels.Join = labels.Config{Mode: labels.ModeFull, Rate: labels.Million, Horizon: 7 * day, MaxPending: 100_000, Maturities: []int64{hourMS, 48 * hourMS}}
	var msgs []fold.Message
	add := func(subject string, at int64, data []byte) {
		msgs = append(msgs, fold.Message{Seq: uint64(len(msgs) + 1), Subject: subject, Time: at, Data: data, Retry: ""})
	}
	at := func(row int) int64 { return midnight + int64(row)*step }
	const batch = 50
	for from := 0; from < len(rows)+late; from += batch {
		var events, targets []byte
		for i := from; i < from+batch; i++ {
			if i < len(rows) {
				events = fmt.Appendf(events, `{"id":"%d","ts":%d,"prediction":{"label":%d,"score":%v}}`+"\n", i, at(i), rows[i].class, rows[i].score)
			}
			if j := i - late; j >= 0 && j < len(rows) {
				targets = fmt.Appendf(targets, `{"id":"%d","ts":%d,"label":%d}`+"\n", j, at(i), rows[j].label)
			}
		}
		if events != nil {
			add("ml.events.employment", at(from+batch-1), events)
		}
		if targets != nil {
			add("ml.labels.employment", at(from+batch-1), targets)
		}
	}
	end := event.Control{Kind: event.ControlMarker, Watermark: at(len(rows)) + 4*day} //nolint:exhaustruct // a marker
	add("driftd.control.0", end.Watermark, end.Encode())
	p, out := fold.New("IN", counting, [2]uint64{1, 2}, nil, unlimited()), fold.Output{} //nolint:exhaustruct // empty
	for _, m := range msgs {
		if done, err := p.Apply(m, &out); err != nil || !done || len(out.DeadLetters) > 0 {
			t.Fatalf("message %d: done %v, %v", m.Seq, done, err)
		}
	}
	days := map[int]map[int64]result.Quality{}
	for _, d := range out.Docs {
		if q, ok := readQuality(t, d); ok && q.Key.Version == result.All && q.Key.Segment == result.All && q.Predictions > 0 {
			k := int((q.Window.Start - midnight) / day)
			if days[k] == nil {
				days[k] = map[int64]result.Quality{}
			}
			days[k][q.Maturity] = q
		}
	}
	if want := (len(rows) + perDay - 1) / perDay; len(days) != want {
		t.Fatalf("%d days, want %d", len(days), want)
	}
	near := func(k int, what string, got *float64, want float64) {
		t.Helper()
		if got == nil || math.Abs(*got-want) > 1e-9 {
			t.Errorf("day %d: %s is %v, want %v", k, what, show(got), want)
		}
	}
	for k := range len(days) {
		of := rows[k*perDay : min((k+1)*perDay, len(rows))]
		matrix, values, estimates := plainQuality(of)
		first, q := days[k][0], days[k][48*hourMS]
		if q.Labels != uint64(len(of)) || !q.Final || fmt.Sprint(q.Confusion.Matrix) != fmt.Sprint(matrix) || days[k][hourMS].Labels != 0 {
			t.Fatalf("day %d: %d labels, %v; want %d, %v", k, q.Labels, q.Confusion.Matrix, len(of), matrix)
		}
		for name, want := range values {
			got := metric(t, q.Metrics, name)
			if name == "roc_auc" { // the cells enclose it
				if got.Least == nil || *got.Least > want+1e-12 || *got.Most < want-1e-12 || *got.Most-*got.Least > 0.02 {
					t.Errorf("day %d: roc_auc in [%v, %v], want %v", k, show(got.Least), show(got.Most), want)
				}
				continue
			}
			near(k, name, got.Value, want)
		}
		for name, want := range estimates {
			near(k, "the first estimate of "+name, metric(t, first.Estimate.Metrics, name).Value, want)
			near(k, "the last estimate of "+name, metric(t, q.Estimate.Metrics, name).Value, want)
		}
	}
	for _, v := range []struct {
		name     string
		from, to int // days
	}{{"employment-0", 0, 1}, {"employment-1", 1, 5}, {"employment-2", 140, 160}} {
		if v.to > len(days) {
			continue // testing.Short
		}
		want, got := goldenOf(t, "classification.jsonl", v.name), [4]uint64{}
		for k := v.from; k < v.to; k++ {
			x := days[k][48*hourMS].Confusion.Matrix
			got = [4]uint64{got[0] + x[1][1], got[1] + x[0][1], got[2] + x[0][0], got[3] + x[1][0]}
		}
		if got != [4]uint64{uint64(want["tp"]), uint64(want["fp"]), uint64(want["tn"]), uint64(want["fn"])} {
			t.Errorf("%s: tp, fp, tn, fn are %v, want %v", v.name, got, want)
		}
		if v.name == "employment-0" {
			for name, of := range map[string]string{"log_loss": "log_loss", "brier": "brier", "ece": "ece_10", "mce": "mce_10", "mcc": "mcc", "f1": "f1"} {
				near(0, name, metric(t, days[0][48*hourMS].Metrics, name).Value, want[of])
			}
		}
	}
	if len(days) > 158 { // the days have equally many rows
		sum, want := 0.0, goldenOf(t, "cbpe.jsonl", "employment-1")
		for k := 138; k < 158; k++ {
			sum += *metric(t, days[k][0].Estimate.Metrics, "accuracy").Value
		}
		mean := sum / 20
		near(138, "the mean of 20 estimates of accuracy", &mean, want["accuracy"])
	}
}
