package analyze

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/driftd/driftd/cells"
	"github.com/driftd/driftd/detectors"
	"github.com/driftd/driftd/reference"
	"github.com/driftd/driftd/result"
	"github.com/driftd/driftd/rows"
)

// Options says what is compared, and how.
type Options struct {
	Reference string // a file of rows, or one that `reference create --out` wrote
	Current   string // a file of rows

	Map        map[string]string // role to column, as in rows.Options
	Kinds      map[string]string // column to `numeric`, `categorical` or `ignore`
	SegmentBy  string            // the column whose values are also analysed one by one
	Convention string            // one of Conventions; empty: detectors.ConventionDefault
	Config     detectors.Config  // where it names no statistics, all are computed
	Resolution int               // cut points of a numeric feature that the fingerprint is of; 0: reference.DefaultResolution

	// Window is how long the current file's rows were collected for, in milliseconds: `threshold: auto` asks what stretches of the reference as
	// long as that show without drift. 0: as long as their times span, as windowOf rounds it; without times the thresholds are the configured ones.
	Window int64

	// Memory bounds, in bytes, what the numbers of the columns take that are compared at once: as many columns as fit, one a processor. A
	// column that does not fit alone is a *UsageError. 0: DefaultMemory.
	Memory int64

	// Progress is told what is being done and how much of it is; it may be called by several goroutines. May be nil.
	Progress func(what string, share float64)
}

// DefaultMemory is the default of Options.Memory.
const DefaultMemory = 4 << 30

// UsageError says that the options do not fit the files.
type UsageError struct{ Message string }

// Error implements error.
func (e *UsageError) Error() string { return e.Message }

// Analyze compares two files. It reads both, column by column; memory is that of two columns for each processor. Errors of the
// options are *UsageError; of the content of a file, *rows.Error.
func Analyze(ctx context.Context, o Options) (*Report, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	in, err := o.open(ctx)
	if err != nil {
		return nil, err
	}
	defer in.close()
	a := &analysis{Options: o, inputs: in}
	if err := a.plan(); err != nil {
		return nil, err
	}
	if err := a.findSegments(ctx); err != nil {
		return nil, err
	}
	if err := a.findChunks(ctx); err != nil {
		return nil, err
	}
	if err := a.compareAll(ctx); err != nil {
		return nil, err
	}
	return a.report(), nil
}

func (o *Options) check() error {
	if o.Convention == "" {
		o.Convention = detectors.ConventionDefault
	}
	if len(o.Config.Statistics) == 0 { // nobody waits for the next window here
		o.Config.Statistics = []string{detectors.AllStatistics}
	}
	if o.Memory <= 0 {
		o.Memory = DefaultMemory
	}
	if o.Resolution == 0 {
		o.Resolution = reference.DefaultResolution
	}
	if o.Window < 0 {
		return &UsageError{fmt.Sprintf("a window of %d ms: it must be longer than nothing", o.Window)}
	}
	if !slices.Contains(Conventions(), o.Convention) {
		return &UsageError{fmt.Sprintf("the convention %q is not known: use one of %s", o.Convention, strings.Join(Conventions(), ", "))}
	}
	for _, name := range slices.Sorted(maps.Keys(o.Kinds)) {
		switch kind := o.Kinds[name]; kind {
		case cells.Numeric.String(), cells.Categorical.String(), KindIgnored:
		default:
			return &UsageError{fmt.Sprintf("%q is no kind of %q: write numeric, categorical or ignore", kind, name)}
		}
	}
	return nil
}

// inputs are the open files.
type inputs struct {
	frozen *reference.Reference // a reference that was saved; nil: ref holds rows
	ref    *rows.Table
	cur    *rows.Table
}

func (in *inputs) close() {
	for _, t := range []*rows.Table{in.ref, in.cur} {
		if t != nil {
			_ = t.Close() // it was only read
		}
	}
}

// open opens both files at once.
func (o *Options) open(ctx context.Context) (*inputs, error) {
	in := &inputs{frozen: nil, ref: nil, cur: nil}
	frozen, err := loadReference(o.Reference)
	if err != nil {
		return nil, err
	}
	in.frozen = frozen
	if frozen != nil && o.Convention != detectors.ConventionDefault {
		return nil, &UsageError{"--convention " + o.Convention + " needs the rows of both sides; a saved reference holds counts: give the rows it was made of"}
	}
	var literal []string
	if o.Convention == detectors.ConventionSciPy {
		for name, kind := range o.Kinds {
			if kind == cells.Categorical.String() {
				literal = append(literal, name)
			}
		}
	}
	options := func(what string) rows.TableOptions {
		return rows.TableOptions{Map: o.Map, Text: literal, Memory: 0, Progress: func(share float64) { o.progress("reading the "+what, share) }}
	}
	group, inner := errgroup.WithContext(ctx)
	if frozen == nil {
		group.Go(func() (err error) {
			in.ref, err = rows.OpenTable(inner, o.Reference, options("reference"))
			return err //nolint:wrapcheck // it says which file and where
		})
	}
	group.Go(func() (err error) {
		in.cur, err = rows.OpenTable(inner, o.Current, options("current file"))
		return err //nolint:wrapcheck // it says which file and where
	})
	if err := group.Wait(); err != nil {
		in.close()
		return nil, err //nolint:wrapcheck // as above
	}
	return in, nil
}

// loadReference reads a saved reference; nil for a file of rows.
func loadReference(path string) (*reference.Reference, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("opening rows: %w", err)
	}
	head := make([]byte, len(reference.Magic))
	n, _ := f.ReadAt(head, 0)
	if err := f.Close(); err != nil {
		return nil, fmt.Errorf("opening rows: %w", err)
	}
	if string(head[:n]) != reference.Magic {
		return nil, nil //nolint:nilnil // no reference and no error: rows
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading reference: %w", err)
	}
	r, err := reference.Decode(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return r, nil
}

func (o *Options) progress(what string, share float64) {
	if o.Progress != nil {
		o.Progress(what, share)
	}
}

// analysis is one run.
type analysis struct {
	Options
	*inputs
	features []*feature
	segments []string // names of the segments, of which number 1 is the first
	refRows  segmentation
	curRows  segmentation
	refCount []uint64 // rows by segment
	curCount []uint64
	chunks   chunking
	notes    []string
}

// feature is one column to compare, and what came of it.
type feature struct {
	name     string
	header   string
	role     result.Role
	kind     string // as asked for, or empty
	ref, cur int    // the columns, -1 for none
	frozen   *reference.Feature
	ignored  string // why it is listed only; empty: it is compared

	out   []Feature          // of all rows, then of each segment
	cells *reference.Feature // of all rows, for the fingerprint
	note  string
}

// rowRoles are the roles of columns that say which row it is: they are no features, here as in the daemon.
func rowRoles() []string { return []string{"ts", "id", "model", "version"} }

// plan lists the features: the columns of the reference, then those that only the current file has, then what only --kind names.
func (a *analysis) plan() error {
	type key struct {
		prediction bool
		name       string
	}
	index := map[key]*feature{}
	used := map[string]bool{}
	at := func(prediction bool, name, header string) *feature {
		f := index[key{prediction, name}]
		if f == nil {
			f = &feature{name: name, header: header, role: result.RoleFeature, ref: -1, cur: -1}
			if prediction {
				f.role = result.RolePrediction
			}
			for _, n := range []string{header, name} {
				if kind, ok := a.Kinds[n]; ok {
					f.kind = kind
					used[n] = true
				}
			}
			if f.kind == KindIgnored {
				f.ignored = "left out by --kind"
			}
			index[key{prediction, name}] = f
			a.features = append(a.features, f)
		}
		return f
	}
	if a.frozen != nil {
		for i := range a.frozen.Features {
			r := &a.frozen.Features[i]
			f := at(r.Role == result.RolePrediction, r.Name, r.Name)
			f.frozen = r
			if f.kind != "" && f.kind != KindIgnored && f.kind != r.Space.Kind().String() {
				return &UsageError{fmt.Sprintf("--kind %s=%s: it is %s in the reference %s, whose cells are frozen; create another one",
					f.header, f.kind, r.Space.Kind(), a.Reference)}
			}
		}
	}
	for side, t := range []*rows.Table{a.ref, a.cur} {
		if t == nil {
			continue
		}
		for i, c := range t.Columns() {
			f := at(c.Prediction(), c.Name, c.Header)
			if side == 0 {
				f.ref = i
			} else {
				f.cur = i
			}
			a.setAside(f, c)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(a.Kinds)) {
		if !used[name] {
			at(false, name, name)
		}
	}
	for _, f := range a.features {
		if a.frozen != nil && f.frozen == nil && f.ignored == "" {
			f.ignored = "the reference has no such column"
		}
	}
	if a.SegmentBy != "" && !slices.ContainsFunc(a.features, func(f *feature) bool { return f.header == a.SegmentBy && (f.ref >= 0 || f.cur >= 0) }) {
		if a.cur.Rows() > 0 {
			return &UsageError{fmt.Sprintf("--segment-by %s: there is no such column", a.SegmentBy)}
		}
	}
	return nil
}

// setAside says why a column is no feature, if it is none.
func (a *analysis) setAside(f *feature, c rows.Column) {
	switch {
	case f.ignored != "" || c.Role == "" || c.Prediction():
	case c.Mapped:
		f.ignored = "mapped to " + c.Role
	case f.kind == "" && a.Convention == detectors.ConventionDefault && slices.Contains(rowRoles(), c.Role):
		f.ignored = fmt.Sprintf("a column named %s says which row it is; compare it by --kind %s=numeric or categorical", c.Header, c.Header)
	}
}

// workers is how many columns are compared at once: one for each processor, as far as their numbers fit in memory.
func (a *analysis) workers() int {
	most := a.cur.Rows()
	if a.ref != nil {
		most = max(most, a.ref.Rows())
	}
	buffers := uint64(buffersWhole)
	if a.segments != nil {
		buffers = buffersSegments
	}
	fit := uint64(a.Memory) / numberBytes / buffers / max(most, 1)
	return int(min(max(fit, 1), uint64(runtime.GOMAXPROCS(0))))
}

// compareAll compares every feature, several at once.
func (a *analysis) compareAll(ctx context.Context) error {
	group, inner := errgroup.WithContext(ctx)
	next, done := atomic.Int64{}, atomic.Int64{}
	a.progress("comparing", 0)
	for range min(a.workers(), max(len(a.features), 1)) {
		group.Go(func() error {
			w := &worker{analysis: a, memo: detectors.NewMemo()}
			for {
				i := int(next.Add(1)) - 1
				if i >= len(a.features) {
					return nil
				}
				if err := inner.Err(); err != nil {
					return err //nolint:wrapcheck // the first error is told
				}
				if err := w.compare(inner, a.features[i]); err != nil {
					return err
				}
				a.progress("comparing", float64(done.Add(1))/float64(len(a.features)))
			}
		})
	}
	err := group.Wait()
	if ctx.Err() != nil {
		return fmt.Errorf("comparing: %w", ctx.Err())
	}
	return err //nolint:wrapcheck // it is the worker's
}

// report judges and collects.
func (a *analysis) report() *Report {
	r := &Report{
		Schema: SchemaVersion, Convention: a.Convention,
		Reference: Source{Source: a.Reference, Rows: 0, Fingerprint: ""},
		Current:   Source{Source: a.Current, Rows: a.cur.Rows(), Fingerprint: ""},
		Notes:     slices.Clone(a.notes),
	}
	r.Features, r.Verdict, r.DriftShare, r.Reasons = a.judge(0)
	r.Rival = a.rivalReport(r.Features)
	for s, name := range a.segments {
		g := SegmentReport{Segment: a.SegmentBy + "=" + name, Current: SegmentRows{a.curCount[s+1]}}
		if a.frozen == nil {
			g.Reference.Rows = a.refCount[s+1]
		} else {
			g.Reference.Rows = a.frozen.Rows
		}
		g.Features, g.Verdict, g.DriftShare, g.Reasons = a.judge(s + 1)
		g.Rival = a.rivalReport(g.Features)
		r.Segments = append(r.Segments, g)
	}
	if a.frozen != nil {
		r.Reference.Rows, r.Reference.Fingerprint = a.frozen.Rows, a.frozen.Fingerprint()
	} else {
		r.Reference.Rows, r.Reference.Fingerprint = a.ref.Rows(), a.fingerprint()
	}
	for _, f := range a.features {
		if f.note != "" {
			r.Notes = append(r.Notes, f.note)
		}
	}
	for _, side := range []struct {
		table *rows.Table
		path  string
	}{{a.ref, a.Reference}, {a.cur, a.Current}} {
		switch {
		case side.table == nil:
		case side.table.Rows() == 0:
			r.Notes = append(r.Notes, side.path+" has no rows")
		case side.table.Labels() > 0:
			r.Notes = append(r.Notes, fmt.Sprintf("%s: %d labels left out, which are no rows", side.path, side.table.Labels()))
		}
	}
	if r.Notes == nil {
		r.Notes = []string{}
	}
	return r
}

// judge judges the features of all rows, or of a segment, together; those that are only listed have no part in it.
func (a *analysis) judge(segment int) ([]Feature, result.Verdict, *float64, []string) {
	all := make([]Feature, len(a.features))
	var judged []result.Feature
	for i, f := range a.features {
		all[i] = f.out[segment]
		if f.ignored == "" {
			judged = append(judged, all[i].Feature)
		}
	}
	verdict, share, reasons := detectors.Judge(judged, a.Config)
	for i, f := range a.features {
		if f.ignored == "" {
			all[i].Feature, judged = judged[0], judged[1:]
			if other := all[i].shown; other != nil {
				all[i].Statistics, all[i].Bins = other.statistics, other.bins
			}
		}
	}
	if reasons == nil {
		reasons = []string{}
	}
	return all, verdict, share, reasons
}

// fingerprint is that of the reference that `reference create` makes of the same rows, where these have no times, latencies and ids:
// these are part of a reference, but nothing of an analysis.
func (a *analysis) fingerprint() string {
	name, _, _ := strings.Cut(filepath.Base(a.Reference), ".")
	r := &reference.Reference{
		Name: name, Source: filepath.Base(a.Reference), Rows: a.ref.Rows(), Resolution: a.Resolution,
	}
	for _, f := range a.features {
		if f.cells != nil && f.ref >= 0 {
			if c := a.ref.Columns()[f.ref]; c.Role == "" || c.Prediction() {
				r.Features = append(r.Features, *f.cells)
			}
		}
	}
	r.Sort()
	return r.Fingerprint()
}
