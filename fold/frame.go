package fold

import (
	"errors"
	"fmt"

	"github.com/driftd/driftd/event"
	"github.com/driftd/driftd/reference"
)

// maxFrameBytes bounds a frame: its resolution is halved until it fits.
const maxFrameBytes = 16 << 20

// sample is a stretch of the stream's first records, as they came: the cells of the next frame are made of them.
type sample struct {
	rows int
	data []byte // length-prefixed records
}

// interval is how long a stretch of a sample is: the first records of each are taken, so that all of the time is in the sample.
func (r *rolling) interval(pane int64) int64 {
	n := (r.span() + sampleIntervals*pane - 1) / (sampleIntervals * pane)
	return max(1, n) * pane
}

// sample keeps an event for the next frame if its stretch has room.
func (p *Partition) sample(s *source, t int64, ev *event.Event) {
	r := s.rolling
	if n := len(r.Frames); n > 0 && t < r.Next-r.span() {
		return // late: the frame of its time is frozen
	}
	interval := r.interval(s.Epochs[len(s.Epochs)-1].Timing.Pane)
	span := r.span()
	if len(r.Frames) == 0 {
		span = r.first()
	}
	stretches := int(max(1, span/interval))
	at := floorTo(t, interval)
	in := r.samples[at]
	size := 0
	if in != nil {
		size = len(in.data)
	}
	switch need := size + len(ev.Raw) + 4; {
	case in != nil && in.rows >= (sampleRows+stretches-1)/stretches, need > intervalBytes:
		return
	case in != nil && need > sampleBytes/stretches:
		return
	case in == nil:
		in = &sample{rows: 0, data: nil}
		r.samples[at] = in
	}
	in.rows++
	in.data = appendBytes(in.data, ev.Raw)
	p.markSample(s.Model, at, in)
}

// freeze makes a frame of what was sampled before a time; nil where there is nothing to make it of.
func (p *Partition) freeze(s *source, before int64) *reference.Reference {
	r := s.rolling
	for resolution := r.Spec.Resolution; resolution >= 10; resolution /= 2 {
		ref := p.freezeAt(s, before, resolution)
		if ref == nil || len(ref.Encode()) <= maxFrameBytes {
			return ref
		}
	}
	return nil
}

func (p *Partition) freezeAt(s *source, before int64, resolution int) *reference.Reference {
	b := reference.NewBuilder(reference.Options{
		Name: "frame of " + instant(before), Model: s.Model, Source: "the stream itself", Start: 0, End: 0, Resolution: resolution, MaxCategories: 0,
		Kinds: nil, Edges: nil, NannyMLEdges: false, Pane: 0, PaneBytes: 0, MaxBytes: 0, Deduplicated: true, Mixed: true,
	})
	d := event.NewDecoder(p.counting.Limits)
	for _, at := range sortedKeys(s.rolling.samples) {
		for rest := (reader{b: s.rolling.samples[at].data, bad: false}); len(rest.b) > 0; {
			d.Reset(rest.bytes())
			for d.Next() {
				ev, rejected := d.Event()
				if rejected != nil {
					continue // the limits were lowered since it was sampled
				}
				ev.Model, ev.HasTime = []byte(s.Model), false
				if err := b.Add(ev); err != nil {
					panic(fmt.Sprintf("BUG: sampled records that do not add: %v", err))
				}
			}
		}
	}
	ref, err := b.Build()
	if errors.Is(err, reference.ErrNoRows) {
		return nil
	}
	if err != nil {
		panic(fmt.Sprintf("BUG: sampled records of which no cells can be made: %v", err))
	}
	return ref
}
