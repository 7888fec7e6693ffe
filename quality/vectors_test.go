package quality_test

import (
	"math"
	"slices"
	"strconv"
	"testing"

	"github.com/driftd/driftd/internal/stat/vectortest"
	"github.com/driftd/driftd/quality"
	"github.com/driftd/driftd/result"
)

// find returns the metric of that name and class.
func find(t *testing.T, metrics []result.Metric, name, class string) result.Metric {
	t.Helper()
	for _, m := range metrics {
		if m.Name == name && m.Class == class {
			return m
		}
	}
	t.Fatalf("there is no metric %s of class %q", name, class)
	return result.Metric{}
}

// must returns v, and fails the test on an error.
func must[T any](t testing.TB, v T, err error) T {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func newSpec(t testing.TB, cfg quality.Config) *quality.Spec {
	t.Helper()
	s, err := quality.NewSpec(cfg)
	return must(t, s, err)
}

func exactly(t testing.TB, cfg quality.Config, rows []quality.Row) *quality.Counts {
	t.Helper()
	c, err := quality.Exact(cfg, rows)
	return must(t, c, err)
}

// encloses checks that the value of a vector lies in what the stream says of a metric, and that what it says of it is in order.
func encloses(t *testing.T, m result.Metric, want *float64) {
	t.Helper()
	if (m.Value == nil) != (want == nil) {
		t.Errorf("%s: value %v, want %v", m.Name, m.Value, want)
		return
	}
	if want == nil {
		if m.Reason == "" {
			t.Errorf("%s is null without a reason", m.Name)
		}
		return
	}
	least, most := *m.Value, *m.Value
	if m.Least != nil {
		least, most = *m.Least, *m.Most
	}
	slack := max(vectortest.StatAbs, vectortest.StatRel*math.Abs(*want))
	if !(least-slack <= *want && *want <= most+slack) {
		t.Errorf("%s: [%v, %v] does not enclose %v", m.Name, least, most, *want)
	}
	inOrder(t, m)
}

// inOrder checks what holds for every metric: bounds about the value, the interval about the bounds.
func inOrder(t *testing.T, m result.Metric) {
	t.Helper()
	if m.Value == nil {
		if m.Reason == "" || m.Lower != nil || m.Upper != nil || m.Least != nil || m.Most != nil {
			t.Errorf("%s %s: a null metric without reason, or with ends: %+v", m.Name, m.Class, m)
		}
		return
	}
	v, least, most := *m.Value, *m.Value, *m.Value
	if m.Least != nil {
		least, most = *m.Least, *m.Most
	}
	if math.IsNaN(v) || math.IsInf(v, 0) || !(least <= v && v <= most) {
		t.Errorf("%s %s: value %v in [%v, %v]", m.Name, m.Class, v, least, most)
	}
	if m.Lower != nil && !(*m.Lower <= least+1e-12 && most-1e-12 <= *m.Upper) {
		t.Errorf("%s %s: the interval [%v, %v] does not hold [%v, %v]", m.Name, m.Class, *m.Lower, *m.Upper, least, most)
	}
}

type classificationVector struct {
	Kind        string            `json:"kind"`
	Labels      vectortest.Sample `json:"labels"`
	Scores      vectortest.Sample `json:"scores"`
	Predictions vectortest.Sample `json:"predictions"`
	Threshold   float64           `json:"threshold"`
	Stats       struct {
		N, TP, FP, TN, FN *uint64

		NoLabel     uint64   `json:"n_dropped_no_label"`
		BadScore    uint64   `json:"n_dropped_bad_score"`
		Accuracy    *float64 `json:"accuracy"`
		Precision   *float64 `json:"precision"`
		Recall      *float64 `json:"recall"`
		F1          *float64 `json:"f1"`
		Specificity *float64 `json:"specificity"`
		Balanced    *float64 `json:"balanced_accuracy"`
		MCC         *float64 `json:"mcc"`
		AUC         *float64 `json:"roc_auc"`
		AP          *float64 `json:"pr_auc_ap"`
		LogLoss     *float64 `json:"log_loss"`
		Brier       *float64 `json:"brier"`
		ECE10       *float64 `json:"ece_10"`
		ECE15       *float64 `json:"ece_15"`
		MCE10       *float64 `json:"mce_10"`

		Classes   []string                      `json:"classes"`
		Confusion [][]uint64                    `json:"confusion"`
		Macro     map[string]float64            `json:"macro"`
		Micro     map[string]float64            `json:"micro"`
		Weighted  map[string]float64            `json:"weighted"`
		PerClass  map[string]map[string]float64 `json:"per_class"`
	} `json:"stats"`
}

// rows of a binary vector: rows without a label are predictions only.
func (v *classificationVector) binaryRows(t *testing.T, s *quality.Spec) []quality.Row {
	t.Helper()
	scores := v.Scores.Numbers(t)
	out := make([]quality.Row, len(scores))
	for i, x := range scores {
		r := &out[i]
		r.Prediction = s.Predict(x)
		if v.Predictions != nil && r.Prediction.Flaw == quality.FlawNone {
			r.Prediction.Class = int((*v.Predictions[i])[0] - '0')
		}
		r.Label = quality.Label{Flaw: quality.FlawNoLabel, Class: quality.NoClass}
		if l := v.Labels[i]; l != nil {
			r.Label = quality.Label{Class: int((*l)[0] - '0')}
		}
	}
	return out
}

// vectors/classification.jsonl, by scikit-learn 1.2.1 and the definitions (its README, section 4): the raw evaluator equals them, and the
// stream, whose cells were frozen from other scores, encloses them.
func TestClassificationVectors(t *testing.T) {
	n := 0
	vectortest.EachOf(t, "classification.jsonl", "", func(t *testing.T, v *classificationVector) {
		n++
		if v.Kind == "binary-classification" {
			v.checkBinary(t)
		} else {
			v.checkMulticlass(t)
		}
	})
	if n != 29 { // vectors/README.md
		t.Errorf("%d vectors, want 29", n)
	}
}

func (v *classificationVector) checkBinary(t *testing.T) {
	cfg := quality.Config{Task: quality.Binary, Threshold: v.Threshold}
	rows := v.binaryRows(t, newSpec(t, cfg))
	raw := exactly(t, cfg, rows)
	cfg.Bins = 15
	raw15 := exactly(t, cfg, rows)
	cfg.Bins, cfg.Points = 10, []float64{-3, 0, 0.2, 0.5, 0.6, 1}
	spec := newSpec(t, cfg)
	stream := quality.NewCounts(spec)
	for _, r := range rows {
		stream.AddPrediction(r.Prediction)
		if r.Label.Flaw == quality.FlawNone {
			stream.AddLabel(r.Prediction, r.Label)
		}
	}
	want := &v.Stats
	_, m := raw.Confusion()
	if want.TP != nil && (m[1][1] != *want.TP || m[0][1] != *want.FP || m[0][0] != *want.TN || m[1][0] != *want.FN) {
		t.Errorf("confusion %v, want tp %d fp %d tn %d fn %d", m, *want.TP, *want.FP, *want.TN, *want.FN)
	}
	if got := raw.Predictions() - raw.Labels(); got != want.NoLabel {
		t.Errorf("%d without a label, want %d", got, want.NoLabel)
	}
	if got := raw.Unusable(quality.FlawScore); got != want.BadScore {
		t.Errorf("%d with a bad score, want %d", got, want.BadScore)
	}
	metrics, metrics15, streamed := quality.Evaluate(raw), quality.Evaluate(raw15), quality.Evaluate(stream)
	if got := find(t, metrics, "accuracy", "").N; got != *want.N {
		t.Errorf("n = %d, want %d", got, *want.N)
	}
	for name, x := range map[string]*float64{
		"accuracy": want.Accuracy, "precision": want.Precision, "recall": want.Recall, "f1": want.F1, "specificity": want.Specificity,
		"balanced_accuracy": want.Balanced, "mcc": want.MCC, "roc_auc": want.AUC, "average_precision": want.AP,
		"log_loss": want.LogLoss, "brier": want.Brier, "ece": want.ECE10, "mce": want.MCE10,
	} {
		exact := find(t, metrics, name, "")
		vectortest.Value(t, name, exact.Value, x, vectortest.StatAbs)
		inOrder(t, exact)
		if exact.Least != nil {
			t.Errorf("%s of the raw scores has bounds", name)
		}
		encloses(t, find(t, streamed, name, ""), x)
	}
	vectortest.Value(t, "ece_15", find(t, metrics15, "ece", "").Value, want.ECE15, vectortest.StatAbs)
}

func (v *classificationVector) checkMulticlass(t *testing.T) {
	want := &v.Stats
	classes := want.Classes
	if len(classes) < 2 {
		classes = []string{"a", "b"}
	}
	cfg := quality.Config{Task: quality.Multiclass, Classes: classes}
	spec := newSpec(t, cfg)
	c := quality.NewCounts(spec)
	for i, l := range v.Labels {
		p := quality.Prediction{Flaw: quality.FlawNoPrediction, Class: quality.NoClass}
		if v.Predictions[i] != nil {
			p = quality.Prediction{Class: slices.Index(classes, *v.Predictions[i])}
		}
		c.AddPrediction(p)
		if l != nil {
			c.AddLabel(p, quality.Label{Class: slices.Index(classes, *l)})
		}
	}
	metrics := quality.Evaluate(c)
	for _, m := range metrics {
		inOrder(t, m)
	}
	if got := find(t, metrics, "accuracy", "").N; got != *want.N {
		t.Errorf("n = %d, want %d", got, *want.N)
	}
	vectortest.Value(t, "accuracy", find(t, metrics, "accuracy", "").Value, want.Accuracy, vectortest.StatAbs)
	if *want.N == 0 {
		return
	}
	names, matrix := c.Confusion()
	for i := range want.Confusion {
		if names[i] != want.Classes[i] || !slices.Equal(matrix[i][:len(want.Classes)], want.Confusion[i]) {
			t.Errorf("confusion of %q is %v, want %v", names[i], matrix[i], want.Confusion[i])
		}
	}
	for prefix, of := range map[string]map[string]float64{"macro_": want.Macro, "micro_": want.Micro, "weighted_": want.Weighted} {
		for name, x := range of {
			vectortest.Value(t, prefix+name, find(t, metrics, prefix+name, "").Value, &x, vectortest.StatAbs)
		}
	}
	for class, of := range want.PerClass {
		for _, name := range []string{"precision", "recall", "f1"} {
			x := of[name]
			m := find(t, metrics, name, class)
			if m.Value == nil && x == 0 {
				continue // the convention of the vectors: 0/0 is 0
			}
			vectortest.Value(t, name+" "+class, m.Value, &x, vectortest.StatAbs)
		}
	}
}

type regressionVector struct {
	Targets     vectortest.Sample `json:"targets"`
	Predictions vectortest.Sample `json:"predictions"`
	Stats       struct {
		N        uint64   `json:"n"`
		Dropped  uint64   `json:"n_dropped"`
		MAE      *float64 `json:"mae"`
		MSE      *float64 `json:"mse"`
		RMSE     *float64 `json:"rmse"`
		Bias     *float64 `json:"bias"`
		MedianAE *float64 `json:"median_ae"`
		MaxError *float64 `json:"max_error"`
		MAPE     *float64 `json:"mape_nonzero"`
		Zero     uint64   `json:"n_zero_target"`
		R2       *float64 `json:"r2"`
	} `json:"stats"`
}

// vectors/regression.jsonl, by scikit-learn 1.2.1 and the definitions (its README, section 5).
func TestRegressionVectors(t *testing.T) {
	cfg := quality.Config{Task: quality.Regression}
	n := 0
	vectortest.EachOf(t, "regression.jsonl", "",
		func(t *testing.T, v *regressionVector) {
			n++
			spec := newSpec(t, cfg)
			targets := v.Targets.Numbers(t)
			var rows []quality.Row
			for i, x := range v.Predictions.Numbers(t) {
				r := quality.Row{Prediction: spec.Predict(x), Label: quality.Label{Class: quality.NoClass, Value: targets[i] + 0}}
				if math.IsNaN(targets[i]) || math.IsInf(targets[i], 0) {
					r.Label = quality.Label{Flaw: quality.FlawLabelType, Class: quality.NoClass}
				}
				rows = append(rows, r)
			}
			raw := exactly(t, cfg, rows)
			stream := quality.NewCounts(spec)
			for _, r := range rows {
				stream.AddPrediction(r.Prediction)
				stream.AddLabel(r.Prediction, r.Label)
			}
			want := &v.Stats
			var dropped uint64
			for _, f := range quality.Flaws() {
				dropped += raw.Unusable(f)
			}
			if dropped != want.Dropped {
				t.Errorf("%d rows dropped, want %d", dropped, want.Dropped)
			}
			metrics, streamed := quality.Evaluate(raw), quality.Evaluate(stream)
			for _, m := range metrics {
				inOrder(t, m)
			}
			if got := find(t, metrics, "mae", "").N; got != want.N {
				t.Errorf("n = %d, want %d", got, want.N)
			}
			if got := want.N - find(t, metrics, "mape", "").N; got != want.Zero {
				t.Errorf("%d targets of 0, want %d", got, want.Zero)
			}
			for name, x := range map[string]*float64{
				"mae": want.MAE, "mse": want.MSE, "rmse": want.RMSE, "bias": want.Bias, "mape": want.MAPE, "r2": want.R2,
				"median_absolute_error": want.MedianAE, "max_error": want.MaxError,
			} {
				vectortest.Value(t, name, find(t, metrics, name, "").Value, x, vectortest.StatAbs)
				encloses(t, find(t, streamed, name, ""), x)
			}
		})
	if n != 21 { // vectors/README.md
		t.Errorf("%d vectors, want 21", n)
	}
}

type cbpeVector struct {
	Calibration     string            `json:"calibration"`
	Calibrated      vectortest.Sample `json:"calibrated"`
	RankScores      vectortest.Sample `json:"rank_scores"`
	ReferenceScores vectortest.Sample `json:"reference_scores"`
	ReferenceLabels vectortest.Sample `json:"reference_labels"`
	Scores          vectortest.Sample `json:"scores"`
	Predictions     vectortest.Sample `json:"predictions"`
	Stats           struct {
		N           uint64             `json:"n"`
		TP          *float64           `json:"tp"`
		FP          *float64           `json:"fp"`
		TN          *float64           `json:"tn"`
		FN          *float64           `json:"fn"`
		Accuracy    *float64           `json:"accuracy"`
		Precision   *float64           `json:"precision"`
		Recall      *float64           `json:"recall"`
		Specificity *float64           `json:"specificity"`
		F1          *float64           `json:"f1"`
		AUC         *float64           `json:"roc_auc"`
		First       []float64          `json:"first_calibrated"`
		Probe       map[string]float64 `json:"probe"`
	} `json:"stats"`
}

// isotonic fits the vector's reference without asking whether it helps.
func (v *cbpeVector) isotonic(t *testing.T) quality.Calibration {
	t.Helper()
	var groups []quality.Group
	labels := v.ReferenceLabels.Numbers(t)
	for i, x := range v.ReferenceScores.Numbers(t) {
		groups = append(groups, quality.Group{Score: x, N: 1, Positive: uint64(labels[i])})
	}
	return quality.FitIsotonic(groups)
}

// vectors/cbpe.jsonl, from the definition and sklearn.isotonic (its README, section 8): the raw estimate equals them, and so does the
// stream's where its cells are the scores; over coarse cells it encloses them.
func TestCBPEVectors(t *testing.T) {
	n, streamed := 0, 0
	vectortest.EachOf(t, "cbpe.jsonl", "", func(t *testing.T, v *cbpeVector) {
		n++
		cfg := quality.Config{Task: quality.Binary, Threshold: 0.5}
		scores := v.Calibrated.Numbers(t)
		probabilities := scores
		if v.Calibration == "isotonic" {
			c := v.isotonic(t)
			cfg.Calibrations = []quality.Calibration{c}
			scores = v.Scores.Numbers(t)
			probabilities = nil
			for _, x := range scores {
				p, ok := c.Probability(x)
				if !ok {
					t.Fatalf("no probability of %v", x)
				}
				probabilities = append(probabilities, p)
			}
			for i, want := range v.Stats.First {
				vectortest.Value(t, "calibrated", &probabilities[i], &want, vectortest.StatAbs)
			}
			for score, want := range v.Stats.Probe {
				x, err := strconv.ParseFloat(score, 64)
				got, _ := c.Probability(must(t, x, err))
				vectortest.Value(t, "probability of "+score, &got, &want, vectortest.StatAbs)
			}
		}
		ranks := scores
		if v.RankScores != nil {
			ranks = v.RankScores.Numbers(t)
		}
		var raw []quality.EstimateRow
		var rows []quality.Row
		spec := newSpec(t, cfg)
		for i := range scores {
			positive := *v.Predictions[i] == "1"
			raw = append(raw, quality.EstimateRow{Probability: probabilities[i], Rank: ranks[i], Positive: positive})
			p := spec.Predict(scores[i])
			p.Class = 0
			if positive {
				p.Class = 1
			}
			rows = append(rows, quality.Row{Prediction: p, Label: quality.Label{Flaw: quality.FlawNoLabel, Class: quality.NoClass}})
		}
		metrics, err := quality.EstimateRows(raw)
		if err != nil {
			t.Fatal(err)
		}
		v.check(t, metrics, false)
		if v.RankScores == nil { // the stream orders by the scores that it calibrates
			streamed++
			v.check(t, quality.Estimate(exactly(t, cfg, rows)).Metrics, false)
			cfg.Points = []float64{0, 0.15, 0.4, 0.5, 0.7, 1}
			coarse := quality.NewCounts(newSpec(t, cfg))
			for _, r := range rows {
				coarse.AddPrediction(r.Prediction)
			}
			v.check(t, quality.Estimate(coarse).Metrics, true)
		}
	})
	if n != 18 || streamed != 17 { // vectors/README.md
		t.Errorf("%d vectors, %d of them for the stream, want 18 and 17", n, streamed)
	}
}

func (v *cbpeVector) check(t *testing.T, metrics []result.Metric, bounded bool) {
	t.Helper()
	want := &v.Stats
	for name, x := range map[string]*float64{
		"true_positives": want.TP, "false_positives": want.FP, "true_negatives": want.TN, "false_negatives": want.FN,
		"accuracy": want.Accuracy, "precision": want.Precision, "recall": want.Recall, "specificity": want.Specificity, "f1": want.F1,
		"roc_auc": want.AUC,
	} {
		m := find(t, metrics, name, "")
		inOrder(t, m)
		if m.N != want.N {
			t.Errorf("%s has n = %d, want %d", name, m.N, want.N)
		}
		if bounded {
			encloses(t, m, x)
		} else {
			vectortest.Value(t, name, m.Value, x, vectortest.StatAbs)
		}
	}
}
