package event_test

import (
	"bytes"
	"encoding/json"
	"math"
	"math/rand/v2"
	"strconv"
	"testing"

	"github.com/driftd/driftd/event"
)

// decodeValue decodes the literal as the one feature of a record.
func decodeValue(t *testing.T, d *event.Decoder, literal string) event.Value {
	t.Helper()
	d.Reset([]byte(feature(literal)))
	d.Next()
	ev, rej := d.Event()
	if rej != nil {
		t.Fatalf("%s: %v", literal, rej)
	}
	return ev.Features[0].Value
}

func TestFloat(t *testing.T) {
	d := event.NewDecoder(event.DefaultLimits())
	nan, inf := math.NaN(), math.Inf(1)
	for _, tt := range []struct {
		literal string
		x       float64
		class   event.Class
	}{
		{"41", 41, event.ClassValue},
		{"-0.25", -0.25, event.ClassValue},
		{"true", 1, event.ClassValue},
		{"false", 0, event.ClassValue},
		{"null", nan, event.ClassMissing},
		{`"NaN"`, nan, event.ClassMissing},
		{`"nan"`, nan, event.ClassMissing},
		{`"-NaN"`, nan, event.ClassMissing},
		{`"Infinity"`, inf, event.ClassInf},
		{`"+Infinity"`, inf, event.ClassInf},
		{`"-Infinity"`, -inf, event.ClassInf},
		{`"inf"`, inf, event.ClassInf},
		{`"-inf"`, -inf, event.ClassInf},
		{`"Inf"`, inf, event.ClassInf},
		{`"\u0049nf"`, inf, event.ClassInf},
		{`"infin"`, 0, event.ClassInvalid},
		{`" NaN"`, 0, event.ClassInvalid},
		{`"NaN "`, 0, event.ClassInvalid},
		{`"NA"`, 0, event.ClassInvalid},
		{`"+"`, 0, event.ClassInvalid},
		{`""`, 0, event.ClassInvalid},
		{`"12"`, 0, event.ClassInvalid},
		{`[1]`, 0, event.ClassInvalid},
		{`[]`, 0, event.ClassInvalid},
	} {
		x, class := decodeValue(t, d, tt.literal).Float()
		if class != tt.class || x != tt.x && !(math.IsNaN(x) && math.IsNaN(tt.x)) {
			t.Errorf("%s: got %v, %v; want %v, %v", tt.literal, x, class, tt.x, tt.class)
		}
	}
	if x, class := (event.Value{}).Float(); x != 0 || class != event.ClassInvalid {
		t.Errorf("the zero Value: got %v, %v", x, class)
	}
}

// TestAppendCategory: the forms of numbers are those that JavaScript's String(x) prints.
func TestAppendCategory(t *testing.T) {
	d := event.NewDecoder(event.DefaultLimits())
	for _, tt := range []struct {
		literal, want string
		class         event.Class
	}{
		{`"DE"`, "DE", event.ClassValue},
		{`""`, "", event.ClassValue},
		{`" 1.0 "`, " 1.0 ", event.ClassValue},
		{`"NaN"`, "NaN", event.ClassValue},
		{`"\u00e9\n"`, "é\n", event.ClassValue},
		{"true", "true", event.ClassValue},
		{"false", "false", event.ClassValue},
		{"1", "1", event.ClassValue},
		{"1.0", "1", event.ClassValue},
		{"1.50", "1.5", event.ClassValue},
		{"-0", "0", event.ClassValue},
		{"-0.0", "0", event.ClassValue},
		{"0e5", "0", event.ClassValue},
		{"1e3", "1000", event.ClassValue},
		{"1E+3", "1000", event.ClassValue},
		{"100", "100", event.ClassValue},
		{"-12.5", "-12.5", event.ClassValue},
		{"0.000001", "0.000001", event.ClassValue},
		{"0.0000012", "0.0000012", event.ClassValue},
		{"0.0000001", "1e-7", event.ClassValue},
		{"-0.00000012", "-1.2e-7", event.ClassValue},
		{"1e-10", "1e-10", event.ClassValue},
		{"1e100", "1e+100", event.ClassValue},
		{"123456789012345678901", "123456789012345680000", event.ClassValue},
		{"1e21", "1e+21", event.ClassValue},
		{"1e+08", "100000000", event.ClassValue},
		{"9007199254740993", "9007199254740992", event.ClassValue},
		{"0.30000000000000004", "0.30000000000000004", event.ClassValue},
		{"0.300000000000000000", "0.3", event.ClassValue},
		{"null", "", event.ClassMissing},
		{"[1]", "", event.ClassInvalid},
	} {
		got, class := decodeValue(t, d, tt.literal).AppendCategory([]byte("x"))
		if string(got) != "x"+tt.want || class != tt.class {
			t.Errorf("%s: got %q, %v; want %q, %v", tt.literal, got[1:], class, tt.want, tt.class)
		}
	}
	if got, class := (event.Value{}).AppendCategory(nil); got != nil || class != event.ClassInvalid {
		t.Errorf("the zero Value: got %q, %v", got, class)
	}
}

// TestCategoryIsTheSameForEverySpelling: the fast path for literals that are short already gives what the float64 gives,
// which is encoding/json's form (ECMAScript's, but for -0).
func TestCategoryIsTheSameForEverySpelling(t *testing.T) {
	const seed1, seed2 = 20261122, 4
	rng := rand.New(rand.NewPCG(seed1, seed2))
	d := event.NewDecoder(event.DefaultLimits())
	n := 100_000
	if testing.Short() {
		n = 10_000
	}
	for range n {
		x := math.Round(rng.NormFloat64()*1e6) / math.Pow(10, float64(rng.IntN(14)))
		if rng.IntN(4) == 0 {
			x = math.Float64frombits(rng.Uint64())
			if math.IsNaN(x) || math.IsInf(x, 0) {
				continue
			}
		}
		want, err := json.Marshal(x + 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, literal := range []string{
			strconv.FormatFloat(x, 'f', -1, 64), strconv.FormatFloat(x, 'e', -1, 64), strconv.FormatFloat(x, 'g', 17, 64), string(want),
		} {
			if got, _ := decodeValue(t, d, literal).AppendCategory(nil); !bytes.Equal(got, want) {
				t.Fatalf("%s (seeds %d, %d): got %s, want %s", literal, seed1, seed2, got, want)
			}
		}
	}
}

func TestClassNames(t *testing.T) {
	for class, want := range map[event.Class]string{
		event.ClassValue: "value", event.ClassMissing: "missing", event.ClassInf: "inf", event.ClassInvalid: "invalid", 0: "Class(0)",
	} {
		if class.String() != want {
			t.Errorf("got %s, want %s", class, want)
		}
	}
}
