package labels

import (
	"fmt"
	"math"

	"github.com/driftd/driftd/internal/exact/wire"
)

// Flags say what a record did, as far as that cannot be read from the record itself.
type Flags uint8

// The flags of a record.
const (
	Starts     Flags = 1 << iota // it began its group
	IsLabel                      // it is a label
	Other                        // its prediction is counted under `other`
	BrokerTime                   // it was counted at the time when the broker stored it
	allFlags   = Starts | IsLabel | Other | BrokerTime
)

// Record addresses a record of the stream that changed a group.
type Record struct {
	Seq   uint64
	Index int
	Flags Flags
}

// Less reports whether r comes before o in the stream.
func (r Record) Less(o Record) bool { return r.Seq < o.Seq || r.Seq == o.Seq && r.Index < o.Index }

// Segment is a run of a ledger: what is stored, trimmed and forgotten at once.
type Segment struct {
	Number  uint64 // unique in its partition, and ascending in a ledger
	Groups  int    // that began in it
	Records int
	First   uint64 // sequence of its first record
	Last    uint64 // and of its last one
	Oldest  int64  // least and greatest event time at which a group began in it
	Newest  int64
	data    []byte
	Stored  bool // for its owner: it is in the committed state as it is
}

// The bounds of a segment: what is let go at once is less than a hundredth of what is kept, by number and by time.
const (
	segmentsPerBound = 128
	leastRecords     = 64
	mostRecords      = 8192
	segmentsPerTime  = 16
)

// Ledger lists the records that changed the groups of one model, oldest first, by segments. A group lives as long as the segment in
// which it began. All of it follows from the stream.
type Ledger struct {
	segments []*Segment
	groups   int
	gone     []*Segment // dropped since the last call of Dropped
}

// Groups returns how many groups live.
func (l *Ledger) Groups() int { return l.groups }

// Segments returns the live segments, oldest first. The last one may grow.
func (l *Ledger) Segments() []*Segment { return l.segments }

// First returns the sequence from which the stream holds all that is pending, and false where nothing is.
func (l *Ledger) First() (seq uint64, ok bool) {
	if len(l.segments) == 0 {
		return 0, false
	}
	return l.segments[0].First, true
}

// Lives reports whether the groups of a segment live.
func (l *Ledger) Lives(segment uint64) bool {
	return len(l.segments) > 0 && segment >= l.segments[0].Number
}

// Add notes a record. began is the event time of the group that it starts; next draws the number of a new segment. It returns the
// number of the record's segment.
func (l *Ledger) Add(r Record, began int64, c *Config, next func() uint64) uint64 {
	most := min(max(c.MaxPending/segmentsPerBound, leastRecords), mostRecords)
	var s *Segment
	if n := len(l.segments); n > 0 {
		s = l.segments[n-1]
	}
	if s == nil || s.Records >= most || s.Groups > 0 && r.Flags&Starts != 0 && (began-s.Oldest > c.Horizon/segmentsPerTime || s.Newest-began > c.Horizon/segmentsPerTime) {
		s = &Segment{Number: next(), Groups: 0, Records: 0, First: r.Seq, Last: 0, Oldest: math.MaxInt64, Newest: math.MinInt64, data: nil, Stored: false}
		l.segments = append(l.segments, s)
	}
	s.data = wire.AppendUvarint(s.data, r.Seq-s.Last)
	s.data = wire.AppendUvarint(s.data, uint64(r.Index)<<4|uint64(r.Flags))
	s.Last, s.Stored = r.Seq, false
	if s.Records++; r.Flags&Starts != 0 {
		s.Groups++
		l.groups++
		s.Oldest, s.Newest = min(s.Oldest, began), max(s.Newest, began)
	}
	return s.Number
}

// Trim lets go what nothing can meet any more by the watermark, and what is beyond the bound, oldest first. It returns how many groups
// were let go before their horizon, and the latest event time at which one of those began.
func (l *Ledger) Trim(watermark int64, c *Config) (early int, until int64) {
	until = math.MinInt64
	for len(l.segments) > 0 {
		s := l.segments[0]
		expired := s.Groups == 0 || s.Newest < math.MinInt64+c.Horizon || watermark >= s.Newest+c.Horizon
		if s.Groups == 0 && len(l.segments) == 1 {
			break // it may still take one
		}
		if !expired {
			if l.groups <= c.MaxPending || len(l.segments) == 1 {
				break
			}
			early, until = early+s.Groups, max(until, s.Newest)
		}
		l.drop()
	}
	return early, until
}

func (l *Ledger) drop() {
	s := l.segments[0]
	l.segments, l.groups = l.segments[1:], l.groups-s.Groups
	l.gone = append(l.gone, s)
}

// Clear lets everything go.
func (l *Ledger) Clear() {
	for len(l.segments) > 0 {
		l.drop()
	}
}

// Dropped returns the segments that were let go since it was called last.
func (l *Ledger) Dropped() []*Segment {
	gone := l.gone
	l.gone = nil
	return gone
}

// Each calls f with the records of a segment, in their order, until it returns false.
func (s *Segment) Each(f func(Record) bool) error {
	r := wire.NewReader(s.data)
	seq := uint64(0)
	for range s.Records {
		seq += r.Uvarint()
		at := r.Uvarint()
		if at>>4 > math.MaxInt32 {
			r.Fail("index %d", at>>4)
		}
		if err := r.Err(); err != nil {
			return fmt.Errorf("reading segment %d of pending records: %w", s.Number, err)
		}
		if !f(Record{Seq: seq, Index: int(at >> 4), Flags: Flags(at) & allFlags}) {
			return nil
		}
	}
	if len(r.Rest()) > 0 {
		return fmt.Errorf("reading segment %d of pending records: %w: %d bytes too many", s.Number, wire.ErrCorrupt, len(r.Rest()))
	}
	return nil
}

// AppendBinary appends the segment's encoding.
func (s *Segment) AppendBinary(b []byte) []byte {
	b = wire.AppendUvarint(b, s.Number)
	b = wire.AppendUvarint(b, uint64(s.Groups))
	b = wire.AppendUvarint(b, uint64(s.Records))
	b = wire.AppendUvarint(b, s.First)
	b = wire.AppendUvarint(b, s.Last)
	if s.Groups > 0 {
		b = wire.AppendVarint(b, s.Oldest)
		b = wire.AppendUvarint(b, uint64(s.Newest-s.Oldest))
	}
	return append(b, s.data...)
}

// DecodeSegment reads what AppendBinary wrote.
func DecodeSegment(b []byte) (*Segment, error) {
	r := wire.NewReader(b)
	s := &Segment{Number: r.Uvarint(), Groups: small(r), Records: small(r), First: r.Uvarint(), Last: r.Uvarint(), Oldest: math.MaxInt64, Newest: math.MinInt64, data: nil, Stored: true}
	if s.Groups > 0 {
		s.Oldest = r.Varint()
		s.Newest = s.Oldest + int64(r.Uvarint())
	}
	if err := r.Err(); err != nil {
		return nil, fmt.Errorf("reading a segment of pending records: %w", err)
	}
	s.data = append([]byte(nil), r.Rest()...)
	last, groups := uint64(0), 0
	if err := s.Each(func(r Record) bool {
		if last = r.Seq; r.Flags&Starts != 0 {
			groups++
		}
		return true
	}); err != nil {
		return nil, err
	}
	if last != s.Last || groups != s.Groups {
		return nil, fmt.Errorf("reading segment %d of pending records: %w: its counts are not those of its records", s.Number, wire.ErrCorrupt)
	}
	return s, nil
}

func small(r *wire.Reader) int {
	n := r.Uvarint()
	if n > math.MaxInt32 {
		r.Fail("a count of %d", n)
		return 0
	}
	return int(n)
}

// RestoreLedger returns the ledger of stored segments, which must be in the order of their numbers.
func RestoreLedger(segments []*Segment) (*Ledger, error) {
	l := &Ledger{segments: nil, groups: 0, gone: nil}
	for _, s := range segments {
		if n := len(l.segments); n > 0 && (l.segments[n-1].Number >= s.Number || l.segments[n-1].Last > s.First) {
			return nil, fmt.Errorf("segments %d and %d of pending records do not follow each other", l.segments[n-1].Number, s.Number)
		}
		l.segments, l.groups = append(l.segments, s), l.groups+s.Groups
	}
	return l, nil
}
