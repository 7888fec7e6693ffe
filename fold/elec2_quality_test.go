package fold_test

import (
	"encoding/json"
	"math"
	"os"
	"testing"
	"time"

	"github.com/driftd/driftd/event"
	"github.com/driftd/driftd/fold"
	"github.com/driftd/driftd/internal/elec2test"
	"github.com/driftd/driftd/internal/testenv"
	"github.com/driftd/driftd/labels"
	"github.com/driftd/driftd/result"
)

// elec2Quality is what expected.json says of the quality of a day (scikit-learn 1.3.2 and plain implementations, see ../shared/vectors/README.md).
type elec2Quality struct {
	Start        time.Time
	NPredictions uint64 `json:"n_predictions"`
	NLabelled    uint64 `json:"n_labelled"`
	Quality      struct {
		TP, FP, TN, FN              uint64
		Accuracy, Precision, Recall *float64
		F1, Specificity, MCC        *float64
		Balanced                    *float64 `json:"balanced_accuracy"`
		AUC                         *float64 `json:"roc_auc"`
		AP                          *float64 `json:"pr_auc_ap"`
		LogLoss                     *float64 `json:"log_loss"`
		Brier                       *float64
		ECE                         *float64 `json:"ece_10"`
	}
	CBPE struct {
		Uncalibrated struct{ Accuracy, Precision, Recall, F1 *float64 }
	}
}

// metric returns a metric by its name.
func metric(t *testing.T, all []result.Metric, name string) result.Metric {
	t.Helper()
	for _, m := range all {
		if m.Name == name && m.Class == "" {
			return m
		}
	}
	t.Fatalf("there is no metric %s", name)
	return result.Metric{} //nolint:exhaustruct // not reached
}

// The labels of the real log, some before their predictions, some 36 hours after, some never, give each day the quality of expected.json, at
// the maturity by which all have come, and before that what had come.
func TestElec2Quality(t *testing.T) {
	lines := elec2test.Lines(t)
	data, err := os.ReadFile(testenv.Shared(t, "data", "serving-log-elec2", "expected.json"))
	if err != nil {
		t.Fatal(err)
	}
	var want struct{ Windows []elec2Quality }
	if err := json.Unmarshal(data, &want); err != nil {
		t.Fatal(err)
	}
	hour := int64(3_600_000)
	counting := elec2Counting("")
	m := counting.Models[elec2test.Model]
	m.ReferenceName, m.Rules = "", nil
	m.Labels = &fold.Labels{
		Join: labels.Config{Mode: labels.ModeFull, Rate: labels.Million, Horizon: 7 * day, MaxPending: 1_000_000, Maturities: []int64{hour, 48 * hour}},
		Task: "binary", Threshold: 0.5,
	}
	counting.Models[elec2test.Model] = m
	msgs := messages(lines, false)
	end := event.Control{Kind: event.ControlMarker, Watermark: time.Date(2024, 5, 1, 0, 0, 0, 0, time.UTC).UnixMilli()} //nolint:exhaustruct // of all
	msgs = append(msgs, fold.Message{Seq: uint64(len(lines) + 1), Subject: "driftd.control.0", Time: msgs[len(msgs)-1].Time, Data: end.Encode(), Retry: ""})
	p := fold.New("IN", counting, [2]uint64{1, 2}, nil, unlimited())
	var out fold.Output
	for _, m := range msgs {
		if done, err := p.Apply(m, &out); err != nil || !done {
			t.Fatalf("message %d: done %v, %v", m.Seq, done, err)
		}
	}
	said := map[int64]map[int64]result.Quality{} // by start and maturity
	unmatched, before := uint64(0), 0
	for _, d := range out.Docs {
		q, ok := readQuality(t, d)
		if !ok || q.Key.Version != result.All {
			continue
		}
		if said[q.Window.Start] == nil {
			said[q.Window.Start] = map[int64]result.Quality{}
		}
		if said[q.Window.Start][q.Maturity] = q; q.Final {
			unmatched += q.Unmatched
		}
	}
	for i := range want.Windows {
		w := &want.Windows[i]
		docs := said[w.Start.UnixMilli()]
		first, q := docs[0], docs[48*hour]
		if first.Labels < q.Labels && docs[hour].Labels <= q.Labels {
			before++
		}
		x := &w.Quality
		if q.Predictions != w.NPredictions || q.Labels != w.NLabelled || q.Confusion == nil ||
			q.Confusion.Matrix[1][1] != x.TP || q.Confusion.Matrix[0][1] != x.FP || q.Confusion.Matrix[0][0] != x.TN || q.Confusion.Matrix[1][0] != x.FN {
			t.Fatalf("%s: %d predictions, %d labels, %+v; want %d, %d, %+v", w.Start, q.Predictions, q.Labels, q.Confusion, w.NPredictions, w.NLabelled, x)
		}
		for name, value := range map[string]*float64{
			"accuracy": x.Accuracy, "precision": x.Precision, "recall": x.Recall, "f1": x.F1, "specificity": x.Specificity, "mcc": x.MCC,
			"balanced_accuracy": x.Balanced, "log_loss": x.LogLoss, "brier": x.Brier, "ece": x.ECE,
		} {
			got := metric(t, q.Metrics, name)
			if (value == nil) != (got.Value == nil) || value != nil && math.Abs(*value-*got.Value) > 1e-12 {
				t.Errorf("%s: %s is %v, want %v", w.Start, name, show(got.Value), show(value))
			}
		}
		for name, value := range map[string]*float64{"roc_auc": x.AUC, "average_precision": x.AP} { // the cells only enclose them
			got := metric(t, q.Metrics, name)
			if got.Least == nil || got.Most == nil || *got.Least > *value+1e-12 || *got.Most < *value-1e-12 || *got.Most-*got.Least > 0.1 {
				t.Errorf("%s: %s in [%v, %v], want %v", w.Start, name, show(got.Least), show(got.Most), *value)
			}
		}
		if q.Estimate == nil || q.Estimate.Predictions != w.NPredictions {
			t.Fatalf("%s: the estimate is of %+v", w.Start, q.Estimate)
		}
		for name, value := range map[string]*float64{
			"accuracy": w.CBPE.Uncalibrated.Accuracy, "precision": w.CBPE.Uncalibrated.Precision, "recall": w.CBPE.Uncalibrated.Recall, "f1": w.CBPE.Uncalibrated.F1,
		} {
			if got := metric(t, q.Estimate.Metrics, name); value != nil && (got.Value == nil || math.Abs(*value-*got.Value) > 1e-9) {
				t.Errorf("%s: %s is estimated as %v, want %v", w.Start, name, show(got.Value), *value)
			}
		}
	}
	if before < len(want.Windows)-1 {
		t.Errorf("labels came after the window in %d of %d windows", before, len(want.Windows))
	}
	if unmatched != 20 { // expected.json: labels_without_prediction
		t.Errorf("%d labels without a prediction, want 20", unmatched)
	}
}

func show(x *float64) any {
	if x == nil {
		return nil
	}
	return *x
}
