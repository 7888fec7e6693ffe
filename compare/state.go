package compare

import (
	"encoding/json"
	"fmt"

	"github.com/driftd/driftd/internal/stat/sequential"
)

// State is what the windows so far say. The zero value has seen none. Step and Mature leave it as it is and return the next one.
type State struct {
	identity string
	since    int64  // start of the first window
	readings uint64 // documents that were made
	windows  uint64 // in which both had events
	seen     uint64 // that were looked at
	matured  uint64 // whose quality was read, and both had labels

	baseline, candidate arm // of the windows in which both had events
	share               float64
	splitA, splitB      uint64 // events since the share is as it is, of windows in and before which both had some
	both                bool   // both had events in the last window
	gone                bool   // the candidate had none in it
	events              [2]uint64

	errors  sequential.Proportions
	slow    sequential.Proportions
	slowAt  float64 // milliseconds; 0: not known
	latency [2]uint64
	scores  *sequential.Means
	wrong   sequential.Proportions
	off     *sequential.Means // absolute errors of a regression
	meanOff [2]float64        // Σ of them
	labels  [2]uint64

	pairs *Pairs // nil: no shadow

	differ int    // inputs of the last window that could be judged: how many differ
	worse  string // why it is to be rolled back: it stays so
}

// arm is one side.
type arm struct{ Events, Errors uint64 }

func (s *State) clone() *State {
	out := *s
	if s.scores != nil {
		scores := *s.scores
		out.scores = &scores
	}
	if s.off != nil {
		off := *s.off
		out.off = &off
	}
	if s.pairs != nil {
		out.pairs = s.pairs.clone()
	}
	return &out
}

// begin returns the state to go on from under a configuration: a new one where the comparison is another one.
func (s *State) begin(c *Config, start int64) *State {
	out := s.clone()
	if s.identity != c.identity() {
		out = &State{identity: c.identity(), since: start, readings: s.readings} //nolint:exhaustruct // nothing was seen
	}
	if out.share != c.Share {
		out.share, out.splitA, out.splitB = c.Share, 0, 0
	}
	if out.scores == nil {
		out.scores = sequential.NewMeans(c.planned())
	}
	if out.off == nil {
		out.off = sequential.NewMeans(c.planned())
	}
	return out
}

// planned is about how many events a side has when it matters most.
func (c *Config) planned() uint64 { return 4 * c.MinEvents }

// stored is a State as it is stored. Fields may be added with a zero that means what it meant before.
type stored struct {
	Identity  string     `json:"identity"`
	Since     int64      `json:"since_ms"`
	Readings  uint64     `json:"readings"`
	Windows   uint64     `json:"windows"`
	Seen      uint64     `json:"seen"`
	Matured   uint64     `json:"matured"`
	Baseline  arm        `json:"baseline"`
	Candidate arm        `json:"candidate"`
	Share     float64    `json:"share"`
	Split     [2]uint64  `json:"split"`
	Tests     []byte     `json:"tests"` // the sequential tests, one after the other
	SlowAt    float64    `json:"slow_at"`
	Latency   [2]uint64  `json:"latency"`
	MeanOff   [2]float64 `json:"mean_off"`
	Labels    [2]uint64  `json:"labels"`
	Pairs     []byte     `json:"pairs,omitempty"`
	Differ    int        `json:"differ,omitempty"`
	Worse     string     `json:"worse,omitempty"`
	Both      bool       `json:"both,omitempty"`
	Gone      bool       `json:"gone,omitempty"`
	Events    [2]uint64  `json:"events"`
}

// MarshalJSON returns the canonical encoding.
func (s *State) MarshalJSON() ([]byte, error) {
	out := stored{
		Identity: s.identity, Since: s.since, Readings: s.readings, Windows: s.windows, Seen: s.seen, Matured: s.matured, Baseline: s.baseline,
		Candidate: s.candidate, Share: s.share, Split: [2]uint64{s.splitA, s.splitB}, Tests: nil, SlowAt: s.slowAt, Latency: s.latency, MeanOff: s.meanOff,
		Labels: s.labels, Pairs: nil, Differ: s.differ, Worse: s.worse, Both: s.both, Gone: s.gone, Events: s.events,
	}
	for _, p := range []*sequential.Proportions{&s.errors, &s.slow, &s.wrong} {
		out.Tests = p.AppendBinary(out.Tests)
	}
	for _, m := range []*sequential.Means{s.scores, s.off} {
		if m == nil {
			m = sequential.NewMeans(1)
		}
		out.Tests = m.AppendBinary(out.Tests)
	}
	if s.pairs != nil {
		out.Pairs = s.pairs.AppendBinary(nil)
	}
	return json.Marshal(out)
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (s *State) UnmarshalJSON(data []byte) error {
	var in stored
	if err := json.Unmarshal(data, &in); err != nil {
		return fmt.Errorf("reading a comparison: %w", err)
	}
	*s = State{
		identity: in.Identity, since: in.Since, readings: in.Readings, windows: in.Windows, seen: in.Seen, matured: in.Matured, baseline: in.Baseline,
		candidate: in.Candidate, share: in.Share, splitA: in.Split[0], splitB: in.Split[1], slowAt: in.SlowAt, latency: in.Latency, meanOff: in.MeanOff,
		labels: in.Labels, differ: in.Differ, worse: in.Worse, both: in.Both, gone: in.Gone, events: in.Events,
	} //nolint:exhaustruct // the rest follows
	rest := in.Tests
	for _, into := range []*sequential.Proportions{&s.errors, &s.slow, &s.wrong} {
		p, after, err := sequential.DecodeProportions(rest)
		if err != nil {
			return fmt.Errorf("reading a comparison: %w", err)
		}
		*into, rest = *p, after
	}
	for _, into := range []**sequential.Means{&s.scores, &s.off} {
		m, after, err := sequential.DecodeMeans(rest)
		if err != nil {
			return fmt.Errorf("reading a comparison: %w", err)
		}
		*into, rest = m, after
	}
	if len(in.Pairs) > 0 {
		p, after, err := DecodePairs(in.Pairs)
		if err != nil {
			return fmt.Errorf("reading a comparison: %w", err)
		}
		s.pairs, rest = p, append(rest, after...)
	}
	if len(rest) > 0 {
		return fmt.Errorf("reading a comparison: %d bytes too many", len(rest))
	}
	return nil
}
