package labels_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/driftd/driftd/event"
	"github.com/driftd/driftd/labels"
)

func full(pending int, horizon int64) *labels.Config {
	return &labels.Config{Mode: labels.ModeFull, Rate: labels.Million, Horizon: horizon, MaxPending: pending, Maturities: []int64{horizon}}
}

func TestConfig(t *testing.T) {
	if err := full(1000, 1).Validate(); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(*labels.Config){
		"an unknown mode":                     func(c *labels.Config) { c.Mode = "some" },
		"a rate for a full join":              func(c *labels.Config) { c.Rate = 5 },
		"no rate":                             func(c *labels.Config) { c.Mode, c.Rate = labels.ModeSample, 0 },
		"more than every id":                  func(c *labels.Config) { c.Mode, c.Rate = labels.ModeSample, labels.Million+1 },
		"no horizon":                          func(c *labels.Config) { c.Horizon = 0 },
		"a horizon of years":                  func(c *labels.Config) { c.Horizon = labels.MaxHorizon + 1 },
		"too few pending":                     func(c *labels.Config) { c.MaxPending = 10 },
		"no maturity":                         func(c *labels.Config) { c.Maturities = nil },
		"a maturity behind the horizon":       func(c *labels.Config) { c.Maturities = []int64{2} },
		"the same maturity twice":             func(c *labels.Config) { c.Horizon, c.Maturities = 9, []int64{2, 2} },
		"a maturity at the end of the window": func(c *labels.Config) { c.Horizon, c.Maturities = 9, []int64{0} },
	} {
		c := full(1000, 1)
		if change(c); c.Validate() == nil {
			t.Errorf("%s is valid", name)
		}
	}
}

// The sample does not depend on anything but the id: SipHash-2-4 with a key of zeros, as the reference implementation gives it
// (https://github.com/veorq/SipHash), modulo a million.
func TestSampled(t *testing.T) {
	c := labels.Config{Mode: labels.ModeSample, Rate: 100_000, Horizon: 1, MaxPending: 1000, Maturities: []int64{1}}
	n := 0
	for i := range 100_000 {
		if c.Sampled(fmt.Append(nil, "id-", i)) {
			n++
		}
	}
	if sd := math.Sqrt(100_000 * 0.1 * 0.9); math.Abs(float64(n)-10_000) > 5*sd { // binomial, five standard deviations
		t.Errorf("%d of 100,000 ids are in a sample of a tenth", n)
	}
	more := c
	more.Rate = 200_000
	for i := range 10_000 {
		if id := fmt.Append(nil, i); c.Sampled(id) && !more.Sampled(id) {
			t.Fatalf("id %s is in a sample, and not in a larger one", id)
		}
	}
}

func TestGroupEncoding(t *testing.T) {
	for _, g := range []*labels.Group{
		{Segment: 7, Began: -5, Label: &labels.Label{Time: -5, Value: event.Value{Kind: event.ValueString, Str: []byte("yes")}}, OrphanPane: -10, OrphanEpoch: 3},
		{Segment: 1, Began: 1000, Predictions: []labels.Prediction{
			{Time: 1000, Pane: 900, Epoch: 2, Version: "", Other: false, Data: []byte{1, 2}},
			{Time: 1001, Pane: 900, Epoch: 2, Version: "v", Other: true, Data: []byte{}},
			{Time: 1002, Pane: 900, Epoch: 2, Version: "w", Other: true, Parts: []byte{0, 1, 101}, Data: []byte{3}},
		}},
		{Segment: math.MaxUint64, Began: 1, Predictions: []labels.Prediction{{Time: 0, Data: []byte{}}}, Label: &labels.Label{
			Time: 4, Value: event.Value{Kind: event.ValueNumber, Num: math.Copysign(0, -1), Str: []byte("-0")},
		}, OrphanPane: 4},
	} {
		data := g.AppendBinary(nil)
		got, err := labels.DecodeGroup(data)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(g, got); diff != "" {
			t.Errorf("(-encoded +decoded):\n%s", diff)
		}
		if s, err := labels.SegmentOf(data); err != nil || s != g.Segment {
			t.Errorf("segment %d, %v, want %d", s, err, g.Segment)
		}
		for i := range data {
			if _, err := labels.DecodeGroup(data[:i]); err == nil {
				t.Errorf("%d of %d bytes are a group", i, len(data))
			}
		}
	}
}

func FuzzDecodeGroup(f *testing.F) {
	g := labels.Group{Segment: 1, Began: 1000, Predictions: []labels.Prediction{{Time: 1000, Pane: 900, Epoch: 2, Version: "v", Data: []byte{1}}}}
	f.Add(g.AppendBinary(nil))
	f.Fuzz(func(t *testing.T, data []byte) {
		g, err := labels.DecodeGroup(data)
		if err != nil {
			return
		}
		again, err := labels.DecodeGroup(g.AppendBinary(nil))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(g.AppendBinary(nil), again.AppendBinary(nil)); diff != "" {
			t.Error(diff)
		}
	})
}

// A ledger holds the newest groups, forgets by segments, and says of whom it forgot early. What it holds is stored and comes back.
func TestLedger(t *testing.T) {
	const pending, horizon = 1000, int64(10_000)
	c := full(pending, horizon)
	rng := rand.New(rand.NewPCG(1, 2))
	l, next := &labels.Ledger{}, uint64(0)
	number := func() uint64 { next++; return next }
	type begun struct {
		labels.Record

		segment uint64
		at      int64
	}
	var all []begun
	var gone uint64 // segments up to this one were dropped
	early, watermark := 0, int64(0)
	for seq := uint64(1); seq < 20_000; seq++ {
		r := begun{Record: labels.Record{Seq: seq, Index: rng.IntN(3), Flags: 0}, segment: 0, at: watermark + rng.Int64N(100)}
		if rng.IntN(2) == 0 {
			r.Flags = labels.Starts
		}
		r.segment = l.Add(r.Record, r.at, c, number)
		all = append(all, r)
		if watermark += rng.Int64N(8); rng.IntN(2000) == 0 {
			watermark += horizon
		}
		n, until := l.Trim(watermark, c)
		for _, s := range l.Dropped() {
			if s.Number <= gone {
				t.Fatalf("segment %d is dropped behind %d", s.Number, gone)
			}
			gone = s.Number
		}
		if early += n; n > 0 && until+horizon <= watermark {
			t.Fatalf("groups of %d were let go early at %d", until, watermark)
		}
		if l.Groups() > pending+64 {
			t.Fatalf("%d groups, the bound is %d", l.Groups(), pending)
		}
	}
	if early == 0 {
		t.Error("no group was let go by the bound")
	}
	var want, got []labels.Record
	groups := 0
	for _, r := range all {
		if live := r.segment > gone; live != l.Lives(r.segment) {
			t.Fatalf("segment %d lives: %v", r.segment, !live)
		} else if live {
			want = append(want, r.Record)
			if r.Flags&labels.Starts != 0 {
				groups++
			}
		} else if r.Flags&labels.Starts != 0 && r.at+horizon > watermark && groups+early == 0 {
			t.Fatalf("a group of %d is gone at %d", r.at, watermark)
		}
	}
	if groups != l.Groups() {
		t.Errorf("%d groups live, want %d", l.Groups(), groups)
	}
	segments := make([]*labels.Segment, 0, len(l.Segments()))
	for _, s := range l.Segments() {
		again, err := labels.DecodeSegment(s.AppendBinary(nil))
		if err != nil {
			t.Fatal(err)
		}
		segments = append(segments, again)
	}
	restored, err := labels.RestoreLedger(segments)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range restored.Segments() {
		if err := s.Each(func(r labels.Record) bool { got = append(got, r); return true }); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("live records (-want +restored):\n%s", diff)
	}
	if restored.Groups() != l.Groups() {
		t.Errorf("%d groups restored of %d", restored.Groups(), l.Groups())
	}
	if seq, ok := l.First(); !ok || seq != want[0].Seq {
		t.Errorf("pending from %d, want %d", seq, want[0].Seq)
	}
}

func FuzzDecodeSegment(f *testing.F) {
	l := &labels.Ledger{}
	l.Add(labels.Record{Seq: 9, Index: 1, Flags: labels.Starts}, 5, full(1000, 9), func() uint64 { return 3 })
	f.Add(l.Segments()[0].AppendBinary(nil))
	f.Fuzz(func(t *testing.T, data []byte) {
		if s, err := labels.DecodeSegment(data); err == nil {
			if _, err := labels.DecodeSegment(s.AppendBinary(nil)); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// What was put is found, also when it was stored, until its segment is dropped.
func TestPending(t *testing.T) {
	c := full(1000, 100)
	m := labels.NewMemory()
	p := labels.NewPending(m)
	l, next := &labels.Ledger{}, uint64(0)
	number := func() uint64 { next++; return next }
	key := labels.Key{1}
	g := &labels.Group{Began: 1000}
	g.Segment = l.Add(labels.Record{Seq: 1, Flags: labels.Starts}, 1000, c, number)
	p.Put(key, g)
	find := func(watermark int64) bool {
		t.Helper()
		got, err := p.Get(key, l, watermark, c)
		if err != nil {
			t.Fatal(err)
		}
		return got != nil
	}
	for range 2 {
		if !find(1099) || find(1100) {
			t.Error("a group does not live exactly as long as the horizon")
		}
		m.Apply(p.Take())
		p.Stored()
	}
	if m.Len() != 1 || p.Fresh() != 0 {
		t.Errorf("%d groups stored, %d to be", m.Len(), p.Fresh())
	}
	l.Trim(1100, c)
	p.Drop(l.Dropped())
	if find(1099) {
		t.Error("a group outlives its segment")
	}
	m.Apply(p.Take())
	if m.Len() != 0 {
		t.Error("a dropped segment's group stays in the store")
	}
}
