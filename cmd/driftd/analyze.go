package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"golang.org/x/term"

	"github.com/driftd/driftd/analyze"
	"github.com/driftd/driftd/config"
	"github.com/driftd/driftd/detectors"
	"github.com/driftd/driftd/result"
)

func analyzeCommand() command {
	return command{
		name:  "driftd analyze",
		short: "compare two files; no broker needed",
		args:  "--reference FILE --current FILE [flags]",
		about: `Compares the columns of two files of rows: CSV with a header, NDJSON (flat rows, or events with "features") or Parquet; packed with
gzip or zstd too, known by their content. Every column is a feature; one whose values are numbers is numeric. --reference also takes what
"driftd reference create --out" wrote. All statistics are exact, and the verdicts are those that the daemon would give.

The kind of a column comes from the reference; --kind says otherwise. Columns named ts, id, model or version say which row it is and are
listed only, unless --kind compares them. --map ROLE=COLUMN names the prediction, or takes a column out.

--convention scipy computes what SciPy does: deciles as bins, proportions of at least 0.0001, SciPy's p-values. The verdict stays as it is.
--convention evidently, nannyml, azure, scouter, tfdv or popmon computes that tool's numbers and says, beside driftd's verdict, what its
default rule makes of them and what is known to be wrong with it; --fail-on-drift then follows that tool.`,
		examples: []example{
			{"what changed since the model was trained", "driftd analyze --reference training.csv --current last-week.parquet"},
			{"stop a pipeline when its input drifts", "driftd analyze --reference training.parquet --current today.csv.gz --fail-on-drift"},
			{
				"bounds of drift, accuracy and fairness before a version is delivered (docs/gate.md)",
				"driftd analyze --reference training.csv --current candidate.csv --map prediction=score --map label=truth --gate gate.yaml",
			},
			{"a page to send around", "driftd analyze --reference january.csv --current february.csv --format html --out drift.html"},
			{"each region on its own, a code in digits as a category", "driftd analyze --reference a.csv --current b.csv --segment-by region --kind branch=categorical"},
		},
		exits: []exit{
			{exitDone, "compared, whatever was found"},
			{exitFailed, "failed, or the configuration is invalid"},
			{exitUsage, "wrong usage, or a file that cannot be read"},
			{exitDrift, "drift was found, and --fail-on-drift given; or a bound of --gate was not kept"},
		},
		setup: func(fs *flag.FlagSet) action {
			a := analysis{options: analyze.Options{Map: map[string]string{}, Kinds: map[string]string{}}}
			fs.StringVar(&a.options.Reference, "reference", "", "`FILE`: what the data should look like: rows, or a saved reference")
			fs.StringVar(&a.options.Current, "current", "", "`FILE`: the rows to judge")
			fs.StringVar(&a.format, "format", "table", "`FORMAT`: table, json or html")
			fs.StringVar(&a.out, "out", "", "`FILE`: write there instead of standard output")
			fs.StringVar(&a.config, "config", "", "`FILE`: take the thresholds of this configuration")
			fs.StringVar(&a.model, "model", "", "`MODEL`: those of this model in --config (default: its only model, else the defaults)")
			fs.BoolVar(&a.failOnDrift, "fail-on-drift", false, "exit with 3 when the verdict is drift")
			fs.StringVar(&a.gate, "gate", "", "`FILE`: bounds of drift, quality and fairness; exit with 3 when one is not kept")
			fs.Func("kind", "`COLUMN=KIND`: numeric, categorical or ignore; may be given again", a.addKind)
			fs.Func("map", "`ROLE=COLUMN`: the column that has a role; may be given again", a.addRole)
			fs.StringVar(&a.options.SegmentBy, "segment-by", "", "`COLUMN`: compare the rows of each of its values, too")
			fs.Func("window", "`LENGTH` of the window that the current rows are, for thresholds that learn (default: what their times span)", a.setWindow)
			fs.Func("memory", "`SIZE`: what the numbers of the columns compared at once may take (default 4GiB)", a.setMemory)
			fs.StringVar(&a.options.Convention, "convention", detectors.ConventionDefault, "`NAME`: default, scipy, evidently, nannyml, azure, scouter, tfdv or popmon")
			return a.run
		},
	}
}

// gcPercent keeps the garbage small beside few large buffers that live as long as the command.
const gcPercent = 25

// analysis is one call of the command.
type analysis struct {
	options     analyze.Options
	format, out string
	config      string
	model       string
	failOnDrift bool
	gate        string
	bounds      analyze.Gate
}

func (a *analysis) addKind(s string) error {
	i := strings.LastIndexByte(s, '=') // a column's name may have one too
	if i <= 0 {
		return errors.New("write COLUMN=numeric, COLUMN=categorical or COLUMN=ignore")
	}
	switch kind := s[i+1:]; kind {
	case "numeric", "categorical", analyze.KindIgnored:
		if old, again := a.options.Kinds[s[:i]]; again && old != kind {
			return fmt.Errorf("the column %s is already %s", s[:i], old)
		}
		a.options.Kinds[s[:i]] = kind
		return nil
	default:
		return fmt.Errorf("%q is no kind: write numeric, categorical or ignore", kind)
	}
}

func (a *analysis) addRole(s string) error {
	role, column, ok := strings.Cut(s, "=")
	if !ok || role == "" || column == "" {
		return errors.New("write ROLE=COLUMN, such as prediction=score")
	}
	if old, again := a.options.Map[role]; again {
		return fmt.Errorf("the role %s is already that of column %q", role, old)
	}
	a.options.Map[role] = column
	return nil
}

func (a *analysis) setWindow(s string) error {
	length, err := config.ParseDuration(s)
	if err != nil {
		return err
	}
	if a.options.Window = time.Duration(length).Milliseconds(); a.options.Window <= 0 {
		return errors.New("must be at least 1ms")
	}
	return nil
}

func (a *analysis) setMemory(s string) error {
	size, err := config.ParseBytes(s)
	if err != nil {
		return err
	}
	if size < config.MiB {
		return errors.New("must be at least 1MiB")
	}
	a.options.Memory = int64(size)
	return nil
}

func (a *analysis) run(ctx context.Context, con *console, args []string) error {
	if err := a.check(args); err != nil {
		return err
	}
	if con.getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	bar := newProgressBar(con.stderr, terminalWidth(con.stderr), time.Now)
	a.options.Progress = bar.update
	report, err := analyze.Analyze(ctx, a.options)
	bar.clear()
	switch usage := (*analyze.UsageError)(nil); {
	case ctx.Err() != nil:
		return errors.New("interrupted")
	case errors.As(err, &usage), err != nil:
		return inputError(err)
	}
	var page bytes.Buffer
	switch a.format {
	case "json":
		err = report.WriteJSON(&page)
	case "html":
		err = report.WriteHTML(&page)
	default:
		err = report.WriteTable(&page, a.out == "" && colored(con))
	}
	if err != nil {
		return err
	}
	if a.out != "" {
		err = writeFile(a.out, page.Bytes())
	} else {
		_, err = con.stdout.Write(page.Bytes())
	}
	if err != nil {
		return fmt.Errorf("writing the analysis: %w", err)
	}
	if err := a.hold(ctx, con, report); err != nil {
		return err
	}
	if verdict, reasons := report.Decided(); a.failOnDrift && verdict == result.Drift {
		return &exitError{code: exitDrift, err: errors.New("drift: " + plainText(strings.Join(reasons, "; ")))}
	}
	return nil
}

// hold holds the files against the gate, and says every bound on standard error.
func (a *analysis) hold(ctx context.Context, con *console, report *analyze.Report) error {
	if a.gate == "" {
		return nil
	}
	checks, err := a.bounds.Check(ctx, a.options, report)
	if err != nil {
		return inputError(err)
	}
	failed := 0
	for _, c := range checks {
		word := "kept      "
		if !c.Kept {
			word = "not kept  "
			failed++
		}
		fmt.Fprintf(con.stderr, "%s%s\n", word, plainText(c.String()))
	}
	if failed > 0 {
		return &exitError{code: exitDrift, err: fmt.Errorf("the gate %s does not open: %d of %d bounds are not kept", a.gate, failed, len(checks))}
	}
	return nil
}

func (a *analysis) check(args []string) error {
	if err := noArguments(args); err != nil {
		return err
	}
	switch {
	case a.options.Reference == "":
		return usageError("compared with what? give --reference FILE")
	case a.options.Current == "":
		return usageError("which rows? give --current FILE")
	case a.format != "table" && a.format != "json" && a.format != "html":
		return usageError("--format %q: write table, json or html", a.format)
	}
	if a.gate != "" {
		data, err := os.ReadFile(a.gate)
		if err != nil {
			return inputError(err)
		}
		if err := config.Decode(a.gate, data, &a.bounds); err != nil {
			return err
		}
		if err := a.bounds.Validate(); err != nil {
			return fmt.Errorf("%s: %w", a.gate, err)
		}
	}
	a.options.Config = detectors.Default()
	if a.config == "" {
		if a.model != "" {
			return usageError("--model %s: of which configuration? give --config", a.model)
		}
		return nil
	}
	cfg, err := config.Load(a.config)
	if err != nil {
		return err
	}
	a.options.Config = cfg.Defaults.Detectors
	a.options.Resolution = cfg.Defaults.Resolution
	if a.model == "" && len(cfg.Models) == 1 {
		a.model = sortedKeys(cfg.Models)[0]
	}
	if a.model != "" {
		model, ok := cfg.Models[a.model]
		if !ok {
			return usageError("--model %s: %s has no such model; it has %s", a.model, a.config, strings.Join(sortedKeys(cfg.Models), ", "))
		}
		a.options.Config = model.Detectors
	}
	return nil
}

// colored reports whether standard output is a terminal that wants colour.
func colored(con *console) bool {
	f, ok := con.stdout.(*os.File)
	return ok && term.IsTerminal(int(f.Fd())) && con.getenv("NO_COLOR") == "" && con.getenv("TERM") != "dumb"
}
