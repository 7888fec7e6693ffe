package quality_test

import (
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/driftd/driftd/event"
	"github.com/driftd/driftd/quality"
)

// read decodes one record of the wire format.
func read(t *testing.T, record string) *event.Event {
	t.Helper()
	d := event.NewDecoder(event.DefaultLimits())
	d.Reset([]byte(`{"model":"m","id":"1",` + record + `}`))
	if !d.Next() {
		t.Fatalf("%s is no record", record)
	}
	ev, err := d.Event()
	if err != nil {
		t.Fatalf("%s: %v", record, err)
	}
	return ev
}

func TestReading(t *testing.T) {
	binary, margins := quality.Default(quality.Binary), quality.Default(quality.Binary)
	margins.Threshold = 0
	named, rest := binary, binary
	named.Positive, named.Negative = "fraud", "ok"
	rest.Positive = "fraud"
	several := quality.Default(quality.Multiclass)
	several.Classes = []string{"b", "a", "3", "true"}
	number := quality.Default(quality.Regression)
	class := func(c int, scores ...float64) quality.Prediction { return quality.Prediction{Class: c, Scores: scores} }
	flaw := func(f quality.Flaw) quality.Prediction { return quality.Prediction{Flaw: f, Class: quality.NoClass} }
	for _, tt := range []struct {
		name   string
		cfg    quality.Config
		record string
		want   quality.Prediction
	}{
		{"score", binary, `"prediction":0.7`, class(1, 0.7)},
		{"score at the threshold", binary, `"prediction":0.5`, class(1, 0.5)},
		{"score below", binary, `"prediction":0.4999`, class(0, 0.4999)},
		{"minus zero", binary, `"prediction":-0.0`, class(0, 0)},
		{"margin", margins, `"prediction":-3.5`, class(0, -3.5)},
		{"outside [0, 1]", binary, `"prediction":1.5`, class(1, 1.5)},
		{"score as text", binary, `"prediction":{"score":"0.5"}`, flaw(quality.FlawScore)},
		{"NaN", binary, `"prediction":{"score":"NaN"}`, flaw(quality.FlawScore)},
		{"infinite", binary, `"prediction":{"score":"-Infinity","label":1}`, flaw(quality.FlawScore)},
		{"null score", binary, `"prediction":{"score":null,"label":1}`, flaw(quality.FlawScore)},
		{"array", binary, `"prediction":[1]`, flaw(quality.FlawPredictionType)},
		{"null", binary, `"prediction":null`, flaw(quality.FlawNoPrediction)},
		{"absent", binary, `"version":"1"`, flaw(quality.FlawNoPrediction)},
		{"empty object", binary, `"prediction":{}`, flaw(quality.FlawNoPrediction)},
		{"boolean", binary, `"prediction":true`, class(1)},
		{"text", binary, `"prediction":"0"`, class(0)},
		{"unknown text", binary, `"prediction":"maybe"`, flaw(quality.FlawPredictionType)},
		{"label and score", binary, `"prediction":{"label":0,"score":0.9}`, class(0, 0.9)},
		{"scores", binary, `"prediction":{"scores":{"0":0.2,"1":0.8}}`, class(1, 0.8)},
		{"scores of other classes", binary, `"prediction":{"scores":{"x":0.2,"y":0.8}}`, flaw(quality.FlawScore)},
		{"named scores", named, `"prediction":{"scores":{"ok":0.9,"fraud":0.1}}`, class(0, 0.1)},
		{"named label", named, `"prediction":{"label":"fraud"}`, class(1)},
		{"neither of both", named, `"prediction":{"label":"spam"}`, flaw(quality.FlawPredictionType)},
		{"any other", rest, `"prediction":{"label":"spam"}`, class(0)},

		{"class", several, `"prediction":"a"`, class(1)},
		{"number", several, `"prediction":3.0`, class(0)},
		{"boolean class", several, `"prediction":true`, class(3)},
		{"other", several, `"prediction":"zebra"`, class(4)},
		{"largest", several, `"prediction":{"scores":{"a":0.2,"b":0.5,"3":0.3}}`, class(2, 0.3, 0.2, 0.5, 0)},
		{"the first of equals", several, `"prediction":{"scores":{"b":0.5,"a":0.5}}`, class(1, 0, 0.5, 0.5, 0)},
		{"largest is not tracked", several, `"prediction":{"scores":{"a":0.2,"zebra":0.8}}`, class(4, 0, 0.2, 0, 0)},
		{"label wins", several, `"prediction":{"label":"a","scores":{"b":1}}`, class(1, 0, 0, 1, 0)},
		{"label with a score", several, `"prediction":{"label":"a","score":0.4}`, class(1)},
		{"null among scores", several, `"prediction":{"scores":{"a":null,"b":1}}`, flaw(quality.FlawScore)},
		{"score only", several, `"prediction":{"score":0.4}`, flaw(quality.FlawNoPrediction)},

		{"value", number, `"prediction":-3e5`, quality.Prediction{Class: quality.NoClass, Value: -3e5}},
		{"text for a value", number, `"prediction":"3"`, flaw(quality.FlawPredictionType)},
		{"NaN for a value", number, `"prediction":"nan"`, flaw(quality.FlawScore)},
		{"no value", number, `"prediction":{"label":3}`, flaw(quality.FlawNoPrediction)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := newSpec(t, tt.cfg).Prediction(read(t, tt.record).Prediction)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
	bad := func(f quality.Flaw) quality.Label { return quality.Label{Flaw: f, Class: quality.NoClass} }
	for _, tt := range []struct {
		name   string
		cfg    quality.Config
		record string
		want   quality.Label
	}{
		{"one", binary, `"label":1`, quality.Label{Class: 1}},
		{"one with a point", binary, `"label":1.0`, quality.Label{Class: 1}},
		{"false", binary, `"label":false`, quality.Label{Class: 0}},
		{"text", binary, `"label":"1"`, quality.Label{Class: 1}},
		{"of another type", binary, `"label":0.3`, bad(quality.FlawLabelClass)},
		{"an array", binary, `"label":[0]`, bad(quality.FlawLabelType)},
		{"a class never seen", named, `"label":"spam"`, bad(quality.FlawLabelClass)},
		{"any other class", rest, `"label":"spam"`, quality.Label{Class: 0}},
		{"a class never seen among several", several, `"label":"zebra"`, quality.Label{Class: 4}},
		{"a value", number, `"label":2.5`, quality.Label{Class: quality.NoClass, Value: 2.5}},
		{"text for a value", number, `"label":"high"`, bad(quality.FlawLabelType)},
		{"infinite", number, `"label":"inf"`, bad(quality.FlawLabelType)},
	} {
		t.Run("label "+tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, newSpec(t, tt.cfg).Label(read(t, tt.record).Label)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// What is flawed is counted where it belongs, and the rest is not touched by it.
func TestFlawsAreCounted(t *testing.T) {
	s := newSpec(t, quality.Default(quality.Binary))
	c := quality.NewCounts(s)
	good, none := s.Predict(0.8), s.Predict(math.NaN())
	for _, p := range []quality.Prediction{good, none, {Flaw: quality.FlawNoPrediction, Class: quality.NoClass}, {Class: 1}} {
		c.AddPrediction(p)
		c.AddLabel(p, quality.Label{Class: 1})
	}
	c.AddLabel(good, quality.Label{Flaw: quality.FlawLabelClass, Class: quality.NoClass})
	if c.Predictions() != 4 || c.Labels() != 5 || c.Flawed(quality.FlawScore) != 1 || c.Flawed(quality.FlawNoPrediction) != 1 ||
		c.Unusable(quality.FlawScore) != 1 || c.Unusable(quality.FlawNoPrediction) != 1 || c.Unusable(quality.FlawLabelClass) != 1 {
		t.Errorf("%d predictions, %d labels, flaws %d %d, unusable %d %d %d", c.Predictions(), c.Labels(), c.Flawed(quality.FlawScore),
			c.Flawed(quality.FlawNoPrediction), c.Unusable(quality.FlawScore), c.Unusable(quality.FlawNoPrediction), c.Unusable(quality.FlawLabelClass))
	}
	metrics := quality.Evaluate(c)
	if m := find(t, metrics, "accuracy", ""); m.N != 2 || *m.Value != 1 {
		t.Errorf("accuracy %+v", m)
	}
	if m := find(t, metrics, "brier", ""); m.N != 1 {
		t.Errorf("brier %+v", m)
	}
	if e := quality.Estimate(c); e.Predictions != 1 || e.Left != 1 {
		t.Errorf("an estimate of %d predictions, %d left out", e.Predictions, e.Left)
	}
	c.AddLabel(s.Predict(7), quality.Label{Class: 1})
	if m := find(t, quality.Evaluate(c), "log_loss", ""); m.Value != nil || m.Reason != "1 of 2 rows have a score outside [0, 1]" {
		t.Errorf("log loss %+v", m)
	}
}

// No rows, and rows of one class: every metric that does not exist says why.
func TestReasons(t *testing.T) {
	for name, s := range specs(t) {
		empty := quality.NewCounts(s)
		for _, m := range append(quality.Evaluate(empty), quality.Estimate(empty).Metrics...) {
			if m.Value != nil || m.N != 0 {
				t.Errorf("%s: nothing has the metric %+v", name, m)
			}
			inOrder(t, m)
		}
	}
	s := newSpec(t, quality.Default(quality.Binary))
	c := quality.NewCounts(s)
	c.AddLabel(s.Predict(0.2), quality.Label{Class: 0})
	for metric, reason := range map[string]string{
		"precision": "nothing was predicted to be of the class", "recall": "no label is of the class", "f1": "no label and no prediction is of the class",
		"mcc": "labels or predictions are of one class only", "roc_auc": "no label is of the class", "average_precision": "no label is of the class",
		"balanced_accuracy": "no label is of the class",
	} {
		if m := find(t, quality.Evaluate(c), metric, ""); m.Value != nil || m.Reason != reason {
			t.Errorf("%s: %+v, want the reason %q", metric, m, reason)
		}
	}
	n := newSpec(t, quality.Default(quality.Regression))
	r := quality.NewCounts(n)
	r.AddLabel(n.Predict(1e308), quality.Label{Class: quality.NoClass, Value: -1e308})
	for _, m := range quality.Evaluate(r) {
		if m.Value != nil || !strings.Contains(m.Reason, "too large") || m.N != 1 {
			t.Errorf("an error beyond float64: %+v", m)
		}
	}
}

func TestConfigErrors(t *testing.T) {
	many := make([]string, quality.MaxClasses+1)
	for i := range many {
		many[i] = strings.Repeat("x", i+1)
	}
	curve := func(x, y []float64) []quality.Calibration {
		return []quality.Calibration{{Method: quality.Isotonic, X: x, Y: y}}
	}
	for want, cfg := range map[string]quality.Config{
		"unknown task":                     {},
		"a regression has no classes":      {Task: quality.Regression, Positive: "1"},
		"no list of classes":               {Task: quality.Binary, Classes: []string{"a", "b"}},
		"a negative class without":         {Task: quality.Binary, Negative: "0"},
		"is the positive and the negative": {Task: quality.Binary, Positive: "a", Negative: "a"},
		"has classes, and no positive one": {Task: quality.Multiclass, Positive: "a", Classes: []string{"a", "b"}},
		"1 classes, from 2 to 64":          {Task: quality.Multiclass, Classes: []string{"a"}},
		"65 classes, from 2 to 64":         {Task: quality.Multiclass, Classes: many},
		"the class \"a\" is given twice":   {Task: quality.Multiclass, Classes: []string{"a", "b", "a"}},
		"a class of 257 bytes":             {Task: quality.Binary, Positive: strings.Repeat("x", 257)},
		"-1 calibration bins":              {Task: quality.Binary, Bins: -1},
		"101 calibration bins":             {Task: quality.Binary, Bins: 101},
		"the threshold is NaN":             {Task: quality.Binary, Threshold: math.NaN()},
		"the target center is +Inf":        {Task: quality.Regression, TargetCenter: math.Inf(1)},
		"is not above the one before":      {Task: quality.Binary, Points: []float64{0, 0}},
		"2 calibrations for 1 scores":      {Task: quality.Binary, Calibrations: make([]quality.Calibration, 2)},
		"unknown method 0":                 {Task: quality.Binary, Calibrations: make([]quality.Calibration, 1)},
		"2 scores and 1 probabilities":     {Task: quality.Binary, Calibrations: curve([]float64{0, 1}, []float64{0})},
		"or not above the one before":      {Task: quality.Binary, Calibrations: curve([]float64{1, 1}, []float64{0, 1})},
		"or below the one before":          {Task: quality.Binary, Calibrations: curve([]float64{0, 1}, []float64{1, 0})},
	} {
		if _, err := quality.NewSpec(cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one with %q", err, want)
		}
	}
	if _, err := quality.Build(quality.Default(quality.Binary), nil, 0); err == nil {
		t.Error("no error of a resolution of 0")
	}
	wrong := []quality.Row{{Prediction: quality.Prediction{Class: 2}, Label: quality.Label{}}}
	for _, build := range []func() error{
		func() error { _, err := quality.Build(quality.Default(quality.Binary), wrong, 100); return err },
		func() error { _, err := quality.Exact(quality.Default(quality.Binary), wrong); return err },
	} {
		if err := build(); err == nil || !strings.Contains(err.Error(), "row 0: class 2 of 2") {
			t.Errorf("error %v of a class that is not", err)
		}
	}
}

func TestTaskNames(t *testing.T) {
	for _, task := range []quality.Task{quality.Binary, quality.Multiclass, quality.Regression} {
		if got, ok := quality.ParseTask(task.String()); !ok || got != task {
			t.Errorf("%v reads as %v", task, got)
		}
	}
	if got, ok := quality.ParseTask("ranking"); ok {
		t.Errorf("ranking reads as %v", got)
	}
	seen := map[string]bool{}
	for _, f := range quality.Flaws() {
		if name := f.String(); seen[name] || strings.Contains(name, "Flaw") {
			t.Errorf("flaw %d is named %q", f, name)
		}
		seen[f.String()] = true
	}
}
