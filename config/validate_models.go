package config

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/driftd/driftd/detectors"
	"github.com/driftd/driftd/reference"
	"github.com/driftd/driftd/result"
)

// Bounds of the windows of a model. A window of more panes than this has panes that are too short for it.
const (
	maxWindows  = 16
	maxPanes    = 100_000
	maxSize     = 366 * Day
	paneUnit    = Duration(15 * time.Minute)
	maxNameSize = 256 // bytes of any name but a model's, and of a note

	maxAnnotations = 1000                      // of a model
	maxTime        = Time(253_402_300_799_999) // the last millisecond of the year 9999: RFC 3339 goes no further
)

// fingerprintPrefix tells a fingerprint from a name: no name has a colon.
const fingerprintPrefix = "sha256:"

var (
	modelName     = regexp.MustCompile(`^[A-Za-z0-9_-]{1,128}$`)
	referenceName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$`)
	fingerprint   = regexp.MustCompile(`^` + fingerprintPrefix + `[0-9a-f]{64}$`)
)

// timing is what defaults and models have in common about time.
type timing struct {
	windows               []Window
	pane, lateness, delay Duration
}

// checkModels applies the rules about defaults, models and features. What a model only inherits is reported where it is
// written, once.
func (k *checker) checkModels() {
	d := &k.c.Defaults
	inherited := slices.Concat(
		bounds("defaults", reflect.ValueOf(*d), "detectors", "rules"),
		k.timing("defaults", timing{d.Windows, d.Pane, d.Lateness, d.WatermarkDelay}), detectorRules("defaults.detectors", d.Detectors),
		k.rules("defaults.rules", d.Rules, d.Windows))
	for _, f := range inherited {
		k.report(f)
	}
	for _, name := range slices.Sorted(maps.Keys(k.c.Models)) {
		k.checkModel(name, k.c.Models[name], inherited)
	}
	k.checkRetention()
}

func (k *checker) checkModel(name string, m Model, inherited []finding) {
	path := joinKey("models", name)
	if !modelName.MatchString(name) {
		k.failKey(path, "must be a model's name: 1 to 128 of A-Z a-z 0-9 _ -")
	}
	k.checkReference(path+".reference", m)
	own := slices.Concat(
		bounds(path, reflect.ValueOf(m), "detectors", "features", "rules"),
		k.timing(path, timing{m.Windows, m.Pane, m.Lateness, m.WatermarkDelay}), detectorRules(path+".detectors", m.Detectors),
		k.rules(path+".rules", m.Rules, m.Windows))
	k.reportOwn("defaults", inherited, path, own)
	k.checkSegments(path, m)
	k.checkModelLabels(path+".labels", &m)
	k.checkQualityRules(path, &m)
	k.checkComparisons(path, m)
	k.checkFairness(path+".fairness", &m)
	k.checkAnnotations(path+".annotations", m.Annotations)
	for _, feature := range slices.Sorted(maps.Keys(m.Features)) {
		f := m.Features[feature]
		p := joinKey(path+".features", feature)
		switch {
		case feature == "" || len(feature) > maxNameSize || hasControl(feature):
			k.failKey(p, "must be a feature's name: 1 to %d bytes of UTF-8 without control characters", maxNameSize)
		case f.Role == string(result.RolePrediction) && roleOf(feature) != result.RolePrediction:
			k.fail(p+".role", nil, "cannot be prediction: the parts of a prediction are called prediction, prediction.label, "+
				"prediction.score and prediction.score.<class>")
		}
		k.reportOwn(path, own, p, append(bounds(p, reflect.ValueOf(f), "detectors"), detectorRules(p+".detectors", f.Detectors)...))
	}
}

// checkSegments applies the rules about dimensions, and about rules that name them.
func (k *checker) checkSegments(path string, m Model) {
	if len(m.Segments) > reference.MaxDimensions {
		k.fail(path+".segments", nil, "must be at most %d dimensions, got %d", reference.MaxDimensions, len(m.Segments))
	}
	for _, name := range slices.Sorted(maps.Keys(m.Segments)) {
		p := joinKey(path+".segments", name)
		if reference.CheckDimension(name) != nil || hasControl(name) {
			k.failKey(p, "must be a dimension's name: 1 to 128 bytes of UTF-8 without control characters, '=' and '*'")
		}
		for _, f := range bounds(p, reflect.ValueOf(m.Segments[name])) {
			k.report(f)
		}
		values := m.Segments[name].Values
		if len(values) > reference.MaxSegments {
			k.fail(p+".values", nil, "must be at most %d, got %d: the others are counted together as other", reference.MaxSegments, len(values))
		}
		for i, v := range values {
			if len(v) > maxNameSize || hasControl(v) || slices.Contains(values[:i], v) {
				k.fail(joinIndex(p+".values", i), nil, "must be a value of at most %d bytes of UTF-8 without control characters, each once", maxNameSize)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(m.Rules)) {
		of := m.Rules[name].alert(name, m.Windows)
		for _, dimension := range of.Dimensions() {
			if _, ok := m.Segments[dimension]; !ok {
				p := joinKey(path+".rules", name)
				k.fail(p+".segments", []string{p, path}, "names the dimension %q, which the model's segments have not got%s",
					shorten(dimension), suggestion(dimension, slices.Sorted(maps.Keys(m.Segments))))
			}
		}
	}
}

// checkAnnotations applies the rules about notes for the page.
func (k *checker) checkAnnotations(path string, all []Annotation) {
	if len(all) > maxAnnotations {
		k.fail(path, nil, "must be at most %d, got %d", maxAnnotations, len(all))
	}
	for i, a := range all {
		p := joinIndex(path, i)
		start, end, text := p+".start", p+".end", p+".text"
		switch {
		case k.d.isBroken(p):
			continue
		case a.Start == 0 && !k.d.written(start):
			k.fail(p, nil, "needs a start, such as {start: 2026-11-22T10:00:00Z, end: …, text: …}")
		case a.Start <= 0 || a.Start > maxTime:
			k.fail(start, nil, "must be a time after 1970 and before 10000, got %s", a.Start)
		}
		switch {
		case a.End == 0 && !k.d.written(end):
			k.fail(p, nil, "needs an end, such as {start: …, end: 2026-11-22T11:30:00Z, text: …}")
		case a.End <= a.Start || a.End > maxTime:
			k.fail(end, []string{start}, "must be after start (%s) and before the year 10000, got %s", a.Start, a.End)
		}
		if a.Text == "" || len(a.Text) > maxNameSize || hasControl(a.Text) {
			at := text
			if !k.d.written(text) {
				at = p
			}
			k.fail(at, nil, "needs a text of 1 to %d bytes of UTF-8 without control characters", maxNameSize)
		}
	}
}

// failKey reports a mistake in a name that is a key.
func (k *checker) failKey(path, format string, args ...any) {
	k.d.fail(k.d.keys[path], path, format, args...)
}

// reportOwn reports the findings of a child that are not those of its parent over again. A mistake that the child itself
// has written is its own, even where the parent has made the same.
func (k *checker) reportOwn(parentPath string, parent []finding, path string, own []finding) {
	known := map[string]bool{}
	for _, f := range parent {
		known[strings.TrimPrefix(f.path, parentPath)+"\x00"+f.message] = true
	}
	for _, f := range own {
		wrote := k.d.written(f.path) || slices.ContainsFunc(f.also, k.d.written)
		if wrote || !known[strings.TrimPrefix(f.path, path)+"\x00"+f.message] {
			k.report(f)
		}
	}
}

// timing applies the rules about panes and windows.
func (k *checker) timing(path string, t timing) []finding {
	var out []finding
	panePath := path + ".pane"
	add := func(at, format string, args ...any) {
		out = append(out, finding{path: at, also: []string{panePath}, message: fmt.Sprintf(format, args...)})
	}
	paneOK := t.pane >= Duration(time.Second) && t.pane <= paneUnit
	if paneOK && paneUnit%t.pane != 0 {
		add(panePath, "must divide 15 minutes (such as 1m, 5m or 15m), got %s", t.pane)
		paneOK = false
	}
	switch n := len(t.windows); {
	case n == 0:
		add(path+".windows", "must list at least one window, such as {size: 1h}")
	case n > maxWindows:
		add(path+".windows", "must list at most %d windows, got %d", maxWindows, n)
	}
	for _, d := range []struct {
		name  string
		value Duration
	}{{"pane", t.pane}, {"lateness", t.lateness}, {"watermark_delay", t.delay}} {
		if d.value%Duration(time.Millisecond) != 0 {
			out = append(out, finding{path: path + "." + d.name, message: fmt.Sprintf("must be whole milliseconds, got %s", d.value)})
		}
	}
	seen := map[Duration]int{}
	for i, w := range t.windows {
		p := joinIndex(path+".windows", i)
		size, every := p+".size", p+".every"
		whole := func(at, what string, d Duration) bool {
			if !paneOK || d%t.pane == 0 {
				return true
			}
			if !k.d.written(at) && k.d.written(panePath) { // the windows are inherited: the pane is what does not fit
				add(panePath, "must divide the %s %s of windows[%d], got %s", what, d, i, t.pane)
			} else {
				add(at, "must be a multiple of the pane (%s), got %s", t.pane, d)
			}
			return false
		}
		switch {
		case w.Size == 0 && !k.d.written(size) && !k.d.isBroken(p):
			add(p, "needs a size, such as {size: 1h}")
			continue
		case w.Size <= 0 || w.Size > maxSize:
			add(size, "must be more than 0s and at most %s, got %s", maxSize, w.Size)
			continue
		case !whole(size, "size", w.Size):
		case paneOK && w.Size/t.pane > maxPanes:
			add(size, "must be at most %d panes of %s, got %s: lengthen the pane", maxPanes, t.pane, w.Size)
		}
		switch {
		case w.Every == w.Size: // a tumbling window: the size was looked at
		case k.d.isBroken(size) || k.d.isBroken(every):
		case w.Every <= 0 || w.Every > w.Size:
			add(every, "must be more than 0s and at most the size (%s), got %s", w.Size, w.Every)
		default:
			whole(every, "slide", w.Every)
		}
		minEvents, extendTo := p+".min_events", p+".extend_to"
		switch {
		case k.d.isBroken(minEvents) || k.d.isBroken(extendTo) || w.MinEvents == 0 && w.ExtendTo == 0:
		case w.MinEvents < 0 || w.MinEvents == 0 && w.ExtendTo != 0:
			add(minEvents, "must be at least 1 where extend_to is given, got %d", w.MinEvents)
		case w.Every != w.Size && !k.d.isBroken(every):
			add(minEvents, "needs windows that follow each other: leave out every (%s)", w.Every)
		case w.ExtendTo <= w.Size || w.ExtendTo > maxSize:
			add(extendTo, "must be more than the size (%s) and at most %s, got %s: a window with min_events needs an end", w.Size, maxSize, w.ExtendTo)
		default:
			whole(extendTo, "extend_to", w.ExtendTo)
		}
		if first, again := seen[w.Size]; again && !k.d.isBroken(size) {
			add(size, "is the size of windows[%d] as well: results are told apart by the size", first)
			continue
		}
		seen[w.Size] = i
	}
	return out
}

// checkRetention holds the store's retention against the longest window.
func (k *checker) checkRetention() {
	longest, where := Duration(0), ""
	look := func(path string, windows []Window) {
		for i, w := range windows {
			if p := joinIndex(path+".windows", i) + ".size"; max(w.Size, w.ExtendTo) > longest && w.Size <= maxSize && !k.d.isBroken(p) {
				longest, where = max(w.Size, w.ExtendTo), p
			}
		}
	}
	look("defaults", k.c.Defaults.Windows)
	for _, name := range slices.Sorted(maps.Keys(k.c.Models)) {
		look(joinKey("models", name), k.c.Models[name].Windows)
	}
	if r := k.c.Store.Retention; r < longest && r > 0 {
		k.fail("store.retention", []string{where}, "must be at least as long as %s (%s), got %s; 0s keeps everything", where, longest, r)
	}
}

// detectorRules applies the rules of package detectors.
func detectorRules(path string, c detectors.Config) []finding {
	err := c.Validate()
	if err == nil {
		return nil
	}
	all := []error{err}
	var joined interface{ Unwrap() []error }
	if errors.As(err, &joined) {
		all = joined.Unwrap()
	}
	var out []finding
	for _, err := range all {
		f := finding{path: path, message: err.Error()}
		if setting, ok := errors.AsType[*detectors.ConfigError](err); ok {
			f.path, f.message = joinKey(path, setting.Path), setting.Message
			switch setting.Path { // these two are held against another setting: say so
			case "drift":
				f.also, f.message = []string{path + ".warning"}, fmt.Sprintf("%s (warning is %v)", f.message, c.Warning)
			case "rate_drift":
				f.also, f.message = []string{path + ".rate_warning"}, fmt.Sprintf("%s (rate_warning is %v)", f.message, c.RateWarning)
			}
		}
		out = append(out, f)
	}
	return out
}
