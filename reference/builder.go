package reference

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/driftd/driftd/cells"
	"github.com/driftd/driftd/event"
	"github.com/driftd/driftd/result"
)

// ErrTooLarge is wrapped by the error of an Add that would hold more than Options.MaxBytes.
var ErrTooLarge = errors.New("too many values to hold")

// ErrNoRows is wrapped by the error of a Build that counted no row.
var ErrNoRows = errors.New("no rows")

// maxName bounds the names in a reference, in bytes (design section 5).
const maxName = 256

// Options says how a reference is built. The zero value takes every row and every default.
type Options struct {
	Name, Model, Source string
	// Start and End are the span [Start, End) of event time that is taken, in Unix milliseconds; 0 is no bound. With a bound,
	// rows without a time are left out, and counted so.
	Start, End    int64
	Resolution    int // default DefaultResolution
	MaxCategories int // default DefaultMaxCategories
	// Kinds and Edges are by the names of features, or the reserved names of predictions. Kinds sets what the values would not
	// show, Edges adds cut points to a numeric feature. A name that no row has is an error.
	Kinds map[string]cells.Kind
	Edges map[string][]float64
	// NannyMLEdges adds the edges of NannyML's bins to the cut points of every numeric feature, so that `convention: nannyml` counts in
	// them exactly.
	NannyMLEdges bool
	// Pane is the length of the panes by which rows with times are counted beside the whole, in milliseconds: it divides a day.
	// 0 counts no panes. Where the counts would exceed PaneBytes (default DefaultPaneBytes), the next longer one of an hour, six
	// hours and a day is taken, and no panes where a day's do.
	Pane      int64
	PaneBytes int
	// Segments are the dimensions by whose values the rows are counted on their own, beside the whole.
	Segments []SegmentBy
	// Quality says what the rows' predictions and labels are, where their quality is counted; nil: labels are left out. Labels stand in the rows or
	// come as records of their own, joined by id whenever they come, the last one of an id.
	Quality *QualityBy
	// MaxBytes bounds the raw values that are held; 0 does not.
	MaxBytes int
	// Deduplicated says that the caller has dropped repeated ids: none are looked for, and none held.
	Deduplicated bool
	// Mixed takes columns that no other reference takes: of numbers and of strings (it is of the kind that more of its values have),
	// and leaves those out whose names are too long. It is for cells made of whatever a stream brings.
	Mixed bool
}

// Stats says what became of the events given to a Builder.
type Stats struct {
	Rows        uint64 // counted
	Labels      uint64 // records that are labels: no rows
	Labelled    uint64 // rows with a label in them
	Duplicates  uint64 // repetitions of a (version, id)
	OtherModel  uint64 // of another model than Options.Model
	Outside     uint64 // outside of [Start, End)
	WithoutTime uint64 // without a time, where a span is asked for
}

// Builder collects the rows of a reference. It keeps the raw values: about 8 bytes a number, one entry a distinct string, and
// about 40 bytes a row that has an id; where rows are counted by pane and come in no order, 16 bytes more a number. A million rows of fifty numbers take half a gigabyte. It is not safe for concurrent use.
type Builder struct {
	opts        Options
	model       string
	stats       Stats
	seen        map[[16]byte]struct{} // (version, id)
	columns     map[columnKey]*column
	latency     *cells.Histogram
	statuses    uint64 // rows that have one
	failed      uint64
	first, last int64 // of the counted rows that have times
	timed       bool
	fileFirst   int64 // of all rows that have times
	fileLast    int64
	fileTimed   bool
	panes       map[int64]*PaneRows // by start
	segments    []*segmentRows      // by Options.Segments
	quality     *qualityRows        // nil: not counted
	qualityErr  error               // Options.Quality cannot be counted by
	held        int                 // bytes, about
}

// heldID is about what a remembered id takes in memory.
const heldID = 40

type columnKey struct {
	role result.Role
	name string
}

// NewBuilder returns an empty Builder.
func NewBuilder(o Options) *Builder {
	if o.Resolution == 0 {
		o.Resolution = DefaultResolution
	}
	if o.MaxCategories == 0 {
		o.MaxCategories = DefaultMaxCategories
	}
	if o.PaneBytes == 0 {
		o.PaneBytes = DefaultPaneBytes
	}
	b := &Builder{
		opts: o, model: o.Model, stats: Stats{}, seen: map[[16]byte]struct{}{}, columns: map[columnKey]*column{},
		latency: cells.NewHistogram(), statuses: 0, failed: 0, first: 0, last: 0, timed: false, fileFirst: 0, fileLast: 0, fileTimed: false,
		panes: map[int64]*PaneRows{}, segments: nil, quality: nil, qualityErr: nil, held: 0,
	}
	if o.Quality != nil {
		b.quality, b.qualityErr = newQualityRows(*o.Quality)
	}
	for _, by := range o.Segments {
		b.segments = append(b.segments, newSegmentRows(by))
	}
	return b
}

// Stats returns what was added so far.
func (b *Builder) Stats() Stats { return b.stats }

// Add adds one event; nothing of it is kept. A label without features is left out and counted, and so are repetitions of an
// id, rows of another model than Options.Model, and rows outside of the span. Two models in one input are an error unless
// Options.Model names one.
func (b *Builder) Add(e *event.Event) error {
	if e.IsLabel && len(e.Features) == 0 {
		b.stats.Labels++
		if b.quality != nil {
			b.held += b.quality.label(b.modelOf(e), e)
		}
		return b.bounded()
	}
	if len(e.Model) > 0 && string(e.Model) != b.model {
		switch {
		case b.opts.Model != "":
			b.stats.OtherModel++
			return nil
		case b.model != "":
			return fmt.Errorf("adding to a reference: the rows are of the models %q and %q; name the one to take", b.model, e.Model)
		}
		b.model = string(e.Model)
	}
	if e.HasTime {
		if !b.fileTimed {
			b.fileFirst, b.fileLast, b.fileTimed = e.Time, e.Time, true
		}
		b.fileFirst, b.fileLast = min(b.fileFirst, e.Time), max(b.fileLast, e.Time)
	}
	if b.opts.Start != 0 || b.opts.End != 0 {
		if !e.HasTime {
			b.stats.WithoutTime++
			return nil
		}
		if e.Time < b.opts.Start || (b.opts.End != 0 && e.Time >= b.opts.End) {
			b.stats.Outside++
			return nil
		}
	}
	if err := b.bounded(); err != nil {
		return err
	}
	if len(e.ID) > 0 && !b.opts.Deduplicated {
		key := identity(e)
		if _, ok := b.seen[key]; ok {
			b.stats.Duplicates++
			return nil
		}
		b.seen[key] = struct{}{}
		b.held += heldID
	}
	b.count(e)
	return nil
}

// bounded returns an error where more is held than may be.
func (b *Builder) bounded() error {
	if b.opts.MaxBytes > 0 && b.held > b.opts.MaxBytes {
		return fmt.Errorf("adding row %d to a reference: %w: more than %d MiB: take a shorter span, or raise the bound",
			b.stats.Rows+1, ErrTooLarge, b.opts.MaxBytes>>20)
	}
	return nil
}

// modelOf returns the model of a record: where it names none, the one that is asked for.
func (b *Builder) modelOf(e *event.Event) string { return cmp.Or(string(e.Model), b.opts.Model) }

func (b *Builder) count(e *event.Event) {
	b.stats.Rows++
	if e.HasTime {
		if !b.timed {
			b.first, b.last, b.timed = e.Time, e.Time, true
		}
		b.first, b.last = min(b.first, e.Time), max(b.last, e.Time)
	}
	if e.HasLatency {
		b.latency.Add(e.Latency)
	}
	if len(e.Status) > 0 {
		b.statuses++
		if !event.Succeeded(e.Status) {
			b.failed++
		}
	}
	pane := b.pane(e)
	for i := range e.Prediction {
		b.value(result.RolePrediction, pane, &e.Prediction[i])
	}
	for i := range e.Features {
		b.value(result.RoleFeature, pane, &e.Features[i])
	}
	for _, s := range b.segments {
		b.held += s.add(e)
	}
	if e.Label.Kind != 0 && e.Label.Kind != event.ValueNull {
		b.stats.Labelled++
	}
	if b.quality != nil {
		b.held += b.quality.add(b.modelOf(e), e)
	}
}

// pane counts a row in its pane and returns that.
func (b *Builder) pane(e *event.Event) int64 {
	if b.opts.Pane == 0 || !e.HasTime {
		return untimed
	}
	start := floor(e.Time, b.opts.Pane)
	p := b.panes[start]
	if p == nil {
		p = &PaneRows{Start: start, Rows: 0, Latency: nil}
		b.panes[start] = p
	}
	p.Rows++
	if e.HasLatency {
		h := p.Latency
		if h == nil {
			h = cells.NewHistogram()
		}
		if h.Add(e.Latency) {
			p.Latency = h
		}
	}
	return start
}

func (b *Builder) value(role result.Role, pane int64, f *event.Field) {
	c := b.columns[columnKey{role, string(f.Name)}]
	if c == nil {
		c = newColumn()
		b.columns[columnKey{role, string(f.Name)}] = c
	}
	b.held += c.set(b.stats.Rows, pane, f.Value)
}

// identity returns a hash of what makes a prediction the same as another: its version and id.
func identity(e *event.Event) [16]byte {
	version := e.Version
	if len(version) == 0 {
		version = []byte("unknown")
	}
	buf := make([]byte, 0, 64)
	buf = binary.AppendUvarint(buf, uint64(len(version))) // length first: no two pairs share bytes
	buf = append(append(buf, version...), e.ID...)
	sum := sha256.Sum256(buf)
	return [16]byte(sum[:16])
}

// Build freezes what was added. The Builder stays usable.
func (b *Builder) Build() (*Reference, error) {
	if err := b.check(); err != nil {
		return nil, fmt.Errorf("building reference: %w", err)
	}
	r := &Reference{
		Name: b.opts.Name, Model: b.model, Source: b.opts.Source, Start: 0, End: 0,
		Rows: b.stats.Rows, Resolution: b.opts.Resolution, Features: nil, Latency: nil, Errors: nil,
		Pane: 0, Panes: nil, Dimensions: nil, Quality: nil,
	}
	if b.timed {
		r.Start, r.End = b.first, b.last+1
		if b.opts.Start != 0 {
			r.Start = b.opts.Start
		}
		if b.opts.End != 0 {
			r.End = b.opts.End
		}
	}
	if b.latency.Count() > 0 {
		r.Latency = b.latency.Clone()
	}
	if b.statuses > 0 { // a row without one is no failure, as in a window
		r.Errors = &Errors{Rows: b.stats.Rows, Failed: b.failed}
	}
	keys := slices.Collect(maps.Keys(b.columns))
	var errs []error
	for _, k := range keys {
		if b.opts.Mixed && len(k.name) > maxName {
			continue
		}
		f, err := b.columns[k].freeze(k, b.stats.Rows, &b.opts)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		r.Features = append(r.Features, *f)
	}
	if err := joinSorted(errs); err != nil {
		return nil, fmt.Errorf("building reference: %w", err)
	}
	slices.SortFunc(r.Features, compareFeatures)
	b.countByPane(r)
	if err := errors.Join(b.countBySegment(r), b.countQuality(r)); err != nil {
		return nil, fmt.Errorf("building reference: %w", err)
	}
	return r, nil
}

// check says what no reference can be made of.
func (b *Builder) check() error {
	o := &b.opts
	var errs []error
	if o.Resolution < 10 || o.Resolution > cells.MaxPoints/2 {
		errs = append(errs, fmt.Errorf("the resolution is %d, it must be in [10, %d]", o.Resolution, cells.MaxPoints/2))
	}
	if o.MaxCategories < 1 || o.MaxCategories > cells.MaxCategories {
		errs = append(errs, fmt.Errorf("at most %d categories asked for, it must be in [1, %d]", o.MaxCategories, cells.MaxCategories))
	}
	if day := int64(24 * time.Hour / time.Millisecond); o.Pane < 0 || (o.Pane > 0 && day%o.Pane != 0) {
		errs = append(errs, fmt.Errorf("panes of %d ms: a pane must divide a day", o.Pane))
	}
	errs = append(errs, checkSegments(o.Segments)...)
	if b.qualityErr != nil {
		errs = append(errs, b.qualityErr)
	}
	for _, s := range []string{o.Name, o.Source, b.model} {
		if len(s) > maxSource {
			errs = append(errs, fmt.Errorf("a name, model or source of %d bytes, at most %d are allowed", len(s), maxSource))
		}
	}
	if b.stats.Rows == 0 {
		return errors.Join(append(errs, b.noRows())...)
	}
	for _, name := range slices.Sorted(maps.Keys(o.Kinds)) {
		if k := o.Kinds[name]; k != cells.Numeric && k != cells.Categorical {
			errs = append(errs, fmt.Errorf("the kind of %q is %v; use numeric or categorical", name, k))
		}
		if !b.has(name) {
			errs = append(errs, fmt.Errorf("a kind is given for %q, but no row has it", name))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(o.Edges)) {
		if !b.has(name) {
			errs = append(errs, fmt.Errorf("edges are given for %q, but no row has it", name))
		}
	}
	return errors.Join(errs...)
}

func (b *Builder) has(name string) bool {
	return b.columns[columnKey{result.RoleFeature, name}] != nil || b.columns[columnKey{result.RolePrediction, name}] != nil
}

// noRows says why there is nothing to freeze.
func (b *Builder) noRows() error {
	s := &b.stats
	switch {
	case s.Outside > 0:
		return fmt.Errorf("%w in [%s, %s): the rows span %s to %s; choose a span within it",
			ErrNoRows, bound(b.opts.Start), bound(b.opts.End), instant(b.fileFirst), instant(b.fileLast))
	case s.WithoutTime > 0:
		return fmt.Errorf("%w with a time, though a span is asked for: map the time column, or ask for no span", ErrNoRows)
	case s.OtherModel > 0:
		return fmt.Errorf("%w of model %q: all %d are of other models", ErrNoRows, b.opts.Model, s.OtherModel)
	case s.Labels > 0:
		return fmt.Errorf("%w: all %d records are labels; a reference is made of predictions and features", ErrNoRows, s.Labels)
	}
	return fmt.Errorf("%w: the input is empty", ErrNoRows)
}

func bound(ms int64) string {
	if ms == 0 {
		return "any time"
	}
	return instant(ms)
}

func instant(ms int64) string { return time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05.000Z") }

// joinSorted joins errors in the order of their texts, so that the message does not depend on a map's order.
func joinSorted(errs []error) error {
	slices.SortFunc(errs, func(a, b error) int {
		switch {
		case a.Error() < b.Error():
			return -1
		case a.Error() > b.Error():
			return 1
		}
		return 0
	})
	return errors.Join(errs...)
}
