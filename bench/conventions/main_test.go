package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/driftd/driftd/analyze"
	"github.com/driftd/driftd/detectors"
	"github.com/driftd/driftd/internal/testenv"
)

// What the tools themselves said of the five data sets, recorded by `make verify-conventions` (-record testdata); the versions are in
// the files.
func TestConventionsAgreeWithTheToolsThemselves(t *testing.T) {
	dir := t.TempDir()
	sets, err := prepare(filepath.Dir(testenv.Shared(t, "data")), dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, tool := range tools() {
		if tool.never != "" {
			continue
		}
		t.Run(tool.name, func(t *testing.T) {
			text, err := os.ReadFile(filepath.Join("testdata", tool.name+".json"))
			if err != nil {
				t.Fatal(err)
			}
			var theirs numbers
			if err := json.Unmarshal(text, &theirs); err != nil {
				t.Fatal(err)
			}
			compared := 0
			for i := range sets {
				s := &sets[i]
				r, err := analyze.Analyze(context.Background(), analyze.Options{
					Reference: filepath.Join(dir, s.name+".reference.csv"), Current: filepath.Join(dir, s.name+".current.csv"),
					Kinds: s.kinds, Convention: tool.name, Config: detectors.Default(),
				})
				if err != nil {
					t.Fatal(err)
				}
				var doc bytes.Buffer
				if err := r.WriteJSON(&doc); err != nil {
					t.Fatal(err)
				}
				all, err := s.compare(&tool, &theirs, doc.Bytes())
				if err != nil {
					t.Fatal(err)
				}
				for _, c := range all {
					if compared++; !c.OK {
						t.Errorf("%s %s %s: theirs %v, ours %v (%s)", c.Set, c.Column, c.Statistic, deref(c.Theirs), deref(c.Ours), c.Note)
					}
				}
			}
			if compared < 20 {
				t.Errorf("only %d numbers were compared", compared)
			}
		})
	}
}

func deref(x *float64) any {
	if x == nil {
		return nil
	}
	return *x
}
