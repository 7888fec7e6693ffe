package cells

import "encoding/binary"

// wordTable finds a category by its length and its first and last bytes, which tell most sets of categories apart and take no longer for
// long ones. Where too many of them look alike there is none, and the map does it.
type wordTable struct {
	slots []uint16 // 1 + index of the category; 0: empty
	shift uint
}

const (
	maxWords = 4096 // in 32 KiB
	maxProbe = 8
)

// newWordTable returns the table of categories, empty where there can be none.
func newWordTable(categories []string) wordTable {
	if len(categories) == 0 || len(categories) > maxWords {
		return wordTable{slots: nil, shift: 0}
	}
	t := wordTable{slots: make([]uint16, 8), shift: 64 - 3}
	for len(t.slots) < 4*len(categories) {
		t = wordTable{slots: make([]uint16, 2*len(t.slots)), shift: t.shift - 1}
	}
	for k, c := range categories {
		i, probes := t.home([]byte(c)), 0
		for ; t.slots[i] != 0; i = (i + 1) & (len(t.slots) - 1) {
			if probes++; probes == maxProbe {
				return wordTable{slots: nil, shift: 0}
			}
		}
		t.slots[i] = uint16(k + 1)
	}
	return t
}

// home returns where the search for a category begins.
func (t *wordTable) home(v []byte) int {
	var head, tail uint64
	switch n := len(v); {
	case n >= 8:
		head, tail = binary.LittleEndian.Uint64(v), binary.LittleEndian.Uint64(v[n-8:])
	case n >= 4:
		head, tail = uint64(binary.LittleEndian.Uint32(v)), uint64(binary.LittleEndian.Uint32(v[n-4:]))
	case n > 0:
		head, tail = uint64(v[0]), uint64(v[n/2])<<8|uint64(v[n-1])
	}
	const odd1, odd2 = 0x9e3779b97f4a7c15, 0xd6e8feb86659fd93 // of mixing functions in use: any odd numbers with bits all over
	h := (head*odd1 ^ (tail+uint64(len(v)))*odd2)
	return int((h ^ h>>29) * odd1 >> t.shift)
}

// category returns the cell of a category, that of `other` for one that is not tracked.
func (s *Space) category(v []byte) int {
	if t := &s.words; len(t.slots) > 0 {
		for i := t.home(v); t.slots[i] != 0; i = (i + 1) & (len(t.slots) - 1) {
			if at := int(t.slots[i]) - 1; s.categories[at] == string(v) {
				return at
			}
		}
		return len(s.categories)
	}
	if i, ok := s.index[string(v)]; ok {
		return i
	}
	return len(s.categories)
}
