// Package window is the state machine of event time: watermarks, base panes of counts, and the windows that are sums of
// panes (design section 6). It knows no clock: time enters by the events, the broker's timestamps and the markers that it
// is given. It is not safe for concurrent use; one goroutine owns a Source.
package window

import (
	"cmp"
	"errors"
	"fmt"
	"math"
)

// Unset is the watermark of a source that has not seen an event yet.
const Unset = int64(math.MinInt64)

// PaneUnit is the length that every base pane must divide, in milliseconds: a quarter of an hour.
const PaneUnit = int64(15 * 60 * 1000)

// Spec is one kind of window: Size long, a new one beginning Every milliseconds, aligned to the Unix epoch in UTC.
// Every == Size is a tumbling window, Every < Size a sliding one.
type Spec struct {
	Size  int64 `json:"size_ms"`
	Every int64 `json:"every_ms"`
}

// Timing is what a model's configuration says about event time. All times are milliseconds.
type Timing struct {
	Windows        []Spec `json:"windows"`
	Pane           int64  `json:"pane_ms"`            // length of a base pane; divides PaneUnit and every Size and Every
	Lateness       int64  `json:"lateness_ms"`        // how long after its end a window still takes events
	WatermarkDelay int64  `json:"watermark_delay_ms"` // the watermark follows the newest event at this distance
}

// Validate returns what is wrong with the timing, or nil.
func (t Timing) Validate() error {
	switch {
	case t.Pane <= 0 || PaneUnit%t.Pane != 0:
		return fmt.Errorf("pane of %d ms must divide 15 minutes", t.Pane)
	case t.Lateness < 0 || t.WatermarkDelay < 0:
		return fmt.Errorf("lateness %d ms and watermark delay %d ms must not be negative", t.Lateness, t.WatermarkDelay)
	case len(t.Windows) == 0:
		return errors.New("at least one window is needed")
	}
	for _, s := range t.Windows {
		if s.Size <= 0 || s.Every <= 0 || s.Every > s.Size || s.Size%t.Pane != 0 || s.Every%t.Pane != 0 {
			return fmt.Errorf("window of %d ms every %d ms must be whole panes of %d ms, with every ≤ size", s.Size, s.Every, t.Pane)
		}
	}
	return nil
}

// horizon is how long after the end of a pane any window that contains it may still change.
func (t Timing) horizon() int64 {
	longest := int64(0)
	for _, s := range t.Windows {
		longest = max(longest, s.Size)
	}
	return longest + t.Lateness
}

// floor returns the largest multiple of step that is ≤ t, also for times before 1970.
func floor(t, step int64) int64 {
	q := t / step
	if t%step < 0 {
		q--
	}
	return q * step
}

func (s Spec) compare(o Spec) int {
	return cmp.Or(cmp.Compare(s.Size, o.Size), cmp.Compare(s.Every, o.Every))
}

// ends calls f with the end of every window of s that contains the pane beginning at start.
func (s Spec) ends(start int64, f func(end int64)) {
	first := floor(start, s.Every) + s.Every // windows end on multiples of Every; the first one after the pane's start
	for end := first; end-s.Size <= start; end += s.Every {
		f(end)
	}
}

// lastEnd returns the end of the last window of s that contains the pane beginning at start.
func (s Spec) lastEnd(start int64) int64 { return floor(start+s.Size, s.Every) }

// ID names one window of one source. Results of a window exist for each version in it and for all together.
type ID struct {
	End         int64  `json:"end"`
	Size        int64  `json:"size"`
	Every       int64  `json:"every"`
	Fingerprint string `json:"fingerprint"` // of the reference that its panes were counted against; empty without one
}

// Start returns the beginning of the window.
func (id ID) Start() int64 { return id.End - id.Size }

func (id ID) compare(o ID) int {
	return cmp.Or(cmp.Compare(id.End, o.End), cmp.Compare(id.Size, o.Size), cmp.Compare(id.Every, o.Every),
		cmp.Compare(id.Fingerprint, o.Fingerprint))
}

// Status is what is remembered of an open window: the state between its first event and the end of its lateness.
type Status struct {
	ID      ID       `json:"id"`
	Emitted int      `json:"emitted"`           // revisions emitted so far; 0: none yet
	Due     int64    `json:"due"`               // the watermark at which the next revision is due; Never: none is
	Closes  int64    `json:"closes"`            // the watermark at which nothing may change any more
	Changed []string `json:"changed,omitempty"` // versions that changed since the last revision, sorted
	Written int      `json:"written,omitempty"` // results of the present revision that were emitted already: a commit was full
}

// Never is the due time of a window that has nothing new to say.
const Never = int64(math.MaxInt64)

// compareDue orders windows in the canonical order of emission.
func compareDue(a, b *Status) int {
	return cmp.Or(cmp.Compare(a.Due, b.Due), a.ID.compare(b.ID))
}
