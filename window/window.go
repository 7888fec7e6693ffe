// Package window is the state machine of event time: watermarks, base panes of counts, and the windows that are sums of
// panes (design section 6). It knows no clock: time enters by the events, the broker's timestamps and the markers that it
// is given. It is not safe for concurrent use; one goroutine owns a Source.
package window

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
)

// Unset is the watermark of a source that has not seen an event yet.
const Unset = int64(math.MinInt64)

// PaneUnit is the length that every base pane must divide, in milliseconds: a quarter of an hour.
const PaneUnit = int64(15 * 60 * 1000)

// Spec is one kind of window: Size long, a new one beginning Every milliseconds, aligned to the Unix epoch in UTC.
// Every == Size is a tumbling window, Every < Size a sliding one. MinEvents > 0 is an extended one, for low traffic: a tumbling
// window that ends at the first end of a pane at which it is at least Size long and holds MinEvents, or is ExtendTo long.
type Spec struct {
	Size      int64  `json:"size_ms"`
	Every     int64  `json:"every_ms"`
	MinEvents uint64 `json:"min_events,omitempty"`
	ExtendTo  int64  `json:"extend_to_ms,omitempty"`
}

// Extends reports whether a window's end depends on what is in it.
func (s Spec) Extends() bool { return s.MinEvents > 0 }

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
		if s.Extends() != (s.ExtendTo != 0) || s.Extends() && (s.Every != s.Size || s.ExtendTo <= s.Size || s.ExtendTo%t.Pane != 0) {
			return fmt.Errorf("window of %d ms every %d ms with min_events %d and extend_to_ms %d: an extended window follows the one before"+
				" and says both, extend_to_ms being whole panes of %d ms and more than its size", s.Size, s.Every, s.MinEvents, s.ExtendTo, t.Pane)
		}
	}
	return nil
}

// floor returns the largest multiple of step that is ≤ t, also for times before 1970. t is not Unset.
func floor(t, step int64) int64 {
	q := t / step
	if t%step < 0 {
		q--
	}
	return q * step
}

func (s Spec) compare(o Spec) int {
	return cmp.Or(cmp.Compare(s.Size, o.Size), cmp.Compare(s.Every, o.Every), cmp.Compare(s.MinEvents, o.MinEvents),
		cmp.Compare(s.ExtendTo, o.ExtendTo))
}

// firstEnd returns the end of the first window of s, a fixed one, that contains the pane beginning at start: windows end on
// multiples of Every.
func (s Spec) firstEnd(start int64) int64 { return floor(start, s.Every) + s.Every }

// lastEnd returns the end of the last window of s that contains the pane beginning at start.
func (s Spec) lastEnd(start int64) int64 { return floor(start+s.Size, s.Every) }

// ID names one window of one source. Results of a window exist for each version in it and for all together.
type ID struct {
	End         int64  `json:"end"`
	Size        int64  `json:"size"`
	Every       int64  `json:"every"`
	Fingerprint string `json:"fingerprint"`          // of the reference that its panes were counted against; empty without one
	Extra       int64  `json:"extra,omitempty"`      // how much longer than Size an extended window became
	MinEvents   uint64 `json:"min_events,omitempty"` // of its kind, as Every is
	ExtendTo    int64  `json:"extend_to,omitempty"`
}

// Start returns the beginning of the window.
func (id ID) Start() int64 { return id.End - id.Size - id.Extra }

// Spec returns the kind of window that it is.
func (id ID) Spec() Spec {
	return Spec{Size: id.Size, Every: id.Every, MinEvents: id.MinEvents, ExtendTo: id.ExtendTo}
}

func (id ID) compare(o ID) int {
	return cmp.Or(cmp.Compare(id.End, o.End), id.Spec().compare(o.Spec()), cmp.Compare(id.Extra, o.Extra),
		cmp.Compare(id.Fingerprint, o.Fingerprint))
}

// Status is what is remembered of a window between its end and the end of its lateness.
type Status struct {
	ID      ID       `json:"id"`
	Emitted int      `json:"emitted"`           // revisions emitted so far; 0: none yet
	Due     int64    `json:"due"`               // the watermark at which the next revision is due; Never: none is
	Closes  int64    `json:"closes"`            // the watermark at which nothing may change any more
	Changed []string `json:"changed,omitempty"` // versions that changed since the last revision, sorted
	Parts   []Part   `json:"parts,omitempty"`   // segments of versions that changed, sorted
	Written int      `json:"written,omitempty"` // results of the present revision that were emitted already: a commit was full
}

// Part is the events of one version that are in one segment.
type Part struct {
	Version string `json:"version"`
	Segment string `json:"segment"`
}

func (p Part) compare(o Part) int {
	return cmp.Or(cmp.Compare(p.Version, o.Version), cmp.Compare(p.Segment, o.Segment))
}

// change notes that a version changed, or a segment of it where that is not empty.
func (w *Status) change(version, segment string) {
	if segment == "" {
		if i, found := slices.BinarySearch(w.Changed, version); !found {
			w.Changed = slices.Insert(w.Changed, i, version)
		}
		return
	}
	part := Part{version, segment}
	if i, found := slices.BinarySearchFunc(w.Parts, part, Part.compare); !found {
		w.Parts = slices.Insert(w.Parts, i, part)
	}
}

// HasChanged reports whether a version, or a segment of it where that is not empty, changed since the last revision.
func (w *Status) HasChanged(version, segment string) bool {
	if segment == "" {
		_, found := slices.BinarySearch(w.Changed, version)
		return found
	}
	_, found := slices.BinarySearchFunc(w.Parts, Part{version, segment}, Part.compare)
	return found
}

// Never is the due time of a window that has nothing new to say.
const Never = int64(math.MaxInt64)

// compareDue orders windows in the canonical order of emission.
func compareDue(a, b *Status) int {
	return cmp.Or(cmp.Compare(a.Due, b.Due), a.ID.compare(b.ID))
}
