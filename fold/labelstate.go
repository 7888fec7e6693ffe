package fold

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/driftd/driftd/internal/exact/wire"
	"github.com/driftd/driftd/labels"
	"github.com/driftd/driftd/quality"
	"github.com/driftd/driftd/window"
)

// The shards of labels: labels.m.<model> is how they are counted and what matures, labels.s.<segment> a segment of a model's ledger,
// labels.q.<model>.<start>.<part> the counts that begin at a time.
const (
	labelsPrefix  = "labels."
	labelPrefix   = labelsPrefix + "m."
	segmentPrefix = labelsPrefix + "s."
	qualityPrefix = labelsPrefix + "q."
	labelsVersion = 2 // version 1 knew no segments; it is read

	// measuredVersion is that of how labels are counted where counts are over the cells of a reference's quality: a program that knows no such
	// cells must not read them.
	measuredVersion = 3
)

// labelShards keeps what of a source's labels changed since the last commit.
type labelShards struct {
	head    bool
	starts  map[int64]bool
	parts   map[int64][]int // sizes of the stored parts, by start
	count   int             // messages, and about how many bytes, that the changed counts will take
	bytes   int
	dropped []uint64 // segments
	tidyAt  int64    // no counts are forgotten before the watermark gets here
}

func newLabelShards() labelShards {
	return labelShards{head: false, starts: map[int64]bool{}, parts: map[int64][]int{}, count: 0, bytes: 0, dropped: nil, tidyAt: math.MaxInt64}
}

// touch notes that counts changed that begin at a time.
func (s *labelShards) touch(start int64) {
	if s.starts[start] {
		return
	}
	s.starts[start] = true
	parts := s.parts[start]
	if s.count += max(1, len(parts)); len(parts) == 0 {
		s.bytes += unknownSize
	}
	for _, n := range parts {
		s.bytes += n
	}
}

// segments returns the segments of the ledger that changed: they are its last ones.
func (l *labelling) unstored() []*labels.Segment {
	all := l.ledger.Segments()
	i := len(all)
	for i > 0 && !all[i-1].Stored {
		i--
	}
	return all[i:]
}

// labelDirt returns how many messages, and about how many bytes, the changes of labels will take.
func (p *Partition) labelDirt() (count, size int) {
	for _, s := range p.labelled {
		sh := &s.labels.shards
		if sh.head {
			count++
		}
		count += sh.count + len(sh.dropped) + len(s.labels.unstored())
		size += sh.bytes
	}
	return count, size
}

// storedLabels is a model's labelling as it is stored, but for its ledger and its counts.
type storedLabels struct {
	Version   int           `json:"version"`
	Epochs    []*labelEpoch `json:"epochs"`
	Waiting   []byte        `json:"waiting"`
	EvictedTo int64         `json:"evicted_to"`
	LostTo    int64         `json:"lost_to"`
}

// labelChanges returns the shards of labels that changed.
func (p *Partition) labelChanges() []Shard {
	var out []Shard
	for _, name := range slices.Sorted(maps.Keys(p.sources)) {
		l := p.sources[name].labels
		if l == nil {
			continue
		}
		if l.shards.head {
			version := labelsVersion
			if slices.ContainsFunc(l.epochs, func(e *labelEpoch) bool { return e.Measured }) {
				version = measuredVersion
			}
			out = append(out, Shard{Name: labelPrefix + name, Data: encode(storedLabels{
				Version: version, Epochs: l.epochs, Waiting: appendWaiting(nil, l.waiting), EvictedTo: l.evictedTo, LostTo: l.lostTo,
			})})
		}
		for _, n := range l.shards.dropped {
			out = append(out, Shard{Name: segmentPrefix + strconv.FormatUint(n, 10), Data: nil})
		}
		for _, s := range l.unstored() {
			data := window.AppendString([]byte{labelsVersion}, name)
			out = append(out, Shard{Name: segmentPrefix + strconv.FormatUint(s.Number, 10), Data: s.AppendBinary(data)})
		}
		out = append(out, l.countChanges(name)...)
	}
	return out
}

// countChanges returns the shards of counts that changed.
func (l *labelling) countChanges(model string) []Shard {
	changed := map[int64][]qualityKey{}
	for k := range l.panes {
		if l.shards.starts[k.start] {
			changed[k.start] = append(changed[k.start], k)
		}
	}
	var out []Shard
	for _, start := range slices.Sorted(maps.Keys(l.shards.starts)) {
		var parts [][]byte
		keys := changed[start]
		slices.SortFunc(keys, qualityKey.compare)
		for _, k := range keys {
			if n := len(parts); n == 0 || len(parts[n-1]) >= shardTarget {
				parts = append(parts, []byte{labelsVersion})
			}
			b := parts[len(parts)-1]
			pane := l.panes[k]
			b = window.AppendString(b, k.version)
			b = window.AppendString(b, k.segment)
			b = wire.AppendUvarint(b, uint64(k.epoch))
			b = wire.AppendUvarint(b, pane.selected)
			body := pane.AppendBinary(nil)
			b = wire.AppendUvarint(b, uint64(len(body)))
			parts[len(parts)-1] = append(b, body...)
		}
		before := l.shards.parts[start]
		sizes := make([]int, 0, len(parts))
		for i := range max(len(parts), len(before)) {
			s := Shard{Name: qualityPrefix + model + "." + strconv.FormatInt(start, 10) + "." + strconv.Itoa(i), Data: nil}
			if i < len(parts) {
				s.Data = parts[i]
				sizes = append(sizes, len(parts[i]))
			}
			out = append(out, s)
		}
		if l.shards.parts[start] = sizes; len(sizes) == 0 {
			delete(l.shards.parts, start)
		}
	}
	return out
}

// labelsCommitted notes that the changes were stored.
func (p *Partition) labelsCommitted() {
	for _, s := range p.sources {
		if l := s.labels; l != nil {
			for _, segment := range l.unstored() {
				segment.Stored = true
			}
			for k, pane := range l.panes {
				if l.shards.starts[k.start] {
					pane.Compact() // labels come to many panes, and to each of them seldom
				}
			}
			l.shards.head, l.shards.dropped, l.shards.count, l.shards.bytes = false, nil, 0, 0
			clear(l.shards.starts)
		}
	}
	clear(p.labelled)
}

// knownLabels reports whether a shard of labels, whose first byte is its version, can be read.
func knownLabels(data []byte) bool { return len(data) > 0 && data[0] >= 1 && data[0] <= labelsVersion }

var errCorruptLabels = errors.New("stored labels are corrupt")

// restoreLabels restores what was stored of labels; the sources are there already.
func (p *Partition) restoreLabels(stored map[string][]byte) error {
	ledgers := map[string][]*labels.Segment{}
	var counts []string
	for _, name := range slices.Sorted(maps.Keys(stored)) {
		data := stored[name]
		var err error
		switch {
		case strings.HasPrefix(name, labelPrefix):
			err = p.restoreLabelling(strings.TrimPrefix(name, labelPrefix), data)
		case strings.HasPrefix(name, segmentPrefix):
			r := reader{b: data, bad: false}
			if !knownLabels(data) {
				return fmt.Errorf("restoring %s: %w: version", name, errCorruptLabels)
			}
			r.b = data[1:]
			model := r.str()
			var segment *labels.Segment
			if segment, err = labels.DecodeSegment(r.b); err == nil {
				ledgers[model] = append(ledgers[model], segment)
			}
		case strings.HasPrefix(name, qualityPrefix):
			counts = append(counts, name)
		}
		if err != nil {
			return fmt.Errorf("restoring %s: %w", name, err)
		}
	}
	for model, segments := range ledgers {
		s := p.sources[model]
		if s == nil || s.labels == nil {
			return fmt.Errorf("restoring pending records of model %q: %w: there is no such model", model, errCorruptLabels)
		}
		slices.SortFunc(segments, func(a, b *labels.Segment) int { return int(int64(a.Number) - int64(b.Number)) })
		ledger, err := labels.RestoreLedger(segments)
		if err != nil {
			return fmt.Errorf("restoring pending records of model %q: %w", model, err)
		}
		s.labels.ledger = ledger
	}
	for _, name := range counts {
		if err := p.restoreCounts(name, stored[name]); err != nil {
			return fmt.Errorf("restoring %s: %w", name, err)
		}
	}
	return nil
}

func (p *Partition) restoreLabelling(model string, data []byte) error {
	s := p.sources[model]
	if s == nil {
		return fmt.Errorf("%w: there is no such model", errCorruptLabels)
	}
	var st storedLabels
	if err := json.NewDecoder(bytes.NewReader(data)).Decode(&st); err != nil {
		return fmt.Errorf("%w: %w", errCorruptLabels, err)
	}
	if st.Version < 1 || st.Version > measuredVersion || len(st.Epochs) == 0 {
		return fmt.Errorf("%w: version %d", errCorruptLabels, st.Version)
	}
	l := newLabelling()
	l.epochs, l.evictedTo, l.lostTo = st.Epochs, st.EvictedTo, st.LostTo
	for _, e := range l.epochs {
		if err := p.open(e); err != nil {
			return err
		}
	}
	var err error
	if l.waiting, err = decodeWaiting(st.Waiting); err != nil {
		return err
	}
	l.shards.tidyAt = window.Unset
	s.labels = l
	return nil
}

func (p *Partition) restoreCounts(name string, data []byte) error {
	parts := strings.Split(strings.TrimPrefix(name, qualityPrefix), ".")
	if len(parts) != 3 || p.sources[parts[0]] == nil || p.sources[parts[0]].labels == nil || !knownLabels(data) {
		return fmt.Errorf("%w: name or version", errCorruptLabels)
	}
	start, err := strconv.ParseInt(parts[1], 10, 64)
	if err != nil {
		return fmt.Errorf("%w: name", errCorruptLabels)
	}
	l := p.sources[parts[0]].labels
	l.shards.parts[start] = append(l.shards.parts[start], len(data))
	r := reader{b: data[1:], bad: false}
	for len(r.b) > 0 && !r.bad {
		key, selected := qualityKey{start: start, version: r.str(), segment: "", epoch: 0}, uint64(0)
		if data[0] == 1 {
			key.epoch = int(r.uvarint())
		} else {
			key.segment, key.epoch, selected = r.str(), int(r.uvarint()), r.uvarint()
		}
		body := r.bytes()
		e := l.epoch(key.epoch)
		if r.bad || e == nil {
			return fmt.Errorf("%w: an entry of epoch %d", errCorruptLabels, key.epoch)
		}
		c, rest, err := quality.DecodeCounts(e.spec, body)
		if err != nil || len(rest) > 0 {
			return fmt.Errorf("%w: %d bytes too many: %w", errCorruptLabels, len(rest), err)
		}
		l.insert(key, &qualityPane{Counts: c, selected: selected})
	}
	if r.bad {
		return fmt.Errorf("%w: end", errCorruptLabels)
	}
	return nil
}
