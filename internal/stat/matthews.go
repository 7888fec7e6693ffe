package stat

import "math"

// MatthewsInterval is the 95 % interval of the correlation of labels and predictions (Matthews' coefficient; of several classes, Gorodkin's),
// of a table of counts whose rows are labels.
//
// Method: two pseudo-counts spread over the cells, so that a perfect table is not taken for certainty; the delta method for a
// multinomial table; Fisher's transformation, so that the interval stays in [-1, 1].
// Special cases: false where a side has one class only: there is no coefficient.
// References: B. W. Matthews, 1975; J. Gorodkin, Comparing two K-category assignments by a K-category correlation coefficient, 2004;
// A. Agresti, Categorical Data Analysis, 2013 (16.1, delta method; 1.4, pseudo-counts).
func MatthewsInterval(table []uint64, width int) (Interval, bool) {
	labels, predictions := make([]bool, width), make([]bool, width)
	for i, n := range table {
		labels[i/width] = labels[i/width] || n > 0
		predictions[i%width] = predictions[i%width] || n > 0
	}
	used := 0
	for i := range width {
		if labels[i] || predictions[i] {
			used++
		}
	}
	p := make([]float64, len(table))
	total := 0.0
	for i, n := range table {
		if r, c := i/width, i%width; (labels[r] || predictions[r]) && (labels[c] || predictions[c]) {
			p[i] = float64(n) + 2/float64(used*used)
			total += p[i]
		}
	}
	for i := range p {
		p[i] /= total
	}
	m, gradient, ok := matthews(p, width)
	if !ok || !(math.Abs(m) < 1) {
		return Interval{}, false
	}
	var mean, squares float64
	for i, g := range gradient {
		mean += p[i] * g
		squares += p[i] * g * g
	}
	se := math.Sqrt(max(squares-mean*mean, 0) / total)
	z, half := math.Atanh(m), Z95*se/(1-m*m)
	return Interval{math.Tanh(z - half), math.Tanh(z + half)}, true
}

// Matthews is the correlation of labels and predictions of a table of counts whose rows are labels; false where a side has one
// class only.
func Matthews(table []uint64, width int) (float64, bool) {
	p := make([]float64, len(table))
	total := Total(table)
	if total == 0 {
		return 0, false
	}
	for i, n := range table {
		p[i] = float64(n) / float64(total)
	}
	m, _, ok := matthews(p, width)
	return m, ok
}

// matthews returns the coefficient of a table of shares and its derivatives by each of them.
func matthews(p []float64, width int) (m float64, gradient []float64, ok bool) {
	t, y := make([]float64, width), make([]float64, width) // labels, predictions
	for i, share := range p {
		t[i/width] += share
		y[i%width] += share
	}
	// 1 - Σ tₖ² as Σ tₖ(1 - tₖ): no cancellation where one class has nearly all.
	var agreement, chance, spreadT, spreadY float64
	for k := range width {
		agreement += p[k*width+k]
		chance += t[k] * y[k]
		spreadT += t[k] * (1 - t[k])
		spreadY += y[k] * (1 - y[k])
	}
	if !(spreadT > 0) || !(spreadY > 0) {
		return 0, nil, false
	}
	root := math.Sqrt(spreadT * spreadY)
	n := agreement - chance
	gradient = make([]float64, len(p))
	for i := range p {
		r, c := i/width, i%width
		dn := -y[r] - t[c]
		if r == c {
			dn++
		}
		gradient[i] = dn/root + n/root*(t[r]/spreadT+y[c]/spreadY)
	}
	return min(max(n/root, -1), 1), gradient, true
}
