package fold

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/driftd/driftd/alerting"
	"github.com/driftd/driftd/cells"
	"github.com/driftd/driftd/result"
	"github.com/driftd/driftd/window"
)

// The state of a partition is stored as shards: named values that are replaced whole. Many small panes share a shard, a large
// pane is cut by feature range over several, so that a commit stays within a batch's limits.
const (
	stateVersion  = 3         // version 1 knew no extended windows, 2 no segments; they are read
	sourceShards  = 64        // sources are few and small: packed by the hash of their model
	shardEntries  = 64        // blocks of panes that share a shard
	shardTarget   = 256 << 10 // bytes at which a shard takes no new block
	shardMost     = 768 << 10 // bytes at which a shard is split
	unknownSize   = 16 << 10  // guess for a block that was never encoded
	configPart    = 512 << 10 // bytes of a part of the configuration
	configPrefix  = "config."
	panesPrefix   = "panes."
	sourcesPrefix = "sources."
	idsPrefix     = "ids."
)

// Shard is one changed value of the state; Data is nil where it is to be deleted.
type Shard struct {
	Name string
	Data []byte
}

// entry is one block of one pane in a shard.
type entry struct {
	model string
	pane  *window.Pane
	block int
}

// paneShard is a shard that holds blocks of panes that begin at the same time.
type paneShard struct {
	name    string
	start   int64
	entries []entry
	size    int // of its last encoding, or a guess
	dirty   bool
}

// shards keeps what of a partition changed since the last commit, and which shard holds what.
type shards struct {
	byStart map[int64][]*paneShard
	byPane  map[*window.Pane][]*paneShard // by block
	serial  map[int64]int                 // next number of a shard, by start
	dirty   map[*paneShard]bool
	bytes   int // of the dirty ones
	sources map[int]bool
	touched string // the model that was touched last
	deleted map[string]bool
	memory  *cells.Memory // of the last commit's copies, for the next one; nil: none, or they are in use
}

func newShards() *shards {
	return &shards{
		byStart: map[int64][]*paneShard{}, byPane: map[*window.Pane][]*paneShard{}, serial: map[int64]int{},
		dirty: map[*paneShard]bool{}, bytes: 0, sources: map[int]bool{}, touched: "", deleted: map[string]bool{}, memory: nil,
	}
}

func sourceShard(model string) int {
	h := fnv.New32a()
	_, _ = h.Write([]byte(model)) // never fails
	return int(h.Sum32() % sourceShards)
}

func (s *shards) touchSource(model string) {
	if s.touched != model || len(s.sources) == 0 {
		s.touched, s.sources[sourceShard(model)] = model, true
	}
}

// touch notes that a pane changed since it was stored.
func (s *shards) touch(p *window.Pane) {
	p.Dirty = true
	for _, sh := range s.byPane[p] {
		s.mark(sh)
	}
}

func (s *shards) mark(sh *paneShard) {
	if !s.dirty[sh] {
		s.dirty[sh] = true
		s.bytes += sh.size
	}
}

// insert gives every block of a new pane a shard.
func (s *shards) insert(model string, p *window.Pane) {
	for block := range p.Blocks() {
		var sh *paneShard
		if all := s.byStart[p.Key.Start]; len(all) > 0 {
			if last := all[len(all)-1]; len(last.entries) < shardEntries && last.size < shardTarget {
				sh = last
			}
		}
		if sh == nil {
			sh = s.newShard(p.Key.Start)
		}
		s.place(sh, entry{model: model, pane: p, block: block})
		sh.size += unknownSize
		if s.dirty[sh] {
			s.bytes += unknownSize
		}
	}
	s.touch(p)
}

func (s *shards) newShard(start int64) *paneShard {
	sh := &paneShard{name: fmt.Sprintf("%s%d.%d", panesPrefix, start, s.serial[start]), start: start, entries: nil, size: 0, dirty: false}
	s.serial[start]++
	s.byStart[start] = append(s.byStart[start], sh)
	return sh
}

func (s *shards) place(sh *paneShard, e entry) {
	sh.entries = append(sh.entries, e)
	in := s.byPane[e.pane]
	for len(in) <= e.block {
		in = append(in, nil)
	}
	in[e.block] = sh
	s.byPane[e.pane] = in
}

// drop removes a pane that can change no more.
func (s *shards) drop(model string, p *window.Pane) {
	for _, sh := range s.byPane[p] {
		sh.entries = slices.DeleteFunc(sh.entries, func(e entry) bool { return e.pane == p })
		if len(sh.entries) > 0 {
			s.mark(sh)
			continue
		}
		if s.dirty[sh] {
			delete(s.dirty, sh)
			s.bytes -= sh.size
		}
		s.deleted[sh.name] = true
		all := slices.DeleteFunc(s.byStart[sh.start], func(o *paneShard) bool { return o == sh })
		if s.byStart[sh.start] = all; len(all) == 0 {
			delete(s.byStart, sh.start) // serial stays: a name is not used again while its deletion is not committed
		}
	}
	delete(s.byPane, p)
	s.touchSource(model)
}

func (s *shards) dirtyCount() int { return len(s.dirty) + len(s.sources) + len(s.deleted) }
func (s *shards) dirtyBytes() int { return s.bytes }

// header is the partition's state beside sources, panes and ids.
type header struct {
	Version    int                `json:"version"`
	Position   Position           `json:"position"`
	ConfigHash string             `json:"config_hash"`
	Bindings   map[string]Binding `json:"bindings"`
	IDKey      [2]uint64          `json:"id_key"`
	IDTotal    uint64             `json:"id_total"`
	Origins    map[string]origin  `json:"origins,omitempty"`
	Segments   uint64             `json:"segments,omitempty"` // of pending records that were begun
}

// storedSource is a source as it is stored.
type storedSource struct {
	State     window.State        `json:"state"`
	Configs   map[int]ModelConfig `json:"configs"` // by epoch
	Incidents []alerting.Incident `json:"incidents"`
	Queue     []result.Transition `json:"queue,omitempty"`
	Rolling   *rollState          `json:"rolling,omitempty"`
}

// Header returns the partition's head, canonical JSON: the part of the state that every commit replaces.
func (p *Partition) Header() []byte {
	return encode(header{
		Version: stateVersion, Position: p.position, ConfigHash: p.configHash, Bindings: p.bindings,
		IDKey: p.ids.key, IDTotal: p.ids.total, Origins: p.origins, Segments: p.segments,
	})
}

// Taken is what changed since the last Committed, as it was at one moment. What is large is copied in that moment and encoded later.
type Taken struct {
	ready  []Shard
	panes  []takenShard
	memory *cells.Memory
}

// takenShard is a copy of a paneShard.
type takenShard struct {
	of      *paneShard
	name    string
	entries []takenEntry
	was     int // the size that it was taken to have
	size    int // that it has, once it is encoded
}

type takenEntry struct {
	entry
	body window.Block
	most int // bytes of body
}

// Take returns what changed since the last Committed.
func (p *Partition) Take() *Taken {
	p.rest()
	p.runs.flush(p)
	t := &Taken{ready: nil, panes: nil, memory: p.store.memory}
	if p.store.memory = nil; t.memory == nil {
		t.memory = &cells.Memory{}
	}
	for _, sh := range slices.SortedFunc(maps.Keys(p.store.dirty), func(a, b *paneShard) int { return strings.Compare(a.name, b.name) }) {
		p.store.take(sh, t)
	}
	for name := range p.store.deleted {
		t.ready = append(t.ready, Shard{Name: name, Data: nil})
	}
	for k := range p.store.sources {
		t.ready = append(t.ready, p.encodeSources(k))
	}
	if !p.configStored {
		data := encode(p.counting)
		parts := (len(data) + configPart - 1) / configPart
		for i := range max(parts, p.configParts) {
			part := Shard{Name: configPrefix + strconv.Itoa(i), Data: nil}
			if i < parts {
				part.Data = data[i*configPart : min((i+1)*configPart, len(data))]
			}
			t.ready = append(t.ready, part)
		}
		p.configParts = parts
	}
	t.ready = append(t.ready, p.rollChanges()...)
	t.ready = append(t.ready, p.labelChanges()...)
	t.ready = append(t.ready, p.compareChanges()...)
	p.ids.changes(func(name string, data []byte) { t.ready = append(t.ready, Shard{Name: name, Data: data}) })
	return t
}

// Shards returns the shards that changed, sorted by name. It may run beside everything but another one of the same Taken.
func (t *Taken) Shards() []Shard {
	out := slices.Clone(t.ready)
	for i := range t.panes {
		sh := &t.panes[i]
		data := encodeEntries(sh.entries)
		sh.size = len(data)
		out = append(out, Shard{Name: sh.name, Data: data})
	}
	slices.SortFunc(out, func(a, b Shard) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// Stored notes that the shards of t, the last one that was taken, are stored, and takes its memory back.
func (p *Partition) Stored(t *Taken) {
	for i := range t.panes {
		sh := &t.panes[i]
		sh.of.size += sh.size - sh.was
		if p.store.dirty[sh.of] {
			p.store.bytes += sh.size - sh.was
		}
	}
	t.memory.Reset()
	p.store.memory, t.memory = t.memory, nil
}

// Committed notes that the header and all changes were taken to be stored. If they are not, the partition must be restored from what was.
func (p *Partition) Committed() {
	for sh := range p.store.dirty {
		for _, e := range sh.entries {
			e.pane.Dirty = false
		}
	}
	clear(p.store.dirty)
	clear(p.store.sources)
	clear(p.store.deleted)
	maps.DeleteFunc(p.store.serial, func(start int64, _ int) bool { return p.store.byStart[start] == nil })
	p.store.bytes = 0
	p.configStored = true
	p.rollCommitted()
	p.labelsCommitted()
	p.compareCommitted()
	p.ids.clean()
}

func (p *Partition) encodeSources(k int) Shard {
	var in []storedSource
	for _, name := range slices.Sorted(maps.Keys(p.sources)) {
		if sourceShard(name) == k {
			s := p.sources[name]
			configs := map[int]ModelConfig{}
			for _, e := range s.Epochs {
				configs[e.ID] = s.configs[e.ID]
			}
			st := storedSource{State: s.State(), Configs: configs, Incidents: s.book.Incidents(), Queue: s.queue, Rolling: nil}
			if s.rolling != nil {
				st.Rolling = &s.rolling.rollState
			}
			in = append(in, st)
		}
	}
	return Shard{Name: sourcesPrefix + strconv.Itoa(k), Data: encode(in)}
}

// take copies a shard, split into as many shards as its bytes may need: how many they are is known only when they are encoded, and
// then it is too late for a name.
func (s *shards) take(sh *paneShard, t *Taken) {
	entries, most := make([]takenEntry, len(sh.entries)), 0
	for i, e := range sh.entries {
		entries[i] = takenEntry{entry: e, body: e.pane.TakeBlock(e.block, t.memory), most: 0}
		entries[i].most = entries[i].body.MaxLen() + e.mostHead()
		most += entries[i].most
	}
	s.divide(sh, entries, most, t)
}

// divide splits a shard in halves until each fits.
func (s *shards) divide(sh *paneShard, entries []takenEntry, most int, t *Taken) {
	if most <= shardMost || len(entries) == 1 {
		t.panes = append(t.panes, takenShard{of: sh, name: sh.name, entries: entries, was: sh.size, size: 0})
		return
	}
	other := s.newShard(sh.start)
	half, head := len(entries)/2, 0
	for i := range half {
		head += entries[i].most
	}
	for _, e := range sh.entries[half:] {
		s.place(other, e)
	}
	sh.entries = sh.entries[:half:half]
	other.size = sh.size - sh.size/2
	sh.size /= 2
	s.dirty[other] = true // and together they are as large as before
	s.divide(sh, entries[:half], head, t)
	s.divide(other, entries[half:], most-head, t)
}

// mostHead bounds what encodeEntries writes before the block.
func (e *entry) mostHead() int {
	k := e.pane.Key
	return len(e.model) + len(k.Version) + len(k.Segment) + len(k.Fingerprint) + 4*2 + 3*binary.MaxVarintLen64
}

func encodeEntries(entries []takenEntry) []byte {
	b := []byte{stateVersion}
	var block []byte
	for i := range entries {
		e := &entries[i]
		k := e.pane.Key
		b = window.AppendString(b, e.model)
		b = window.AppendString(b, k.Version)
		b = window.AppendString(b, k.Segment)
		b = window.AppendString(b, k.Fingerprint)
		b = binary.AppendVarint(b, k.Start)
		b = binary.AppendUvarint(b, uint64(e.block))
		block = e.body.Append(block[:0])
		b = binary.AppendUvarint(b, uint64(len(block)))
		b = append(b, block...)
	}
	return b
}

// Restore returns the partition of a stored state: a header and all live shards. Panes that it restores are in their compact
// form. What was due when the commit was taken and did not go into it comes with the next Apply, or Settle.
func Restore(stream string, head []byte, stored map[string][]byte, refs References, budget Budget) (*Partition, error) {
	var h header
	dec := json.NewDecoder(bytes.NewReader(head))
	if err := dec.Decode(&h); err != nil {
		return nil, fmt.Errorf("reading the state's header: %w", err)
	}
	if err := h.check(); err != nil {
		return nil, err
	}
	counting, parts, err := storedCounting(stored)
	if err != nil {
		return nil, err
	}
	p := New(stream, counting, h.IDKey, refs, budget)
	p.position, p.configHash, p.configStored, p.configParts = h.Position, h.ConfigHash, true, parts
	p.at = record{h.Position.Next(), -1}
	if h.Bindings != nil {
		p.bindings = h.Bindings
	}
	if h.Origins != nil {
		p.origins = h.Origins
	}
	if err := p.restoreFrames(stored); err != nil {
		return nil, err
	}
	segments := map[uint64][]byte{}
	for _, name := range slices.Sorted(maps.Keys(stored)) {
		var err error
		switch {
		case strings.HasPrefix(name, sourcesPrefix):
			err = p.restoreSources(stored[name])
		case strings.HasPrefix(name, idsPrefix):
			var seg uint64
			if seg, err = strconv.ParseUint(strings.TrimPrefix(name, idsPrefix), 10, 64); err == nil {
				segments[seg] = stored[name]
			}
		case strings.HasPrefix(name, rollPrefix), strings.HasPrefix(name, labelsPrefix), // after the sources
			strings.HasPrefix(name, comparePrefix), strings.HasPrefix(name, pairsPrefix):
		case !strings.HasPrefix(name, panesPrefix) && !strings.HasPrefix(name, configPrefix):
			err = errors.New("unknown kind of shard")
		}
		if err != nil {
			return nil, fmt.Errorf("restoring %s: %w", name, err)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(stored)) { // panes need their sources
		if strings.HasPrefix(name, panesPrefix) {
			if err := p.restorePanes(name, stored[name]); err != nil {
				return nil, fmt.Errorf("restoring %s: %w", name, err)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(stored)) {
		if strings.HasPrefix(name, bucketPrefix) || strings.HasPrefix(name, samplePrefix) {
			if err := p.restoreRolling(name, stored[name]); err != nil {
				return nil, fmt.Errorf("restoring %s: %w", name, err)
			}
		}
	}
	if err := p.restoreLabels(stored); err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(stored)) {
		if strings.HasPrefix(name, comparePrefix) || strings.HasPrefix(name, pairsPrefix) {
			if err := p.restoreComparisons(name, stored[name]); err != nil {
				return nil, fmt.Errorf("restoring %s: %w", name, err)
			}
		}
	}
	p.segments = h.Segments
	ids, err := restoreIDs(counting.DedupIDs, h.IDKey, h.IDTotal, segments)
	if err != nil {
		return nil, err
	}
	p.ids = ids
	for _, name := range slices.Sorted(maps.Keys(p.sources)) {
		p.moved = append(p.moved, p.sources[name]) // a commit may have come before all was emitted
	}
	return p, nil
}

func (p *Partition) restoreSources(data []byte) error {
	var in []storedSource
	if err := json.Unmarshal(data, &in); err != nil {
		return fmt.Errorf("reading sources: %w", err)
	}
	for _, st := range in {
		s := &source{
			Source: window.Restore(st.State), configs: st.Configs, binders: map[string]*binder{},
			book: alerting.Restore(st.Incidents), queue: st.Queue, last: slot{}, rolling: nil, divided: nil, labels: nil, comparisons: nil,
		}
		if st.Rolling != nil {
			s.rolling = newRolling(*st.Rolling)
		}
		for _, e := range s.Epochs {
			b, err := p.binder(s, e.Fingerprint)
			if err != nil {
				return err
			}
			s.binders[e.Fingerprint] = b
		}
		p.sources[s.Model] = s
	}
	return nil
}

func (p *Partition) restorePanes(name string, data []byte) error {
	corrupt := func(what string) error { return fmt.Errorf("stored panes are corrupt: %s", what) }
	start, number, ok := strings.Cut(strings.TrimPrefix(name, panesPrefix), ".")
	at, err1 := strconv.ParseInt(start, 10, 64)
	serial, err2 := strconv.Atoi(number)
	if !ok || err1 != nil || err2 != nil {
		return corrupt("name")
	}
	if len(data) == 0 || data[0] == 0 || data[0] > stateVersion {
		return corrupt("version")
	}
	encoding := data[0]
	sh := &paneShard{name: name, start: at, entries: nil, size: len(data), dirty: false}
	p.store.byStart[at] = append(p.store.byStart[at], sh)
	p.store.serial[at] = max(p.store.serial[at], serial+1)
	r := reader{b: data[1:], bad: false}
	for len(r.b) > 0 && !r.bad {
		model, version, segment := r.str(), r.str(), ""
		if encoding > 2 {
			segment = r.str()
		}
		fp := r.str()
		key := window.PaneKey{Start: r.varint(), Version: version, Fingerprint: fp, Segment: segment}
		if encoding == 1 {
			r.varint() // when it closes, which follows from the windows
		}
		block := int(r.uvarint())
		body := r.bytes()
		s := p.sources[model]
		if r.bad || s == nil || key.Start != at {
			return corrupt("entry of model " + strconv.Quote(model))
		}
		b, err := p.binder(s, fp)
		if err != nil {
			return err
		}
		s.binders[fp] = b
		pane := s.Panes[key]
		if pane == nil {
			pane = window.NewPane(key, b.ref, b.bounds)
			pane.Compact()
			s.Adopt(pane)
		}
		if err := pane.DecodeBlock(encoding, body, block, b.ref); err != nil {
			return err
		}
		p.store.place(sh, entry{model: model, pane: pane, block: block})
	}
	if r.bad {
		return corrupt("end")
	}
	return nil
}

// reader reads the parts of an encoding; bad is set where they end too early.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.b, r.bad = nil, true
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) varint() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.b, r.bad = nil, true
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) bytes() []byte {
	n := r.uvarint()
	if n > uint64(len(r.b)) {
		r.b, r.bad = nil, true
		return nil
	}
	out := r.b[:n]
	r.b = r.b[n:]
	return out
}

func (r *reader) str() string { return string(r.bytes()) }
