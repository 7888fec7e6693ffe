package web_test

import (
	"encoding/json"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/driftd/driftd/result"
	"github.com/driftd/driftd/store"
	"github.com/driftd/driftd/web"
)

// The page lists the segments of what is shown, the furthest moved first, and the versions side by side; each leads to its own page.
func TestPageOfParts(t *testing.T) {
	s, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "results.db"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	for _, part := range []struct {
		version, segment string
		verdict          result.Verdict
		share            *float64
		events           uint64
	}{
		{"*", "*", result.Stable, new(0.0), 1000},
		{"1", "*", result.Stable, new(0.0), 600},
		{"2", "*", result.Warning, new(0.1), 400},
		{"*", "region=a", result.Stable, new(0.0), 700},
		{"*", "region=b", result.Drift, new(0.25), 200},
		{"*", "region=c", result.Drift, new(0.75), 90},
		{"*", "region=<d>", result.Insufficient, nil, 10},
		{"1", "region=a", result.Stable, new(0.0), 600},
	} {
		key := result.Key{Model: "credit", Version: part.version, Segment: part.segment}
		w := result.Window{Start: 0, End: hour, Size: hour}
		id := result.ID(key, w, hour, "sha256:aa", 0)
		data, err := json.Marshal(result.Summary{
			Schema: 1, Type: "summary", ResultID: id, Key: key, Window: w, Complete: true, Verdict: part.verdict, DriftShare: part.share,
			Ref: &result.ReferenceID{Name: "jan", Fingerprint: "sha256:aa"}, Counts: result.Counts{Events: part.events}, Reasons: []string{},
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Write(t.Context(), []store.Document{{ID: id, Data: data}}); err != nil {
			t.Fatal(err)
		}
	}
	server := start(t, web.Options{Reader: s})
	names := func(path string) []string {
		var out []string
		for _, m := range regexp.MustCompile(`data-part="([^"]*)"`).FindAllStringSubmatch(get(t, server, path).body, -1) {
			out = append(out, m[1])
		}
		return out
	}
	if got, want := names("/models/credit"), []string{"region=c", "region=b", "*", "region=a", "region=&lt;d&gt;", "*", "1", "2"}; !slices.Equal(got, want) {
		t.Errorf("segments, then versions: %q, want %q", got, want)
	}
	if got, want := names("/models/credit?version=1&segment=region%3Da"), []string{"*", "region=a", "*", "1"}; len(got) != 4 || !slices.Contains(got, "1") {
		t.Errorf("parts of version 1 in region=a: %q, want %q", got, want)
	}
	if page := get(t, server, "/models/credit").body; !strings.Contains(page, `href="/models/credit?segment=region%3Dc&amp;size=1h"`) {
		t.Error("a segment does not lead to its page")
	}
}
