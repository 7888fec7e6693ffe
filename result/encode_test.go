package result_test

import (
	"bytes"
	"encoding/json"
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"github.com/driftd/driftd/result"
)

// AppendJSON writes what encoding/json writes, for features of any contents: every field is filled by its type, so that one that is added
// to the struct and forgotten there is found.
func TestAppendJSONEqualsEncodingJSON(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 8))
	for range 3000 {
		var f result.Feature
		fill(rng, reflect.ValueOf(&f).Elem())
		checkJSON(t, &f)
	}
	checkJSON(t, &result.Feature{}) //nolint:exhaustruct // nil everywhere
}

func FuzzAppendJSON(f *testing.F) {
	f.Add("a <b> & \"c\"", "≥ 0.25\u2028", 1e-7, 0.0)
	f.Add("\xff\x7f", "\u007f\x00", 1e21, 123456.789)
	f.Fuzz(func(t *testing.T, name, reason string, x, y float64) {
		if x-x != 0 || y-y != 0 {
			return
		}
		stat := result.Stat{Value: &x, PValue: &y, Lower: nil, Upper: &y, Baseline: &x, Reason: reason}
		checkJSON(t, &result.Feature{ //nolint:exhaustruct // the rest is nil
			Feature: name, Statistics: map[string]result.Stat{name: stat, reason: stat}, Bins: []result.Bin{{Label: reason, Reference: 1, Current: 0}},
			Weight: x, Reasons: []string{reason, name},
		})
	})
}

func checkJSON(t *testing.T, f *result.Feature) {
	t.Helper()
	want, err := json.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	if got := f.AppendJSON([]byte("before")); !bytes.Equal(got, append([]byte("before"), want...)) {
		t.Fatalf("got  %s\nwant %s", got, want)
	}
}

// A number that does not exist must not leave as one.
func TestAppendJSONRefusesWhatIsNoNumber(t *testing.T) {
	for _, x := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%v was encoded", x)
				}
			}()
			f := result.Feature{QValue: &x} //nolint:exhaustruct // the rest is nil
			f.AppendJSON(nil)
		}()
	}
}

// fill sets a value of any type to something random, zero values among them.
func fill(rng *rand.Rand, v reflect.Value) {
	if rng.IntN(6) == 0 {
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for _, field := range v.Fields() {
			fill(rng, field)
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(rng, v.Elem())
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), rng.IntN(4), 4))
		for i := range v.Len() {
			fill(rng, v.Index(i))
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		for range rng.IntN(40) {
			key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
			fill(rng, key)
			fill(rng, value)
			v.SetMapIndex(key, value)
		}
	case reflect.String:
		parts := []string{"psi", "_debiased", " ≥ ", "<", ">", "&", "\"", "\\", "\n", "\x01", "\x7f", "\u2028", "\xff", "日本", "0.25", " "}
		var s strings.Builder
		for range 1 + rng.IntN(5) {
			s.WriteString(parts[rng.IntN(len(parts))])
		}
		v.SetString(s.String())
	case reflect.Float64:
		x := math.Float64frombits(rng.Uint64())
		if x-x != 0 || rng.IntN(2) == 0 {
			x = []float64{0, math.Copysign(0, -1), 1, 0.1, 1e-6, 9.99e-7, 1e20, 1e21, -1e-9, 3.5e-10, 1e100}[rng.IntN(11)]
		}
		v.SetFloat(x)
	case reflect.Uint64:
		v.SetUint(rng.Uint64() >> rng.IntN(64))
	case reflect.Bool:
		v.SetBool(true)
	default:
		panic("a field of a kind that no feature had: " + v.Kind().String())
	}
}

func BenchmarkAppendJSON(b *testing.B) {
	rng := rand.New(rand.NewPCG(3, 8))
	x := func() *float64 {
		v := rng.ExpFloat64()
		return &v
	}
	side := result.Side{Count: 3000, Missing: 1, Invalid: 0, Inf: 0, Mean: x(), Std: x(), Min: x(), Max: x(), Median: x()}
	f := result.Feature{ //nolint:exhaustruct // what most have
		Feature: "income", Role: result.RoleFeature, Kind: "numeric", Reference: side, Current: side, Statistics: map[string]result.Stat{},
		QValue: x(), NMin: 203, Weight: 1, Thresholds: result.Thresholds{Statistic: "psi_debiased", Warning: 0.1, Drift: 0.25, Q: 0.01, RateWarning: 0.02, RateDrift: 0.1}, //nolint:exhaustruct // fixed
		Verdict: result.Stable, Reasons: []string{"psi_debiased 0.00123 < 0.1 (n 3000, reference 3000)"},
	}
	for i := range 10 {
		f.Bins = append(f.Bins, result.Bin{Label: "(87.1, 91.6]", Reference: 300, Current: 290 + uint64(i)})
	}
	for _, name := range []string{"psi", "psi_debiased", "kl", "js", "hellinger", "total_variation", "chi2", "ks", "wasserstein", "mean_shift"} {
		f.Statistics[name] = result.Stat{Value: x(), PValue: x(), Lower: nil, Upper: nil, Baseline: nil, Reason: ""}
	}
	b.Run("AppendJSON", func(b *testing.B) {
		b.ReportAllocs()
		var buf []byte
		for b.Loop() {
			buf = f.AppendJSON(buf[:0])
		}
		b.ReportMetric(float64(len(buf)), "bytes")
	})
	b.Run("encoding-json", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := json.Marshal(&f); err != nil {
				b.Fatal(err)
			}
		}
	})
}
