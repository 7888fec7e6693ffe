package broker

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/nats-io/nuid"
)

// LockDataDir makes this process the only daemon of a data directory, which must exist, until release is called or the process
// ends, however it ends. Another one gets *InUseError. An embedded broker locks its own store below it as well.
func LockDataDir(dir string) (release func() error, err error) {
	lock, err := lockDir(dir)
	if err != nil {
		return nil, err
	}
	return lock.release, nil
}

// nodeFile names the data directory's daemon across restarts.
const nodeFile = "node"

const (
	nodeIDLen   = 22
	nodeIDBytes = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
)

// NodeID returns the name of a data directory, which is made up once. A directory is copied without it.
func NodeID(dataDir string) (string, error) {
	path := filepath.Join(dataDir, nodeFile)
	data, err := os.ReadFile(path)
	id := strings.TrimSpace(string(data))
	switch {
	case err == nil && len(id) == nodeIDLen && strings.Trim(id, nodeIDBytes) == "":
		return id, nil
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return "", fmt.Errorf("reading the name of the data directory: %w", err)
	}
	id = nuid.Next() // also in place of a damaged one: it is a name and nothing else
	if err := writeFileAtomic(path, []byte(id+"\n")); err != nil {
		return "", fmt.Errorf("writing the name of the data directory: %w", err)
	}
	return id, nil
}
