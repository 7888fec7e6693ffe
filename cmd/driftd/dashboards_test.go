package main

import (
	"bytes"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/driftd/driftd/internal/testenv"
)

// What is exported is what is checked in, byte for byte, and nothing else; a second export changes nothing.
func TestDashboardsExportIsWhatIsCheckedIn(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "grafana")
	for range 2 {
		if out, err := exec.Command("driftd", "dashboards", "export", "--dir", dir).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	root := filepath.Join(testenv.Root(t), "dashboards")
	exported := 0
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasSuffix(path, ".go") {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		want, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		got, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return err
		}
		exported++
		if !bytes.Equal(want, got) {
			t.Errorf("%s differs from what is checked in", name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	written := 0
	if err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			written++
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if exported != written || exported < 15 {
		t.Errorf("%d files are checked in, %d were written", exported, written)
	}
}
