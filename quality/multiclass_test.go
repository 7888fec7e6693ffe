package quality_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/driftd/driftd/internal/stat/vectortest"
	"github.com/driftd/driftd/quality"
)

// multiclassRows are rows whose scores sum to 1 and whose labels mostly follow them; the last class is rare.
func multiclassRows(r *rand.Rand, n, classes int, digits float64) []quality.Row {
	rows := make([]quality.Row, n)
	for i := range rows {
		scores, total := make([]float64, classes), 0.0
		for k := range scores {
			scores[k] = math.Exp(1.5*r.NormFloat64() - float64(k)/2)
			total += scores[k]
		}
		label, u := 0, r.Float64()
		for k := range scores {
			scores[k] = math.Round(scores[k]/total*digits) / digits
			if u -= scores[k]; u > 0 {
				label = min(k+1, classes-1)
			}
		}
		best := 0
		for k := range scores {
			if scores[k] > scores[best] {
				best = k
			}
		}
		rows[i] = quality.Row{Prediction: quality.Prediction{Class: best, Scores: scores}, Label: quality.Label{Class: label}}
	}
	return rows
}

// plain is every metric of scores of several classes by its definition, over all rows and pairs of them.
func plain(rows []quality.Row, classes int) map[[2]string]float64 {
	names := []string{"a", "b", "c"}
	n := float64(len(rows))
	out := map[[2]string]float64{}
	var hits, sums [10]float64
	var sizes [10]float64
	for _, r := range rows {
		p, l := r.Prediction, r.Label.Class
		out[[2]string{"log_loss"}] -= math.Log(min(max(p.Scores[l], 1e-15), 1-1e-15)) / n
		for k, x := range p.Scores {
			y := 0.0
			if k == l {
				y = 1
			}
			out[[2]string{"brier"}] += (x - y) * (x - y) / n
		}
		top := p.Scores[p.Class]
		b := min(int(top*10), 9)
		sizes[b]++
		sums[b] += top
		if p.Class == l {
			hits[b]++
		}
	}
	for b := range hits {
		if sizes[b] > 0 {
			gap := math.Abs(sums[b]-hits[b]) / sizes[b]
			out[[2]string{"ece"}] += sizes[b] / n * gap
			out[[2]string{"mce"}] = max(out[[2]string{"mce"}], gap)
		}
	}
	for k := range classes {
		var pairs, wins, ap, positives float64
		for _, r := range rows {
			if r.Label.Class != k {
				continue
			}
			positives++
			var above, right float64
			for _, o := range rows {
				x, y := r.Prediction.Scores[k], o.Prediction.Scores[k]
				if o.Label.Class != k {
					pairs++
					if x > y {
						wins++
					} else if x == y {
						wins += 0.5
					}
				}
				if y >= x {
					above++
					if o.Label.Class == k {
						right++
					}
				}
			}
			ap += right / above
		}
		out[[2]string{"roc_auc", names[k]}] = wins / pairs
		out[[2]string{"average_precision", names[k]}] = ap / positives
		out[[2]string{"macro_roc_auc"}] += wins / pairs / float64(classes)
		out[[2]string{"macro_average_precision"}] += ap / positives / float64(classes)
	}
	return out
}

// Scores of several classes: the raw evaluator equals the definitions, and over coarse cells encloses them.
func TestMulticlassScoresByDefinition(t *testing.T) {
	r := rand.New(rand.NewPCG(41, 1))
	for _, digits := range []float64{10, 1e6} {
		rows := multiclassRows(r, 300, 3, digits)
		cfg := quality.Default(quality.Multiclass)
		cfg.Classes = []string{"a", "b", "c"}
		raw := quality.Evaluate(exactly(t, cfg, rows))
		cfg.Points = []float64{0, 0.1, 0.2, 0.4, 0.8}
		coarse := quality.NewCounts(newSpec(t, cfg))
		for _, row := range rows {
			coarse.AddLabel(row.Prediction, row.Label)
		}
		streamed := quality.Evaluate(coarse)
		for name, want := range plain(rows, 3) {
			vectortest.Value(t, name[0]+" "+name[1], find(t, raw, name[0], name[1]).Value, &want, 1e-11)
			encloses(t, find(t, streamed, name[0], name[1]), &want)
		}
		for _, m := range append(raw, streamed...) {
			inOrder(t, m)
		}
	}
}

// The estimate of several classes by its definition: a row is of class k with its calibrated probability, divided by the sum over the classes.
func TestMulticlassEstimateByDefinition(t *testing.T) {
	r := rand.New(rand.NewPCG(41, 2))
	rows := multiclassRows(r, 200, 3, 1e6)
	cfg := quality.Default(quality.Multiclass)
	cfg.Classes = []string{"a", "b", "c"}
	half := quality.Calibration{Method: quality.Isotonic, X: []float64{0, 1}, Y: []float64{0.1, 0.6}, Rows: 400, Error: 0.3, CrossFitted: 0.1}
	cfg.Calibrations = []quality.Calibration{half, half, half}
	c := exactly(t, cfg, rows)
	got := quality.Estimate(c)
	n := float64(len(rows))
	probabilities := make([][3]float64, len(rows))
	for i, row := range rows {
		total := 0.0
		for k, x := range row.Prediction.Scores {
			probabilities[i][k] = 0.1 + 0.5*x
			total += probabilities[i][k]
		}
		for k := range probabilities[i] {
			probabilities[i][k] /= total
		}
	}
	var accuracy, macroF1, variance float64
	for i, row := range rows {
		p := probabilities[i][row.Prediction.Class]
		accuracy += p / n
		variance += p * (1 - p) / n / n
	}
	for k, name := range []string{"a", "b", "c"} {
		var tp, fp, fn, wins, positives float64
		for i, row := range rows {
			p := probabilities[i][k]
			positives += p
			if row.Prediction.Class == k {
				tp, fp = tp+p, fp+1-p
			} else {
				fn += p
			}
			for j := range rows {
				q := 1 - probabilities[j][k]
				switch other := probabilities[j][k]; {
				case p > other:
					wins += p * q
				case p == other:
					wins += p * q / 2
				}
			}
		}
		f1, precision, recall := 2*tp/(2*tp+fp+fn), tp/(tp+fp), tp/(tp+fn)
		macroF1 += f1 / 3
		for metric, want := range map[string]float64{"precision": precision, "recall": recall, "f1": f1} {
			vectortest.Value(t, metric+" "+name, find(t, got.Metrics, metric, name).Value, &want, 1e-11)
		}
		area := wins / positives / (n - positives)
		encloses(t, find(t, got.Metrics, "roc_auc", name), &area)
	}
	vectortest.Value(t, "accuracy", find(t, got.Metrics, "accuracy", "").Value, &accuracy, 1e-11)
	vectortest.Value(t, "macro_f1", find(t, got.Metrics, "macro_f1", "").Value, &macroF1, 1e-11)
	// The band is 1.96 standard deviations of what independent labels make of it, and half as much variance again for the reference's 400 rows.
	upper := accuracy + 1.959963984540054*math.Sqrt(1.5*variance)
	vectortest.Value(t, "upper end of accuracy", find(t, got.Metrics, "accuracy", "").Upper, &upper, 1e-11)
	for _, m := range got.Metrics {
		inOrder(t, m)
	}
	if got.Predictions != 200 || got.Left != 0 || len(got.Assumptions) == 0 || got.Calibration == "" {
		t.Errorf("%+v", got)
	}
}

// Classes that are not tracked are one class. Where two of them meet, whether they are the same is not known: accuracy says so.
func TestOtherClasses(t *testing.T) {
	cfg := quality.Default(quality.Multiclass)
	cfg.Classes = []string{"a", "b"}
	s := newSpec(t, cfg)
	c := quality.NewCounts(s)
	for _, row := range [][2]int{{0, 0}, {1, 1}, {0, 2}, {2, 2}} { // label, prediction
		c.AddLabel(quality.Prediction{Class: row[1]}, quality.Label{Class: row[0]})
	}
	m := find(t, quality.Evaluate(c), "accuracy", "")
	inOrder(t, m)
	if *m.Value != 0.75 || m.Least == nil || *m.Least != 0.5 || *m.Most != 0.75 {
		t.Errorf("accuracy %+v, want 0.75 in [0.5, 0.75]", m)
	}
	classes, matrix := c.Confusion()
	if len(classes) != 3 || classes[2] != quality.Other || matrix[0][2] != 1 || matrix[2][2] != 1 {
		t.Errorf("confusion %v of %v", matrix, classes)
	}
}
