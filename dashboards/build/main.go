// Command build writes the dashboards of Grafana from one description in Go: each in Flux, in InfluxQL and for Prometheus. Only
// `go generate ./dashboards` runs it. Measurements, tags and fields come from the constants that the writer uses.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	if err := write("."); err != nil {
		fmt.Fprintln(os.Stderr, "dashboards:", err)
		os.Exit(1) //nolint:forbidigo // this is main
	}
}

// write puts all dashboards into a directory.
func write(dir string) error {
	for _, b := range boards() {
		for _, v := range variants() {
			text, err := json.MarshalIndent(b.draw(v), "", "  ")
			if err != nil {
				return fmt.Errorf("writing %s: %w", uid(b.name, v), err)
			}
			// A query is to be read: the SDK's encoders write < > & as HTML wants them.
			for code, letter := range map[string]string{`\u003c`: "<", `\u003e`: ">", `\u0026`: "&"} {
				text = bytes.ReplaceAll(text, []byte(code), []byte(letter))
			}
			if err := os.WriteFile(filepath.Join(dir, uid(b.name, v)+".json"), append(text, '\n'), 0o644); err != nil { //nolint:gosec // for everybody to read
				return err
			}
		}
	}
	return os.WriteFile(filepath.Join(dir, "provisioning", "alerting", "driftd.yaml"), []byte(ruleFile()), 0o644) //nolint:gosec // for everybody to read
}
