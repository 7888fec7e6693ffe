package fold_test

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/driftd/driftd/alerting"
	"github.com/driftd/driftd/event"
	"github.com/driftd/driftd/fold"
	"github.com/driftd/driftd/internal/elec2test"
	"github.com/driftd/driftd/internal/testenv"
	"github.com/driftd/driftd/labels"
	"github.com/driftd/driftd/quality"
	"github.com/driftd/driftd/reference"
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

// elec2Labelled plays the log with its labels through a partition, and time enough for all of them, and returns what it said.
func elec2Labelled(t *testing.T, lines [][]byte, reference string, refs fold.References, rules []alerting.Rule) []result.Doc {
	t.Helper()
	counting := elec2Counting(reference)
	m := counting.Models[elec2test.Model]
	m.Rules = rules
	m.Labels = &fold.Labels{
		Join: labels.Config{Mode: labels.ModeFull, Rate: labels.Million, Horizon: 7 * day, MaxPending: 1_000_000, Maturities: []int64{day / 24, 2 * day}},
		Task: "binary", Threshold: 0.5,
	}
	if reference == "" {
		m.ReferenceName = ""
	}
	counting.Models[elec2test.Model] = m
	msgs := messages(lines, false)
	end := event.Control{Kind: event.ControlMarker, Watermark: time.Date(2024, 5, 1, 0, 0, 0, 0, time.UTC).UnixMilli()} //nolint:exhaustruct // of all
	msgs = append(msgs, fold.Message{Seq: uint64(len(lines) + 1), Subject: "driftd.control.0", Time: msgs[len(msgs)-1].Time, Data: end.Encode(), Retry: ""})
	p := fold.New("IN", counting, [2]uint64{1, 2}, refs, unlimited())
	var out fold.Output
	for _, m := range msgs {
		if done, err := p.Apply(m, &out); err != nil || !done {
			t.Fatalf("message %d: done %v, %v", m.Seq, done, err)
		}
	}
	return out.Docs
}

// readElec2Quality reads what expected.json says of the quality of the days.
func readElec2Quality(t *testing.T) (want struct{ Windows []elec2Quality }) {
	t.Helper()
	data, err := os.ReadFile(testenv.Shared(t, "data", "serving-log-elec2", "expected.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &want); err != nil {
		t.Fatal(err)
	}
	return want
}

// moves returns what transitions of a rule said, by the day of their window.
func moves(t *testing.T, docs []result.Doc, rule string) (out []string) {
	t.Helper()
	for _, d := range docs {
		var tr result.Transition
		if d.Kind != result.KindTransition {
			continue
		}
		if err := json.Unmarshal(d.Data, &tr); err != nil {
			t.Fatal(err)
		}
		if tr.Rule == rule && (tr.To == result.Firing || tr.To == result.Resolved) {
			out = append(out, time.UnixMilli(tr.Window.Start).UTC().Format(time.DateOnly)+" "+string(tr.To))
		}
	}
	return out
}

// A rule about accuracy fires and ends on the days that follow from the accuracies of expected.json by Wilson's formula: below 0.65 by more than
// chance in two of three days, and then two days with less than 0.8 of the 0.35 that is allowed to be wrong.
func TestElec2QualityRule(t *testing.T) {
	r := alerting.Template("accurate", alerting.KindQuality)
	r.Metric, r.Threshold = "accuracy", 0.65
	got := moves(t, elec2Labelled(t, elec2test.Lines(t), "", nil, []alerting.Rule{r}), r.Name)
	var want []string
	var below []bool
	firing, quiet := false, 0
	for _, w := range readElec2Quality(t).Windows {
		const z = 1.959963984540054 // norm.ppf of SciPy at 0.975
		p, n := *w.Quality.Accuracy, float64(w.NLabelled)
		upper := (p + z*z/(2*n) + z*math.Sqrt(p*(1-p)/n+z*z/(4*n*n))) / (1 + z*z/n)
		below = append(below, upper < 0.65)
		hits := 0
		for _, b := range below[max(0, len(below)-3):] {
			if b {
				hits++
			}
		}
		if quiet++; 1-p >= 0.8*0.35 {
			quiet = 0
		}
		switch {
		case !firing && hits >= 2:
			firing, want = true, append(want, w.Start.Format(time.DateOnly)+" firing")
		case firing && quiet >= 2:
			firing, below, want = false, nil, append(want, w.Start.Format(time.DateOnly)+" resolved")
		}
	}
	if diff := cmp.Diff(want, got); diff != "" || len(got) < 2 {
		t.Errorf("(-want +got):\n%s", diff)
	}
	t.Log(got)
}

// A reference of the first week, whose labels come as records of their own, has the quality of expected.json: exactly over cells of its own.
func TestElec2ReferenceQuality(t *testing.T) {
	data, err := os.ReadFile(testenv.Shared(t, "data", "serving-log-elec2", "expected.json"))
	if err != nil {
		t.Fatal(err)
	}
	var want struct {
		Reference struct {
			Quality struct {
				N, TP, FP, TN, FN uint64
				NoLabel           uint64 `json:"n_dropped_no_label"`
				Accuracy          float64
				AUC               float64 `json:"roc_auc"`
				AP                float64 `json:"pr_auc_ap"`
				LogLoss           float64 `json:"log_loss"`
				Brier             float64
				ECE               float64 `json:"ece_10"`
				MCC               float64
			}
		}
	}
	if err := json.Unmarshal(data, &want); err != nil {
		t.Fatal(err)
	}
	x := want.Reference.Quality
	ref := elec2Reference(t, elec2test.Lines(t), elec2test.ExactResolution)
	again, err := reference.Decode(ref.Encode())
	if err != nil {
		t.Fatal(err)
	}
	c := again.Quality
	if c.Labels() != x.N || c.Predictions() != x.N+x.NoLabel {
		t.Fatalf("%d labels of %d", c.Labels(), c.Predictions())
	}
	if _, m := c.Confusion(); m[0][0] != x.TN || m[0][1] != x.FP || m[1][0] != x.FN || m[1][1] != x.TP {
		t.Errorf("confusion %v, want %+v", m, x)
	}
	for name, value := range map[string]float64{
		"accuracy": x.Accuracy, "roc_auc": x.AUC, "average_precision": x.AP, "log_loss": x.LogLoss, "brier": x.Brier, "ece": x.ECE, "mcc": x.MCC,
	} {
		if got := metric(t, quality.Evaluate(c), name); got.Value == nil || math.Abs(*got.Value-value) > 1e-12 || got.Least != nil {
			t.Errorf("%s is %v, want %v", name, show(got.Value), value)
		}
	}
}

// Compared with the first week, the model is as good as it was until the market changes (expected.json: the Victorian market joins on March 11), and
// worse by more than the default rule allows from March 14 on. Every document says the reference's quality and the difference.
func TestElec2QualityDrop(t *testing.T) {
	lines := elec2test.Lines(t)
	ref := elec2Reference(t, lines, quality.DefaultPoints)
	docs := elec2Labelled(t, lines, ref.Fingerprint(), find(ref), alerting.Defaults())
	if got := moves(t, docs, "quality-drop"); len(got) == 0 || got[0] < "2024-03-14" || got[0] > "2024-03-16 firing" {
		t.Errorf("%v", got)
	} else {
		t.Log(got)
	}
	if got := moves(t, docs, "label-coverage-drop"); len(got) > 0 { // about 96 % of all days
		t.Errorf("coverage: %v", got)
	}
	base, n := 0.0, 0
	for _, d := range docs {
		q, ok := readQuality(t, d)
		if !ok || !q.Final || q.Key.Version != result.All || q.Window.Start < time.Date(2024, 3, 1, 0, 0, 0, 0, time.UTC).UnixMilli() || q.Predictions == 0 {
			continue
		}
		now, then, change := metric(t, q.Metrics, "accuracy"), metric(t, q.Reference, "accuracy"), metric(t, q.Change, "accuracy")
		if n++; base == 0 {
			base = *then.Value
		}
		if *then.Value != base || math.Abs(base-0.7598716956088928) > 1e-12 || *change.Value != *now.Value-base || q.Estimate.Calibration == "" { // expected.json
			t.Fatalf("%+v, %+v, %+v", now, then, change)
		}
		auc := metric(t, q.Metrics, "roc_auc")
		if auc.Least != nil && *auc.Most-*auc.Least > 0.1 { // the cells are those of the first week's scores
			t.Errorf("%d: the area is only known to be in [%v, %v]", q.Window.Start, *auc.Least, *auc.Most)
		}
	}
	if n != 32 {
		t.Errorf("%d days", n)
	}
}

// A reference whose quality is of something else is not compared with, and every document says why.
func TestQualityOfAnotherTask(t *testing.T) {
	b := reference.NewBuilder(reference.Options{ //nolint:exhaustruct // the defaults are meant
		Name: "other", Model: "m", Quality: &reference.QualityBy{Config: quality.Default(quality.Regression), Resolution: 0},
	})
	addAll(t, b, `{"prediction":0.5,"label":0.25,"features":{"a":1}}`)
	ref, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	counting := labelled()
	counting.Defaults.Reference = ref.Fingerprint()
	j, _ := playLabels(t, counting, find(ref), labelStream(rand.New(rand.NewPCG(1, 1)), 100), calmly(), nil)
	n := 0
	for _, d := range j.docs {
		if q, ok := readQuality(t, d); ok {
			n++
			if q.Reference != nil || !slices.ContainsFunc(q.Reasons, func(s string) bool {
				return strings.HasPrefix(s, "reference_quality: the reference counts another quality: of a regression")
			}) && q.Ref != nil {
				t.Fatalf("%q", q.Reasons)
			}
		}
	}
	if n == 0 {
		t.Error("no documents")
	}
}

// addAll adds records to a reference.
func addAll(t *testing.T, b *reference.Builder, records ...string) {
	t.Helper()
	d := event.NewDecoder(event.DefaultLimits())
	for _, r := range records {
		d.Reset([]byte(r))
		for d.Next() {
			ev, rejected := d.Event()
			if rejected != nil {
				t.Fatal(rejected)
			}
			if err := b.Add(ev); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// measuredReference is one with the quality of a binary task, over cells of its own.
func measuredReference(t *testing.T) *reference.Reference {
	t.Helper()
	b := reference.NewBuilder(reference.Options{ //nolint:exhaustruct // the defaults are meant
		Name: "measured", Model: "m", Quality: &reference.QualityBy{Config: quality.Default(quality.Binary), Resolution: 20},
	})
	rng := rand.New(rand.NewPCG(5, 5))
	for range 400 {
		score := rng.Float64()
		addAll(t, b, fmt.Sprintf(`{"prediction":%v,"label":%v,"features":{"a":1}}`, score, rng.Float64() < score))
	}
	ref, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

// The labels of the real log, some before their predictions, some 36 hours after, some never, give each day the quality of expected.json, at
// the maturity by which all have come, and before that what had come.
func TestElec2Quality(t *testing.T) {
	lines := elec2test.Lines(t)
	want := readElec2Quality(t)
	const hour = int64(3_600_000)
	docs := elec2Labelled(t, lines, "", nil, nil)
	said := map[int64]map[int64]result.Quality{} // by start and maturity
	unmatched, before := uint64(0), 0
	for _, d := range docs {
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
		ripe := said[w.Start.UnixMilli()]
		first, q := ripe[0], ripe[48*hour]
		if first.Labels < q.Labels && ripe[hour].Labels <= q.Labels {
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
