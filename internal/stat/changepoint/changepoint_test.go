package changepoint_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/driftd/driftd/internal/exact/wire"
	"github.com/driftd/driftd/internal/stat/changepoint"
	"github.com/driftd/driftd/internal/stat/vectortest"
)

type (
	adwinJSON struct {
		Delta        float64 `json:"delta"`
		Clock        int     `json:"clock"`
		MaxBuckets   int     `json:"max_buckets"`
		MinWindow    int     `json:"min_window"`
		Grace        int     `json:"grace"`
		ResetOnDrift bool    `json:"reset_on_drift"`
	}
	pageHinkleyJSON struct {
		MinInstances int     `json:"min_instances"`
		Delta        float64 `json:"delta"`
		Threshold    float64 `json:"threshold"`
		Alpha        float64 `json:"alpha"`
		Mode         string  `json:"mode"`
	}
	detectorVector struct {
		Stream   vectortest.Sample
		Expected []struct {
			Detector string
			Params   json.RawMessage
			Drift    []int
			Width    *uint64  `json:"final_width"`
			Mean     *float64 `json:"final_mean"`
		}
	}
)

// Expected values: river, by ../shared/vectors/detectors.jsonl (README, section 10). DDM and KSWIN, which are in the file too, are no
// detectors of driftd: the first is of single errors, the second draws at random.
func TestAgainstVectors(t *testing.T) {
	adwins, hinkleys := 0, 0
	vectortest.EachOf(t, "detectors.jsonl", "detector", func(t *testing.T, v *detectorVector) {
		// A null is no update, and has no index: NaN here.
		values := slices.DeleteFunc(v.Stream.Numbers(t), math.IsNaN)
		for _, want := range v.Expected {
			var d changepoint.Detector
			switch want.Detector {
			case "adwin":
				var p adwinJSON
				read(t, want.Params, &p)
				a, err := changepoint.NewADWIN(changepoint.ADWINParams(p))
				if err != nil {
					t.Fatal(err)
				}
				d = a
				adwins++
			case "page-hinkley":
				var p pageHinkleyJSON
				read(t, want.Params, &p)
				h, err := changepoint.NewPageHinkley(changepoint.PageHinkleyParams{
					MinInstances: p.MinInstances, Delta: p.Delta, Threshold: p.Threshold, Alpha: p.Alpha, Mode: changepoint.Mode(p.Mode),
				})
				if err != nil {
					t.Fatal(err)
				}
				d = h
				hinkleys++
			default:
				continue
			}
			var got []int
			for i, x := range values {
				if d.Add(x) != changepoint.None {
					got = append(got, i)
				}
			}
			if !slices.Equal(got, want.Drift) {
				t.Errorf("%s %s tells changes at %v, want %v", want.Detector, want.Params, got, want.Drift)
			}
			if a, ok := d.(*changepoint.ADWIN); ok && want.Width != nil {
				mean, _ := a.Mean()
				if a.Width() != *want.Width {
					t.Errorf("%s: %d values are left, want %d", want.Params, a.Width(), *want.Width)
				}
				vectortest.Value(t, "mean", &mean, want.Mean, vectortest.StatAbs)
			}
		}
	})
	t.Logf("%d runs of ADWIN and %d of Page-Hinkley", adwins, hinkleys)
}

func read(t *testing.T, data []byte, into any) {
	t.Helper()
	if err := json.Unmarshal(data, into); err != nil {
		t.Fatal(err)
	}
}

// Montgomery, Introduction to Statistical Quality Control, example 9.1 and table 9.2: 30 values, the last ten of them shifted by one
// standard deviation. The upper sum passes H = 5 at the 29th with 5.28, seven periods after it was 0.
func TestCUSUMOfTheTextbook(t *testing.T) {
	values := []float64{
		9.45, 7.99, 9.29, 11.66, 12.16, 10.18, 8.04, 11.46, 9.20, 10.34, 9.03, 11.47, 10.51, 9.40, 10.08,
		9.37, 10.62, 10.31, 8.52, 10.84, 10.90, 9.33, 12.29, 11.50, 10.60, 11.08, 10.38, 11.62, 11.31, 10.52,
	}
	d, err := changepoint.NewCUSUM(changepoint.CUSUMParams{Warmup: 0, Mean: 10, Std: 1, MinStd: 0, K: 0.5, H: 5})
	if err != nil {
		t.Fatal(err)
	}
	for i, x := range values {
		c := d.Add(x)
		if want := i+1 == 29; (c == changepoint.Up) != want || c == changepoint.Down {
			t.Errorf("the change at value %d is %v", i+1, c)
		}
		if i+1 == 29 && d.Age() != 7 {
			t.Errorf("it began %d values ago, want 7", d.Age())
		}
	}
}

// Average run lengths of the two-sided CUSUM with K = ½ (Montgomery, table 9.3, after D. M. Hawkins): without a shift 168 for H = 4 and 465
// for H = 5; after one of one standard deviation 8.38 and 10.4; of two 3.34 and 4.01. Seeded; a run length spreads about as much as its
// mean, so 4,000 runs are within 5 % (three standard errors).
func TestCUSUMRunLengths(t *testing.T) {
	const runs = 4000
	for _, c := range []struct{ h, shift, want float64 }{
		{4, 0, 168}, {5, 0, 465}, {4, 1, 8.38}, {5, 1, 10.4}, {4, 2, 3.34}, {5, 2, 4.01},
	} {
		rng := rand.New(rand.NewPCG(21, uint64(c.h*10+c.shift)))
		total := 0
		d, err := changepoint.NewCUSUM(changepoint.CUSUMParams{Warmup: 0, Mean: 3, Std: 2, MinStd: 0, K: 0.5, H: c.h})
		if err != nil {
			t.Fatal(err)
		}
		for range runs {
			for {
				total++
				if d.Add(3+2*(rng.NormFloat64()+c.shift)) != changepoint.None {
					break
				}
			}
		}
		if got := float64(total) / runs; math.Abs(got-c.want) > 0.05*c.want {
			t.Errorf("H %v, shift %v: an alarm after %.2f values on average, want %v", c.h, c.shift, got, c.want)
		}
	}
}

// A rate that was 0 all the time, and then is not: without MinStd there is no scale, with it the first value above is a change.
func TestCUSUMOfAConstant(t *testing.T) {
	params := changepoint.DefaultCUSUM()
	params.Warmup = 10
	for _, minStd := range []float64{0, 0.001} {
		params.MinStd = minStd
		d, err := changepoint.NewCUSUM(params)
		if err != nil {
			t.Fatal(err)
		}
		for range 20 {
			if d.Add(0) != changepoint.None {
				t.Error("a constant changed")
			}
		}
		if _, _, ok := d.Level(); ok != (minStd > 0) {
			t.Errorf("min_std %v: a level exists: %v", minStd, ok)
		}
		if got := d.Add(0.05) == changepoint.Up; got != (minStd > 0) {
			t.Errorf("min_std %v: the first value above is a change: %v", minStd, got)
		}
	}
}

// detectors returns one of each, new.
func detectors(t *testing.T) map[string]func() changepoint.Detector {
	t.Helper()
	adwin := changepoint.DefaultADWIN()
	adwin.Clock = 3
	keeps := adwin
	keeps.ResetOnDrift = false
	single := adwin
	single.MaxBuckets = 1
	hinkley := changepoint.DefaultPageHinkley()
	hinkley.Threshold = 4
	cusum := changepoint.DefaultCUSUM()
	cusum.Warmup = 20
	known := changepoint.CUSUMParams{Warmup: 0, Mean: 0.1, Std: 1.2, MinStd: 0, K: 0.4, H: 4}
	out := map[string]func() changepoint.Detector{}
	for name, p := range map[string]changepoint.ADWINParams{"adwin": adwin, "adwin that keeps": keeps, "adwin of single buckets": single} {
		out[name] = func() changepoint.Detector { return must(changepoint.NewADWIN(p)) }
	}
	out["page-hinkley"] = func() changepoint.Detector { return must(changepoint.NewPageHinkley(hinkley)) }
	out["cusum"] = func() changepoint.Detector { return must(changepoint.NewCUSUM(cusum)) }
	out["cusum of a known level"] = func() changepoint.Detector { return must(changepoint.NewCUSUM(known)) }
	return out
}

func must[D changepoint.Detector](d D, err error) changepoint.Detector {
	if err != nil {
		panic(err)
	}
	return d
}

// A detector that is encoded and decoded after every value goes on as one that is not, to the bit.
func TestStateSurvives(t *testing.T) {
	for name, fresh := range detectors(t) {
		t.Run(name, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(31, 32))
			undisturbed, stored := fresh(), fresh().AppendBinary(nil)
			changes := 0
			for i := range 3000 {
				x := rng.NormFloat64()
				if i/400%2 == 1 {
					x += 2
				}
				switch i % 97 {
				case 5:
					x = math.NaN()
				case 6:
					x = math.Inf(-1)
				case 7:
					x = math.Copysign(0, -1)
				case 8:
					x = 2 * changepoint.MaxValue
				}
				d := fresh()
				rest, err := d.Decode(append(slices.Clone(stored), 1, 2, 3))
				if err != nil || !bytes.Equal(rest, []byte{1, 2, 3}) {
					t.Fatalf("value %d: decoding gives %v and leaves %v", i, err, rest)
				}
				want, got := undisturbed.Add(x), d.Add(x)
				if got != want || d.Age() != undisturbed.Age() {
					t.Fatalf("value %d: change %v of age %d, want %v of age %d", i, got, d.Age(), want, undisturbed.Age())
				}
				if got != changepoint.None {
					if changes++; d.Age() == 0 || d.Age() > uint64(i)+1 {
						t.Errorf("value %d: a change of age %d", i, d.Age())
					}
				}
				stored = d.AppendBinary(nil)
				if !bytes.Equal(stored, undisturbed.AppendBinary(nil)) {
					t.Fatalf("value %d: the states differ", i)
				}
			}
			if changes < 5 {
				t.Errorf("%d changes were told of 7", changes)
			}
		})
	}
}

// Values that no mean can hold leave a state that can be stored.
func TestExtremeValues(t *testing.T) {
	for name, fresh := range detectors(t) {
		d := fresh()
		for i := range 500 {
			x := changepoint.MaxValue
			if i%3 == 0 {
				x = -x
			}
			if i%7 == 0 {
				x = 5e-324
			}
			d.Add(x)
			if _, err := fresh().Decode(d.AppendBinary(nil)); err != nil {
				t.Fatalf("%s, value %d: %v", name, i, err)
			}
		}
	}
}

func TestParametersAreChecked(t *testing.T) {
	a, h, c := changepoint.DefaultADWIN(), changepoint.DefaultPageHinkley(), changepoint.DefaultCUSUM()
	for name, err := range map[string]error{"adwin": a.Validate(), "page-hinkley": h.Validate(), "cusum": c.Validate()} {
		if err != nil {
			t.Errorf("the defaults of %s: %v", name, err)
		}
	}
	nan := math.NaN()
	bad := []interface{ Validate() error }{}
	for _, change := range []func(p *changepoint.ADWINParams){
		func(p *changepoint.ADWINParams) { p.Delta = nan }, func(p *changepoint.ADWINParams) { p.Delta = 1 },
		func(p *changepoint.ADWINParams) { p.Clock = 0 }, func(p *changepoint.ADWINParams) { p.MaxBuckets = 0 },
		func(p *changepoint.ADWINParams) { p.MinWindow = 0 }, func(p *changepoint.ADWINParams) { p.Grace = -1 },
	} {
		p := changepoint.DefaultADWIN()
		change(&p)
		bad = append(bad, p)
	}
	for _, change := range []func(p *changepoint.PageHinkleyParams){
		func(p *changepoint.PageHinkleyParams) { p.MinInstances = 0 }, func(p *changepoint.PageHinkleyParams) { p.Delta = nan },
		func(p *changepoint.PageHinkleyParams) { p.Threshold = 0 }, func(p *changepoint.PageHinkleyParams) { p.Alpha = 1.5 },
		func(p *changepoint.PageHinkleyParams) { p.Mode = "sideways" },
	} {
		p := changepoint.DefaultPageHinkley()
		change(&p)
		bad = append(bad, p)
	}
	for _, change := range []func(p *changepoint.CUSUMParams){
		func(p *changepoint.CUSUMParams) { p.Warmup = 1 }, func(p *changepoint.CUSUMParams) { p.Warmup = 0 },
		func(p *changepoint.CUSUMParams) { p.Mean = nan }, func(p *changepoint.CUSUMParams) { p.MinStd = -1 },
		func(p *changepoint.CUSUMParams) { p.K = nan }, func(p *changepoint.CUSUMParams) { p.H = 0 },
	} {
		p := changepoint.DefaultCUSUM()
		change(&p)
		bad = append(bad, p)
	}
	for _, p := range bad {
		if err := p.Validate(); !errors.Is(err, changepoint.ErrParameter) {
			t.Errorf("%+v gives the error %v", p, err)
		}
	}
}

// Whatever the bytes are, decoding gives an error or a detector that works and encodes to the bytes that were read.
func FuzzDecode(f *testing.F) {
	adwin, hinkley, cusum := changepoint.DefaultADWIN(), changepoint.DefaultPageHinkley(), changepoint.DefaultCUSUM()
	adwin.Clock, cusum.Warmup = 1, 5
	fresh := func() []changepoint.Detector {
		return []changepoint.Detector{
			must(changepoint.NewADWIN(adwin)), must(changepoint.NewPageHinkley(hinkley)), must(changepoint.NewCUSUM(cusum)),
		}
	}
	for kind, d := range fresh() {
		f.Add(byte(kind), d.AppendBinary(nil))
		for i := range 60 {
			d.Add(float64(i * i % 17))
		}
		f.Add(byte(kind), d.AppendBinary(nil))
	}
	f.Fuzz(func(t *testing.T, kind byte, data []byte) {
		d := fresh()[int(kind)%3]
		rest, err := d.Decode(data)
		if err != nil {
			if !errors.Is(err, wire.ErrCorrupt) {
				t.Errorf("decoding gives %v", err)
			}
			return
		}
		if read := data[:len(data)-len(rest)]; !bytes.Equal(d.AppendBinary(nil), read) {
			t.Errorf("%x is encoded as %x", read, d.AppendBinary(nil))
		}
		for i := range 40 {
			d.Add(float64(i % 5))
		}
	})
}
