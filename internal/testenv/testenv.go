// Package testenv says what a test may need from its surroundings: the shared data sets and real servers. A missing one
// skips the test by name on a developer's machine and fails it where CI=true. Test code only.
package testenv

import (
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
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

// FreePort returns a loopback port for a server that is started later. It is none of those that systems give to connections and to listeners that ask
// for any: between the choice and the server's start one of another test might get it.
func FreePort(tb testing.TB) int {
	tb.Helper()
	const first, tries = 20_000, 100 // below 32,768, where Linux begins
	var err error
	for range tries {
		port := first + rand.IntN(10_000) //nolint:gosec // any
		var l net.Listener
		if l, err = (&net.ListenConfig{}).Listen(tb.Context(), "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port))); err == nil { //nolint:exhaustruct // as usual
			if err := l.Close(); err != nil {
				tb.Fatal(err)
			}
			return port
		}
	}
	tb.Fatalf("no free port in %d tries: %v", tries, err)
	return 0
}

// FreeAddress is FreePort with its host.
func FreeAddress(tb testing.TB) string {
	tb.Helper()
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(FreePort(tb)))
}
