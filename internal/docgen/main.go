// Command docgen writes docs/configuration.md and docs/schema/config.schema.json from the types of package config: their
// doc comments, their tags, and the values of config.Default. `go generate ./config` runs it; a test fails when the files
// differ from what it would write.
package main

import (
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	if err := run(".."); err != nil { // go generate runs in the directory of package config
		fmt.Fprintln(os.Stderr, "docgen:", err)
		os.Exit(1) //nolint:forbidigo // this is main
	}
}

// run writes every file below the module's root.
func run(root string) error {
	files, err := generate(root)
	if err != nil {
		return err
	}
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(root, name), data, 0o644); err != nil { //nolint:gosec // documentation is for everybody
			return fmt.Errorf("writing %s: %w", name, err)
		}
	}
	return nil
}

// generate returns what every file must hold, by its path from the module's root.
func generate(root string) (map[string][]byte, error) {
	settings, err := readSettings(root)
	if err != nil {
		return nil, err
	}
	schema, err := schemaJSON(settings)
	if err != nil {
		return nil, err
	}
	return map[string][]byte{
		filepath.Join("docs", "configuration.md"):             markdown(settings),
		filepath.Join("docs", "schema", "config.schema.json"): schema,
	}, nil
}
