package cells_test

import (
	"bytes"
	"testing"

	"github.com/driftd/driftd/cells"
)

// Counts and histograms whose extremes are always forgotten are the same bytes after anything was put in and taken out.
func TestForgetting(t *testing.T) {
	c, once := countNumbers(numeric(t, 1, 2), 0.5, 1, 3), countNumbers(numeric(t, 1, 2), 7)
	h, far := cells.NewHistogram(), cells.NewHistogram()
	h.Add(10)
	far.Add(5000)
	c.ForgetRange()
	h.ForgetMax()
	counts, buckets := c.AppendBinary(nil), h.AppendBinary(nil)
	if err := c.Merge(once); err != nil {
		t.Fatal(err)
	}
	if err := c.Subtract(once); err != nil {
		t.Fatal(err)
	}
	if err := h.Merge(far); err != nil {
		t.Fatal(err)
	}
	if err := h.Subtract(far); err != nil {
		t.Fatal(err)
	}
	c.ForgetRange()
	h.ForgetMax()
	if !bytes.Equal(c.AppendBinary(nil), counts) || !bytes.Equal(h.AppendBinary(nil), buckets) {
		t.Error("what was put in and taken out left a trace")
	}
	if _, known := c.Max(); known {
		t.Error("a forgotten range is known")
	}
	if _, known := h.Max(); known {
		t.Error("a forgotten maximum is known")
	}
	empty, none := cells.NewCounts(numeric(t, 1)), cells.NewHistogram()
	before, without := empty.AppendBinary(nil), none.AppendBinary(nil)
	empty.ForgetRange()
	none.ForgetMax()
	if !bytes.Equal(empty.AppendBinary(nil), before) || !bytes.Equal(none.AppendBinary(nil), without) {
		t.Error("nothing has a range to forget")
	}
}
