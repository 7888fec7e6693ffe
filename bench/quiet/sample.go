package main

import (
	"math"
	"math/rand/v2"
)

// binomial draws exactly from the binomial distribution: by inversion where n·p is small, else by Hörmann's transformed rejection
// (BTRS, "The generation of binomial random variates", 1993).
func binomial(rng *rand.Rand, n uint64, p float64) uint64 {
	switch {
	case n == 0 || p <= 0:
		return 0
	case p >= 1:
		return n
	case p > 0.5:
		return n - binomial(rng, n, 1-p)
	case float64(n)*p < 10:
		return inversion(rng, n, p)
	}
	return btrs(rng, float64(n), p)
}

// inversion walks over the gaps between successes, which are geometric.
func inversion(rng *rand.Rand, n uint64, p float64) uint64 {
	logq := math.Log1p(-p)
	var k uint64
	for at := 0.0; ; k++ {
		at += math.Floor(math.Log(1-rng.Float64())/logq) + 1
		if at > float64(n) {
			return k
		}
	}
}

func btrs(rng *rand.Rand, n, p float64) uint64 {
	q := 1 - p
	spq := math.Sqrt(n * p * q)
	b := 1.15 + 2.53*spq
	a := -0.0873 + 0.0248*b + 0.01*p
	c := n*p + 0.5
	vr := 0.92 - 4.2/b
	alpha := (2.83 + 5.1/b) * spq
	odds := math.Log(p / q)
	m := math.Floor((n + 1) * p)
	for {
		u := rng.Float64() - 0.5
		v := rng.Float64()
		us := 0.5 - math.Abs(u)
		k := math.Floor((2*a/us+b)*u + c)
		if k < 0 || k > n {
			continue
		}
		if us >= 0.07 && v <= vr {
			return uint64(k)
		}
		lgM, _ := math.Lgamma(m + 1)
		lgNM, _ := math.Lgamma(n - m + 1)
		lgK, _ := math.Lgamma(k + 1)
		lgNK, _ := math.Lgamma(n - k + 1)
		if math.Log(v*alpha/(a/(us*us)+b)) <= lgM+lgNM-lgK-lgNK+(k-m)*odds {
			return uint64(k)
		}
	}
}

// distribution is a discrete distribution that counts are drawn from.
type distribution struct {
	p     []float64
	tail  []float64 // of p, from each cell on
	prob  []float64 // Walker's alias table, for few draws
	alias []int32
}

func newDistribution(p []float64) *distribution {
	k := len(p)
	d := &distribution{p: p, tail: make([]float64, k+1), prob: make([]float64, k), alias: make([]int32, k)}
	for i := k - 1; i >= 0; i-- {
		d.tail[i] = d.tail[i+1] + p[i]
	}
	var small, large []int32
	for i := range p {
		d.prob[i] = p[i] / d.tail[0] * float64(k)
		if d.prob[i] < 1 {
			small = append(small, int32(i))
		} else {
			large = append(large, int32(i))
		}
	}
	for len(small) > 0 && len(large) > 0 {
		s, l := small[len(small)-1], large[len(large)-1]
		small = small[:len(small)-1]
		d.alias[s] = l
		if d.prob[l] -= 1 - d.prob[s]; d.prob[l] < 1 {
			large = large[:len(large)-1]
			small = append(small, l)
		}
	}
	for _, i := range append(small, large...) {
		d.prob[i] = 1
	}
	return d
}

// draw counts n values, a multinomial draw.
func (d *distribution) draw(rng *rand.Rand, n uint64, counts []uint64) {
	clear(counts)
	k := len(d.p)
	if n < uint64(2*k) {
		for range n {
			u := rng.Float64() * float64(k)
			i := int(u)
			if u-float64(i) >= d.prob[i] {
				i = int(d.alias[i])
			}
			counts[i]++
		}
		return
	}
	for i := range k - 1 {
		c := binomial(rng, n, d.p[i]/d.tail[i])
		counts[i] = c
		if n -= c; n == 0 {
			return
		}
	}
	counts[k-1] = n
}
