package stat

import "math"

// durbinMatrixCDF is P(D_n < d), exact: Durbin's matrix formula as Marsaglia, Tsang and Wang evaluate it, n!/n^n times the
// middle entry of the n-th power of a matrix of order 2⌈nd⌉-1 of positive numbers. Relative precision about 1e-13.
// Reference: G. Marsaglia, W. W. Tsang, J. Wang, Evaluating Kolmogorov's distribution, J. Stat. Soft. 8 (18), 2003.
func durbinMatrixCDF(n int, d float64) float64 {
	nd := float64(n) * d
	k := int(math.Ceil(nd))
	size := 2*k - 1
	h := float64(k) - nd

	a := make([]float64, size*size)
	// First column and last row: (1 - h^i)/i!; elsewhere 1/(i-j+1)! on and below the first superdiagonal.
	factorial := 1.0
	inverse := make([]float64, size+1) // 1/i!
	inverse[0] = 1
	for i := 1; i <= size; i++ {
		factorial *= float64(i)
		inverse[i] = 1 / factorial
	}
	for i := range size {
		for j := 0; j <= min(i+1, size-1); j++ {
			a[i*size+j] = inverse[i-j+1]
		}
	}
	power := 1.0
	for i := range size {
		power *= h
		a[i*size] -= float64(power * inverse[i+1])
		a[(size-1)*size+size-1-i] -= float64(power * inverse[i+1])
	}
	if h > 0.5 {
		a[(size-1)*size] += float64(math.Pow(2*h-1, float64(size)) * inverse[size])
	}

	v, exponent := matrixPowerEntry(a, size, n, k-1)
	ln := math.Log(v) + float64(float64(exponent)*math.Ln2) + logFactorialOverPower(float64(n))
	return clampProb(math.Exp(ln))
}

// matrixPowerEntry returns the diagonal entry at of a^n as mantissa and binary exponent: the entries outgrow a float64.
func matrixPowerEntry(a []float64, size, n, at int) (mantissa float64, exponent int) {
	result := make([]float64, size*size)
	for i := range size {
		result[i*size+i] = 1
	}
	base := append([]float64(nil), a...)
	scratch := make([]float64, size*size)
	resultExp, baseExp := 0, 0
	for n > 0 {
		if n&1 == 1 {
			multiply(scratch, result, base, size)
			result, scratch = scratch, result
			resultExp += baseExp + rescale(result, at*size+at)
		}
		n >>= 1
		if n == 0 {
			break
		}
		multiply(scratch, base, base, size)
		base, scratch = scratch, base
		baseExp += baseExp + rescale(base, at*size+at)
	}
	return result[at*size+at], resultExp
}

// multiply sets dst = a·b; all are square, row-major, and dst is neither a nor b.
func multiply(dst, a, b []float64, size int) {
	clear(dst)
	for i := range size {
		row := dst[i*size : (i+1)*size]
		for k := range size {
			f := a[i*size+k]
			if f == 0 {
				continue
			}
			for j, v := range b[k*size : (k+1)*size] {
				row[j] += float64(f * v)
			}
		}
	}
}

// rescale divides m by the power of two that brings its entry at near 1, when it has grown large; it returns the exponent.
func rescale(m []float64, at int) int {
	_, e := math.Frexp(m[at])
	if e > -200 && e < 200 {
		return 0
	}
	f := math.Ldexp(1, -e)
	for i := range m {
		m[i] *= f
	}
	return e
}
