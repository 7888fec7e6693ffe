package store_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/driftd/driftd/history"
	"github.com/driftd/driftd/store"
)

// childEnv names the store that a copy of this test binary writes to until it is killed.
const childEnv = "DRIFTD_STORE_CRASH_CHILD"

// runChild writes window after window and says on standard output which ones are committed.
func runChild() bool {
	path := os.Getenv(childEnv)
	if path == "" {
		return false
	}
	first, err := strconv.Atoi(os.Getenv(childEnv + "_FIRST"))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	s, err := store.Open(context.Background(), path, store.Options{})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	var tb testing.T // documents needs one for its errors only
	for i := first; ; i++ {
		w := hourly(i)
		w.features, w.perPart = 40, 20
		if err := s.Write(context.Background(), w.documents(&tb)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		fmt.Println(i)
	}
}

func TestKillLosesNothingCommitted(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	next := 0
	for round := range 6 {
		cmd := exec.CommandContext(t.Context(), os.Args[0])
		cmd.Env = append(os.Environ(), childEnv+"="+path, childEnv+"_FIRST="+strconv.Itoa(next))
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		committed := -1
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			if committed, err = strconv.Atoi(lines.Text()); err != nil {
				t.Fatal(err)
			}
			if committed >= next+3*round+1 { // the child is in the middle of the next write
				if err := cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
				break
			}
		}
		for lines.Scan() { // what it said before the signal came
			if committed, err = strconv.Atoi(lines.Text()); err != nil {
				t.Fatal(err)
			}
		}
		_ = cmd.Wait() // killed
		if committed < 0 {
			t.Fatal("the child committed nothing")
		}
		next = verifyCrashed(t, path, committed) + 1
	}
}

// verifyCrashed opens the file as a restart would and returns the last window in it. Each window is whole or absent, and
// nothing up to committed is missing.
func verifyCrashed(t *testing.T, path string, committed int) int {
	t.Helper()
	s, err := store.Open(t.Context(), path, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	h, err := s.Heat(t.Context(), history.WindowsQuery{Series: history.Series{Model: "credit"}})
	if err != nil {
		t.Fatal(err)
	}
	last := len(h.Windows) - 1
	if last < committed {
		t.Fatalf("%d windows are there, %d were committed", last+1, committed+1)
	}
	for i, w := range h.Windows {
		if w.Window.Start != int64(i)*hour {
			t.Fatalf("window %d starts at %d", i, w.Window.Start)
		}
		got, err := s.Window(t.Context(), "credit", w.ResultID)
		if err != nil {
			t.Fatal(err)
		}
		if got.Stored != got.Parts || len(got.Features) != 40 {
			t.Fatalf("window %d is torn: %d of %d parts, %d features", i, got.Stored, got.Parts, len(got.Features))
		}
	}
	return last
}
