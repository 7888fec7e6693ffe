package e2e_test

import (
	"compress/gzip"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/driftd/driftd/history"
	"github.com/driftd/driftd/internal/testenv"
	"github.com/driftd/driftd/result"
)

// flightEvents writes the flights of some days as events, and returns the file.
func flightEvents(tb testing.TB, name string, from, to string) string {
	tb.Helper()
	f, err := os.Open(testenv.Shared(tb, "data", "us-flights", "flights.csv.gz"))
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	zip, err := gzip.NewReader(f)
	if err != nil {
		tb.Fatal(err)
	}
	all, err := csv.NewReader(zip).ReadAll()
	if err != nil {
		tb.Fatal(err)
	}
	var b strings.Builder
	for i, r := range all[1:] {
		if day := r[0][:len(time.DateOnly)]; day >= from && day < to {
			fmt.Fprintf(&b, `{"model":"flights","id":"%d","ts":"%sZ","features":{"origin":%q,"destination":%q,"distance_miles":%s,"arrival_delay_minutes":%s}}`+"\n",
				i, r[0], r[1], r[2], r[3], r[4])
		}
	}
	return writeFile(tb, name, b.String())
}

// judged is what analyze and the daemon both say about a feature.
type judged struct {
	Feature    string                 `json:"feature"`
	Kind       string                 `json:"kind"`
	Statistics map[string]result.Stat `json:"statistics"`
	Thresholds result.Thresholds      `json:"thresholds"`
	Verdict    result.Verdict         `json:"verdict"`
	Reasons    []string               `json:"reasons"`
	Bins       []result.Bin           `json:"bins"`
}

// `analyze` on two files and `run` on the same rows through the broker give the same thresholds, verdicts, reasons and statistics: January is
// the reference, the windows are days of February, and the thresholds learn from the days of January. Where the daemon's number has bounds,
// they hold the one of the raw values; a saved reference has the same bounds.
func TestAnalyzeAndRunAgree(t *testing.T) {
	d := startDaemon(t, `
models:
  flights:
    reference: january
    windows: [{size: 1d}]
    lateness: 0s
    detectors: {statistics: [all]}
`)
	january := flightEvents(t, "january.ndjson", "2001-01-01", "2001-02-01")
	saved := filepath.Join(t.TempDir(), "january.ref")
	d.must("reference create", "--from", january, "--name", "january", "--model", "flights", "--out", saved)
	d.must("reference create", "--from", january, "--name", "january", "--model", "flights")
	d.must("replay", flightEvents(t, "february.ndjson", "2001-02-01", "2001-03-01"))
	_, js := d.connect()
	d.settled(js)
	var windows []result.Summary
	d.get("/api/v1/models/flights/windows?size=1d&limit=100", &windows)
	if len(windows) != 28 {
		t.Fatalf("%d windows, want the 28 days of February", len(windows))
	}
	compared, bounded, raised := 0, 0, 0
	for _, day := range []int{1, 11, 28} {
		start := time.Date(2001, 2, day, 0, 0, 0, 0, time.UTC)
		at := start.Format(time.DateOnly)
		i := slices.IndexFunc(windows, func(s result.Summary) bool { return s.Window.Start == start.UnixMilli() })
		var w history.Window
		d.get("/api/v1/models/flights/windows/"+windows[i].ResultID, &w)
		got := map[string]judged{}
		for _, data := range w.Features {
			var f judged
			if err := json.Unmarshal(data, &f); err != nil {
				t.Fatal(err)
			}
			got[f.Feature] = f
			if strings.Contains(f.Thresholds.Auto, "31 chunks of the reference reach") && f.Thresholds.Warning > 0.1 {
				raised++
			}
		}
		current := flightEvents(t, "day.ndjson", at, start.AddDate(0, 0, 1).Format(time.DateOnly))
		// A day's rows span about a day, so that the window need not be said.
		for _, args := range [][]string{{january}, {january, "--window", "1d"}, {saved}, {saved, "--window", "1d"}} {
			report := analyzed(t, current, args)
			at := at + " " + filepath.Base(args[0])
			if windows[i].Verdict != report.Verdict || !cmp.Equal(windows[i].DriftShare, report.DriftShare) {
				t.Errorf("%s: run says %s, analyze %s", at, windows[i].Verdict, report.Verdict)
			}
			for _, want := range report.Features {
				n, b := agree(t, at, got[want.Feature], want)
				compared, bounded = compared+n, bounded+b
			}
		}
	}
	t.Logf("compared %d statistics, %d of them by their bounds; auto raised %d thresholds", compared, bounded, raised)
	if compared < 400 || raised == 0 {
		t.Errorf("only %d statistics were compared, and %d thresholds raised", compared, raised)
	}
}

// analysis is what `driftd analyze --format json` says.
type analysis struct {
	Verdict    result.Verdict `json:"verdict"`
	DriftShare *float64       `json:"drift_share"`
	Features   []judged       `json:"features"`
}

func analyzed(t *testing.T, current string, reference []string) (report analysis) {
	t.Helper()
	args := append([]string{"analyze", "--format", "json", "--current", current, "--reference"}, reference...)
	out, err := exec.CommandContext(t.Context(), binary(t), args...).Output()
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(out, &report); err != nil {
		t.Fatal(err)
	}
	return report
}

// agree compares one feature and returns how many statistics it compared, and how many of them by their bounds.
func agree(t *testing.T, day string, run, analyze judged) (compared, bounded int) {
	t.Helper()
	at := day + " " + analyze.Feature
	if run.Verdict != analyze.Verdict || run.Kind != analyze.Kind {
		t.Errorf("%s: run says %s %v, analyze %s %v", at, run.Verdict, run.Reasons, analyze.Verdict, analyze.Reasons)
	}
	if diff := cmp.Diff(analyze.Thresholds, run.Thresholds); diff != "" {
		t.Errorf("%s: thresholds differ (-analyze +run):\n%s", at, diff)
	}
	if diff := cmp.Diff(analyze.Reasons, run.Reasons); diff != "" {
		t.Errorf("%s: reasons differ (-analyze +run):\n%s", at, diff)
	}
	if diff := cmp.Diff(analyze.Bins, run.Bins); diff != "" {
		t.Errorf("%s: bins differ (-analyze +run):\n%s", at, diff)
	}
	for name, want := range analyze.Statistics {
		got, ok := run.Statistics[name]
		switch {
		case !ok:
			t.Errorf("%s: run has no %s", at, name)
		case want.Value == nil || got.Value == nil:
			if want.Value != got.Value {
				t.Errorf("%s %s: run has %+v, analyze %+v", at, name, got, want)
			}
		case got.Lower != nil && *got.Lower != *got.Upper:
			if compared, bounded = compared+1, bounded+1; *want.Value < *got.Lower || *want.Value > *got.Upper {
				t.Errorf("%s %s: analyze has %v, outside of run's [%v, %v]", at, name, *want.Value, *got.Lower, *got.Upper)
			}
		default:
			if compared++; !near(*got.Value, *want.Value) {
				t.Errorf("%s %s: run has %v, analyze %v", at, name, *got.Value, *want.Value)
			}
		}
	}
	return compared, bounded
}

// near allows the rounding of sums in another order: analyze sums values, run sums cells.
func near(a, b float64) bool {
	return a == b || max(a-b, b-a) <= 1e-12*max(1, max(a, -a))
}

// publishChurn publishes events of churn, n in each of a span's minutes, and waits for the acks.
func publishChurn(tb testing.TB, js jetstream.JetStream, from time.Time, minutes, n, firstID int) {
	tb.Helper()
	for i := range minutes * n {
		if _, err := js.PublishAsync("ml.events.churn", []byte(goodEvent(firstID+i, from.Add(time.Duration(i)*time.Minute/time.Duration(n))))); err != nil {
			tb.Fatal(err)
		}
	}
	<-js.PublishAsyncComplete()
}

// An activation in the middle of a window loses nothing: windows before it keep what they said under the old fingerprint, the
// window with the change in it has a result for each part, and the API lists both.
func TestChangeOfReference(t *testing.T) {
	d := startDaemon(t, strings.Replace(churnConfig, "pane: 15m", "pane: 1m", 1))
	_, js := d.connect()
	rows := filepath.Join(t.TempDir(), "churn.csv")
	if err := os.WriteFile(rows, []byte("x,c\n"+strings.Repeat("1,a\n2,a\n3,b\n", 70)), 0o600); err != nil {
		t.Fatal(err)
	}
	d.must("reference create", "--from", rows, "--name", "churn", "--model", "churn")
	publishChurn(t, js, at, 22, 20, 0) // a window and seven minutes
	d.settled(js)
	var before []result.Summary
	d.get("/api/v1/models/churn/windows?size=15m", &before)
	d.must("reference create", "--from", rows, "--name", "second", "--model", "churn", "--activate")
	publishChurn(t, js, at.Add(22*time.Minute), 30, 20, 22*20)
	d.settled(js)
	var after []result.Summary
	d.get("/api/v1/models/churn/windows?size=15m", &after)
	if len(before) != 1 || len(after) != 4 {
		t.Fatalf("%d windows before the change and %d after it, want 1 and 4", len(before), len(after))
	}
	type part struct {
		Reference string
		Minute    int64
		Events    uint64
	}
	var got []part
	for _, s := range after {
		got = append(got, part{s.Ref.Name, (s.Window.Start - at.UnixMilli()) / time.Minute.Milliseconds(), s.Counts.Events})
		if s.ResultID == before[0].ResultID {
			if diff := cmp.Diff(before[0], s); diff != "" {
				t.Errorf("the window before the change is another one: %s", diff)
			}
		}
	}
	slices.SortFunc(got, func(a, b part) int {
		return strings.Compare(fmt.Sprintf("%02d%s", a.Minute, a.Reference), fmt.Sprintf("%02d%s", b.Minute, b.Reference))
	})
	want := []part{{"churn", 0, 300}, {"churn", 15, 140}, {"second", 15, 160}, {"second", 30, 300}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("results differ (-want +got):\n%s", diff)
	}
	sameAsUndisturbed(t, js, d.config)
}

// A rolling reference is part of what is committed: with a kill -9 every few thousand events the results are, byte for byte, those
// of an undisturbed reading of the stream.
func TestRollingReferenceSurvivesKills(t *testing.T) {
	d := startDaemon(t, strings.Replace(churnConfig, "reference: churn", "reference: {previous: 30m}", 1))
	_, js := d.connect()
	const parts = 5
	for i := range parts {
		publishChurn(t, js, at.Add(time.Duration(i)*time.Hour), 60, 40, i*60*40)
		if i < parts-1 {
			d.kill()
			d.start()
			_, js = d.connect()
		}
	}
	d.settled(js)
	documents, stats := sameAsUndisturbed(t, js, d.config)
	if stats.Events != parts*60*40 || documents == 0 {
		t.Errorf("%d documents of %d events", documents, stats.Events)
	}
	var windows []result.Summary
	d.get("/api/v1/models/churn/windows?size=15m&limit=100", &windows)
	judgedBy := 0
	for _, w := range windows {
		if w.Verdict != result.Insufficient && w.Ref != nil && w.Ref.Name == "previous 30m" {
			judgedBy++
		}
	}
	// Of five hours the first cells take half an hour, the span another one; the last window is still open.
	if judgedBy != 15 {
		t.Errorf("%d windows were judged by the half hour before them, want 15", judgedBy)
	}
}
