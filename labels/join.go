package labels

import (
	"errors"
	"fmt"
	"maps"
)

// Reader finds what was stored of a group by its key; nil where there is nothing. What it returns must not be changed, and is valid
// until the next call. After an error the same question may be asked again.
type Reader interface {
	Get(key Key) ([]byte, error)
}

// ErrStore is wrapped by an error of the store: what it holds cannot be had, and is to be read again from the stream.
var ErrStore = errors.New("looking for a pending prediction")

// Change is a group to be stored.
type Change struct {
	Key     Key
	Segment uint64
	Value   []byte
}

// Pending is the groups of a partition: those that changed since they were stored, over those that were. It is not safe for
// concurrent use.
type Pending struct {
	store   Reader
	fresh   map[Key]*Group // since the last Take
	taken   map[Key]*Group // by it, until Stored
	dropped []uint64
}

// NewPending returns the groups of a store.
func NewPending(store Reader) *Pending {
	return &Pending{store: store, fresh: map[Key]*Group{}, taken: map[Key]*Group{}, dropped: nil}
}

// Use changes the store. What is not stored yet goes into the new one.
func (p *Pending) Use(store Reader) { p.store = store }

// Get returns the group of a key if it lives at a watermark, or nil.
func (p *Pending) Get(key Key, l *Ledger, watermark int64, c *Config) (*Group, error) {
	g := p.fresh[key]
	if g == nil {
		g = p.taken[key]
	}
	if g == nil {
		data, err := p.store.Get(key)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrStore, err)
		}
		if data == nil {
			return nil, nil //nolint:nilnil // there is none, and that is no error
		}
		if g, err = DecodeGroup(data); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrStore, err)
		}
	}
	if !l.Lives(g.Segment) || g.Began+c.Horizon <= watermark {
		return nil, nil //nolint:nilnil // it is let go
	}
	return g, nil
}

// Put keeps a group that changed.
func (p *Pending) Put(key Key, g *Group) { p.fresh[key] = g }

// Drop lets a segment's groups go.
func (p *Pending) Drop(segments []*Segment) {
	gone := map[uint64]bool{}
	for _, s := range segments {
		p.dropped = append(p.dropped, s.Number)
		gone[s.Number] = true
	}
	dead := func(_ Key, g *Group) bool { return gone[g.Segment] }
	maps.DeleteFunc(p.fresh, dead)
	maps.DeleteFunc(p.taken, dead)
}

// Fresh returns how many groups changed since the last Take.
func (p *Pending) Fresh() int { return len(p.fresh) }

// Take returns what is to be stored, in any order, and the segments whose groups are to be removed after that. Until Stored is called the
// groups are found here; what changes meanwhile is for the next Take.
func (p *Pending) Take() (changed []Change, dropped []uint64) {
	changed = make([]Change, 0, len(p.fresh))
	var b []byte
	for k, g := range p.fresh {
		n := len(b)
		b = g.AppendBinary(b)
		changed = append(changed, Change{Key: k, Segment: g.Segment, Value: b[n:len(b):len(b)]})
		p.taken[k] = g
	}
	clear(p.fresh)
	dropped, p.dropped = p.dropped, nil
	return changed, dropped
}

// Stored notes that what was taken is in the store.
func (p *Pending) Stored() { clear(p.taken) }

// Memory is a store of groups in memory.
type Memory struct {
	values   map[Key][]byte
	segments map[uint64][]Key
}

// NewMemory returns an empty store.
func NewMemory() *Memory { return &Memory{values: map[Key][]byte{}, segments: map[uint64][]Key{}} }

// Get implements Reader.
func (m *Memory) Get(key Key) ([]byte, error) { return m.values[key], nil }

// Len returns how many groups are stored.
func (m *Memory) Len() int { return len(m.values) }

// Apply stores changes and removes the groups of dropped segments.
func (m *Memory) Apply(changed []Change, dropped []uint64) {
	for i := range changed {
		c := &changed[i]
		if old, ok := m.values[c.Key]; !ok {
			m.segments[c.Segment] = append(m.segments[c.Segment], c.Key)
		} else if s, err := SegmentOf(old); err != nil || s != c.Segment {
			m.segments[c.Segment] = append(m.segments[c.Segment], c.Key)
		}
		m.values[c.Key] = c.Value
	}
	for _, segment := range dropped {
		for _, k := range m.segments[segment] {
			if s, err := SegmentOf(m.values[k]); err == nil && s == segment {
				delete(m.values, k)
			}
		}
		delete(m.segments, segment)
	}
}
