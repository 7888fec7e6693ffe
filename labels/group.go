package labels

import (
	"bytes"
	"fmt"
	"math"

	"github.com/driftd/driftd/event"
	"github.com/driftd/driftd/internal/exact/wire"
)

// Key names a group: a keyed hash of model and id, with which two ids meet by accident never.
type Key [16]byte

// MaxPredictions is how many versions may have predicted one id. Predictions of further ones do not wait for a label.
const MaxPredictions = 16

// maxText bounds what is read back of a version or a label, which the decoder of events bounds to less.
const maxText = 1 << 20

// maxParts bounds the dimensions of which a prediction has a segment.
const maxParts = 64

// Group is what is known of one id: its predictions, one of each version, and its label.
type Group struct {
	Segment     uint64 // of the ledger, where it began
	Began       int64  // event time of its first record
	Predictions []Prediction
	Label       *Label // the last one; nil: none has come

	// Where a label that came before any prediction is counted until one comes.
	OrphanPane  int64
	OrphanEpoch int
}

// Prediction is a prediction that waits for its label, or for a correction of it.
type Prediction struct {
	Time    int64  // of the event
	Pane    int64  // beginning of the pane that counts it
	Epoch   int    // number of the configuration that counts it
	Version string // that made it
	Other   bool   // it is counted under `other`, not under its version
	Parts   []byte // the segments that count it, too, one byte for each dimension, as its configuration numbers them; nil: none
	Data    []byte // what was predicted, as its configuration encodes it
}

// What a byte before a prediction's parts and data says.
const (
	flagOther = 1 << iota
	flagParts
)

func (p *Prediction) flags() (b byte) {
	if p.Other {
		b |= flagOther
	}
	if len(p.Parts) > 0 {
		b |= flagParts
	}
	return b
}

// Label is what a label said.
type Label struct {
	Time  int64
	Value event.Value
}

// Equal reports whether two labels say the same.
func (l *Label) Equal(v event.Value) bool {
	if l.Value.Kind != v.Kind {
		return false
	}
	if v.Kind == event.ValueNumber {
		return l.Value.Num == v.Num
	}
	return bytes.Equal(l.Value.Str, v.Str)
}

// Prediction returns the one of a version, or nil.
func (g *Group) Prediction(version []byte) *Prediction {
	for i := range g.Predictions {
		if g.Predictions[i].Version == string(version) {
			return &g.Predictions[i]
		}
	}
	return nil
}

// Orphan reports whether the group is a label without a prediction.
func (g *Group) Orphan() bool { return len(g.Predictions) == 0 }

// AppendBinary appends the group's encoding, the segment first.
func (g *Group) AppendBinary(b []byte) []byte {
	b = wire.AppendUvarint(b, g.Segment)
	b = wire.AppendVarint(b, g.Began)
	b = wire.AppendUvarint(b, uint64(len(g.Predictions)))
	for i := range g.Predictions {
		p := &g.Predictions[i]
		b = wire.AppendVarint(b, p.Time-g.Began)
		b = wire.AppendVarint(b, p.Time-p.Pane)
		b = wire.AppendUvarint(b, uint64(p.Epoch))
		b = wire.AppendString(b, p.Version)
		if b = append(b, p.flags()); len(p.Parts) > 0 {
			b = wire.AppendString(b, string(p.Parts))
		}
		b = wire.AppendUvarint(b, uint64(len(p.Data)))
		b = append(b, p.Data...)
	}
	if g.Label == nil {
		return append(b, 0)
	}
	b = append(b, byte(g.Label.Value.Kind))
	b = wire.AppendVarint(b, g.Label.Time-g.Began)
	b = wire.AppendVarint(b, g.Label.Time-g.OrphanPane)
	b = wire.AppendUvarint(b, uint64(g.OrphanEpoch))
	if k := g.Label.Value.Kind; k == event.ValueNumber || k == event.ValueBool {
		b = wire.AppendFloat(b, g.Label.Value.Num)
	}
	return wire.AppendString(b, string(g.Label.Value.Str))
}

// SegmentOf reads the segment of an encoded group.
func SegmentOf(b []byte) (uint64, error) {
	r := wire.NewReader(b)
	s := r.Uvarint()
	return s, r.Err()
}

// DecodeGroup reads what AppendBinary wrote.
func DecodeGroup(b []byte) (*Group, error) {
	r := wire.NewReader(b)
	g := &Group{Segment: r.Uvarint(), Began: r.Varint()} //nolint:exhaustruct // the rest follows
	n := r.Count(6)
	if n > MaxPredictions {
		r.Fail("%d predictions", n)
	}
	for range n {
		if r.Err() != nil {
			break
		}
		p := Prediction{Time: g.Began + r.Varint()} //nolint:exhaustruct // the rest follows
		p.Pane = p.Time - r.Varint()
		p.Epoch = epoch(r)
		p.Version = r.String(maxText)
		flags := r.Byte()
		if flags > flagOther|flagParts {
			r.Fail("flags %d", flags)
		}
		p.Other = flags&flagOther != 0
		if flags&flagParts != 0 {
			if p.Parts = []byte(r.String(maxParts)); len(p.Parts) == 0 {
				r.Fail("no parts")
			}
		}
		p.Data = []byte(r.String(maxText))
		g.Predictions = append(g.Predictions, p)
	}
	if kind := event.ValueKind(r.Byte()); kind != 0 && r.Err() == nil {
		g.Label = &Label{Time: g.Began + r.Varint(), Value: event.Value{Kind: kind}} //nolint:exhaustruct // the rest follows
		g.OrphanPane = g.Label.Time - r.Varint()
		g.OrphanEpoch = epoch(r)
		if kind > event.ValueInvalid {
			r.Fail("kind %d of a label", kind)
		}
		if kind == event.ValueNumber || kind == event.ValueBool {
			g.Label.Value.Num = math.Float64frombits(r.Uint64())
		}
		if text := r.String(maxText); text != "" {
			g.Label.Value.Str = []byte(text)
		}
	}
	if len(r.Rest()) > 0 {
		r.Fail("%d bytes too many", len(r.Rest()))
	}
	if err := r.Err(); err != nil {
		return nil, fmt.Errorf("reading a group of predictions and labels: %w", err)
	}
	return g, nil
}

func epoch(r *wire.Reader) int {
	n := r.Uvarint()
	if n > math.MaxInt32 {
		r.Fail("epoch %d", n)
		return 0
	}
	return int(n)
}
