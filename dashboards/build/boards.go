package main

import (
	"fmt"
	"maps"

	"github.com/driftd/driftd/influx"
)

// Names of columns that only Prometheus has, or that are statistics.
const (
	endColumn   = "window_end"
	missingRate = "missing_rate"
	gateName    = "driftd_feature_gate"
)

// Colours that mean the same everywhere.
const (
	orange = "orange"
	red    = "red"
)

// driftShares are the limits of the share of drifting features: its default is what makes a model drift.
func driftShares() []limit { return []limit{{0.25, orange}, {0.5, red}} }

func boards() []board { return []board{fleet(), model(), feature(), pipeline()} }

func one(m map[variant]ask) []map[variant]ask { return []map[variant]ask{m} }

// quantile is the field of a quantile.
func quantile(p string) string { return p + influx.FieldMSOf }

// fleet shows all models beside each other.
func fleet() board {
	where := append(all(), among(influx.TagModel), among(influx.TagWindow))
	matchers := []string{matcher(influx.TagModel), matcher(influx.TagWindow)}
	summary := func(fields ...string) selection { return pick(influx.MeasurementSummary, where, fields...) }
	toModel := []link{
		{"Open the model", "model?var-model=${__data.fields.model}&var-window=${__data.fields.window}"},
		{"Open driftd's page of the model", "${driftd}/models/${__data.fields.model}"},
	}
	legend := "{{model}} {{window}}"
	return board{
		name: "fleet", title: "Fleet", from: "7d", alerts: []condition{among(influx.TagModel)},
		about: "All models that driftd watches: which of them drift, how much, and how much traffic they have. All versions and segments together.",
		variables: []variable{
			{tag: influx.TagModel, label: "Model", measurement: influx.MeasurementSummary, within: nil, multi: true, metric: "driftd_model_events", first: "", numbers: false, choices: nil},
			{tag: influx.TagWindow, label: "Window", measurement: influx.MeasurementSummary, within: nil, multi: true, metric: "driftd_model_events", first: "", numbers: false, choices: nil},
		},
		sections: []section{
			{"Now", []panel{
				{
					kind: number, title: "Models", unit: "short", width: 4, height: 4, zero: true,
					about: "How many models had a window in the time that is shown.",
					asks:  one(with(summary(influx.FieldLevel).overModels("count"), prom("count(count by (model) ("+series("driftd_model_events", matchers...)+"))", "", true))),
				},
				{
					kind: number, title: "Worst verdict", unit: "none", width: 4, height: 4, level: true,
					about: "The worst verdict that the newest window of any model has.",
					asks:  one(with(summary(influx.FieldLevel).overModels("max"), prom("max("+series("driftd_model_verdict_level", matchers...)+")", "", true))),
				},
				{
					kind: number, title: "Largest share of drifting features", unit: "percentunit", width: 4, height: 4, limits: driftShares(),
					about: "Of all models' newest windows, the largest share of judged features that drift.",
					asks:  one(with(summary(influx.FieldDriftShare).overModels("max"), prom("max("+series("driftd_model_drift_share", matchers...)+")", "", true))),
				},
				{
					kind: words, title: "Where to go", width: 12, height: 4,
					text: "A click on a model leads to its dashboard, and from there to its features. Verdicts: `drift` 2, `warning` 1, `stable` 0, `insufficient` -1. " +
						"What they mean, and what to do: [driftd's page](${driftd}/).",
				},
				{
					kind: rows, title: "Models", unit: "short", width: 24, height: 9, links: toModel,
					about: "What the newest window of each model and size of window said. A click leads to the model.",
					asks: tableOf(summary(influx.FieldLevel, influx.FieldDriftShare, influx.FieldEvents, influx.FieldErrorRate, influx.FieldThroughput).
						newest(influx.TagModel, influx.TagWindow), []string{
						"driftd_model_verdict_level", "driftd_model_drift_share", "driftd_model_events", "driftd_model_error_ratio", "driftd_model_throughput_hz",
					}, matchers),
					columns: []string{influx.FieldLevel, influx.FieldDriftShare, influx.FieldEvents, influx.FieldErrorRate, influx.FieldThroughput},
				},
			}},
			{"Over time", []panel{
				{
					kind: history, title: "Verdicts of models", unit: "none", width: 24, height: 8, level: true,
					about: "The verdict of each window of each model.",
					asks:  one(with(summary(influx.FieldLevel).linesBy(influx.TagModel), prom(series("driftd_model_verdict_level", matchers...), legend, false))),
				},
				{
					kind: lines, title: "Share of drifting features", unit: "percentunit", width: 12, height: 8, zero: true, limits: driftShares(),
					about: "The share of judged features that drift, of each model.",
					asks:  one(with(summary(influx.FieldDriftShare).linesBy(influx.TagModel), prom(series("driftd_model_drift_share", matchers...), legend, false))),
				},
				{
					kind: lines, title: "Throughput", unit: "cps", width: 12, height: 8, zero: true,
					about: "Events a second of each model, over the window.",
					asks:  one(with(summary(influx.FieldThroughput).linesBy(influx.TagModel), prom(series("driftd_model_throughput_hz", matchers...), legend, false))),
				},
			}},
			{"Alerts", []panel{{
				kind: rows, title: "Changes of incidents", unit: "short", width: 24, height: 9, dated: true, links: []link{{"Open driftd's alerts", "${driftd}/alerts"}},
				about: "What fired and what was over, the newest first.",
				asks: one(pick(influx.MeasurementAlert, []condition{among(influx.TagModel)}, influx.FieldTitle, influx.FieldSeverity, influx.FieldValue, influx.FieldThreshold).
					changes(100, influx.TagModel, influx.TagRule, influx.TagState, influx.TagFeature)),
			}}},
		},
	}
}

// tableOf is a table of InfluxDB in one query, of Prometheus in one for each metric.
func tableOf(of map[variant]ask, metrics, matchers []string) []map[variant]ask {
	out := make([]map[variant]ask, 0, len(metrics))
	for _, m := range metrics {
		out = append(out, only(prom(series(m, matchers...), "", true)))
	}
	maps.Copy(out[0], of)
	return out
}

// chosenModel are the variables of a model's dashboard: all but the feature.
func chosenModel(metric string) []variable {
	m := []condition{chosen(influx.TagModel)}
	return []variable{
		{tag: influx.TagModel, label: "Model", measurement: influx.MeasurementSummary, within: nil, multi: false, metric: metric, first: "", numbers: false, choices: nil},
		{tag: influx.TagVersion, label: "Version", measurement: influx.MeasurementSummary, within: m, multi: false, metric: "", first: "*", numbers: false, choices: nil},
		{tag: influx.TagSegment, label: "Segment", measurement: influx.MeasurementSummary, within: m, multi: false, metric: "", first: "*", numbers: false, choices: nil},
		{tag: influx.TagWindow, label: "Window", measurement: influx.MeasurementSummary, within: m, multi: false, metric: metric, first: "", numbers: false, choices: nil},
	}
}

func ofModel() []condition {
	return []condition{chosen(influx.TagModel), chosen(influx.TagVersion), chosen(influx.TagSegment), chosen(influx.TagWindow)}
}

// model shows one model.
func model() board {
	matchers := []string{matcher(influx.TagModel), matcher(influx.TagWindow)}
	summary := func(fields ...string) selection { return pick(influx.MeasurementSummary, ofModel(), fields...) }
	latency := func(fields ...string) selection { return pick(influx.MeasurementLatency, ofModel(), fields...) }
	features := func(fields ...string) selection { return pick(influx.MeasurementFeature, ofModel(), fields...) }
	toFeature := []link{
		{"Open the feature", "feature?${model:queryparam}&${version:queryparam}&${segment:queryparam}&${window:queryparam}&var-feature=${__field.name:percentencode}"},
		{"Open driftd's page of the feature", "${driftd}/models/${model:percentencode}/features/${__field.name:percentencode}"},
	}
	quantiles := []struct{ name, q string }{{"p50", "0.5"}, {"p95", "0.95"}, {"p99", "0.99"}}
	service := make([]map[variant]ask, 0, 2*len(quantiles))
	for i, p := range quantiles {
		now := map[variant]ask{prometheus: prom(series("driftd_model_latency_seconds", append(matchers, fmt.Sprintf("q=%q", p.q))...)+" * 1000", p.name, false)}
		before := map[variant]ask{
			prometheus: prom(series("driftd_model_latency_reference_seconds", append(matchers, fmt.Sprintf("q=%q", p.q))...)+" * 1000", "reference "+p.name, false),
		}
		if i == 0 {
			maps.Copy(now, latency(quantile("p50"), quantile("p95"), quantile("p99"), influx.FieldRefOf+quantile("p50"), influx.FieldRefOf+quantile("p95"),
				influx.FieldRefOf+quantile("p99")).lines())
		}
		service = append(service, now, before)
	}
	ratio := influx.FieldRatioOf + "p95"
	ratios := with(latency(ratio, ratio+influx.SuffixLower, ratio+influx.SuffixUpper).lines(), prom(
		series("driftd_model_latency_seconds", append(matchers, `q="0.95"`)...)+" / "+series("driftd_model_latency_reference_seconds", append(matchers, `q="0.95"`)...),
		"p95", false))
	return board{
		name: "model", title: "Model", from: "7d", alerts: []condition{chosen(influx.TagModel)}, variables: append(chosenModel("driftd_model_events"), ofQuality()...),
		about: "One model: which features drift and since when, its latency against the reference, its traffic, errors and labels, and how right it is.",
		sections: []section{
			{"Now", []panel{
				{
					kind: number, title: "Verdict", unit: "none", width: 6, height: 4, level: true,
					about: "What the newest window says.",
					asks:  one(with(summary(influx.FieldLevel).lines(), prom(series("driftd_model_verdict_level", matchers...), "", true))),
				},
				{
					kind: number, title: "Share of drifting features", unit: "percentunit", width: 6, height: 4, limits: driftShares(),
					about: "Judged features that drift, over all that were judged, by their weight, in the newest window.",
					asks:  one(with(summary(influx.FieldDriftShare).lines(), prom(series("driftd_model_drift_share", matchers...), "", true))),
				},
				{
					kind: number, title: "Events", unit: "short", width: 6, height: 4,
					about: "Prediction events of the newest window.",
					asks:  one(with(summary(influx.FieldEvents).lines(), prom(series("driftd_model_events", matchers...), "", true))),
				},
				{
					kind: number, title: "Labels", unit: "short", width: 6, height: 4,
					about: "Labels whose own time lies in the newest window.",
					asks:  one(with(summary(influx.FieldLabels).lines(), prom(series("driftd_model_labels", matchers...), "", true))),
				},
			}},
			{"Features", []panel{
				{
					kind: heat, title: "How far features have moved", unit: "none", width: 24, height: 10, links: toFeature,
					about: "The statistic that each feature is judged by, over time: the darker, the further from the reference. A click leads to the feature. " +
						"In Prometheus it needs web.metrics.features.",
					asks: one(with(features(influx.FieldGateValue).linesBy(influx.TagFeature), prom(series(gateName, matchers...), "{{feature}}", false))),
				},
				{
					kind: history, title: "Verdicts of features", unit: "none", width: 24, height: 10, level: true, links: toFeature,
					about: "The verdict of each feature in each window. In Prometheus it needs web.metrics.features.",
					asks:  one(with(features(influx.FieldLevel).linesBy(influx.TagFeature), prom(series("driftd_feature_verdict_level", matchers...), "{{feature}}", false))),
				},
				{
					kind: lines, title: "Share of drifting features over time", unit: "percentunit", width: 12, height: 8, zero: true, limits: driftShares(),
					about: "Judged features that drift, over all that were judged, by their weight. The upper line is the default from which on the model drifts.",
					asks:  one(with(summary(influx.FieldDriftShare).lines(), prom(series("driftd_model_drift_share", matchers...), "drift_share", false))),
				},
				{
					kind: lines, title: "Missing values", unit: "percentunit", width: 12, height: 8, zero: true,
					about: "Missing values of each feature, over all events. In Prometheus it needs web.metrics.features.",
					asks:  one(with(features(missingRate).linesBy(influx.TagFeature), prom(series("driftd_feature_missing_ratio", matchers...), "{{feature}}", false))),
				},
			}},
			{"Service", []panel{
				{
					kind: lines, title: "Latency against the reference", unit: "ms", width: 12, height: 8, zero: true,
					about: "The median, the 95th and the 99th percentile of the service time, beside those of the reference; with a relative error of at most 1 %.",
					asks:  service,
				},
				{
					kind: lines, title: "Latency over the reference's, p95", unit: "none", width: 12, height: 8, zero: true, limits: []limit{{1.5, orange}, {2, red}},
					about: "The 95th percentile over that of the reference, in InfluxDB with its 99.9 % interval.",
					asks:  one(ratios),
				},
				{
					kind: lines, title: "Throughput", unit: "cps", width: 8, height: 8, zero: true,
					about: "Events a second, over the window.",
					asks:  one(with(summary(influx.FieldThroughput).lines(), prom(series("driftd_model_throughput_hz", matchers...), "throughput_hz", false))),
				},
				{
					kind: lines, title: "Errors", unit: "percentunit", width: 8, height: 8, zero: true,
					about: "Events whose status is not a success, over all events.",
					asks:  one(with(summary(influx.FieldErrorRate).lines(), prom(series("driftd_model_error_ratio", matchers...), "error_rate", false))),
				},
				{
					kind: lines, title: "Events and labels", unit: "short", width: 8, height: 8, zero: true,
					about: "Prediction events of each window, and labels whose own time lies in it.",
					asks: []map[variant]ask{
						with(summary(influx.FieldEvents, influx.FieldLabels).lines(), prom(series("driftd_model_events", matchers...), "events", false)),
						only(prom(series("driftd_model_labels", matchers...), "labels", false)),
					},
				},
				{
					kind: lines, title: "Records that were not counted as they came", unit: "short", width: 12, height: 8, zero: true,
					about: "Records that came too late, that repeated an id, that were dead-lettered, and messages that were lost.",
					asks:  one(summary(influx.FieldLate, influx.FieldDuplicate, influx.FieldRejected, influx.FieldLost).lines()),
				},
				{
					kind: number, title: "Complete", unit: "bool_yes_no", width: 12, height: 8, limits: []limit{{lowest, red}, {1, "green"}},
					about: "Whether no input of the last final window was lost.",
					asks:  one(only(prom(series("driftd_model_complete", matchers...), "", true))),
				},
			}},
			rightness(),
		},
	}
}

// chosenMetric is the metric of quality that is chosen, as a part of the names of fields and as a label of Prometheus.
const (
	chosenMetric = "${metric:raw}"
	metricLabel  = "metric"
)

// qualityMetrics are the metrics to choose from: the first ones of each task, and those of probabilities. TestQualityIsChosenFromWhatIsMeasured holds them to
// package quality.
func qualityMetrics() []string {
	return []string{
		"accuracy", "balanced_accuracy", "precision", "recall", "specificity", "f1", "macro_f1", "mcc", "roc_auc", "macro_roc_auc", "average_precision",
		"log_loss", "brier", "ece", "mae", "rmse", "bias", "mape", "r2",
	}
}

// ofQuality are the variables of the panels about quality.
func ofQuality() []variable {
	return []variable{
		{
			tag: influx.TagMaturity, label: "Labels waited for (ms)", measurement: influx.MeasurementQuality, within: []condition{chosen(influx.TagModel)}, multi: false,
			metric: "", first: "", numbers: true, choices: nil,
		},
		{
			tag: metricLabel, label: "Metric of quality", measurement: "", within: nil, multi: false, metric: "driftd_model_quality", first: "accuracy", numbers: false,
			choices: qualityMetrics(),
		},
	}
}

// rightness is the section of a model's dashboard about its quality.
func rightness() section {
	matured := func(fields ...string) selection {
		return pick(influx.MeasurementQuality, append(ofModel(), chosen(influx.TagMaturity)), fields...)
	}
	atOnce := func(fields ...string) selection {
		return pick(influx.MeasurementQuality, append(ofModel(), is(influx.TagMaturity, "0")), fields...)
	}
	band := func(name string) []string {
		return []string{name, name + influx.SuffixLower, name + influx.SuffixUpper}
	}
	matchers := []string{matcher(influx.TagModel), matcher(influx.TagWindow)}
	measured := []string{matchers[0], matchers[1], matcher(metricLabel)}
	baseline := "label_replace(" + series("driftd_model_quality_reference", measured...) + `, "of", "reference", "", "")`
	delay := func(q string) string {
		return series("driftd_model_label_delay_seconds", append(matchers[:2:2], fmt.Sprintf("q=%q", q))...) + " * 1000"
	}
	estimate := influx.EstimateOf + chosenMetric
	return section{"Quality", []panel{
		{
			kind: number, title: "Quality", unit: "none", width: 4, height: 8,
			about: "The chosen metric in the newest window that has it.",
			asks:  one(with(matured(chosenMetric).lines(), prom(series("driftd_model_quality", measured...), "", true))),
		},
		{
			kind: lines, title: "Quality over time", unit: "none", width: 10, height: 8,
			about: "The chosen metric with its 95 % interval, and the reference's where it has labels, as far as labels had come at the chosen maturity. " +
				"A window that lost labels looks better or worse than it is: see the coverage.",
			asks: []map[variant]ask{
				with(matured(append(band(chosenMetric), influx.BaselineOf+chosenMetric)...).lines(),
					prom(series("driftd_model_quality", measured...)+" or "+baseline, "{{metric}} {{of}}", false)),
				only(prom(series("driftd_model_quality_bound", measured...), "{{metric}} {{bound}}", false)),
			},
		},
		{
			kind: lines, title: "Estimated without labels, and measured", unit: "none", width: 10, height: 8,
			about: "What the chosen metric should be, estimated from the probabilities when the window closed, with its band; and what labels said later. Metrics " +
				"without an estimate, such as those of a regression, have the second line alone.",
			asks: []map[variant]ask{
				with(atOnce(band(estimate)...).lines(), prom(series("driftd_model_quality_estimate", measured...), "estimate", false)),
				with(matured(chosenMetric).lines(), prom(series("driftd_model_quality", measured...), "measured", false)),
				only(prom(series("driftd_model_quality_estimate_bound", measured...), "estimate {{bound}}", false)),
			},
		},
		{
			kind: number, title: "Label coverage", unit: "percentunit", width: 4, height: 8,
			about: "Labels over predictions, in the newest window of the chosen maturity.",
			asks:  one(with(matured(influx.FieldCoverage).lines(), prom(series("driftd_model_label_coverage_ratio", matchers...), "", true))),
		},
		{
			kind: lines, title: "Label coverage over time", unit: "percentunit", width: 10, height: 8, zero: true,
			about: "Labels over predictions of each window. A fall comes first: a feed that loses the failures looks like a better model.",
			asks:  one(with(matured(influx.FieldCoverage).lines(), prom(series("driftd_model_label_coverage_ratio", matchers...), "coverage", false))),
		},
		{
			kind: lines, title: "Delay of labels", unit: "ms", width: 10, height: 8, zero: true,
			about: "From a prediction to its label: the median and the 95th percentile of the labels that had come.",
			asks: []map[variant]ask{
				with(matured(influx.FieldDelayP50, influx.FieldDelayP95).lines(), prom(delay("0.5"), "p50", false)),
				only(prom(delay("0.95"), "p95", false)),
			},
		},
		{
			kind: lines, title: "Predictions and their labels", unit: "short", width: 24, height: 8, zero: true,
			about: "Predictions of each window, labels that came for them, labels that corrected an earlier one, labels without a prediction, and predictions that could not wait.",
			asks:  one(matured(influx.FieldPredictions, influx.FieldLabels, influx.FieldCorrected, influx.FieldUnmatched, influx.FieldEvicted).lines()),
		},
	}}
}

// feature shows one feature.
func feature() board {
	where := append(ofModel(), chosen(influx.TagRole), chosen(influx.TagFeature))
	matchers := []string{matcher(influx.TagModel), matcher(influx.TagWindow), matcher(influx.TagRole), matcher(influx.TagFeature)}
	of := func(fields ...string) selection { return pick(influx.MeasurementFeature, where, fields...) }
	variables := append(chosenModel(gateName),
		variable{
			tag: influx.TagRole, label: "Role", measurement: influx.MeasurementFeature, within: []condition{chosen(influx.TagModel)}, multi: false, metric: gateName, first: "feature", numbers: false, choices: nil,
		},
		variable{
			tag: influx.TagFeature, label: "Feature", measurement: influx.MeasurementFeature, within: []condition{chosen(influx.TagModel), chosen(influx.TagRole)}, multi: false,
			metric: gateName, first: "", numbers: false, choices: nil,
		})
	onPage := []link{{"Open driftd's page of the feature", "${driftd}/models/${model:percentencode}/features/${feature:percentencode}?${role:queryparam}"}}
	threshold := func(level string) ask {
		return prom(series("driftd_feature_threshold", append(matchers, fmt.Sprintf("level=%q", level))...), "threshold_"+level, false)
	}
	return board{
		name: "feature", title: "Feature", from: "7d", alerts: []condition{chosen(influx.TagModel)}, variables: variables,
		about: "One feature, or one part of the prediction: both distributions, the statistics with their thresholds, and what is missing. " +
			"In Prometheus it needs web.metrics.features, and has no distributions.",
		sections: []section{
			{"Now", []panel{
				{
					kind: number, title: "Verdict", unit: "none", width: 6, height: 4, level: true, links: onPage,
					about: "What the newest window says of the feature.",
					asks:  one(with(of(influx.FieldLevel).lines(), prom(series("driftd_feature_verdict_level", matchers...), "", true))),
				},
				{
					kind: number, title: "Statistic", unit: "none", width: 6, height: 4, links: onPage,
					about: "The value of the statistic that the feature is judged by, in the newest window.",
					asks:  one(with(of(influx.FieldGateValue).lines(), prom(series(gateName, matchers...), "", true))),
				},
				{
					kind: number, title: "Missing", unit: "percentunit", width: 6, height: 4,
					about: "Missing values over all events of the newest window.",
					asks:  one(with(of(missingRate).lines(), prom(series("driftd_feature_missing_ratio", matchers...), "", true))),
				},
				{
					kind: number, title: "Values", unit: "short", width: 6, height: 4,
					about: "Values in the distribution of the newest window; a verdict needs at least n_min of them.",
					asks:  one(of(influx.FieldN).lines()),
				},
				{
					kind: bars, title: "Both distributions", unit: "percentunit", width: 24, height: 9, xField: influx.FieldLabel,
					about: "The bins of the newest window beside those of the reference, each as a share of all. store.influxdb.histograms: false leaves them out.",
					asks:  one(pick(influx.MeasurementHistogram, where, influx.FieldLabel, influx.FieldShareReference, influx.FieldShareCurrent).newest(influx.TagBin)),
				},
			}},
			{"Statistics", []panel{
				{
					kind: lines, title: "The statistic that judges, with its thresholds", unit: "none", width: 24, height: 8, links: onPage,
					about: "The value that the verdict is taken by. Above threshold_warning it warns, above threshold_drift it is drift, where it is significant.",
					asks: []map[variant]ask{
						with(of(influx.FieldGateValue, influx.FieldThresholdWarning, influx.FieldThresholdDrift).lines(), prom(series(gateName, matchers...), "{{statistic}}", false)),
						only(threshold("warning")), only(threshold("drift")),
					},
				},
				{
					kind: lines, title: "Significance", unit: "none", width: 12, height: 8, zero: true, limits: []limit{{lowest, red}, {0.01, "green"}},
					about: "The q-value: the p-value of the statistic that judges, adjusted over the model's features. Below 0.01, the default, an effect counts.",
					asks:  one(with(of(influx.FieldQValue).lines(), prom(series("driftd_feature_q_value", matchers...), "q_value", false))),
				},
				{
					kind: lines, title: "Further statistics", unit: "none", width: 12, height: 8,
					about: "Distances that driftd computes by default, none of which is at home on another's scale; docs/statistics.md says what each measures.",
					asks:  one(of("psi", "psi_debiased", "js", "hellinger", "ks").lines()),
				},
			}},
			{"Values", []panel{
				{
					kind: lines, title: "Location", unit: "none", width: 12, height: 8,
					about: "Mean and median of each window, and of the reference. A categorical feature has none.",
					asks:  one(of(influx.FieldMean, influx.FieldMedian, influx.FieldRefMean, influx.FieldRefMedian).lines()),
				},
				{
					kind: lines, title: "Rates", unit: "percentunit", width: 12, height: 8, zero: true,
					about: "Missing and invalid values, values that the reference has not seen and values out of its range, over all, and how many were missing in the reference.",
					asks: one(with(of(missingRate, missingRate+influx.SuffixBaseline, "invalid_rate", "other_rate", "out_of_range_rate").lines(),
						prom(series("driftd_feature_missing_ratio", matchers...), missingRate, false))),
				},
			}},
		},
	}
}

// pipeline shows how driftd itself does.
func pipeline() board {
	health := func(fields ...string) selection {
		return pick(influx.MeasurementPipeline, []condition{among(influx.TagPartition)}, fields...)
	}
	rate := func(metric, by string) string {
		return fmt.Sprintf("sum by (%s) (rate(%s[$__rate_interval]))", by, series(metric))
	}
	byPartition := func(metric string) string { return series(metric, matcher(influx.TagPartition)) }
	partitions := "partition {{partition}}"
	backlog := []limit{{1000, orange}, {10_000, red}}
	return board{
		name: "pipeline", title: "Pipeline", from: "6h", alerts: nil,
		about: "How driftd itself does: whether it keeps up, what it refused, whether its store and receivers take what it has to say.",
		variables: []variable{
			{tag: influx.TagPartition, label: "Partition", measurement: influx.MeasurementPipeline, within: nil, multi: true, metric: "driftd_partition_owner", first: "", numbers: false, choices: nil},
		},
		sections: []section{
			{"Now", []panel{
				{
					kind: number, title: "Lag", unit: "short", width: 6, height: 4, limits: backlog,
					about: "Messages that are stored and not committed yet. More than 10,000 raise the alert lag.",
					asks:  one(with(health(influx.FieldLag).lines(), prom("sum("+byPartition("driftd_pipeline_lag_messages")+")", "", true))),
				},
				{
					kind: number, title: "Waiting for the store", unit: "short", width: 6, height: 4, limits: backlog,
					about: "Documents in the outbox that the store has not taken yet.",
					asks:  one(health(influx.FieldPending).lines()),
				},
				{
					kind: number, title: "Store", unit: "bool_on_off", width: 6, height: 4, limits: []limit{{lowest, red}, {1, "green"}},
					about: "Whether the store takes results.",
					asks:  one(only(prom("min("+series("driftd_store_up")+")", "", true))),
				},
				{
					kind: number, title: "Alerts about driftd", unit: "short", width: 6, height: 4, limits: []limit{{1, red}},
					about: "How many alerts about driftd itself fire.",
					asks:  one(only(prom("sum("+series("driftd_alert")+")", "", true))),
				},
				{
					kind: number, title: "Partitions", unit: "short", width: 6, height: 4,
					about: "Partitions that some daemon works on.",
					asks:  one(only(prom("sum("+byPartition("driftd_partition_owner")+")", "", true))),
				},
			}},
			{"Input", []panel{
				{
					kind: lines, title: "Lag over time", unit: "short", width: 12, height: 8, zero: true, limits: backlog,
					about: "Messages of each partition that are stored and not committed yet.",
					asks:  one(with(health(influx.FieldLag).linesBy(influx.TagPartition), prom(byPartition("driftd_pipeline_lag_messages"), partitions, false))),
				},
				{
					kind: lines, title: "Messages", unit: "cps", width: 12, height: 8, zero: true,
					about: "Messages a second that were folded.",
					asks:  one(with(health(influx.FieldMessages).rates(influx.TagPartition), prom(rate("driftd_ingest_messages_total", "instance"), "{{instance}}", false))),
				},
				{
					kind: lines, title: "Records that were refused, late or lost", unit: "cps", width: 12, height: 8, zero: true,
					about: "Records a second that became dead letters, by reason in Prometheus, that came too late, and messages that the stream lost.",
					asks: []map[variant]ask{
						with(health(influx.FieldDead, influx.FieldLateAll, influx.FieldLostAll).rates(influx.TagPartition), prom(rate("driftd_ingest_rejected_total", "reason"), "{{reason}}", false)),
						only(prom(fmt.Sprintf("sum(rate(%s[$__rate_interval]))", series("driftd_ingest_records_total", `result="late"`)), "late", false)),
						only(prom(fmt.Sprintf("sum(rate(%s[$__rate_interval]))", series("driftd_ingest_lost_messages_total")), "lost", false)),
					},
				},
				{
					kind: lines, title: "Commits", unit: "cps", width: 12, height: 8, zero: true,
					about: "Atomic batches a second that were committed.",
					asks: one(with(health(influx.FieldCommits).rates(influx.TagPartition), prom(fmt.Sprintf("sum by (partition) (rate(%s[$__rate_interval]))",
						byPartition("driftd_pipeline_commits_total")), partitions, false))),
				},
			}},
			{"Output", []panel{
				{
					kind: lines, title: "Outbox", unit: "short", width: 12, height: 8, zero: true, limits: backlog,
					about: "Documents that wait for the store, and lines that the store has refused for good since the process started.",
					asks:  one(health(influx.FieldPending, influx.FieldRefused).lines()),
				},
				{
					kind: lines, title: "Documents", unit: "cps", width: 12, height: 8, zero: true,
					about: "Documents a second that were written to the store, and writes that failed and are repeated.",
					asks: []map[variant]ask{
						only(prom(rate("driftd_store_documents_total", "instance"), "written {{instance}}", false)),
						only(prom(rate("driftd_store_write_failures_total", "instance"), "failed {{instance}}", false)),
					},
				},
				{
					kind: lines, title: "Results", unit: "cps", width: 12, height: 8, zero: true,
					about: "Windows a second that were judged, by verdict.",
					asks:  one(only(prom(rate("driftd_detector_results_total", "verdict"), "{{verdict}}", false))),
				},
				{
					kind: lines, title: "HTTP", unit: "reqps", width: 12, height: 8, zero: true,
					about: "Requests a second that were answered, by route and status.",
					asks:  one(only(prom(rate("driftd_http_requests_total", "handler, code"), "{{handler}} {{code}}", false))),
				},
				{
					kind: lines, title: "Memory", unit: "bytes", width: 12, height: 8, zero: true,
					about: "Memory that the daemon's process holds.",
					asks:  one(only(prom(series("process_resident_memory_bytes"), "{{instance}}", false))),
				},
				{
					kind: lines, title: "Open windows and panes", unit: "short", width: 12, height: 8, zero: true,
					about: "Windows that may still change, and the panes that they are made of.",
					asks: []map[variant]ask{
						only(prom(series("driftd_window_open"), "windows {{instance}}", false)), only(prom(series("driftd_window_panes"), "panes {{instance}}", false)),
					},
				},
			}},
		},
	}
}
