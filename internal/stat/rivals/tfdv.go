package rivals

import (
	"math"
	"slices"
)

// TFDV's histogram buckets, the categories that it keeps, and the threshold that Vertex AI takes where none is given.
const (
	tfdvBuckets = 10
	tfdvTop     = 1000
	tfdvDefault = 0.3
)

func tfdv() Convention {
	return Convention{
		Name: TFDV, Source: "tensorflow-data-validation 1.17, anomalies/metrics.cc (not installable beside the others; written from its source), threshold of Vertex AI",
		Rule:  "Jensen-Shannon divergence (base 2) > 0.3 for numbers, L-infinity > 0.3 for categories (TFDV has no default; 0.3 is that of Vertex AI, which runs it)",
		Model: "an anomaly a feature, so any feature's is the model's",
		Known: "histograms have ten equal widths between each side's own ends, so one outlier empties them; a feature with NaN has the distance 1 from itself; of categories only the 1,000 most frequent are seen; " +
			"TFDV counts its buckets from a sketch, this exactly",
		Share: 0, numbers: tfdvNumbers, prepare: each(tfdvDecide),
	}
}

// bucket is a part of a histogram; a point where lo is hi.
type bucket struct {
	lo, hi float64
	mass   float64
}

// tfdvHistogram has ten equal widths from the least to the largest value.
func tfdvHistogram(s *Sample) []bucket {
	lo, hi := s.ends()
	n := float64(s.N())
	if lo == hi {
		return []bucket{{lo, hi, 1}}
	}
	edges := linspace(lo, hi, tfdvBuckets)
	counts := s.histogram(edges)
	out := make([]bucket, len(counts))
	for i, c := range counts {
		out[i] = bucket{edges[i], edges[i+1], float64(c) / n}
	}
	return out
}

// tfdvJS aligns two histograms, the mass of a bucket spread evenly, points apart, and returns the divergence in bits.
func tfdvJS(a, b *Sample) float64 {
	ha, hb := tfdvHistogram(a), tfdvHistogram(b)
	var edges, points []float64
	for _, h := range [][]bucket{ha, hb} {
		for _, k := range h {
			if k.lo == k.hi {
				points = append(points, k.lo)
			} else {
				edges = append(edges, k.lo, k.hi)
			}
		}
	}
	for _, xs := range []*[]float64{&edges, &points} {
		slices.Sort(*xs)
		*xs = slices.Compact(*xs)
	}
	spread := func(h []bucket) []float64 {
		out := make([]float64, 0, len(edges)+len(points))
		k := 0
		for i := 0; i+1 < len(edges); i++ {
			lo, hi := edges[i], edges[i+1]
			for k < len(h) && h[k].hi <= lo {
				k++
			}
			mass := 0.0
			if k < len(h) && h[k].lo < h[k].hi && h[k].lo <= lo {
				mass = h[k].mass * (hi - lo) / (h[k].hi - h[k].lo)
			}
			out = append(out, mass)
		}
		for _, x := range points {
			mass := 0.0
			if point := h[0]; point.lo == x && point.hi == x {
				mass = 1
			}
			out = append(out, mass)
		}
		return out
	}
	return min(jsDivergence(spread(ha), spread(hb))/math.Ln2, 1)
}

func tfdvLInfinity(ref, cur []uint64) float64 {
	ref, cur = topCounts(ref), topCounts(cur)
	m, n := float64(total(ref)), float64(total(cur))
	most := 0.0
	for i := range ref {
		most = max(most, math.Abs(float64(ref[i])/m-float64(cur[i])/n))
	}
	return most
}

func tfdvNumbers(f *Feature) []Number {
	if f.empty() {
		return []Number{{Name: "js_divergence"}}
	}
	if f.Categorical {
		r, c := f.union()
		p, q := shares(topCounts(r), 1), shares(topCounts(c), 1)
		return []Number{
			number("l_infinity", tfdvLInfinity(r, c), "blind to many small changes"),
			number("js_divergence", min(jsDivergence(p, q)/math.Ln2, 1), ""),
		}
	}
	return []Number{number("js_divergence", tfdvJS(&f.Ref, &f.Cur), "the divergence, not its root; ten equal widths between each side's own ends")}
}

func tfdvDecide(f *Feature) Decision {
	if f.Categorical {
		r, c := f.union()
		return above("l_infinity", tfdvLInfinity(r, c), tfdvDefault, true, "")
	}
	return above("js_divergence", tfdvJS(&f.Ref, &f.Cur), tfdvDefault, true, "")
}
