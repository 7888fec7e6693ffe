package cells

// Pairs is what all pairs of a value of one histogram and a value of another say. Longer + Same + the rest is their number, n·m.
type Pairs struct {
	Longer float64 // pairs in which the first histogram's value is in a higher bucket
	Same   float64 // in the same bucket, whose order is not known
	Ties   float64 // Σ(t³-t) over the buckets, t the values of both in it
}

// Pairs compares every value of h with every value of o, by the buckets that they are in: what Mann and Whitney's U counts, for values
// rounded to buckets.
func (h *Histogram) Pairs(o *Histogram) Pairs {
	var p Pairs
	below := 0.0 // values of o in lower buckets
	add := func(mine, theirs uint64) {
		a, b := float64(mine), float64(theirs)
		p.Longer += float64(a * below)
		p.Same += float64(a * b)
		t := a + b
		p.Ties += float64(float64(t*t)*t) - t
		below += b
	}
	add(h.zero, o.zero)
	lo, hi := h.base, h.base+len(h.counts)
	switch {
	case len(o.counts) == 0:
	case len(h.counts) == 0:
		lo, hi = o.base, o.base+len(o.counts)
	default:
		lo, hi = min(lo, o.base), max(hi, o.base+len(o.counts))
	}
	for i := lo; i < hi; i++ {
		add(h.at(i), o.at(i))
	}
	return p
}
