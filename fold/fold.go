package fold

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/driftd/driftd/alerting"
	"github.com/driftd/driftd/event"
	"github.com/driftd/driftd/labels"
	"github.com/driftd/driftd/reference"
	"github.com/driftd/driftd/result"
	"github.com/driftd/driftd/window"
)

// Message is one stored message of a partition's stream.
type Message struct {
	Seq     uint64 // dense: each message's is one more than the one before
	Subject string
	Time    int64  // when the broker stored it, Unix milliseconds
	Data    []byte // not to be changed before the next commit: it may be counted together with those of later messages
	Retry   string // the dead letter that it repeats, as SEQ.INDEX; empty: none. Each is folded once
	Source  string // the broker's header of a message that it sourced from another stream; empty: none. Each is folded once
}

// Position is how far a partition has been folded: the message, how many of its records, and whether it is done.
type Position struct {
	Seq     uint64 `json:"seq"`     // the last message that was begun; 0 before the first
	Index   int    `json:"index"`   // records of it that were folded
	Emitted int    `json:"emitted"` // results emitted at this very point, in canonical order
	Refused int    `json:"refused"` // records of it that were refused
	Done    bool   `json:"done"`    // the message was folded to its end
}

// Next returns the sequence to read from.
func (p Position) Next() uint64 {
	if p.Done || p.Seq == 0 {
		return p.Seq + 1
	}
	return p.Seq
}

// References finds a reference by its fingerprint. It returns ErrNoReference where there is none, and any other error when it
// cannot tell now: then nothing was folded and the message is to be applied again.
type References func(fingerprint string) (*reference.Reference, error)

// ErrNoReference says that no reference has a fingerprint.
var ErrNoReference = errors.New("no such reference")

// maxDeadLetters is how many records of one message are dead-lettered one by one. A message of garbage has as many records as
// lines: the further ones are counted, and the last pointer says so.
const maxDeadLetters = 100

// PanicError says that folding a record panicked: a bug, or an attack. The partition's state may be half changed: restore it
// from the last commit, call Quarantine and go on. Where the record is only one of several, call CountAlone with Seq instead: the next panic
// knows which it is.
type PanicError struct {
	Seq     uint64
	Index   int
	Several bool // records were counted together, and this is the last of them
	Value   any
}

// Error implements error.
func (e *PanicError) Error() string {
	return fmt.Sprintf("folding record %d of message %d panicked: %v", e.Index, e.Seq, e.Value)
}

// Output collects what an Apply has to say; it becomes part of the next commit.
type Output struct {
	Docs        []result.Doc
	DeadLetters []result.DeadLetter
	Bytes       int // of Docs and DeadLetters
	Results     int
}

func (o *Output) doc(d result.Doc) {
	o.Docs, o.Bytes = append(o.Docs, d), o.Bytes+len(d.Data)
}

// Budget is what one commit may hold.
type Budget struct {
	Messages int
	Bytes    int
}

// record addresses one record of one message.
type record struct {
	seq   uint64
	index int
}

// source is a model's event time with what its epochs mean.
type source struct {
	*window.Source
	configs map[int]ModelConfig // by epoch
	binders map[string]*binder  // by fingerprint; the empty one counts no features
	book    *alerting.Book      // incidents
	queue   []result.Transition // transitions that wait for a commit with room
	last    slot                // where the last event went
	rolling *rolling            // nil: the reference is a stored one, or none
	divided map[int][]dimension // by epoch, see dimensions
	labels  *labelling          // nil: labels are only counted

	comparisons *comparisons // nil: no versions are compared
}

// empty returns a pane that counts nothing yet, in its compact form.
func (s *source) empty(key window.PaneKey) *window.Pane {
	b := s.binders[key.Fingerprint]
	pane := window.NewPane(key, b.ref, b.bounds)
	pane.Compact()
	return pane
}

// slot caches the pane that events of one version go to.
type slot struct {
	start   int64
	version string
	epoch   int
	pane    *window.Pane
	binder  *binder
	divided bool // by dimensions
}

// Partition is the state machine of one partition. It is not safe for concurrent use.
type Partition struct {
	stream       string // name of the input stream, for dead letters
	refs         References
	budget       Budget
	counting     Counting
	configHash   string // of the counting configuration in force; empty before the first
	configStored bool   // counting was committed
	configParts  int    // in how many parts
	bindings     map[string]Binding
	sources      map[string]*source
	ids          *idSet
	origins      map[string]origin // of messages that the broker sourced from other streams
	decoder      *event.Decoder
	alone        uint64 // messages up to this one are counted record by record
	quarantine   map[record]bool
	position     Position
	store        *shards
	frames       map[string]*storedFrame // by fingerprint
	rolled       rollShards
	scratch      []byte             // of an event's segment
	parts        []byte             // of an event's segments
	labelled     map[string]*source // whose labels may have changed since the last commit
	comparing    map[string]*source // whose comparisons changed since the last commit
	pending      *labels.Pending
	segments     uint64 // number of the segment of pending records that was begun last
	runs         runs
	recent       *source   // of the record before
	next         []Message // that probably come, for preparations that change nothing
	apart        thrift    // of folding messages together
	singly       thrift    // of folding the records of a message together
	ahead        [][]byte  // scratch, of ids
	moved        []*source // sources whose watermark or windows may have changed since the last drain, by name
	stats        Stats
	begin        Begin          // nil: windows are judged where they are due
	beside       []*judging     // in the order in which they will be emitted
	job          *job           // nil: none is running
	aged         []*window.Pane // to be brought into their compact form
	at           record         // that is being folded; index -1: none of its message
	several      bool           // it is the last one of several that are folded together
	rows         []int          // scratch, of those
}

// New returns a partition that has folded nothing. key seeds the hash of ids and is kept with the state; counting holds until
// the stream brings another configuration.
func New(stream string, counting Counting, key [2]uint64, refs References, budget Budget) *Partition {
	return &Partition{
		stream: stream, refs: refs, budget: budget, counting: counting, configHash: "", configStored: false, configParts: 0, bindings: map[string]Binding{},
		sources: map[string]*source{}, ids: newIDSet(counting.DedupIDs, key), origins: map[string]origin{}, decoder: newDecoder(counting.Limits), alone: 0,
		quarantine: map[record]bool{}, position: Position{Seq: 0, Index: 0, Emitted: 0, Refused: 0, Done: true}, store: newShards(), scratch: nil, parts: nil, moved: nil,
		frames: map[string]*storedFrame{}, rolled: newRollShards(), labelled: map[string]*source{}, comparing: map[string]*source{}, pending: labels.NewPending(labels.NewMemory()), segments: 0,
		runs:  runs{},                                                                                  //nolint:exhaustruct // empty
		stats: Stats{Rejected: map[event.RejectReason]uint64{}, Verdicts: map[result.Verdict]uint64{}}, //nolint:exhaustruct // zero counters
		begin: nil, beside: nil, job: nil, aged: nil, at: record{0, -1}, several: false, rows: nil, apart: thrift{}, singly: thrift{},
	}
}

// Position returns how far the partition has been folded.
func (p *Partition) Position() Position { return p.position }

// StartAt makes an empty partition begin behind a sequence, for a stream whose first messages are gone already.
func (p *Partition) StartAt(seq uint64) { p.position.Seq = seq }

// ConfigHash returns the hash of the configuration that the stream brought last, or "" when it brought none.
func (p *Partition) ConfigHash() string { return p.configHash }

// Quarantine makes the partition skip one record, which is dead-lettered as `panic`; with index -1 the message, or what is left
// of it.
func (p *Partition) Quarantine(seq uint64, index int) { p.quarantine[record{seq, index}] = true }

// CountAlone makes the partition count messages up to one record by record, and not the records of several together.
func (p *Partition) CountAlone(seq uint64) { p.alone = seq }

// SourceInfo says where a model's event time is, for markers and for people.
type SourceInfo struct {
	Model     string
	Watermark int64 // window.Unset before the first event
	LastSeen  int64 // broker's time of its last record or marker
	Waiting   bool  // a window waits for the watermark
	Wait      int64 // how long it must be silent before a marker has anything to say, in milliseconds; 0: no longer than idle_timeout
	Panes     int
	Windows   int
}

// Lose notes that messages from to to, both included, are gone from the stream: proven loss. Whose they were cannot be known, so
// every source's present windows say that they are incomplete. Folding goes on behind them.
func (p *Partition) Lose(from, to uint64) error {
	if from != p.position.Next() || to < from {
		return fmt.Errorf("messages %d to %d cannot be lost at position %d", from, to, p.position.Seq)
	}
	n := to - from + 1
	p.runs.flush(p)
	p.stats.Lost += n
	for _, name := range slices.Sorted(maps.Keys(p.sources)) {
		s := p.sources[name]
		p.touch(s, s.LastSeen)
		p.arrival(s, func(t *window.Tally) { t.Lost += n })
	}
	p.position = Position{Seq: to, Index: 0, Emitted: 0, Refused: 0, Done: true}
	return nil
}

// Sources lists the partition's sources by name.
func (p *Partition) Sources() []SourceInfo {
	out := make([]SourceInfo, 0, len(p.sources))
	for _, name := range slices.Sorted(maps.Keys(p.sources)) {
		s := p.sources[name]
		n, waiting := s.Open()
		wait := int64(0)
		if !waiting {
			wait, waiting = s.untilSilent()
		}
		out = append(out, SourceInfo{
			Model: name, Watermark: s.Watermark, LastSeen: s.LastSeen, Waiting: waiting, Wait: wait, Panes: len(s.Panes), Windows: n,
		})
	}
	return out
}

// Apply folds the next message, or goes on with the one that the last Apply left. It returns done=false when the output and
// the changed state fill a commit: commit, and apply the same message again. An error other than *PanicError leaves the
// partition where it was.
func (p *Partition) Apply(m Message, out *Output) (done bool, err error) {
	if m.Seq == p.position.Seq && p.position.Done || m.Seq > p.position.Next() || m.Seq < p.position.Seq {
		return false, fmt.Errorf("message %d does not follow position %d: read from %d", m.Seq, p.position.Seq, p.position.Next())
	}
	if p.full(out) {
		return false, nil
	}
	if m.Seq != p.position.Seq {
		p.position = Position{Seq: m.Seq, Index: 0, Emitted: 0, Refused: 0, Done: false}
		p.stats.Messages++
	}
	p.at, p.several = record{m.Seq, -1}, false
	defer func() {
		if v := recover(); v != nil {
			done, err = false, p.panicked(v)
		}
	}()
	if !p.drain(out) {
		return false, nil
	}
	model, isControl := subjectModel(m.Subject)
	switch {
	case p.quarantine[record{m.Seq, -1}]:
		done = p.skip(m, model, out)
	case p.repeats(m):
		done = p.drop(m, model, out)
	case isControl:
		p.runs.flush(p)
		done, err = p.applyControl(m, out)
	case len(m.Data) > p.counting.MaxMessage:
		done = p.applyRecord(0, out, func() {
			p.reject(m, 0, model, m.Data, &event.RejectError{
				Reason: event.RejectOversize, Offset: 0,
				Detail: fmt.Sprintf("the message has %d bytes, the limit is %d: send fewer events a message, or raise limits.max_message",
					len(m.Data), p.counting.MaxMessage),
			}, out)
		})
	default:
		done, err = p.applyRecords(m, model, out)
	}
	if done && err == nil {
		p.position.Done = true
		p.folded(m)
	}
	return done, err
}

func quarantined() *event.RejectError {
	return &event.RejectError{Reason: event.RejectPanic, Offset: 0, Detail: "folding this killed or panicked driftd: please report it with the record"}
}

// wholeMessage is the position's index behind a message that was skipped: there is no such record.
const wholeMessage = math.MaxInt32

// skip dead-letters what is left of a quarantined message.
func (p *Partition) skip(m Message, model string, out *Output) bool {
	if p.position.Index < wholeMessage {
		p.reject(m, p.position.Index, model, m.Data, quarantined(), out)
		p.position.Index, p.position.Emitted = wholeMessage, 0
	}
	return p.drain(out)
}

// applyRecords folds the records of a message from where it stands.
func (p *Partition) applyRecords(m Message, model string, out *Output) (bool, error) {
	p.decoder.ResetFrom(model, m.Data)
	one := [1]Message{m}
	for {
		p.at.index = -1 // where decoding panics no record of the message can be passed by
		if n := p.tryTogether(one[:], model, out); n > 0 {
			if p.position.Index, p.position.Emitted = p.position.Index+n, 0; !p.drain(out) {
				p.runs.flush(p)
				return false, nil
			}
			continue
		}
		if !p.decoder.Next() {
			break
		}
		i := p.decoder.Index()
		if i < p.position.Index {
			continue
		}
		var err error
		ok := p.applyRecord(i, out, func() {
			if p.quarantine[record{m.Seq, i}] {
				p.reject(m, i, model, p.decoder.Raw(), quarantined(), out)
				return
			}
			ev, rejected := p.decoder.Event()
			if rejected != nil {
				p.reject(m, i, model, p.decoder.Raw(), rejected, out)
				return
			}
			err = p.record(m, i, model, ev, out)
		})
		if err != nil {
			p.runs.flush(p)
			if p.position.Index = i; errors.Is(err, errFull) {
				err = nil
			}
			return false, err
		}
		if !ok {
			p.runs.flush(p)
			return false, nil
		}
	}
	p.runs.ended(p, len(m.Data))
	return true, nil
}

// applyRecord folds one record, moves the position behind it and emits what became due.
func (p *Partition) applyRecord(i int, out *Output, f func()) bool {
	if i < p.position.Index {
		return true
	}
	if len(p.labelled) > 0 && p.full(out) {
		return false // labels change the counts of many windows
	}
	p.at.index = i
	f()
	p.position.Index, p.position.Emitted = i+1, 0
	return p.drain(out)
}

// ControlPrefix begins the subjects of control messages.
const ControlPrefix = "driftd.control."

// subjectModel returns the model that a subject names, and whether the subject is a control subject.
func subjectModel(subject string) (model string, control bool) {
	if strings.HasPrefix(subject, ControlPrefix) {
		return "", true
	}
	for _, prefix := range []string{"ml.events.", "ml.labels."} {
		if m, ok := strings.CutPrefix(subject, prefix); ok {
			return m, false
		}
	}
	return "", false
}

// full reports whether the output and the changed state fill a commit.
func (p *Partition) full(out *Output) bool {
	labels, size := 0, 0
	if len(p.labelled) > 0 {
		labels, size = p.labelDirt()
	}
	comparisons, more := p.compareDirt()
	return len(out.Docs)+len(out.DeadLetters)/100+p.store.dirtyCount()+p.ids.changeCount()+p.rolled.dirtyCount()+labels+comparisons >= p.budget.Messages ||
		out.Bytes+p.store.dirtyBytes()+p.rolled.dirtyBytes()+size+more >= p.budget.Bytes
}

// fits reports whether the documents of one more result, and what it may set off, go into the commit. Where the commit holds
// nothing else they go in whatever their size: there is no smaller one.
func (p *Partition) fits(out *Output, docs []result.Doc) bool {
	size := 0
	for _, d := range docs {
		size += len(d.Data)
	}
	return len(out.Docs) == 0 || len(out.Docs)+len(docs)+p.store.dirtyCount() <= p.budget.Messages && out.Bytes+size <= p.budget.Bytes
}

// drain emits what is due, source by source in order of their names, and sweeps what can change no more; or has it judged beside counting
// first. It returns false when a commit is full.
func (p *Partition) drain(out *Output) bool { return p.drainMoved(out) && !p.full(out) }

// drainMoved is drain for a commit that may be full when all is done.
func (p *Partition) drainMoved(out *Output) bool {
	if !p.makeUp(out, 0) {
		return false
	}
	for _, s := range p.moved {
		if p.judgingOf(s) != nil {
			continue // it is drained when that is over
		}
		if p.begin != nil && s.says() {
			postponed, ok := p.postpone(s, out)
			if !ok {
				return false
			}
			if postponed {
				continue
			}
		}
		if !p.drainSource(s, out) {
			return false
		}
	}
	p.moved = p.moved[:0]
	if len(p.aged) > 0 && len(p.beside) == 0 && p.idle() {
		p.run(p.at, func() {})
	}
	return true
}

// drainSource is drain for one source.
func (p *Partition) drainSource(s *source, out *Output) bool {
	if s.Ready() {
		p.rest()
		p.runs.flush(p) // panes are read, joined or let go
	}
	if !p.flush(s, out) {
		return false
	}
	flushing := s.Flushing()
	for w := s.Due(); w != nil; w = s.Due() {
		if p.full(out) || !p.emit(s, w, p.judge(s, w), out) {
			return false
		}
	}
	if s.labels != nil && !p.sayQuality(s, out) {
		return false
	}
	if s.silence(); !p.flush(s, out) {
		return false
	}
	if flushing {
		p.store.touchSource(s.Model) // that it is over must not be forgotten in a restart, also when nothing was due
	}
	if !p.tidy(s, out) {
		return false
	}
	if s.labels != nil {
		p.tidyLabels(s)
		p.tidyPairs(s)
	}
	return true
}

// tidy removes the panes of a source that can change no more and joins those that no window divides any more. It returns false
// when a commit is full.
func (p *Partition) tidy(s *source, out *Output) bool {
	remove := func(pane *window.Pane) {
		p.store.drop(s.Model, pane)
		if s.last.pane == pane {
			s.last = slot{}
		}
	}
	for pane := s.Sweep(); pane != nil; pane = s.Sweep() {
		if remove(pane); p.full(out) {
			return false
		}
	}
	empty := func(key window.PaneKey) *window.Pane {
		pane := s.empty(key)
		p.store.insert(s.Model, pane)
		return pane
	}
	for into, gone := s.Join(empty); into != nil; into, gone = s.Join(empty) {
		if !into.Dirty {
			p.store.touch(into)
		}
		if remove(gone); p.full(out) {
			return false
		}
	}
	return true
}

// source returns the source of a model, or makes one if the configuration lets it.
func (p *Partition) source(model []byte) (*source, *event.RejectError, error) {
	if s := p.sources[string(model)]; s != nil {
		return s, nil, nil
	}
	name := string(model)
	if _, named := p.counting.Models[name]; !named {
		if p.counting.UnknownModels == UnknownReject {
			return nil, &event.RejectError{Reason: event.RejectUnknownModel, Offset: 0, Detail: fmt.Sprintf(
				"model %q is not in the configuration and unknown_models is reject: name it there", name)}, nil
		}
		if p.discovered() >= p.counting.MaxModels {
			return nil, &event.RejectError{Reason: event.RejectUnknownModel, Offset: 0, Detail: fmt.Sprintf(
				"model %q would be more than limits.max_models (%d) discovered models: name it in the configuration or raise the limit",
				name, p.counting.MaxModels)}, nil
		}
	}
	s := &source{
		Source: window.NewSource(name), configs: map[int]ModelConfig{}, binders: map[string]*binder{}, book: alerting.Restore(nil), queue: nil, last: slot{},
		rolling: nil, divided: nil, labels: nil, comparisons: nil,
	}
	if err := p.configure(s, p.effective(name)); err != nil {
		return nil, nil, err
	}
	p.sources[name] = s
	return s, nil, nil
}

// discovered counts the sources that the configuration does not name.
func (p *Partition) discovered() int {
	n := 0
	for name := range p.sources {
		if _, named := p.counting.Models[name]; !named {
			n++
		}
	}
	return n
}

// effective returns the configuration of a model with what was activated for it.
func (p *Partition) effective(model string) ModelConfig {
	c, ok := p.counting.Models[model]
	if !ok {
		c = p.counting.Defaults
	}
	if c.Rules == nil {
		c.Rules = p.counting.Defaults.Rules
	}
	if b, ok := p.bindings[model]; ok {
		c.Reference, c.ReferenceName, c.Rolling = b.Fingerprint, b.Name, nil
	}
	return c
}

// configure makes a configuration hold for a source from its next pane on.
func (p *Partition) configure(s *source, c ModelConfig) error {
	c.Reference = p.startRolling(s, c)
	b, err := p.binder(s, c.Reference)
	if err != nil {
		return err
	}
	s.binders[c.Reference] = b
	s.configs[s.Configure(c.Timing, c.Reference)] = c
	s.last = slot{}
	p.store.touchSource(s.Model)
	return p.configureLabels(s, c)
}

// binder returns how events meet a reference.
func (p *Partition) binder(s *source, fingerprint string) (*binder, error) {
	if b := s.binders[fingerprint]; b != nil {
		return b, nil
	}
	if fingerprint == "" {
		return newBinder(nil), nil
	}
	ref, err := p.reference(fingerprint)
	if err != nil {
		return nil, fmt.Errorf("loading reference %s of model %q: %w", fingerprint, s.Model, err)
	}
	return newBinder(ref), nil
}

// Stuck reports whether even an empty commit is full: nothing can go on.
func (p *Partition) Stuck(out *Output) bool { return p.full(out) }
