package influx_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/driftd/driftd/detectors"
	"github.com/driftd/driftd/history/historytest"
	"github.com/driftd/driftd/influx"
	"github.com/driftd/driftd/internal/influxtest"
	"github.com/driftd/driftd/internal/testenv"
	"github.com/driftd/driftd/result"
)

var update = flag.Bool("update", false, "write the tables of docs/data-model.md again")

// tables writes the schema as docs/data-model.md has it.
func tables() string {
	var b strings.Builder
	for _, m := range influx.Schema() {
		fmt.Fprintf(&b, "### %s\n\n%s\n\nTime: %s. Tags: `%s`.\n\n| field | type | |\n|---|---|---|\n", m.Name, m.Doc, m.Time, strings.Join(m.Tags, "`, `"))
		for _, f := range m.Fields {
			fmt.Fprintf(&b, "| `%s` | %s | %s |\n", f.Name, f.Type, f.Doc)
		}
		b.WriteString("\n")
	}
	return b.String()
}

func TestDataModelPage(t *testing.T) {
	path := filepath.Join(testenv.Root(t), "docs", "data-model.md")
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok := strings.Cut(string(page), "<!-- generated -->\n")
	_, tail, also := strings.Cut(rest, "<!-- end -->")
	if !ok || !also {
		t.Fatal("docs/data-model.md has lost its marks <!-- generated --> and <!-- end -->")
	}
	want := head + "<!-- generated -->\n" + tables() + "<!-- end -->" + tail
	if string(page) == want {
		return
	}
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Error("docs/data-model.md differs from influx.Schema(): run go test ./influx -run DataModel -update and read the diff")
}

// What is written is what the schema says: the server is asked for the tags, the fields and the types that it has.
func TestDataModelIsWhatIsWritten(t *testing.T) {
	server := influxtest.Start(t, influxtest.Options{})
	server.CreateBucket("b", 0)
	db := open(t, server, "b", influx.Options{})
	docs := append(results(t, 0, 1), influx.Document(historytest.Change(t, "a", historytest.Hour, result.Firing)),
		influx.Document(historytest.Hourly(0).Quality(t, historytest.Hour, 50)), influx.Document(historytest.Verdict(t, "canary", 0, 1, 0)),
		influx.Document(historytest.Hourly(0).Fairness(t, historytest.Hour, "sex")))
	mustWrite(t, db, docs)
	if err := db.WriteLines(t.Context(), influx.Health{}.Line(historytest.Hour)); err != nil {
		t.Fatal(err)
	}
	families := regexp.MustCompile(`<\w+>`)
	for _, m := range influx.Schema() {
		tags := column(t, server, "SHOW TAG KEYS FROM "+m.Name, 0)
		if !slices.Equal(tags, m.Tags) {
			t.Errorf("%s has the tags %v, the schema says %v", m.Name, tags, m.Tags)
		}
		names := column(t, server, "SHOW FIELD KEYS FROM "+m.Name, 0)
		types := column(t, server, "SHOW FIELD KEYS FROM "+m.Name, 1)
		for i, name := range names {
			if !slices.ContainsFunc(m.Fields, func(f influx.Field) bool {
				pattern := "^" + families.ReplaceAllString(f.Name, `[a-z0-9_]+`) + "$"
				return regexp.MustCompile(pattern).MatchString(name) && string(f.Type) == types[i]
			}) {
				t.Errorf("%s has the field %s of type %s, which the schema does not have", m.Name, name, types[i])
			}
			if slices.Contains(m.Tags, name) {
				t.Errorf("%s has a tag and a field %s: InfluxDB 3 refuses that", m.Name, name)
			}
		}
		for _, f := range m.Fields {
			if !strings.Contains(f.Name, "<") && !slices.Contains(names, f.Name) {
				t.Errorf("%s has no field %s, which the schema has", m.Name, f.Name)
			}
		}
	}
}

// column returns one column of an answer to SHOW.
func column(tb testing.TB, server *influxtest.Server, text string, i int) []string {
	tb.Helper()
	var out []string
	for _, row := range server.Rows("b", text) {
		out = append(out, fmt.Sprint(row[i]))
	}
	return out
}

// No statistic may take the name of another field of a feature, nor may two families meet.
func TestStatisticsHaveNamesOfTheirOwn(t *testing.T) {
	taken := map[string]string{}
	for _, m := range influx.Schema() {
		if m.Name == influx.MeasurementFeature {
			for _, f := range m.Fields {
				taken[f.Name] = "a field"
			}
		}
	}
	for _, name := range detectors.Names() {
		for _, suffix := range []string{"", influx.SuffixP, influx.SuffixLower, influx.SuffixUpper, influx.SuffixBaseline} {
			if by, ok := taken[name+suffix]; ok {
				t.Errorf("%s%s is the name of %s already", name, suffix, by)
			}
			taken[name+suffix] = name
		}
	}
}
