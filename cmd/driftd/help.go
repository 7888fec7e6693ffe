package main

import (
	"flag"
	"fmt"
	"io"
	"strings"
)

// writeHelp explains a command by example.
func (c command) writeHelp(w io.Writer) {
	if c.name == "driftd" {
		c.writeRoot(w)
		return
	}
	fmt.Fprintf(w, "%s: %s\n\nUsage:\n", c.name, c.short)
	if len(c.sub) > 0 {
		for _, s := range c.sub {
			fmt.Fprintf(w, "  %s %s\n", s.name, s.args)
		}
	} else {
		fmt.Fprintf(w, "  %s\n", strings.TrimSpace(c.name+" "+c.args))
	}
	if c.about != "" {
		fmt.Fprintf(w, "\n%s\n", c.about)
	}
	if len(c.examples) > 0 {
		fmt.Fprint(w, "\nExamples:\n")
		for i, e := range c.examples {
			if i > 0 {
				fmt.Fprintln(w)
			}
			fmt.Fprintf(w, "  # %s\n  %s\n", e.why, e.line)
		}
	}
	if c.setup != nil {
		fs, _ := c.flags()
		writeFlags(w, fs)
	}
	if len(c.exits) > 0 {
		fmt.Fprint(w, "\nExit codes:\n")
		for _, e := range c.exits {
			fmt.Fprintf(w, "  %d  %s\n", e.code, e.when)
		}
	}
}

func (c command) writeRoot(w io.Writer) {
	fmt.Fprint(w, `driftd: tells you when a model in production no longer sees the data it was trained on

Usage:
  driftd COMMAND [flags]

Commands:
`)
	for _, s := range c.sub {
		fmt.Fprintf(w, "  %-14s %s\n", strings.TrimPrefix(s.name, "driftd "), s.short)
	}
	fmt.Fprint(w, `
Examples:
  # start the daemon with a broker and a store of its own, in ./driftd-data
  driftd run

  # freeze the training data of the model churn as what its windows are compared with
  driftd reference create --name churn-2026-11 --model churn --from training.csv --activate

  # compare last week with the training data; no broker needed
  driftd analyze --reference training.csv --current last-week.csv

  # publish a log of predictions, waiting for every acknowledgement
  driftd replay events.ndjson.gz

Each command explains itself: driftd COMMAND --help

Exit codes:
  0  done
  1  failed, or the configuration is invalid
  2  wrong usage, or an input that cannot be read
  3  drift was found, and --fail-on-drift given; or a bound of --gate was not kept
`)
}

// writeFlags lists the flags in two columns, defaults in parentheses.
func writeFlags(w io.Writer, fs *flag.FlagSet) {
	type line struct{ left, right string }
	var lines []line
	width := 0
	fs.VisitAll(func(f *flag.Flag) {
		name, usage := flag.UnquoteUsage(f)
		l := line{left: "--" + f.Name, right: usage}
		if name != "" {
			l.left += " " + name
		}
		l.right = strings.TrimPrefix(l.right, name+": ")
		if f.DefValue != "" && f.DefValue != "false" && f.DefValue != "0" {
			l.right += " (default " + f.DefValue + ")"
		}
		width = max(width, len([]rune(l.left)))
		lines = append(lines, l)
	})
	if len(lines) == 0 {
		return
	}
	fmt.Fprint(w, "\nFlags:\n")
	for _, l := range lines {
		pad := strings.Repeat(" ", width-len([]rune(l.left)))
		fmt.Fprintf(w, "  %s%s  %s\n", l.left, pad, l.right)
	}
}
