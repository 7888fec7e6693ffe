package main

import (
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/driftd/driftd/internal/testenv"
	"github.com/driftd/driftd/result"
)

// TestMain lets this binary be a broker of its own.
func TestMain(m *testing.M) {
	if beBroker() {
		return
	}
	os.Exit(m.Run())
}

// lines writes to the test's log.
type lines struct{ t *testing.T }

func (l lines) Write(p []byte) (int, error) {
	l.t.Logf("%s", p)
	return len(p), nil
}

// TestChaos is the short version of `make chaos`: a minute, in CI only.
func TestChaos(t *testing.T) {
	if os.Getenv("CI") != "true" {
		testenv.Missing(t, "CI=true: this takes a minute, `make chaos DURATION=30s` is the same")
	}
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	binary := filepath.Join(dir, "driftd")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "./cmd/driftd")
	build.Dir = testenv.Root(t)
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building ./cmd/driftd: %v\n%s", err, out)
	}
	o := options{binary: binary, duration: 30 * time.Second, rate: 1000, seed: rand.Uint64(), out: "", keep: false}
	r, err := run(t.Context(), o, lines{t})
	if err != nil {
		t.Fatalf("seed %d: %v", o.seed, err)
	}
	switch {
	case r.Differences > 0:
		t.Errorf("seed %d: %d differences", o.seed, r.Differences)
	case r.DriftdKills == 0 || r.BrokerKills == 0 || r.Fenced == 0 || r.Documents == 0:
		t.Errorf("seed %d: the run disturbed nothing, or compared nothing: %+v", o.seed, r)
	}
}

// The comparison finds what it is for: a missing document, another one, one too many.
func TestDifferencesAreFound(t *testing.T) {
	doc := func(id, data string) result.Doc { return result.Doc{ID: id, Data: []byte(data)} } //nolint:exhaustruct // what is compared
	want := []result.Doc{doc("a", "1"), doc("b", "2"), doc("c", "3")}
	for name, tc := range map[string]struct {
		got         map[string][]byte
		differences int
	}{
		"the same":           {map[string][]byte{"a": []byte("1"), "b": []byte("2"), "c": []byte("3")}, 0},
		"one is missing":     {map[string][]byte{"a": []byte("1"), "c": []byte("3")}, 1},
		"one is another one": {map[string][]byte{"a": []byte("1"), "b": []byte("2 "), "c": []byte("3")}, 1},
		"one too many":       {map[string][]byte{"a": []byte("1"), "b": []byte("2"), "c": []byte("3"), "d": nil}, 1},
		"all are missing":    {nil, 3},
	} {
		t.Run(name, func(t *testing.T) {
			r := &report{} //nolint:exhaustruct // nothing was found
			r.documents(want, tc.got)
			if r.Differences != tc.differences || len(r.Examples) != tc.differences {
				t.Errorf("%d differences, want %d: %q", r.Differences, tc.differences, r.Examples)
			}
		})
	}
}
