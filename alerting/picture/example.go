package picture

// Example returns the chart of a test message: miles that became kilometres.
func Example(title string, start, end, since int64) *Chart {
	c := &Chart{
		Title: title, Text: "median 570 → 917, every quantile × 1.61: a change of unit?", Reference: "test",
		Bars: Bars{
			Name: "distance_miles", Unit: "share, %", Labels: []string{"≤ 196", "(196, 337]", "(337, 564]", "(564, 874]", "(874, 1562]", "> 1562"},
			Reference: []float64{10, 20, 20, 20, 20, 10}, Current: []float64{4, 6, 21, 17, 25, 27},
		},
		Line: Line{Name: "psi_debiased of distance_miles", Points: nil, Threshold: 0.25, Warning: 0.1, Start: start, End: end, Since: since},
	}
	values := []float64{0.01, 0.02, 0, 0.01, 0.02, 0.01, 0.03, 0.01, 0.29, 0.45}
	size := end - start
	for i, v := range values {
		c.Line.Points = append(c.Line.Points, Point{Time: start + size/2 - int64(len(values)-1-i)*size, Value: v})
	}
	return c
}
