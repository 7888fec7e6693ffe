package main

import (
	"fmt"
	"slices"

	"github.com/grafana/grafana-foundation-sdk/go/dashboard"

	"github.com/driftd/driftd/influx"
)

// columns are the units and colours of a table's columns, by name.
func columns() []dashboard.DashboardFieldConfigSourceOverrides {
	property := func(id string, value any) dashboard.DynamicConfigValue {
		return dashboard.DynamicConfigValue{Id: id, Value: value}
	}
	cell := property("custom.cellOptions", map[string]any{"type": "color-background", "mode": "basic"})
	var out []dashboard.DashboardFieldConfigSourceOverrides
	for _, c := range []struct {
		names      []string
		properties []dashboard.DynamicConfigValue
	}{
		{[]string{influx.FieldLevel}, []dashboard.DynamicConfigValue{property("mappings", verdicts()), property("thresholds", steps(levels())), cell}},
		{[]string{influx.FieldDriftShare, influx.FieldErrorRate, missingRate}, []dashboard.DynamicConfigValue{property("unit", "percentunit")}},
		{[]string{influx.FieldThroughput}, []dashboard.DynamicConfigValue{property("unit", "cps")}},
		{[]string{endColumn}, []dashboard.DynamicConfigValue{property("unit", "dateTimeAsIso")}},
	} {
		for _, name := range c.names {
			out = append(out, dashboard.DashboardFieldConfigSourceOverrides{
				Matcher: dashboard.MatcherConfig{Id: "byName", Options: name}, Properties: slices.Clone(c.properties),
			})
		}
	}
	return out
}

// tidied names a table's columns as InfluxDB does, and leaves out what says nothing.
func (p panel) tidied(v variant) []dashboard.DataTransformerConfig {
	hidden, names := map[string]bool{}, map[string]string{}
	if !p.dated {
		hidden["Time"] = true
	}
	if v != prometheus {
		return []dashboard.DataTransformerConfig{{Id: "organize", Options: map[string]any{"excludeByName": hidden, "indexByName": map[string]int{}, "renameByName": names}}}
	}
	for _, name := range []string{"__name__", "job", "instance"} {
		hidden[name] = true
	}
	value := "Value"
	for i, name := range p.columns {
		if len(p.columns) > 1 {
			value = fmt.Sprintf("Value #%c", 'A'+i)
		}
		names[value] = name
	}
	return []dashboard.DataTransformerConfig{
		{Id: "merge", Options: map[string]any{}},
		{Id: "organize", Options: map[string]any{"excludeByName": hidden, "indexByName": map[string]int{}, "renameByName": names}},
	}
}
