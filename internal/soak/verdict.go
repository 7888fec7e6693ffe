package main

import (
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"
)

const (
	minSamples = 12 // three in the first quarter, nine behind it
	tableRows  = 12
)

// quantity is one column of the table. It is flat where the growth of its trend after the first quarter is at most the larger
// of relative (a share of its mean) and absolute. The bounds are wide enough for a saw tooth that is cut off anywhere: a garbage
// collector's, a stream's that drops whole blocks; a leak that would matter in a day shows in an hour by far.
type quantity struct {
	name               string
	value              func(*sample) float64
	show               func(float64) string
	relative, absolute float64
}

func quantities() []quantity {
	const m = 1 << 20
	return []quantity{
		{"memory (RSS)", func(s *sample) float64 { return s.rss }, mib, 0.10, 16 * m},
		{"Go heap in use", func(s *sample) float64 { return s.heap }, mib, 0.15, 16 * m},
		{"goroutines", func(s *sample) float64 { return s.goroutines }, whole, 0, 3},
		{"open files", func(s *sample) float64 { return s.fds }, whole, 0, 5},
		{"state stream", func(s *sample) float64 { return s.stateBytes }, mib, 0.05, 1 * m},
		{"its messages", func(s *sample) float64 { return s.stateMsgs }, whole, 0.05, 50},
		{"its files", func(s *sample) float64 { return s.stateDisk }, mib, 0.10, 16 * m},
		{"input stream", func(s *sample) float64 { return s.inputBytes }, mib, 0.05, 8 * m},
		{"outbox", func(s *sample) float64 { return s.outboxBytes }, mib, 0.10, 1 * m},
		{"store", func(s *sample) float64 { return s.storeBytes }, mib, 0.10, 2 * m},
		{"data directory", func(s *sample) float64 { return s.diskBytes }, mib, 0.10, 32 * m},
		{"panes", func(s *sample) float64 { return s.panes }, whole, 0.05, 4},
		{"lag", func(s *sample) float64 { return s.lag }, whole, 0, 1000},
	}
}

// judgement of one quantity.
type judgement struct {
	quantity
	mean   float64 // after the first quarter
	growth float64 // of the trend over that time
	bound  float64
}

func (j judgement) flat() bool { return j.growth <= j.bound }

// judge fits a line to each quantity after the first quarter, in which caches fill and retention begins to bite.
func judge(samples []sample) []judgement {
	out := make([]judgement, 0, len(quantities()))
	late := samples[len(samples)/4:]
	x := make([]float64, len(late))
	y := make([]float64, len(late))
	for _, q := range quantities() {
		for i := range late {
			x[i], y[i] = late[i].after.Seconds(), q.value(&late[i])
		}
		mean, slope := trend(x, y)
		out = append(out, judgement{q, mean, slope * (x[len(x)-1] - x[0]), max(q.absolute, q.relative*mean)})
	}
	return out
}

// trend is the line of least squares: the mean of y and the slope.
func trend(x, y []float64) (mean, slope float64) {
	n := float64(len(x))
	var mx, my float64
	for i := range x {
		mx += x[i] / n
		my += y[i] / n
	}
	var sxy, sxx float64
	for i := range x {
		sxy += (x[i] - mx) * (y[i] - my)
		sxx += (x[i] - mx) * (x[i] - mx)
	}
	if sxx == 0 {
		return my, 0
	}
	return my, sxy / sxx
}

// writeTable prints the samples in so many equal parts of the time, the last sample of each.
func writeTable(out io.Writer, samples []sample, rows int) {
	head := make([]string, 0, 3+len(quantities()))
	head = append(head, "after", "messages", "results")
	for _, q := range quantities() {
		head = append(head, q.name)
	}
	fmt.Fprintf(out, "| %s |\n|%s\n", strings.Join(head, " | "), strings.Repeat("---:|", len(head)))
	for k := range rows {
		i := (k+1)*len(samples)/rows - 1
		if i < 0 {
			continue
		}
		s := &samples[i]
		row := make([]string, 0, cap(head))
		row = append(row, s.after.Round(time.Second).String(), whole(float64(s.published)), whole(float64(s.results)))
		for _, q := range quantities() {
			row = append(row, q.show(q.value(s)))
		}
		fmt.Fprintf(out, "| %s |\n", strings.Join(row, " | "))
	}
}

func writeJudgements(out io.Writer, list []judgement) {
	fmt.Fprintln(out, "| quantity | mean after the first quarter | growth of the trend since | bound | verdict |\n|---|---:|---:|---:|---|")
	for _, j := range list {
		verdict := "flat"
		if !j.flat() {
			verdict = "GROWS"
		}
		fmt.Fprintf(out, "| %s | %s | %s | %s | %s |\n", j.name, j.show(j.mean), j.show(j.growth), j.show(j.bound), verdict)
	}
}

// grown is the error of what is not flat, or nil.
func grown(list []judgement) error {
	var names []string
	for _, j := range list {
		if !j.flat() {
			names = append(names, j.name)
		}
	}
	if len(names) == 0 {
		return nil
	}
	return errors.New("not flat: " + strings.Join(names, ", "))
}

func mib(bytes float64) string { return fmt.Sprintf("%.1f MiB", bytes/(1<<20)) }

func whole(x float64) string { return strconv.FormatInt(int64(math.Round(x)), 10) }
