package notify

import (
	"time"

	"github.com/driftd/driftd/result"
)

// Example returns what a test message tells: an incident as the demo has one, that says of itself that it is none. It fires in the first
// notice and is over in the second.
func Example(now time.Time) (firing, over Notice) {
	end := now.UTC().Truncate(time.Hour).UnixMilli()
	hour := time.Hour.Milliseconds()
	reasons := []string{"this is a test: nothing happened", "psi_debiased 0.45 ≥ 0.25 with q 2.2e-44 (n 514, reference 16942)", "median 570 → 917, every quantile × 1.61: a change of unit?"}
	t := result.Transition{
		Schema: result.SchemaVersion, Type: "transition", ID: "", Incident: "test-" + now.UTC().Format("20060102t150405"), Rule: "driftd-test", Kind: "feature_drift",
		Severity: "info", Key: result.Key{Model: "driftd-test", Version: result.All, Segment: result.All}, Feature: "distance_miles", Role: result.RoleFeature,
		From: result.Pending, To: result.Firing, Window: result.Window{Start: end - hour, End: end, Size: hour}, ResultID: "", Since: end - 2*hour,
		Value: 0.45, Threshold: 0.25, Unit: "psi_debiased", Worst: 0.45, Title: "driftd-test: a test message of driftd (firing)", Reasons: reasons,
		Features: []result.IncidentFeature{{
			Feature: "distance_miles", Role: result.RoleFeature, Firing: true, Since: end - 2*hour, Value: 0.45, Threshold: 0.25, Worst: 0.45, Reasons: reasons,
		}},
		FeaturesTotal: 1, Reference: &result.ReferenceID{Name: "test", Fingerprint: "sha256:0000"},
		Flapping: false, InhibitedBy: "", Labels: nil, Annotations: nil,
	}
	t.ID = t.Incident + ".firing"
	firing = Notice{Transition: t, Fired: now, Ended: time.Time{}, New: true, Changed: true, Memory: nil}
	t.From, t.To, t.ID, t.Value = result.Firing, result.Resolved, t.Incident+".resolved", 0.02
	t.Title, t.Reasons = "driftd-test: a test message of driftd (resolved)", []string{"this was a test: nothing happened", "psi_debiased 0.02 < 0.1"}
	t.Features = nil
	over = Notice{Transition: t, Fired: now, Ended: now, New: false, Changed: true, Memory: nil}
	return firing, over
}
