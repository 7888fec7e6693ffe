package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/driftd/driftd/cells"
	"github.com/driftd/driftd/config"
	"github.com/driftd/driftd/event"
	"github.com/driftd/driftd/fold"
	"github.com/driftd/driftd/journal"
	"github.com/driftd/driftd/quality"
	"github.com/driftd/driftd/reference"
	"github.com/driftd/driftd/rows"
)

func referenceCreateCommand() command {
	return command{
		name:  "driftd reference create",
		short: "freeze rows into a reference, and store it",
		args:  "--from FILE | --from-stream | --from-window RESULT [--name N] [--model M] [--activate] [flags]",
		about: `Reads the rows of a CSV file with a header, or of NDJSON (flat rows, or events with "features"); .gz too. Every column is a
feature unless it has a role: ts, id, model, version, latency_ms, status, label, prediction, or segment.NAME. A column with
such a name has it; --map gives it to another one. A column whose values are numbers is numeric; --kind says otherwise. The
reference is stored in the broker, or written to --out, whose bytes are the same.

Where rows have labels, in a column or as records of their own with the id of their prediction, and the model's labels are configured
(--config) or --task says what it predicts, the reference also counts how right the predictions were.

With --from-stream the rows are the events of the input stream, decoded and deduplicated as they are counted; events that are as
a rule in several models need --model. The whole stream is read; --start and --end choose by event time. --from-window takes the
rows of one judged window, of its version alone, by the result_id that the API and the page show.

` + findBroker,
		examples: []example{
			{
				"training data with the model's score in the column p, used at once",
				"driftd reference create --name churn-2026-11 --model churn --from training.csv --map prediction=p --activate",
			},
			{"each region on its own as well, for a model whose segments are watched", "driftd reference create --name churn-q3 --model churn --from training.csv --segment-by region --out churn.ref"},
			{"a week of the serving log", "driftd reference create --name churn-week-1 --from events.ndjson.gz --start 2026-11-01 --end 2026-11-08"},
			{"a week of what the model has seen", "driftd reference create --name churn-week-1 --model churn --from-stream --start 2026-11-01 --end 2026-11-08"},
			{
				"test data with what came true, to compare the model's quality with",
				"driftd reference create --name churn-test --model churn --from test.csv --map prediction=p --map label=churned --task binary",
			},
			{"a window that was good", "driftd reference create --name churn-good --model churn --from-window 0d1a9ff2a3d94f7c8f1d54bb29c2a611"},
			{
				"a code that is written in digits is a category",
				"driftd reference create --from training.csv --kind branch=categorical --out churn.ref",
			},
		},
		exits: []exit{
			{exitDone, "created"},
			{exitFailed, "the rows make no reference, the name is taken, or the broker failed"},
			{exitUsage, "wrong usage, or the file cannot be read"},
		},
		setup: func(fs *flag.FlagSet) action {
			c := create{target: targetFlags(fs), roles: map[string]string{}, kinds: map[string]cells.Kind{}}
			fs.StringVar(&c.from, "from", "", "`FILE`: the rows, CSV or NDJSON")
			fs.BoolVar(&c.fromStream, "from-stream", false, "take the rows from the input stream instead of a file")
			fs.StringVar(&c.window, "from-window", "", "`RESULT`: take the rows of the window of this result from the input stream")
			fs.BoolVar(&c.partial, "partial", false, "with --from-stream: take what is left where retention may have removed a part of the span")
			fs.IntVar(&c.maxMemory, "max-memory", 4096, "`MIB`: give up beyond so many MiB of raw values")
			fs.StringVar(&c.source, "source", "", "`TEXT`: where the rows are from, for people (default: the file's or the stream's name)")
			fs.StringVar(&c.name, "name", "", "`NAME`: of the reference (default: the file's name without its endings)")
			fs.StringVar(&c.model, "model", "", "`MODEL`: whose reference it is; takes its rows only, where rows name models")
			fs.Func("start", "`T`: take rows from then on; 2026-11-01, RFC 3339, or epoch milliseconds", instantFlag(&c.start))
			fs.Func("end", "`T`: take rows before then", instantFlag(&c.end))
			fs.IntVar(&c.resolution, "resolution", 0, "`N`: how many cut points of a numeric feature to keep (default: that of --config, or 2000)")
			fs.DurationVar(&c.pane, "pane", time.Duration(reference.DefaultPane)*time.Millisecond, "`LENGTH` of the panes by which rows with times are counted too; it divides a day; 0: none")
			fs.Func("map", "`ROLE=COLUMN`: the column that has a role; may be given again", c.addRole)
			fs.Func("kind", "`FEATURE=KIND`: numeric or categorical; may be given again", c.addKind)
			fs.Func("segment-by", "`DIMENSION`: count rows by its values too: those of DIMENSION=V,W or the 10 largest; may be given again (default: --config)", c.addSegment)
			fs.StringVar(&c.labels.Task, "task", "", "`TASK`: what is predicted, where rows have labels: binary, multiclass or regression (default: --config)")
			fs.StringVar(&c.labels.Positive, "positive", "", "`CLASS`: with --task binary, the positive class of the labels (default: 1 or true)")
			fs.StringVar(&c.labels.Negative, "negative", "", "`CLASS`: with --task binary, the other one (default: 0 or false; with --positive every other)")
			fs.Float64Var(&c.labels.Threshold, "threshold", quality.DefaultThreshold, "`SCORE`: with --task binary, the least score that predicts the positive class")
			fs.Func("classes", "`CLASS,CLASS…`: with --task multiclass, the classes", func(s string) error {
				c.labels.Classes = strings.Split(s, ",")
				return nil
			})
			fs.IntVar(&c.labels.Bins, "bins", quality.DefaultBins, "`N`: with --task, calibration bins of equal width")
			fs.BoolVar(&c.nannyEdges, "nannyml-edges", false, "cut numbers at the edges of NannyML's bins too, which then count exactly")
			fs.StringVar(&c.out, "out", "", "`FILE`: write the reference there instead of storing it")
			fs.BoolVar(&c.activate, "activate", false, "compare the model's windows with it from now on")
			return c.run
		},
	}
}

// create is one call of the command.
type create struct {
	target     *target
	from, name string
	model, out string
	source     string
	window     string // result id
	version    string // takes the rows of this one only
	fromStream bool
	partial    bool
	maxMemory  int
	start, end int64
	resolution int
	nannyEdges bool
	pane       time.Duration
	roles      map[string]string // column by role
	kinds      map[string]cells.Kind
	segments   []reference.SegmentBy
	labels     fold.Labels // how labels are read, where a task is given
	activate   bool
}

func (c *create) addRole(s string) error {
	role, column, ok := strings.Cut(s, "=")
	if !ok || role == "" || column == "" {
		return errors.New("write ROLE=COLUMN, such as prediction=score")
	}
	if old, again := c.roles[role]; again {
		return fmt.Errorf("the role %s is already that of column %q", role, old)
	}
	c.roles[role] = column
	return nil
}

func (c *create) addKind(s string) error {
	i := strings.LastIndexByte(s, '=') // a feature's name may have one too
	if i <= 0 {
		return errors.New("write FEATURE=numeric or FEATURE=categorical")
	}
	for _, k := range []cells.Kind{cells.Numeric, cells.Categorical} {
		if s[i+1:] == k.String() {
			c.kinds[s[:i]] = k
			return nil
		}
	}
	return fmt.Errorf("%q is no kind: write numeric or categorical", s[i+1:])
}

func (c *create) addSegment(s string) error {
	name, list, named := strings.Cut(s, "=")
	by := reference.SegmentBy{Name: name, Values: nil, Largest: 0}
	if named {
		by.Values = strings.Split(list, ",")
	}
	if err := reference.CheckDimension(name); err != nil {
		return err
	}
	c.segments = append(c.segments, by)
	return nil
}

// segmentsOf takes the segments of a model's configuration.
func segmentsOf(m config.Model) []reference.SegmentBy {
	out := make([]reference.SegmentBy, 0, len(m.Segments))
	for _, name := range slices.Sorted(maps.Keys(m.Segments)) {
		out = append(out, reference.SegmentBy{Name: name, Values: m.Segments[name].Values, Largest: m.Segments[name].Largest})
	}
	return out
}

// instantFlag reads a time into Unix milliseconds.
func instantFlag(to *int64) func(string) error {
	return func(s string) error {
		for _, layout := range []string{time.RFC3339Nano, time.DateOnly} {
			if t, err := time.Parse(layout, s); err == nil {
				*to = t.UnixMilli()
				return nil
			}
		}
		ms, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			return errors.New("write 2026-11-01, 2026-11-01T10:00:00Z, or epoch milliseconds")
		}
		*to = ms
		return nil
	}
}

func (c *create) run(ctx context.Context, con *console, args []string) error {
	if err := c.checkUsage(args); err != nil {
		return err
	}
	var l *link
	var refs *journal.References
	if c.out == "" || c.fromStream { // first, for building may take a while
		var err error
		if l, refs, err = openReferences(ctx, c.target); err != nil {
			return err
		}
		defer l.close()
		c.complete(l.cfg)
	} else if c.target.config != "" {
		cfg, err := loadConfig(c.target.config)
		if err != nil {
			return err
		}
		c.complete(cfg)
	}
	var ref *reference.Reference
	var stats reference.Stats
	var err error
	if c.window != "" {
		if err := c.ofWindow(ctx, l); err != nil {
			return err
		}
	}
	if c.fromStream {
		ref, stats, err = c.buildFromStream(ctx, con, l)
	} else {
		ref, stats, err = c.build(ctx)
	}
	if err != nil {
		return err
	}
	data := ref.Encode()
	if c.out != "" {
		if err := writeFile(c.out, data); err != nil {
			return fmt.Errorf("writing reference: %w", err)
		}
		return c.report(con, ref, stats, "written to "+c.out)
	}
	meta, err := refs.Put(ctx, ref.Name, data, journal.ReferenceMeta{
		Name: ref.Name, Model: ref.Model, Fingerprint: "", Rows: ref.Rows,
		Start: ref.Start, End: ref.End, Source: ref.Source, Size: len(data), Created: 0,
	})
	if err != nil {
		return err
	}
	if err := c.report(con, ref, stats, "stored"); err != nil {
		return err
	}
	if !c.activate {
		return awaitDaemon(ctx, con, l, meta)
	}
	return activate(ctx, con, l, ref.Model, meta)
}

// complete takes from a configuration what no flag says.
func (c *create) complete(cfg *config.Config) {
	if c.resolution == 0 {
		c.resolution = cfg.Defaults.Resolution
	}
	if c.segments == nil {
		c.segments = segmentsOf(cfg.Model(c.model))
	}
	if counted := cfg.Counting().Models[c.model].Labels; c.labels.Task == "" && counted != nil {
		c.labels = *counted
	}
}

// quality says how labels are read; nil: nobody said it.
func (c *create) quality() *reference.QualityBy {
	if c.labels.Task == "" {
		return nil
	}
	cfg, err := c.labels.Quality()
	if err != nil {
		return nil // checkUsage refused it
	}
	return &reference.QualityBy{Config: cfg, Resolution: 0}
}

func (c *create) checkUsage(args []string) error {
	if err := noArguments(args); err != nil {
		return err
	}
	switch {
	case c.window != "" && (c.fromStream || c.from != ""), c.window == "" && (c.from == "") != c.fromStream:
		return usageError("which rows? give --from FILE, or --from-stream, or --from-window RESULT")
	case c.window != "" && (c.model == "" || c.start != 0 || c.end != 0):
		return usageError("--from-window needs the --model, and brings its own --start and --end")
	}
	c.fromStream = c.fromStream || c.window != ""
	switch {
	case c.fromStream && len(c.roles) > 0:
		return usageError("--map is for columns of files: the fields of an event have their roles")
	case c.partial && !c.fromStream:
		return usageError("--partial is for --from-stream: a file is taken whole")
	case c.maxMemory < 1 || c.maxMemory > 1<<20:
		return usageError("--max-memory %d: must be 1 to 1,048,576 MiB", c.maxMemory)
	case c.out != "" && c.activate:
		return usageError("--out writes a file and stores nothing: there is nothing to --activate")
	case c.model != "" && !event.ValidModel(c.model):
		return usageError("--model %q: a model's name is 1 to 128 of A-Z, a-z, 0-9, '_' and '-'", c.model)
	case c.start != 0 && c.end != 0 && c.end <= c.start:
		return usageError("--end %s is not after --start %s", instant(c.end), instant(c.start))
	case c.pane < 0 || c.pane%time.Millisecond != 0 || (c.pane > 0 && 24*time.Hour%c.pane != 0):
		return usageError("--pane %s: must divide a day, such as 1m, 15m or 1h; 0 counts no panes", c.pane)
	case c.labels.Task == "" && (c.labels.Positive != "" || c.labels.Negative != "" || c.labels.Classes != nil):
		return usageError("--positive, --negative and --classes need a --task")
	case c.resolution < 0:
		return usageError("--resolution %d: must be 10 or more", c.resolution)
	}
	if c.labels.Task != "" {
		if _, err := c.labels.Spec(); err != nil {
			return usageError("--task: %v", err)
		}
	}
	if c.name == "" && c.fromStream {
		return usageError("a stream suggests no name: give --name")
	}
	if c.name == "" {
		c.name, _, _ = strings.Cut(filepath.Base(c.from), ".")
		if c.name == "" {
			return usageError("%s suggests no name: give --name", c.from)
		}
	}
	return nil
}

// build reads all rows. One that cannot be read is an input error; rows that make no reference are a failure.
func (c *create) build(ctx context.Context) (*reference.Reference, reference.Stats, error) {
	r, err := rows.Open(c.from, rows.Options{Map: c.roles})
	if err != nil {
		return nil, reference.Stats{}, inputError(err)
	}
	defer func() { _ = r.Close() }() // it was only read
	b := reference.NewBuilder(c.options(filepath.Base(c.from)))
	for {
		if err := ctx.Err(); err != nil {
			return nil, b.Stats(), errors.New("interrupted")
		}
		ev, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, b.Stats(), inputError(err)
		}
		if err := b.Add(ev); err != nil {
			return nil, b.Stats(), addError(err)
		}
	}
	return c.freeze(b)
}

// options says how the reference is built of rows from somewhere.
func (c *create) options(source string) reference.Options {
	if c.source != "" {
		source = c.source
	}
	return reference.Options{
		Name: c.name, Model: c.model, Source: source, Start: c.start, End: c.end, Resolution: c.resolution,
		MaxCategories: 0, Kinds: c.kinds, Segments: c.segments, Quality: c.quality(), Edges: nil, NannyMLEdges: c.nannyEdges, Pane: c.pane.Milliseconds(), PaneBytes: 0, MaxBytes: c.maxMemory << 20, Deduplicated: false, Mixed: false,
	}
}

// addError says what to do about a row that a reference does not take.
func addError(err error) error {
	if errors.Is(err, reference.ErrTooLarge) {
		return fmt.Errorf("%w with --max-memory", err)
	}
	return fmt.Errorf("%w: give --model", err)
}

// freeze makes the reference of what was added.
func (c *create) freeze(b *reference.Builder) (*reference.Reference, reference.Stats, error) {
	ref, err := b.Build()
	if err != nil {
		return nil, b.Stats(), err
	}
	if c.activate && ref.Model == "" {
		return nil, b.Stats(), usageError("--activate: for which model? the rows name none, give --model")
	}
	return ref, b.Stats(), nil
}

// report says what was made, and what was left out.
func (c *create) report(con *console, ref *reference.Reference, s reference.Stats, done string) error {
	span := "without times"
	if ref.Start != 0 || ref.End != 0 {
		span = instant(ref.Start) + " to " + instant(ref.End)
	}
	model := "any model"
	if ref.Model != "" {
		model = "model " + ref.Model
	}
	_, err := fmt.Fprintf(con.stdout, "reference %s for %s: %s, %s, %s; %s\n  %s\n", ref.Name, model, count(ref.Rows, "row", "rows"),
		count(len(ref.Features), "feature", "features and parts of the prediction"), span, done, ref.Fingerprint())
	if line := qualityLine(ref.Quality); err == nil && line != "" {
		_, err = fmt.Fprintf(con.stdout, "  quality: %s\n", line)
	}
	labels := s.Labels
	if ref.Quality != nil {
		labels = 0 // joined by id
	}
	left := map[string]uint64{
		"labels": labels, "rows with a repeated id": s.Duplicates, "rows of other models": s.OtherModel,
		"rows outside of the span": s.Outside, "rows without a time": s.WithoutTime,
	}
	for _, what := range slices.Sorted(maps.Keys(left)) {
		if left[what] > 0 {
			fmt.Fprintf(con.stderr, "left out: %s %s\n", grouped(left[what]), what)
		}
	}
	if s.Labels+s.Labelled > 0 && c.labels.Task == "" {
		fmt.Fprintln(con.stderr, "note: there are labels; to compare the quality of windows with that of these rows, configure the model's labels, or give --task")
	}
	for _, note := range ref.Notes() {
		fmt.Fprintf(con.stderr, "warning: %s\n", note)
	}
	return err
}

// qualityLine says what a reference knows of its quality, empty: nothing.
func qualityLine(c *quality.Counts) string {
	if c == nil {
		return ""
	}
	said := []string{fmt.Sprintf("%s, labels of %s of %s", c.Spec().Task(), grouped(c.Labels()), count(c.Predictions(), "row", "rows"))}
	for _, m := range quality.Evaluate(c) {
		if slices.Contains([]string{"accuracy", "roc_auc", "mae"}, m.Name) && m.Value != nil {
			said = append(said, fmt.Sprintf("%s %.4g", m.Name, *m.Value))
		}
	}
	return strings.Join(said, ", ")
}

// writeFile replaces a file so that a reader sees the old or the new bytes, never a part.
func writeFile(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }() // absent after the rename
	if _, err := f.Write(data); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := errors.Join(f.Chmod(0o644), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
