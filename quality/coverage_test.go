package quality_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/driftd/driftd/quality"
)

// covered is how often the interval of each metric holds the truth, over windows.
func covered(t *testing.T, windows int, truth map[string]float64, draw func() *quality.Counts) map[string]float64 {
	t.Helper()
	out := map[string]float64{}
	for range windows {
		metrics := quality.Evaluate(draw())
		for name, want := range truth {
			m := find(t, metrics, name, "")
			if m.Lower != nil && *m.Lower <= want && want <= *m.Upper {
				out[name] += 1 / float64(windows)
			}
		}
	}
	return out
}

// The 95 % intervals hold the truth in about 95 of 100 windows or more: scores are uniform, a row is positive with probability g(score), and
// what is true of that is integrated over a grid. With 600 windows a share of 0.95 comes out below 0.92 once in 1,500 times.
func TestClassificationIntervals(t *testing.T) {
	for name, g := range map[string]func(p float64) float64{
		"calibrated":    func(p float64) float64 { return p },
		"overconfident": func(p float64) float64 { return 0.3 + 0.4*p },
		"rare":          func(p float64) float64 { return 0.2 * p * p },
	} {
		t.Run(name, func(t *testing.T) {
			const grid = 4000
			var tp, fp, tn, fn, loss, brier, ece, gap float64
			for i := range grid {
				p := (float64(i) + 0.5) / grid
				y := g(p)
				if p >= 0.5 {
					tp, fp = tp+y/grid, fp+(1-y)/grid
				} else {
					fn, tn = fn+y/grid, tn+(1-y)/grid
				}
				loss -= (y*math.Log(p) + (1-y)*math.Log(1-p)) / grid
				brier += (y*(1-p)*(1-p) + (1-y)*p*p) / grid
				if gap += (p - y) / grid; (i+1)%(grid/10) == 0 {
					ece, gap = ece+math.Abs(gap), 0
				}
			}
			positives := tp + fn
			var area, ap, above, all float64
			for i := grid - 1; i >= 0; i-- {
				y := g((float64(i) + 0.5) / grid)
				area += (above + y/grid/2) * (1 - y) / grid
				above, all = above+y/grid, all+1.0/grid
				ap += y / grid / positives * above / all
			}
			truth := map[string]float64{
				"accuracy": tp + tn, "precision": tp / (tp + fp), "recall": tp / positives, "specificity": tn / (tn + fp),
				"balanced_accuracy": (tp/positives + tn/(tn+fp)) / 2, "f1": 2 * tp / (2*tp + fp + fn),
				"mcc":     (tp*tn - fp*fn) / math.Sqrt(positives*(1-positives)*(tp+fp)*(tn+fn)),
				"roc_auc": area / positives / (1 - positives), "average_precision": ap,
				"log_loss": loss, "brier": brier, "ece": ece,
			}
			spec := newSpec(t, quality.Default(quality.Binary))
			r := rand.New(rand.NewPCG(21, 1))
			got := covered(t, 600, truth, func() *quality.Counts {
				c := quality.NewCounts(spec)
				for range 400 {
					p := spec.Predict(r.Float64())
					l := quality.Label{}
					if r.Float64() < g(p.Scores[0]) {
						l.Class = 1
					}
					c.AddLabel(p, l)
				}
				return c
			})
			for metric, want := range truth {
				if got[metric] < 0.92 {
					t.Errorf("%s: the interval holds %.4f in a share of %.3f of the windows", metric, want, got[metric])
				}
				t.Logf("%s %.4f: %.3f", metric, want, got[metric])
			}
		})
	}
}

// As above, with normal targets and errors: the mean magnitude of a normal number with mean m and deviation s is
// s√(2/π)exp(-m²/2s²) + m·erf(m/(s√2)).
func TestRegressionIntervals(t *testing.T) {
	const mean, deviation = 0.1, 0.5
	square := mean*mean + deviation*deviation
	truth := map[string]float64{
		"mae":  deviation*math.Sqrt(2/math.Pi)*math.Exp(-mean*mean/(2*deviation*deviation)) + mean*math.Erf(mean/(deviation*math.Sqrt2)),
		"mse":  square,
		"rmse": math.Sqrt(square), "bias": mean, "r2": 1 - square/4,
		"error_p50": mean, "error_p95": mean + deviation*math.Sqrt2*math.Erfinv(0.9),
	}
	cfg := quality.Default(quality.Regression)
	cfg.TargetCenter = 100
	spec := newSpec(t, cfg)
	r := rand.New(rand.NewPCG(21, 2))
	got := covered(t, 600, truth, func() *quality.Counts {
		c := quality.NewCounts(spec)
		for range 400 {
			target := 101 + 2*r.NormFloat64()
			c.AddLabel(spec.Predict(target+mean+deviation*r.NormFloat64()), quality.Label{Class: quality.NoClass, Value: target})
		}
		return c
	})
	for metric, want := range truth {
		if got[metric] < 0.92 {
			t.Errorf("%s: the interval holds %.4f in a share of %.3f of the windows", metric, want, got[metric])
		}
		t.Logf("%s %.4f: %.3f", metric, want, got[metric])
	}
}

// The band of an estimate holds what the labels say in about 95 of 100 windows, where its assumptions hold: also after the inputs moved.
func TestEstimateBands(t *testing.T) {
	truth := func(x float64) float64 { return 1 / (1 + math.Exp(-3*x)) }
	r := rand.New(rand.NewPCG(21, 3))
	cfg := quality.Default(quality.Binary)
	reading := newSpec(t, cfg)
	row := func(shift float64) quality.Row {
		x := r.NormFloat64() + shift
		p := reading.Predict(1 / (1 + math.Exp(-x))) // less confident than it should be
		l := quality.Label{}
		if r.Float64() < truth(x) {
			l.Class = 1
		}
		return quality.Row{Prediction: p, Label: l}
	}
	reference := make([]quality.Row, 8000)
	for i := range reference {
		reference[i] = row(0)
	}
	built, err := quality.Build(cfg, reference, 1000)
	spec := must(t, built, err).Spec()
	if spec.Calibrations()[0].Method != quality.Isotonic {
		t.Fatalf("calibration %+v, want isotonic: the scores are far from probabilities", spec.Calibrations()[0])
	}
	for _, shift := range []float64{0, 0.7} {
		inside := map[string]float64{}
		const windows = 400
		for range windows {
			c := quality.NewCounts(spec)
			for range 500 {
				r := row(shift)
				c.AddPrediction(r.Prediction)
				c.AddLabel(r.Prediction, r.Label)
			}
			realised := quality.Evaluate(c)
			for _, m := range quality.Estimate(c).Metrics[4:] {
				if got := *find(t, realised, m.Name, "").Value; *m.Lower <= got && got <= *m.Upper {
					inside[m.Name] += 1.0 / windows
				}
			}
		}
		for name, share := range inside {
			if share < 0.92 {
				t.Errorf("shift %v: labels end up in the band of %s in a share of %.3f of the windows", shift, name, share)
			}
			t.Logf("shift %v, %s: %.3f", shift, name, share)
		}
		if len(inside) != 6 {
			t.Errorf("%d metrics, want 6", len(inside))
		}
	}
}

// Of several classes, what is true is what 200,000 other rows say: known to a twentieth of an interval's width. The averages over classes take
// the intervals of the classes for going together, and are too wide rather than too narrow.
func TestMulticlassIntervals(t *testing.T) {
	r := rand.New(rand.NewPCG(21, 4))
	cfg := quality.Default(quality.Multiclass)
	cfg.Classes = []string{"a", "b", "c"}
	spec := newSpec(t, cfg)
	window := func(n int) *quality.Counts {
		c := quality.NewCounts(spec)
		for _, row := range multiclassRows(r, n, 3, 1e6) {
			c.AddLabel(row.Prediction, row.Label)
		}
		return c
	}
	truth := map[string]float64{}
	for _, m := range quality.Evaluate(window(200_000)) {
		if m.Class == "" && m.Name != "mce" { // the largest gap of calibrated scores is 0, which a sample of any size is not
			truth[m.Name] = *m.Value
		}
	}
	truth["ece"] = 0 // labels are drawn by the scores
	got := covered(t, 400, truth, func() *quality.Counts { return window(400) })
	for metric, want := range truth {
		if got[metric] < 0.92 {
			t.Errorf("%s: the interval holds %.4f in a share of %.3f of the windows", metric, want, got[metric])
		}
		t.Logf("%s %.4f: %.3f", metric, want, got[metric])
	}
	if len(truth) != 17 {
		t.Errorf("%d metrics, want 17", len(truth))
	}
}
