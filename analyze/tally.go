package analyze

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash/maphash"
	"maps"
	"math"
	"slices"

	"github.com/driftd/driftd/cells"
	"github.com/driftd/driftd/event"
	"github.com/driftd/driftd/reference"
	"github.com/driftd/driftd/rows"
)

// Different categories of one column that are held at once. A reference with more of them is read several times, each time for another
// share of its categories: every one is counted exactly, whatever their number, and the memory stays the same. The SciPy convention
// lists every category of both sides, so there the bound is an error.
const (
	heldBytes      = 128 << 20
	heldBytesSciPy = 512 << 20
	mostPasses     = 1 << 12
	entryBytes     = 64 // what an entry of a map takes beside its text
)

// tally counts categories by name; those whose name is too long for a cell by the hash of it.
type tally struct {
	index  map[string]uint32
	long   map[[sha256.Size]byte]uint32
	counts []uint64
	held   int // bytes, about
}

func newTally() *tally {
	return &tally{index: map[string]uint32{}, long: map[[sha256.Size]byte]uint32{}, counts: nil, held: 0}
}

func (t *tally) add(category []byte, n uint64) {
	if len(category) > cells.MaxCategoryName {
		t.addLong(sha256.Sum256(category), n)
		return
	}
	i, ok := t.index[string(category)]
	if !ok {
		i = t.grow(len(category))
		t.index[string(category)] = i
	}
	t.counts[i] += n
}

func (t *tally) addLong(sum [sha256.Size]byte, n uint64) {
	i, ok := t.long[sum]
	if !ok {
		i = t.grow(len(sum))
		t.long[sum] = i
	}
	t.counts[i] += n
}

func (t *tally) grow(size int) uint32 {
	t.counts = append(t.counts, 0)
	t.held += size + entryBytes
	return uint32(len(t.counts) - 1)
}

// merge adds what another tally counted.
func (t *tally) merge(other *tally) {
	for name, i := range other.index {
		t.add([]byte(name), other.counts[i])
	}
	for sum, i := range other.long {
		t.addLong(sum, other.counts[i])
	}
}

// countInto counts the categories over cells.
func (t *tally) countInto(counts *cells.Counts) {
	for name, i := range t.index {
		counts.AddCategories([]byte(name), t.counts[i])
	}
	for _, i := range t.long {
		counts.AddOther(t.counts[i])
	}
}

// names returns how often each category was seen, by what to show it as.
func (t *tally) names() map[string]uint64 {
	named := make(map[string]uint64, len(t.counts))
	for name, i := range t.index {
		named[name] = t.counts[i]
	}
	for sum, i := range t.long {
		named[fmt.Sprintf("sha256:%x, longer than %d bytes", sum, cells.MaxCategoryName)] = t.counts[i]
	}
	return named
}

// reduce moves the counts to c, which keeps the names of those only that a cell may be made of.
func (t *tally) reduce(c *reference.Categories) {
	rare := func(n uint64) {
		c.Rare += n
		c.RareDistinct++
		if n == 1 {
			c.RareSingletons++
		}
	}
	for name, i := range t.index {
		if n := t.counts[i]; n < reference.MinCategoryCount {
			rare(n)
		} else {
			c.Counts[name] = n
		}
	}
	for _, i := range t.long {
		rare(t.counts[i])
	}
	if len(c.Counts) <= 2*reference.DefaultMaxCategories {
		return
	}
	names := slices.SortedFunc(maps.Keys(c.Counts), func(a, b string) int {
		return cmp.Or(cmp.Compare(c.Counts[b], c.Counts[a]), cmp.Compare(a, b))
	})
	for _, name := range names[reference.DefaultMaxCategories:] {
		rare(c.Counts[name])
		delete(c.Counts, name)
	}
}

// categoryVisitor reads a column as categories. It is a rows.Visitor.
type categoryVisitor struct {
	parts  []part
	rows   segmentation
	row    int
	buf    []byte
	tallys []*tally        // by part; nil: counted into the parts' counts
	seed   maphash.Seed    // which pass a category is counted in
	passes uint64          // 1: all in one
	pass   uint64          // from 0
	most   int             // bytes to hold
	held   int             // bytes held
	seen   uint64          // values in this pass
	stop   func(err error) // told when there are more
}

func (v *categoryVisitor) part() int {
	if v.rows == nil {
		return 0
	}
	v.row++
	return int(v.rows[v.row-1])
}

// Numbers implements rows.Visitor.
func (v *categoryVisitor) Numbers(xs []float64) {
	for _, x := range xs {
		v.Value(event.Value{Kind: event.ValueNumber, Num: x, Str: nil})
	}
}

// Nulls implements rows.Visitor.
func (v *categoryVisitor) Nulls(n int) {
	if v.rows == nil {
		v.parts[0].missing += uint64(n)
		return
	}
	for range n {
		v.parts[v.part()].missing++
	}
}

// Value implements rows.Visitor.
func (v *categoryVisitor) Value(value event.Value) {
	k := v.part()
	p := &v.parts[k]
	if value.Kind == event.ValueNumber { // a number that is none: as the daemon, which meets them as strings
		switch {
		case math.IsNaN(value.Num):
			p.missing++
			return
		case math.IsInf(value.Num, 0):
			p.inf++
			return
		}
	}
	category, class := value.AppendCategory(v.buf[:0])
	v.buf = category
	switch class {
	case event.ClassValue:
		v.count(k, category)
	case event.ClassMissing:
		p.missing++
	default:
		p.invalid++
	}
}

func (v *categoryVisitor) count(k int, category []byte) {
	if v.tallys == nil {
		v.parts[k].counts.AddCategory(category)
		if k > 0 { // all rows have cells of their own
			v.parts[0].counts.AddCategory(category)
		}
		return
	}
	v.seen++
	if v.passes > 1 && maphash.Bytes(v.seed, category)%v.passes != v.pass {
		return
	}
	t := v.tallys[k]
	before := t.held
	t.add(category, 1)
	if v.held += t.held - before; v.held > v.most {
		v.stop(errTooManyCategories)
	}
}

var errTooManyCategories = errors.New("too many categories at once")

// tallyColumn counts the categories of a column in as many passes as it takes, and hands what each has found to done. Missing and
// other values are counted in the parts, by the last pass.
func (w *worker) tallyColumn(ctx context.Context, t *rows.Table, column int, parts []part, of segmentation, most int, done func(tallys []*tally)) (passes int, err error) {
	v := &categoryVisitor{
		parts: parts, rows: of, row: 0, buf: nil, tallys: nil, seed: maphash.MakeSeed(), passes: 1, pass: 0, most: most, held: 0, seen: 0, stop: nil,
	}
	for {
		for i := range parts {
			parts[i] = part{numbers: parts[i].numbers[:0]}
		}
		inner, cancel := context.WithCancelCause(ctx)
		v.row, v.held, v.seen, v.stop = 0, 0, 0, cancel
		v.tallys = make([]*tally, len(parts))
		for i := range v.tallys {
			v.tallys[i] = newTally()
		}
		err := visit(inner, t, column, v)
		tooMany := errors.Is(context.Cause(inner), errTooManyCategories)
		cancel(nil)
		switch {
		case tooMany:
			if most == heldBytesSciPy {
				return 0, errTooManyCategories
			}
			// As many as would have sufficed if the rows to come are like those before.
			if v.passes *= 1 + max(t.Rows()/max(v.seen, 1), 1); v.passes > mostPasses {
				return 0, fmt.Errorf("column %d: %w", column, errTooManyCategories)
			}
			v.pass = 0
			done(nil)
			continue
		case err != nil:
			return 0, err
		}
		if len(parts) > 1 {
			for _, s := range v.tallys[1:] {
				v.tallys[0].merge(s)
			}
		}
		done(v.tallys)
		if v.pass++; v.pass == v.passes {
			return int(v.passes), nil
		}
	}
}

// visit reads a column; one that is not there is missing in every row.
func visit(ctx context.Context, t *rows.Table, column int, v rows.Visitor) error {
	if column < 0 {
		v.Nulls(int(t.Rows()))
		return nil
	}
	return t.Read(ctx, column, v) //nolint:wrapcheck // it says which file and where
}
