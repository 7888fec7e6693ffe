package fold

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/driftd/driftd/cells"
	"github.com/driftd/driftd/reference"
	"github.com/driftd/driftd/window"
)

// The shards of rolling references: rolling.f.<fingerprint>.<part> are frames, rolling.b.<model>.<head of the fingerprint>.<start>.<block>
// are buckets, rolling.s.<model>.<start> are samples.
const (
	rollPrefix   = "rolling."
	framePrefix  = rollPrefix + "f."
	bucketPrefix = rollPrefix + "b."
	samplePrefix = rollPrefix + "s."
	framePart    = 512 << 10
	rollVersion  = 1
	digestPrefix = "sha256:"
	digestHead   = 16 // hexadecimal digits that tell the frames of a model apart in names
)

// storedFrame is a frame of this partition.
type storedFrame struct {
	ref   *reference.Reference
	parts int
	dirty bool
}

// bucketAt says whose a changed bucket is.
type bucketAt struct {
	model  string
	key    bucketKey
	bounds []int
}

// sampleAt says whose a changed sample is.
type sampleAt struct {
	model string
	start int64
}

// rollShards keeps what of the rolling references changed since the last commit.
type rollShards struct {
	buckets map[*bucket]bucketAt
	samples map[*sample]sampleAt
	deleted map[string]bool
	count   int // of shards
	bytes   int
}

func newRollShards() rollShards {
	return rollShards{buckets: map[*bucket]bucketAt{}, samples: map[*sample]sampleAt{}, deleted: map[string]bool{}, count: 0, bytes: 0}
}

func (r *rollShards) dirtyCount() int { return r.count + len(r.deleted) }
func (r *rollShards) dirtyBytes() int { return r.bytes }

func head(fingerprint string) string {
	return strings.TrimPrefix(fingerprint, digestPrefix)[:digestHead]
}

func bucketName(model string, k bucketKey, block int) string {
	return bucketPrefix + model + "." + head(k.fingerprint) + "." + strconv.FormatInt(k.start, 10) + "." + strconv.Itoa(block)
}

func sampleName(model string, start int64) string {
	return samplePrefix + model + "." + strconv.FormatInt(start, 10)
}

func frameName(fingerprint string, part int) string {
	return framePrefix + strings.TrimPrefix(fingerprint, digestPrefix) + "." + strconv.Itoa(part)
}

// markBucket notes that a bucket changed.
func (p *Partition) markBucket(model string, k bucketKey, b *bucket, bounds []int) {
	r := &p.rolled
	if _, ok := r.buckets[b]; ok {
		return
	}
	r.buckets[b] = bucketAt{model, k, bounds}
	r.count += len(bounds) - 1
	if b.sizes == nil {
		b.sizes = slices.Repeat([]int{unknownSize}, len(bounds)-1)
	}
	for i, n := range b.sizes {
		r.bytes += n
		delete(r.deleted, bucketName(model, k, i))
	}
}

func (p *Partition) markSample(model string, start int64, in *sample) {
	r := &p.rolled
	if _, ok := r.samples[in]; ok {
		return
	}
	r.samples[in] = sampleAt{model, start}
	r.count++
	r.bytes += len(in.data)
	delete(r.deleted, sampleName(model, start))
}

// dropBuckets removes the buckets that a function chooses.
func (p *Partition) dropBuckets(s *source, choose func(bucketKey) bool) {
	r := &p.rolled
	for k, b := range s.rolling.buckets {
		if !choose(k) {
			continue
		}
		delete(s.rolling.buckets, k)
		if _, ok := r.buckets[b]; ok {
			delete(r.buckets, b)
			r.count -= len(b.sizes)
			for _, n := range b.sizes {
				r.bytes -= n
			}
		}
		for i := range b.sizes {
			r.deleted[bucketName(s.Model, k, i)] = true
		}
	}
}

// dropSamples removes the samples that a function chooses.
func (p *Partition) dropSamples(s *source, choose func(start int64) bool) {
	r := &p.rolled
	for at, in := range s.rolling.samples {
		if !choose(at) {
			continue
		}
		delete(s.rolling.samples, at)
		if _, ok := r.samples[in]; ok {
			delete(r.samples, in)
			r.count--
		}
		r.deleted[sampleName(s.Model, at)] = true
	}
}

// keepFrame takes over a frame that was just frozen.
func (p *Partition) keepFrame(fingerprint string, ref *reference.Reference) {
	if p.frames[fingerprint] != nil {
		return
	}
	n := len(ref.Encode())
	f := &storedFrame{ref: ref, parts: (n + framePart - 1) / framePart, dirty: true}
	p.frames[fingerprint] = f
	p.rolled.count += f.parts
	p.rolled.bytes += n
	for i := range f.parts {
		delete(p.rolled.deleted, frameName(fingerprint, i))
	}
}

func (p *Partition) dropFrame(fingerprint string) {
	f := p.frames[fingerprint]
	if f.dirty {
		p.rolled.count -= f.parts
	}
	for i := range f.parts {
		p.rolled.deleted[frameName(fingerprint, i)] = true
	}
	delete(p.frames, fingerprint)
}

// changes lists the shards that changed since the last commit, in no order.
func (p *Partition) rollChanges() []Shard {
	var out []Shard
	for name := range p.rolled.deleted {
		out = append(out, Shard{Name: name, Data: nil})
	}
	for fp, f := range p.frames {
		if !f.dirty {
			continue
		}
		data := f.ref.Encode()
		for i := range f.parts {
			out = append(out, Shard{Name: frameName(fp, i), Data: data[i*framePart : min((i+1)*framePart, len(data))]})
		}
	}
	for b, at := range p.rolled.buckets {
		for i := range b.sizes {
			data := b.encode(i, at.bounds)
			b.sizes[i] = len(data)
			out = append(out, Shard{Name: bucketName(at.model, at.key, i), Data: data})
		}
	}
	for in, at := range p.rolled.samples {
		out = append(out, Shard{Name: sampleName(at.model, at.start), Data: in.encode()})
	}
	return out
}

// rollCommitted notes that all of them were stored.
func (p *Partition) rollCommitted() {
	for _, f := range p.frames {
		f.dirty = false
	}
	p.rolled = newRollShards()
}

// encode returns one block of a bucket: its range of features, the first one with the rows and the latency before them.
func (b *bucket) encode(block int, bounds []int) []byte {
	out := []byte{rollVersion}
	if block == 0 {
		out = binary.AppendUvarint(out, b.rows)
		out = b.latency.AppendBinary(out)
	}
	for _, c := range b.counts[bounds[block]:bounds[block+1]] {
		out = c.AppendBinary(out)
	}
	return out
}

func (in *sample) encode() []byte {
	out := binary.AppendUvarint([]byte{rollVersion}, uint64(in.rows))
	return append(out, in.data...)
}

var errRolling = errors.New("the stored state of a rolling reference is corrupt")

// restoreFrames reads the frames of a stored state.
func (p *Partition) restoreFrames(stored map[string][]byte) error {
	parts := map[string]int{}
	for name := range stored {
		if rest, ok := strings.CutPrefix(name, framePrefix); ok {
			fp, _, _ := strings.Cut(rest, ".")
			parts[digestPrefix+fp]++
		}
	}
	for fp, n := range parts {
		data := make([]byte, 0, n*framePart)
		for i := range n {
			data = append(data, stored[frameName(fp, i)]...)
		}
		ref, err := reference.Decode(data)
		if err != nil {
			return fmt.Errorf("restoring frame %s: %w: %w", fp, errRolling, err)
		}
		p.frames[fp] = &storedFrame{ref: ref, parts: n, dirty: false}
	}
	return nil
}

// restoreRolling reads one shard of a rolling reference whose source is restored.
func (p *Partition) restoreRolling(name string, data []byte) error {
	fields := strings.Split(name, ".")
	if len(fields) < 4 || len(data) == 0 || data[0] != rollVersion {
		return fmt.Errorf("%w: %d bytes", errRolling, len(data))
	}
	s := p.sources[fields[2]]
	if s == nil || s.rolling == nil {
		return fmt.Errorf("%w: model %q has none", errRolling, fields[2])
	}
	if strings.HasPrefix(name, samplePrefix) {
		start, err := strconv.ParseInt(fields[3], 10, 64)
		rows, rest, ok := window.ReadUvarint(data[1:])
		if err != nil || !ok {
			return fmt.Errorf("%w: a sample", errRolling)
		}
		s.rolling.samples[start] = &sample{rows: int(rows), data: slices.Clone(rest)}
		return nil
	}
	if len(fields) != 6 {
		return fmt.Errorf("%w: its name", errRolling)
	}
	start, err1 := strconv.ParseInt(fields[4], 10, 64)
	block, err2 := strconv.Atoi(fields[5])
	i := slices.IndexFunc(s.rolling.Frames, func(f frame) bool { return head(f.Fingerprint) == fields[3] })
	if err1 != nil || err2 != nil || i < 0 || p.frames[s.rolling.Frames[i].Fingerprint] == nil {
		return fmt.Errorf("%w: its cells are not there", errRolling)
	}
	k := bucketKey{s.rolling.Frames[i].Fingerprint, start}
	ref := p.frames[k.fingerprint].ref
	b := s.rolling.buckets[k]
	if b == nil {
		b = newBucket(ref)
		b.sizes = make([]int, len(window.BlockBounds(ref))-1)
		s.rolling.buckets[k] = b
	}
	return b.decode(data, block, ref)
}

func (b *bucket) decode(data []byte, block int, ref *reference.Reference) error {
	bounds := window.BlockBounds(ref)
	if block < 0 || block >= len(b.sizes) {
		return fmt.Errorf("%w: block %d of %d", errRolling, block, len(b.sizes))
	}
	b.sizes[block] = len(data)
	rest := data[1:]
	if block == 0 {
		var ok bool
		if b.rows, rest, ok = window.ReadUvarint(rest); !ok {
			return fmt.Errorf("%w: rows", errRolling)
		}
		var err error
		if b.latency, rest, err = cells.DecodeHistogram(rest); err != nil {
			return fmt.Errorf("%w: %w", errRolling, err)
		}
	}
	for i := bounds[block]; i < bounds[block+1]; i++ {
		var err error
		if b.counts[i], rest, err = cells.DecodeCounts(ref.Features[i].Space, rest); err != nil {
			return fmt.Errorf("%w: feature %q: %w", errRolling, ref.Features[i].Name, err)
		}
	}
	if len(rest) > 0 {
		return fmt.Errorf("%w: %d bytes too many", errRolling, len(rest))
	}
	return nil
}

func appendBytes(b, data []byte) []byte {
	return append(binary.AppendUvarint(b, uint64(len(data))), data...)
}

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }
