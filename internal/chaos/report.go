package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"text/tabwriter"
)

// report holds the figures of a run.
type report struct {
	Schema  int     `json:"schema"`
	Seed    uint64  `json:"seed"`
	Seconds float64 `json:"seconds"`

	Events       uint64 `json:"events"`        // acknowledged by the broker
	Repeats      uint64 `json:"repeats"`       // of them, with an id that was sent before
	Acknowledged uint64 `json:"acknowledged"`  // messages
	Resent       uint64 `json:"resent"`        // attempts to publish that had no answer
	KnownAlready uint64 `json:"known_already"` // of them, messages that were stored all the same

	DriftdKills int64  `json:"driftd_kills"`
	DriftdExits []exit `json:"driftd_exits"` // by itself
	BrokerKills int    `json:"broker_kills"`

	CutBefore int64 `json:"cut_before"` // commits that never reached the broker
	CutAfter  int64 `json:"cut_after"`  // commits whose answer was swallowed

	AmbiguousStored    int `json:"ambiguous_stored"`     // commits without an answer that were read back and found
	AmbiguousNotStored int `json:"ambiguous_not_stored"` // and not found
	AmbiguousFenced    int `json:"ambiguous_fenced"`     // and somebody else had committed since
	Fenced             int `json:"fenced"`               // commits that the compare-and-swap refused
	Continuity         int `json:"continuity"`           // times the reading began again behind the last good message

	Messages    uint64 `json:"messages"` // of the stored input, markers and configuration among them
	Counted     uint64 `json:"counted"`
	Duplicates  uint64 `json:"duplicates"`
	Late        uint64 `json:"late"`
	Rejected    uint64 `json:"rejected"`
	Results     uint64 `json:"results"`
	Documents   int    `json:"documents"`
	DeadLetters int    `json:"dead_letters"`

	Differences int      `json:"differences"`
	Examples    []string `json:"examples,omitempty"`
}

// examples is how many differences are shown.
const examples = 5

func (r *report) differ(format string, args ...any) {
	r.Differences++
	if len(r.Examples) < examples {
		text := fmt.Sprintf(format, args...)
		r.Examples = append(r.Examples, text[:min(len(text), 4000)])
	}
}

// figures collects what was done, and what the daemons said about it.
func (w *world) figures(p *producer) *report {
	r := &report{ //nolint:exhaustruct // the comparison adds the rest
		Schema: 1, Seed: w.o.seed, Events: p.events.Load(), Repeats: p.repeats.Load(), Acknowledged: p.messages.Load(),
		Resent: p.resent.Load(), KnownAlready: p.known.Load(),
	}
	const said = "a commit was not simply acknowledged"
	for _, d := range w.daemons {
		r.DriftdKills += d.kills.Load()
		r.DriftdExits = append(r.DriftdExits, d.exits...)
		r.AmbiguousStored += d.count(said, `"outcome":"stored"`)
		r.AmbiguousNotStored += d.count(said, `"outcome":"not stored"`)
		r.AmbiguousFenced += d.count(said, `"outcome":"fenced"`)
		r.Fenced += d.count(said, `"outcome":"fenced at once"`)
		r.Continuity += d.count("reading begins again behind the last good message")
	}
	for _, s := range w.servers {
		r.BrokerKills += int(s.kills.Load())
	}
	for _, x := range w.proxies {
		r.CutBefore += x.before.Load()
		r.CutAfter += x.after.Load()
	}
	return r
}

func (r *report) write(out io.Writer) {
	fmt.Fprintln(out)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	row := func(name, format string, args ...any) {
		fmt.Fprintf(w, "| %s\t| %s\t|\n", name, fmt.Sprintf(format, args...))
	}
	row("chaos", "seed %s, %.0f s", strconv.FormatUint(r.Seed, 10), r.Seconds)
	row("---", "---")
	row("events acknowledged", "%d in %d messages; %d attempts without an answer, %d of them stored", r.Events, r.Acknowledged, r.Resent, r.KnownAlready)
	row("kill -9", "%d of driftd, %d of a broker", r.DriftdKills, r.BrokerKills)
	row("driftd ended by itself", "%d", len(r.DriftdExits))
	row("commits cut", "%d before the broker, %d behind it", r.CutBefore, r.CutAfter)
	row("ambiguous commits", "%d stored, %d not stored, %d fenced", r.AmbiguousStored, r.AmbiguousNotStored, r.AmbiguousFenced)
	row("fenced commits", "%d", r.Fenced)
	row("readings begun again", "%d", r.Continuity)
	row("counted", "%d events; %d repeated, %d too late, %d refused", r.Counted, r.Duplicates, r.Late, r.Rejected)
	row("compared", "%d documents of %d results, %d dead letters", r.Documents, r.Results, r.DeadLetters)
	row("differences", "%d", r.Differences)
	_ = w.Flush() // to a terminal
	for _, e := range r.DriftdExits {
		fmt.Fprintf(out, "\n%s ended by itself with exit code %d:\n%s\n", e.Daemon, e.Code, e.Last)
	}
	for _, e := range r.Examples {
		fmt.Fprintf(out, "\n%s\n", e)
	}
}

func (r *report) save(path string) error {
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return err
	}
	return os.WriteFile(path, append(data, '\n'), 0o600)
}
