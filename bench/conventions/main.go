// Command conventions compares what `driftd analyze --convention NAME` says with what that tool itself says, on five data sets, column
// by column: every tool in a virtual environment of its own, at the versions of the requirements beside this file. It fails where a number
// differs; a tool that cannot be installed is told, and not verified. See `make verify-conventions`.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
)

func main() {
	if err := run(os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "bench/conventions:", err)
		os.Exit(1)
	}
}

// tool is one tool to compare with.
type tool struct {
	name string

	// loose are the statistics that need not agree to nine digits, how far apart they may be, and why.
	loose map[string]loose
	never string // why it is never installed; its numbers are not verified
}

type loose struct {
	relative, absolute float64
	why                string
}

func tools() []tool {
	return []tool{
		{name: "evidently"},
		{name: "nannyml", loose: map[string]loose{
			"ks":          {0, 1e-4, "from 10,000 reference values on NannyML estimates it"},
			"wasserstein": {0, 1e-4, "from 10,000 reference values on NannyML estimates it"},
		}},
		{name: "popmon"},
		{name: "scouter"},
		{name: "tfdv", loose: map[string]loose{
			"js_divergence": {0.25, 0.01, "TFDV counts its ten buckets from a quantile sketch, driftd exactly"},
		}},
		{name: "azure", never: "it runs on Spark inside Azure ML and is no package; the formulas are written from its source"},
	}
}

// comparison is one number.
type comparison struct {
	Tool      string   `json:"tool"`
	Set       string   `json:"set"`
	Column    string   `json:"column"`
	Statistic string   `json:"statistic"`
	Theirs    *float64 `json:"theirs"`
	Ours      *float64 `json:"ours"`
	Off       float64  `json:"difference"` // relative, or absolute below 1e-9
	OK        bool     `json:"ok"`
	Note      string   `json:"note,omitempty"`
}

// outcome is what became of one tool.
type outcome struct {
	Tool     string `json:"tool"`
	Version  string `json:"version,omitempty"`
	Verified bool   `json:"verified"`
	Compared int    `json:"compared"`
	Differ   int    `json:"differ"`
	Why      string `json:"why,omitempty"`
}

type report struct {
	Tools       []outcome    `json:"tools"`
	Comparisons []comparison `json:"comparisons"`
}

// numbers are what a tool says: by set, column, statistic and value, p or threshold.
type numbers struct {
	Version string                                               `json:"version"`
	Sets    map[string]map[string]map[string]map[string]*float64 `json:"sets"`
}

type options struct{ driftd, python, shared, venvs, out, script, record string }

func run(out io.Writer) error {
	var o options
	flag.StringVar(&o.driftd, "driftd", "bin/driftd", "the binary")
	flag.StringVar(&o.python, "python", "python3", "an interpreter of version 3.11, which all of the tools run on")
	flag.StringVar(&o.shared, "shared", filepath.Join("..", "shared"), "the folder of the shared data sets")
	flag.StringVar(&o.venvs, "venvs", "bin/conventions", "where the virtual environments are made")
	flag.StringVar(&o.out, "out", "build/verify-conventions.json", "where the JSON goes")
	flag.StringVar(&o.script, "script", "bench/conventions/rivals.py", "the script; the requirements are beside it")
	flag.StringVar(&o.record, "record", "", "a folder: keep what the tools say there, for the test that has no network")
	flag.Parse()
	dir, err := os.MkdirTemp("", "driftd-conventions-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }() // the system's temporary folder is emptied by the system
	sets, err := prepare(o.shared, dir)
	if err != nil {
		return err
	}
	var r report
	for _, t := range tools() {
		fmt.Fprintf(os.Stderr, "bench/conventions: %s\n", t.name) // the first time each is installed, some for minutes
		done, compared, err := o.verify(&t, sets, dir)
		if err != nil {
			return err
		}
		r.Tools, r.Comparisons = append(r.Tools, done), append(r.Comparisons, compared...)
	}
	show(out, &r)
	doc, err := json.MarshalIndent(&r, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(o.out), 0o750); err != nil {
		return err
	}
	if err := os.WriteFile(o.out, append(doc, '\n'), 0o600); err != nil {
		return err
	}
	for _, t := range r.Tools {
		if t.Differ > 0 {
			return errors.New("driftd's numbers differ from a tool's own")
		}
	}
	return nil
}

// verify installs one tool and compares with it. What keeps it from being installed or run is told in the outcome.
func (o *options) verify(t *tool, sets []set, dir string) (outcome, []comparison, error) {
	done := outcome{Tool: t.name, Why: t.never}
	if t.never != "" {
		return done, nil, nil
	}
	python, err := o.install(t.name)
	if err != nil {
		done.Why = "not installed: " + err.Error()
		return done, nil, nil //nolint:nilerr // it is told, and the others are compared all the same
	}
	var theirs numbers
	text, err := output(python, o.script, t.name, dir)
	if err == nil {
		err = json.Unmarshal(bytes.ReplaceAll(text, []byte("NaN"), []byte("null")), &theirs)
	}
	if err != nil {
		done.Why = "installed, but it does not run: " + err.Error()
		return done, nil, nil //nolint:nilerr // as above
	}
	done.Version, done.Verified = theirs.Version, true
	if o.record != "" {
		doc, err := json.MarshalIndent(&theirs, "", " ")
		if err != nil {
			return done, nil, err
		}
		if err := os.WriteFile(filepath.Join(o.record, t.name+".json"), append(doc, '\n'), 0o600); err != nil {
			return done, nil, err
		}
	}
	var all []comparison
	for i := range sets {
		s := &sets[i]
		text, err := o.analyze(t.name, s, dir)
		if err != nil {
			return done, nil, err
		}
		compared, err := s.compare(t, &theirs, text)
		if err != nil {
			return done, nil, err
		}
		all = append(all, compared...)
	}
	for i := range all {
		done.Compared++
		if !all[i].OK {
			done.Differ++
		}
	}
	return done, all, nil
}

// install makes the tool's environment, once.
func (o *options) install(name string) (python string, err error) {
	venv := filepath.Join(o.venvs, name)
	python = filepath.Join(venv, "bin", "python")
	mark := filepath.Join(venv, "installed")
	requirements, err := os.ReadFile(filepath.Join(filepath.Dir(o.script), name+".txt"))
	if err != nil {
		return "", err
	}
	if have, err := os.ReadFile(mark); err == nil && bytes.Equal(have, requirements) {
		return python, nil
	}
	if _, err := output(o.python, "-m", "venv", "--clear", venv); err != nil {
		return "", err
	}
	// The files name every package that is needed, so nothing has to be resolved.
	_, err = output(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps",
		"-r", filepath.Join(filepath.Dir(o.script), name+".txt"))
	if err != nil {
		return "", err
	}
	return python, os.WriteFile(mark, requirements, 0o600)
}

func output(name string, args ...string) ([]byte, error) {
	cmd := exec.Command(name, args...)
	// NannyML reports its use to its makers unless told otherwise, TensorFlow talks.
	cmd.Env = append(os.Environ(), "NML_DISABLE_USAGE_LOGGING=1", "DO_NOT_TRACK=1", "TF_CPP_MIN_LOG_LEVEL=3")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		lines := bytes.Split(bytes.TrimSpace(stderr.Bytes()), []byte("\n"))
		return nil, fmt.Errorf("%s: %w: %.300s", filepath.Base(name), err, lines[len(lines)-1])
	}
	return stdout.Bytes(), nil
}

// column is what driftd says of one.
type column struct {
	Statistics map[string]struct {
		Value  *float64 `json:"value"`
		PValue *float64 `json:"p_value"`
		Reason string   `json:"reason"`
	} `json:"statistics"`
	Rival struct {
		Verdict   string   `json:"verdict"`
		Value     *float64 `json:"value"`
		Threshold *float64 `json:"threshold"`
	} `json:"rival"`
}

func (o *options) analyze(name string, s *set, dir string) ([]byte, error) {
	args := make([]string, 0, 9+2*len(s.kinds))
	args = append(args,
		"analyze", "--reference", filepath.Join(dir, s.name+".reference.csv"), "--current", filepath.Join(dir, s.name+".current.csv"),
		"--convention", name, "--format", "json",
	)
	for c, kind := range s.kinds {
		args = append(args, "--kind", c+"="+kind)
	}
	return output(o.driftd, args...)
}

// compare compares a tool's numbers of the set with those of driftd's document.
func (s *set) compare(t *tool, theirs *numbers, document []byte) ([]comparison, error) {
	var doc struct {
		Features []struct {
			column

			Feature string `json:"feature"`
		} `json:"features"`
	}
	if err := json.Unmarshal(document, &doc); err != nil {
		return nil, err
	}
	ours := map[string]column{}
	for _, f := range doc.Features {
		ours[f.Feature] = f.column
	}
	var all []comparison
	for _, name := range slices.Sorted(maps.Keys(s.kinds)) {
		columns := theirs.Sets[s.name][name]
		for _, statistic := range slices.Sorted(maps.Keys(columns)) {
			all = append(all, compareAll(t, s.name, name, statistic, columns[statistic], ours[name])...)
		}
	}
	return all, nil
}

// compareAll compares the numbers of one statistic: its value, its p-value; of `rule` whether it alarms, and the threshold.
func compareAll(t *tool, set, name, statistic string, theirs map[string]*float64, c column) []comparison {
	out := make([]comparison, 0, len(theirs))
	s := c.Statistics[statistic]
	for _, what := range slices.Sorted(maps.Keys(theirs)) {
		one := comparison{Tool: t.name, Set: set, Column: name, Statistic: statistic + " " + what, Theirs: theirs[what]}
		switch {
		case statistic == "rule" && what == "value":
			alarm := 0.0
			if c.Rival.Verdict == "drift" {
				alarm = 1
			}
			one.Ours = &alarm
		case statistic == "rule" && what == "threshold":
			one.Ours = c.Rival.Threshold
		case statistic == "rule":
			one.Ours = c.Rival.Value
		case what == "p":
			one.Ours = s.PValue
		default:
			one.Ours = s.Value
		}
		one.judge(t.loose[statistic], s.Reason)
		out = append(out, one)
	}
	return out
}

func (c *comparison) judge(l loose, reason string) {
	switch {
	case c.Theirs == nil && c.Ours == nil:
		c.OK = true
		return
	case c.Ours == nil && l.why != "":
		c.OK, c.Note = true, "left out: "+l.why
		return
	case c.Theirs == nil || c.Ours == nil:
		c.Note = reason
		return
	}
	c.Off = math.Abs(*c.Ours - *c.Theirs)
	absolute := c.Off
	if most := max(math.Abs(*c.Ours), math.Abs(*c.Theirs)); most > 1e-9 {
		c.Off /= most
	}
	if c.OK = c.Off <= 1e-9 || absolute <= 1e-12; !c.OK && l.why != "" && (c.Off <= l.relative || absolute <= l.absolute) {
		c.OK, c.Note = true, l.why
	}
}

func show(out io.Writer, r *report) {
	number := func(x *float64) string {
		if x == nil {
			return "–"
		}
		return fmt.Sprintf("%.10g", *x)
	}
	fmt.Fprintln(out, "| tool | set | column | statistic | theirs | ours | difference | ok |\n|---|---|---|---|--:|--:|--:|---|")
	for _, c := range r.Comparisons {
		ok := "ok"
		if !c.OK {
			ok = "DIFFERS"
		}
		if c.Note != "" {
			ok += " (" + c.Note + ")"
		}
		fmt.Fprintf(out, "| %s | %s | %s | %s | %s | %s | %.1g | %s |\n", c.Tool, c.Set, c.Column, c.Statistic, number(c.Theirs), number(c.Ours), c.Off, ok)
	}
	fmt.Fprintln(out)
	for _, t := range r.Tools {
		if t.Verified {
			fmt.Fprintf(out, "%s %s: %d numbers compared, %d differ\n", t.Tool, t.Version, t.Compared, t.Differ)
		} else {
			fmt.Fprintf(out, "%s: NOT VERIFIED: %s\n", t.Tool, t.Why)
		}
	}
}
