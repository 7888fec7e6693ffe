// Command quiet measures how often driftd and the default rules of other tools alarm without drift, how surely and how soon they alarm
// with it, in seeded simulations and on real data. It fails where driftd is not as quiet, or not as quick, as it must be. See
// `make bench-quiet`.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

func main() {
	if err := run(os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "bench/quiet:", err)
		os.Exit(1)
	}
}

// mustPer is the number of exchangeable windows in which driftd may alarm once.
const mustPer = 2400

// report is what is written as JSON.
type report struct {
	Seed    uint64     `json:"seed"`
	Quick   bool       `json:"quick"`
	Rules   []ruleDoc  `json:"rules"`
	Quiet   []quietRow `json:"quiet"`
	Kinds   []kindRow  `json:"kinds"`
	Real    []realRow  `json:"real"`
	Seconds float64    `json:"seconds"`
}

type ruleDoc struct {
	Name string `json:"name"`
	Doc  string `json:"doc"`
}

type quietRow struct {
	N        uint64           `json:"n"`
	M        uint64           `json:"m"`
	Features int              `json:"features"`
	Windows  int              `json:"windows"`
	Alarms   []int            `json:"alarms"` // by rule
	Power    map[string]power `json:"power"`  // by shift and how many features move; of models of ten
}

type power struct {
	Windows int   `json:"windows"`
	Alarms  []int `json:"alarms"`
}

type kindRow struct {
	Kind    string `json:"kind"`
	N       uint64 `json:"n"`
	Windows int    `json:"windows"`
	Alarms  []int  `json:"alarms"`
	Power   power  `json:"power"` // one of ten features moved by 0.25

	NotExchangeable bool `json:"not_exchangeable,omitempty"` // neighbouring rows are alike; the must is not about it
}

type options struct {
	quick  bool
	seed   uint64
	out    string
	shared string
	only   string
	draws  int
}

func run(out io.Writer) error {
	var o options
	flag.BoolVar(&o.quick, "quick", false, "fewer windows, smaller models: about a minute")
	flag.Uint64Var(&o.seed, "seed", 1, "of every simulation")
	flag.StringVar(&o.out, "out", "build/bench-quiet.json", "where the JSON goes")
	flag.StringVar(&o.shared, "shared", filepath.Join("..", "shared"), "the folder of the shared data sets")
	flag.StringVar(&o.only, "only", "", "simulation, kinds, series or real: run that part alone, and hold nothing against it; windows: list those of elec2 and us-flights that drift")
	flag.IntVar(&o.draws, "windows", 120, "windows of the largest model at each n; the smaller models are parts of it, so there are more of them")
	flag.Parse()
	begun := time.Now()
	b := newBench()
	r := &report{Seed: o.seed, Quick: o.quick}
	for _, rule := range b.rules {
		r.Rules = append(r.Rules, ruleDoc{rule.name, rule.doc})
	}
	for _, part := range []struct {
		name string
		run  func(*bench, *options, *report, io.Writer) error
	}{{"simulation", simulation}, {"real", realData}, {"kinds", byKind}, {"series", byCorrelation}, {"windows", windows}} {
		if (o.only == "" && part.name != "windows") || o.only == part.name {
			if err := part.run(b, &o, r, out); err != nil {
				return err
			}
		}
	}
	r.Seconds = time.Since(begun).Seconds()
	fmt.Fprintf(out, "%.0f s\n", r.Seconds)
	doc, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(o.out), 0o750); err != nil {
		return err
	}
	if err := os.WriteFile(o.out, append(doc, '\n'), 0o600); err != nil {
		return err
	}
	if o.only != "" {
		return nil
	}
	return b.must(r, out)
}

func simulation(b *bench, o *options, r *report, out io.Writer) error {
	sizes, ns, draws, powers := []int{10, 50, 500}, []uint64{50, 100, 200, 500, 1_000, 10_000, 100_000, 1_000_000}, o.draws, 400
	if o.quick {
		sizes, ns, draws, powers = []int{10, 50}, []uint64{100, 200, 1_000, 100_000}, 480, 200
	}
	for _, m := range []uint64{10_000, 1_000} {
		at := ns
		if m == 1_000 {
			if at = []uint64{100, 1_000, 10_000}; o.quick {
				continue
			}
			sizes, draws = []int{10, 50}, max(draws/5, 1)
		}
		for _, n := range at {
			rows, err := b.quiet(o, n, m, sizes, draws, powers)
			if err != nil {
				return err
			}
			r.Quiet = append(r.Quiet, rows...)
			for _, row := range rows {
				b.printQuiet(out, &row)
			}
		}
	}
	return nil
}

// shifts are PSI-equivalent.
func shifts() []float64 { return []float64{0.1, 0.25, 0.5} }

// quiet measures models of mixed features without drift, and models of ten with it.
func (b *bench) quiet(o *options, n, m uint64, sizes []int, draws, powers int) ([]quietRow, error) {
	null, err := b.run(job{label: "without drift", n: n, m: m, sizes: sizes, windows: draws, of: mixed, seed: o.seed})
	if err != nil {
		return nil, err
	}
	moved := map[string]power{}
	for _, shift := range shifts() {
		for _, several := range []int{1, 5} {
			t, err := b.run(job{
				label: "shifted", n: n, m: m, sizes: []int{10}, windows: powers, of: mixed, shift: shift, seed: o.seed + 1000,
				moves: func(w, i int) bool { return (i+w)%(10/several) == 0 },
			})
			if err != nil {
				return nil, err
			}
			moved[fmt.Sprintf("%g, %d of 10", shift, several)] = power(t[10])
		}
	}
	var rows []quietRow
	for _, size := range sizes {
		rows = append(rows, quietRow{N: n, M: m, Features: size, Windows: null[size].Windows, Alarms: null[size].Alarms, Power: moved})
	}
	return rows, nil
}

func (b *bench) printQuiet(out io.Writer, row *quietRow) {
	fmt.Fprintf(out, "\nn = %d, reference of %d, %d features, %d windows without drift\n\n", row.N, row.M, row.Features, row.Windows)
	fmt.Fprintln(out, "| rule | false alarms per 1,000 | 1 of 10 moves by 0.1 | 0.25 | 0.5 | 5 of 10 by 0.1 | 0.25 | 0.5 |")
	fmt.Fprintln(out, "|---|--:|--:|--:|--:|--:|--:|--:|")
	for i, rule := range b.rules {
		if rule.real {
			continue
		}
		line := make([]string, 0, 2+2*len(shifts()))
		line = append(line, rule.name, per1000(row.Alarms[i], row.Windows))
		for _, several := range []int{1, 5} {
			for _, shift := range shifts() {
				p := row.Power[fmt.Sprintf("%g, %d of 10", shift, several)]
				line = append(line, fmt.Sprintf("%.2f", float64(p.Alarms[i])/float64(p.Windows)))
			}
		}
		fmt.Fprintf(out, "| %s |\n", strings.Join(line, " | "))
	}
}

// byKind measures models of ten features of one kind.
func byKind(b *bench, o *options, r *report, out io.Writer) error {
	ns, draws := []uint64{100, 1_000, 10_000, 100_000}, 240
	if o.quick {
		ns, draws = []uint64{1_000}, 160
	}
	for k := range b.kinds {
		of := func(int) int { return k }
		windows := draws
		if len(b.kinds[k].p) >= 5_000 {
			windows = draws / 10
		}
		for _, n := range ns {
			null, err := b.run(job{label: b.kinds[k].name, n: n, m: 10_000, sizes: []int{10}, windows: windows, of: of, seed: o.seed})
			if err != nil {
				return err
			}
			t, err := b.run(job{
				label: b.kinds[k].name, n: n, m: 10_000, sizes: []int{10}, windows: windows / 10, of: of, shift: 0.25, seed: o.seed + 1000,
				moves: func(w, i int) bool { return (i+w)%10 == 0 },
			})
			if err != nil {
				return err
			}
			r.Kinds = append(r.Kinds, kindRow{Kind: b.kinds[k].name, N: n, Windows: null[10].Windows, Alarms: null[10].Alarms, Power: power(t[10])})
		}
	}
	b.printKinds(out, r.Kinds)
	return nil
}

// printKinds prints rows of one sort: all of kinds, or all of series.

func (b *bench) printKinds(out io.Writer, rows []kindRow) {
	fmt.Fprintf(out, "\nModels of ten features of one kind, reference of 10,000: false alarms per 1,000 windows / power at a shift of 0.25 of one feature\n\n")
	head := make([]string, 0, 2+len(b.rules))
	head = append(head, "kind", "n")
	of := func(rule *rule) bool { return !rule.real || rows[0].NotExchangeable }
	for i := range b.rules {
		if of(&b.rules[i]) {
			head = append(head, b.rules[i].name)
		}
	}
	fmt.Fprintf(out, "| %s |\n|---|--:|%s\n", strings.Join(head, " | "), strings.Repeat("--:|", len(head)-2))
	for i := range rows {
		row := &rows[i]
		line := []string{row.Kind, strconv.FormatUint(row.N, 10)}
		for k := range b.rules {
			if !of(&b.rules[k]) {
				continue // references without times
			}
			line = append(line, fmt.Sprintf("%s / %.2f", per1000(row.Alarms[k], row.Windows), float64(row.Power.Alarms[k])/float64(row.Power.Windows)))
		}
		fmt.Fprintf(out, "| %s |\n", strings.Join(line, " | "))
	}
}
