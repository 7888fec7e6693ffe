// Command driftd watches models in production for drift: the daemon, and the tools around it. This package is flags,
// signals and exit codes, one file a subcommand; everything that can be used from elsewhere lives in the packages below.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

// version is set by the linker: -ldflags '-X main.version=v1.2.3'.
var version = "dev"

// The exit codes; they are part of the command line's contract.
const (
	exitDone   = 0
	exitFailed = 1 // failed, or an invalid configuration
	exitUsage  = 2 // wrong usage, or an input that cannot be read
	exitDrift  = 3 // drift was found, and that was asked for
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // from here on a second signal ends the process at once
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr, os.Environ()))
}

// commands is the table of subcommands, in the order of the help.
func commands() []command {
	return []command{
		demoCommand(),
		runCommand(),
		checkCommand(),
		analyzeCommand(),
		replayCommand(),
		referenceCommand(),
		alertsCommand(),
		testCommand(),
		deadLettersCommand(),
		initCommand(),
		dashboardsCommand(),
		backfillCommand(),
		doctorCommand(),
		healthCommand(),
		versionCommand(),
	}
}

// console is what a command may touch of the process that it runs in.
type console struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	environ        []string
}

// getenv returns the value of an environment variable, or "".
func (c *console) getenv(name string) string {
	value := ""
	for _, kv := range c.environ {
		if k, v, _ := strings.Cut(kv, "="); k == name {
			value = v
		}
	}
	return value
}

// exitError is an error that asks for an exit code of its own.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

// usageError says that the command line is wrong.
func usageError(format string, args ...any) error {
	return &exitError{code: exitUsage, err: fmt.Errorf(format, args...)}
}

// inputError says that an input cannot be read.
func inputError(err error) error { return &exitError{code: exitUsage, err: err} }

// run is main without the process: it finds the command, runs it, and turns its error into an exit code.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer, environ []string) int {
	con := &console{stdin: stdin, stdout: stdout, stderr: stderr, environ: environ}
	root := command{name: "driftd", sub: commands()}
	cmd, rest, err := root.find(args)
	if err == nil {
		err = cmd.execute(ctx, con, rest)
	}
	switch {
	case err == nil:
		return exitDone
	case errors.Is(err, flag.ErrHelp):
		cmd.writeHelp(stdout)
		return exitDone
	}
	fmt.Fprintf(stderr, "%s: %v\n", cmd.name, err)
	var exit *exitError
	if !errors.As(err, &exit) {
		return exitFailed
	}
	return exit.code
}
