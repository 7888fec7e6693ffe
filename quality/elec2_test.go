package quality_test

import (
	"encoding/json"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/driftd/driftd/event"
	"github.com/driftd/driftd/internal/elec2test"
	"github.com/driftd/driftd/internal/stat/vectortest"
	"github.com/driftd/driftd/internal/testenv"
	"github.com/driftd/driftd/quality"
	"github.com/driftd/driftd/result"
)

// elec2Quality is the part of serving-log-elec2/expected.json about quality.
type elec2Quality struct {
	N, TP, FP, TN, FN uint64

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
	ECE         *float64 `json:"ece_10"`
	MCE         *float64 `json:"mce_10"`
}

type elec2Estimate struct {
	N           uint64   `json:"n"`
	Accuracy    *float64 `json:"accuracy"`
	Precision   *float64 `json:"precision"`
	Recall      *float64 `json:"recall"`
	Specificity *float64 `json:"specificity"`
	F1          *float64 `json:"f1"`
	AUC         *float64 `json:"roc_auc"`
}

// serving-log-elec2/expected.json, by scikit-learn 1.2.1 and NannyML's definitions: each day's quality from all of its labels, and the
// estimates without them, raw and calibrated by isotonic regression on the reference week. Days are counted over the reference's cells.
func TestElec2(t *testing.T) {
	data, err := os.ReadFile(testenv.Shared(t, "data", "serving-log-elec2", "expected.json"))
	if err != nil {
		t.Fatal(err)
	}
	var want struct {
		Reference struct {
			Quality elec2Quality `json:"quality"`
		} `json:"reference"`
		Windows []struct {
			Start    time.Time    `json:"start"`
			Labelled uint64       `json:"n_labelled"`
			Quality  elec2Quality `json:"quality"`
			CBPE     *struct {
				Raw      elec2Estimate `json:"uncalibrated"`
				Isotonic elec2Estimate `json:"isotonic_on_reference"`
			} `json:"cbpe"`
		} `json:"windows"`
	}
	if err := json.Unmarshal(data, &want); err != nil {
		t.Fatal(err)
	}
	cfg := quality.Default(quality.Binary)
	days := elec2Days(t, newSpec(t, cfg))
	var reference []quality.Row
	var groups []quality.Group
	for day := range 7 {
		reference = append(reference, days[day]...)
	}
	for _, r := range reference {
		if r.Label.Flaw == quality.FlawNone {
			groups = append(groups, quality.Group{Score: r.Prediction.Scores[0], N: 1, Positive: uint64(r.Label.Class)})
		}
	}
	// The reference's own choice: its scores are far from probabilities (expected.json: ece_10 0.134), so isotonic regression helps.
	built, err := quality.Build(cfg, reference, elec2test.ExactResolution)
	counts := must(t, built, err)
	checkElec2(t, "reference", quality.Evaluate(counts), &want.Reference.Quality, true)
	chosen := counts.Spec().Calibrations()[0]
	vectortest.Value(t, "calibration error", &chosen.Error, want.Reference.Quality.ECE, vectortest.StatAbs)
	if chosen.Method != quality.Isotonic || !(chosen.CrossFitted < 0.03) {
		t.Errorf("calibration error %v, cross-fitted %v, method %d, want isotonic", chosen.Error, chosen.CrossFitted, chosen.Method)
	}
	isotonic := quality.FitIsotonic(groups)
	spec := map[bool]*quality.Spec{}
	for _, calibrated := range []bool{false, true} {
		cfg := quality.Default(quality.Binary)
		cfg.Points = counts.Spec().Points()
		if calibrated {
			cfg.Calibrations = []quality.Calibration{isotonic}
		}
		spec[calibrated] = newSpec(t, cfg)
	}
	estimates := 0
	for _, w := range want.Windows {
		day := int(w.Start.Sub(elec2Start()) / (24 * time.Hour))
		name := fmt.Sprintf("day %d", day)
		raw, calibrated := quality.NewCounts(spec[false]), quality.NewCounts(spec[true])
		for _, c := range []*quality.Counts{raw, calibrated} {
			for _, r := range days[day] {
				c.AddPrediction(r.Prediction)
				if r.Label.Flaw != quality.FlawNoLabel {
					c.AddLabel(r.Prediction, r.Label)
				}
			}
		}
		if raw.Labels() != w.Labelled || raw.Predictions() != uint64(len(days[day])) {
			t.Errorf("%s: %d labels of %d predictions, want %d labels", name, raw.Labels(), raw.Predictions(), w.Labelled)
		}
		checkElec2(t, name, quality.Evaluate(raw), &w.Quality, false)
		if w.CBPE != nil {
			estimates++
			checkElec2Estimate(t, name+" raw", quality.Estimate(raw).Metrics, &w.CBPE.Raw)
			checkElec2Estimate(t, name+" calibrated", quality.Estimate(calibrated).Metrics, &w.CBPE.Isotonic)
		}
	}
	if len(want.Windows) < 31 || estimates < 24 {
		t.Errorf("%d days, %d of them with estimates", len(want.Windows), estimates)
	}
}

func elec2Start() time.Time {
	start, _ := elec2test.Week()
	return start
}

// elec2Days returns each distinct prediction by its day, with its label where it ever came.
func elec2Days(t *testing.T, spec *quality.Spec) map[int][]quality.Row {
	t.Helper()
	type place struct{ day, at int }
	places, labels, days := map[string]place{}, map[string]quality.Label{}, map[int][]quality.Row{}
	decoder := event.NewDecoder(event.DefaultLimits())
	for _, line := range elec2test.Lines(t) {
		decoder.Reset(line)
		decoder.Next()
		ev, refused := decoder.Event()
		if refused != nil {
			t.Fatal(refused)
		}
		id := string(ev.ID)
		if ev.IsLabel {
			labels[id] = spec.Label(ev.Label)
			continue
		}
		if _, again := places[id]; again {
			continue
		}
		day := int((ev.Time - elec2Start().UnixMilli()) / (24 * time.Hour).Milliseconds())
		places[id] = place{day, len(days[day])}
		none := quality.Label{Flaw: quality.FlawNoLabel, Class: quality.NoClass}
		days[day] = append(days[day], quality.Row{Prediction: spec.Prediction(ev.Prediction), Label: none})
	}
	for id, l := range labels {
		if p, ok := places[id]; ok {
			days[p.day][p.at].Label = l
		}
	}
	return days
}

func checkElec2(t *testing.T, what string, metrics []result.Metric, want *elec2Quality, exact bool) {
	t.Helper()
	for name, x := range map[string]*float64{
		"accuracy": want.Accuracy, "precision": want.Precision, "recall": want.Recall, "f1": want.F1, "specificity": want.Specificity,
		"balanced_accuracy": want.Balanced, "mcc": want.MCC, "roc_auc": want.AUC, "average_precision": want.AP,
		"log_loss": want.LogLoss, "brier": want.Brier, "ece": want.ECE, "mce": want.MCE,
	} {
		m := find(t, metrics, name, "")
		if m.Least == nil { // exact, also where scores that the reference has not seen happen not to share a gap
			vectortest.Value(t, what+": "+name, m.Value, x, vectortest.StatAbs)
			continue
		}
		encloses(t, m, x)
		if exact || *m.Most-*m.Least > 0.05 {
			t.Errorf("%s: %s in [%v, %v]", what, name, *m.Least, *m.Most)
		}
	}
}

func checkElec2Estimate(t *testing.T, what string, metrics []result.Metric, want *elec2Estimate) {
	t.Helper()
	for name, x := range map[string]*float64{
		"accuracy": want.Accuracy, "precision": want.Precision, "recall": want.Recall, "specificity": want.Specificity, "f1": want.F1, "roc_auc": want.AUC,
	} {
		m := find(t, metrics, name, "")
		if m.N != want.N {
			t.Errorf("%s: %s of %d predictions, want %d", what, name, m.N, want.N)
		}
		if m.Least == nil {
			vectortest.Value(t, what+": "+name, m.Value, x, vectortest.StatAbs)
		} else {
			encloses(t, m, x)
		}
	}
}
