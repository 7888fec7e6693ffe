package e2e_test

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/driftd/driftd/dashboards"
	"github.com/driftd/driftd/demo"
	"github.com/driftd/driftd/influx"
	"github.com/driftd/driftd/internal/influxtest"
)

// board is what the test reads of a dashboard's JSON.
type board struct {
	UID    string
	Title  string
	Panels []struct {
		Type, Title string
		GridPos     struct{ X, Y, W, H int }
		Targets     []target
		Options     struct{ XField string }
		FieldConfig struct {
			Overrides []struct {
				Matcher struct{ Options string }
			}
		}
	}
	Templating struct {
		List []struct {
			Name, Type string
			Query      json.RawMessage
		}
	}
	Annotations struct {
		List []struct {
			Name, Expr string
			Target     target
		}
	}
}

type target struct {
	RefID        string
	Query, Expr  string
	ResultFormat string
	Instant      bool
	Alias        string
}

func (t target) text() string { return t.Query + t.Expr }

func boardsOf(tb testing.TB, variant string) []board {
	tb.Helper()
	names, err := fs.Glob(dashboards.Files(), "driftd-*-"+variant+".json")
	if err != nil || len(names) != 4 {
		tb.Fatalf("dashboards of %s: %v, %v", variant, names, err)
	}
	out := make([]board, len(names))
	for i, name := range names {
		data, err := fs.ReadFile(dashboards.Files(), name)
		if err == nil {
			err = json.Unmarshal(data, &out[i])
		}
		if err != nil {
			tb.Fatalf("%s: %v", name, err)
		}
	}
	return out
}

// timeRange is a range of time.
type timeRange struct{ from, to time.Time }

// choices are what the variables of a dashboard are set to.
type choices map[string][]string

var (
	variableWithFormat = regexp.MustCompile(`\$\{(\w+):(\w+)\}`)
	variableName       = regexp.MustCompile(`\$(\w+)`)
)

// fill does with a query what Grafana does: it writes the chosen values in the format that is asked for.
func (c choices) fill(tb testing.TB, query string) string {
	tb.Helper()
	query = variableWithFormat.ReplaceAllStringFunc(query, func(use string) string {
		m := variableWithFormat.FindStringSubmatch(use)
		values, ok := c[m[1]]
		if !ok {
			tb.Errorf("nothing is chosen for %s in %s", use, query)
		}
		wrapped := func(by string) string {
			out := make([]string, 0, len(values))
			for _, v := range values {
				out = append(out, by+strings.ReplaceAll(v, by, `\`+by)+by)
			}
			return strings.Join(out, ",")
		}
		switch m[2] {
		case "doublequote":
			return wrapped(`"`)
		case "singlequote":
			return wrapped(`'`)
		case "regex":
			escaped := make([]string, 0, len(values))
			for _, v := range values {
				escaped = append(escaped, regexp.QuoteMeta(v))
			}
			if len(escaped) == 1 {
				return escaped[0]
			}
			return "(" + strings.Join(escaped, "|") + ")"
		case "raw":
			return strings.Join(values, ",")
		}
		tb.Errorf("a format %s that the test does not know, in %s", m[2], query)
		return use
	})
	query = variableName.ReplaceAllStringFunc(query, func(use string) string {
		values, ok := c[use[1:]]
		if !ok {
			tb.Errorf("nothing is chosen for %s in %s", use, query)
			return use
		}
		return strings.Join(values, "|")
	})
	return query
}

// answer is what a query returned: one table, whose empty cells are left out of the counts.
type answer struct {
	rows  int
	types map[string]string // of each column with a value: time, number, text or boolean
	table []map[string]string
}

func (a *answer) put(column, kind string) {
	if a.types == nil {
		a.types = map[string]string{}
	}
	a.types[column] = kind
}

// add appends what another query of the same panel returned.
func (a *answer) add(b answer) {
	for column, kind := range b.types {
		a.put(column, kind)
	}
	a.rows, a.table = a.rows+b.rows, append(a.table, b.table...)
}

func (a *answer) columns(kind string) []string {
	var out []string
	for name, k := range a.types {
		if k == kind {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// askFlux runs a Flux query as Grafana's data source does, which writes v.… into the text.
func askFlux(tb testing.TB, server *influxtest.Server, query string, s timeRange) answer {
	tb.Helper()
	query = strings.NewReplacer("v.timeRangeStart", s.from.Format(time.RFC3339), "v.timeRangeStop", s.to.Format(time.RFC3339), "v.defaultBucket", `"driftd"`).Replace(query)
	body, err := json.Marshal(map[string]any{"query": query, "type": "flux", "dialect": map[string]any{"annotations": []string{"datatype", "group", "default"}}})
	if err != nil {
		tb.Fatal(err)
	}
	data := post(tb, server, "/api/v2/query?org="+url.QueryEscape(server.Org), "application/json", string(body), query)
	var out answer
	kinds := map[string]string{
		"double": "number", "long": "number", "unsignedLong": "number", "string": "text", "boolean": "boolean",
		"dateTime:RFC3339": "time", "dateTime:RFC3339Nano": "time",
	}
	for block := range strings.SplitSeq(strings.ReplaceAll(data, "\r\n", "\n"), "\n\n") {
		r := csv.NewReader(strings.NewReader(block))
		r.FieldsPerRecord = -1
		records, err := r.ReadAll()
		if err != nil {
			tb.Fatalf("%s: %v in %.500s", query, err, block)
		}
		var types, head []string
		for _, record := range records {
			switch {
			case record[0] == "#datatype":
				types, head = record, nil
			case strings.HasPrefix(record[0], "#"):
			case head == nil:
				head = record
				if slices.Contains(head, "error") {
					tb.Fatalf("%s: %s", query, block)
				}
			default:
				out.rows++
				row := map[string]string{}
				for i, v := range record {
					if i > 2 && v != "" {
						out.put(head[i], kinds[types[i]])
						row[head[i]] = v
					}
				}
				out.table = append(out.table, row)
			}
		}
	}
	return out
}

// askInfluxQL runs an InfluxQL query as Grafana's data source does, which writes $timeFilter.
func askInfluxQL(tb testing.TB, server *influxtest.Server, query string) answer {
	tb.Helper()
	data := post(tb, server, "/query?epoch=ms&db=driftd", "application/x-www-form-urlencoded", url.Values{"q": {query}}.Encode(), query)
	var parsed struct {
		Results []struct {
			Error  string
			Series []struct {
				Tags    map[string]string
				Columns []string
				Values  [][]any
			}
		}
	}
	if err := json.Unmarshal([]byte(data), &parsed); err != nil || len(parsed.Results) != 1 || parsed.Results[0].Error != "" {
		tb.Fatalf("%s: %v in %.500s", query, err, data)
	}
	var out answer
	for _, s := range parsed.Results[0].Series {
		for tag := range s.Tags {
			out.put(tag, "text")
		}
		for _, row := range s.Values {
			out.rows++
			for i, v := range row {
				switch v.(type) {
				case float64:
					out.put(s.Columns[i], map[bool]string{true: "time", false: "number"}[s.Columns[i] == "time"])
				case string:
					out.put(s.Columns[i], "text")
				case bool:
					out.put(s.Columns[i], "boolean")
				}
			}
		}
	}
	return out
}

func post(tb testing.TB, server *influxtest.Server, path, kind, body, query string) string {
	tb.Helper()
	req, err := http.NewRequestWithContext(tb.Context(), http.MethodPost, server.URL+path, strings.NewReader(body))
	if err != nil {
		tb.Fatal(err)
	}
	req.Header.Set("Content-Type", kind)
	req.Header.Set("Accept", "*/*")
	if server.Token != "" {
		req.Header.Set("Authorization", "Token "+server.Token)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		tb.Fatal(err)
	}
	data, err := io.ReadAll(res.Body)
	if err = errors.Join(err, res.Body.Close()); err != nil || res.StatusCode != http.StatusOK {
		tb.Fatalf("status %d, %v for\n%s\n%s", res.StatusCode, err, query, data)
	}
	return string(data)
}

// expect holds an answer to what the panel's visualisation needs of it.
func expect(tb testing.TB, where, kind, xField string, overrides int, a answer) {
	tb.Helper()
	numbers, texts, times := a.columns("number"), a.columns("text"), a.columns("time")
	switch {
	case a.rows == 0:
		tb.Errorf("%s: no rows", where)
	case len(numbers) == 0:
		tb.Errorf("%s: no numbers among the columns %v", where, a.types)
	case kind == "barchart" && !slices.Contains(texts, xField):
		tb.Errorf("%s: no text %s for the axis among %v", where, xField, a.types)
	case kind == "table" && (len(texts) == 0 || overrides == 0):
		tb.Errorf("%s: no names among the columns %v", where, a.types)
	case (kind == "timeseries" || kind == "status-history" || kind == "heatmap") && len(times) != 1:
		tb.Errorf("%s: %v are no axis of time", where, times)
	}
}

// untilMay writes what of a log lies before May: two of the three incidents, and no window that has labels only.
func untilMay(tb testing.TB, log string) string {
	tb.Helper()
	data, err := os.ReadFile(log)
	if err != nil {
		tb.Fatal(err)
	}
	var out strings.Builder
	for line := range strings.Lines(string(data)) {
		var record struct {
			Time time.Time `json:"ts"`
		}
		if err := json.Unmarshal([]byte(line), &record); err != nil {
			tb.Fatal(err)
		}
		if record.Time.Month() < time.May {
			out.WriteString(line)
		}
	}
	return writeFile(tb, "until-may.ndjson", out.String())
}

// flights runs the daemon on the demo's log until May, with an InfluxDB that understands Flux, and returns what the log spans.
func flights(tb testing.TB) (*influxtest.Server, *daemon, timeRange) {
	tb.Helper()
	server := influxtest.Start(tb, influxtest.Options{Flux: true})
	server.CreateBucket("driftd", 0)
	logs := filepath.Join(tb.TempDir(), "logs")
	d := startDaemon(tb, "nats: {embedded: {listen: 127.0.0.1:0}}\nmodels: {flight-delay: {reference: "+demo.ReferenceName+", windows: [{size: 1d}], "+
		"labels: {mode: full, maturities: [6h, 1d, 3d], threshold: 0.25}}}\nweb: {metrics: {features: 50}}\n"+
		withInfluxDB(server, "driftd", adminToken(tb, server)))
	d.sink = "driftd-influxdb"
	tb.Log(driftd(tb, "demo", "--logs", logs))
	d.must("reference create", "--from", filepath.Join(logs, "january.ndjson"), "--name", demo.ReferenceName, "--model", demo.ModelName)
	_, js := d.connect()
	eventually(tb, "the reference is in use", func() bool { return strings.Contains(d.log.String(), "a reference was stored") })
	d.must("replay", untilMay(tb, filepath.Join(logs, "february-to-june.ndjson")))
	d.settled(js)
	return server, d, timeRange{time.Date(2001, 2, 1, 0, 0, 0, 0, time.UTC), time.Date(2001, 5, 2, 0, 0, 0, 0, time.UTC)}
}

// sampled writes what the daemon says of itself every 30 seconds, as it does, for the last minutes.
func sampled(tb testing.TB, server *influxtest.Server) timeRange {
	tb.Helper()
	db, err := influx.Open(influx.Options{URL: server.URL, Org: server.Org, Bucket: "driftd", Token: func() (string, error) { return server.Token, nil }})
	if err != nil {
		tb.Fatal(err)
	}
	defer db.Close()
	end := time.Now().Truncate(time.Second)
	var lines []string
	for i := range 10 {
		n := uint64(i)
		lines = append(lines, influx.Health{Lag: 100 - n, Position: 1000 * n, Commits: n, Messages: 1000 * n, Dead: n, Late: 2 * n}.Line(end.Add(time.Duration(i-10)*30*time.Second).UnixMilli()))
	}
	if err := db.WriteLines(tb.Context(), lines...); err != nil {
		tb.Fatal(err)
	}
	return timeRange{end.Add(-time.Hour), end.Add(time.Hour)}
}

// ofDemo is what the variables are set to, to see the demo.
func ofDemo() choices {
	return choices{
		"model": {demo.ModelName}, "version": {"*"}, "segment": {"*"}, "window": {"1d"}, "role": {"feature"}, "feature": {"distance_miles"}, "partition": {"0"},
		"maturity_ms": {"259200000"}, "metric": {"accuracy"}, // three days, the last maturity
		"job": {"driftd"}, "instance": {".+"}, "__rate_interval": {"1m"},
	}
}

// panelRows is one line of what the test prints: how many rows a panel's queries returned.
type panelRows struct {
	dashboard, panel string
	rows             []int
	columns          []string
}

// printed is the list of panels with the rows that each query returned.
func printed(title string, all []panelRows) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", title)
	for _, p := range all {
		fmt.Fprintf(&b, "%-34s %-46s %v %s\n", p.dashboard, p.panel, p.rows, strings.Join(p.columns, ", "))
	}
	return b.String()
}

// Every query of every panel, variable, annotation and alert rule is run against InfluxDB, which holds the demo's results as the product
// wrote them, in Flux and in InfluxQL; and against Prometheus, which scrapes the daemon.
func TestDashboards(t *testing.T) {
	server, d, past := flights(t)
	recent := sampled(t, server)
	c, drawing, shown := ofDemo(), pictures{}, &strings.Builder{}
	for _, variant := range []string{"flux", "influxql"} {
		ask := func(query string, s timeRange) answer {
			c["timeFilter"] = []string{fmt.Sprintf("time >= %dms and time <= %dms", s.from.UnixMilli(), s.to.UnixMilli())}
			if query = c.fill(t, query); variant == "flux" {
				return askFlux(t, server, query, s)
			}
			return askInfluxQL(t, server, query)
		}
		var table []panelRows
		for _, b := range boardsOf(t, variant) {
			s := past
			if strings.Contains(b.UID, "pipeline") {
				s = recent
			}
			for _, p := range b.Panels {
				if len(p.Targets) == 0 {
					continue
				}
				line := panelRows{dashboard: b.UID, panel: p.Title, rows: nil, columns: nil}
				var together answer
				for _, query := range p.Targets {
					a := ask(query.text(), s)
					expect(t, b.UID+": "+p.Title, p.Type, p.Options.XField, len(p.FieldConfig.Overrides), a)
					together.add(a)
					line.rows, line.columns = append(line.rows, a.rows), append(line.columns, a.columns("number")...)
				}
				drawing.panel(b.UID, p.Title, p.Type, p.Options.XField, [4]int{p.GridPos.X, p.GridPos.Y, p.GridPos.W, p.GridPos.H}, together)
				table = append(table, line)
			}
			for _, v := range b.Templating.List {
				var text string
				if v.Type != "query" {
					continue
				}
				if err := json.Unmarshal(v.Query, &text); err != nil {
					t.Fatal(err)
				}
				if a := ask(text, s); a.rows == 0 || len(a.columns("text")) == 0 {
					t.Errorf("%s: the variable %s has no values: %v", b.UID, v.Name, a)
				}
			}
			for _, note := range b.Annotations.List {
				a := ask(note.Target.Query, s)
				if a.rows < 4 || len(a.columns("text")) < 3 { // two incidents fire and are over
					t.Errorf("%s: %d annotations with %v", b.UID, a.rows, a.types)
				}
			}
		}
		t.Log(printed("rows of each query, "+variant, table))
		shown.WriteString(markdown(variant, table))
	}
	for title, query := range alertRules(t) {
		s := past
		if strings.Contains(query, influx.MeasurementPipeline) {
			s = recent
		}
		if a := askFlux(t, server, query, s); a.rows == 0 || !slices.Contains(a.columns("number"), "_value") {
			t.Errorf("the alert rule %q has no rows: %v", title, a)
		}
	}
	shown.WriteString(scraped(t, d, c))
	d.stop()
	if *dashboardsOut != "" {
		drawing.save(t, *dashboardsOut)
		replaceRows(t, shown.String())
	}
}

// alertRules returns the queries of the rules that Grafana provisions, by title.
func alertRules(tb testing.TB) map[string]string {
	tb.Helper()
	data, err := fs.ReadFile(dashboards.Files(), "provisioning/alerting/driftd.yaml")
	if err != nil {
		tb.Fatal(err)
	}
	var file struct {
		Groups []struct {
			Rules []struct {
				Title string
				Data  []struct{ Model struct{ Query string } }
			}
		}
	}
	if err := yaml.Unmarshal(data, &file); err != nil {
		tb.Fatal(err)
	}
	out := map[string]string{}
	for _, g := range file.Groups {
		for _, r := range g.Rules {
			out[r.Title] = r.Data[0].Model.Query
		}
	}
	if len(out) < 3 {
		tb.Fatalf("rules %v", out)
	}
	return out
}

// scraped runs the queries of the dashboards for Prometheus, and returns how many series each had.
func scraped(t *testing.T, d *daemon, c choices) string {
	t.Helper()
	prom := startPrometheus(t, strings.TrimSuffix(d.run.WebURL, "/"))
	begin := time.Now()
	eventually(t, "Prometheus has scraped the daemon a few times", func() bool {
		return len(prom.query(t, "query", url.Values{"query": {`count_over_time(driftd_model_events[1m]) > 4`}})) > 0
	})
	var table []panelRows
	for _, b := range boardsOf(t, "prometheus") {
		for _, p := range b.Panels {
			line := panelRows{dashboard: b.UID, panel: p.Title, rows: nil, columns: nil}
			for _, query := range p.Targets {
				kind, ask := "query", url.Values{"query": {c.fill(t, query.Expr)}}
				if !query.Instant {
					kind = "query_range"
					ask.Set("start", strconv.FormatInt(begin.Add(-time.Minute).Unix(), 10))
					ask.Set("end", strconv.FormatInt(time.Now().Unix(), 10))
					ask.Set("step", "1")
				}
				rows := prom.query(t, kind, ask)
				if len(rows) == 0 {
					t.Errorf("%s: %s: no rows for %s", b.UID, p.Title, ask.Get("query"))
				}
				line.rows = append(line.rows, len(rows))
			}
			if len(p.Targets) > 0 {
				table = append(table, line)
			}
		}
		for _, v := range b.Templating.List {
			var q struct{ Query string }
			if v.Type != "query" {
				continue
			}
			if err := json.Unmarshal(v.Query, &q); err != nil {
				t.Fatal(err)
			}
			text, ok := strings.CutPrefix(q.Query, "label_values(")
			at := strings.LastIndex(text, ", ")
			if !ok || at < 0 {
				t.Fatalf("%s: the variable %s asks %s", b.UID, v.Name, q.Query)
			}
			label := strings.TrimSuffix(text[at+2:], ")")
			rows := prom.query(t, "query", url.Values{"query": {c.fill(t, text[:at])}})
			if !slices.ContainsFunc(rows, func(s sample) bool { return s.Metric[label] != "" }) {
				t.Errorf("%s: the variable %s has no values", b.UID, v.Name)
			}
		}
		for _, note := range b.Annotations.List {
			if rows := prom.query(t, "query", url.Values{"query": {c.fill(t, note.Expr)}}); len(rows) == 0 {
				t.Errorf("%s: no annotation for %s", b.UID, note.Expr)
			}
		}
	}
	t.Log(printed("series of each query, prometheus", table))
	documented := string(readRoot(t, "docs/metrics.md"))
	for _, name := range prom.names(t) {
		if strings.HasPrefix(name, "driftd_") && !strings.Contains(documented, "`"+cutSuffixes(name)+"`") {
			t.Errorf("docs/metrics.md does not describe %s", name)
		}
	}
	return markdown("prometheus", table)
}

// cutSuffixes returns the name of a histogram's family.
func cutSuffixes(name string) string {
	for _, suffix := range []string{"_bucket", "_sum", "_count"} {
		if family, ok := strings.CutSuffix(name, suffix); ok {
			return family
		}
	}
	return name
}

func readRoot(tb testing.TB, name string) []byte {
	tb.Helper()
	data, err := os.ReadFile(filepath.Join("..", filepath.FromSlash(name)))
	if err != nil {
		tb.Fatal(err)
	}
	return data
}
