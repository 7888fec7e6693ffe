package dashboards_test

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/cog/plugins"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"

	"github.com/driftd/driftd/dashboards"
	"github.com/driftd/driftd/detectors"
	"github.com/driftd/driftd/influx"
	"github.com/driftd/driftd/quality"
)

// board is what the rules look at.
type board struct {
	file        string
	UID         string
	Title       string
	Editable    bool
	Tags        []string
	Panels      []panel
	Templating  struct{ List []variable }
	Annotations struct {
		List []struct{ Target target }
	}
	Links []struct{ Type, URL string }
}

type panel struct {
	ID                       int
	Type, Title, Description string
	Datasource               struct{ UID string }
	GridPos                  struct{ X, Y, W, H int }
	Targets                  []target
	FieldConfig              struct {
		Defaults struct {
			Unit  string
			Links []struct{ URL string }
		}
	}
}

type target struct {
	RefID, Query, Expr string
	Datasource         struct{ UID string }
}

type variable struct {
	Name, Label, Type, AllValue string
	Multi                       bool
	Refresh                     int
	Query                       json.RawMessage
	Datasource                  struct{ UID string }
}

func load(tb testing.TB) []board {
	tb.Helper()
	names, err := fs.Glob(dashboards.Files(), "*.json")
	if err != nil || len(names) != 12 {
		tb.Fatalf("%d dashboards, %v", len(names), err)
	}
	out := make([]board, 0, len(names))
	for _, name := range names {
		data, err := fs.ReadFile(dashboards.Files(), name)
		if err != nil {
			tb.Fatal(err)
		}
		b := board{file: name} //nolint:exhaustruct // decoded below
		if err := json.Unmarshal(data, &b); err != nil {
			tb.Fatalf("%s: %v", name, err)
		}
		out = append(out, b)
	}
	return out
}

func (b board) prometheus() bool { return strings.HasSuffix(b.UID, "-prometheus") }

// asking says whether a panel shows data.
func (p panel) asking() bool { return !slices.Contains([]string{"row", "text", "dashlist"}, p.Type) }

// Units of Grafana that the dashboards use, from packages/grafana-data/src/valueFormats/categories.ts.
var units = []string{"none", "short", "percentunit", "ms", "cps", "reqps", "bytes", "bool_yes_no", "bool_on_off"}

var (
	rangeSelector = regexp.MustCompile(`\[([^\]]+)\]`)
	counter       = regexp.MustCompile(`(\w*\(?)driftd_\w+_total\{`)
	metric        = regexp.MustCompile(`\b((?:driftd|process)_\w+)\{([^}]*)\}`)
)

// lint applies the public rules of grafana/dashboard-linter (docs/index.md there, and lint/rules.go), and some of our own: every panel that
// shows data has a title, a unit, a description and a query, not only those kinds that the linter knows.
func lint(b board) []string {
	var out []string
	bad := func(format string, args ...any) { out = append(out, b.file+": "+fmt.Sprintf(format, args...)) }
	if b.Editable { // uneditable-dashboard
		bad("it is editable")
	}
	if b.UID+".json" != b.file || len(b.UID) > 40 {
		bad("its uid %q is not the name of its file, or is too long for Grafana", b.UID)
	}
	variables := map[string]variable{}
	for _, v := range b.Templating.List {
		variables[v.Name] = v
		if v.Type == "query" && v.Refresh != 2 { // template-on-time-change-reload
			bad("the variable %s is not read again when the range of time changes", v.Name)
		}
		if v.Type == "query" && v.Datasource.UID != "${datasource}" {
			bad("the variable %s does not use the chosen data source", v.Name)
		}
	}
	source := variables["datasource"]
	if source.Type != "datasource" || source.Label != "Data source" { // template-datasource
		bad("it has no variable datasource with the label Data source")
	}
	for _, name := range []string{"job", "instance"} { // template-job, template-instance
		v, ok := variables[name]
		label := strings.ToUpper(name[:1]) + name[1:]
		switch {
		case b.prometheus() && (!ok || v.Type != "query" || v.Label != label || !v.Multi || v.AllValue != ".+"):
			bad("the variable %s must be a query with the label %s, several values, and .+ as all of them", name, label)
		case !b.prometheus() && ok:
			bad("%s means nothing in InfluxDB", name)
		}
	}
	ids := map[int]bool{}
	for i, p := range b.Panels {
		if ids[p.ID] {
			bad("two panels have the id %d", p.ID)
		}
		ids[p.ID] = true
		if p.GridPos.X+p.GridPos.W > 24 {
			bad("%s: wider than the page", p.Title)
		}
		for _, other := range b.Panels[:i] {
			a, o := p.GridPos, other.GridPos
			if a.X < o.X+o.W && o.X < a.X+a.W && a.Y < o.Y+o.H && o.Y < a.Y+a.H {
				bad("%s lies over %s", p.Title, other.Title)
			}
		}
		if !p.asking() {
			continue
		}
		if p.Title == "" || len(p.Description) < 10 { // panel-title-description
			bad("panel %d has no title or no description", p.ID)
		}
		if !slices.Contains(units, p.FieldConfig.Defaults.Unit) { // panel-units
			bad("%s: %q is no unit of Grafana that is known here", p.Title, p.FieldConfig.Defaults.Unit)
		}
		if len(p.Targets) == 0 { // panel-no-targets
			bad("%s has no query", p.Title)
		}
		if p.Datasource.UID != "${datasource}" { // panel-datasource
			bad("%s does not use the chosen data source", p.Title)
		}
		for _, t := range p.Targets {
			if t.Datasource.UID != "${datasource}" || (t.Query == "") == (t.Expr == "") {
				bad("%s: the query %s is empty, or does not use the chosen data source", p.Title, t.RefID)
			}
			if t.Expr != "" {
				for _, f := range lintPromQL(t.Expr) {
					bad("%s: %s in %s", p.Title, f, t.Expr)
				}
			}
		}
	}
	return out
}

// lintPromQL applies target-job, target-instance, target-rate-interval and target-counter-agg. That the query is valid is for Prometheus to say
// (package e2e).
func lintPromQL(expr string) []string {
	var out []string
	found := metric.FindAllStringSubmatch(expr, -1)
	if len(found) == 0 {
		out = append(out, "no metric")
	}
	for _, m := range found {
		for _, matcher := range []string{`job=~"$job"`, `instance=~"$instance"`} {
			if !strings.Contains(m[2], matcher) {
				out = append(out, m[1]+" is not narrowed by "+matcher)
			}
		}
	}
	for _, m := range rangeSelector.FindAllStringSubmatch(expr, -1) {
		if m[1] != "$__rate_interval" {
			out = append(out, "the range "+m[1]+" is not $__rate_interval")
		}
	}
	for _, m := range counter.FindAllStringSubmatch(expr, -1) {
		if !slices.Contains([]string{"rate(", "irate(", "increase("}, m[1]) {
			out = append(out, "a counter without rate")
		}
	}
	return out
}

func TestRulesOfTheLinter(t *testing.T) {
	uids := map[string]bool{}
	for _, b := range load(t) {
		for _, finding := range lint(b) {
			t.Error(finding)
		}
		if uids[b.UID] {
			t.Errorf("two dashboards have the uid %s", b.UID)
		}
		uids[b.UID] = true
	}
}

func TestRulesFire(t *testing.T) {
	var good board
	for _, b := range load(t) {
		if b.UID == "driftd-pipeline-prometheus" {
			good = b
		}
	}
	at := slices.IndexFunc(good.Panels, func(p panel) bool { return p.Type == "timeseries" && strings.Contains(p.Targets[0].Expr, "rate(") })
	for _, tc := range []struct {
		name, want string
		spoil      func(*board)
	}{
		{"editable", "editable", func(b *board) { b.Editable = true }},
		{"uid", "name of its file", func(b *board) { b.UID = "x" }},
		{"no data source", "no variable datasource", func(b *board) { b.Templating.List = b.Templating.List[1:] }},
		{"no job", "the variable job", func(b *board) { b.Templating.List = append(b.Templating.List[:1:1], b.Templating.List[2:]...) }},
		{"refresh", "is not read again", func(b *board) { b.Templating.List[1].Refresh = 1 }},
		{"no title", "no title", func(b *board) { b.Panels[at].Title = "" }},
		{"no description", "no description", func(b *board) { b.Panels[at].Description = "" }},
		{"unit", "no unit", func(b *board) { b.Panels[at].FieldConfig.Defaults.Unit = "parsecs" }},
		{"no query", "has no query", func(b *board) { b.Panels[at].Targets = nil }},
		{"fixed data source", "chosen data source", func(b *board) { b.Panels[at].Datasource.UID = "abc" }},
		{"overlap", "lies over", func(b *board) { b.Panels[at].GridPos = b.Panels[at-1].GridPos }},
		{"rate interval", "is not $__rate_interval", func(b *board) {
			b.Panels[at].Targets[0].Expr = strings.ReplaceAll(b.Panels[at].Targets[0].Expr, "$__rate_interval", "5m")
		}},
		{"no job matcher", "is not narrowed by job", func(b *board) {
			b.Panels[at].Targets[0].Expr = strings.ReplaceAll(b.Panels[at].Targets[0].Expr, `job=~"$job", `, "")
		}},
		{"counter", "without rate", func(b *board) { b.Panels[at].Targets[0].Expr = `driftd_x_total{job=~"$job", instance=~"$instance"}` }},
	} {
		data, err := json.Marshal(good)
		if err != nil {
			t.Fatal(err)
		}
		b := board{file: good.file} //nolint:exhaustruct // a deep copy follows
		if err := json.Unmarshal(data, &b); err != nil {
			t.Fatal(err)
		}
		if got := lint(b); len(got) != 0 {
			t.Fatalf("the copy has findings: %q", got)
		}
		tc.spoil(&b)
		if got := lint(b); !slices.ContainsFunc(got, func(f string) bool { return strings.Contains(f, tc.want) }) {
			t.Errorf("%s: got %q, want one with %q", tc.name, got, tc.want)
		}
	}
}

var (
	fluxMeasurement = regexp.MustCompile(`r\._measurement == "([^"]+)"`)
	fluxField       = regexp.MustCompile(`r\._field == "([^"]+)"`)
	fluxTag         = regexp.MustCompile(`(?:value: r\.(\w+),|r\.([a-z]\w*) (?:==|=~))`)
	qlMeasurement   = regexp.MustCompile(`FROM "([^"]+)"`)
	qlSelect        = regexp.MustCompile(`SELECT ([^()]*(?:\w+\("\w+"[^)]*\)[^()]*)*) FROM "`)
	qlName          = regexp.MustCompile(`"(\w+)"`)
	qlTag           = regexp.MustCompile(`"(\w+)" (?:=~?) `)
)

// aMetric is what a query is looked at with where a variable is a part of its fields' names.
const aMetric = "accuracy"

// Every choice of the variable for a metric of quality is one that some task has.
func TestQualityIsChosenFromWhatIsMeasured(t *testing.T) {
	measured := map[string]bool{}
	for _, task := range []quality.Task{quality.Binary, quality.Multiclass, quality.Regression} {
		cfg := quality.Default(task)
		if task == quality.Multiclass {
			cfg.Classes = []string{"a", "b", "c"}
		}
		spec, err := quality.NewSpec(cfg)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range quality.Evaluate(quality.NewCounts(spec)) {
			measured[m.Name] = measured[m.Name] || m.Class == ""
		}
	}
	found := 0
	for _, b := range load(t) {
		for _, v := range b.Templating.List {
			if v.Type != "custom" {
				continue
			}
			found++
			var choices string
			if err := json.Unmarshal(v.Query, &choices); err != nil {
				t.Fatal(err)
			}
			for choice := range strings.SplitSeq(choices, ",") {
				if !measured[choice] {
					t.Errorf("%s: %s is no metric of all classes together", b.UID, choice)
				}
			}
			if !strings.Contains(","+choices+",", ","+aMetric+",") {
				t.Errorf("%s: %s is not to choose", b.UID, aMetric)
			}
		}
	}
	if found != 2 {
		t.Errorf("%d dashboards let a metric be chosen, want those of a model in Flux and InfluxQL", found)
	}
}

// Every measurement, field and tag that a query names is one that the writer writes.
func TestQueriesNameWhatIsWritten(t *testing.T) {
	schema := map[string]influx.Measurement{}
	for _, m := range influx.Schema() {
		schema[m.Name] = m
	}
	statistics := map[string]bool{}
	for _, name := range detectors.Names() {
		for _, suffix := range []string{"", influx.SuffixP, influx.SuffixLower, influx.SuffixUpper, influx.SuffixBaseline} {
			statistics[name+suffix] = true
		}
	}
	family := regexp.MustCompile(`<\w+>`)
	known := func(m influx.Measurement, field string) bool {
		name := strings.TrimPrefix(strings.TrimPrefix(field, influx.BaselineOf), influx.EstimateOf)
		name = strings.TrimSuffix(strings.TrimSuffix(name, influx.SuffixLower), influx.SuffixUpper)
		return m.Name == influx.MeasurementQuality && name == aMetric || m.Name == influx.MeasurementFeature && statistics[field] || slices.ContainsFunc(m.Fields, func(f influx.Field) bool {
			return !strings.HasPrefix(f.Name, "<") && regexp.MustCompile("^"+family.ReplaceAllString(f.Name, `\d+`)+"$").MatchString(field)
		})
	}
	fields, tags := 0, 0
	check := func(where, query string) {
		query = strings.ReplaceAll(query, "${metric:raw}", aMetric)
		name := first(fluxMeasurement.FindStringSubmatch(query), qlMeasurement.FindStringSubmatch(query))
		m, ok := schema[name]
		if !ok {
			t.Errorf("%s: there is no measurement %q", where, name)
			return
		}
		named := fluxField.FindAllStringSubmatch(query, -1)
		for _, list := range qlSelect.FindAllStringSubmatch(query, -1) {
			named = append(named, qlName.FindAllStringSubmatch(list[1], -1)...)
		}
		for _, found := range named {
			fields++
			if !known(m, found[1]) && !slices.Contains(m.Tags, found[1]) && found[1] != "newest" {
				t.Errorf("%s: %s has no field %s", where, name, found[1])
			}
		}
		for _, found := range slices.Concat(fluxTag.FindAllStringSubmatch(query, -1), qlTag.FindAllStringSubmatch(query, -1)) {
			tags++
			tag := strings.Join(found[1:], "")
			if !slices.Contains(m.Tags, tag) {
				t.Errorf("%s: %s has no tag %s", where, name, tag)
			}
		}
	}
	for _, b := range load(t) {
		if b.prometheus() {
			continue
		}
		for _, p := range b.Panels {
			for _, q := range p.Targets {
				check(b.UID+": "+p.Title, q.Query)
			}
		}
		for _, v := range b.Templating.List {
			var text string
			if v.Type == "query" {
				if err := json.Unmarshal(v.Query, &text); err != nil {
					t.Fatal(err)
				}
				check(b.UID+": variable "+v.Name, text)
			}
		}
		for _, a := range b.Annotations.List {
			check(b.UID+": annotations", a.Target.Query)
		}
	}
	if fields < 150 || tags < 300 {
		t.Errorf("only %d fields and %d tags were found in the queries", fields, tags)
	}
}

func first(all ...[]string) string {
	for _, found := range all {
		if len(found) > 1 {
			return found[1]
		}
	}
	return ""
}

// A link within the dashboards leads to one that exists, in the same variant.
func TestLinksLeadSomewhere(t *testing.T) {
	all := load(t)
	links := 0
	for _, b := range all {
		variant := b.UID[strings.LastIndexByte(b.UID, '-')+1:]
		for _, p := range b.Panels {
			for _, l := range p.FieldConfig.Defaults.Links {
				uid, ok := strings.CutPrefix(l.URL, "/d/")
				if !ok {
					if !strings.HasPrefix(l.URL, "${driftd}/") {
						t.Errorf("%s: %s leads neither to a dashboard nor to driftd's page", b.UID, l.URL)
					}
					continue
				}
				links++
				uid, _, _ = strings.Cut(uid, "?")
				if !slices.ContainsFunc(all, func(o board) bool { return o.UID == uid && strings.HasSuffix(uid, "-"+variant) }) {
					t.Errorf("%s: no dashboard %s of the same variant", b.UID, uid)
				}
			}
		}
		if len(b.Links) != 2 || !slices.Contains(b.Tags, "driftd") || !slices.Contains(b.Tags, variant) {
			t.Errorf("%s: links %v, tags %v", b.UID, b.Links, b.Tags)
		}
	}
	if links < 6 {
		t.Errorf("only %d links between dashboards", links)
	}
}

// Grafana's own types take the files without a field that they do not know.
func TestGrafanaKnowsEveryField(t *testing.T) {
	plugins.RegisterDefaultPlugins()
	for _, b := range load(t) {
		data, err := fs.ReadFile(dashboards.Files(), b.file)
		if err != nil {
			t.Fatal(err)
		}
		var d dashboard.Dashboard //nolint:staticcheck // the newer kind of dashboard needs Grafana 12
		var errs cog.BuildErrors
		if err := d.UnmarshalJSONStrict(data); err != nil {
			if !asBuildErrors(err, &errs) {
				t.Errorf("%s: %v", b.file, err)
			}
			for _, e := range errs { // an empty list is how the SDK says that all is well
				t.Errorf("%s: %v", b.file, e)
			}
		}
	}
}

func asBuildErrors(err error, into *cog.BuildErrors) bool {
	errs, ok := err.(cog.BuildErrors) //nolint:errorlint // the SDK does not wrap it
	*into = errs
	return ok
}
