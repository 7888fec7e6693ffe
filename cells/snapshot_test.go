package cells_test

import (
	"bytes"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/driftd/driftd/cells"
)

// A snapshot encodes to what its counts were when it was taken, whatever is counted, packed or taken behind it, in the memory of earlier ones;
// and it is no longer than it says.
func TestSnapshot(t *testing.T) {
	r := rand.New(rand.NewPCG(6, 6))
	points := make([]float64, 3000)
	for i := range points {
		points[i] = float64(i)/100 - 15
	}
	spaces := []*cells.Space{numeric(t), numeric(t, -1, 0, 2.5), numeric(t, points...), categorical(t, "a", "b", "c")}
	var counts []*cells.Counts
	for _, s := range spaces {
		for _, n := range []int{0, 1, 3, 40, 600, 5000} {
			counts = append(counts, random(r, s, n))
		}
	}
	for _, doubled := range []int{17, 33} { // counts that need 32 and 64 bits
		beyond := countNumbers(numeric(t, 1), 1)
		for range doubled {
			if err := beyond.Merge(beyond); err != nil {
				t.Fatal(err)
			}
		}
		counts = append(counts, beyond)
	}
	var m cells.Memory
	for round := range 8 {
		want := make([][]byte, len(counts))
		taken := make([]cells.Snapshot, len(counts))
		for i, c := range counts {
			if (round+i)%3 == 0 {
				c.Compact()
			}
			want[i] = encode(c)
			taken[i] = c.Snapshot(&m)
		}
		for _, c := range counts {
			if c.Space().Kind() == cells.Numeric {
				c.AddNumber(float64(r.IntN(5)))
				c.AddNumber(math.Inf(1))
			} else {
				c.AddCategory([]byte("a"))
			}
			c.AddMissing()
		}
		for i := range taken {
			if got := taken[i].AppendBinary([]byte("before")); !bytes.Equal(got, append([]byte("before"), want[i]...)) {
				t.Fatalf("round %d, counts %d: the snapshot is %x, want %x", round, i, got, want[i])
			}
			if most := taken[i].MaxEncodedLen(); most < len(want[i]) {
				t.Errorf("round %d, counts %d: %d bytes, said to be %d at most", round, i, len(want[i]), most)
			}
		}
		m.Reset()
	}
}

// Taking snapshots again and again allocates nothing but the first time.
func TestSnapshotDoesNotAllocate(t *testing.T) {
	c := countNumbers(numeric(t, 1, 2, 3), 1, 2, 2.5)
	var m cells.Memory
	if n := testing.AllocsPerRun(100, func() {
		c.Snapshot(&m)
		m.Reset()
	}); n > 2 { // the two sums bring themselves into their canonical form
		t.Errorf("a snapshot allocates %v times", n)
	}
}
