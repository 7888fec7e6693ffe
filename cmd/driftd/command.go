package main

import (
	"context"
	"errors"
	"flag"
	"io"
	"strings"
)

// command is one entry of the command line: either a group of further commands, or something to run.
type command struct {
	name     string    // as it is typed: `driftd reference create`
	short    string    // one line, for the list of commands
	args     string    // what follows the name: `FILE… [flags]`
	about    string    // paragraphs that say what it does
	examples []example // real ones: a test runs them
	exits    []exit    // what its exit codes mean
	sub      []command

	// setup declares the flags and returns what runs once they are parsed. It does nothing else: help calls it too.
	setup func(fs *flag.FlagSet) action
}

// action runs a command with the arguments that are no flags.
type action func(ctx context.Context, con *console, args []string) error

type example struct{ why, line string }

type exit struct {
	code int
	when string
}

// find walks from a group to the command that args name. Help is asked for by flag.ErrHelp; the command that is
// returned is then the one to explain.
func (c command) find(args []string) (command, []string, error) {
	for len(c.sub) > 0 {
		switch {
		case len(args) == 0, isHelp(args[0]):
			return c, nil, flag.ErrHelp
		case args[0] == "help":
			return c.findHelp(args[1:])
		case strings.HasPrefix(args[0], "-"):
			return c, nil, usageError("flag %s is not known here; flags stand behind the command: see `%s help`", args[0], c.name)
		}
		next, err := c.child(args[0])
		if err != nil {
			return c, nil, err
		}
		c, args = next, args[1:]
	}
	return c, args, nil
}

// findHelp returns the command that `help` is asked about.
func (c command) findHelp(words []string) (command, []string, error) {
	for _, word := range words {
		if isHelp(word) {
			break
		}
		if len(c.sub) == 0 {
			return c, nil, usageError("%s has no subcommands; see `%s --help`", c.name, c.name)
		}
		next, err := c.child(word)
		if err != nil {
			return c, nil, err
		}
		c = next
	}
	return c, nil, flag.ErrHelp
}

func (c command) child(word string) (command, error) {
	names := make([]string, 0, len(c.sub))
	for _, s := range c.sub {
		own := s.name[strings.LastIndexByte(s.name, ' ')+1:]
		if own == word {
			return s, nil
		}
		names = append(names, own)
	}
	if near := closest(word, names); near != "" {
		return c, usageError("unknown command %q; did you mean %s?", word, near)
	}
	return c, usageError("unknown command %q; known are %s: see `%s help`", word, strings.Join(names, ", "), c.name)
}

func isHelp(arg string) bool { return arg == "--help" || arg == "-help" || arg == "-h" }

// execute parses the flags, which may stand before, between and behind the arguments, and runs the command.
func (c command) execute(ctx context.Context, con *console, args []string) error {
	fs, do := c.flags()
	words, err := parseFlags(fs, args)
	if err != nil {
		return err
	}
	return do(ctx, con, words)
}

func (c command) flags() (*flag.FlagSet, action) {
	fs := flag.NewFlagSet(c.name, flag.ContinueOnError)
	fs.SetOutput(io.Discard) // the messages are ours
	fs.Usage = func() {}
	return fs, c.setup(fs)
}

func parseFlags(fs *flag.FlagSet, args []string) ([]string, error) {
	var words []string
	for len(args) > 0 {
		if err := fs.Parse(args); err != nil {
			return nil, flagError(fs, err)
		}
		rest := fs.Args()
		if read := len(args) - len(rest); read > 0 && args[read-1] == "--" { // what follows are no flags
			return append(words, rest...), nil
		}
		if len(rest) == 0 {
			break
		}
		words, args = append(words, rest[0]), rest[1:]
	}
	return words, nil
}

// flagError says in our words what package flag found.
func flagError(fs *flag.FlagSet, err error) error {
	if errors.Is(err, flag.ErrHelp) {
		return err
	}
	if name, unknown := strings.CutPrefix(err.Error(), "flag provided but not defined: -"); unknown {
		var names []string
		fs.VisitAll(func(f *flag.Flag) { names = append(names, f.Name) })
		if near := closest(name, names); near != "" {
			return usageError("unknown flag --%s; did you mean --%s?", name, near)
		}
		return usageError("unknown flag --%s: see `%s --help`", name, fs.Name())
	}
	return usageError("%s: see `%s --help`", strings.ReplaceAll(err.Error(), " -", " --"), fs.Name())
}

// noArguments refuses arguments of a command that takes flags only.
func noArguments(args []string) error {
	if len(args) > 0 {
		return usageError("unexpected argument %q: this command takes flags only", args[0])
	}
	return nil
}

// closest returns the candidate that word is most likely a slip of, or "".
func closest(word string, candidates []string) string {
	best, distance := "", max(1, len(word)/3)+1
	for _, c := range candidates {
		d := edits(strings.ToLower(word), c)
		if len(word) >= 3 && (strings.HasPrefix(c, word) || strings.HasPrefix(word, c)) {
			d = min(d, 1)
		}
		if d < distance {
			best, distance = c, d
		}
	}
	return best
}

// edits is the number of letters to insert, delete, replace or swap with their neighbour to turn a into b (optimal string
// alignment distance).
func edits(a, b string) int {
	if len(a) > 64 {
		return len(a)
	}
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			change := 1
			if a[i-1] == b[j-1] {
				change = 0
			}
			rows[i][j] = min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}
