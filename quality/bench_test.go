package quality_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/driftd/driftd/quality"
)

// benchSpecs are a binary task over the cells of a reference of a million scores, ten classes, and a regression.
func benchSpecs(b *testing.B) map[string]*quality.Spec {
	b.Helper()
	fine := quality.Default(quality.Binary)
	for i := range 2001 {
		fine.Points = append(fine.Points, float64(i)/2000)
	}
	ten := quality.Default(quality.Multiclass)
	for i := range 10 {
		ten.Classes = append(ten.Classes, fmt.Sprintf("class %d", i))
	}
	return map[string]*quality.Spec{
		"binary": newSpec(b, fine), "classes=10": newSpec(b, ten), "regression": newSpec(b, quality.Default(quality.Regression)),
	}
}

func benchRows(r *rand.Rand, s *quality.Spec, n int) []quality.Row {
	switch s.Task() {
	case quality.Multiclass:
		return multiclassRows(r, n, 10, 1e6)
	case quality.Regression:
		rows := make([]quality.Row, n)
		for i := range rows {
			rows[i] = quality.Row{Prediction: s.Predict(r.NormFloat64()), Label: quality.Label{Class: quality.NoClass, Value: r.NormFloat64()}}
		}
		return rows
	case quality.Binary:
	}
	return sample(r, s, n, r.Float64, func(x float64) float64 { return x })
}

func benchAll(b *testing.B, do func(b *testing.B, s *quality.Spec, rows []quality.Row)) {
	b.Helper()
	for name, s := range benchSpecs(b) {
		b.Run(name, func(b *testing.B) {
			rows := benchRows(rand.New(rand.NewPCG(61, 1)), s, 10_000)
			b.ReportAllocs()
			do(b, s, rows)
		})
	}
}

func counted(s *quality.Spec, rows []quality.Row) *quality.Counts {
	c := quality.NewCounts(s)
	for _, r := range rows {
		c.AddPrediction(r.Prediction)
		c.AddLabel(r.Prediction, r.Label)
	}
	return c
}

func BenchmarkAddPrediction(b *testing.B) {
	benchAll(b, func(b *testing.B, s *quality.Spec, rows []quality.Row) {
		c := counted(s, rows)
		for i := 0; b.Loop(); i++ {
			c.AddPrediction(rows[i%len(rows)].Prediction)
		}
	})
}

func BenchmarkAddLabel(b *testing.B) {
	benchAll(b, func(b *testing.B, s *quality.Spec, rows []quality.Row) {
		c := counted(s, rows)
		for i := 0; b.Loop(); i++ {
			c.AddLabel(rows[i%len(rows)].Prediction, rows[i%len(rows)].Label)
		}
	})
}

func BenchmarkSubLabel(b *testing.B) {
	benchAll(b, func(b *testing.B, s *quality.Spec, rows []quality.Row) {
		c := counted(s, rows)
		for i := 0; b.Loop(); i++ {
			r := rows[i%len(rows)]
			c.AddLabel(r.Prediction, r.Label)
			if err := c.SubLabel(r.Prediction, r.Label); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkMerge(b *testing.B) {
	benchAll(b, func(b *testing.B, s *quality.Spec, rows []quality.Row) {
		c, o := counted(s, rows), counted(s, rows[:1000])
		for b.Loop() {
			if err := c.Merge(o); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkEvaluate(b *testing.B) {
	benchAll(b, func(b *testing.B, s *quality.Spec, rows []quality.Row) {
		c := counted(s, rows)
		for b.Loop() {
			quality.Evaluate(c)
			quality.Estimate(c)
		}
		b.ReportMetric(float64(len(c.AppendBinary(nil))), "state_B")
	})
}

// Counting costs no memory once the cells are there.
func TestAddDoesNotAllocate(t *testing.T) {
	for name, s := range specs(t) {
		r := rand.New(rand.NewPCG(61, 2))
		rows := make([]quality.Row, 500)
		for i := range rows {
			rows[i] = draw(r, s)
		}
		c := counted(s, rows)
		i := 0
		if n := testing.AllocsPerRun(400, func() {
			c.AddPrediction(rows[i].Prediction)
			c.AddLabel(rows[i].Prediction, rows[i].Label)
			i++
		}); n != 0 {
			t.Errorf("%s: %v allocations a row, want 0", name, n)
		}
	}
}
