package main

import (
	"errors"
	"maps"
	"math"
	"slices"
	"time"

	"gonum.org/v1/gonum/mat"

	"github.com/driftd/driftd/demo"
)

// shrinkage is how many flights of the overall mean each airport's own mean is mixed with: (sum + 50·overall) / (n + 50). An
// airport with a handful of flights would else have a mean of nothing but chance.
const shrinkage = 50

// fit makes the model of January, and says how good it is there and in February.
func fit(flights []demo.Flight) (*demo.Model, error) {
	january, february := month(flights, time.January), month(flights, time.February)
	if len(january) == 0 || len(february) == 0 {
		return nil, errors.New("no flights in January or in February")
	}
	overall := mean(january, func(demo.Flight) string { return "" }, 0, 0)[""]
	m := &demo.Model{
		About: "Probability that a US flight arrives more than 15 minutes late, for driftd demo. Written by `go generate ./demo`; do not edit.",
		Provenance: demo.Provenance{
			Start: "2001-01-01", End: "2001-02-01", Shrinkage: shrinkage, Fit: demo.Fit{}, HeldOut: demo.Fit{}, //nolint:exhaustruct // below
		},
		Terms: demo.Terms(), Coefficients: nil, Mean: round(overall, 2),
		Origin:      mean(january, func(f demo.Flight) string { return f.Origin }, shrinkage, overall),
		Destination: mean(january, func(f demo.Flight) string { return f.Destination }, shrinkage, overall),
	}
	w, err := logistic(m, january)
	if err != nil {
		return nil, err
	}
	m.Coefficients = w
	base := lateShare(january)
	m.Provenance.Fit, m.Provenance.HeldOut = quality(m, january, base), quality(m, february, base)
	return m, nil
}

func month(flights []demo.Flight, m time.Month) []demo.Flight {
	start := time.Date(2001, m, 1, 0, 0, 0, 0, time.UTC)
	return demo.Between(flights, start.UnixMilli(), start.AddDate(0, 1, 0).UnixMilli())
}

// mean returns the mean delay by key, mixed with weight flights of the prior, to hundredths of a minute.
func mean(flights []demo.Flight, key func(demo.Flight) string, weight int, prior float64) map[string]float64 {
	sum, n := map[string]int{}, map[string]int{}
	for _, f := range flights {
		sum[key(f)] += f.Delay
		n[key(f)]++
	}
	out := map[string]float64{}
	for k := range sum {
		m := (float64(sum[k]) + float64(weight)*prior) / float64(n[k]+weight)
		if weight > 0 {
			m = round(m, 2)
		}
		out[k] = m
	}
	return out
}

// logistic maximises the likelihood by Newton's method (iteratively reweighted least squares: McCullagh and Nelder,
// Generalized Linear Models, 1989, section 2.5).
func logistic(m *demo.Model, flights []demo.Flight) ([]float64, error) {
	const (
		steps     = 50
		converged = 1e-10 // of the largest step of a coefficient
	)
	k := len(demo.Terms())
	w := mat.NewVecDense(k, nil)
	for range steps {
		gradient, hessian := mat.NewVecDense(k, nil), mat.NewSymDense(k, nil)
		for _, f := range flights {
			x := mat.NewVecDense(k, m.Input(f).Row())
			p := 1 / (1 + math.Exp(-mat.Dot(w, x)))
			y := 0.0
			if f.Late() {
				y = 1
			}
			gradient.AddScaledVec(gradient, y-p, x)
			hessian.SymRankOne(hessian, p*(1-p), x)
		}
		var chol mat.Cholesky
		if !chol.Factorize(hessian) {
			return nil, errors.New("fitting the regression: its terms are not independent")
		}
		var step mat.VecDense
		if err := chol.SolveVecTo(&step, gradient); err != nil {
			return nil, err
		}
		w.AddVec(w, &step)
		if mat.Norm(&step, math.Inf(1)) < converged {
			out := make([]float64, k)
			for i := range out {
				out[i] = round(w.AtVec(i), 6)
			}
			return out, nil
		}
	}
	return nil, errors.New("fitting the regression: it does not converge")
}

func lateShare(flights []demo.Flight) float64 {
	n := 0
	for _, f := range flights {
		if f.Late() {
			n++
		}
	}
	return float64(n) / float64(len(flights))
}

// quality measures a model on flights; base is the share of late flights that it was fitted on. The AUC is the probability
// that a late flight has the higher score, a tie counting half: Mann-Whitney's U by mid-ranks.
func quality(m *demo.Model, flights []demo.Flight, base float64) demo.Fit {
	late, onTime := map[float64]int{}, map[float64]int{} // flights by score
	loss, baseLoss := 0.0, 0.0
	for _, f := range flights {
		p, b := m.Score(m.Input(f)), base
		if f.Late() {
			late[p]++
		} else {
			onTime[p]++
			p, b = 1-p, 1-b
		}
		loss -= math.Log(p)
		baseLoss -= math.Log(b)
	}
	scores := slices.AppendSeq(slices.Collect(maps.Keys(late)), maps.Keys(onTime))
	slices.Sort(scores)
	wins, below, lates := 0.0, 0, 0
	for _, s := range slices.Compact(scores) {
		wins += float64(late[s]) * (float64(below) + float64(onTime[s])/2)
		below += onTime[s]
		lates += late[s]
	}
	n := float64(len(flights))
	return demo.Fit{
		Flights: len(flights), LateShare: round(lateShare(flights), 6), AUC: round(wins/(float64(lates)*float64(below)), 6),
		LogLoss: round(loss/n, 6), BaseLoss: round(baseLoss/n, 6),
	}
}

func round(x float64, digits int) float64 {
	scale := math.Pow10(digits)
	return math.Round(x*scale) / scale
}
