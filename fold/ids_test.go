package fold

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
)

// BenchmarkIDs is the cost of an id that is new, with n remembered, and the memory and the stored bytes that it takes.
func BenchmarkIDs(b *testing.B) {
	for _, n := range []int{10_000, 1_000_000} {
		b.Run(fmt.Sprint("n=", n), func(b *testing.B) {
			before := heap()
			s := newIDSet(n, [2]uint64{1, 2})
			id := func(i uint64) idHash {
				return s.hash([]byte{'e'}, []byte("model"), []byte("v1"), binary.BigEndian.AppendUint64(nil, i))
			}
			i := uint64(0)
			for ; i < uint64(n); i++ {
				s.add(id(i), int64(i))
			}
			took := heap() - before
			stored := 0
			s.changes(func(_ string, data []byte) { stored += len(data) })
			s.clean()
			for b.Loop() {
				s.add(id(i), int64(i))
				i++
			}
			b.ReportMetric(float64(took)/float64(n), "heap-bytes/id")
			b.ReportMetric(float64(stored)/float64(n), "stored-bytes/id")
		})
	}
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// An id set says when it has forgotten ids of a span of time, to the second, and still does so when it is restored.
func TestShortHorizon(t *testing.T) {
	const second = 1000
	s := newIDSet(3, [2]uint64{1, 2})
	for i, test := range []struct {
		at, horizon int64
		want        bool
	}{
		{100 * second, math.MaxInt64, false}, // nothing is forgotten
		{110 * second, math.MaxInt64, false},
		{110 * second, math.MaxInt64, false},
		{120 * second, math.MaxInt64, false}, // this id makes it forget the first one
		{121 * second, 11 * second, false},   // the oldest one came at 110
		{122 * second, 13 * second, true},    // it still did
		{140 * second, 0, false},             // no span is stated
	} {
		if got := s.short(test.at, test.horizon); got != test.want {
			t.Errorf("at %d s with a horizon of %d ms: short is %t", test.at/second, test.horizon, got)
		}
		s.add(idHash{uint64(i), 1}, test.at)
		segments := map[uint64][]byte{0: s.encode(0)}
		restored, err := restoreIDs(3, s.key, s.total, segments)
		if err != nil {
			t.Fatal(err)
		}
		s = restored
	}
}

// What is stored of ids may be cut or garbled anywhere: that is an error, or ids that nobody asked for, and never a panic.
func TestCorruptIDs(t *testing.T) {
	s := newIDSet(10, [2]uint64{1, 2})
	for i := range uint64(7) {
		s.add(idHash{i, 1}, int64(i)*700)
	}
	good := s.encode(0)
	for cut := range good {
		if _, err := restoreIDs(10, s.key, 7, map[uint64][]byte{0: good[:cut]}); err == nil && cut > 0 {
			t.Errorf("a segment cut to %d of %d bytes is read", cut, len(good))
		}
		bad := append([]byte{}, good...)
		bad[cut] ^= 0xff
		_, _ = restoreIDs(10, s.key, 7, map[uint64][]byte{0: bad}) // either is right
	}
}

// Whatever was expected, the hash of an event is that of its parts.
func TestExpectedIDsChangeNoHash(t *testing.T) {
	rng := rand.New(rand.NewPCG(51, 52))
	s := newIDSet(100, [2]uint64{1, 2})
	name := func() []byte { return []byte{"ab"[rng.IntN(2)], "ab"[rng.IntN(2)]}[:rng.IntN(3)] }
	used, model, version := 0, "m", []byte("v")
	var coming [][]byte
	for range 20_000 {
		id := name()
		if len(coming) > 0 && rng.IntN(30) > 0 {
			id, coming = coming[0], coming[1:]
		}
		if rng.IntN(30) == 0 {
			model, version = string(name()), name()
		}
		before := s.present
		if got, want := s.hashEvent(model, version, id), s.hash([]byte("e"), []byte(model), version, id); got != want {
			t.Fatalf("%q, %q, %q: hash %x, want %x", model, version, id, got, want)
		}
		if s.present > before && s.end > 0 {
			used++
		}
		if s.curious() {
			coming = make([][]byte, 1+rng.IntN(2*readAhead))
			for i := range coming {
				coming[i] = name()
			}
			s.expect(coming)
		}
	}
	if used < 1000 {
		t.Errorf("only %d expected ids came", used)
	}
}

// More ids than are remembered, and than several segments hold, may come between two commits: what is forgotten is not stored.
func TestMoreIDsThanAreRemembered(t *testing.T) {
	s := newIDSet(100, [2]uint64{1, 2})
	for i := range uint64(3*segmentIDs + 10) {
		s.add(s.hash(binary.BigEndian.AppendUint64(nil, i)), int64(i))
	}
	var stored []string
	s.changes(func(name string, data []byte) {
		if data != nil {
			stored = append(stored, name)
		}
	})
	if want := []string{"ids.2", "ids.3"}; !slices.Equal(stored, want) { // 10 are in the last segment, 90 in the one before
		t.Errorf("stored %v, want %v", stored, want)
	}
}
