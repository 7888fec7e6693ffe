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
	s := Snapshot{head: m.bytes[begin:len(m.bytes):len(m.bytes)], cells: vector{size: c.cells.size, narrow: nil, wide: nil, packed: c.cells.packed}, n: c.n} // packed is never changed
	switch {
	case c.cells.narrow != nil:
		s.cells.narrow = m.copy(c.cells.narrow)
	case c.cells.wide != nil:
		s.cells.wide = slices.Clone(c.cells.wide)
	}
	return s
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
	memoryChunk = 1 << 18 // counts of one piece of Memory: 1 MB
	memoryKept  = 16      // pieces that outlive a Reset: what 2,000 features of 1,000 points need
)

// Memory is where snapshots lie, so that one after the other need not be allocated. The zero value is empty. It is not safe for concurrent
// use; a snapshot that was made may be used beside the making of others.
type Memory struct {
	bytes []byte
	words [][]uint32 // the last one with room is words[at]
	at    int
}

// Reset takes the memory of all snapshots back, which are not to be used any more.
func (m *Memory) Reset() {
	m.bytes, m.at = m.bytes[:0], 0
	clear(m.words[min(len(m.words), memoryKept):])
	m.words = m.words[:min(len(m.words), memoryKept)]
	for i := range m.words {
		m.words[i] = m.words[i][:0]
	}
}

// copy returns a copy of counts.
func (m *Memory) copy(counts []uint32) []uint32 {
	for m.at < len(m.words) && cap(m.words[m.at])-len(m.words[m.at]) < len(counts) {
		m.at++
	}
	if m.at == len(m.words) {
		m.words = append(m.words, make([]uint32, 0, max(memoryChunk, len(counts))))
	}
	w := m.words[m.at]
	m.words[m.at] = append(w, counts...)
	return m.words[m.at][len(w):]
}
