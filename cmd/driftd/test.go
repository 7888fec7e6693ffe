package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"

	"github.com/driftd/driftd/config"
	"github.com/driftd/driftd/ruletest"
)

func testCommand() command {
	return command{
		name:     "driftd test",
		short:    "test alert rules against series that a file describes, and receivers of alerts",
		args:     "COMMAND",
		about:    "Tests what a configuration would do, without a daemon.",
		examples: []example{{"the rules of a configuration", "driftd test rules rules_test.yaml --config driftd.yaml"}},
		sub:      []command{testNotifyCommand(), testRulesCommand()},
	}
}

func testRulesCommand() command {
	return command{
		name:  "driftd test rules",
		short: "run tests of alert rules",
		args:  "FILE… [--config FILE]",
		about: `Runs data-driven tests of alert rules: each file says what the windows of a model show and which incidents that must make, as
docs/alerting.md describes. Without --config the rules are those that hold without a word.`,
		examples: []example{{"before a change of the rules is rolled out", "driftd test rules rules_test.yaml --config driftd.yaml"}},
		exits:    []exit{{exitDone, "all tests pass"}, {exitFailed, "a test fails, or the configuration has mistakes"}, {exitUsage, "wrong usage, or a file cannot be read"}},
		setup: func(fs *flag.FlagSet) action {
			file := fs.String("config", "", "`FILE`: the configuration with the rules")
			return func(_ context.Context, con *console, args []string) error {
				if len(args) == 0 {
					return usageError("which tests? give one file or more")
				}
				cfg := config.Default()
				if *file != "" {
					var err error
					if cfg, err = loadConfig(*file); err != nil {
						return err
					}
				}
				return testRules(con, cfg, args)
			}
		},
	}
}

// testRules runs the tests of some files and says how each ended.
func testRules(con *console, cfg *config.Config, files []string) error {
	passed, failed := 0, 0
	for _, name := range files {
		data, err := os.ReadFile(name) //nolint:gosec // the file that the user names
		if err != nil {
			return inputError(fmt.Errorf("reading tests: %w", err))
		}
		f, err := ruletest.Parse(name, data)
		if mistakes, ok := errors.AsType[config.Errors](err); ok {
			return inputError(fmt.Errorf("%s has %s\n%w", name, count(len(mistakes), "mistake", "mistakes"), mistakes))
		}
		if err != nil {
			return inputError(err)
		}
		for i := range f.Tests {
			t := &f.Tests[i]
			differences, err := t.Run(cfg)
			if err != nil {
				return inputError(fmt.Errorf("%s: test %q: %w", name, t.Name, err))
			}
			if len(differences) == 0 {
				passed++
				fmt.Fprintf(con.stdout, "ok    %s\n", plainText(t.Name))
				continue
			}
			failed++
			fmt.Fprintf(con.stdout, "FAIL  %s\n", plainText(t.Name))
			for _, d := range differences {
				fmt.Fprintf(con.stdout, "      %s\n", plainText(d))
			}
		}
	}
	if failed > 0 {
		return fmt.Errorf("%s of %d failed", count(failed, "test", "tests"), passed+failed)
	}
	if passed == 0 {
		return inputError(errors.New("the files hold no test: begin with `tests:`"))
	}
	_, err := fmt.Fprintf(con.stdout, "%s passed\n", count(passed, "test", "tests"))
	return err
}
