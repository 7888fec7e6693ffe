package detectors

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/driftd/driftd/cells"
	"github.com/driftd/driftd/reference"
	"github.com/driftd/driftd/result"
)

// The cells between the points give by blocks what they give one by one, the simple way, but for the rounding of sums; and the bins hold what
// comparing each cell with each edge puts there.
func TestBlocksEqualCells(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 7))
	draws := map[string]func() float64{
		"normal":   rng.NormFloat64,
		"integers": func() float64 { return math.Round(3 * rng.NormFloat64()) },
		"top":      func() float64 { return max(0, math.Round(10*rng.NormFloat64())/10) },
		"constant": func() float64 { return 7 },
		"wide":     func() float64 { return math.Exp(40 * rng.NormFloat64()) },
	}
	for from, draw := range draws {
		for to, other := range draws {
			for _, size := range []struct{ m, n, resolution int }{{1, 1, 10}, {300, 200, 2000}, {3000, 3000, 1000}, {3000, 50, 100}, {500, 20_000, 10}} {
				t.Run(fmt.Sprintf("%s to %s, %d", from, to, size), func(t *testing.T) {
					values := make([]float64, size.m)
					for i := range values {
						values[i] = draw()
					}
					slices.Sort(values)
					f, err := reference.FreezeNumeric(result.RoleFeature, "x", values, size.resolution)
					if err != nil {
						t.Fatal(err)
					}
					cur := cells.NewCounts(f.Space)
					for range size.n {
						cur.AddNumber(other() + float64(rng.IntN(2))/4)
					}
					for _, bins := range []string{BinsAuto, BinsQuantile10Split, BinsQuantile10} {
						cfg := Default()
						cfg.Bins = bins
						compareWays(t, newBasis(f, cfg), cur, cfg)
					}
				})
			}
		}
	}
}

func compareWays(t *testing.T, b *basis, cur *cells.Counts, cfg Config) {
	t.Helper()
	got, want := emptySweep(b, cur, everySum), emptySweep(b, cur, everySum)
	got.walk(b, cur, true)
	want.walk(b, cur, false)
	near := func(what string, x, y, scale float64) {
		t.Helper()
		if math.Abs(x-y) > 1e-11*scale {
			t.Errorf("%s is %v by blocks, %v by cells", what, x, y)
		}
	}
	bounds := func(what string, x, y interval, scale float64) {
		t.Helper()
		xl, xe, xu := x.bounds()
		yl, ye, yu := y.bounds()
		near(what+"'s lower bound", xl, yl, max(scale, yl))
		near(what, xe, ye, max(scale, ye))
		near(what+"'s upper bound", xu, yu, max(scale, yu))
	}
	if got.most != want.most || max(got.most, got.mostInside) != max(want.most, want.mostInside) {
		t.Errorf("the largest differences are %v and %v by blocks, %v and %v by cells", got.most, got.mostInside, want.most, want.mostInside)
	}
	if got.pairs != want.pairs || got.pairsInside != want.pairsInside || got.places != want.places || got.open != want.open {
		t.Errorf("%v pairs, %v inside, %d places by blocks; %v, %v, %d by cells", got.pairs, got.pairsInside, got.places, want.pairs, want.pairsInside, want.places)
	}
	near("ties", got.ties, want.ties, want.ties)
	bounds("squares", got.squares, want.squares, 0)
	bounds("energy", got.energy, want.energy, 0)
	bounds("weighted", got.weighted, want.weighted, 0)
	gotUp, gotDown := got.parts()
	wantUp, wantDown := want.parts()
	_, up, _ := wantUp.bounds()
	_, down, _ := wantDown.bounds()
	bounds("the positive part", gotUp, wantUp, up+down) // cell by cell they are half of a sum and of a difference
	bounds("the negative part", gotDown, wantDown, up+down)

	edges, problem := binEdges(b.f, cfg.Bins)
	if problem != "" {
		t.Fatal(problem)
	}
	if table, simple := b.table(got.bins), simpleBins(b.f.Counts, cur, edges); !slices.Equal(table, simple) {
		t.Errorf("the bins of %v are\n%v, want\n%v", edges, table, simple)
	}
	if m, w := *got.middle.value(cur), cur; cur.N() > 0 {
		if v, _, _, _ := w.Quantile(0.5); m != v {
			t.Errorf("the median is %v, by the quantiles %v", m, v)
		}
	}
}

// A window of more than 2^32 values, whose counts outgrow 32 bits, has the bins, the median and the distances of the window that it is a multiple of.
func TestHugeWindows(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 9))
	values := make([]float64, 3000)
	for i := range values {
		values[i] = rng.NormFloat64()
	}
	slices.Sort(values)
	f, err := reference.FreezeNumeric(result.RoleFeature, "x", values, 400)
	if err != nil {
		t.Fatal(err)
	}
	once := cells.NewCounts(f.Space)
	for range 1001 {
		once.AddNumber(rng.NormFloat64() + 0.3)
	}
	huge := once.Clone()
	for range 40 {
		if err := huge.Merge(huge.Clone()); err != nil {
			t.Fatal(err)
		}
	}
	b := newBasis(f, Default())
	want, got := newSweep(b, once, everySum), newSweep(b, huge, everySum)
	edges, _ := binEdges(f, BinsAuto)
	if table, simple := b.table(got.bins), simpleBins(f.Counts, huge, edges); !slices.Equal(table, simple) {
		t.Errorf("the bins are %v, want %v", table, simple)
	}
	if m, w := got.middle.value(huge), want.middle.value(once); math.Abs(*m-*w) > 1e-2 { // of even and odd sizes
		t.Errorf("the median is %v, of the window itself %v", *m, *w)
	}
	lower, _ := got.ks()
	wantLower, _ := want.ks()
	gotUp, gotDown := got.parts()
	wantUp, wantDown := want.parts()
	for _, x := range [][2]float64{{lower, wantLower}, {gotUp.known + gotUp.lower, wantUp.known + wantUp.lower}, {gotDown.known + gotDown.upper, wantDown.known + wantDown.upper}} {
		if math.Abs(x[0]-x[1]) > 1e-9*max(x[1], 1e-3) {
			t.Errorf("a distance is %v, of the window itself %v", x[0], x[1])
		}
	}
}

// simpleBins puts each cell into its bin: 2k before edge k, 2k+1 at edge k if it is a bin of its own. A point belongs before an edge that is
// ≥ it, the values of a gap before one that is > its lower end.
func simpleBins(ref, cur *cells.Counts, edges []edge) []result.Bin {
	last := -1
	out := []result.Bin{}
	for p := range cells.Walk(ref, cur) {
		k := 0
		for k < len(edges) && (edges[k].at < p.Lo || (!p.Point && edges[k].at <= p.Lo)) {
			k++
		}
		bin := 2 * k
		if p.Point && k < len(edges) && edges[k].own && edges[k].at == p.Lo {
			bin++
		}
		if bin != last {
			out, last = append(out, result.Bin{Label: binLabel(edges, bin), Reference: 0, Current: 0}), bin
		}
		out[len(out)-1].Reference += p.Ref
		out[len(out)-1].Current += p.Cur
	}
	return out
}
