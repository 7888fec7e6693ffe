package store_test

import (
	"encoding/json"
	"fmt"
	"strconv"
	"testing"

	"github.com/driftd/driftd/result"
	"github.com/driftd/driftd/store"
)

const hour = int64(3_600_000)

// window describes one result for the tests; documents makes its bytes as the fold would.
type window struct {
	model, version, segment string
	start, size             int64
	revision                int
	fingerprint             string
	features                int
	perPart                 int // features a document
	events                  uint64
	shift                   float64 // moves every statistic, so that revisions differ
}

func hourly(i int) window {
	return window{
		model: "credit", version: "*", segment: "*", start: int64(i) * hour, size: hour, fingerprint: "sha256:aa",
		features: 3, perPart: 2, events: uint64(100 + i),
	}
}

func (w window) key() result.Key {
	return result.Key{Model: w.model, Version: w.version, Segment: w.segment}
}

func (w window) span() result.Window {
	return result.Window{Start: w.start, End: w.start + w.size, Size: w.size}
}

func (w window) id() string { return result.ID(w.key(), w.span(), w.size, w.fingerprint, w.revision) }

func (w window) feature(i int) result.Feature {
	verdict := [...]result.Verdict{result.Stable, result.Warning, result.Drift, result.Insufficient}[i%4]
	psi := float64(i)/8 + w.shift
	f := result.Feature{
		Feature: fmt.Sprintf("f%03d", i), Role: result.RoleFeature, Kind: "numeric",
		Reference: result.Side{Count: 1000, Mean: new(1.0), Std: new(2.0), Min: new(-3.0), Max: new(4.0)},
		Current:   result.Side{Count: w.events, Missing: 5, Invalid: 2, Inf: 1, Mean: new(1.5), Std: new(2.5), Min: new(-2.0), Max: new(5.0)},
		Statistics: map[string]result.Stat{
			"psi": {Value: new(psi + 0.01), PValue: new(0.5)}, "psi_debiased": {Value: new(psi)}, "kl": {Value: new(0.1)},
			"js": {Value: new(0.2)}, "ks": {Value: new(0.3), PValue: new(0.04), Lower: new(0.29), Upper: new(0.31)},
			"chi2": {Reason: "one bin"}, "missing_rate": {Value: new(0.05)},
		},
		QValue: new(0.02), NMin: 203, Verdict: verdict, Reasons: []string{"psi_debiased <0.1> & so on"},
	}
	for b := range 12 {
		f.Bins = append(f.Bins, result.Bin{Label: "(" + strconv.Itoa(b) + ", " + strconv.Itoa(b+1) + "]", Reference: 100, Current: uint64(b)})
	}
	return f
}

func (w window) documents(tb testing.TB) []store.Document {
	tb.Helper()
	parts := 0
	var docs []store.Document
	for from := 0; from < w.features; from += w.perPart {
		d := result.FeatureDoc{
			Schema: result.SchemaVersion, Type: "features", ResultID: w.id(), Part: parts, Key: w.key(), Window: w.span(), Revision: w.revision,
		}
		for i := from; i < min(from+w.perPart, w.features); i++ {
			d.Features = append(d.Features, w.feature(i))
		}
		docs = append(docs, store.Document{ID: w.id() + "." + strconv.Itoa(parts), Data: marshal(tb, d)})
		parts++
	}
	sum := result.Summary{
		Schema: result.SchemaVersion, Type: "summary", ResultID: w.id(), Key: w.key(), Window: w.span(), Revision: w.revision, Complete: true,
		Counts: result.Counts{Events: w.events, Rejected: map[string]uint64{"malformed": 1}}, Status: map[string]uint64{"ok": w.events},
		Features: w.features, Parts: parts, DriftShare: new(0.25), Verdict: result.Warning, Reasons: []string{"1 of 4 features"},
	}
	if w.fingerprint != "" {
		sum.Ref = &result.ReferenceID{Name: "jan", Fingerprint: w.fingerprint}
	}
	return append([]store.Document{{ID: w.id(), Data: marshal(tb, sum)}}, docs...)
}

func marshal(tb testing.TB, v any) []byte {
	tb.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func open(tb testing.TB, path string, o store.Options) *store.Store {
	tb.Helper()
	s, err := store.Open(tb.Context(), path, o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Error(err)
		}
	})
	return s
}

func write(tb testing.TB, s *store.Store, docs ...store.Document) {
	tb.Helper()
	if err := s.Write(tb.Context(), docs); err != nil {
		tb.Fatal(err)
	}
}
