package fold

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/dchest/siphash"
)

// idHash is a keyed 128-bit hash of what makes a record the same: two different records collide with probability 2^-128
// per pair, and nobody who does not know the key can make them collide.
type idHash [2]uint64

// segmentIDs is how many ids a stored segment holds (128 KiB).
const segmentIDs = 8192

// idSet remembers the last n ids of a partition in stream order: a ring, and an open-addressing index into it. It takes 20
// bytes an id for the ring and 8 bytes a slot for two to four slots an id: a slot holds so much of the hash that neither a search nor a
// removal has to look into the ring for another id than its own, which would be a miss of the caches each.
type idSet struct {
	key    [2]uint64
	n      int
	ring   []idHash          // grows to n
	times  []uint32          // when the broker stored them, Unix seconds; 0 where a state of before does not say
	base   uint64            // number of the first id that was in the ring; id i lies at ring[(i-base)%n]
	total  uint64            // ids ever added
	slots  []uint64          // the low half of the hash's first word above, 1 + index into ring below; 0 is empty
	dirty  map[uint64][]byte // segments that changed; with what is to be stored where that is known already
	open   bool              // the segment of the newest id changed, too
	oldest uint64            // first segment that is stored
	buf    []byte

	of       [2]string         // model and version of the event that was hashed last
	event    []byte            // what of it is hashed
	prefix   int               // how much of that is of the model and the version
	expected [readAhead][]byte // ids of events that probably come soon, of the model and the version of the last one
	hashes   [readAhead]idHash // theirs
	present  int               // the next of expected
	end      int               // behind the last
	pause    int               // how many events to come are let go by, because something else came than was expected
	penalty  int               // the next pause
	warmed   uint64            // of what was read ahead, so that the reading happens
}

// readAhead is for how many ids at a time the slots are read, before they are looked for or forgotten: each is far away in memory, and together
// they take no longer than one.
const readAhead = 16

// maxPause bounds how many events go by between two attempts to know what comes next.
const maxPause = 1024

func newIDSet(n int, key [2]uint64) *idSet {
	return &idSet{
		key: key, n: n, ring: nil, times: nil, base: 0, total: 0, slots: make([]uint64, 1024), dirty: map[uint64][]byte{}, open: false, oldest: 0, buf: nil,
		of: [2]string{}, event: nil, prefix: 0, expected: [readAhead][]byte{}, hashes: [readAhead]idHash{}, present: 0, end: 0, pause: 0, penalty: 0, warmed: 0,
	}
}

// hash returns the hash of length-prefixed parts, so that no two lists of parts share it by their bytes.
func (s *idSet) hash(parts ...[]byte) idHash {
	b := s.buf[:0]
	for _, p := range parts {
		b = appendPart(b, p)
	}
	return s.sum(b)
}

// hashEvent is hash of what makes an event the same as another, and allocates nothing.
func (s *idSet) hashEvent(model string, version, id []byte) idHash {
	if s.present < s.end {
		i := s.present
		if s.present++; bytes.Equal(s.expected[i], id) && s.of[0] == model && s.of[1] == string(version) {
			s.penalty = 0
			return s.hashes[i]
		}
		s.end, s.pause = 0, s.penalty // the next ones come later, or not at all
		s.penalty = min(2*s.penalty+1, maxPause)
	}
	s.begin(model, version)
	s.event = appendPart(s.event[:s.prefix], id)
	lo, hi := siphash.Hash128(s.key[0], s.key[1], s.event)
	return idHash{lo, hi}
}

// begin makes what is hashed begin with a model and a version.
func (s *idSet) begin(model string, version []byte) {
	if s.prefix == 0 || s.of[0] != model || s.of[1] != string(version) {
		s.of = [2]string{model, string(version)}
		s.event = appendPart(appendPart(appendPart(s.event[:0], "e"), model), version)
		s.prefix = len(s.event)
	}
}

// curious says whether it is time for expect: not where something is expected still, nor soon after something else came.
func (s *idSet) curious() bool {
	if s.pause > 0 {
		s.pause--
		return false
	}
	return s.present >= s.end
}

// expect prepares for ids that probably come next, of events of the model and the version of the last one.
func (s *idSet) expect(ids [][]byte) {
	if s.prefix == 0 {
		return
	}
	ids = ids[:min(len(ids), readAhead)]
	s.hashAll(ids)
	for i, id := range ids {
		s.expected[i] = append(s.expected[i][:0], id...)
	}
	s.present, s.end = 0, len(ids)
}

// hashEvents returns the hashes of at most readAhead ids that come next, of events of one model and one version.
func (s *idSet) hashEvents(model string, version []byte, ids [][]byte) *[readAhead]idHash {
	s.begin(model, version)
	s.hashAll(ids)
	s.present, s.end = 0, 0
	return &s.hashes
}

// hashAll hashes ids of events of the model and the version of the last one, and reads their slots.
func (s *idSet) hashAll(ids [][]byte) {
	for i, id := range ids {
		s.event = appendPart(s.event[:s.prefix], id)
		lo, hi := siphash.Hash128(s.key[0], s.key[1], s.event)
		s.hashes[i] = idHash{lo, hi}
	}
	// On their own: between two of them there is so little to do that they wait together.
	slots, mask, warmed := s.slots, uint64(len(s.slots)-1), uint64(0)
	for i := range ids {
		warmed ^= slots[s.hashes[i][0]&math.MaxUint32&mask]
	}
	s.warmed ^= warmed
}

// expectForgetting does the same for the ids that are forgotten next, of which the one at an index of the ring is the first.
func (s *idSet) expectForgetting(at int) {
	slots, mask, warmed := s.slots, uint64(len(s.slots)-1), uint64(0)
	for _, h := range s.ring[min(at+readAhead, s.n):min(at+2*readAhead, s.n)] {
		warmed ^= slots[h[0]&math.MaxUint32&mask]
	}
	s.warmed ^= warmed
}

func appendPart[T string | []byte](b []byte, part T) []byte {
	return append(binary.AppendUvarint(b, uint64(len(part))), part...)
}

// sum returns the hash of b, which it keeps as scratch.
func (s *idSet) sum(b []byte) idHash {
	s.buf = b
	lo, hi := siphash.Hash128(s.key[0], s.key[1], b)
	return idHash{lo, hi}
}

// add remembers an id that came at a broker's time and reports whether it was there already.
func (s *idSet) add(h idHash, now int64) (repeated bool) {
	if s.n == 0 {
		return false
	}
	if s.find(h) {
		return true
	}
	at := s.at(s.total)
	if len(s.ring) < s.n {
		if 2*(len(s.ring)+1) > len(s.slots) {
			s.index(2 * len(s.slots))
		}
		if len(s.ring) == cap(s.ring) || len(s.times) == cap(s.times) {
			s.grow()
		}
		s.ring, s.times = append(s.ring, h), append(s.times, seconds(now))
	} else {
		if at%readAhead == 0 {
			s.expectForgetting(at)
		}
		s.remove(slotOf(s.ring[at], at))
		s.ring[at], s.times[at] = h, seconds(now)
	}
	s.insert(slotOf(h, at))
	s.open = true
	if s.total++; s.total%segmentIDs == 0 {
		// Full: encoded here and now, and not with all others in the pause for a commit.
		s.open, s.dirty[s.total/segmentIDs-1] = false, s.encode(s.total/segmentIDs-1)
	}
	return false
}

// grow makes room for twice as many ids, as far as they are remembered: append would copy large ones five times on the way.
func (s *idSet) grow() {
	room := min(max(1024, 2*len(s.ring)), s.n)
	s.ring = append(make([]idHash, 0, room), s.ring...)
	s.times = append(make([]uint32, 0, room), s.times...)
}

// seconds cuts a time in milliseconds to what is kept of it.
func seconds(ms int64) uint32 { return uint32(min(max(ms/1000, 0), math.MaxUint32)) }

// short reports whether ids that came within the last milliseconds before now are forgotten.
func (s *idSet) short(now, horizon int64) bool {
	if horizon == 0 || s.total == uint64(len(s.ring)) {
		return false
	}
	return len(s.ring) == 0 || int64(seconds(now))-int64(s.times[s.at(s.total-uint64(len(s.ring)))]) < horizon/1000
}

// slotOf returns the slot's content for an id at an index of the ring.
func slotOf(h idHash, at int) uint64 { return h[0]<<32 | uint64(at+1) }

// home returns where the search for a slot's content begins. There are fewer than 2^32 slots.
func (s *idSet) home(slot uint64) uint64 { return slot >> 32 & uint64(len(s.slots)-1) }

func (s *idSet) find(h idHash) bool {
	want := slotOf(h, 0)
	mask := uint64(len(s.slots) - 1)
	for i := s.home(want); s.slots[i] != 0; i = (i + 1) & mask {
		if s.slots[i]>>32 == want>>32 && s.ring[uint32(s.slots[i])-1] == h {
			return true
		}
	}
	return false
}

func (s *idSet) insert(slot uint64) {
	mask := uint64(len(s.slots) - 1)
	i := s.home(slot)
	for s.slots[i] != 0 {
		i = (i + 1) & mask
	}
	s.slots[i] = slot
}

// remove deletes a slot and shifts back what lies behind it, so that no search ends early (Knuth, vol. 3, 6.4, algorithm R).
func (s *idSet) remove(slot uint64) {
	mask := uint64(len(s.slots) - 1)
	i := s.home(slot)
	for s.slots[i] != slot {
		i = (i + 1) & mask
	}
	for j := (i + 1) & mask; s.slots[j] != 0; j = (j + 1) & mask {
		if home := s.home(s.slots[j]); (j-home)&mask >= (j-i)&mask {
			s.slots[i] = s.slots[j]
			i = j
		}
	}
	s.slots[i] = 0
}

// at returns where id i lies in the ring.
func (s *idSet) at(i uint64) int { return int((i - s.base) % uint64(s.n)) }

// index builds the index anew with a number of slots, a power of two.
func (s *idSet) index(slots int) {
	s.slots = make([]uint64, slots)
	for i, h := range s.ring {
		s.insert(slotOf(h, i))
	}
}

// segmentName returns the name of a stored segment.
func segmentName(seg uint64) string { return fmt.Sprintf("ids.%d", seg) }

// changes yields the segments that changed since the last call of clean, and those that are no longer needed with nil.
func (s *idSet) changes(yield func(name string, data []byte)) {
	if s.open {
		s.dirty[(s.total-1)/segmentIDs] = nil
	}
	for _, seg := range slices.Sorted(maps.Keys(s.dirty)) {
		if seg < s.firstNeeded() {
			continue // all of it is forgotten since
		}
		data := s.dirty[seg]
		if data == nil || seg*segmentIDs < s.total-uint64(len(s.ring)) { // some of it is forgotten since
			data = s.encode(seg)
		}
		yield(segmentName(seg), data)
	}
	for seg := s.oldest; seg < s.firstNeeded(); seg++ {
		yield(segmentName(seg), nil)
	}
}

// changeCount returns how many messages changes will take.
func (s *idSet) changeCount() int {
	n := len(s.dirty) + int(s.firstNeeded()-s.oldest)
	if s.open {
		n++
	}
	return n
}

// firstNeeded returns the first segment that holds an id of the ring.
func (s *idSet) firstNeeded() uint64 { return (s.total - uint64(len(s.ring))) / segmentIDs }

func (s *idSet) clean() {
	clear(s.dirty)
	s.open = false
	s.oldest = s.firstNeeded()
}

// segmentMark begins a segment that says when its ids came. Segments of before begin with a number, which is never encoded so.
const segmentMark = "\x80\x00"

// encode returns a segment's bytes: how many ids, the ids, and when they came: for each run of one second how many, and how many
// seconds after the one before.
func (s *idSet) encode(seg uint64) []byte {
	from, to := max(seg*segmentIDs, s.total-uint64(len(s.ring))), min((seg+1)*segmentIDs, s.total)
	b := append(make([]byte, 0, 32+16*(to-from)), segmentMark...)
	b = binary.AppendUvarint(b, to-from)
	for i := from; i < to; i++ {
		h := s.ring[s.at(i)]
		b = binary.LittleEndian.AppendUint64(b, h[0])
		b = binary.LittleEndian.AppendUint64(b, h[1])
	}
	last := int64(0)
	for i := from; i < to; {
		at, run := s.times[s.at(i)], uint64(0)
		for ; i < to && s.times[s.at(i)] == at; i++ {
			run++
		}
		b = binary.AppendVarint(binary.AppendUvarint(b, run), int64(at)-last)
		last = int64(at)
	}
	return b
}

// decode appends a segment's ids to the ring.
func (s *idSet) decode(b []byte) bool {
	b, timed := bytes.CutPrefix(b, []byte(segmentMark))
	n, k := binary.Uvarint(b)
	if k <= 0 {
		return false
	}
	if b = b[k:]; !timed {
		n = uint64(len(b) / 16)
	}
	if n > uint64(len(b)/16) || !timed && len(b)%16 != 0 {
		return false
	}
	for ; n > 0; n, b = n-1, b[16:] {
		s.ring = append(s.ring, idHash{binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[8:])})
	}
	last := int64(0)
	r := reader{b: b, bad: false}
	for len(s.times) < len(s.ring) && timed && !r.bad {
		run, delta := r.uvarint(), r.varint()
		if last += delta; run == 0 || run > uint64(len(s.ring)-len(s.times)) || last < 0 || last > math.MaxUint32 {
			return false
		}
		for range run {
			s.times = append(s.times, uint32(last))
		}
	}
	for !timed && len(s.times) < len(s.ring) {
		s.times = append(s.times, 0)
	}
	return !r.bad && len(r.b) == 0
}

// restoreIDs rebuilds the set from its stored segments. With a larger n than before it begins to fill, with a smaller one it
// keeps the newest.
func restoreIDs(n int, key [2]uint64, total uint64, segments map[uint64][]byte) (*idSet, error) {
	s := newIDSet(n, key)
	for i, seg := range slices.Sorted(maps.Keys(segments)) {
		if i == 0 {
			s.oldest = seg
		}
		if !s.decode(segments[seg]) {
			return nil, fmt.Errorf("stored id segment %d is corrupt", seg)
		}
	}
	if uint64(len(s.ring)) > total {
		return nil, fmt.Errorf("stored id segments hold %d ids, but only %d were added", len(s.ring), total)
	}
	s.ring, s.times = s.ring[max(0, len(s.ring)-n):], s.times[max(0, len(s.times)-n):]
	s.total, s.base = total, total-uint64(len(s.ring))
	slots := len(s.slots)
	for 2*(len(s.ring)+1) > slots {
		slots *= 2
	}
	s.index(slots)
	return s, nil
}

// resize changes how many ids are remembered; the newest are kept.
func (s *idSet) resize(n int) {
	if n == s.n {
		return
	}
	kept, times := make([]idHash, 0, min(n, len(s.ring))), make([]uint32, 0, min(n, len(s.ring)))
	for i := s.total - uint64(min(n, len(s.ring))); i < s.total; i++ {
		kept, times = append(kept, s.ring[s.at(i)]), append(times, s.times[s.at(i)])
	}
	if len(kept) < len(s.ring) {
		s.dirty[(s.total-uint64(len(kept)))/segmentIDs] = nil // what is forgotten must not come back after a restart
	}
	s.n, s.ring, s.times, s.base = n, kept, times, s.total-uint64(len(kept))
	slots := 1024
	for 2*(len(kept)+1) > slots {
		slots *= 2
	}
	s.index(slots)
}
