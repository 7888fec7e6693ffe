package cells

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// The table of categories finds what the map finds, and nothing else, also where categories look alike.
func TestCategoryEqualsMap(t *testing.T) {
	rng := rand.New(rand.NewPCG(41, 42))
	word := func() string {
		b := make([]byte, rng.IntN(20))
		for i := range b {
			b[i] = "ab\x00\xff"[rng.IntN(4)]
		}
		return string(b)
	}
	tables := 0
	for round := range 300 {
		set := map[string]bool{}
		for range rng.IntN(1 + round) {
			set[word()] = true
		}
		if round%10 == 0 { // nothing but the middle tells them apart
			for i := range 20 {
				set[fmt.Sprintf("12345678 %02d 12345678", i)] = true
			}
		}
		var all []string
		for c := range set {
			all = append(all, c)
		}
		s, err := NewCategorical(all)
		if err != nil {
			t.Fatal(err)
		}
		if s.words.slots != nil {
			tables++
		}
		for _, c := range append(all, word(), word(), word()) {
			want, ok := s.index[c]
			if !ok {
				want = len(s.categories)
			}
			if got := s.category([]byte(c)); got != want {
				t.Fatalf("%q among %q: cell %d, want %d", c, s.categories, got, want)
			}
		}
	}
	if tables < 100 || tables > 290 {
		t.Errorf("%d of 300 sets have a table: one of the two ways was not tried", tables)
	}
}

func BenchmarkCategory(b *testing.B) {
	s, err := NewCategorical([]string{"DE", "FR", "US", "GB", "IT", "firefox", "chrome", "other-browser"})
	if err != nil {
		b.Fatal(err)
	}
	var words [64][]byte
	rng := rand.New(rand.NewPCG(43, 44))
	for i := range words {
		words[i] = []byte(s.categories[rng.IntN(len(s.categories))])
	}
	n := 0
	for b.Loop() {
		for _, w := range &words {
			n += s.category(w)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(64*b.N), "ns/value")
}
