package analyze

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/driftd/driftd/cells"
	"github.com/driftd/driftd/reference"
	"github.com/driftd/driftd/result"
	"github.com/driftd/driftd/rows"
)

// tallyTable is a column of categories, few of them frequent, and what a plain map counts of it.
func tallyTable(t *testing.T, n int) (*rows.Table, map[string]uint64) {
	t.Helper()
	rng := rand.New(rand.NewPCG(3, 4))
	want := map[string]uint64{}
	var text strings.Builder
	text.WriteString("c\n")
	for range n {
		name := fmt.Sprintf("category %.0f", rng.ExpFloat64()*rng.ExpFloat64()*float64(n)/100)
		if rng.IntN(2000) == 0 {
			name = strings.Repeat("long", cells.MaxCategoryName/4) + name
		}
		want[name]++
		fmt.Fprintln(&text, name)
	}
	path := filepath.Join(t.TempDir(), "c.csv")
	if err := os.WriteFile(path, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	table, err := rows.OpenTable(context.Background(), path, rows.TableOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = table.Close() })
	return table, want
}

// In however many passes a column is read, its cells are those of a map of all categories, byte for byte.
func TestTallyInPassesIsExact(t *testing.T) {
	table, want := tallyTable(t, 30_000)
	encoded := func(c reference.Categories) []byte {
		f, err := reference.FreezeCategorical(result.RoleFeature, "c", c, reference.DefaultMaxCategories)
		if err != nil {
			t.Fatal(err)
		}
		r := reference.Reference{Name: "r", Rows: table.Rows(), Resolution: 100, Features: []reference.Feature{*f}}
		return r.Encode()
	}
	plain := encoded(reference.Categories{Counts: want, Rare: 0, RareDistinct: 0, RareSingletons: 0})
	for most, least := range map[int]int{1 << 30: 1, 64 << 10: 2, 20 << 10: 5, 5 << 10: 20} {
		found := reference.Categories{Counts: map[string]uint64{}}
		parts := make([]part, 1)
		passes, err := (&worker{}).tallyColumn(context.Background(), table, 0, parts, nil, most, func(tallys []*tally) {
			if tallys == nil {
				found = reference.Categories{Counts: map[string]uint64{}}
				return
			}
			if held := tallys[0].held; held > most {
				t.Errorf("%d bytes held, the bound is %d", held, most)
			}
			tallys[0].reduce(&found)
		})
		if err != nil || passes < least {
			t.Fatalf("%d bytes: %d passes, %v; want at least %d", most, passes, err, least)
		}
		if !bytes.Equal(encoded(found), plain) {
			t.Errorf("%d passes: the frozen reference differs from that of a plain map", passes)
		}
		if most := 2 * reference.DefaultMaxCategories; len(found.Counts) > most {
			t.Errorf("%d names kept, want at most %d", len(found.Counts), most)
		}
	}
	if _, err := (&worker{}).tallyColumn(context.Background(), table, 0, make([]part, 1), nil, 10, func([]*tally) {}); err == nil {
		t.Error("not even one category fits, and there is no error")
	}
}

// The names that the SciPy convention lists are those of a plain map; what is too long for a name is shown by its hash.
func TestTallyNames(t *testing.T) {
	table, want := tallyTable(t, 5_000)
	var got map[string]uint64
	_, err := (&worker{}).tallyColumn(context.Background(), table, 0, make([]part, 1), nil, 1<<30, func(tallys []*tally) { got = tallys[0].names() })
	if err != nil {
		t.Fatal(err)
	}
	long := 0
	for name := range want {
		if len(name) > cells.MaxCategoryName {
			delete(want, name)
			long++
		}
	}
	for name := range got {
		if strings.HasPrefix(name, "sha256:") {
			delete(got, name)
			long--
		}
	}
	if diff := cmp.Diff(want, got); diff != "" || long != 0 {
		t.Errorf("counts differ, or %d long names too few (-want +got):\n%.1000s", long, diff)
	}
}
