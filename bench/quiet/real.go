package main

import (
	"compress/gzip"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/driftd/driftd/cells"
	"github.com/driftd/driftd/detectors"
	"github.com/driftd/driftd/internal/stat/rivals"
	"github.com/driftd/driftd/reference"
	"github.com/driftd/driftd/result"
)

// realRow is one data set: false alarms without drift, as it comes and shuffled, and the delay with drift.
type realRow struct {
	Set      string `json:"set"`
	Why      string `json:"why"` // how the stretches were chosen
	N        string `json:"n"`   // rows of a window
	Rows     int    `json:"reference"`
	Features int    `json:"features"`

	Quiet    tally `json:"quiet"`    // the stretch without drift, as it comes
	Shuffled tally `json:"shuffled"` // its rows and the reference's in random order: exchangeable

	Change string `json:"change,omitempty"`
	Delay  []int  `json:"delay,omitempty"` // by rule: windows from the change to the first alarm, both counted; 0: none
	After  int    `json:"after,omitempty"` // windows after the change
}

// table is a data set in memory.
type table struct {
	head []string
	rows [][]string
}

func readTable(shared, file string) (*table, error) {
	f, err := os.Open(filepath.Join(shared, "data", filepath.FromSlash(file)))
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // it was only read
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, err
	}
	all, err := csv.NewReader(z).ReadAll()
	if err != nil {
		return nil, err
	}
	if len(all) < 2 {
		return nil, errors.New("it has no rows")
	}
	return &table{all[0], all[1:]}, nil
}

func (t *table) column(name string) int { return slices.Index(t.head, name) }

// scenario is a reference and windows of rows after it, of which those from change on drift.
type scenario struct {
	set, why, change string
	columns          []string // a name, or name:categorical
	moved            []int    // which of them change; none: all
	head             []string
	reference        [][]string
	windows          [][][]string
	from             int // the first window that drifts; len(windows): none does
}

// cut cuts rows into windows of n; what is left over is left out.
func cut(rows [][]string, n int) [][][]string {
	var out [][][]string
	for len(rows) >= n {
		out, rows = append(out, rows[:n]), rows[n:]
	}
	return out
}

// by cuts rows into windows of equal values of a column's prefix, such as the day of a time.
func by(rows [][]string, column, prefix int) [][][]string {
	var out [][][]string
	for _, row := range rows {
		if k := len(out); k > 0 && out[k-1][0][column][:prefix] == row[column][:prefix] {
			out[k-1] = append(out[k-1], row)
		} else {
			out = append(out, [][]string{row})
		}
	}
	return out
}

func (s *scenario) size() string {
	least, most := math.MaxInt, 0
	for _, w := range s.windows {
		least, most = min(least, len(w)), max(most, len(w))
	}
	if least == most {
		return strconv.Itoa(least)
	}
	return fmt.Sprintf("%d to %d", least, most)
}

// columnOf reads one column of rows: sorted numbers, or categories with their counts.
func columnOf(rows [][]string, at int, categorical bool) (numbers []float64, counts map[string]uint64, missing uint64) {
	counts = map[string]uint64{}
	for _, row := range rows {
		switch x, err := strconv.ParseFloat(row[at], 64); {
		case row[at] == "":
			missing++
		case categorical:
			counts[row[at]]++
		case err == nil:
			numbers = append(numbers, x+0)
		}
	}
	slices.Sort(numbers)
	return numbers, counts, missing
}

// watched is a column of a scenario with its frozen reference.
type watched struct {
	at          int
	categorical bool
	ref         *reference.Feature
	plan, auto  *detectors.Plan
	counts      map[string]uint64
	chunks      []map[string]uint64
	in          rivals.Feature // of numbers: the window is put in Cur
	rules       []func() rivals.Decision
}

// judge runs every rule over the windows.
func (s *scenario) judge(b *bench, windows [][][]string, each func(window, rule int), show func(window int, m *model)) error {
	var columns []*watched
	memo := detectors.NewMemo()
	for _, name := range s.columns {
		name, kind, _ := strings.Cut(name, ":")
		c := &watched{at: slices.Index(s.head, name), categorical: kind == "categorical"}
		if c.at < 0 {
			return fmt.Errorf("there is no column %s", name)
		}
		numbers, counts, missing := columnOf(s.reference, c.at, c.categorical)
		var err error
		chunks := cut(s.reference, max(len(s.reference)/rivals.Chunks, 1))
		if c.categorical {
			c.counts = counts
			for _, rows := range chunks {
				_, seen, _ := columnOf(rows, c.at, true)
				c.chunks = append(c.chunks, seen)
			}
			c.ref, err = reference.FreezeCategorical(result.RoleFeature, name, reference.Categories{Counts: counts}, reference.DefaultMaxCategories)
		} else {
			c.in = rivals.Feature{Ref: rivals.Of(numbers), Quick: true}
			for _, rows := range chunks {
				xs, _, _ := columnOf(rows, c.at, false)
				c.in.RefChunks = append(c.in.RefChunks, rivals.Of(xs))
			}
			for _, name := range rivals.Names() {
				c.rules = append(c.rules, mustFind(name).Prepare(&c.in))
			}
			c.ref, err = reference.FreezeNumeric(result.RoleFeature, name, numbers, reference.DefaultResolution)
		}
		if err != nil {
			return err
		}
		c.ref.Counts.Missing = missing
		fixed := b.cfg
		fixed.Threshold = detectors.ThresholdFixed
		c.plan = detectors.NewPlan(c.ref, fixed, detectors.Chunks{}, memo)
		var own detectors.Chunks
		for _, rows := range cut(s.reference, len(s.windows[0])) {
			own.Counts = append(own.Counts, c.count(columnOf(rows, c.at, c.categorical)))
		}
		c.auto = detectors.NewPlan(c.ref, b.cfg, own, memo)
		columns = append(columns, c)
	}
	var m model
	var auto []result.Feature
	for w, rows := range windows {
		m.results, m.flags, auto = m.results[:0], m.flags[:0], auto[:0]
		for _, c := range columns {
			numbers, categories, missing := columnOf(rows, c.at, c.categorical)
			counts := c.count(numbers, categories, missing)
			r := c.plan.Evaluate(counts)
			auto = append(auto, c.auto.Evaluate(counts))
			var fl flags
			fl.set(flagThumb, thumb(&r))
			if c.in.Cur = rivals.Of(numbers); c.categorical {
				c.prepare(categories)
			}
			for k, decide := range c.rules {
				fl.set(flagRivals+k, decide().Drift)
			}
			m.results, m.flags = append(m.results, r), append(m.flags, fl)
		}
		detectors.Judge(auto, b.cfg)
		for i := range auto {
			m.flags[i].set(flagAuto, auto[i].Verdict == result.Drift)
		}
		m.alarms(0, len(columns), b.cfg, b.rules, func(r int) { each(w, r) })
		if show != nil {
			show(w, &m)
		}
	}
	return nil
}

// count counts a window as driftd does.
func (c *watched) count(numbers []float64, categories map[string]uint64, missing uint64) *cells.Counts {
	counts := cells.NewCounts(c.ref.Space)
	counts.AddSorted(numbers)
	for name, n := range categories {
		counts.AddCategories([]byte(name), n)
	}
	counts.Missing = missing
	return counts
}

// prepare makes the tables of a window of categories, over the union of its own and the reference's.
func (c *watched) prepare(categories map[string]uint64) {
	names := map[string]int{}
	for _, side := range []map[string]uint64{c.counts, categories} {
		for name := range side {
			if _, ok := names[name]; !ok {
				names[name] = len(names)
			}
		}
	}
	counts := func(from map[string]uint64) []uint64 {
		out := make([]uint64, len(names))
		for name, n := range from {
			out[names[name]] = n
		}
		return out
	}
	c.in = rivals.Feature{Categorical: true, RefTable: counts(c.counts), CurTable: counts(categories), Quick: true}
	for _, seen := range c.chunks {
		c.in.TableChunks = append(c.in.TableChunks, counts(seen))
	}
	c.rules = c.rules[:0]
	for _, name := range rivals.Names() {
		c.rules = append(c.rules, mustFind(name).Prepare(&c.in))
	}
}

// measure runs a scenario as it comes, and its rows without drift in random order as often as it takes.
func (s *scenario) measure(b *bench, seed uint64, shuffled int) (realRow, error) {
	row := realRow{
		Set: s.set, Why: s.why, N: s.size(), Rows: len(s.reference), Features: len(s.columns), Change: s.change,
		Quiet: tally{Windows: s.from, Alarms: make([]int, len(b.rules))}, After: len(s.windows) - s.from,
	}
	if row.After > 0 {
		row.Delay = make([]int, len(b.rules))
	}
	err := s.judge(b, s.windows, func(w, r int) {
		switch {
		case w < s.from:
			row.Quiet.Alarms[r]++
		case row.Delay[r] == 0 && (b.rules[r].model || b.rules[r].share > 0):
			row.Delay[r] = w - s.from + 1
		}
	}, func(w int, m *model) { // other alarms count where they are about what changed
		for r, rule := range b.rules {
			if w < s.from || rule.model || rule.share > 0 || row.Delay[r] > 0 {
				continue
			}
			for i, f := range m.flags {
				if f.has(rule.flag) && (s.moved == nil || slices.Contains(s.moved, i)) {
					row.Delay[r] = w - s.from + 1
				}
			}
		}
	})
	if err != nil {
		return row, fmt.Errorf("%s: %w", s.set, err)
	}
	pool := slices.Clone(s.reference)
	for _, w := range s.windows[:s.from] {
		pool = append(pool, w...)
	}
	n := len(s.windows[0])
	row.Shuffled.Alarms = make([]int, len(b.rules))
	rng := rand.New(rand.NewPCG(seed, uint64(len(pool))))
	for row.Shuffled.Windows < shuffled {
		mixed := slices.Clone(pool)
		rng.Shuffle(len(mixed), func(i, k int) { mixed[i], mixed[k] = mixed[k], mixed[i] })
		again := *s
		again.reference = mixed[:len(s.reference)]
		windows := cut(mixed[len(s.reference):], n)
		if len(windows) == 0 {
			break
		}
		windows = windows[:min(len(windows), shuffled-row.Shuffled.Windows)]
		row.Shuffled.Windows += len(windows)
		if err := again.judge(b, windows, func(_, r int) { row.Shuffled.Alarms[r]++ }, nil); err != nil {
			return row, fmt.Errorf("%s, shuffled: %w", s.set, err)
		}
	}
	return row, nil
}

func realData(b *bench, o *options, r *report, out io.Writer) error {
	all, err := scenarios(o.shared)
	if err != nil {
		return err
	}
	shuffled := 480
	if o.quick {
		shuffled = 40
	}
	for i := range all {
		row, err := all[i].measure(b, o.seed, shuffled)
		if err != nil {
			return err
		}
		r.Real = append(r.Real, row)
	}
	b.printReal(out, r.Real)
	return nil
}

func (b *bench) printReal(out io.Writer, rows []realRow) {
	fmt.Fprintln(out, "\nReal data: alarms in windows of the stretch without drift as it comes / of the same rows shuffled, per 1,000; delay in windows after the change")
	fmt.Fprintln(out)
	head := []string{"rule"}
	for i := range rows {
		head = append(head, rows[i].Set)
		if rows[i].Delay != nil {
			head = append(head, "delay")
		}
	}
	fmt.Fprintf(out, "| %s |\n|---|%s\n", strings.Join(head, " | "), strings.Repeat("--:|", len(head)-1))
	for k, rule := range b.rules {
		line := []string{rule.name}
		for i := range rows {
			row := &rows[i]
			line = append(line, per1000(row.Quiet.Alarms[k], row.Quiet.Windows)+" / "+per1000(row.Shuffled.Alarms[k], row.Shuffled.Windows))
			if row.Delay != nil {
				delay := fmt.Sprintf("none in %d", row.After)
				if d := row.Delay[k]; d > 0 {
					delay = strconv.Itoa(d)
				}
				line = append(line, delay)
			}
		}
		fmt.Fprintf(out, "| %s |\n", strings.Join(line, " | "))
	}
	for i := range rows {
		row := &rows[i]
		fmt.Fprintf(out, "\n%s: %d features, reference of %d rows, %d windows of %s rows without drift, %d shuffled. %s.", row.Set, row.Features, row.Rows,
			row.Quiet.Windows, row.N, row.Shuffled.Windows, row.Why)
		if row.Change != "" {
			fmt.Fprintf(out, " Change: %s.", row.Change)
		}
	}
	fmt.Fprintln(out)
}

// windows prints every window of elec2 and us-flights that is judged as drift, with the reasons.
func windows(b *bench, o *options, _ *report, out io.Writer) error {
	all, err := scenarios(o.shared)
	if err != nil {
		return err
	}
	for i := range all {
		s := &all[i]
		if !strings.HasPrefix(s.set, "elec2") && !strings.HasPrefix(s.set, "us-flights") {
			continue
		}
		fmt.Fprintf(out, "\n%s: %s; from window %d: %s\n", s.set, s.why, s.from+1, s.change)
		err := s.judge(b, s.windows, func(int, int) {}, func(w int, m *model) {
			fs := m.results
			for k := range fs {
				if fs[k].Verdict == result.Drift {
					fmt.Fprintf(out, "%d %s %s: %s\n", w+1, s.windows[w][0][0], fs[k].Feature, strings.Join(fs[k].Reasons, "; "))
				}
			}
		})
		if err != nil {
			return fmt.Errorf("%s: %w", s.set, err)
		}
	}
	return nil
}
