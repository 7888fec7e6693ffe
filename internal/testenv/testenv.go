// Package testenv says what a test may need from its surroundings: the shared data sets and real servers. A missing one
// skips the test by name on a developer's machine and fails it where CI=true. Test code only.
package testenv

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"
)

// Root returns the module's root directory.
func Root(tb testing.TB) string {
	tb.Helper()
	_, file, _, ok := runtime.Caller(0)
	if !ok {
		tb.Fatal("cannot find the module root: no caller information")
	}
	return filepath.Join(filepath.Dir(file), "..", "..")
}

// Shared returns the path of a file in the `shared` folder beside the module, or skips (fails where CI=true).
func Shared(tb testing.TB, elem ...string) string {
	tb.Helper()
	path := filepath.Join(append([]string{Root(tb), "..", "shared"}, elem...)...)
	if _, err := os.Stat(path); err != nil {
		Missing(tb, "../shared/"+filepath.ToSlash(filepath.Join(elem...)))
	}
	return path
}

// Missing skips the test because what is absent; where CI=true it fails it.
func Missing(tb testing.TB, what string) {
	tb.Helper()
	if os.Getenv("CI") == "true" {
		tb.Fatalf("%s is missing, and CI=true forbids skipping", what)
	}
	tb.Skipf("skipped: %s is missing", what)
}

// Eventually polls until ok returns true, and fails the test with what after the deadline.
func Eventually(tb testing.TB, deadline time.Duration, what string, ok func() bool) {
	tb.Helper()
	end := time.Now().Add(deadline)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		if time.Now().After(end) {
			tb.Fatalf("not within %v: %s", deadline, what)
		}
		<-tick.C
	}
}
