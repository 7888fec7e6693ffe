package detectors_test

import (
	"math/rand/v2"
	"strconv"
	"testing"

	"github.com/driftd/driftd/cells"
	"github.com/driftd/driftd/detectors"
	"github.com/driftd/driftd/detectors/detectortest"
	"github.com/driftd/driftd/reference"
	"github.com/driftd/driftd/result"
)

// A feature of many rare categories, without drift: the categories that the reference left out come more often in the next sample,
// since rareness in one sample is partly chance. With the reference's own share as the baseline 44 % of these windows alarmed.
func TestRareCategoriesDoNotAlarm(t *testing.T) {
	const runs, n, m, categories = 150, 5000, 9408, 500
	rng := rand.New(rand.NewPCG(1, categories))
	zipf := rand.NewZipf(rng, 1.1, 5, categories-1)
	draw := func(n int) []string {
		out := make([]string, n)
		for i := range out {
			out[i] = strconv.FormatUint(zipf.Uint64(), 10)
		}
		return out
	}
	alarms := 0
	for range runs {
		ref := draw(m)
		seen := map[string]int{}
		for _, v := range ref {
			seen[v]++
		}
		var tracked []string
		for c, k := range seen {
			if k >= reference.MinCategoryCount {
				tracked = append(tracked, c)
			}
		}
		f := detectortest.Categorical(t, tracked, ref)
		c := cells.NewCounts(f.Space)
		detectortest.AddCategories(c, draw(n))
		fs := []result.Feature{detectors.Evaluate(f, c, detectors.Default())}
		if v, _, _ := detectors.Judge(fs, detectors.Default()); v != result.Stable {
			alarms++
		}
	}
	// A rate of q = 1 % gives more than 8 alarms in 150 windows once in about 15,000 runs (binomial); the seed is fixed.
	if alarms > 8 {
		t.Errorf("%d of %d windows without drift alarmed", alarms, runs)
	}
}
