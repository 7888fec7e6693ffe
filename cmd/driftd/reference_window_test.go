package main

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/driftd/driftd/broker"
	"github.com/driftd/driftd/internal/testenv"
	"github.com/driftd/driftd/result"
)

// A reference of a judged window has the bytes of one of the window's span, and of one version alone where the result is about one.
func TestReferenceFromWindow(t *testing.T) {
	dir := t.TempDir()
	startDaemon(t, dir)
	var log strings.Builder
	for i := range 40 {
		at := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC).Add(time.Duration(i) * 3 * time.Minute)
		data, err := json.Marshal(map[string]any{
			"model": "fraud", "id": at.Format(time.TimeOnly), "ts": at.Format(time.RFC3339), "version": []string{"1", "2"}[i%2], "features": map[string]any{"a": i * i % 17},
		})
		if err != nil {
			t.Fatal(err)
		}
		log.Write(append(data, '\n'))
	}
	if err := os.WriteFile(filepath.Join(dir, "log.ndjson"), []byte(log.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	if out := shell(t, dir, "driftd replay log.ndjson"); !strings.Contains(out, "published 40 events") {
		t.Fatal(out)
	}
	record, err := broker.ReadRuntime(filepath.Join(dir, "driftd-data"))
	if err != nil {
		t.Fatal(err)
	}
	results := map[string]string{} // of the first window, by version
	testenv.Eventually(t, 30*time.Second, "the first window is judged", func() bool {
		for _, version := range []string{"*", "2"} {
			res, err := http.Get(strings.TrimSuffix(record.WebURL, "/") + "/api/v1/models/fraud/windows?version=" + version)
			if err != nil {
				return false
			}
			var answer struct{ Data []result.Summary }
			err = json.NewDecoder(res.Body).Decode(&answer)
			res.Body.Close()
			if err != nil || len(answer.Data) != 2 {
				return false
			}
			results[version] = answer.Data[1].ResultID
		}
		return true
	})
	const create = "driftd reference create --model fraud --name r --source s --out "
	for _, call := range []string{
		create + "all.ref --from-window " + results["*"],
		create + "span.ref --from-stream --start 2026-11-22T10:00:00Z --end 2026-11-22T11:00:00Z",
		create + "second.ref --from-window " + results["2"],
		"grep '\"version\":\"2\"' log.ndjson > two.ndjson; " + create + "two.ref --from two.ndjson --start 2026-11-22T10:00:00Z --end 2026-11-22T11:00:00Z",
		"cmp all.ref span.ref && cmp second.ref two.ref && echo equal",
	} {
		out := shell(t, dir, call)
		if strings.HasPrefix(call, "cmp") && out != "equal\n" || strings.Contains(call, "all.ref --from") && !strings.Contains(out, "20 rows") {
			t.Errorf("$ %s\n%s", call, out)
		}
	}
	if out := shell(t, dir, create+"x.ref --from-window 00"); !strings.Contains(out, "the outbox has no result 00 of model fraud") {
		t.Errorf("an unknown result: %s", out)
	}
}
