package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/driftd/driftd/internal/testenv"
)

// What docs/statistics.md says of the estimate holds, and its drawings are what the program draws.
func TestEstimateAgainstLabels(t *testing.T) {
	testenv.Shared(t, "data", "employment-ma", "predictions.csv.gz")
	figures, err := compare(testenv.Shared(t, "data"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range figures {
		drawn, err := os.ReadFile(filepath.Join(testenv.Root(t), "docs", "images", f.file))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(drawn, f.svg()) {
			t.Errorf("docs/images/%s is not what is drawn now: run `make figures`", f.file)
		}
		for _, p := range f.panels {
			t.Log(p.report())
		}
	}
	rows, sorted, area, elec := figures[0].panels[0].summary(), figures[0].panels[1].summary(), figures[0].panels[2].summary(), figures[1].panels[0].summary()

	// Nothing moved: the labels end up in a 95 % band as often as it says, so that fewer than 29 of 34 would be a rarity: the sum of
	// C(34,k)·0.95^k·0.05^(34-k) for k < 29 is 0.0063.
	if rows.windows != 34 || rows.inside < 29 {
		t.Errorf("employment-ma as it comes: %d of %d windows in the band", rows.inside, rows.windows)
	}
	// Inputs moved: the estimate follows the labels through it, though the band does not know what calibration differs by age.
	if sorted.correlation < 0.98 || sorted.off > sorted.constant/5 || sorted.largest > 0.05 {
		t.Errorf("employment-ma by age: correlation %.3f, off by %.4f, a constant by %.4f, at most %.4f", sorted.correlation, sorted.off, sorted.constant, sorted.largest)
	}
	if area.correlation < 0.9 || area.off > area.constant/2 {
		t.Errorf("ROC AUC by age: correlation %.3f, off by %.4f, a constant by %.4f", area.correlation, area.off, area.constant)
	}
	// The concept moved: the labels fall to 0.57, and the estimate does not see it.
	if elec.lowest > 0.6 || elec.off < 0.1 || elec.inside > elec.windows/4 {
		t.Errorf("elec2: labels fall to %.3f, the estimate is off by %.4f, %d of %d windows in the band", elec.lowest, elec.off, elec.inside, elec.windows)
	}
}

func TestMissingData(t *testing.T) {
	if err := run([]string{"-data", t.TempDir()}, &bytes.Buffer{}); err == nil {
		t.Error("no error without data")
	}
}
