package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
)

// measured is all readings of one shape.
type measured struct {
	Shape            string   `json:"shape"`
	EventsPerMessage int      `json:"events_per_message"`
	MessageBytes     float64  `json:"message_bytes"`
	Messages         int      `json:"messages"`
	Events           int      `json:"events"`
	Features         int      `json:"numeric_features"`
	Models           int      `json:"models"`
	Discard          []sample `json:"discard"`
	Driftd           []sample `json:"driftd"`
}

// ratios returns driftd's rate over that of discarding, repeat by repeat.
func (m *measured) ratios() []float64 {
	out := make([]float64, len(m.Driftd))
	for i := range out {
		out[i] = m.Driftd[i].Rate / m.Discard[i].Rate
	}
	return out
}

func of(samples []sample, f func(sample) float64) []float64 {
	out := make([]float64, len(samples))
	for i, s := range samples {
		out[i] = f(s)
	}
	return out
}

func rate(s sample) float64 { return s.Rate }
func cpu(s sample) float64  { return s.CPU }

func median(xs []float64) float64 {
	if len(xs) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(xs))
	return (s[(len(s)-1)/2] + s[len(s)/2]) / 2
}

// report is what is written as JSON.
type report struct {
	SingleRatio  float64 `json:"single_json_ratio"`
	NDJSONRatio  float64 `json:"ndjson_ratio"`
	TwoWorkers   float64 `json:"ndjson_two_workers_factor"`
	Columnar     float64 `json:"columnar_vs_ndjson"`
	NDJSONCPU    float64 `json:"ndjson_cpu_us"`
	ColumnarCPU  float64 `json:"columnar_cpu_us"`
	ReadySeconds float64 `json:"ready_seconds"`

	Repeats  int               `json:"repeats"`
	Pinned   bool              `json:"pinned"`
	Versions map[string]string `json:"versions"`
	Seconds  float64           `json:"seconds"`
	Shapes   []*measured       `json:"shapes"`
	Workers  []workersSample   `json:"workers,omitempty"`

	Growth  []growthFigures `json:"growth,omitempty"`
	Long    *longFigures    `json:"long,omitempty"`
	Latency *latencyFigures `json:"latency,omitempty"`
	CatchUp *catchUpFigures `json:"catch_up,omitempty"`
	Starts  []*startFigures `json:"starts,omitempty"`
	Heap    []heapFigures   `json:"heap,omitempty"`
	Limits  []limitFigures  `json:"memory_limits,omitempty"`
}

// workersSample is the rate of decoding and counting messages in memory.
type workersSample struct {
	One float64 `json:"one_worker_events_per_second"`
	Two float64 `json:"two_workers_events_per_second"`

	OneCPU float64 `json:"one_worker_cpu_us_per_event"`
	TwoCPU float64 `json:"two_workers_cpu_us_per_event"`
}

func (r *report) shape(name string) *measured {
	for _, m := range r.Shapes {
		if m.Shape == name {
			return m
		}
	}
	return nil
}

// derive computes the figures that are held against what must be.
func (r *report) derive() {
	ready := make([]float64, 0, len(r.Shapes)*r.Repeats)
	for _, m := range r.Shapes {
		ready = append(ready, of(m.Driftd, func(s sample) float64 { return s.Ready })...)
	}
	r.ReadySeconds = median(ready)
	if m := r.shape("single"); m != nil {
		r.SingleRatio = median(m.ratios())
	}
	if m := r.shape("ndjson"); m != nil {
		r.NDJSONRatio, r.NDJSONCPU = median(m.ratios()), median(of(m.Driftd, cpu))
		if c := r.shape("columnar"); c != nil {
			r.Columnar = median(of(c.Driftd, rate)) / median(of(m.Driftd, rate))
		}
	}
	if c := r.shape("columnar"); c != nil {
		r.ColumnarCPU = median(of(c.Driftd, cpu))
	}
	factors := make([]float64, len(r.Workers))
	for i, w := range r.Workers {
		factors[i] = w.Two / w.One
	}
	r.TwoWorkers = median(factors)
}

// bound is what a figure must and should be.
type bound struct {
	name       string
	have       float64
	must, goal float64
	most       bool // the figure must not be above
}

func (r *report) bounds() []bound {
	return []bound{
		{"one JSON event a message, of discarding", r.SingleRatio, 0.70, 0.85, false},
		{"64 NDJSON events a message, of discarding", r.NDJSONRatio, 0.25, 0.33, false},
		{"NDJSON, µs of CPU an event", r.NDJSONCPU, 1.8, 1.8, true},
		{"NDJSON in memory, two decode workers over one", r.TwoWorkers, 1.7, 1.7, false},
		{"columnar, of the NDJSON rate", r.Columnar, 1.8, 2.2, false},
		{"columnar, µs of CPU an event", r.ColumnarCPU, 0.8, 0.8, true},
		{"seconds until driftd run is ready", r.ReadySeconds, 1, 1, true},
	}
}

func (b bound) reaches(x float64) bool {
	if b.most {
		return b.have <= x && b.have > 0
	}
	return b.have >= x
}

// errFallsShort is the failure of the benchmark.
var errFallsShort = errors.New("driftd falls short of what it must reach")

func (r *report) must(out io.Writer) error {
	var err error
	for _, b := range r.bounds() {
		word := "BELOW THE MUST"
		switch {
		case b.reaches(b.goal):
			word = "goal"
		case b.reaches(b.must):
			word = "must"
		default:
			err = errFallsShort
		}
		fmt.Fprintf(out, "%-50s %8.3f  must %.2f, goal %.2f: %s\n", b.name, b.have, b.must, b.goal, word)
	}
	return err
}

func (r *report) print(out io.Writer) {
	where := "the broker on core " + brokerCore + ", the client on core " + clientCore
	if !r.Pinned {
		where = "not pinned: there is no taskset or only one core"
	}
	fmt.Fprintf(out, "\n%s; %d repeats in turns, medians; %.0f s\n", where, r.Repeats, r.Seconds)
	names := make([]string, 0, len(r.Versions))
	for name, v := range r.Versions {
		names = append(names, name+" "+v)
	}
	slices.Sort(names)
	fmt.Fprintf(out, "%s\n\n", strings.Join(names, ", "))
	if len(r.Shapes) == 0 {
		return
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "shape\tnumeric features\tmodels\tevents a message\tbytes a message\tdiscarding, events/s\tdriftd, events/s\tratio\tspread\tµs of CPU an event\tns a value\t")
	for _, m := range r.Shapes {
		ratios := m.ratios()
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%.0f\t%.0f\t%.0f\t%.3f\t%.3f-%.3f\t%.2f\t%.0f\t\n", m.Shape, m.Features, m.Models, m.EventsPerMessage,
			m.MessageBytes, median(of(m.Discard, rate)), median(of(m.Driftd, rate)), median(ratios), slices.Min(ratios), slices.Max(ratios),
			median(of(m.Driftd, cpu)), 1000*median(of(m.Driftd, cpu))/float64(m.Features+categorical+2))
	}
	_ = w.Flush() // as good as the writes to out
	fmt.Fprintln(out)
}

func (r *report) write(path string) error {
	doc, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return err
	}
	return os.WriteFile(path, append(doc, '\n'), 0o600)
}

// versions says what was measured.
func versions(o *options) map[string]string {
	out := map[string]string{"go": runtime.Version(), "cores": strconv.Itoa(runtime.NumCPU())}
	for name, args := range map[string][]string{"driftd": {o.driftd, "version"}, "nats-server": {o.broker, "-v"}} {
		data, err := exec.Command(args[0], args[1:]...).Output()
		if err != nil {
			out[name] = err.Error()
			continue
		}
		line, _, _ := strings.Cut(strings.TrimSpace(string(data)), "\n")
		fields := strings.Fields(line)
		out[name] = fields[len(fields)-1]
	}
	return out
}
