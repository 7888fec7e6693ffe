package fold_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/driftd/driftd/alerting"
	"github.com/driftd/driftd/detectors"
	"github.com/driftd/driftd/fold"
	"github.com/driftd/driftd/reference"
	"github.com/driftd/driftd/result"
)

// A condition reads the number of popmon's rule as it reads any statistic: it fires in the window with a category that the reference has not
// got (38.5 by the documentation), not in the one before: 360 of 600 where the reference has 300 are 3.5 standard deviations (χ² 12.1).
func TestConditionOnPopmon(t *testing.T) {
	const hour = 60 * minute
	lines := func(start int64, countries ...string) (out [][]byte) {
		for i := range int64(600) {
			out = append(out, fmt.Appendf(nil, `{"model":"m","ts":%d,"prediction":1,"features":{"country":%q}}`, start+i*1000, countries[int(i)%len(countries)]))
		}
		return out
	}
	ref := referenceOf(t, reference.Options{Name: "before", Model: "m"}, lines(0, "de", "fr")) //nolint:exhaustruct // the defaults are meant
	counting := elec2Counting(ref.Fingerprint())
	m := counting.Defaults
	m.ReferenceName, m.Timing, m.Detectors = "before", tumbling(hour, hour), detectors.Default()
	m.Detectors.Convention = detectors.ConventionPopmon
	m.Rules = []alerting.Rule{conditionRule("lights", `stat("country", "popmon") > 38`)}
	counting.Defaults, counting.Models = m, map[string]fold.ModelConfig{"m": m}
	now := append(lines(midnight, "de", "fr", "de", "fr", "de"), lines(midnight+hour, "de", "fr", "xx")...)
	_, changes := documents(t, run(t, counting, find(ref), storedEvents("m", now, time.UnixMilli(midnight+2*hour), time.UnixMilli(midnight+24*hour)), undisturbed()))
	var fired []int64
	for _, c := range changes {
		if c.Rule == "lights" && c.To == result.Firing {
			fired = append(fired, c.Window.Start)
		}
	}
	if len(fired) != 1 || fired[0] != midnight+hour {
		t.Errorf("fires in the windows that begin at %v, want %d alone", fired, midnight+hour)
	}
}
