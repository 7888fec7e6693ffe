package cells

import (
	"slices"

	"github.com/driftd/driftd/internal/exact/wire"
)

// Snapshot is what Counts were at one moment, to be encoded later, beside whoever goes on counting.
type Snapshot struct {
	head  []byte // the encoding but for the cells
	cells vector
	n     uint64 // values in them, at most
}

// Snapshot copies what may change. m gives the memory, until it is reset.
func (c *Counts) Snapshot(m *Memory) Snapshot {
	begin := len(m.bytes)
	m.bytes = c.appendHead(m.bytes)
	v := vector{size: c.cells.size, short: nil, narrow: nil, wide: nil, packed: c.cells.packed} // packed is never changed
	switch {
	case c.cells.short != nil:
		v.short = m.short.copy(c.cells.short)
	case c.cells.narrow != nil:
		v.narrow = m.narrow.copy(c.cells.narrow)
	case c.cells.wide != nil:
		v.wide = slices.Clone(c.cells.wide)
	}
	return Snapshot{head: m.bytes[begin:len(m.bytes):len(m.bytes)], cells: v, n: c.n}
}

// AppendBinary appends what that of the Counts would have appended at that moment.
func (s *Snapshot) AppendBinary(b []byte) []byte { return s.cells.appendBinary(append(b, s.head...)) }

// MaxEncodedLen is an upper bound of what AppendBinary appends, found without looking at every cell.
func (s *Snapshot) MaxEncodedLen() int {
	v := &s.cells
	if v.packed != nil {
		return len(s.head) + len(v.packed)
	}
	n := 1 + 4*v.size
	if v.wide != nil {
		n = 1 + 8*v.size
	}
	if s.n < uint64(v.size) { // a value takes a byte, the gap before it a number of at most that many cells, and every 16th one more
		n = min(n, 1+wire.UvarintLen(s.n)+int(s.n)*(2+wire.UvarintLen(uint64(v.size))))
	}
	return len(s.head) + n
}

const (
	memoryPiece = 1 << 18 // counts in one piece of Memory: 512 KB, or 1 MB of 32 bits
	memoryKept  = 16      // pieces of each width that outlive a Reset: what 2,000 features of 1,000 points need
)

// Memory is where snapshots lie, so that one after the other need not be allocated. The zero value is empty. It is not safe for concurrent
// use; a snapshot that was made may be used beside the making of others.
type Memory struct {
	bytes  []byte
	short  pieces[uint16]
	narrow pieces[uint32]
}

// Reset takes the memory of all snapshots back, which are not to be used any more.
func (m *Memory) Reset() {
	m.bytes = m.bytes[:0]
	m.short.reset()
	m.narrow.reset()
}

// pieces is memory for counts of one width.
type pieces[T uint16 | uint32] struct {
	all [][]T
	at  int // the piece that is being filled
}

func (p *pieces[T]) reset() {
	clear(p.all[min(len(p.all), memoryKept):])
	p.all, p.at = p.all[:min(len(p.all), memoryKept)], 0
	for i := range p.all {
		p.all[i] = p.all[i][:0]
	}
}

// copy returns a copy of counts.
func (p *pieces[T]) copy(counts []T) []T {
	for p.at < len(p.all) && cap(p.all[p.at])-len(p.all[p.at]) < len(counts) {
		p.at++
	}
	if p.at == len(p.all) {
		p.all = append(p.all, make([]T, 0, max(memoryPiece, len(counts))))
	}
	w := p.all[p.at]
	p.all[p.at] = append(w, counts...)
	return p.all[p.at][len(w):]
}
