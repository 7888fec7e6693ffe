package fold

import (
	"slices"

	"github.com/driftd/driftd/event"
	"github.com/driftd/driftd/result"
	"github.com/driftd/driftd/window"
)

// A window that is due is judged in its own time: its panes change no more, and to evaluate and to serialise them takes long. The emission
// is postponed as a whole until that is over: the documents, the incidents, all that changes the state. What is folded meanwhile is what is
// free (window.Free): it changes nothing of what is emitted, and what is emitted changes nothing of it, so that they may change places.
// Whatever is not free waits, and everything waits for its turn: the documents are the same, in the same order, as if each window were
// emitted where it is due. A commit in between would be a whole one, too: the window is due in it, and judged again behind a restart.
//
// Panes that are not the newest any more are brought into their compact form beside counting, too: with the next window, or on their own.

// Begin starts a job beside the caller and returns how to learn whether it has ended: now, or after waiting for it.
type Begin func(job func()) (ended func(wait bool) bool)

// JudgeBeside makes the partition judge windows in jobs, one at a time. Call Settle before a commit is taken and before Reconfigure.
func (p *Partition) JudgeBeside(begin Begin) { p.begin = begin }

// job is what runs beside counting.
type job struct {
	at     record // that is to blame for it
	ended  func(wait bool) bool
	held   []*window.Pane // that it brings into their compact form: nobody may touch their features
	failed any
}

// run begins a job.
func (p *Partition) run(at record, f func()) {
	p.rest()
	p.runs.flush(p)
	j := &job{at: at, ended: nil, held: p.aged, failed: nil}
	p.job, p.aged = j, nil
	j.ended = p.begin(func() {
		defer func() { j.failed = recover() }()
		f()
		for _, pane := range j.held {
			pane.Compact()
		}
	})
}

// idle reports whether no job is running.
func (p *Partition) idle() bool {
	if p.job != nil && p.job.ended(false) {
		p.rest()
	}
	return p.job == nil
}

// rest waits until no job is running, and panics as it did.
func (p *Partition) rest() {
	j := p.job
	if j == nil {
		return
	}
	j.ended(true)
	if p.job = nil; j.failed != nil {
		panic(failure{j.at, j.failed})
	}
}

// holds reports whether a job is running that no pane may be counted into beside it.
func (p *Partition) holds(pane *window.Pane) bool {
	return p.job != nil && slices.Contains(p.job.held, pane)
}

// mostBeside bounds the sources whose windows wait to be emitted. Nothing is copied for one; what is judged of the first one is kept.
const mostBeside = 16

// besideBytes bounds the documents that are made beside counting for one window; the others are made when it is emitted.
const besideBytes = 32 << 20

// judging is a source whose windows are due and are not emitted yet.
type judging struct {
	s    *source
	w    *window.Status // the one that is judged; nil: all are emitted, and what is left of the drain is not done
	at   record         // that made it due
	free window.Free
	said []division // nil: it is not begun
}

// failure is what a job panicked with.
type failure struct {
	at    record
	value any
}

// panicked says what panicked. The record that made a window due is blamed for what judging it did.
func (p *Partition) panicked(v any) *PanicError {
	if f, ok := v.(failure); ok {
		return &PanicError{Seq: f.at.seq, Index: f.at.index, Several: false, Value: f.value}
	}
	return &PanicError{Seq: p.at.seq, Index: p.at.index, Several: p.several || p.runs.counting, Value: v}
}

// Judging reports whether windows are due that are not emitted yet, or a job is running.
func (p *Partition) Judging() bool { return len(p.beside) > 0 || !p.idle() }

// Settle counts what was to be counted together with later messages, and emits what is due at the position and was not emitted yet, as far as it
// has been judged; if wait, all of it. It returns done=false when the commit is full: commit, and call it again. After an error, a *PanicError,
// the partition must be restored.
func (p *Partition) Settle(out *Output, wait bool) (done bool, err error) {
	defer func() {
		if v := recover(); v != nil {
			done, err = false, p.panicked(v)
		}
	}()
	p.runs.flush(p)
	if done = p.drainMoved(out); done && wait {
		done = p.makeUp(out, len(p.beside))
	}
	return done, nil
}

// judgingOf returns the postponed drain of a source, or nil.
func (p *Partition) judgingOf(s *source) *judging {
	for _, j := range p.beside {
		if j.s == s {
			return j
		}
	}
	return nil
}

// settleFor makes up for what a record of a source must come behind, and returns false when the commit is full.
func (p *Partition) settleFor(s *source, m Message, ev *event.Event, out *Output) bool {
	for i, j := range p.beside {
		if j.s != s {
			continue
		}
		t, future := eventTime(ev, m.Time, p.counting.FutureTolerance)
		// A label moves the watermark, and no data are then behind it. Versions that leave with their last pane make room for others.
		if !ev.IsLabel && s.Versions() < p.counting.MaxVersions && s.Frees(j.free, t, !future) {
			return true
		}
		return p.makeUp(out, i+1)
	}
	return true
}

// says reports whether draining a source emits anything, or may.
func (s *source) says() bool {
	return s.Ready() || len(s.queue) > 0 || s.isSilent() ||
		s.labels != nil && len(s.labels.waiting) > 0 && (s.labels.waiting[0].due == window.Unset || s.labels.waiting[0].due <= s.Watermark)
}

// postpone has the windows of a source that are due judged beside counting, where it can. Where it cannot it makes up for all that was
// postponed before. ok is false when the commit is full.
func (p *Partition) postpone(s *source, out *Output) (postponed, ok bool) {
	free, may := s.Free()
	if !may || !s.isPlain() || s.isSilent() || len(s.queue) > 0 {
		return false, p.makeUp(out, len(p.beside))
	}
	w := s.Due()
	if w == nil {
		return false, true // panes are let go, or joined
	}
	if n := len(p.beside); n == mostBeside && !p.makeUp(out, 1) {
		return false, false
	}
	j := &judging{s: s, w: w, at: p.at, free: free, said: nil}
	if p.beside = append(p.beside, j); len(p.beside) == 1 && p.idle() {
		p.start(j)
	}
	return true, true
}

// isPlain reports whether what a window says follows from its panes and a stored reference alone.
func (s *source) isPlain() bool {
	for _, c := range s.configs {
		if c.Rolling != nil || len(c.Compare) > 0 {
			return false
		}
	}
	return s.rolling == nil && s.labels == nil && s.comparisons == nil
}

// start begins to judge the window of a source. All that the job reads stays as it is until it has ended: the panes of the window, and what
// is remembered of it; the incidents, of which it asks what no rule knows. The plans of a binder are touched by nobody else.
func (p *Partition) start(j *judging) {
	p.rest()
	p.runs.flush(p) // panes are read
	s, w := j.s, j.w
	config := s.configs[s.EpochOf(w.ID).ID]
	panes, sum := s.Within(w.ID, s.empty)
	said := p.divide(s, w, config, panes)
	j.said = said
	p.run(j.at, func() {
		sum()
		for i := range said {
			said[i].evaluate(config, w.ID.Size)
		}
		describeAll(s, w, config, partsOf(said))
	})
}

// describeAll serialises the documents that are emitted first.
func describeAll(s *source, w *window.Status, config ModelConfig, all []part) {
	size := 0
	for i, of := range all {
		if v := of.view; v.wanted && i >= w.Written {
			v.sum, v.docs = describeView(s, w, config, of.base, v)
			if size += bytesOf(v.docs); size > besideBytes {
				return
			}
		}
	}
}

func bytesOf(docs []result.Doc) (n int) {
	for i := range docs {
		n += len(docs[i].Data)
	}
	return n
}

// makeUp emits what was postponed, as far as it is judged, and in any case for the first n sources. It returns false when the commit is full.
func (p *Partition) makeUp(out *Output, n int) bool {
	for ; len(p.beside) > 0; n-- {
		if more, ok := p.makeUpFirst(out, n > 0); !more || !ok {
			return ok
		}
	}
	return true
}

// makeUpFirst is makeUp for the source whose turn it is. more is false where that is still being judged.
func (p *Partition) makeUpFirst(out *Output, wait bool) (more, ok bool) {
	j := p.beside[0]
	for j.w != nil {
		if !wait && !p.idle() {
			return false, true
		}
		if j.said == nil {
			p.start(j)
			continue
		}
		p.rest()
		if !p.flush(j.s, out) || p.full(out) || !p.emit(j.s, j.w, j.said, out) {
			return true, false
		}
		j.w, j.said = j.s.Due(), nil
	}
	if !p.drainSource(j.s, out) {
		return true, false
	}
	p.beside = p.beside[1:]
	return true, true
}
