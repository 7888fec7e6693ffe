// Command fit fits the model of the demo on the flights of January 2001 and writes demo/model.json. It is deterministic:
// `go generate ./demo` changes nothing unless data or code do.
package main

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/driftd/driftd/demo"
)

// output is relative to the package that has the go:generate line.
const output = "model.json"

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "fit:", err)
		os.Exit(1) //nolint:forbidigo // this is main
	}
}

func run() error {
	flights, err := demo.Flights()
	if err != nil {
		return err
	}
	m, err := fit(flights)
	if err != nil {
		return err
	}
	data, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(output, append(data, '\n'), 0o644) //nolint:gosec // a file of the repository
}
