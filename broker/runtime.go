package broker

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// runtimeFile is where a running daemon says how it is reached.
const runtimeFile = "driftd.run.json"

// Runtime says how a running daemon is reached. It holds a secret: the file has mode 0600.
type Runtime struct {
	URL    string `json:"url"`     // of the broker
	Token  string `json:"token"`   // empty for an external broker: its credentials stay in their own file
	WebURL string `json:"web_url"` // of the page and the API
	PID    int    `json:"pid"`
}

// ErrNoRuntime says that no daemon has recorded itself in a data directory.
var ErrNoRuntime = errors.New("no running driftd is recorded here")

// WriteRuntime records a running daemon in its data directory, so that subcommands find it.
func WriteRuntime(dataDir string, r Runtime) error {
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("writing runtime file: %w", err)
	}
	if err := writeFileAtomic(filepath.Join(dataDir, runtimeFile), append(b, '\n')); err != nil {
		return fmt.Errorf("writing runtime file: %w", err)
	}
	return nil
}

// ReadRuntime returns what the last daemon of a data directory recorded. The daemon may have died since: only a
// connection tells. The error is ErrNoRuntime where there is none.
func ReadRuntime(dataDir string) (Runtime, error) {
	var r Runtime
	path := filepath.Join(dataDir, runtimeFile)
	b, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return r, fmt.Errorf("reading %s: %w: start `driftd run`, or give --url or --config", path, ErrNoRuntime)
	}
	if err != nil {
		return r, fmt.Errorf("reading runtime file: %w", err)
	}
	if err := json.Unmarshal(b, &r); err != nil {
		return r, fmt.Errorf("reading %s: %w: delete it and restart driftd", path, err)
	}
	return r, nil
}

// RemoveRuntime withdraws the record of a daemon that ends.
func RemoveRuntime(dataDir string) error {
	err := os.Remove(filepath.Join(dataDir, runtimeFile))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("removing runtime file: %w", err)
	}
	return nil
}
