package cells

// ForgetRange makes minimum and maximum unknown, as Subtract does: counts whose range is always forgotten have equal bytes however
// values were added, merged and taken out again.
func (c *Counts) ForgetRange() {
	c.min, c.max, c.rangeUnknown = 0, 0, c.n > 0
}

// ForgetMax makes the maximum unknown, as Subtract does, to the same end as Counts.ForgetRange.
func (h *Histogram) ForgetMax() {
	h.max, h.maxUnknown = 0, h.n > 0
}
