package window

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/driftd/driftd/cells"
	"github.com/driftd/driftd/event"
	"github.com/driftd/driftd/reference"
)

// maxStatuses bounds the distinct response statuses of a base pane; the rest is counted as `other`.
const maxStatuses = 32

// PaneKey names one pane of a source. Version is empty for what belongs to no version: labels, late and refused records. Segment is
// empty for all events of the version, else a dimension and its value: what is in such a pane is in that of all as well.
type PaneKey struct {
	Start       int64
	Version     string
	Fingerprint string
	Segment     string
}

func (k PaneKey) compare(o PaneKey) int {
	return cmp.Or(cmp.Compare(k.Start, o.Start), k.comparePart(o), cmp.Compare(k.Fingerprint, o.Fingerprint))
}

// comparePart orders panes by what of the events they are about.
func (k PaneKey) comparePart(o PaneKey) int {
	return cmp.Or(cmp.Compare(k.Version, o.Version), cmp.Compare(k.Segment, o.Segment))
}

// part is the key of the same part of the events in another stretch of time.
func (k PaneKey) part(start int64) PaneKey {
	return PaneKey{Start: start, Version: k.Version, Fingerprint: k.Fingerprint, Segment: k.Segment}
}

// sameSeries reports whether two panes are about the same part of the events, over one reference.
func (k PaneKey) sameSeries(o PaneKey) bool { return k.part(0) == o.part(0) }

// Tally is the additive scalars of a pane or a window. Every field is a count.
type Tally struct {
	Events, Labels, Late, LateAccepted, Duplicate, WithoutID, Future uint64
	UnknownFeature, DuplicateKey, LatencyInvalid, Errors, Lost       uint64
	Rejected                                                         [event.RejectPanic + 1]uint64
	DedupShort                                                       uint64
}

// fields lists the scalars in their encoded order; a new one is appended, never inserted.
func (t *Tally) fields() []*uint64 {
	out := make([]*uint64, 0, 13+len(t.Rejected))
	out = append(out,
		&t.Events, &t.Labels, &t.Late, &t.LateAccepted, &t.Duplicate, &t.WithoutID, &t.Future,
		&t.UnknownFeature, &t.DuplicateKey, &t.LatencyInvalid, &t.Errors, &t.Lost,
	)
	for i := range t.Rejected {
		out = append(out, &t.Rejected[i])
	}
	return append(out, &t.DedupShort)
}

// Add adds o to t.
func (t *Tally) Add(o *Tally) {
	theirs := o.fields()
	for i, f := range t.fields() {
		*f += *theirs[i]
	}
}

// Pane is the counts of one base pane, one version, one segment, one reference: the unit of state. It only ever grows.
type Pane struct {
	Key      PaneKey
	Tally    Tally
	Status   map[string]*uint64 // events by response status as written, bounded
	LateFor  map[Spec]uint64    // records that windows of this kind could not take any more, while others could
	Latency  *cells.Histogram
	Features []*cells.Counts // one for each feature of the reference, in its order; nil without a reference

	Dirty  bool  // for its owner: changed since it was stored
	bounds []int // how its features are cut into blocks, see BlockBounds
}

// NewPane returns an empty pane. ref is nil for a model without a reference; bounds is BlockBounds(ref).
func NewPane(key PaneKey, ref *reference.Reference, bounds []int) *Pane {
	p := &Pane{
		Key: key, Tally: Tally{}, Status: map[string]*uint64{}, LateFor: map[Spec]uint64{}, Latency: cells.NewHistogram(), Features: nil,
		Dirty: false, bounds: nil,
	}
	if ref != nil && key.Version != "" {
		p.bounds = bounds
		p.Features = make([]*cells.Counts, len(ref.Features))
		for i := range ref.Features {
			p.Features[i] = cells.NewCounts(ref.Features[i].Space)
		}
	}
	return p
}

// add adds what another pane over the same reference counted.
func (p *Pane) add(o *Pane) {
	p.Tally.Add(&o.Tally)
	for s, n := range o.Status {
		p.addStatus(s, *n)
	}
	for s, n := range o.LateFor {
		p.LateFor[s] += n
	}
	if err := p.Latency.Merge(o.Latency); err != nil {
		panic(fmt.Sprintf("BUG: latencies that do not add: %v", err))
	}
	for i, c := range p.Features {
		if err := c.Merge(o.Features[i]); err != nil {
			panic(fmt.Sprintf("BUG: panes of one reference that do not add: %v", err))
		}
	}
}

// Blocks returns into how many blocks the pane's encoding is cut.
func (p *Pane) Blocks() int { return max(1, len(p.bounds)) }

// CountStatus counts the response status of n events.
func (p *Pane) CountStatus(status []byte, n uint64) {
	switch known := p.Status[string(status)]; { // a look-up allocates nothing, unlike an assignment
	case known != nil:
		*known += n
	case len(p.Status) >= maxStatuses:
		p.addStatus("other", n)
	default:
		p.addStatus(string(status), n)
	}
}

func (p *Pane) addStatus(status string, n uint64) {
	if p.Status[status] == nil {
		p.Status[status] = new(uint64)
	}
	*p.Status[status] += n
}

// Compact gives up the fast form of the counts: an older pane takes few events and little memory.
func (p *Pane) Compact() {
	for _, c := range p.Features {
		c.Compact()
	}
}

// blockBytes is the most that the feature counts of one block may take, by the upper bound of their encoding.
const blockBytes = 384 << 10

// BlockBounds cuts a reference's features into ranges [b[i], b[i+1]) whose encoded counts stay below a message's size,
// whatever is counted.
func BlockBounds(ref *reference.Reference) []int {
	if ref == nil {
		return nil
	}
	bounds, size := []int{0}, 0
	for i := range ref.Features {
		n := cells.NewCounts(ref.Features[i].Space).MaxEncodedLen()
		if size > 0 && size+n > blockBytes {
			bounds, size = append(bounds, i), 0
		}
		size += n
	}
	return append(bounds, len(ref.Features))
}

// AppendBlock appends one block of the pane's canonical encoding: block 0 is the scalars and the latency, block i > 0 the
// i-th range of features.
func (p *Pane) AppendBlock(b []byte, block int) []byte {
	if block > 0 {
		for _, c := range p.Features[p.bounds[block-1]:p.bounds[block]] {
			b = c.AppendBinary(b)
		}
		return b
	}
	fields := p.Tally.fields()
	b = binary.AppendUvarint(b, uint64(len(fields)))
	for _, f := range fields {
		b = binary.AppendUvarint(b, *f)
	}
	b = binary.AppendUvarint(b, uint64(len(p.Status)))
	for _, s := range slices.Sorted(maps.Keys(p.Status)) {
		b = AppendString(b, s)
		b = binary.AppendUvarint(b, *p.Status[s])
	}
	specs := slices.SortedFunc(maps.Keys(p.LateFor), Spec.compare)
	b = binary.AppendUvarint(b, uint64(len(specs)))
	for _, s := range specs {
		for _, v := range []uint64{uint64(s.Size), uint64(s.Every), s.MinEvents, uint64(s.ExtendTo)} {
			b = binary.AppendUvarint(b, v)
		}
		b = binary.AppendUvarint(b, p.LateFor[s])
	}
	return p.Latency.AppendBinary(b)
}

// Block is one block of a pane as it was at one moment, to be encoded later, beside whoever goes on counting.
type Block struct {
	scalars []byte // of block 0, encoded
	counts  []cells.Snapshot
}

// TakeBlock copies one block. m gives the memory, until it is reset.
func (p *Pane) TakeBlock(block int, m *cells.Memory) Block {
	if block == 0 {
		return Block{scalars: p.AppendBlock(nil, 0), counts: nil}
	}
	features := p.Features[p.bounds[block-1]:p.bounds[block]]
	b := Block{scalars: nil, counts: make([]cells.Snapshot, len(features))}
	for i, c := range features {
		b.counts[i] = c.Snapshot(m)
	}
	return b
}

// Append appends what AppendBlock would have appended at that moment.
func (k *Block) Append(b []byte) []byte {
	b = append(b, k.scalars...)
	for i := range k.counts {
		b = k.counts[i].AppendBinary(b)
	}
	return b
}

// MaxLen is an upper bound of what Append appends.
func (k *Block) MaxLen() int {
	n := len(k.scalars)
	for i := range k.counts {
		n += k.counts[i].MaxEncodedLen()
	}
	return n
}

// errCorrupt says that stored bytes are not a pane's.
var errCorrupt = errors.New("stored pane is corrupt")

// DecodeBlock reads what AppendBlock of a version of the state, 1 to 3, wrote into a pane made by NewPane with the same reference.
func (p *Pane) DecodeBlock(version byte, b []byte, block int, ref *reference.Reference) error {
	if block > 0 {
		if ref == nil || block >= p.Blocks() {
			return fmt.Errorf("%w: block %d of a pane with %d", errCorrupt, block, p.Blocks())
		}
		for i := p.bounds[block-1]; i < p.bounds[block]; i++ {
			c, rest, err := cells.DecodeCounts(ref.Features[i].Space, b)
			if err != nil {
				return fmt.Errorf("reading counts of feature %q: %w", ref.Features[i].Name, err)
			}
			p.Features[i], b = c, rest
		}
		if len(b) != 0 {
			return fmt.Errorf("%w: %d bytes too many", errCorrupt, len(b))
		}
		return nil
	}
	n, b, ok := ReadUvarint(b)
	fields := p.Tally.fields()
	if !ok || n > uint64(len(fields)) {
		return fmt.Errorf("%w: %d scalars", errCorrupt, n)
	}
	for i := range n {
		if *fields[i], b, ok = ReadUvarint(b); !ok {
			return fmt.Errorf("%w: scalar %d", errCorrupt, i)
		}
	}
	if n, b, ok = ReadUvarint(b); !ok || n > uint64(len(b)) {
		return fmt.Errorf("%w: statuses", errCorrupt)
	}
	for range n {
		var s string
		var c uint64
		if s, b, ok = ReadString(b); ok {
			c, b, ok = ReadUvarint(b)
		}
		if !ok {
			return fmt.Errorf("%w: statuses", errCorrupt)
		}
		p.Status[s] = &c
	}
	if n, b, ok = ReadUvarint(b); !ok || n > uint64(len(b)) {
		return fmt.Errorf("%w: late counts", errCorrupt)
	}
	for range n {
		var v [5]uint64
		for i := range v {
			if version == 1 && (i == 2 || i == 3) {
				continue // it had no extended windows
			}
			if v[i], b, ok = ReadUvarint(b); !ok {
				return fmt.Errorf("%w: late counts", errCorrupt)
			}
		}
		p.LateFor[Spec{Size: int64(v[0]), Every: int64(v[1]), MinEvents: v[2], ExtendTo: int64(v[3])}] = v[4]
	}
	h, b, err := cells.DecodeHistogram(b)
	if err != nil {
		return fmt.Errorf("reading latency: %w", err)
	}
	if len(b) != 0 {
		return fmt.Errorf("%w: %d bytes too many", errCorrupt, len(b))
	}
	p.Latency = h
	return nil
}

// AppendString appends a length-prefixed string.
func AppendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// ReadUvarint reads what binary.AppendUvarint wrote and returns the rest.
func ReadUvarint(b []byte) (v uint64, rest []byte, ok bool) {
	v, n := binary.Uvarint(b)
	if n <= 0 {
		return 0, nil, false
	}
	return v, b[n:], true
}

// ReadString reads what AppendString wrote and returns the rest.
func ReadString(b []byte) (s string, rest []byte, ok bool) {
	n, b, ok := ReadUvarint(b)
	if !ok || n > uint64(len(b)) {
		return "", nil, false
	}
	return string(b[:n]), b[n:], true
}
