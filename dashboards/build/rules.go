package main

import (
	"strings"

	"github.com/driftd/driftd/influx"
)

// rule is an alert that Grafana raises by itself, on data in InfluxDB.
type rule struct {
	uid, title, summary string
	seconds             string // how far back it looks
	query               string // one line for each subject
	op, than            string // what is wrong: gt 1.5
	pending             string
}

func rules() []rule {
	summary := func(field string) string {
		return pick(influx.MeasurementSummary, all(), field).from() +
			"  |> group(columns: [\"" + influx.TagModel + "\", \"" + influx.TagWindow + "\"])\n  |> sort(columns: [\"_time\"])\n  |> last()\n" +
			"  |> keep(columns: [\"_time\", \"_value\", \"" + influx.TagModel + "\", \"" + influx.TagWindow + "\"])"
	}
	return []rule{
		{
			uid: "driftd-model-drifts", title: "A model drifts", summary: "The newest window of {{ $labels.model }} ({{ $labels.window }}) says drift.",
			seconds: "172800", query: summary(influx.FieldLevel), op: "gt", than: "1.5", pending: "0s",
		},
		{
			uid: "driftd-model-errors", title: "A model answers with errors", summary: "More than 5 % of the newest window's events of {{ $labels.model }} failed.",
			seconds: "172800", query: summary(influx.FieldErrorRate), op: "gt", than: "0.05", pending: "0s",
		},
		{
			uid: "driftd-lag", title: "driftd does not keep up", summary: "Partition {{ $labels.partition }} is {{ $values.last.Value }} messages behind.", seconds: "600",
			query: pick(influx.MeasurementPipeline, nil, influx.FieldLag).from() + "  |> keep(columns: [\"_time\", \"_value\", \"" + influx.TagPartition + "\"])",
			op:    "gt", than: "10000", pending: "5m",
		},
	}
}

// ruleFile is the file that Grafana provisions the rules from.
func ruleFile() string {
	var b strings.Builder
	b.WriteString(`# Alert rules of Grafana on driftd's results in InfluxDB, for teams whose alerts live in Grafana. driftd's own alerts (Slack,
# Alertmanager, webhook: docs/alerting.md) know persistence, silences and significance; these look at the newest window alone.
# Written by go generate ./dashboards.
apiVersion: 1
groups:
  - orgId: 1
    name: driftd
    folder: driftd
    interval: 1m
    rules:
`)
	for _, r := range rules() {
		b.WriteString(`      - uid: ` + r.uid + `
        title: ` + r.title + `
        condition: wrong
        for: ` + r.pending + `
        noDataState: OK
        execErrState: Error
        labels:
          severity: warning
        annotations:
          summary: "` + r.summary + `"
        data:
          - refId: lines
            datasourceUid: driftd-flux
            relativeTimeRange:
              from: ` + r.seconds + `
              to: 0
            model:
              refId: lines
              query: |
` + indented(r.query, "                ") + `
          - refId: last
            datasourceUid: __expr__
            model:
              refId: last
              type: reduce
              reducer: last
              expression: lines
          - refId: wrong
            datasourceUid: __expr__
            model:
              refId: wrong
              type: threshold
              expression: last
              conditions:
                - evaluator:
                    type: ` + r.op + `
                    params: [` + r.than + `]
`)
	}
	return b.String()
}

func indented(text, by string) string { return by + strings.ReplaceAll(text, "\n", "\n"+by) }
