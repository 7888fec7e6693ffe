package historytest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/driftd/driftd/history"
	"github.com/driftd/driftd/result"
)

// ModelReader, WindowReader, QualityReader and VerdictReader are the questions; they are those of package web, which this package may not import.
type (
	// ModelReader answers what models and incidents there are.
	ModelReader interface {
		Models(ctx context.Context, p history.Page) (models []history.Model, next string, err error)
		Model(ctx context.Context, name string) (*history.ModelDetail, error)
		Features(ctx context.Context, q history.Series) ([]history.FeatureState, error)
		Alerts(ctx context.Context, q history.AlertsQuery) (*history.Alerts, error)
	}
	// WindowReader answers what windows said.
	WindowReader interface {
		Windows(ctx context.Context, q history.WindowsQuery) (*history.Windows, error)
		Window(ctx context.Context, model, resultID string) (*history.Window, error)
		FeatureSeries(ctx context.Context, q history.FeatureQuery) (*history.FeatureSeries, error)
		Heat(ctx context.Context, q history.WindowsQuery) (*history.Heat, error)
	}
	// VerdictReader answers what was said of versions that are compared.
	VerdictReader interface {
		Verdicts(ctx context.Context, q history.VerdictsQuery) (*history.Verdicts, error)
	}

	// QualityReader answers what was said of the quality and the fairness of windows.
	QualityReader interface {
		Quality(ctx context.Context, q history.QualityQuery) (*history.Quality, error)
		Fairness(ctx context.Context, q history.FairnessQuery) (*history.Quality, error)
	}
)

// Store is what the suite tests: an empty store, and how documents get into it.
type Store struct {
	ModelReader
	WindowReader
	QualityReader
	VerdictReader
	Write func(ctx context.Context, docs []Document) error
}

// Run runs the suite. open returns a new, empty store each time.
func Run(t *testing.T, open func(t *testing.T) Store) {
	for _, test := range []struct {
		name string
		run  func(t *testing.T, s Store)
	}{
		{"a window is read back byte for byte", wholeWindow},
		{"documents may come in any order and twice", anyOrder},
		{"the newest whole revision wins", revisions},
		{"another reference is another window", references},
		{"a feature over time", featureSeries},
		{"a heat map", heat},
		{"pages cover everything once", pages},
		{"windows that were extended", extended},
		{"models, versions, segments and sizes", models},
		{"names of every kind", names},
		{"incidents", alerts},
		{"the quality of windows", qualities},
		{"verdicts about versions", verdicts},
		{"what windows did to groups", groups},
		{"a window without events is not the newest state", withoutEvents},
		{"questions that cannot be asked", badQuestions},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, open(t)) })
	}
}

func (s *Store) put(t *testing.T, docs ...Document) {
	t.Helper()
	if err := s.Write(t.Context(), docs); err != nil {
		t.Fatal(err)
	}
}

func must[T any](v T, err error) func(t *testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func credit() history.Series {
	return history.Series{Model: "credit", Version: "", Segment: "", Size: 0}
}

func wholeWindow(t *testing.T, s Store) {
	w := Hourly(0)
	docs := w.Documents(t)
	s.put(t, docs...)
	got := must(s.Window(t.Context(), "credit", w.ID()))(t)
	if !bytes.Equal(got.Summary, docs[0].Data) {
		t.Errorf("summary:\n%s\nwant\n%s", got.Summary, docs[0].Data)
	}
	var want []json.RawMessage
	for i := range w.Features {
		want = append(want, Marshal(t, w.Feature(i)))
	}
	if diff := cmp.Diff(want, got.Features); diff != "" {
		t.Errorf("features (-want +got):\n%s", diff)
	}
	if got.Parts != 2 || got.Stored != 2 {
		t.Errorf("parts %d, stored %d, want 2 and 2", got.Parts, got.Stored)
	}
	list := must(s.Windows(t.Context(), history.WindowsQuery{Series: credit()}))(t)
	if diff := cmp.Diff([]json.RawMessage{docs[0].Data}, list.Summaries); diff != "" {
		t.Errorf("windows (-want +got):\n%s", diff)
	}
	_, err := s.Window(t.Context(), "credit", Hourly(1).ID())
	notFound(t, "a result that is not there", err)
}

func notFound(t *testing.T, what string, err error) {
	t.Helper()
	if _, ok := errors.AsType[*history.NotFoundError](err); !ok {
		t.Errorf("%s: got %v, want a NotFoundError", what, err)
	}
}

// everything reads a model by every query and returns the answers as one text.
func (s *Store) everything(t *testing.T, model string) string {
	t.Helper()
	ctx, series := t.Context(), history.Series{Model: model}
	models, _, err := s.Models(ctx, history.Page{})
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.MarshalIndent([]any{
		models, must(s.Model(ctx, model))(t), must(s.Windows(ctx, history.WindowsQuery{Series: series}))(t), must(s.Features(ctx, series))(t),
		must(s.FeatureSeries(ctx, history.FeatureQuery{Series: series, Feature: "f001"}))(t),
		must(s.Heat(ctx, history.WindowsQuery{Series: series}))(t),
	}, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func anyOrder(t *testing.T, s Store) {
	var docs, shuffled []Document
	for i := range 6 {
		w := Hourly(i)
		docs = append(docs, w.Documents(t)...)
		if i%2 == 0 {
			w.Revision, w.Shift = 1, 0.5
			docs = append(docs, w.Documents(t)...)
		}
	}
	s.put(t, docs...)
	want := s.everything(t, "credit")
	rng := rand.New(rand.NewPCG(7, 1))
	shuffled = append(slices.Clone(docs), docs...)
	rng.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
	for len(shuffled) > 0 {
		n := min(1+rng.IntN(9), len(shuffled))
		s.put(t, shuffled[:n]...)
		shuffled = shuffled[n:]
	}
	if diff := cmp.Diff(want, s.everything(t, "credit")); diff != "" {
		t.Fatalf("writing again in another order changes answers (-before +after):\n%s", diff)
	}
}

func (s *Store) shown(t *testing.T) string {
	t.Helper()
	list := must(s.Windows(t.Context(), history.WindowsQuery{Series: credit()}))(t)
	if len(list.Summaries) != 1 {
		t.Fatalf("%d windows are shown, want 1", len(list.Summaries))
	}
	var sum result.Summary
	if err := json.Unmarshal(list.Summaries[0], &sum); err != nil {
		t.Fatal(err)
	}
	return sum.ResultID
}

func revisions(t *testing.T, s Store) {
	first, second := Hourly(0), Hourly(0)
	second.Revision, second.Shift = 1, 0.5
	docs := second.Documents(t)
	s.put(t, first.Documents(t)[0])
	if got := s.shown(t); got != first.ID() {
		t.Errorf("with a summary alone, %s is shown, want %s", got, first.ID())
	}
	s.put(t, first.Documents(t)[1:]...)
	s.put(t, docs[0], docs[1])
	if got := s.shown(t); got != first.ID() {
		t.Errorf("with a revision still on its way, %s is shown, want the whole %s", got, first.ID())
	}
	s.put(t, docs[2])
	if got := s.shown(t); got != second.ID() {
		t.Errorf("with the revision whole, %s is shown, want %s", got, second.ID())
	}
	got := must(s.Window(t.Context(), "credit", first.ID()))(t)
	want := []history.Revision{{ResultID: first.ID(), Revision: 0, Current: false}, {ResultID: second.ID(), Revision: 1, Current: true}}
	if diff := cmp.Diff(want, got.Revisions); diff != "" {
		t.Errorf("revisions (-want +got):\n%s", diff)
	}
}

func references(t *testing.T, s Store) {
	a, b := Hourly(0), Hourly(0)
	b.Fingerprint = "sha256:bb"
	s.put(t, append(a.Documents(t), b.Documents(t)...)...)
	got := must(s.Heat(t.Context(), history.WindowsQuery{Series: credit()}))(t)
	if len(got.Windows) != 2 {
		t.Errorf("%d windows, want both references' windows", len(got.Windows))
	}
	page := must(s.Windows(t.Context(), history.WindowsQuery{Series: credit(), Page: history.Page{Limit: 1}}))(t)
	rest := must(s.Windows(t.Context(), history.WindowsQuery{Series: credit(), Page: history.Page{Limit: 1, Cursor: page.Next}}))(t)
	if len(rest.Summaries) != 1 || bytes.Equal(rest.Summaries[0], page.Summaries[0]) || rest.Next != "" {
		t.Errorf("two pages do not show both windows of one start: %s and %s", page.Summaries, rest.Summaries)
	}
}

func featureSeries(t *testing.T, s Store) {
	for i := range 10 {
		w := Hourly(i)
		s.put(t, w.Documents(t)...)
		if i == 4 {
			w.Revision, w.Shift = 1, 1
			s.put(t, w.Documents(t)...)
		}
	}
	q := history.FeatureQuery{Series: credit(), Range: history.Range{From: 3 * Hour, To: 8 * Hour}, Feature: "f001"}
	got := must(s.FeatureSeries(t.Context(), q))(t)
	if want := Marshal(t, Hourly(7).Feature(1)); !bytes.Equal(want, got.Latest) {
		t.Errorf("latest:\n%s\nwant\n%s", got.Latest, want)
	}
	var starts []int64
	for _, p := range got.Points {
		starts = append(starts, p.Window.Start/Hour)
	}
	if diff := cmp.Diff([]int64{7, 6, 5, 4, 3}, starts); diff != "" {
		t.Fatalf("starts (-want +got):\n%s", diff)
	}
	// A point is what the document says, bit for bit; the revised window's is its revision's.
	rev := Hourly(4)
	rev.Revision, rev.Shift = 1, 1
	f := rev.Feature(1)
	stats := map[string]result.Stat{}
	for _, c := range history.StatColumns() {
		stats[c.Name] = result.Stat{} // null, without its reason
		if st := f.Statistics[c.Name]; st.Value != nil {
			st.Baseline = nil // in the document only
			stats[c.Name] = st
		}
	}
	want := history.FeatureState{
		ResultID: rev.ID(), Window: rev.Window(), Revision: 1, Verdict: f.Verdict, QValue: f.QValue, NMin: f.NMin, Current: f.Current, Statistics: stats,
	}
	if diff := cmp.Diff(want, got.Points[3]); diff != "" {
		t.Errorf("point (-want +got):\n%s", diff)
	}
	q.Limit = 2
	var paged []history.FeatureState
	for {
		page := must(s.FeatureSeries(t.Context(), q))(t)
		paged = append(paged, page.Points...)
		if q.Cursor = page.Next; q.Cursor == "" {
			break
		}
	}
	if diff := cmp.Diff(got.Points, paged); diff != "" {
		t.Errorf("in pages of two (-whole +paged):\n%s", diff)
	}
	newest := must(s.Features(t.Context(), credit()))(t)
	if len(newest) != 3 || newest[1].Feature != "f001" || newest[1].ResultID != Hourly(9).ID() || newest[1].Kind != "numeric" {
		t.Errorf("features of the newest window: %+v", newest)
	}
	q.Feature = "nobody"
	_, err := s.FeatureSeries(t.Context(), q)
	notFound(t, "a feature that is not there", err)
}

func heat(t *testing.T, s Store) {
	for i := range 3 {
		w := Hourly(i)
		w.Features = 2 + i
		s.put(t, w.Documents(t)...)
	}
	h := must(s.Heat(t.Context(), history.WindowsQuery{Series: credit()}))(t)
	var got struct {
		Windows  []history.HeatWindow
		Features []struct {
			Feature  string
			Verdicts string
			PSI      []*float64 `json:"psi_debiased"`
		}
	}
	if err := json.Unmarshal(Marshal(t, h), &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Windows) != 3 || got.Windows[0].Window.Start != 0 || got.Windows[2].Window.Start != 2*Hour {
		t.Errorf("windows %+v, want three, oldest first", got.Windows)
	}
	var rows []string
	for _, f := range got.Features {
		rows = append(rows, f.Feature+" "+f.Verdicts)
	}
	if diff := cmp.Diff([]string{"f000 sss", "f001 www", "f002 -dd", "f003 --i"}, rows); diff != "" {
		t.Fatalf("verdicts (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]*float64{nil, new(0.25), new(0.25)}, got.Features[2].PSI); diff != "" { // 2/8, by Result.Feature
		t.Errorf("psi of f002 (-want +got):\n%s", diff)
	}
	part := must(s.Heat(t.Context(), history.WindowsQuery{Series: credit(), Page: history.Page{Limit: 2}}))(t)
	if len(part.Windows) != 2 || part.Windows[1].Window.Start != 2*Hour || part.Next == "" {
		t.Errorf("a heat map of two windows: %+v, next %q", part.Windows, part.Next)
	}
}

func pages(t *testing.T, s Store) {
	var docs []Document
	for i := range 23 {
		docs = append(docs, Hourly(i).Documents(t)...)
	}
	s.put(t, docs...)
	var starts []int64
	q := history.WindowsQuery{Series: credit(), Page: history.Page{Limit: 5}}
	for {
		page := must(s.Windows(t.Context(), q))(t)
		for _, raw := range page.Summaries {
			var sum result.Summary
			if err := json.Unmarshal(raw, &sum); err != nil {
				t.Fatal(err)
			}
			starts = append(starts, sum.Window.Start/Hour)
		}
		if q.Cursor = page.Next; q.Cursor == "" {
			break
		}
		s.put(t, Hourly(100+len(starts)).Documents(t)...) // newer windows do not disturb older pages
	}
	want := make([]int64, 23)
	for i := range want {
		want[i] = int64(22 - i)
	}
	if diff := cmp.Diff(want, starts); diff != "" {
		t.Errorf("starts (-want +got):\n%s", diff)
	}
}

// extended: with too few events a window goes on; its start still decides which page and range it is in.
func extended(t *testing.T, s Store) {
	var docs []Document
	var starts []int64
	for start := int64(0); start < 40; {
		w := Hourly(int(start))
		w.Extra = (start % 5) * Hour
		docs = append(docs, w.Documents(t)...)
		starts = append(starts, start)
		start += (w.Size + w.Extra) / Hour
	}
	slices.Reverse(starts)
	s.put(t, docs...)
	for _, r := range []history.Range{{}, {From: 3 * Hour, To: 20 * Hour}, {From: 4*Hour + 1, To: 31*Hour + 1}} {
		var got, want []int64
		for _, start := range starts {
			if start*Hour >= r.From && (r.To == 0 || start*Hour < r.To) {
				want = append(want, start)
			}
		}
		q := history.WindowsQuery{Series: credit(), Range: r, Page: history.Page{Limit: 2}}
		for {
			page := must(s.Windows(t.Context(), q))(t)
			for _, raw := range page.Summaries {
				var sum result.Summary
				if err := json.Unmarshal(raw, &sum); err != nil {
					t.Fatal(err)
				}
				got = append(got, sum.Window.Start/Hour)
			}
			if q.Cursor = page.Next; q.Cursor == "" {
				break
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("starts in [%d, %d) hours (-want +got):\n%s", r.From/Hour, r.To/Hour, diff)
		}
	}
}

func models(t *testing.T, s Store) {
	day, v2, eu, other := Hourly(0), Hourly(1), Hourly(1), Hourly(3)
	day.Size, v2.Version, eu.Segment, other.Model = 24*Hour, "v2", "region=eu, north", "churn"
	var docs []Document
	for _, w := range []Result{Hourly(0), Hourly(1), day, v2, eu, other} {
		docs = append(docs, w.Documents(t)...)
	}
	s.put(t, docs...)
	list, next, err := s.Models(t.Context(), history.Page{Limit: 1})
	if err != nil || len(list) != 1 || list[0].Model != "churn" || next == "" || list[0].Newest != 4*Hour {
		t.Fatalf("first page of models: %+v, %q, %v", list, next, err)
	}
	list, next, err = s.Models(t.Context(), history.Page{Cursor: next})
	if err != nil || len(list) != 1 || list[0].Model != "credit" || next != "" || list[0].Newest != 24*Hour {
		t.Fatalf("second page of models: %+v, %q, %v", list, next, err)
	}
	want := []history.State{Hourly(1).state(), day.state()}
	if diff := cmp.Diff(want, list[0].Latest); diff != "" {
		t.Errorf("newest windows (-want +got):\n%s", diff)
	}
	m := must(s.Model(t.Context(), "credit"))(t)
	detail := &history.ModelDetail{
		Model: "credit", Newest: 24 * Hour, Oldest: 0, Versions: []string{"*", "v2"}, Segments: []string{"*", "region=eu, north"},
		Sizes: []int64{Hour, 24 * Hour}, Latest: []history.State{Hourly(1).state(), day.state(), eu.state(), v2.state()},
	}
	if diff := cmp.Diff(detail, m); diff != "" {
		t.Errorf("model (-want +got):\n%s", diff)
	}
	got := must(s.Windows(t.Context(), history.WindowsQuery{Series: history.Series{Model: "credit", Segment: "region=eu, north"}}))(t)
	if diff := cmp.Diff([]json.RawMessage{eu.Documents(t)[0].Data}, got.Summaries); diff != "" {
		t.Errorf("windows of a segment (-want +got):\n%s", diff)
	}
}

func (w Result) state() history.State {
	return history.State{
		Version: w.Version, Segment: w.Segment, ResultID: w.ID(), Window: w.Window(), Revision: w.Revision, Complete: true, Verdict: result.Warning,
		DriftShare: new(0.25), Events: w.Events, Features: w.Features, Reasons: []string{"1 of 4 features"},
	}
}

// names: what JSON can carry, a feature may be called.
func names(t *testing.T, s Store) {
	w := Hourly(0)
	w.Names = []string{
		`a b`, `a,b=c`, `"quoted"`, `it's`, `back\slash`, `ends with \`, "new\nline", "tab\tand\rreturn", "emoji 🦊 and ß", `100%`, `%41`, `%5C`, "${x}", "#hash",
		"_field", "none", " leading", "trailing ", strings.Repeat("long", 64),
	}
	w.Features, w.PerPart = len(w.Names), 7
	w.Segment = "city=São Paulo, \\ \"x\""
	s.put(t, w.Documents(t)...)
	series := history.Series{Model: "credit", Segment: w.Segment}
	var got []string
	for _, f := range must(s.Features(t.Context(), series))(t) {
		got = append(got, f.Feature)
	}
	want := slices.Sorted(slices.Values(w.Names))
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
	for i, name := range w.Names {
		one := must(s.FeatureSeries(t.Context(), history.FeatureQuery{Series: series, Feature: name}))(t)
		if want := Marshal(t, w.Feature(i)); !bytes.Equal(one.Latest, want) {
			t.Errorf("feature %q is read back as\n%s\nwant\n%s", name, one.Latest, want)
		}
	}
}

func alerts(t *testing.T, s Store) {
	s.put(t, Hourly(0).Documents(t)...)
	all := []Document{
		Change(t, "b", 4*Hour, result.Firing), Change(t, "a", 3*Hour, result.Firing), Change(t, "a", 2*Hour, result.Pending), Change(t, "a", 5*Hour, result.Resolved),
	}
	for range 2 { // a redelivery changes nothing
		s.put(t, all...)
	}
	ask := func(q history.AlertsQuery) (ids []string, next string) {
		t.Helper()
		list := must(s.Alerts(t.Context(), q))(t)
		ids = []string{}
		for _, raw := range list.Transitions {
			var tr result.Transition
			if err := json.Unmarshal(raw, &tr); err != nil {
				t.Fatal(err)
			}
			if i := slices.IndexFunc(all, func(d Document) bool { return d.ID == tr.ID }); !bytes.Equal(all[i].Data, raw) {
				t.Errorf("%s is read back as\n%s\nwant\n%s", tr.ID, raw, all[i].Data)
			}
			ids = append(ids, tr.ID)
		}
		return ids, list.Next
	}
	for _, test := range []struct {
		q    history.AlertsQuery
		want []string
	}{
		{history.AlertsQuery{}, []string{"a.resolved.5", "b.firing.4"}},
		{history.AlertsQuery{State: result.Firing}, []string{"b.firing.4"}},
		{history.AlertsQuery{Incident: "a"}, []string{"a.resolved.5", "a.firing.3", "a.pending.2"}},
		{history.AlertsQuery{Model: "credit", Page: history.Page{Limit: 1}}, []string{"a.resolved.5"}},
	} {
		got, next := ask(test.q)
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%+v (-want +got):\n%s", test.q, diff)
		}
		if test.q.Limit == 1 {
			test.q.Cursor = next
			if got, _ := ask(test.q); !slices.Equal(got, []string{"b.firing.4"}) {
				t.Errorf("the second page is %v, want b.firing.4", got)
			}
		}
	}
	_, err := s.Alerts(t.Context(), history.AlertsQuery{Model: "nobody"})
	notFound(t, "alerts of a model that is not there", err)
	if _, err := s.Alerts(t.Context(), history.AlertsQuery{State: "loud"}); err == nil {
		t.Error("an unknown state was taken")
	}
}

func withoutEvents(t *testing.T, s Store) {
	labels := Hourly(1)
	labels.Events = 0
	s.put(t, append(Hourly(0).Documents(t), labels.Documents(t)...)...)
	m := must(s.Model(t.Context(), "credit"))(t)
	if len(m.Latest) != 1 || m.Latest[0].ResultID != Hourly(0).ID() || m.Newest != 2*Hour {
		t.Errorf("latest %+v, newest %d; want the window that saw events, and the end of the other", m.Latest, m.Newest)
	}
}

func badQuestions(t *testing.T, s Store) {
	s.put(t, append(Hourly(0).Documents(t), Hourly(1).Documents(t)...)...)
	page := must(s.Windows(t.Context(), history.WindowsQuery{Series: credit(), Page: history.Page{Limit: 1}}))(t)
	if page.Next == "" {
		t.Fatal("no cursor")
	}
	for name, q := range map[string]history.WindowsQuery{
		"limit":         {Series: credit(), Page: history.Page{Limit: 1001}},
		"negative":      {Series: credit(), Page: history.Page{Limit: -1}},
		"garbage":       {Series: credit(), Page: history.Page{Cursor: "x"}},
		"other query":   {Series: history.Series{Model: "credit", Size: 5}, Page: history.Page{Cursor: page.Next}},
		"negative size": {Series: history.Series{Model: "credit", Size: -5}},
	} {
		_, err := s.Windows(t.Context(), q)
		if _, ok := errors.AsType[*history.QueryError](err); !ok {
			t.Errorf("%s: got %v, want a QueryError", name, err)
		}
	}
	for name, series := range map[string]history.Series{"model": {Model: "none"}, "version": {Model: "credit", Version: "9"}} {
		_, err := s.Windows(t.Context(), history.WindowsQuery{Series: series})
		notFound(t, name, err)
	}
	_, err := s.Model(t.Context(), "none")
	notFound(t, "a model's detail", err)
	empty := must(s.Windows(t.Context(), history.WindowsQuery{Series: history.Series{Model: "credit", Size: 7 * Hour}}))(t)
	if len(empty.Summaries) != 0 {
		t.Errorf("windows of a size that there is not: %s", empty.Summaries)
	}
}

// Of each comparison the newest verdict is told, or all of one: in the order of their readings, however they came.
func verdicts(t *testing.T, s Store) {
	docs := map[string]Document{
		"canary 1": Verdict(t, "canary", 0, 1, 0), "canary 2": Verdict(t, "canary", 1, 2, 0), "canary 3": Verdict(t, "canary", 0, 3, 24*Hour),
		"ab 1": Verdict(t, "ab", 0, 1, 0), "ab 2": Verdict(t, "ab", 1, 2, 0),
	}
	s.put(t, Hourly(0).Documents(t)...)
	s.put(t, Hourly(1).Documents(t)...)
	before := s.everything(t, "credit")
	s.put(t, docs["canary 3"], docs["ab 2"], docs["canary 1"])
	s.put(t, docs["canary 2"], docs["ab 1"], docs["canary 2"], docs["canary 3"])
	if diff := cmp.Diff(before, s.everything(t, "credit")); diff != "" {
		t.Errorf("windows (-before +after):\n%s", diff)
	}
	ask := func(compare string, page int, want ...string) {
		t.Helper()
		q := history.VerdictsQuery{Page: history.Page{Limit: page, Cursor: ""}, Model: "credit", Compare: compare}
		var expected, got []json.RawMessage
		for _, name := range want {
			expected = append(expected, docs[name].Data)
		}
		for {
			page := must(s.Verdicts(t.Context(), q))(t)
			got = append(got, page.Documents...)
			if page.Next == "" {
				break
			}
			q.Cursor = page.Next
		}
		if diff := cmp.Diff(expected, got); diff != "" {
			t.Errorf("%+v (-want +got):\n%s", q, diff)
		}
	}
	for _, page := range []int{0, 1, 2} {
		ask("", page, "ab 2", "canary 3")
		ask("canary", page, "canary 3", "canary 2", "canary 1")
		ask("ab", page, "ab 2", "ab 1")
		ask("none", page)
	}
	_, err := s.Verdicts(t.Context(), history.VerdictsQuery{Model: "nobody"}) //nolint:exhaustruct // all of it
	notFound(t, "model", err)
}

// The quality of a window is told by the last maturity that has come, or by the one that is asked for; it comes in any order and twice, and
// leaves what the window itself said as it is.
func qualities(t *testing.T, s Store) {
	day := 24 * Hour
	first, second := Hourly(0), Hourly(1)
	docs := map[string]Document{
		"0 at once": first.Quality(t, 0, 1), "0 after a day": first.Quality(t, day, 50), "0 after a week": first.Quality(t, 7*day, 90),
		"1 at once": second.Quality(t, 0, 2), "1 after a day": second.Quality(t, day, 60),
	}
	s.put(t, first.Documents(t)...)
	s.put(t, second.Documents(t)...)
	before := s.everything(t, "credit")
	s.put(t, docs["0 after a week"], docs["1 at once"], docs["0 at once"])
	s.put(t, docs["0 after a day"], docs["1 after a day"], docs["0 at once"], docs["0 at once"])
	if diff := cmp.Diff(before, s.everything(t, "credit")); diff != "" {
		t.Errorf("windows (-before +after):\n%s", diff)
	}
	ask := func(q history.QualityQuery, want ...string) {
		t.Helper()
		q.Series = credit()
		var expected, got []json.RawMessage
		for _, name := range want {
			expected = append(expected, docs[name].Data)
		}
		for {
			page := must(s.Quality(t.Context(), q))(t)
			got = append(got, page.Documents...)
			if page.Next == "" {
				break
			}
			q.Cursor = page.Next
		}
		if diff := cmp.Diff(expected, got); diff != "" {
			t.Errorf("%+v (-want +got):\n%s", q, diff)
		}
	}
	none := history.Range{From: 0, To: 0}
	ask(history.QualityQuery{Range: none}, "1 after a day", "0 after a week")                                                          //nolint:exhaustruct // all of it
	ask(history.QualityQuery{Page: history.Page{Limit: 1}}, "1 after a day", "0 after a week")                                         //nolint:exhaustruct // page by page
	ask(history.QualityQuery{Maturity: &day}, "1 after a day", "0 after a day")                                                        //nolint:exhaustruct // a maturity
	ask(history.QualityQuery{Maturity: new(int64)}, "1 at once", "0 at once")                                                          //nolint:exhaustruct // none
	ask(history.QualityQuery{Range: history.Range{From: Hour, To: 2 * Hour}}, "1 after a day")                                         //nolint:exhaustruct // a span
	ask(history.QualityQuery{Range: history.Range{From: 5 * Hour, To: 6 * Hour}})                                                      //nolint:exhaustruct // nothing
	_, err := s.Quality(t.Context(), history.QualityQuery{Series: history.Series{Model: "nobody", Version: "", Segment: "", Size: 0}}) //nolint:exhaustruct // all of it
	notFound(t, "model", err)
}

// What windows did to groups is told by dimension, beside their quality, as that is.
func groups(t *testing.T, s Store) {
	day := 24 * Hour
	first, second := Hourly(0), Hourly(1)
	docs := map[string]Document{
		"0 at once": first.Fairness(t, 0, "sex"), "0 sex": first.Fairness(t, day, "sex"), "0 age": first.Fairness(t, day, "age"),
		"1 sex": second.Fairness(t, day, "sex"),
	}
	s.put(t, first.Documents(t)...)
	s.put(t, second.Documents(t)...)
	s.put(t, first.Quality(t, day, 50))
	s.put(t, docs["0 sex"], docs["1 sex"], docs["0 at once"])
	s.put(t, docs["0 age"], docs["0 at once"], docs["0 sex"])
	ask := func(q history.FairnessQuery, inOrder bool, want ...string) {
		t.Helper()
		q.Series = credit()
		var expected, got []string
		for _, name := range want {
			expected = append(expected, string(docs[name].Data))
		}
		for {
			page := must(s.Fairness(t.Context(), q))(t)
			for _, d := range page.Documents {
				got = append(got, string(d))
			}
			if page.Next == "" {
				break
			}
			q.Cursor = page.Next
		}
		if !inOrder {
			slices.Sort(expected)
			slices.Sort(got)
		}
		if diff := cmp.Diff(expected, got); diff != "" {
			t.Errorf("%+v (-want +got):\n%s", q, diff)
		}
	}
	ask(history.FairnessQuery{Dimension: "sex"}, true, "1 sex", "0 sex")                                                                            //nolint:exhaustruct // all of it
	ask(history.FairnessQuery{}, false, "1 sex", "0 sex", "0 age")                                                                                  //nolint:exhaustruct // all of them
	ask(history.FairnessQuery{QualityQuery: history.QualityQuery{Page: history.Page{Limit: 1}}}, false, "1 sex", "0 sex", "0 age")                  //nolint:exhaustruct // page by page
	ask(history.FairnessQuery{QualityQuery: history.QualityQuery{Maturity: new(int64)}}, true, "0 at once")                                         //nolint:exhaustruct // a maturity
	ask(history.FairnessQuery{Dimension: "sex", QualityQuery: history.QualityQuery{Range: history.Range{From: Hour, To: 2 * Hour}}}, true, "1 sex") //nolint:exhaustruct // a span
	ask(history.FairnessQuery{Dimension: "region"}, true)                                                                                           //nolint:exhaustruct // nothing
	if page := must(s.Quality(t.Context(), history.QualityQuery{Series: credit()}))(t); len(page.Documents) != 1 {                                  //nolint:exhaustruct // all of it
		t.Errorf("%d documents about quality, want 1", len(page.Documents))
	}
}
