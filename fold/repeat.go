package fold

import (
	"cmp"
	"encoding/binary"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/driftd/driftd/window"
)

// Two kinds of message say which message they are, and may come again: the retry of a dead letter, any number of times, and a
// message that the broker sourced from another stream, which servers before 2.14 sometimes do twice, and all of them when a
// source's filter is changed. What they are is remembered like the id of an event: by the same keyed hashes, in the commit that
// counts it, for as long as the last ids are kept. So each is folded once, though its records may have no id of their own.

// maxOrigins is how many sources of the input stream are followed. Of more, the one that was silent longest is forgotten.
const maxOrigins = 64

// origin is how far a source of the input stream has been read.
type origin struct {
	Seq uint64 `json:"seq"` // the highest of the origin's sequences, since it began anew
	At  uint64 `json:"at"`  // the message of the input stream that came from it last
}

// sourced is what a message says of where it was sourced from.
type sourced struct {
	origin string // stream, filter and transformation of the source, and the stream's identity where the server knows it
	stream string // of those the stream, with its identity
	seq    uint64 // its sequence there
}

// sourcedFrom reads the broker's header: stream, sequence, filter, transformation, subject, and from 2.15 on the identity of the
// stream, between single spaces.
func sourcedFrom(header string) (s sourced, ok bool) {
	if header == "" {
		return sourced{}, false // most are not sourced
	}
	f := strings.Split(header, " ")
	if len(f) < 5 {
		return sourced{}, false
	}
	seq, err := strconv.ParseUint(f[1], 10, 64)
	if err != nil || seq == 0 {
		return sourced{}, false
	}
	s = sourced{origin: f[0] + " " + f[2] + " " + f[3], stream: f[0], seq: seq}
	if len(f) > 5 {
		s.origin, s.stream = s.origin+" "+f[5], s.stream+" "+f[5]
	}
	return s, true
}

// marks returns what a message is remembered by, where it says which message it is.
func (s *idSet) marks(m Message) (marks [2]idHash, n int) {
	if s.n == 0 {
		return marks, 0
	}
	if m.Retry != "" {
		marks[n] = s.hash([]byte{'r'}, []byte(m.Retry))
		n++
	}
	if from, ok := sourcedFrom(m.Source); ok {
		// The content is in it: a stream that was made again gives its sequences to other messages.
		seq := binary.LittleEndian.AppendUint64(nil, from.seq)
		marks[n] = s.hash([]byte{'s'}, []byte(from.stream), seq, []byte(m.Subject), m.Data)
		n++
	}
	return marks, n
}

// knows says whether a message is one that came before.
func (s *idSet) knows(m Message) bool {
	marks, n := s.marks(m)
	return slices.ContainsFunc(marks[:n], s.find)
}

// remember notes a message, and reports whether it came before.
func (s *idSet) remember(m Message) (repeated bool) {
	marks, n := s.marks(m)
	for _, h := range marks[:n] {
		repeated = s.add(h, m.Time) || repeated
	}
	return repeated
}

// repeats says whether a message is one that was folded before. Once a message is begun it is folded to its end.
func (p *Partition) repeats(m Message) bool { return p.position.Index == 0 && p.ids.knows(m) }

// drop counts a repeated message as a duplicate.
func (p *Partition) drop(m Message, model string, out *Output) bool {
	p.stats.Duplicates++
	if _, ok := sourcedFrom(m.Source); ok {
		p.stats.SourcedTwice++
	}
	if s := p.sources[model]; s != nil {
		p.touch(s, m.Time)
		p.arrival(s, func(t *window.Tally) { t.Duplicate++ })
	}
	p.position.Index, p.position.Emitted = wholeMessage, 0
	return p.drain(out)
}

// folded remembers which message it was.
func (p *Partition) folded(m Message) {
	repeated := p.ids.remember(m)
	if s, ok := sourcedFrom(m.Source); ok {
		p.follow(s, m.Seq, repeated)
	}
}

// follow checks that the sequences of an origin rise. One that does not, and is no repetition that is remembered, is counted like
// any other message: the origin was made again, or set back, or it repeats what is forgotten, and nobody can tell which.
func (p *Partition) follow(s sourced, at uint64, repeated bool) {
	last, known := p.origins[s.origin]
	switch {
	case !known && len(p.origins) == maxOrigins:
		delete(p.origins, slices.MinFunc(slices.Collect(maps.Keys(p.origins)), func(a, b string) int {
			return cmp.Compare(p.origins[a].At, p.origins[b].At)
		}))
	case repeated:
		s.seq = max(s.seq, last.Seq)
	case known && s.seq <= last.Seq:
		p.stats.SourcedBack++
	}
	p.origins[s.origin] = origin{Seq: s.seq, At: at}
}
