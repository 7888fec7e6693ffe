package main

import (
	"fmt"

	"github.com/driftd/driftd/detectors"
	"github.com/driftd/driftd/internal/stat/rivals"
	"github.com/driftd/driftd/result"
)

// rule is one way to call a model's window an alarm.
type rule struct {
	name  string
	doc   string
	share float64 // of the features that must be flagged; 0: any
	flag  int     // which flags it counts
	model bool    // driftd's own verdict of the model
	real  bool    // of rows in their order only: real data and series
}

// The flags of one feature in one window.
const (
	flagDrift   = iota // driftd's verdict is drift
	flagWarning        // driftd's verdict is warning or drift
	flagThumb          // PSI ≥ 0.2
	flagAuto           // as flagDrift, thresholds raised by the reference's own chunks
	flagRivals         // and on: the rivals, in their order
)

func rules() []rule {
	out := []rule{
		{name: "driftd, drift", doc: "any feature's verdict is drift", flag: flagDrift},
		{name: "driftd, warning", doc: "any feature's verdict is warning or drift", flag: flagWarning},
		{name: "driftd, model", doc: "the model's verdict is drift: half of its features (the default `drift_share`)", model: true},
		{name: "driftd, auto", doc: "any feature's verdict is drift, `threshold: auto` with the reference cut into chunks of the window's length", flag: flagAuto, real: true},
		{name: "PSI ≥ 0.2", doc: "rule of thumb on the same bins, any feature", flag: flagThumb},
	}
	for i, name := range rivals.Names() {
		c := mustFind(name)
		if c.Share > 0 {
			out = append(out, rule{name: name + ", any", doc: "any column by its default test; " + c.Rule, flag: flagRivals + i})
		}
		out = append(out, rule{name: name, doc: c.Model + "; " + c.Rule, share: c.Share, flag: flagRivals + i})
	}
	return out
}

func mustFind(name string) *rivals.Convention {
	c, err := rivals.Find(name)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return &c
}

// flags are those of one feature.
type flags uint32

func (f flags) has(i int) bool { return f&(1<<i) != 0 }

func (f *flags) set(i int, on bool) {
	if on {
		*f |= 1 << i
	}
}

// model is a set of features in one window: what driftd and every rival says of each.
type model struct {
	results []result.Feature
	flags   []flags
}

// alarms judges features [from, to) as one model and says which rules alarm.
func (m *model) alarms(from, to int, cfg detectors.Config, rules []rule, count func(rule int)) {
	part := m.results[from:to]
	verdict, _, _ := detectors.Judge(part, cfg)
	for i := range part {
		v := part[i].Verdict
		m.flags[from+i] &^= 1<<flagDrift | 1<<flagWarning
		m.flags[from+i].set(flagDrift, v == result.Drift)
		m.flags[from+i].set(flagWarning, v == result.Drift || v == result.Warning)
	}
	for r := range rules {
		rule := &rules[r]
		if rule.model {
			if verdict == result.Drift {
				count(r)
			}
			continue
		}
		n := 0
		for _, f := range m.flags[from:to] {
			if f.has(rule.flag) {
				n++
			}
		}
		if n > 0 && float64(n) >= rule.share*float64(to-from) {
			count(r)
		}
	}
}

// thumb is the rule of thumb on the same bins.
func thumb(f *result.Feature) bool {
	s := f.Statistics["psi"]
	return s.Value != nil && *s.Value >= 0.2
}

func judgement() detectors.Config {
	cfg := detectors.Default()
	cfg.Statistics = []string{"psi"} // and what verdicts need
	return cfg
}

func per1000(alarms, windows int) string {
	if windows == 0 {
		return "–"
	}
	x := 1000 * float64(alarms) / float64(windows)
	switch {
	case alarms == 0:
		return "0"
	case x < 1:
		return fmt.Sprintf("%.2f", x)
	case x < 10:
		return fmt.Sprintf("%.1f", x)
	}
	return fmt.Sprintf("%.0f", x)
}
