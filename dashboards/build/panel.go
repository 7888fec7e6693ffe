package main

import (
	"strconv"

	"github.com/grafana/grafana-foundation-sdk/go/barchart"
	sdkvariants "github.com/grafana/grafana-foundation-sdk/go/cog/variants"
	"github.com/grafana/grafana-foundation-sdk/go/common"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/heatmap"
	sdkprometheus "github.com/grafana/grafana-foundation-sdk/go/prometheus"
	"github.com/grafana/grafana-foundation-sdk/go/stat"
	"github.com/grafana/grafana-foundation-sdk/go/statushistory"
	"github.com/grafana/grafana-foundation-sdk/go/table"
	"github.com/grafana/grafana-foundation-sdk/go/text"
	"github.com/grafana/grafana-foundation-sdk/go/timeseries"
)

// kind is a visualisation of Grafana.
type kind string

const (
	lines   kind = "timeseries"
	number  kind = "stat"
	rows    kind = "table"
	history kind = "status-history"
	heat    kind = "heatmap"
	bars    kind = "barchart"
	words   kind = "text"
)

// panel is one panel of a dashboard, in every variant that it has queries for; a text has none.
type panel struct {
	kind    kind
	title   string
	about   string
	unit    string
	width   uint32 // of 24
	height  uint32
	limits  []limit
	level   bool // the values are verdicts
	zero    bool // the axis begins at zero
	asks    []map[variant]ask
	links   []link
	text    string   // of words
	xField  string   // of bars
	dated   bool     // of rows: each has a time
	columns []string // of rows in Prometheus: what the queries' values are called
}

// limit is a value from which on another colour holds.
type limit struct {
	from  float64
	color string
}

// link leads from a value to a dashboard (url begins with the dashboard's name, and gets the variant) or to driftd's page.
type link struct{ title, url string }

// influxQuery is a query of Grafana's data source for InfluxDB, and of its annotations. The SDK has none of its own.
type influxQuery struct {
	RefID        string                `json:"refId"`
	Datasource   *common.DataSourceRef `json:"datasource"`
	Query        string                `json:"query"`
	RawQuery     bool                  `json:"rawQuery,omitempty"`
	ResultFormat string                `json:"resultFormat,omitempty"`
	Alias        string                `json:"alias,omitempty"`

	FromAnnotations bool   `json:"fromAnnotations,omitempty"`
	Name            string `json:"name,omitempty"`
	TextColumn      string `json:"textColumn,omitempty"`
	TitleColumn     string `json:"titleColumn,omitempty"`
	TagsColumn      string `json:"tagsColumn,omitempty"`
}

func (influxQuery) ImplementsDataqueryVariant() {}
func (influxQuery) DataqueryType() string       { return "influxdb" }
func (influxQuery) Validate() error             { return nil }

func (q influxQuery) Equals(other sdkvariants.Dataquery) bool {
	o, ok := other.(influxQuery)
	return ok && q == o
}

// source is the data source that the dashboard's variable names.
func source(v variant) *common.DataSourceRef {
	kind := "influxdb"
	if v == prometheus {
		kind = "prometheus"
	}
	return &common.DataSourceRef{Type: &kind, Uid: new("${datasource}")}
}

func (a ask) target(v variant, ref string) sdkvariants.Dataquery {
	switch v {
	case flux:
		return influxQuery{RefID: ref, Datasource: source(v), Query: a.text}
	case influxQL:
		format := "time_series"
		if a.table {
			format = "table"
		}
		return influxQuery{RefID: ref, Datasource: source(v), Query: a.text, RawQuery: true, ResultFormat: format, Alias: a.alias}
	case prometheus:
	}
	format := sdkprometheus.PromQueryFormatTimeSeries
	if a.table {
		format = sdkprometheus.PromQueryFormatTable
	}
	q := sdkprometheus.Dataquery{
		RefId: &ref, Datasource: source(v), Expr: a.text, Format: &format, Instant: &a.table, Range: new(!a.table),
		EditorMode: new(sdkprometheus.QueryEditorModeCode),
	}
	if a.legend != "" {
		q.LegendFormat = &a.legend
	}
	return q
}

// has says whether the panel exists in a variant.
func (p panel) has(v variant) bool {
	for _, a := range p.asks {
		if _, ok := a[v]; ok {
			return true
		}
	}
	return p.kind == words
}

// draw returns the panel as Grafana has it.
func (p panel) draw(v variant, id uint32, at dashboard.GridPos) dashboard.Panel {
	out := dashboard.Panel{Type: string(p.kind), Id: &id, GridPos: &at, Title: &p.title, Transparent: new(false)}
	config := &dashboard.FieldConfigSource{Defaults: dashboard.FieldConfig{}, Overrides: []dashboard.DashboardFieldConfigSourceOverrides{}}
	out.FieldConfig = config
	if p.kind == words {
		out.Options = text.Options{Mode: text.TextModeMarkdown, Content: p.text}
		return out
	}
	out.Description, out.Datasource = &p.about, source(v)
	for i, a := range p.asks {
		if a, ok := a[v]; ok {
			out.Targets = append(out.Targets, a.target(v, string(rune('A'+i))))
		}
	}
	config.Defaults.Unit = &p.unit
	config.Defaults.Links = []dashboard.DashboardLink{}
	for _, l := range p.links {
		config.Defaults.Links = append(config.Defaults.Links, l.draw(v))
	}
	if p.zero {
		config.Defaults.Min = new(0.0)
	}
	if p.level {
		config.Defaults.Mappings, config.Defaults.Thresholds = verdicts(), steps(levels())
	}
	if len(p.limits) > 0 {
		config.Defaults.Thresholds = steps(p.limits)
	}
	p.look(&out)
	if p.kind == rows {
		config.Overrides = append(config.Overrides, columns()...)
		out.Transformations = p.tidied(v)
	}
	return out
}

// look sets what a visualisation looks like.
func (p panel) look(out *dashboard.Panel) {
	legend := common.VizLegendOptions{
		DisplayMode: common.LegendDisplayModeList, Placement: common.LegendPlacementBottom, ShowLegend: true, Calcs: []string{},
	}
	tooltip := common.VizTooltipOptions{Mode: common.TooltipDisplayModeMulti, Sort: common.SortOrderDescending}
	defaults := &out.FieldConfig.Defaults
	coloured := &dashboard.FieldColor{Mode: dashboard.FieldColorModeIdThresholds}
	switch p.kind {
	case lines:
		out.Options = timeseries.Options{Legend: legend, Tooltip: tooltip}
		custom := common.GraphFieldConfig{
			LineWidth: new(1.0), ShowPoints: new(common.VisibilityModeAuto), PointSize: new(4.0), SpanNulls: &common.BoolOrFloat64{Bool: new(true)},
		}
		if len(p.limits) > 0 {
			custom.ThresholdsStyle = &common.GraphThresholdsStyleConfig{Mode: common.GraphThresholdsStyleModeDashed}
		}
		defaults.Custom = custom
	case number:
		defaults.Color = coloured
		out.Options = stat.Options{
			GraphMode: common.BigValueGraphModeNone, ColorMode: common.BigValueColorModeValue, JustifyMode: common.BigValueJustifyModeAuto,
			TextMode: common.BigValueTextModeAuto, WideLayout: true, PercentChangeColorMode: common.PercentChangeColorModeStandard,
			Orientation: common.VizOrientationAuto, ReduceOptions: common.ReduceDataOptions{Values: new(false), Calcs: []string{"lastNotNull"}, Fields: new("")},
		}
	case history:
		defaults.Color = coloured
		defaults.Custom = statushistory.FieldConfig{FillOpacity: new(uint32(80)), LineWidth: new(uint32(1))}
		out.Options = statushistory.Options{RowHeight: 0.9, ShowValue: common.VisibilityModeNever, ColWidth: new(0.95), Legend: legend, Tooltip: tooltip}
	case heat:
		defaults.Custom = heatmap.FieldConfig{}
		out.Options = heatmap.Options{
			Calculate: new(false), ShowValue: common.VisibilityModeNever, CellGap: new(uint8(1)), CellValues: &heatmap.CellValues{Unit: &p.unit, Decimals: new(float32(3))},
			Color: heatmap.HeatmapColorOptions{
				Mode: new(heatmap.HeatmapColorModeScheme), Scheme: "Oranges", Fill: "dark-orange", Exponent: 0.5, Steps: 64, Reverse: false,
				Min: new(float32(0)), Max: new(float32(0.5)),
			},
			FilterValues: &heatmap.FilterValueRange{Le: new(float32(-1e9))}, // nothing is hidden: a debiased statistic may be below zero
			YAxis:        heatmap.YAxisConfig{AxisPlacement: new(common.AxisPlacementLeft)},
			Legend:       heatmap.HeatmapLegend{Show: true}, Exemplars: heatmap.ExemplarConfig{Color: "rgba(255,0,255,0.7)"},
			Tooltip: heatmap.HeatmapTooltip{Mode: common.TooltipDisplayModeSingle, ShowColorScale: new(true)},
		}
	case bars:
		defaults.Custom = barchart.FieldConfig{FillOpacity: new(int32(70)), LineWidth: new(int32(0))}
		out.Options = barchart.Options{
			XField: &p.xField, Orientation: common.VizOrientationAuto, XTickLabelRotation: -45, XTickLabelMaxLength: 24, Stacking: common.StackingModeNone,
			ShowValue: common.VisibilityModeNever, BarWidth: 0.9, GroupWidth: 0.8, Legend: legend, Tooltip: tooltip,
		}
	case rows:
		defaults.Custom = common.TableFieldOptions{Align: common.FieldTextAlignmentAuto, Inspect: false, Filterable: new(true)}
		out.Options = table.Options{FrameIndex: 0, ShowHeader: true}
	case words:
	}
}

func steps(of []limit) *dashboard.ThresholdsConfig {
	out := &dashboard.ThresholdsConfig{Mode: dashboard.ThresholdsModeAbsolute, Steps: []dashboard.Threshold{{Value: nil, Color: "green"}}}
	for _, l := range of {
		if l.from == lowest {
			out.Steps[0].Color = l.color
			continue
		}
		out.Steps = append(out.Steps, dashboard.Threshold{Value: &l.from, Color: l.color})
	}
	return out
}

const lowest = -1e308

// levels are the colours of verdicts.
func levels() []limit { return []limit{{lowest, "#8e8e8e"}, {0, "green"}, {1, "orange"}, {2, "red"}} }

// verdicts names the levels of a verdict.
func verdicts() []dashboard.ValueMapping {
	options := map[string]dashboard.ValueMappingResult{}
	for i, name := range []string{"insufficient", "stable", "warning", "drift"} {
		options[strconv.Itoa(i-1)] = dashboard.ValueMappingResult{Text: &name, Index: new(int32(i))}
	}
	return []dashboard.ValueMapping{{ValueMap: &dashboard.ValueMap{Type: dashboard.MappingTypeValueToText, Options: options}}}
}
