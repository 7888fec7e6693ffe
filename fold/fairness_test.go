package fold_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/driftd/driftd/alerting"
	"github.com/driftd/driftd/event"
	"github.com/driftd/driftd/fold"
	"github.com/driftd/driftd/internal/stat/vectortest"
	"github.com/driftd/driftd/labels"
	"github.com/driftd/driftd/result"
	"github.com/driftd/driftd/window"
)

// comparing is a configuration that compares the groups of one dimension in hourly windows, at once and an hour later.
func comparing(mode string, least uint64, values ...string) fold.Counting {
	c := smallCounting()
	m := &c.Defaults
	m.Rules, m.Timing.WatermarkDelay = nil, 0
	m.Timing.Windows = []window.Spec{{Size: 60 * minute, Every: 60 * minute}}
	m.Segments = []fold.SegmentConfig{{Dimension: "group", Values: values, Largest: 1}}
	m.Labels = &fold.Labels{
		Join: labels.Config{Mode: mode, Rate: labels.Million, Horizon: 240 * minute, MaxPending: 100_000, Maturities: []int64{60 * minute}},
		Task: "binary", Threshold: 0.5, Segments: true, Fairness: &fold.Fairness{Dimensions: []string{"group"}, NMin: least, Level: 0.95},
	}
	return c
}

// folded folds records, those without a label as events, and returns the documents.
func folded(t *testing.T, counting fold.Counting, records []string) []result.Doc {
	t.Helper()
	var msgs []fold.Message
	add := func(subject string, data []byte) {
		msgs = append(msgs, fold.Message{Seq: uint64(len(msgs) + 1), Subject: subject, Time: midnight + 24*60*minute, Data: data}) //nolint:exhaustruct // a record
	}
	for _, r := range records {
		subject := "ml.events.m"
		if strings.Contains(r, `"label":`) {
			subject = "ml.labels.m"
		}
		add(subject, []byte(r))
	}
	add("driftd.control.0", (&event.Control{Kind: event.ControlMarker, Watermark: midnight + 6*60*minute}).Encode()) //nolint:exhaustruct // a marker
	p := fold.New("IN", counting, [2]uint64{1, 2}, nil, unlimited())
	var out fold.Output
	for _, m := range msgs {
		if done, err := p.Apply(m, &out); err != nil || !done {
			t.Fatalf("message %d: done %v, %v", m.Seq, done, err)
		}
	}
	if len(out.DeadLetters) > 0 {
		t.Fatalf("dead letters: %+v", out.DeadLetters)
	}
	return out.Docs
}

// fairnessOf folds records of one hour and returns the documents about fairness.
func fairnessOf(t *testing.T, counting fold.Counting, records []string) []result.Fairness {
	t.Helper()
	var all []result.Fairness
	for _, d := range folded(t, counting, records) {
		if !bytes.HasPrefix(d.Data, []byte(`{"schema":1,"type":"fairness"`)) {
			continue
		}
		var f result.Fairness
		if err := json.Unmarshal(d.Data, &f); err != nil {
			t.Fatal(err)
		}
		if d.ID != f.ResultID {
			t.Errorf("message id %s of result %s", d.ID, f.ResultID)
		}
		all = append(all, f)
	}
	return all
}

func fairnessAt(all []result.Fairness, version string, final bool) *result.Fairness {
	i := slices.IndexFunc(all, func(f result.Fairness) bool { return f.Key.Version == version && f.Final == final })
	if i < 0 {
		return &result.Fairness{} //nolint:exhaustruct // there is none
	}
	return &all[i]
}

func gapOf(f *result.Fairness, metric string) result.FairnessGap {
	for _, g := range f.Gaps {
		if g.Metric == metric {
			return g
		}
	}
	return result.FairnessGap{Metric: "there is none"} //nolint:exhaustruct // it is not there
}

// Real predictions, sent as events whose labels come later, say what plain definitions in Python say of them (../shared/vectors/fairness.jsonl).
// A row without a group is in none, one without a prediction is not counted.
func TestFairnessAgainstVectors(t *testing.T) {
	type vector struct {
		Name                        string
		Groups, Predictions, Labels vectortest.Sample
		Stats                       struct {
			Groups map[string]struct {
				N         uint64   `json:"n"`
				Labelled  uint64   `json:"n_labelled"`
				Selection *float64 `json:"selection_rate"`
				TPR       *float64 `json:"tpr"`
				FPR       *float64 `json:"fpr"`
				Accuracy  *float64 `json:"accuracy"`
			} `json:"groups"`
			Parity      *float64 `json:"demographic_parity_difference"`
			Ratio       *float64 `json:"demographic_parity_ratio"`
			Opportunity *float64 `json:"equal_opportunity_difference"`
			Odds        *float64 `json:"equalized_odds_difference"`
			Accuracy    *float64 `json:"accuracy_difference"`
		} `json:"stats"`
	}
	vectortest.EachOf(t, "fairness.jsonl", "", func(t *testing.T, v *vector) {
		values := map[string]bool{}
		records := []string{fmt.Sprintf(`{"ts":%d,"prediction":null}`, midnight)}
		var late []string
		for i, name := range v.Groups {
			r := map[string]any{"id": strconv.Itoa(i), "ts": midnight + int64(i), "version": "1", "prediction": nil}
			if name != nil {
				values[*name] = true
				r["segment"] = map[string]string{"group": *name}
			}
			if v.Predictions[i] != nil {
				r["prediction"] = *v.Predictions[i]
			}
			data, err := json.Marshal(r)
			if err != nil {
				t.Fatal(err)
			}
			records = append(records, string(data))
			if v.Labels[i] != nil {
				late = append(late, fmt.Sprintf(`{"id":"%d","ts":%d,"label":%q}`, i, midnight+70*minute, *v.Labels[i]))
			}
		}
		all := fairnessOf(t, comparing(labels.ModeFull, 1, slices.Sorted(maps.Keys(values))...), append(records, late...))
		got := fairnessAt(all, result.All, true)
		found := 0
		for _, g := range got.Groups {
			want, ok := v.Stats.Groups[g.Group]
			if !ok {
				if g.Group != result.NoValue || g.Compared {
					t.Errorf("there is no group %q", g.Group)
				}
				continue
			}
			if found++; g.Predictions != want.N || g.Labels != want.Labelled {
				t.Errorf("%s: %d predictions, %d labels; want %d, %d", g.Group, g.Predictions, g.Labels, want.N, want.Labelled)
			}
			for i, x := range []*float64{want.Selection, want.TPR, want.FPR, want.Accuracy} {
				if vectortest.Value(t, g.Group+" "+g.Rates[i].Name, g.Rates[i].Value, x, vectortest.StatAbs); x == nil && g.Rates[i].Reason == "" {
					t.Errorf("%s: %s does not exist, and does not say why", g.Group, g.Rates[i].Name)
				}
			}
		}
		if found != len(v.Stats.Groups) {
			t.Errorf("%d groups, want %d", found, len(v.Stats.Groups))
		}
		for name, x := range map[string]*float64{
			result.DemographicParityDifference: v.Stats.Parity, result.DemographicParityRatio: v.Stats.Ratio, result.AccuracyDifference: v.Stats.Accuracy,
			result.EqualOpportunityDifference: v.Stats.Opportunity, result.EqualizedOddsDifference: v.Stats.Odds,
		} {
			g := gapOf(got, name)
			vectortest.Value(t, name, g.Value, x, vectortest.StatAbs)
			if (g.Reason == "") != (g.Value != nil) {
				t.Errorf("%s is %v for the reason %q", name, show(g.Value), g.Reason)
			}
		}
		if v.Name == "employment-SEX" { // women, 2, are judged less accurately, and not by chance
			if g := gapOf(got, result.AccuracyDifference); g.Low != "2" || g.High != "1" || !(*g.Lower > 0.02) {
				t.Errorf("%+v", g)
			}
		}
		// How often a group is selected is known at once, whether it was right later.
		first := fairnessAt(all, result.All, false)
		vectortest.Value(t, "parity without labels", gapOf(first, result.DemographicParityDifference).Value, v.Stats.Parity, vectortest.StatAbs)
		if g := gapOf(first, result.AccuracyDifference); g.Value != nil || g.Reason == "" {
			t.Errorf("accuracy before labels: %+v", g)
		}
		// The only version says the same.
		if one := fairnessAt(all, "1", true); len(v.Groups) > 0 {
			if diff := cmp.Diff(got.Gaps, one.Gaps); diff != "" {
				t.Errorf("all versions, and the only one (-all +one):\n%s", diff)
			}
		}
	})
}

// What cannot be judged says why: a group without positives, one that is too small, one of ten thousand values, events and labels without a
// group, labels that come with their predictions alone. By hand.
func TestFairnessOfBadGroups(t *testing.T) {
	var records []string
	n := 0
	add := func(count int, group string, score float64, label string) {
		for range count {
			n++
			segment := ""
			if group != "" {
				segment = fmt.Sprintf(`,"segment":{"group":%q}`, strings.ReplaceAll(group, "#", strconv.Itoa(n)))
			}
			records = append(records, fmt.Sprintf(`{"id":"%d","ts":%d,"prediction":%v%s}`, n, midnight+int64(n), score, segment))
			if label != "" {
				records = append(records, fmt.Sprintf(`{"id":"%d","ts":%d,"label":%s}`, n, midnight+int64(n), label))
			}
		}
	}
	add(30, "a", 0.9, "1")
	add(20, "a", 0.1, "0")
	add(10, "b", 0.9, "0")
	add(40, "b", 0.1, "0") // nobody in b is positive
	add(3, "c", 0.9, "1")
	add(10_000, "x#", 0.1, "")
	add(5, "", 0.9, "1")
	got := fairnessAt(fairnessOf(t, comparing(labels.ModeFull, 20, "a", "b", "c", "d"), records), result.All, true)
	type line struct {
		Group                                   string
		Predictions, Selected, Labels, Positive uint64
		Compared                                bool
	}
	var lines []line
	for _, g := range got.Groups {
		lines = append(lines, line{g.Group, g.Predictions, g.Selected, g.Labels, g.Positives, g.Compared})
	}
	want := []line{
		{"a", 50, 30, 50, 30, true},
		{"b", 50, 10, 50, 0, true},
		{"c", 3, 3, 3, 3, false},
		{result.Other, 10_000, 0, 0, 0, true},
		{result.NoValue, 5, 5, 5, 5, false},
	}
	if diff := cmp.Diff(want, lines); diff != "" {
		t.Errorf("groups (-by hand +got):\n%s", diff)
	}
	if r := got.Groups[1].Rates[1]; r.Value != nil || r.Reason != "no positive label in this group" || r.N != 0 {
		t.Errorf("the TPR of a group without positives: %+v", r)
	}
	parity := gapOf(got, result.DemographicParityDifference)
	if parity.Value == nil || *parity.Value != 0.6 || parity.Low != result.Other || parity.High != "a" || !slices.Equal(parity.Left, []string{"c"}) {
		t.Errorf("parity: %+v", parity)
	}
	fpr := gapOf(got, result.FalsePositiveRateDifference) // 0 of 20 against 10 of 50
	if fpr.Value == nil || math.Abs(*fpr.Value-0.2) > 1e-12 || fpr.Low != "a" || fpr.High != "b" || !slices.Equal(fpr.Left, []string{"c", result.Other}) {
		t.Errorf("FPR: %+v", fpr)
	}
	if g := gapOf(got, result.EqualOpportunityDifference); g.Value != nil || g.Reason != "fewer than two groups have 20 positive labels" {
		t.Errorf("TPR: %+v", g)
	}
	if c := got.Groups[2]; !strings.Contains(c.Reason, "fewer than 20") {
		t.Errorf("a small group: %+v", c)
	}

	// Labels that carry their predictions, and no events: selection rates are theirs; those that name no group are told.
	records = nil
	for i := range 60 {
		segment := fmt.Sprintf(`,"segment":{"group":%q}`, string(rune('a'+i%2)))
		if i%3 == 0 {
			segment = ""
		}
		records = append(records, fmt.Sprintf(`{"id":"%d","ts":%d,"prediction":%d,"label":1%s}`, i, midnight+int64(i), i%2, segment))
	}
	got = fairnessAt(fairnessOf(t, comparing(labels.ModeSelf, 20, "a", "b"), records), result.All, true)
	if g := gapOf(got, result.EqualOpportunityDifference); got.Ungrouped != 20 || g.Value == nil || *g.Value != 1 || g.Low != "a" || !strings.Contains(fmt.Sprint(got.Reasons), "no_group: 20 of 60") ||
		!strings.Contains(fmt.Sprint(got.Reasons), "no_events") || got.Groups[0].Predictions != 20 {
		t.Errorf("self-contained labels: %+v, %+v", got, g)
	}
}

// Real predictions are less accurate for women than for men, 4 points over all: in each of three hours the interval says more than half a point,
// so a rule fires with the second hour; one that allows 10 points does not, and how often groups are selected moves no rule.
func TestFairnessFires(t *testing.T) {
	type vector struct {
		Name                        string
		Groups, Predictions, Labels vectortest.Sample
	}
	vectortest.EachOf(t, "fairness.jsonl", "", func(t *testing.T, v *vector) {
		if v.Name != "employment-SEX" {
			return
		}
		var records, late []string
		for i := range v.Groups {
			at := midnight + int64(i/4000)*60*minute + int64(i%4000)
			records = append(records, fmt.Sprintf(`{"id":"%d","ts":%d,"prediction":%q,"segment":{"group":%q}}`, i, at, *v.Predictions[i], *v.Groups[i]))
			late = append(late, fmt.Sprintf(`{"id":"%d","ts":%d,"label":%q}`, i, at+20*minute, *v.Labels[i]))
			if i%4000 == 3999 {
				records, late = append(records, late...), nil
			}
		}
		counting := comparing(labels.ModeFull, 30, "1", "2")
		rule := func(name, metric string, threshold float64) alerting.Rule {
			r := alerting.Template(name, alerting.KindFairness)
			r.Metric, r.Threshold = metric, threshold
			return r
		}
		counting.Defaults.Rules = []alerting.Rule{
			rule("accuracy", result.AccuracyDifference, 0.005), rule("wide", result.AccuracyDifference, 0.1), rule("selected", result.DemographicParityDifference, 0.02),
			rule("ratio", result.DemographicParityRatio, 0.9),
		}
		if err := counting.Validate(); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, d := range folded(t, counting, records) {
			if d.Kind != result.KindTransition {
				continue
			}
			var tr result.Transition
			if err := json.Unmarshal(d.Data, &tr); err != nil {
				t.Fatal(err)
			}
			got = append(got, fmt.Sprintf("%s %s at hour %d", tr.Rule, tr.To, (tr.Window.Start-midnight)/(60*minute)))
			if tr.To == result.Firing && (tr.Metric != result.AccuracyDifference || tr.Maturity != 60*minute || !strings.Contains(tr.Reasons[0], "of group is") ||
				!strings.Contains(tr.Reasons[0], "between 2 and 1") || tr.Title != "m: accuracy difference firing") {
				t.Errorf("%+v", tr)
			}
		}
		if diff := cmp.Diff([]string{"accuracy pending at hour 0", "accuracy firing at hour 1"}, got); diff != "" {
			t.Errorf("transitions (-want +got):\n%s", diff)
		}
	})
}
