package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/grafana/grafana-foundation-sdk/go/dashboard"

	"github.com/driftd/driftd/influx"
	"github.com/driftd/driftd/result"
)

const tagOfAll = "driftd"

// board is one dashboard in all its variants.
type board struct {
	name, title, about string
	from               string // the default range begins so long before now
	variables          []variable
	sections           []section
	alerts             []condition // which alerts are shown as annotations, of InfluxDB; nil: none
}

// section is a row of the dashboard with its panels.
type section struct {
	title  string
	panels []panel
}

// variable is one of the tags that a reader chooses; Prometheus has model, window, role and feature of them.
type variable struct {
	tag, label  string
	measurement string
	within      []condition // the variables before it that narrow it down
	multi       bool
	metric      string // of Prometheus, which has the label; empty: it has not
	first       string // what is chosen in the beginning
	numbers     bool   // the values are numbers, and the largest is chosen in the beginning

	choices []string // of InfluxDB: what there is to choose, where it is no tag but a part of the names of fields
}

// uid is a dashboard's address in Grafana, and the name of its file.
func uid(name string, v variant) string { return "driftd-" + name + "-" + string(v) }

func languages() map[variant]string {
	return map[variant]string{flux: "Flux", influxQL: "InfluxQL", prometheus: "Prometheus"}
}

// draw returns the dashboard of a variant.
func (b board) draw(v variant) dashboard.Dashboard { //nolint:staticcheck // the newer kind of dashboard needs Grafana 12
	d := dashboard.NewDashboard()
	d.Uid, d.Title, d.Description = new(uid(b.name, v)), new(fmt.Sprintf("driftd / %s (%s)", b.title, languages()[v])), &b.about
	d.Tags = []string{tagOfAll, string(v)}
	d.Editable, d.Timezone, d.Refresh = new(false), new("utc"), new("1m")
	d.GraphTooltip = new(dashboard.DashboardCursorSyncCrosshair)
	d.Time = &dashboard.DashboardDashboardTime{From: "now-" + b.from, To: "now"}
	d.Templating.List = b.templates(v)
	d.Annotations.List = b.annotations(v)
	d.Links = []dashboard.DashboardLink{
		{
			Title: "driftd's dashboards", Type: dashboard.DashboardLinkTypeDashboards, Icon: "external link", Tags: []string{tagOfAll, string(v)}, AsDropdown: true,
			IncludeVars: true, KeepTime: true,
		},
		{
			Title: "driftd's page", Type: dashboard.DashboardLinkTypeLink, Icon: "external link", Tooltip: "The page of driftd itself", Tags: []string{},
			Url: new("${driftd}/"), TargetBlank: true,
		},
	}
	d.Panels = b.panels(v)
	return *d
}

// panels lays out the panels that the variant has, from left to right and from top to bottom.
func (b board) panels(v variant) []dashboard.PanelOrRowPanel {
	var out []dashboard.PanelOrRowPanel
	id, y := uint32(0), uint32(0)
	for _, s := range b.sections {
		var shown []panel
		for _, p := range s.panels {
			if p.has(v) {
				shown = append(shown, p)
			}
		}
		if len(shown) == 0 {
			continue
		}
		id++
		out = append(out, dashboard.PanelOrRowPanel{RowPanel: &dashboard.RowPanel{
			Type: "row", Title: &s.title, Id: id, GridPos: &dashboard.GridPos{H: 1, W: 24, X: 0, Y: y}, Panels: []dashboard.Panel{},
		}})
		y++
		x, height := uint32(0), uint32(0)
		for _, p := range shown {
			if x+p.width > 24 {
				x, y, height = 0, y+height, 0
			}
			id++
			drawn := p.draw(v, id, dashboard.GridPos{H: p.height, W: p.width, X: x, Y: y})
			out = append(out, dashboard.PanelOrRowPanel{Panel: &drawn})
			x, height = x+p.width, max(height, p.height)
		}
		y += height
	}
	return out
}

func word(s string) dashboard.StringOrArrayOfString {
	return dashboard.StringOrArrayOfString{String: &s}
}

func option(value string) *dashboard.VariableOption {
	return &dashboard.VariableOption{Selected: new(true), Text: word(value), Value: word(value)}
}

// templates are the variables of a variant.
func (b board) templates(v variant) []dashboard.VariableModel {
	datasource := dashboard.VariableModel{
		Type: dashboard.VariableTypeDatasource, Name: "datasource", Label: new("Data source"), Query: &dashboard.StringOrMap{String: source(v).Type},
		Description: new("Where driftd's results are"), Regex: new(""), Hide: new(dashboard.VariableHideDontHide), Refresh: new(dashboard.VariableRefreshOnDashboardLoad),
		// As provisioning/datasources calls it; where there is none of this name, Grafana takes the first that fits.
		Current: &dashboard.VariableOption{Selected: new(true), Text: word("driftd (" + languages()[v] + ")"), Value: word("driftd-" + string(v))},
	}
	out := []dashboard.VariableModel{datasource}
	if v == prometheus {
		out = append(out,
			b.query(v, "job", "Job", "label_values(driftd_build_info, job)", true, ""),
			b.query(v, "instance", "Instance", `label_values(driftd_build_info{job=~"$job"}, instance)`, true, ""))
	}
	for _, x := range b.variables {
		text := ""
		switch {
		case v != prometheus && x.choices != nil:
			out = append(out, custom(x))
		case v != prometheus:
			text = values(v, x.measurement, x.tag, x.within...)
		case x.metric != "":
			matchers := make([]string, 0, len(x.within))
			for _, c := range x.within {
				matchers = append(matchers, matcher(c.tag))
			}
			text = fmt.Sprintf("label_values(%s, %s)", series(x.metric, matchers...), x.tag)
		}
		if text != "" {
			q := b.query(v, x.tag, x.label, text, x.multi, x.first)
			if x.numbers {
				q.Sort = new(dashboard.VariableSortNumericalDesc)
			}
			out = append(out, q)
		}
	}
	return append(out, dashboard.VariableModel{
		Type: dashboard.VariableTypeTextbox, Name: "driftd", Label: new("driftd's page"), Query: &dashboard.StringOrMap{String: new("http://127.0.0.1:8790")},
		Description: new("Where links to driftd's page lead: web.external_url of its configuration"), Current: option("http://127.0.0.1:8790"),
		Hide: new(dashboard.VariableHideDontHide),
	})
}

// query is a variable whose values the data source knows.
func (b board) query(v variant, name, label, text string, multi bool, first string) dashboard.VariableModel {
	m := dashboard.VariableModel{
		Type: dashboard.VariableTypeQuery, Name: name, Label: &label, Datasource: source(v), Definition: &text, Query: &dashboard.StringOrMap{String: &text},
		Refresh: new(dashboard.VariableRefreshOnTimeRangeChanged), Sort: new(dashboard.VariableSortAlphabeticalAsc), Multi: &multi, IncludeAll: &multi,
		Hide: new(dashboard.VariableHideDontHide), Regex: new(""),
	}
	if v == prometheus {
		m.Query = &dashboard.StringOrMap{Map: map[string]any{"query": text, "refId": "variable-" + name}}
	}
	switch {
	case multi && v == prometheus:
		m.AllValue = new(".+")
		m.Current = &dashboard.VariableOption{Selected: new(true), Text: word("All"), Value: word("$__all")}
	case multi:
		m.Current = &dashboard.VariableOption{Selected: new(true), Text: word("All"), Value: word("$__all")}
	case first != "":
		m.Current = option(first)
	}
	return m
}

// custom is a variable whose values are known.
func custom(x variable) dashboard.VariableModel {
	m := dashboard.VariableModel{
		Type: dashboard.VariableTypeCustom, Name: x.tag, Label: &x.label, Query: &dashboard.StringOrMap{String: new(strings.Join(x.choices, ","))},
		Multi: new(false), IncludeAll: new(false), Hide: new(dashboard.VariableHideDontHide), Current: option(x.first),
	}
	for _, c := range x.choices {
		m.Options = append(m.Options, dashboard.VariableOption{Selected: new(c == x.first), Text: word(c), Value: word(c)})
	}
	return m
}

// matcher holds a label of Prometheus to the variable of its name.
func matcher(tag string) string { return fmt.Sprintf(`%s=~"$%s"`, tag, tag) }

// annotations show incidents where they fired and where they were over.
func (b board) annotations(v variant) []dashboard.AnnotationQuery {
	if b.alerts == nil {
		return []dashboard.AnnotationQuery{}
	}
	a := dashboard.AnnotationQuery{Name: "Alerts", Datasource: source(v), Enable: true, Hide: new(false), IconColor: "red"}
	states := string(result.Firing) + "|" + string(result.Resolved)
	where := append(slices.Clone(b.alerts), condition{tag: influx.TagState, value: states, variable: false, multi: true})
	switch v {
	case flux:
		a.Target = influxQuery{RefID: "Anno", Datasource: source(v), Query: pick(influx.MeasurementAlert, where, influx.FieldTitle).from() +
			"  |> group()\n" +
			"  |> map(fn: (r) => ({time: r._time, title: r." + influx.TagRule + ", text: r._value, tags: r." + influx.TagState + "}))\n  |> sort(columns: [\"time\"])"}
	case influxQL:
		text := pick(influx.MeasurementAlert, where, influx.FieldTitle).ql("", quoted([]string{influx.FieldTitle, influx.TagRule, influx.TagState})...)
		a.Target = influxQuery{
			RefID: "Anno", Datasource: source(v), Query: text, RawQuery: true, ResultFormat: "table", FromAnnotations: true, Name: a.Name,
			TextColumn: influx.FieldTitle, TitleColumn: influx.TagRule, TagsColumn: influx.TagState,
		}
	case prometheus:
		a.Expr = new(`ALERTS{alertname=~"Driftd.+", alertstate="firing", model=~"$model"}`)
		a.TitleFormat, a.TextFormat, a.TagKeys, a.Step = new("{{alertname}}"), new("{{model}} {{feature}}"), new("severity,window"), new("60s")
	}
	return []dashboard.AnnotationQuery{a}
}

// draw returns the link as Grafana has it. A link to a dashboard goes to the one of the same variant.
func (l link) draw(v variant) dashboard.DashboardLink {
	url := l.url
	if name, query, ok := strings.Cut(l.url, "?"); ok && !strings.HasPrefix(l.url, "$") {
		url = "/d/" + uid(name, v) + "?" + query + "&${datasource:queryparam}&${driftd:queryparam}&${__url_time_range}"
	}
	return dashboard.DashboardLink{Title: l.title, Type: dashboard.DashboardLinkTypeLink, Url: &url, Tags: []string{}, TargetBlank: strings.HasPrefix(l.url, "$")}
}
