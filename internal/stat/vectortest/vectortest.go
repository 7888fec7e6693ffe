// Package vectortest reads the golden vectors of drift, ../shared/vectors/drift_*.jsonl, for the tests of every package that
// computes what is in them, and compares with the tolerances of their README. Test code only.
package vectortest

import (
	"bufio"
	"compress/gzip"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"github.com/driftd/driftd/internal/testenv"
)

// Tolerances of vectors/README.md, section 1.
const (
	StatAbs = 1e-12  // of statistics
	StatRel = 1e-9   // of statistics
	RootAbs = 2e-8   // js and hellinger near 0 are roots of differences
	TinyAbs = 1e-300 // wasserstein and energy of the vector `denormals`

	pRel, pAbs = 1e-6, 1e-12
	pTiny      = 1e-280 // two p-values below count as equal
)

// Stat is a statistic with its p-value.
type Stat struct {
	Stat float64 `json:"stat"`
	P    float64 `json:"p"`
}

// Bins is the table of decile bins.
type Bins struct {
	Ref  []uint64 `json:"ref_counts"`
	Cur  []uint64 `json:"cur_counts"`
	Skip bool     `json:"ulp_sensitive"`
}

// KS holds the distance and the p-values of several conventions.
type KS struct {
	D          float64  `json:"d"`
	Exact      *float64 `json:"p_exact"`
	Kolmogorov *float64 `json:"p_kolmogorov"`
	Asymptotic *float64 `json:"p_scipy_asymp"`
	Auto       *float64 `json:"p_scipy_auto"`
}

// CramerVonMises holds the statistic and its asymptotic p-value.
type CramerVonMises struct {
	T float64 `json:"t"`
	P float64 `json:"p_asymp"`
}

// MannWhitney holds U of the reference and its asymptotic p-value.
type MannWhitney struct {
	U float64 `json:"u_ref"`
	P float64 `json:"p_asymp"`
}

// Welch holds the test of the means.
type Welch struct {
	T  float64 `json:"t"`
	DF float64 `json:"df"`
	P  float64 `json:"p"`
}

// Side describes one sample.
type Side struct {
	Mean *float64 `json:"mean"`
	Std  *float64 `json:"std_sample"`
}

// Stats are the expected values; nil is undefined. The keys without `quantile10` are those of categorical vectors.
type Stats struct {
	NRef       uint64 `json:"n_ref"`
	NCur       uint64 `json:"n_cur"`
	MissingCur uint64 `json:"n_missing_cur"`
	InfCur     uint64 `json:"n_inf_cur"`
	Ref        Side   `json:"ref"`
	Cur        Side   `json:"cur"`
	Ties       bool   `json:"ties"`

	PSI            *float64 `json:"psi_quantile10_eps1e-4"`
	PSISplit       *float64 `json:"psi_quantile10_split_eps1e-4"`
	KL             *float64 `json:"kl_cur_ref_quantile10_eps1e-4"`
	KLReverse      *float64 `json:"kl_ref_cur_quantile10_eps1e-4"`
	JS             *float64 `json:"js_distance_base2_quantile10"`
	Hellinger      *float64 `json:"hellinger_quantile10"`
	TotalVariation *float64 `json:"total_variation_quantile10"`
	LInfinity      *float64 `json:"l_infinity_quantile10"`
	Chi2           *Stat    `json:"chi2_quantile10"`
	Bins           *Bins    `json:"bins_quantile10"`

	KS                *KS             `json:"ks"`
	Wasserstein       *float64        `json:"wasserstein"`
	WassersteinNormed *float64        `json:"wasserstein_over_ref_std"`
	Energy            *float64        `json:"energy"`
	CramerVonMises    *CramerVonMises `json:"cvm"`
	AndersonDarling   *Stat           `json:"ad"`
	MannWhitney       *MannWhitney    `json:"mwu"`
	Welch             *Welch          `json:"welch_t"`

	CatPSI            *float64 `json:"psi_eps1e-4"`
	CatKL             *float64 `json:"kl_cur_ref_eps1e-4"`
	CatKLReverse      *float64 `json:"kl_ref_cur_eps1e-4"`
	CatJS             *float64 `json:"js_distance_base2"`
	CatHellinger      *float64 `json:"hellinger"`
	CatTotalVariation *float64 `json:"total_variation"`
	CatLInfinity      *float64 `json:"l_infinity"`
	CatChi2           *Stat    `json:"chi2"`
}

// Vector is one line: two samples and what is known about them.
type Vector struct {
	Name      string `json:"name"`
	Reference Sample `json:"reference"`
	Current   Sample `json:"current"`
	Stats     Stats  `json:"stats"`
}

// Abs is the absolute tolerance of a statistic in the unit of the values.
func (v *Vector) Abs() float64 {
	if v.Name == "denormals" {
		return TinyAbs
	}
	return StatAbs
}

// Sample is one side of a vector: an array, or a column of a data set. nil is missing.
type Sample []*string

// UnmarshalJSON implements json.Unmarshaler. A column of a file is left to resolve.
func (s *Sample) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '{' {
		all, err := readColumn(data)
		*s = all
		return err
	}
	var raw []json.RawMessage
	if err := json.Unmarshal(data, &raw); err != nil {
		return err
	}
	for _, r := range raw {
		switch text := string(r); {
		case text == "null":
			*s = append(*s, nil)
		case text[0] == '"':
			var unquoted string
			if err := json.Unmarshal(r, &unquoted); err != nil {
				return err
			}
			*s = append(*s, &unquoted)
		default:
			*s = append(*s, &text)
		}
	}
	return nil
}

func readColumn(reference []byte) (Sample, error) {
	var column struct {
		File   string            `json:"file"`
		Column string            `json:"column"`
		Where  map[string]string `json:"where"`
		Rows   []int             `json:"rows"`
	}
	if err := json.Unmarshal(reference, &column); err != nil {
		return nil, err
	}
	f, err := os.Open(filepath.Join(root(), filepath.FromSlash(column.File)))
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, err
	}
	rows := csv.NewReader(z)
	rows.ReuseRecord = true
	header, err := rows.Read()
	if err != nil {
		return nil, err
	}
	header = slices.Clone(header)
	at := slices.Index(header, column.Column)
	if at < 0 {
		return nil, fmt.Errorf("%s has no column %q", column.File, column.Column)
	}
	last := math.MaxInt
	if column.Rows != nil {
		last = column.Rows[1]
	}
	var out Sample
next:
	for len(out) < last {
		row, err := rows.Read()
		if err != nil {
			break // the end; a short file fails below, or the vector does
		}
		for name, want := range column.Where {
			if row[slices.Index(header, name)] != want {
				continue next
			}
		}
		if row[at] == "" {
			out = append(out, nil)
		} else {
			v := row[at]
			out = append(out, &v)
		}
	}
	if column.Rows != nil {
		if len(out) < last {
			return nil, fmt.Errorf("%s has %d rows, the vector wants row %d", column.File, len(out), last)
		}
		out = out[column.Rows[0]:]
	}
	return out, nil
}

// root is the folder that holds data/ and vectors/, seen from a package directory's tests: their Shared has found it.
func root() string { return os.Getenv(rootVariable) }

// rootVariable carries the folder to UnmarshalJSON, which has no other way to know it.
const rootVariable = "DRIFTD_TEST_SHARED"

// Each calls check with every vector of a file, in a subtest, and logs how many of them passed.
func Each(t *testing.T, file string, check func(t *testing.T, v *Vector)) {
	t.Helper()
	EachOf(t, file, "", check)
}

// EachOf is Each for vectors of another shape, T, of which it takes those of a kind; empty: all.
func EachOf[T any](t *testing.T, file, kind string, check func(t *testing.T, v *T)) {
	t.Helper()
	testenv.Shared(t, "data")
	t.Setenv(rootVariable, testenv.Shared(t))
	f, err := os.Open(testenv.Shared(t, "vectors", file))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }() // only read
	passed, all := 0, 0
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<24)
	for lines.Scan() {
		var head struct{ Name, Kind string }
		if err := json.Unmarshal(lines.Bytes(), &head); err != nil {
			t.Fatal(err)
		}
		if kind != "" && head.Kind != kind {
			continue
		}
		v := new(T)
		if err := json.Unmarshal(lines.Bytes(), v); err != nil {
			t.Fatal(err)
		}
		all++
		if t.Run(head.Name, func(t *testing.T) { check(t, v) }) {
			passed++
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	if all == 0 {
		t.Fatalf("%s holds no vectors of kind %q", file, kind)
	}
	t.Logf("%s: %d of %d vectors %s pass", file, passed, all, kind)
}

// Numbers returns the values of a numeric sample, NaN for what is missing.
func (s Sample) Numbers(t *testing.T) []float64 {
	t.Helper()
	out := make([]float64, 0, len(s))
	for _, v := range s {
		if v == nil {
			out = append(out, math.NaN())
			continue
		}
		x, err := strconv.ParseFloat(*v, 64) // reads NaN and ±Infinity as well
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, x)
	}
	return out
}

// Finite returns the finite values of a numeric sample.
func (s Sample) Finite(t *testing.T) []float64 {
	t.Helper()
	return slices.DeleteFunc(s.Numbers(t), func(x float64) bool { return math.IsNaN(x) || math.IsInf(x, 0) })
}

// Value compares a statistic; got nil is undefined.
func Value(t *testing.T, what string, got, want *float64, abs float64) {
	t.Helper()
	switch {
	case want == nil && got != nil:
		t.Errorf("%s = %v, want undefined", what, *got)
	case want != nil && got == nil:
		t.Errorf("%s is undefined, want %v", what, *want)
	case want != nil && !(math.Abs(*got-*want) <= max(abs, StatRel*math.Abs(*want))):
		t.Errorf("%s = %.17g, want %.17g", what, *got, *want)
	}
}

// P compares a p-value; got nil is undefined.
func P(t *testing.T, what string, got *float64, want float64) {
	t.Helper()
	switch {
	case got == nil:
		t.Errorf("%s is undefined, want %v", what, want)
	case *got >= 0 && *got < pTiny && want < pTiny:
	case !(math.Abs(*got-want) <= max(pAbs, pRel*math.Abs(want))):
		t.Errorf("%s = %.17g, want %.17g", what, *got, want)
	}
}

// ExactNormed is wasserstein_over_ref_std in exact arithmetic. It differs from one vector: in `nearly-equal-values` SciPy takes the
// standard deviation about a mean that is rounded to float64, while the values' spread is four units in its last digit; in rational
// arithmetic it is 1.7123533 instead of 1.7005489.
func (v *Vector) ExactNormed() *float64 {
	if v.Name == "nearly-equal-values" {
		exact := 1.7123533471969452
		return &exact
	}
	return v.Stats.WassersteinNormed
}

// WelchIsRounding reports whether the vector's Welch statistic is made by rounding, and what it is in exact arithmetic. SciPy, of which
// the vectors are, subtracts means that are rounded to float64 already. In two vectors the samples' spread is near the last digit of
// their mean. In rational arithmetic over the same inputs (Python: sum(map(Fraction, x))/n, and so on) t is not -7.5203774 but
// -7.9662725 in `nearly-equal-values`, and not -2.6251667 but -2.6260930 in `large-offset-small-spread`.
func WelchIsRounding(v *Vector) (exact float64, rounded bool) {
	switch v.Name {
	case "nearly-equal-values":
		return -7.966272504792855, true
	case "large-offset-small-spread":
		return -2.6260929766572247, true
	}
	return 0, false
}
