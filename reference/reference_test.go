package reference_test

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/driftd/driftd/cells"
	"github.com/driftd/driftd/event"
	"github.com/driftd/driftd/reference"
	"github.com/driftd/driftd/result"
)

func num(x float64) event.Value { return event.Value{Kind: event.ValueNumber, Num: x} }
func str(s string) event.Value  { return event.Value{Kind: event.ValueString, Str: []byte(s)} }
func boolean(b bool) event.Value {
	if b {
		return event.Value{Kind: event.ValueBool, Num: 1, Str: []byte("true")}
	}
	return event.Value{Kind: event.ValueBool, Str: []byte("false")}
}

var null, array = event.Value{Kind: event.ValueNull}, event.Value{Kind: event.ValueInvalid}

func row(fields ...any) *event.Event {
	e := &event.Event{}
	for i := 0; i < len(fields); i += 2 {
		e.Features = append(e.Features, event.Field{Name: []byte(fields[i].(string)), Value: fields[i+1].(event.Value)})
	}
	return e
}

func build(t testing.TB, o reference.Options, rows ...*event.Event) *reference.Reference {
	t.Helper()
	ref, err := tryBuild(o, rows...)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

func tryBuild(o reference.Options, rows ...*event.Event) (*reference.Reference, error) {
	b := reference.NewBuilder(o)
	for _, r := range rows {
		if err := b.Add(r); err != nil {
			return nil, err
		}
	}
	return b.Build()
}

// column builds a reference of one feature x with the given values.
func column(t testing.TB, o reference.Options, values ...event.Value) *reference.Feature {
	t.Helper()
	rows := make([]*event.Event, len(values))
	for i, v := range values {
		rows[i] = row("x", v)
	}
	f, ok := build(t, o, rows...).Find(result.RoleFeature, "x")
	if !ok {
		t.Fatal("the feature x is not in the reference")
	}
	return f
}

func TestValuesBesideTheDistribution(t *testing.T) {
	ref := build(t, reference.Options{},
		row("x", num(1), "k", str("a")), row("x", num(math.NaN())), row("x", str("NaN"), "k", null),
		row("x", num(math.Inf(1)), "k", array), row("x", str("-Infinity")), row("x", array), row("x", null), row(),
		row("x", boolean(true)), row("x", num(2), "x", num(3)), row("x", num(math.Copysign(0, -1))))
	f, _ := ref.Find(result.RoleFeature, "x")
	s := f.Side()
	// 1, true, 3 (the last of a name that comes twice) and 0; NaN twice, null and absent; two infinities; one array.
	if f.Space.Kind() != cells.Numeric || s.Count != 4 || s.Missing != 4 || s.Inf != 2 || s.Invalid != 1 {
		t.Errorf("numeric: kind %v, %+v", f.Space.Kind(), s)
	}
	if *s.Mean != 1.25 || *s.Min != 0 || *s.Max != 3 || math.Signbit(*s.Min) {
		t.Errorf("mean %v, range %v to %v, want 1.25, 0 to 3", *s.Mean, *s.Min, *s.Max)
	}
	if math.Abs(*s.Std-math.Sqrt(4.75/3)) > 1e-15 { // Σ(x - 1.25)² = 4.75
		t.Errorf("std %v, want √(4.75/3)", *s.Std)
	}
	k, _ := ref.Find(result.RoleFeature, "k")
	if s := k.Side(); k.Space.Kind() != cells.Categorical || s.Count != 1 || s.Missing != 9 || s.Invalid != 1 || s.Mean != nil || s.Min != nil {
		t.Errorf("categorical: kind %v, %+v", k.Space.Kind(), s)
	}
}

func TestKinds(t *testing.T) {
	tests := map[string]struct {
		values []event.Value
		kinds  map[string]cells.Kind
		want   cells.Kind
		err    string
	}{
		"numbers":             {[]event.Value{num(1), num(2)}, nil, cells.Numeric, ""},
		"numbers, booleans":   {[]event.Value{num(1), boolean(true)}, nil, cells.Numeric, ""},
		"numbers and NaN":     {[]event.Value{num(1), str("nan")}, nil, cells.Numeric, ""},
		"strings":             {[]event.Value{str("a"), null}, nil, cells.Categorical, ""},
		"strings and NaN":     {[]event.Value{str("a"), str("NaN")}, nil, cells.Categorical, ""},
		"only NaN":            {[]event.Value{str("NaN"), null}, nil, cells.Numeric, ""},
		"nothing":             {[]event.Value{null}, nil, cells.Numeric, ""},
		"mixed":               {[]event.Value{num(1), str("a")}, nil, 0, `feature "x" is a number or a boolean in 1 rows, but a string such as "a"`},
		"mixed, numeric":      {[]event.Value{num(1), str("a")}, map[string]cells.Kind{"x": cells.Numeric}, cells.Numeric, ""},
		"mixed, categorical":  {[]event.Value{num(1), str("a")}, map[string]cells.Kind{"x": cells.Categorical}, cells.Categorical, ""},
		"a kind for no one":   {[]event.Value{num(1)}, map[string]cells.Kind{"y": cells.Numeric}, 0, `a kind is given for "y", but no row has it`},
		"not a kind":          {[]event.Value{num(1)}, map[string]cells.Kind{"x": 9}, 0, "use numeric or categorical"},
		"numbers as category": {[]event.Value{num(1)}, map[string]cells.Kind{"x": cells.Categorical}, cells.Categorical, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var rows []*event.Event
			for _, v := range tt.values {
				rows = append(rows, row("x", v))
			}
			ref, err := tryBuild(reference.Options{Kinds: tt.kinds}, rows...)
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Errorf("err = %v, want one with %q", err, tt.err)
				}
				return
			}
			if err != nil || ref.Features[0].Space.Kind() != tt.want {
				t.Errorf("got %+v, %v, want %v", ref, err, tt.want)
			}
		})
	}
}

func TestCategories(t *testing.T) {
	var values []event.Value
	add := func(v event.Value, n int) {
		for range n {
			values = append(values, v)
		}
	}
	add(str("b"), 12)
	add(str("a"), 12)
	add(str("1"), 5)
	add(num(1), 5) // with "1": ten
	add(boolean(true), 11)
	add(str("rare"), 9)
	add(str("once"), 1)
	kinds := map[string]cells.Kind{"x": cells.Categorical}
	f := column(t, reference.Options{Kinds: kinds}, values...)
	if got := f.Space.Categories(); !slices.Equal(got, []string{"1", "a", "b", "true"}) {
		t.Errorf("categories %q", got)
	}
	if f.Counts.Other() != 10 || f.Distinct != 6 || f.Singletons != 1 || f.Deciles != nil {
		t.Errorf("other %d, distinct %d, singletons %d, want 10, 6, 1", f.Counts.Other(), f.Distinct, f.Singletons)
	}
	f = column(t, reference.Options{Kinds: kinds, MaxCategories: 1}, values...)
	if got := f.Space.Categories(); !slices.Equal(got, []string{"a"}) { // a and b tie: byte order
		t.Errorf("the largest: %q, want a", got)
	}
	ref := build(t, reference.Options{}, row("x", str("a")), row("x", str("b")))
	if f := ref.Features[0]; len(f.Space.Categories()) != 0 || f.Counts.Other() != 2 || len(ref.Notes()) != 1 {
		t.Errorf("all rare: categories %q, other %d, notes %q", f.Space.Categories(), f.Counts.Other(), ref.Notes())
	}
}

// 91 values 1..91: the deciles stand at integer positions, where 0.7·90 in floats is 62.99999999999999 (vectors/README.md 2).
func TestDecilesAtIntegerPositions(t *testing.T) {
	var values []event.Value
	for i := range 91 {
		values = append(values, num(float64(i+1)))
	}
	f := column(t, reference.Options{}, values...)
	if want := []float64{10, 19, 28, 37, 46, 55, 64, 73, 82}; !slices.Equal(f.Deciles, want) {
		t.Errorf("deciles %v, want %v", f.Deciles, want)
	}
	if f := column(t, reference.Options{}, num(7)); !slices.Equal(f.Deciles, slices.Repeat([]float64{7}, 9)) {
		t.Errorf("of one value: %v", f.Deciles)
	}
	// h = 5k/10 between 0, 1, …, 5: halves by hand.
	f = column(t, reference.Options{}, num(0), num(1), num(2), num(3), num(4), num(5))
	if want := []float64{0.5, 1, 1.5, 2, 2.5, 3, 3.5, 4, 4.5}; !slices.Equal(f.Deciles, want) {
		t.Errorf("deciles %v, want %v", f.Deciles, want)
	}
}

func TestCutPoints(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for _, n := range []int{10, 99, 100, 101, 1000, 9999} {
		for _, resolution := range []int{10, 100, 1000} {
			values, raw, mass := make([]event.Value, n), make([]float64, n), map[float64]int{}
			for i := range values {
				raw[i] = math.Round(r.ExpFloat64()*200) / 10
				if i%3 == 0 {
					raw[i] = r.Float64()
				}
				values[i] = num(raw[i])
				mass[raw[i]]++
			}
			slices.Sort(raw)
			edges := []float64{-7, 0.123, 1e6}
			f := column(t, reference.Options{Resolution: resolution, Edges: map[string][]float64{"x": edges}}, values...)
			points := f.Space.Points()
			has := func(x float64, why string) {
				if _, ok := slices.BinarySearch(points, x); !ok {
					t.Errorf("n %d, resolution %d: %s %v is no point", n, resolution, why, x)
				}
			}
			for v, m := range mass {
				if len(mass) <= resolution || m*resolution >= n {
					has(v, fmt.Sprintf("with mass %d the value", m))
				}
			}
			for _, e := range slices.Concat(edges, f.Deciles) {
				has(e, "the edge")
			}
			has(raw[0], "the minimum")
			for k := 1; k <= resolution && len(mass) > resolution; k++ {
				has(raw[int(math.Ceil(float64(k*n)/float64(resolution)))-1], "the order statistic") // design section 3
			}
			if limit := min(len(mass), resolution+1) + 9 + len(edges); len(points) > limit {
				t.Errorf("n %d, resolution %d: %d points, at most %d expected", n, resolution, len(points), limit)
			}
			if below, above := f.Counts.OutOfRange(); below+above != 0 || f.Counts.N() != uint64(n) {
				t.Errorf("%d of %d values counted, %d out of range", f.Counts.N(), n, below+above)
			}
		}
	}
}

func TestWhatIsLeftOut(t *testing.T) {
	at := func(ms int64, model, version, id string) *event.Event {
		e := row("x", num(1))
		e.Time, e.HasTime, e.Model, e.Version, e.ID = ms, true, []byte(model), []byte(version), []byte(id)
		e.Latency, e.HasLatency = 3, true
		return e
	}
	label := &event.Event{IsLabel: true, ID: []byte("1")}
	b := reference.NewBuilder(reference.Options{Model: "m", Start: 1000, End: 2000})
	for _, e := range []*event.Event{
		at(1000, "m", "", "1"), at(1500, "m", "unknown", "1"), at(1500, "m", "2", "1"), at(1999, "", "", ""), at(1999, "", "", ""),
		at(999, "m", "", "7"), at(2000, "m", "", "8"), at(1500, "other", "", "9"), label, row("x", num(1)),
	} {
		if err := b.Add(e); err != nil {
			t.Fatal(err)
		}
	}
	want := reference.Stats{Rows: 4, Labels: 1, Duplicates: 1, OtherModel: 1, Outside: 2, WithoutTime: 1}
	if diff := cmp.Diff(want, b.Stats()); diff != "" {
		t.Errorf("stats (-want +got):\n%s", diff)
	}
	ref, err := b.Build()
	if err != nil || ref.Start != 1000 || ref.End != 2000 || ref.Latency.Count() != 4 || ref.Model != "m" || ref.Rows != 4 {
		t.Errorf("%+v, %v", ref, err)
	}
}

func TestErrors(t *testing.T) {
	timed := row("x", num(1))
	timed.Time, timed.HasTime = 1_709_251_200_000, true // 2024-03-01T00:00:00Z
	other := row("x", num(1))
	timed.Model, other.Model = []byte("a"), []byte("b")
	tests := map[string]struct {
		opts reference.Options
		rows []*event.Event
		want string
	}{
		"empty":           {reference.Options{}, nil, "the input is empty"},
		"outside":         {reference.Options{Start: 1_800_000_000_000}, []*event.Event{timed}, "the rows span 2024-03-01T00:00:00.000Z to"},
		"no times":        {reference.Options{Start: 5}, []*event.Event{row("x", num(1))}, "map the time column"},
		"labels":          {reference.Options{}, []*event.Event{{IsLabel: true}}, "are labels"},
		"another model":   {reference.Options{Model: "c"}, []*event.Event{timed}, `no rows of model "c"`},
		"two models":      {reference.Options{}, []*event.Event{timed, other}, `the models "a" and "b"`},
		"resolution":      {reference.Options{Resolution: 5}, []*event.Event{timed}, "it must be in [10,"},
		"edge":            {reference.Options{Edges: map[string][]float64{"x": {math.NaN()}}}, []*event.Event{timed}, "is not finite"},
		"edges of no one": {reference.Options{Edges: map[string][]float64{"y": {1}}}, []*event.Event{timed}, `edges are given for "y"`},
		"edges of categories": {
			reference.Options{Edges: map[string][]float64{"x": {1}}}, []*event.Event{row("x", str("a"))}, "is categorical and has no edges",
		},
		"long name": {reference.Options{}, []*event.Event{row(strings.Repeat("x", 300), num(1))}, "a name of 300 bytes"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := tryBuild(tt.opts, tt.rows...)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("err = %v, want one with %q", err, tt.want)
			}
		})
	}
	if _, err := tryBuild(reference.Options{}); !errors.Is(err, reference.ErrNoRows) {
		t.Errorf("err = %v, want ErrNoRows", err)
	}
}

func TestOneRow(t *testing.T) {
	ref := build(t, reference.Options{}, row("x", num(5)))
	if notes := ref.Notes(); len(notes) != 1 || !strings.Contains(notes[0], "one row") {
		t.Errorf("notes %q", notes)
	}
	if s := ref.Features[0].Side(); s.Std != nil || *s.Mean != 5 {
		t.Errorf("side %+v, want a mean and no standard deviation", s)
	}
}

// sample is the reference of the golden fingerprint: every part of the format is in it.
func sample(t testing.TB) *reference.Reference {
	var rows []*event.Event
	for i := range 40 {
		e := row("age", num(float64(20+i%7)), "country", str([]string{"DE", "FR", "AT"}[i%3]), "income", null)
		e.Model, e.Version, e.ID = []byte("credit-risk"), []byte("1"), fmt.Appendf(nil, "id-%d", i)
		e.Time, e.HasTime = 1_709_251_200_000+int64(i)*1000, true
		e.Latency, e.HasLatency = 1+float64(i)/8, true
		e.Prediction = []event.Field{{Name: []byte(event.PredictionName), Value: num(float64(i) / 64)}}
		rows = append(rows, e)
	}
	return build(t, reference.Options{Name: "2024-03", Source: "golden", Resolution: 10}, rows...)
}

// goldenFingerprint is the hash of format version 1, written down when the format was: a reference that is stored anywhere must
// keep its name. If this test fails the format has changed, and needs a new version in its magic.
const goldenFingerprint = "sha256:1738ae76da7bcb20bdb292f13c4288aa612de04e115b24bf7007dcb9dbbf11eb"

func TestGoldenFingerprint(t *testing.T) {
	if got := sample(t).Fingerprint(); got != goldenFingerprint {
		t.Errorf("fingerprint %s, want %s", got, goldenFingerprint)
	}
}

func TestRoundTrip(t *testing.T) {
	ref := sample(t)
	b := ref.Encode()
	back, err := reference.Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(back.Encode(), b) || back.Fingerprint() != ref.Fingerprint() || back.Rows != 40 || len(back.Features) != 4 {
		t.Errorf("got %+v", back)
	}
	for i := range ref.Features {
		want, got := &ref.Features[i], &back.Features[i]
		if diff := cmp.Diff(want.Side(), got.Side()); diff != "" || !slices.Equal(want.Deciles, got.Deciles) || !want.Space.Equal(got.Space) {
			t.Errorf("%s: %s", want.Name, diff)
		}
	}
	for i := range b {
		if _, err := reference.Decode(b[:i]); !errors.Is(err, reference.ErrNotReference) {
			t.Fatalf("cut at %d: %v, want ErrNotReference", i, err)
		}
	}
	if _, err := reference.Decode(append(slices.Clone(b), 0)); err == nil {
		t.Error("a byte too many: no error")
	}
}

// Rows that failed are counted where any row has a status, and come back; without one the format is the one of before.
func TestErrorsOfRows(t *testing.T) {
	rows := make([]*event.Event, 0, 40)
	for i := range 40 {
		r := row("x", num(float64(i)))
		switch {
		case i < 3:
			r.Status = []byte("503")
		case i < 20:
			r.Status = []byte("ok")
		}
		rows = append(rows, r)
	}
	ref := build(t, reference.Options{Name: "r"}, rows...)
	b := ref.Encode()
	back, err := reference.Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	if want := (reference.Errors{Rows: 40, Failed: 3}); back.Errors == nil || *back.Errors != want || !bytes.Equal(back.Encode(), b) {
		t.Errorf("errors %+v, want %+v", back.Errors, want)
	}
	for i := range b {
		if _, err := reference.Decode(b[:i]); !errors.Is(err, reference.ErrNotReference) {
			t.Fatalf("cut at %d: %v, want ErrNotReference", i, err)
		}
	}
	b[len(b)-1] = 41
	if _, err := reference.Decode(b); err == nil {
		t.Error("41 failures in 40 rows: no error")
	}
	if got := build(t, reference.Options{Name: "r"}, rows[20:]...).Errors; got != nil {
		t.Errorf("rows without a status have errors: %+v", got)
	}
}

// The order of rows and of names in a row does not change a byte.
func TestOrderDoesNotMatter(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 2))
	var rows []*event.Event
	for range 200 {
		rows = append(rows, row("a", num(r.NormFloat64()), "b", str(string(rune('a'+r.IntN(5)))), "c", num(float64(r.IntN(3)))))
	}
	want := build(t, reference.Options{Resolution: 50}, rows...).Fingerprint()
	for range 5 {
		r.Shuffle(len(rows), func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
		for _, e := range rows {
			r.Shuffle(len(e.Features), func(i, j int) { e.Features[i], e.Features[j] = e.Features[j], e.Features[i] })
		}
		if got := build(t, reference.Options{Resolution: 50}, rows...).Fingerprint(); got != want {
			t.Fatalf("fingerprint %s, want %s", got, want)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(sample(f).Encode())
	f.Add(build(f, reference.Options{}, row("x", num(5), "y", str("a"))).Encode())
	f.Add(build(f, reference.Options{Segments: []reference.SegmentBy{{Name: "y"}}}, row("x", num(5), "y", str("a")), row("x", num(6), "y", str("b"))).Encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		ref, err := reference.Decode(b)
		if err != nil {
			return
		}
		if !bytes.Equal(ref.Encode(), b) {
			t.Fatal("decoded bytes encode differently")
		}
		ref.Notes()
		for i := range ref.Features {
			ref.Features[i].Side()
		}
	})
}
