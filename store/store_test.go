package store_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/driftd/driftd/history"
	"github.com/driftd/driftd/result"
	"github.com/driftd/driftd/store"
)

func TestMain(m *testing.M) {
	if runChild() {
		return
	}
	// database/sql's opener ends with Close; nothing else may stay.
	goleak.VerifyTestMain(m)
}

func TestWindowIsReadBackByteForByte(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "store.db"), store.Options{})
	w := hourly(0)
	docs := w.documents(t)
	write(t, s, docs...)

	got, err := s.Window(t.Context(), "credit", w.id())
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Summary, docs[0].Data) {
		t.Errorf("summary:\n%s\nwant\n%s", got.Summary, docs[0].Data)
	}
	var want []json.RawMessage
	for i := range w.features {
		want = append(want, marshal(t, w.feature(i)))
	}
	if diff := cmp.Diff(want, got.Features); diff != "" {
		t.Errorf("features differ (-want +got):\n%s", diff)
	}
	if got.Parts != 2 || got.Stored != 2 {
		t.Errorf("parts %d, stored %d, want 2 and 2", got.Parts, got.Stored)
	}
	list, err := s.Windows(t.Context(), history.WindowsQuery{Series: history.Series{Model: "credit"}})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]json.RawMessage{docs[0].Data}, list.Summaries); diff != "" {
		t.Errorf("windows differ (-want +got):\n%s", diff)
	}
}

func TestDocumentsMayComeInAnyOrderAndTwice(t *testing.T) {
	var docs []store.Document
	for i := range 6 {
		w := hourly(i)
		docs = append(docs, w.documents(t)...)
		if i%2 == 0 {
			w.revision, w.shift = 1, 0.5
			docs = append(docs, w.documents(t)...)
		}
	}
	want := ""
	for seed := range uint64(8) {
		rng := rand.New(rand.NewPCG(seed, 1))
		shuffled := append(slices.Clone(docs), docs...)
		rng.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		s := open(t, filepath.Join(t.TempDir(), "store.db"), store.Options{})
		for len(shuffled) > 0 {
			n := min(1+rng.IntN(5), len(shuffled))
			write(t, s, shuffled[:n]...)
			shuffled = shuffled[n:]
		}
		got := everything(t, s, "credit")
		if want == "" {
			want = got
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("seed %d: another order of writing reads differently (-first +this):\n%s", seed, diff)
		}
	}
}

// everything reads a model by every query and returns the answers as one text.
func everything(t *testing.T, s *store.Store, model string) string {
	t.Helper()
	ctx := t.Context()
	series := history.Series{Model: model}
	models, _, err1 := s.Models(ctx, history.Page{})
	detail, err2 := s.Model(ctx, model)
	windows, err3 := s.Windows(ctx, history.WindowsQuery{Series: series})
	features, err4 := s.Features(ctx, series)
	one, err5 := s.FeatureSeries(ctx, history.FeatureQuery{Series: series, Feature: "f001"})
	heat, err6 := s.Heat(ctx, history.WindowsQuery{Series: series})
	if err := errors.Join(err1, err2, err3, err4, err5, err6); err != nil {
		t.Fatal(err)
	}
	b, err := json.MarshalIndent([]any{models, detail, windows, features, one, heat}, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestNewestWholeRevisionWins(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "store.db"), store.Options{})
	first, second := hourly(0), hourly(0)
	second.revision, second.shift = 1, 0.5
	shown := func() string {
		t.Helper()
		list, err := s.Windows(t.Context(), history.WindowsQuery{Series: history.Series{Model: "credit"}})
		if err != nil {
			t.Fatal(err)
		}
		if len(list.Summaries) != 1 {
			t.Fatalf("%d windows are shown, want 1", len(list.Summaries))
		}
		var sum result.Summary
		if err := json.Unmarshal(list.Summaries[0], &sum); err != nil {
			t.Fatal(err)
		}
		return sum.ResultID
	}
	docs := second.documents(t)
	write(t, s, first.documents(t)[0])
	if got := shown(); got != first.id() {
		t.Errorf("with a summary alone, %s is shown, want %s", got, first.id())
	}
	write(t, s, first.documents(t)[1:]...)
	write(t, s, docs[0], docs[1])
	if got := shown(); got != first.id() {
		t.Errorf("with a revision still on its way, %s is shown, want the whole %s", got, first.id())
	}
	write(t, s, docs[2])
	if got := shown(); got != second.id() {
		t.Errorf("with the revision whole, %s is shown, want %s", got, second.id())
	}
	got, err := s.Window(t.Context(), "credit", first.id())
	if err != nil {
		t.Fatal(err)
	}
	want := []history.Revision{{ResultID: first.id(), Revision: 0}, {ResultID: second.id(), Revision: 1, Current: true}}
	if diff := cmp.Diff(want, got.Revisions); diff != "" {
		t.Errorf("revisions (-want +got):\n%s", diff)
	}
}

func TestAnotherReferenceIsAnotherWindow(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "store.db"), store.Options{})
	a, b := hourly(0), hourly(0)
	b.fingerprint = "sha256:bb"
	write(t, s, append(a.documents(t), b.documents(t)...)...)
	heat, err := s.Heat(t.Context(), history.WindowsQuery{Series: history.Series{Model: "credit"}})
	if err != nil {
		t.Fatal(err)
	}
	if len(heat.Windows) != 2 {
		t.Errorf("%d windows, want both references' windows", len(heat.Windows))
	}
}

func TestConflictNeverOverwrites(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "store.db"), store.Options{})
	w := hourly(0)
	docs := w.documents(t)
	write(t, s, docs...)
	before := everything(t, s, "credit")

	forged := w
	forged.events++
	for i, d := range forged.documents(t) {
		other := hourly(7).documents(t)
		err := s.Write(t.Context(), append(other, d))
		var de *store.DocumentError
		if !errors.As(err, &de) || !errors.Is(err, store.ErrConflict) || de.ID != docs[i].ID {
			t.Fatalf("document %d with other bytes: got %v, want ErrConflict of %s", i, err, docs[i].ID)
		}
	}
	if diff := cmp.Diff(before, everything(t, s, "credit")); diff != "" {
		t.Errorf("a refused write changed something (-before +after):\n%s", diff)
	}
	write(t, s, hourly(7).documents(t)...) // the names it had looked up are not remembered wrongly
}

func TestFeatureSeries(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "store.db"), store.Options{})
	for i := range 10 {
		w := hourly(i)
		write(t, s, w.documents(t)...)
		if i == 4 {
			w.revision, w.shift = 1, 1
			write(t, s, w.documents(t)...)
		}
	}
	got, err := s.FeatureSeries(t.Context(), history.FeatureQuery{
		Series: history.Series{Model: "credit"}, Range: history.Range{From: 3 * hour, To: 8 * hour}, Feature: "f001",
	})
	if err != nil {
		t.Fatal(err)
	}
	if want := marshal(t, hourly(7).feature(1)); !bytes.Equal(want, got.Latest) {
		t.Errorf("latest:\n%s\nwant\n%s", got.Latest, want)
	}
	var starts []int64
	for _, p := range got.Points {
		starts = append(starts, p.Window.Start/hour)
	}
	if diff := cmp.Diff([]int64{7, 6, 5, 4, 3}, starts); diff != "" {
		t.Errorf("starts (-want +got):\n%s", diff)
	}
	// The row is what the document says, the revised window's from its revision.
	rev := hourly(4)
	rev.revision, rev.shift = 1, 1
	f := rev.feature(1)
	stats := map[string]result.Stat{}
	for _, c := range history.StatColumns() {
		stats[c.Name] = result.Stat{} // null, without its reason
		if st := f.Statistics[c.Name]; st.Value != nil {
			st.Baseline = nil // in the document only
			stats[c.Name] = st
		}
	}
	want := history.FeatureState{
		ResultID: rev.id(), Window: rev.span(), Revision: 1, Verdict: f.Verdict, QValue: f.QValue, NMin: f.NMin, Current: f.Current, Statistics: stats,
	}
	if diff := cmp.Diff(want, got.Points[3]); diff != "" {
		t.Errorf("point (-want +got):\n%s", diff)
	}
}

func TestHeat(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "store.db"), store.Options{})
	for i := range 3 {
		w := hourly(i)
		w.features = 2 + i
		write(t, s, w.documents(t)...)
	}
	h, err := s.Heat(t.Context(), history.WindowsQuery{Series: history.Series{Model: "credit"}})
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(h)
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Windows  []history.HeatWindow
		Features []struct {
			Feature  string
			Verdicts string
			PSI      []*float64 `json:"psi_debiased"`
		}
	}
	if err := json.Unmarshal(b, &got); err != nil {
		t.Fatalf("%v in %s", err, b)
	}
	if len(got.Windows) != 3 || got.Windows[0].Window.Start != 0 || got.Windows[2].Window.Start != 2*hour {
		t.Errorf("windows %+v, want three, oldest first", got.Windows)
	}
	var rows []string
	for _, f := range got.Features {
		rows = append(rows, f.Feature+" "+f.Verdicts)
	}
	if diff := cmp.Diff([]string{"f000 sss", "f001 www", "f002 -dd", "f003 --i"}, rows); diff != "" {
		t.Errorf("verdicts (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]*float64{nil, new(0.25), new(0.25)}, got.Features[2].PSI); diff != "" { // 2/8, by feature()
		t.Errorf("psi of f002 (-want +got):\n%s", diff)
	}
}

func TestPagesCoverEverythingOnce(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "store.db"), store.Options{})
	for i := range 23 {
		write(t, s, hourly(i).documents(t)...)
	}
	series := history.Series{Model: "credit"}
	var starts []int64
	q := history.WindowsQuery{Series: series, Page: history.Page{Limit: 5}}
	for {
		page, err := s.Windows(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		for _, raw := range page.Summaries {
			var sum result.Summary
			if err := json.Unmarshal(raw, &sum); err != nil {
				t.Fatal(err)
			}
			starts = append(starts, sum.Window.Start/hour)
		}
		if q.Cursor = page.Next; q.Cursor == "" {
			break
		}
		write(t, s, hourly(100+len(starts)).documents(t)...) // newer windows do not disturb older pages
	}
	want := make([]int64, 23)
	for i := range want {
		want[i] = int64(22 - i)
	}
	if diff := cmp.Diff(want, starts); diff != "" {
		t.Errorf("starts (-want +got):\n%s", diff)
	}
}

func TestBadQuestions(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "store.db"), store.Options{})
	write(t, s, append(hourly(0).documents(t), hourly(1).documents(t)...)...)
	page, err := s.Windows(t.Context(), history.WindowsQuery{Series: history.Series{Model: "credit"}, Page: history.Page{Limit: 1}})
	if err != nil || page.Next == "" {
		t.Fatalf("no cursor: %v", err)
	}
	for name, q := range map[string]history.WindowsQuery{
		"limit":        {Series: history.Series{Model: "credit"}, Page: history.Page{Limit: 1001}},
		"negative":     {Series: history.Series{Model: "credit"}, Page: history.Page{Limit: -1}},
		"garbage":      {Series: history.Series{Model: "credit"}, Page: history.Page{Cursor: "x"}},
		"other query":  {Series: history.Series{Model: "credit", Size: 5}, Page: history.Page{Cursor: page.Next}},
		"negativesize": {Series: history.Series{Model: "credit", Size: -5}},
	} {
		_, err := s.Windows(t.Context(), q)
		if _, ok := errors.AsType[*history.QueryError](err); !ok {
			t.Errorf("%s: got %v, want a QueryError", name, err)
		}
	}
	for name, q := range map[string]history.WindowsQuery{
		"model":   {Series: history.Series{Model: "none"}},
		"version": {Series: history.Series{Model: "credit", Version: "9"}},
	} {
		_, err := s.Windows(t.Context(), q)
		if _, ok := errors.AsType[*history.NotFoundError](err); !ok {
			t.Errorf("%s: got %v, want a NotFoundError", name, err)
		}
	}
}

func TestRetentionIsOfEventTimeAndOfTheModel(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "store.db"), store.Options{Retention: 10 * time.Hour})
	other := hourly(0)
	other.model = "old-but-alone"
	write(t, s, other.documents(t)...)
	version := hourly(0)
	version.version = "v1"
	write(t, s, version.documents(t)...)
	for i := range 40 {
		w := hourly(i)
		if i < 20 {
			w.features = 4 // one feature that nobody has later
		}
		write(t, s, w.documents(t)...)
	}
	m, err := s.Model(t.Context(), "credit")
	if err != nil {
		t.Fatal(err)
	}
	// The newest window ends at 40 h; what ends before 30 h is gone: the window [29 h, 30 h) stays.
	if m.Newest != 40*hour || m.Oldest != 29*hour {
		t.Errorf("from %d h to %d h, want 29 h to 40 h", m.Oldest/hour, m.Newest/hour)
	}
	if diff := cmp.Diff([]string{"*"}, m.Versions); diff != "" {
		t.Errorf("versions (-want +got):\n%s", diff)
	}
	_, err = s.FeatureSeries(t.Context(), history.FeatureQuery{Series: history.Series{Model: "credit"}, Feature: "f003"})
	if _, ok := errors.AsType[*history.NotFoundError](err); !ok {
		t.Errorf("a feature without rows: %v, want NotFoundError", err)
	}
	if m, err := s.Model(t.Context(), "old-but-alone"); err != nil || len(m.Latest) != 1 {
		t.Errorf("another model's window went with it: %v", err)
	}
	if err := s.Check(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestAlerts(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "store.db"), store.Options{Retention: 10 * time.Hour})
	change := func(incident string, end int64, to result.IncidentState) store.Document {
		tr := result.Transition{
			Schema: result.SchemaVersion, Type: "transition", ID: incident + "." + string(to) + "." + time.UnixMilli(end).UTC().Format("15"),
			Incident: incident, Key: hourly(0).key(), To: to, Window: result.Window{Start: end - hour, End: end, Size: hour},
		}
		return store.Document{ID: tr.ID, Data: marshal(t, tr)}
	}
	ask := func(q history.AlertsQuery) []string {
		t.Helper()
		list, err := s.Alerts(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		ids := []string{}
		for _, raw := range list.Transitions {
			var tr result.Transition
			if err := json.Unmarshal(raw, &tr); err != nil {
				t.Fatal(err)
			}
			ids = append(ids, tr.ID)
		}
		return ids
	}
	all := []store.Document{
		change("b", 4*hour, result.Firing), change("a", 3*hour, result.Firing), change("a", 2*hour, result.Pending), change("a", 5*hour, result.Resolved),
	}
	for range 2 { // a redelivery changes nothing
		write(t, s, all...)
	}
	for _, test := range []struct {
		q    history.AlertsQuery
		want []string
	}{
		{history.AlertsQuery{}, []string{"a.resolved.05", "b.firing.04"}},
		{history.AlertsQuery{State: result.Firing}, []string{"b.firing.04"}},
		{history.AlertsQuery{Incident: "a"}, []string{"a.resolved.05", "a.firing.03", "a.pending.02"}},
		{history.AlertsQuery{Model: "credit", Page: history.Page{Limit: 1}}, []string{"a.resolved.05"}},
	} {
		if diff := cmp.Diff(test.want, ask(test.q)); diff != "" {
			t.Errorf("%+v (-want +got):\n%s", test.q, diff)
		}
	}
	forged := change("b", 4*hour, result.Firing)
	forged.Data = append([]byte{}, bytes.Replace(forged.Data, []byte(`"value":0`), []byte(`"value":1`), 1)...)
	if err := s.Write(t.Context(), []store.Document{forged}); !errors.Is(err, store.ErrConflict) {
		t.Errorf("other bytes: got %v, want ErrConflict", err)
	}
	write(t, s, hourly(40).documents(t)...) // retention: the resolved incident goes, the open one stays
	if diff := cmp.Diff([]string{"b.firing.04"}, ask(history.AlertsQuery{})); diff != "" {
		t.Errorf("after retention (-want +got):\n%s", diff)
	}
	if _, err := s.Alerts(t.Context(), history.AlertsQuery{State: "loud"}); err == nil {
		t.Error("an unknown state was taken")
	}
}
