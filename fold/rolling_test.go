package fold_test

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/driftd/driftd/event"
	"github.com/driftd/driftd/fold"
	"github.com/driftd/driftd/reference"
	"github.com/driftd/driftd/result"
	"github.com/driftd/driftd/window"
)

const hourMS = int64(3_600_000)

// monday is 2026-11-02T00:00:00Z.
const monday = int64(1_793_577_600_000)

// reading is one event of a made-up stream.
type reading struct {
	at      int64
	version string
	x       int
	missing bool
}

func (r reading) json(i int) string {
	x := strconv.Itoa(r.x)
	if r.missing {
		x = "null"
	}
	return fmt.Sprintf(`{"id":"%d","version":%q,"ts":%d,"latency_ms":%d,"features":{"x":%s,"c":"k%d"}}`, i, r.version, r.at, 1+r.x, x, r.x%3)
}

// readings are n events in order from a start on, step apart, of few distinct values: every value is a point of every frame, so
// that counts say all that there is to say.
func readings(n int, start, step int64, rng *rand.Rand) []reading {
	out := make([]reading, n)
	for i := range out {
		at := start + int64(i)*step
		out[i] = reading{at: at, version: fmt.Sprint("v", rng.IntN(2)), x: rng.IntN(12) + int((at-start)/(9*hourMS)), missing: rng.IntN(20) == 0}
	}
	return out
}

func storedReadings(rs []reading) []fold.Message {
	out := make([]fold.Message, len(rs))
	for i, r := range rs {
		out[i] = fold.Message{Seq: uint64(i + 1), Subject: "ml.events.m", Time: r.at, Data: []byte(r.json(i))}
	}
	end := rs[len(rs)-1].at + 48*hourMS
	c := event.Control{Kind: event.ControlMarker, Watermark: end} //nolint:exhaustruct // a marker
	return append(out, fold.Message{Seq: uint64(len(rs) + 1), Subject: "driftd.control.0", Time: end, Data: c.Encode()})
}

// rollingCounting has hourly windows that are compared with what came before them.
func rollingCounting(r fold.Rolling) fold.Counting {
	c := smallCounting()
	c.MaxVersions = 20
	t := &c.Defaults.Timing
	t.Windows, t.Lateness, t.WatermarkDelay = []window.Spec{{Size: hourMS, Every: hourMS}}, 0, 0
	r.Resolution = 2000
	c.Defaults.Rolling, c.Defaults.ReferenceName = &r, "rolling"
	return c
}

// none finds no stored reference: a rolling one needs none.
func none(string) (*reference.Reference, error) { return nil, fold.ErrNoReference }

// outcomes are the results of all versions by the window's start, or those of one version.
func outcomes(t *testing.T, j *journal, version string) map[int64]map[string]result.Feature {
	t.Helper()
	out := map[int64]map[string]result.Feature{}
	for _, d := range j.docs {
		var doc struct {
			Type     string           `json:"type"`
			Key      result.Key       `json:"key"`
			Window   result.Window    `json:"window"`
			Reasons  []string         `json:"reasons"`
			Features []result.Feature `json:"-"`
			Raw      json.RawMessage  `json:"features"`
		}
		if d.Kind != result.KindResult {
			continue
		}
		if err := json.Unmarshal(d.Data, &doc); err != nil {
			t.Fatal(err)
		}
		if doc.Key.Version != version {
			continue
		}
		if out[doc.Window.Start] == nil {
			out[doc.Window.Start] = map[string]result.Feature{}
		}
		if doc.Type != "features" {
			if len(doc.Reasons) > 0 && strings.HasPrefix(doc.Reasons[0], "no_reference") {
				out[doc.Window.Start]["no_reference"] = result.Feature{Reasons: doc.Reasons} //nolint:exhaustruct // carries the reasons
			}
			continue
		}
		if err := json.Unmarshal(doc.Raw, &doc.Features); err != nil {
			t.Fatal(err)
		}
		for _, f := range doc.Features {
			out[doc.Window.Start][f.Feature] = f
		}
	}
	return out
}

// compareWith checks that a window was compared with exactly the chosen events: counts, mean, and the KS distance of the raw
// values by its definition.
func compareWith(t *testing.T, got map[string]result.Feature, all []reading, start int64, in, than func(reading) bool) {
	t.Helper()
	values := func(choose func(reading) bool) (xs []float64, missing int) {
		for _, r := range all {
			switch {
			case !choose(r):
			case r.missing:
				missing++
			default:
				xs = append(xs, float64(r.x))
			}
		}
		slices.Sort(xs)
		return xs, missing
	}
	ref, refMissing := values(than)
	cur, curMissing := values(in)
	f, ok := got["x"]
	if !ok {
		t.Fatalf("window at %d has no feature x: %+v", (start-monday)/hourMS, got)
	}
	if f.Reference.Count != uint64(len(ref)) || f.Reference.Missing != uint64(refMissing) {
		t.Fatalf("window at %d h: reference of %d values and %d missing, want %d and %d",
			(start-monday)/hourMS, f.Reference.Count, f.Reference.Missing, len(ref), refMissing)
	}
	if f.Current.Count != uint64(len(cur)) || f.Current.Missing != uint64(curMissing) {
		t.Fatalf("window at %d h: %d values and %d missing, want %d and %d", (start-monday)/hourMS, f.Current.Count, f.Current.Missing, len(cur), curMissing)
	}
	sum := 0.0
	for _, x := range ref {
		sum += x
	}
	if math.Abs(*f.Reference.Mean-sum/float64(len(ref))) > 1e-12 {
		t.Errorf("window at %d h: mean %v, want %v", (start-monday)/hourMS, *f.Reference.Mean, sum/float64(len(ref)))
	}
	want := ksOf(ref, cur)
	if ks := f.Statistics["ks"]; ks.Value == nil || math.Abs(*ks.Value-want) > 1e-12 && (ks.Lower == nil || *ks.Lower > want || *ks.Upper < want) {
		t.Errorf("window at %d h: KS %+v, want %v", (start-monday)/hourMS, ks, want)
	}
}

// ksOf is the largest distance of two empirical distribution functions, by its definition.
func ksOf(a, b []float64) float64 {
	d := 0.0
	for _, x := range append(slices.Clone(a), b...) {
		below := func(xs []float64) float64 {
			n, _ := slices.BinarySearch(xs, math.Nextafter(x, math.Inf(1)))
			return float64(n) / float64(len(xs))
		}
		d = max(d, math.Abs(below(a)-below(b)))
	}
	return d
}

// The reference of each window is the six hours before it, from 12 hours on: six for the first cells, six to fill the span.
func TestPreviousSpan(t *testing.T) {
	rs := readings(20_000, monday, 20_000, rand.New(rand.NewPCG(1, 1)))
	got := outcomes(t, run(t, rollingCounting(fold.Rolling{Previous: 6 * hourMS}), none, storedReadings(rs), undisturbed()), "*")
	if len(got) != 112 {
		t.Errorf("%d windows, want 112: 20,000 events every 20 s", len(got))
	}
	for start, features := range got {
		if start < monday+12*hourMS {
			why, ok := features["no_reference"]
			if !ok || !strings.Contains(why.Reasons[0], "2026-11-02T06:00:00Z") {
				t.Errorf("window at %d h is judged, or does not say from when on: %v", (start-monday)/hourMS, why.Reasons)
			}
			continue
		}
		in := func(r reading) bool { return r.at >= start && r.at < start+hourMS }
		than := func(r reading) bool { return r.at >= start-6*hourMS && r.at < start }
		compareWith(t, features, rs, start, in, than)
	}
}

// Seasons: the same weekday of past weeks from half of them on, the same hour of past days. Two weeks, four hours a day, so that the
// stream stays short.
func TestSeasons(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 2))
	var rs []reading
	for d := range int64(7 * 7) {
		for h := int64(8); h < 12; h++ {
			rs = append(rs, readings(40, monday+d*24*hourMS+h*hourMS, hourMS/40, rng)...)
		}
	}
	for _, tt := range []struct {
		same   string
		step   int64
		needed int64 // of the spans
	}{{fold.SameWeekday, 7 * 24 * hourMS, 1}, {fold.SameHour, 24 * hourMS, 7}} {
		t.Run(tt.same, func(t *testing.T) {
			previous := 14 * 24 * hourMS
			j := run(t, rollingCounting(fold.Rolling{Previous: previous, Same: tt.same}), none, storedReadings(rs), undisturbed())
			judged := 0
			for start, features := range outcomes(t, j, "*") {
				// The first cells are of the first day and its evening: they are counted over from the third day on.
				from := monday + 2*24*hourMS
				var spans []int64
				for shift := tt.step; shift <= previous; shift += tt.step {
					if start-shift >= from {
						spans = append(spans, start-shift)
					}
				}
				if int64(len(spans)) < tt.needed {
					if _, ok := features["no_reference"]; !ok {
						t.Errorf("window of day %d is judged by %d spans, %d are needed", (start-monday)/(24*hourMS), len(spans), tt.needed)
					}
					continue
				}
				judged++
				in := func(r reading) bool { return r.at >= start && r.at < start+hourMS }
				than := func(r reading) bool {
					return slices.ContainsFunc(spans, func(s int64) bool { return r.at >= s && r.at < s+hourMS })
				}
				compareWith(t, features, rs, start, in, than)
			}
			if judged < 100 {
				t.Errorf("only %d windows were judged", judged)
			}
		})
	}
}

// Every version is compared with v0 of the same window; v0 itself does not differ from itself.
func TestAgainstAVersion(t *testing.T) {
	rs := readings(12_000, monday, 30_000, rand.New(rand.NewPCG(3, 3)))
	j := run(t, rollingCounting(fold.Rolling{Version: "v0"}), none, storedReadings(rs), undisturbed())
	judged := 0
	for start, features := range outcomes(t, j, "v1") {
		if start < monday+24*hourMS {
			if _, ok := features["no_reference"]; !ok {
				t.Errorf("window at %d h is judged before there are cells", (start-monday)/hourMS)
			}
			continue
		}
		judged++
		within := func(version string) func(reading) bool {
			return func(r reading) bool { return r.at >= start && r.at < start+hourMS && r.version == version }
		}
		compareWith(t, features, rs, start, within("v1"), within("v0"))
	}
	if judged != 76 {
		t.Errorf("%d windows were judged, want 76 of 100 hours", judged)
	}
	for _, features := range outcomes(t, j, "v0") {
		if f, ok := features["x"]; ok && *f.Statistics["ks"].Value != 0 {
			t.Errorf("v0 differs from itself by %v", *f.Statistics["ks"].Value)
		}
	}
	// Its past is a reference as well.
	j = run(t, rollingCounting(fold.Rolling{Version: "v0", Previous: 6 * hourMS}), none, storedReadings(rs), undisturbed())
	for start, features := range outcomes(t, j, "v1") {
		if start < monday+12*hourMS {
			continue
		}
		in := func(r reading) bool { return r.at >= start && r.at < start+hourMS && r.version == "v1" }
		than := func(r reading) bool { return r.at >= start-6*hourMS && r.at < start && r.version == "v0" }
		compareWith(t, features, rs, start, in, than)
	}
}

// A gap in the stream longer than the span leaves nothing to compare with, and says so; behind it all begins again.
func TestRollingOverAGap(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 4))
	rs := readings(5_000, monday, 20_000, rng)
	after := monday + 100*hourMS
	rs = append(rs, readings(5_000, after, 20_000, rng)...)
	got := outcomes(t, run(t, rollingCounting(fold.Rolling{Previous: 6 * hourMS}), none, storedReadings(rs), undisturbed()), "*")
	if why := got[after]["no_reference"]; len(why.Reasons) == 0 || !strings.Contains(why.Reasons[0], "has no events") {
		t.Errorf("the first window behind the gap: %v", why.Reasons)
	}
	for start, features := range got {
		if start <= after {
			continue
		}
		in := func(r reading) bool { return r.at >= start && r.at < start+hourMS }
		than := func(r reading) bool { return r.at >= start-6*hourMS && r.at < start }
		compareWith(t, features, rs, start, in, than)
	}
}

// Rolling references survive any commits and crashes: streams of late, repeated and broken records, activations and changes of
// configuration give the same bytes.
func TestRollingSchedules(t *testing.T) {
	refs, fps := references(t, 400)
	judged := 0
	seeds := uint64(30)
	if testing.Short() {
		seeds = 6
	}
	for seed := range seeds {
		rng := rand.New(rand.NewPCG(seed, 78))
		counting := smallCounting()
		counting.Defaults.ReferenceName = "rolling"
		spec := []fold.Rolling{
			{Previous: 2 * hourMS, Resolution: 50},
			{Previous: hourMS, Resolution: 2000},
			{Version: "v1", Resolution: 100},
			{Version: "v0", Previous: hourMS, Resolution: 100},
		}[seed%4]
		counting.Defaults.Rolling = &spec
		msgs := streamOf(rng, counting, fps[:seed%2], 700)
		want := run(t, counting, refs, msgs, undisturbed())
		for _, d := range want.docs {
			if strings.Contains(string(d.Data), `"name":"rolling"`) {
				judged++
			}
		}
		got := run(t, counting, refs, msgs, chance{
			rng: rng, commit: 0.2 * rng.Float64(), crash: 0.05 * rng.Float64(), budget: fold.Budget{Messages: 20 + rng.IntN(30), Bytes: 1 << 20}, poison: nil,
		})
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) { equal(t, want, got) })
		counted(t, msgs, want)
	}
	if judged < 100 {
		t.Errorf("only %d results of 30 streams were judged by a rolling reference", judged)
	}
}
