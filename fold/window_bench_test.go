package fold_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/driftd/driftd/cells"
	"github.com/driftd/driftd/event"
	"github.com/driftd/driftd/reference"
	"github.com/driftd/driftd/window"
)

// BenchmarkWindow30Days is the cost of one more window of 30 days, of a model with 5 numeric features and 60 events
// in every pane: by adding all base panes (naive), and by the hierarchy that package window keeps. Both add the same
// counts, which it checks. panes is how many are added up, kept how many are in memory, state their encoded size.
func BenchmarkWindow30Days(b *testing.B) {
	const day = 24 * 60 * minute
	ref := wideReference(b, 5)
	for _, pane := range []int64{15 * minute, 5 * minute} {
		for _, every := range []int64{pane, day} {
			name := fmt.Sprintf("pane=%dm/every=%dm", pane/minute, every/minute)
			s := newSlide(ref, window.Timing{Windows: []window.Spec{{Size: 30 * day, Every: every}}, Pane: pane, Lateness: 0, WatermarkDelay: 0})
			for s.now < 31*day {
				s.count()
				s.close()
			}
			b.Run(name+"/naive", func(b *testing.B) {
				for b.Loop() {
					total(ref, s.base)
				}
				b.ReportMetric(float64(len(s.base)), "panes")
				b.ReportMetric(float64(len(s.base)), "kept")
				b.ReportMetric(float64(encoded(s.base)), "state-bytes")
			})
			b.Run(name+"/hierarchy", func(b *testing.B) {
				added := 0
				for b.Loop() {
					b.StopTimer()
					for s.count(); s.now%every != 0; s.count() {
						s.close()
					}
					b.StartTimer()
					got, in := s.close()
					b.StopTimer()
					if added += in; added == in { // the first
						for i, want := range total(ref, s.base) {
							if !bytes.Equal(want.AppendBinary(nil), got[i].AppendBinary(nil)) {
								b.Fatalf("feature %d: the hierarchy does not add up to what the base panes do", i)
							}
						}
					}
					b.StartTimer()
				}
				var kept []*window.Pane
				for _, p := range s.Panes {
					kept = append(kept, p)
				}
				b.ReportMetric(float64(added)/float64(b.N), "panes")
				b.ReportMetric(float64(len(kept)), "kept")
				b.ReportMetric(float64(encoded(kept)), "state-bytes")
			})
		}
	}
}

// slide moves a source from pane to pane.
type slide struct {
	*window.Source
	ref    *reference.Reference
	timing window.Timing
	now    int64
	base   []*window.Pane // of the last 30 days
	rng    *rand.Rand
}

func newSlide(ref *reference.Reference, timing window.Timing) *slide {
	s := &slide{Source: window.NewSource("m"), ref: ref, timing: timing, now: 0, base: nil, rng: rand.New(rand.NewPCG(1, 2))}
	s.Configure(timing, ref.Fingerprint())
	return s
}

func (s *slide) empty(key window.PaneKey) *window.Pane {
	p := window.NewPane(key, s.ref, window.BlockBounds(s.ref))
	p.Compact()
	return p
}

// count counts a minute of the next pane, twice, and moves the watermark to its end.
func (s *slide) count() {
	place := s.Place(s.now)
	key := window.PaneKey{Start: place.Start, Version: "v", Fingerprint: s.ref.Fingerprint()}
	p, own := s.empty(key), s.empty(key)
	for range 60 {
		for i := range p.Features {
			x := s.rng.NormFloat64()
			p.Features[i].AddNumber(x)
			own.Features[i].AddNumber(x)
		}
	}
	s.Insert(p, place)
	s.base = append(s.base, own)
	s.now += s.timing.Pane
	s.base = s.base[max(0, len(s.base)-int(s.timing.Windows[0].Size/s.timing.Pane)):]
	s.Advance(s.now)
}

// close does what the fold does when a window may have ended, and returns what is in it, and in how many panes.
func (s *slide) close() (sum []*cells.Counts, panes int) {
	for w := s.Due(); w != nil; w = s.Due() {
		in := s.In(w.ID, s.empty)
		sum, panes = total(s.ref, in), len(in)
		s.Emitted(w)
	}
	for s.Sweep() != nil {
		continue
	}
	for into, _ := s.Join(s.empty); into != nil; into, _ = s.Join(s.empty) {
		continue
	}
	return sum, panes
}

// total adds panes up as the fold does.
func total(ref *reference.Reference, panes []*window.Pane) []*cells.Counts {
	out := make([]*cells.Counts, len(ref.Features))
	for i := range ref.Features {
		out[i] = cells.NewCounts(ref.Features[i].Space)
		for _, p := range panes {
			if err := out[i].Merge(p.Features[i]); err != nil {
				panic(err)
			}
		}
	}
	return out
}

func encoded(panes []*window.Pane) (n int) {
	for _, p := range panes {
		for block := range p.Blocks() {
			n += len(p.AppendBlock(nil, block))
		}
	}
	return n
}

// wideReference has features x0, x1, … of 2,000 normal values each.
func wideReference(tb testing.TB, features int) *reference.Reference {
	tb.Helper()
	rng := rand.New(rand.NewPCG(3, 4))
	builder := reference.NewBuilder(reference.Options{Name: "wide"}) //nolint:exhaustruct // the defaults are meant
	d := event.NewDecoder(event.DefaultLimits())
	for range 2000 {
		line := []byte(`{"features":{"x0":0`)
		for i := range features {
			if i > 0 {
				line = fmt.Appendf(line, `,"x%d":%g`, i, rng.NormFloat64())
			} else {
				line = fmt.Appendf(line[:len(line)-1], "%g", rng.NormFloat64())
			}
		}
		d.Reset(append(line, "}}"...))
		for d.Next() {
			ev, rej := d.Event()
			if rej != nil {
				tb.Fatal(rej)
			}
			if err := builder.Add(ev); err != nil {
				tb.Fatal(err)
			}
		}
	}
	ref, err := builder.Build()
	if err != nil {
		tb.Fatal(err)
	}
	return ref
}
