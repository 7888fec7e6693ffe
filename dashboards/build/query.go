package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/driftd/driftd/influx"
	"github.com/driftd/driftd/result"
)

// variant is what a dashboard asks, and in which language.
type variant string

// The variants of every dashboard.
const (
	flux       variant = "flux"
	influxQL   variant = "influxql"
	prometheus variant = "prometheus"
)

func variants() []variant { return []variant{flux, influxQL, prometheus} }

// ask is one query of a panel in one language.
type ask struct {
	text   string
	table  bool   // the answer is one table; else lines over time
	alias  string // InfluxQL: how a line is called
	legend string // Prometheus: how a line is called
}

// condition holds a tag to a variable of the dashboard, or to a value.
type condition struct {
	tag, value string
	variable   bool // value is the name of a variable
	multi      bool // … which may have several values
}

func is(tag, value string) condition {
	return condition{tag: tag, value: value, variable: false, multi: false}
}

// chosen holds a tag to the variable of its name.
func chosen(tag string) condition {
	return condition{tag: tag, value: tag, variable: true, multi: false}
}

// among holds a tag to the values of the variable of its name.
func among(tag string) condition { return condition{tag: tag, value: tag, variable: true, multi: true} }

// all is every version and every segment together.
func all() []condition {
	return []condition{is(influx.TagVersion, result.All), is(influx.TagSegment, result.All)}
}

func (c condition) flux() string {
	switch {
	case c.multi && c.variable:
		return fmt.Sprintf("contains(value: r.%s, set: [${%s:doublequote}])", c.tag, c.value)
	case c.multi:
		return fmt.Sprintf("r.%s =~ /^(%s)$/", c.tag, c.value)
	case c.variable:
		return fmt.Sprintf("r.%s == ${%s:doublequote}", c.tag, c.value)
	}
	return fmt.Sprintf("r.%s == %s", c.tag, strconv.Quote(c.value))
}

func (c condition) influxQL() string {
	switch {
	case c.multi && c.variable:
		return fmt.Sprintf("%q =~ /^${%s:regex}$/", c.tag, c.value)
	case c.multi:
		return fmt.Sprintf("%q =~ /^(%s)$/", c.tag, c.value)
	case c.variable:
		return fmt.Sprintf("%q = ${%s:singlequote}", c.tag, c.value)
	}
	return fmt.Sprintf("%q = '%s'", c.tag, c.value)
}

// selection is what is read of a measurement, in words that both languages of InfluxDB have. The names are the writer's.
type selection struct {
	measurement string
	where       []condition
	fields      []string
}

func pick(measurement string, where []condition, fields ...string) selection {
	return selection{measurement: measurement, where: where, fields: fields}
}

// asks are the queries of both languages of InfluxDB.
func asks(fluxText, qlText string, table bool, alias string) map[variant]ask {
	return map[variant]ask{
		flux:     {text: fluxText, table: table, alias: "", legend: ""},
		influxQL: {text: qlText, table: table, alias: alias, legend: ""},
	}
}

// from begins a Flux query: the points of the selection in the range of the dashboard.
func (s selection) from() string {
	fields := make([]string, 0, len(s.fields))
	for _, f := range s.fields {
		fields = append(fields, "r._field == "+strconv.Quote(f))
	}
	return "from(bucket: v.defaultBucket)\n  |> range(start: v.timeRangeStart, stop: v.timeRangeStop)\n  |> filter(fn: (r) => " +
		holds(s.measurement, s.where) + ")\n  |> filter(fn: (r) => " + strings.Join(fields, " or ") + ")\n"
}

// ql is an InfluxQL query for expressions.
func (s selection) ql(tail string, columns ...string) string {
	conditions := make([]string, 0, len(s.where)+1)
	for _, c := range s.where {
		conditions = append(conditions, c.influxQL())
	}
	text := fmt.Sprintf("SELECT %s FROM %q WHERE %s", strings.Join(columns, ", "), s.measurement, strings.Join(append(conditions, "$timeFilter"), " AND "))
	if tail != "" {
		text += " " + tail
	}
	return text
}

func quoted(names []string) []string {
	out := make([]string, 0, len(names))
	for _, n := range names {
		out = append(out, strconv.Quote(n))
	}
	return out
}

// lines are the fields over time, a line for each.
func (s selection) lines() map[variant]ask {
	return asks(s.from()+"  |> group()\n  |> pivot(rowKey: [\"_time\"], columnKey: [\"_field\"], valueColumn: \"_value\")\n"+
		fmt.Sprintf("  |> keep(columns: [\"_time\", %s])\n  |> sort(columns: [\"_time\"])", strings.Join(quoted(s.fields), ", ")),
		s.ql("", quoted(s.fields)...), false, "$col")
}

// linesBy is one field over time, a line for each value of a tag.
func (s selection) linesBy(tag string) map[variant]ask {
	return asks(s.from()+fmt.Sprintf("  |> group()\n  |> pivot(rowKey: [\"_time\"], columnKey: [%q], valueColumn: \"_value\")\n", tag)+
		"  |> drop(columns: [\"_start\", \"_stop\", \"_field\", \"_measurement\", "+strings.Join(quoted(s.tags(tag)), ", ")+"])\n  |> sort(columns: [\"_time\"])",
		s.ql(fmt.Sprintf("GROUP BY %q", tag), quoted(s.fields)...), false, "$tag_"+tag)
}

// rates is how fast a counter grows a second, a line for each value of a tag.
func (s selection) rates(tag string) map[variant]ask {
	return asks(s.from()+"  |> derivative(unit: 1s, nonNegative: true)\n"+
		fmt.Sprintf("  |> group()\n  |> pivot(rowKey: [\"_time\"], columnKey: [%q, \"_field\"], valueColumn: \"_value\")\n", tag)+
		"  |> drop(columns: [\"_start\", \"_stop\", \"_measurement\"])\n  |> sort(columns: [\"_time\"])",
		s.ql(fmt.Sprintf("GROUP BY %q", tag), derivatives(s.fields)...), false, "$tag_"+tag+" $col")
}

func derivatives(fields []string) []string {
	out := make([]string, 0, len(fields))
	for _, f := range fields {
		out = append(out, fmt.Sprintf("non_negative_derivative(%q, 1s) AS %q", f, f))
	}
	return out
}

// newest is the newest value of each field, a row for each combination of tags.
func (s selection) newest(tags ...string) map[variant]ask {
	last := make([]string, 0, len(s.fields))
	for _, f := range s.fields {
		last = append(last, fmt.Sprintf("last(%q) AS %q", f, f))
	}
	columns := append(quoted(tags), quoted(s.fields)...)
	return asks(s.pivoted()+fmt.Sprintf("  |> group(columns: [%s])\n  |> sort(columns: [\"_time\"])\n  |> last(column: %q)\n  |> group()\n"+
		"  |> keep(columns: [%s])\n  |> sort(columns: [%s])", strings.Join(quoted(tags), ", "), s.fields[0], strings.Join(columns, ", "), strings.Join(quoted(tags), ", ")),
		s.ql("GROUP BY "+strings.Join(quoted(tags), ", "), last...), true, "")
}

// pivoted has a column for each field, which may be of different types.
func (s selection) pivoted() string {
	return s.from() + "  |> pivot(rowKey: [\"_time\"], columnKey: [\"_field\"], valueColumn: \"_value\")\n"
}

// changes is a table of points, the newest first, with tags as columns.
func (s selection) changes(limit int, tags ...string) map[variant]ask {
	columns := append(quoted(tags), quoted(s.fields)...)
	return asks(s.pivoted()+fmt.Sprintf("  |> group()\n  |> keep(columns: [\"_time\", %s])\n  |> sort(columns: [\"_time\"], desc: true)\n  |> limit(n: %d)",
		strings.Join(columns, ", "), limit), s.ql(fmt.Sprintf("ORDER BY time DESC LIMIT %d", limit), columns...), true, "")
}

// overModels applies count or max to the newest value of a field of each model.
func (s selection) overModels(aggregate string) map[variant]ask {
	inner := s.ql(fmt.Sprintf("GROUP BY %q", influx.TagModel), fmt.Sprintf("last(%q) AS \"newest\"", s.fields[0]))
	return asks(s.from()+fmt.Sprintf("  |> group(columns: [%q])\n  |> sort(columns: [\"_time\"])\n  |> last()\n  |> group()\n  |> %s()\n  |> keep(columns: [\"_value\"])",
		influx.TagModel, aggregate), fmt.Sprintf("SELECT %s(\"newest\") AS \"value\" FROM (%s)", aggregate, inner), true, "")
}

// tags are the tags that the selection's lines would still carry, beside one.
func (s selection) tags(but string) []string {
	var out []string
	for _, m := range influx.Schema() {
		if m.Name == s.measurement {
			for _, t := range m.Tags {
				if t != but {
					out = append(out, t)
				}
			}
		}
	}
	return out
}

// values asks for the values of a tag, for a variable.
func values(v variant, measurement, tag string, where ...condition) string {
	if v == influxQL {
		conditions := make([]string, 0, len(where))
		for _, c := range where {
			conditions = append(conditions, c.influxQL())
		}
		text := fmt.Sprintf("SHOW TAG VALUES FROM %q WITH KEY = %q", measurement, tag)
		if len(where) > 0 {
			text += " WHERE " + strings.Join(conditions, " AND ")
		}
		return text
	}
	// v1.tagValues of 1.8 takes no time as its start.
	return "from(bucket: v.defaultBucket)\n  |> range(start: v.timeRangeStart, stop: v.timeRangeStop)\n" +
		fmt.Sprintf("  |> filter(fn: (r) => %s)\n  |> keep(columns: [%q])\n  |> group()\n  |> distinct(column: %q)", holds(measurement, where), tag, tag)
}

// holds is the condition of a Flux query: points of a measurement for which all conditions hold.
func holds(measurement string, where []condition) string {
	var b strings.Builder
	b.WriteString("r._measurement == " + strconv.Quote(measurement))
	for _, c := range where {
		b.WriteString(" and " + c.flux())
	}
	return b.String()
}

// series selects a metric of Prometheus by job and instance and by further matchers.
func series(metric string, matchers ...string) string {
	return metric + "{" + strings.Join(append([]string{`job=~"$job"`, `instance=~"$instance"`}, matchers...), ", ") + "}"
}

// prom is a query for Prometheus: lines over time, or with table the newest values.
func prom(text, legend string, table bool) ask {
	return ask{text: text, table: table, alias: "", legend: legend}
}

// with adds the query of Prometheus to those of InfluxDB.
func with(of map[variant]ask, p ask) map[variant]ask {
	of[prometheus] = p
	return of
}

func only(p ask) map[variant]ask { return map[variant]ask{prometheus: p} }
