//go:build !unix

package broker

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// dirLock is a file that exists while the directory is in use. Without flock a killed process leaves it behind; the
// message says what to do.
type dirLock struct {
	f    *os.File
	path string
}

func lockDir(dir string) (*dirLock, error) {
	path := filepath.Join(dir, lockFile)
	_ = os.Remove(path) // fails while another process has it open, which is what protects the directory here
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, os.ErrExist) {
		return nil, &InUseError{Dir: dir}
	}
	if err != nil {
		return nil, fmt.Errorf("locking store directory: %w", err)
	}
	return &dirLock{f: f, path: path}, nil
}

func (l *dirLock) release() error { return errors.Join(l.f.Close(), os.Remove(l.path)) }
