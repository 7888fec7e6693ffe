package fold_test

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/driftd/driftd/alerting"
	"github.com/driftd/driftd/fold"
	"github.com/driftd/driftd/result"
)

// Every result of all versions together names the rule that looks at a feature which the reference has not got, and the one whose
// feature is ignored, also after crashes; results without a reference say only that they have none.
func TestRuleOnUnknownFeature(t *testing.T) {
	refs, fps := references(t, 500)
	counting := smallCounting()
	counting.Defaults.Reference, counting.Defaults.ReferenceName = fps[0], "r0"
	rule := alerting.Template("income-drift", alerting.KindFeatureDrift)
	rule.Features = []string{"x", "incom"}
	condition := alerting.Template("own", alerting.KindCondition)
	condition.When = `stat("c", "psi") > 0.2`
	counting.Defaults.Rules = append(alerting.Defaults(), rule, condition)
	counting.Defaults.Features = map[string]fold.FeatureConfig{"c": {Ignore: true, Detectors: nil}}
	rng := rand.New(rand.NewPCG(3, 4))
	msgs := streamOf(rng, counting, fps, 400)
	want := []string{
		`unknown_feature: rule income-drift looks at "incom", which the reference has not got: it is never judged`,
		`unknown_feature: rule own looks at "c", which the configuration ignores: it is never judged`,
	}
	calm := run(t, counting, refs, msgs, undisturbed())
	compared := 0
	for _, d := range calm.docs {
		if !bytes.HasPrefix(d.Data, []byte(`{"schema":1,"type":"summary"`)) {
			continue
		}
		var s result.Summary
		if err := json.Unmarshal(d.Data, &s); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, why := range s.Reasons {
			if strings.HasPrefix(why, "unknown_feature") {
				got = append(got, why)
			}
		}
		switch all := s.Key.Version == result.All; {
		case all && s.Features > 0:
			if compared++; !slices.Equal(got, want) {
				t.Errorf("window %d: %q, want %q", s.Window.Start, got, want)
			}
		case len(got) > 0:
			t.Errorf("version %s, window %d: %q, want nothing", s.Key.Version, s.Window.Start, got)
		}
	}
	if compared == 0 {
		t.Error("no window was compared with a reference")
	}
	equal(t, calm, run(t, counting, refs, msgs, chance{rng: rng, commit: 0.1, crash: 0.05, budget: unlimited(), poison: nil}))
}
