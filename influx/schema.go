// Package influx keeps results as time series in InfluxDB: it turns committed documents into line protocol, writes them
// with the client's blocking API, and answers the questions of package history from what is stored. Like the embedded
// store it is a sink: writing a document again writes the same bytes to the same points, so that a retry changes nothing.
// The names of measurements, tags and fields are in schema.go alone; docs/data-model.md is checked against them.
package influx

// Measurements.
const (
	MeasurementSummary   = "driftd_summary"
	MeasurementLatency   = "driftd_latency"
	MeasurementFeature   = "driftd_feature"
	MeasurementHistogram = "driftd_histogram"
	MeasurementQuality   = "driftd_quality"
	MeasurementVerdict   = "driftd_verdict"
	MeasurementFairness  = "driftd_fairness"
	MeasurementAlert     = "driftd_alert"
	MeasurementDocument  = "driftd_document"
	MeasurementPipeline  = "driftd_pipeline"
)

// Tags. Every tag of a measurement is always written; None stands for a name that does not exist.
const (
	TagModel     = "model"
	TagVersion   = "version"
	TagSegment   = "segment"
	TagWindow    = "window"
	TagReference = "reference"
	TagFeature   = "feature"
	TagRole      = "role"
	TagBin       = "bin"
	TagPart      = "part"
	TagRule      = "rule"
	TagState     = "state"
	TagPartition = "partition"
	TagMaturity  = "maturity_ms"
	TagCompare   = "compare"
	TagDimension = "dimension"
	TagGroup     = "group"
)

// None is the value of a tag that has none.
const None = "none"

// Fields of several measurements.
const (
	FieldResultID = "result_id"
	FieldRevision = "revision"
	FieldStart    = "window_start"
	FieldVerdict  = "verdict"
	FieldLevel    = "verdict_level"
	FieldKind     = "kind"
	FieldPart     = "document_part"
)

// Fields of MeasurementSummary.
const (
	FieldComplete        = "complete"
	FieldLost            = "lost"
	FieldEvents          = "events"
	FieldLabels          = "labels"
	FieldLate            = "late"
	FieldDuplicate       = "duplicate"
	FieldRejected        = "rejected"
	FieldErrors          = "errors"
	FieldErrorRate       = "error_rate"
	FieldErrorChange     = "error_change"
	FieldThroughput      = "throughput_hz"
	FieldThroughputRatio = "throughput_ratio"
	FieldFeatures        = "features"
	FieldParts           = "parts"
	FieldDriftShare      = "drift_share"
	FieldReasons         = "reasons"
	FieldRefName         = "reference_name"
)

// Fields of MeasurementFeature, beside the statistics: <name>, <name>_p, <name>_lower, <name>_upper and <name>_baseline.
const (
	FieldQValue    = "q_value"
	FieldNMin      = "n_min"
	FieldN         = "n"
	FieldMissing   = "missing"
	FieldInvalid   = "invalid"
	FieldInf       = "inf"
	FieldMean      = "mean"
	FieldStd       = "std"
	FieldMin       = "min"
	FieldMax       = "max"
	FieldMedian    = "median"
	FieldRefN      = "reference_n"
	FieldRefMean   = "reference_mean"
	FieldRefMedian = "reference_median"

	FieldGate             = "gate"
	FieldGateValue        = "gate_value"
	FieldThresholdWarning = "threshold_warning"
	FieldThresholdDrift   = "threshold_drift"

	SuffixP        = "_p"
	SuffixLower    = "_lower"
	SuffixUpper    = "_upper"
	SuffixBaseline = "_baseline"
)

// Fields of MeasurementHistogram.
const (
	FieldLabel          = "label"
	FieldCountReference = "count_reference"
	FieldCountCurrent   = "count_current"
	FieldShareReference = "share_reference"
	FieldShareCurrent   = "share_current"
)

// Fields of MeasurementLatency, beside the quantiles: p50_ms, reference_p50_ms, ratio_p50 with its bounds, and so on.
const (
	FieldCount   = "count"
	FieldMeanMS  = "mean_ms"
	FieldMinMS   = "min_ms"
	FieldMaxMS   = "max_ms"
	FieldSlower  = "slower"
	FieldMSOf    = "_ms" // p50_ms
	FieldRefOf   = "reference_"
	FieldRatioOf = "ratio_"
)

// Fields of MeasurementVerdict, beside the guards: <guard>, <guard>_lower and <guard>_upper.
const (
	FieldDecision        = "decision"
	FieldMode            = "mode"
	FieldBaseline        = "baseline"
	FieldReading         = "reading"
	FieldWindows         = "windows"
	FieldBaselineEvents  = "baseline_events"
	FieldCandidateEvents = "candidate_events"
	FieldShare           = "candidate_share"
)

// Fields of MeasurementQuality, beside the metrics: <metric>, <metric>_lower and <metric>_upper, and the same of the reference and of the
// estimate.
const (
	FieldFinal       = "final"
	FieldPredictions = "predictions"
	FieldCoverage    = "coverage"
	FieldDelayP50    = "delay_p50_ms"
	FieldDelayP95    = "delay_p95_ms"
	FieldCorrected   = "corrected"
	FieldUnmatched   = "unmatched"
	FieldEvicted     = "evicted"
	BaselineOf       = "baseline_"
	EstimateOf       = "estimate_"
)

// Fields of MeasurementFairness, beside the measures and the rates: each with _lower and _upper, a measure with _p and the groups between which it is.
const (
	FieldSelected  = "selected"
	FieldPositives = "positives"
	FieldCompared  = "compared"
	FieldUngrouped = "ungrouped_labels"
	SuffixLow      = "_low"
	SuffixHigh     = "_high"
)

// Fields of MeasurementAlert.
const (
	FieldID        = "id"
	FieldIncident  = "incident"
	FieldRuleKind  = "rule_kind"
	FieldSeverity  = "severity"
	FieldFrom      = "from"
	FieldValue     = "value"
	FieldThreshold = "threshold"
	FieldWorst     = "worst"
	FieldUnit      = "unit"
	FieldTitle     = "title"
	FieldSince     = "since"
)

// Fields of a committed document: MeasurementDocument and MeasurementAlert.
const (
	FieldEncoding = "encoding"
	FieldSHA256   = "sha256"
	FieldSize     = "size"
	FieldChunks   = "chunks"
	ChunkOf       = "chunk_" // chunk_00, chunk_01, …
)

// Fields of MeasurementPipeline.
const (
	FieldLag      = "lag_messages"
	FieldPosition = "position"
	FieldCommits  = "commits"
	FieldMessages = "messages"
	FieldDead     = "dead_letters"
	FieldLateAll  = "late"
	FieldLostAll  = "lost"
	FieldPending  = "store_pending"
	FieldRefused  = "store_refused_lines"
)

// FieldType is how a field is written; it never changes.
type FieldType string

// The types of line protocol that driftd writes. Floats always carry the shortest digits that give the same bits.
const (
	Float   FieldType = "float"
	Integer FieldType = "integer"
	Boolean FieldType = "boolean"
	Text    FieldType = "string"
)

// Field is one field of a measurement. A name with a `<…>` stands for a family, such as <statistic>_p.
type Field struct {
	Name string
	Type FieldType
	Doc  string
}

// Measurement is one table of the data model.
type Measurement struct {
	Name   string
	Time   string // what its timestamp is
	Tags   []string
	Fields []Field
	Doc    string
}

const windowEnd = "the window's end, plus one millisecond a revision"

// Schema returns the data model: what driftd writes, in the order of docs/data-model.md. Tags are in the order in which
// they are written.
func Schema() []Measurement {
	base := []string{TagModel, TagReference, TagSegment, TagVersion, TagWindow}
	head := []Field{
		{FieldResultID, Text, "id of the result, a function of what it is about"},
		{FieldRevision, Integer, "0, and one more each time that late events changed the result"},
		{FieldStart, Integer, "start of the window, Unix milliseconds"},
	}
	with := func(fields ...Field) []Field { return append(append([]Field{}, head...), fields...) }
	return []Measurement{
		{MeasurementSummary, windowEnd, base, with(
			Field{FieldVerdict, Text, "`drift`, `warning`, `stable` or `insufficient`"},
			Field{FieldLevel, Integer, "the verdict as a number: 2 drift, 1 warning, 0 stable, -1 insufficient"},
			Field{FieldDriftShare, Float, "share of the judged features that drift; not written where none was judged"},
			Field{FieldComplete, Boolean, "false: input was lost"},
			Field{FieldLost, Integer, "messages that were lost"},
			Field{FieldEvents, Integer, "prediction events"},
			Field{FieldLabels, Integer, "labels whose own time lies in the window"},
			Field{FieldLate, Integer, "records that came after their window's lateness"},
			Field{FieldDuplicate, Integer, "repeated ids, dropped"},
			Field{FieldRejected, Integer, "dead-lettered records, all reasons together"},
			Field{FieldErrors, Integer, "events whose status is not a success"},
			Field{FieldErrorRate, Float, "errors over events; not written without events"},
			Field{FieldErrorRate + SuffixLower, Float, "lower end of Wilson's 99.9 % interval"},
			Field{FieldErrorRate + SuffixUpper, Float, "upper end of it"},
			Field{FieldErrorChange, Float, "the error rate less the reference's; not written where the reference has no status"},
			Field{FieldErrorChange + SuffixLower, Float, "lower end of Newcombe's 99.9 % interval"},
			Field{FieldErrorChange + SuffixUpper, Float, "upper end of it"},
			Field{FieldThroughput, Float, "events a second of the window's size"},
			Field{FieldThroughputRatio, Float, "over the reference's rows a second; not written where the reference does not say it"},
			Field{FieldThroughputRatio + SuffixLower, Float, "lower end of its 99.9 % interval"},
			Field{FieldThroughputRatio + SuffixUpper, Float, "upper end of it"},
			Field{FieldFeatures, Integer, "features of the result"},
			Field{FieldParts, Integer, "feature documents of the result"},
			Field{FieldReasons, Text, "the reasons of the verdict, a JSON array"},
			Field{FieldRefName, Text, "name of the reference; empty without one"},
		), "What a window said about a model: one point a version, segment, window and revision."},
		{MeasurementLatency, windowEnd, base, with(
			Field{FieldCount, Integer, "latencies in the distribution"},
			Field{FieldInvalid, Integer, "latencies that are no time"},
			Field{FieldMeanMS, Float, "milliseconds"},
			Field{FieldMinMS, Float, "milliseconds; relative error at most 1 %"},
			Field{FieldMaxMS, Float, "milliseconds"},
			Field{"p<q>" + FieldMSOf, Float, "quantile: p50, p90, p95, p99, p999; relative error at most 1 %"},
			Field{FieldRefOf + "p<q>" + FieldMSOf, Float, "the same of the reference"},
			Field{FieldRatioOf + "p<q>", Float, "the quantile over the reference's"},
			Field{FieldRatioOf + "p<q>" + SuffixLower, Float, "lower end of its 99.9 % interval"},
			Field{FieldRatioOf + "p<q>" + SuffixUpper, Float, "upper end of its 99.9 % interval"},
			Field{FieldSlower, Float, "the probability that an event took longer than one of the reference"},
			Field{FieldSlower + SuffixP, Float, "its p-value (Mann-Whitney)"},
			Field{FieldSlower + SuffixLower, Float, "lower bound, by the buckets"},
			Field{FieldSlower + SuffixUpper, Float, "upper bound, by the buckets"},
		), "Service times of a window."},
		{MeasurementFeature, windowEnd, []string{TagFeature, TagModel, TagReference, TagRole, TagSegment, TagVersion, TagWindow}, with(
			Field{FieldKind, Text, "`numeric` or `categorical`"},
			Field{FieldPart, Integer, "which feature document holds it"},
			Field{FieldVerdict, Text, "as in " + MeasurementSummary},
			Field{FieldLevel, Integer, "as in " + MeasurementSummary},
			Field{FieldQValue, Float, "of the gating statistic, over the model's features"},
			Field{FieldNMin, Integer, "the sample size that a verdict needs"},
			Field{FieldGate, Text, "the statistic that the verdict was taken by"},
			Field{FieldGateValue, Float, "its value"},
			Field{FieldThresholdWarning, Float, "the gate's value that warns, where it is significant"},
			Field{FieldThresholdDrift, Float, "the gate's value that is drift, where it is significant"},
			Field{FieldN, Integer, "values in the distribution"},
			Field{FieldMissing, Integer, "missing values"},
			Field{FieldInvalid, Integer, "values of a wrong type"},
			Field{FieldInf, Integer, "infinite values"},
			Field{FieldMean, Float, "of the window"},
			Field{FieldStd, Float, "of the window, ddof 1"},
			Field{FieldMin, Float, "of the window"},
			Field{FieldMax, Float, "of the window"},
			Field{FieldMedian, Float, "of the window, from the cells"},
			Field{FieldRefN, Integer, "values in the reference's distribution"},
			Field{FieldRefMean, Float, "of the reference"},
			Field{FieldRefMedian, Float, "of the reference"},
			Field{"<statistic>", Float, "each statistic that is computed, by its name: `psi`, `ks`, `missing_rate`, …"},
			Field{"<statistic>" + SuffixP, Float, "its p-value, where it has one"},
			Field{"<statistic>" + SuffixLower, Float, "lower bound, where the value is only enclosed"},
			Field{"<statistic>" + SuffixUpper, Float, "upper bound, where the value is only enclosed"},
			Field{"<statistic>" + SuffixBaseline, Float, "of a rate: the reference's"},
		), "What a window said about one feature or one part of the prediction."},
		{MeasurementHistogram, windowEnd, []string{TagBin, TagFeature, TagModel, TagReference, TagRole, TagSegment, TagVersion, TagWindow}, with(
			Field{FieldLabel, Text, "the bin, for people"},
			Field{FieldCountReference, Integer, "values of the reference in the bin"},
			Field{FieldCountCurrent, Integer, "values of the window in the bin"},
			Field{FieldShareReference, Float, "the same as a share of all bins; not written where they are empty"},
			Field{FieldShareCurrent, Float, "the same as a share of all bins; not written where they are empty"},
		), "The bins of the judged table, both sides. `store.influxdb.histograms: false` leaves them out."},
		{MeasurementQuality, "the window's end", []string{TagMaturity, TagModel, TagReference, TagSegment, TagVersion, TagWindow}, with(append([]Field{
			{FieldFinal, Boolean, "true: the last maturity"},
			{FieldPredictions, Integer, "predictions of the window, of the ids that are looked at"},
			{FieldLabels, Integer, "labels that came for them"},
			{FieldCoverage, Float, "labels over predictions; not written without predictions"},
			{FieldDelayP50, Float, "median delay of a label, milliseconds; not written without labels"},
			{FieldDelayP95, Float, "95 % quantile of the delay"},
			{FieldCorrected, Integer, "labels that replaced an earlier one"},
			{FieldUnmatched, Integer, "labels that came in the window, for which no prediction has come"},
			{FieldEvicted, Integer, "predictions that could not wait for their label"},
			{"<metric>", Float, "each metric of all classes together, by its name: `accuracy`, `roc_auc`, `mae`, …"},
			{"<metric>" + SuffixLower, Float, "lower end of its 95 % interval"},
			{"<metric>" + SuffixUpper, Float, "upper end of its 95 % interval"},
			{BaselineOf + "<metric>", Float, "the same of the reference, with its interval"},
			{BaselineOf + "<metric>" + SuffixLower, Float, "lower end"},
			{BaselineOf + "<metric>" + SuffixUpper, Float, "upper end"},
			{EstimateOf + "<metric>", Float, "what is estimated without labels, with its band"},
			{EstimateOf + "<metric>" + SuffixLower, Float, "lower end"},
			{EstimateOf + "<metric>" + SuffixUpper, Float, "upper end"},
		}, documentFields()...)...), "How right the predictions of a window were, as far as labels had come `maturity_ms` after its end, and the committed bytes of that document."},
		{MeasurementVerdict, "the window's end", []string{TagCompare, TagMaturity, TagModel, TagReference, TagSegment, TagVersion, TagWindow}, with(append([]Field{
			{FieldDecision, Text, "promote, hold or roll_back"},
			{FieldMode, Text, "canary, shadow or ab"},
			{FieldBaseline, Text, "the version that the candidate, which is the tag `version`, is compared with"},
			{FieldReading, Integer, "number of the reading: a later one replaces all before"},
			{FieldSince, Integer, "start of the comparison's first window, Unix milliseconds"},
			{FieldWindows, Integer, "windows in which both versions had events"},
			{FieldBaselineEvents, Integer, "events of the baseline in these windows"},
			{FieldCandidateEvents, Integer, "events of the candidate in these windows"},
			{FieldShare, Float, "the candidate's share of the traffic of both; not written where nothing was split yet"},
			{"<guard>", Float, "the difference of each guarded metric, candidate less baseline, over all windows: `error_rate`, `latency` (shares of slow requests), `accuracy`, …"},
			{"<guard>" + SuffixLower, Float, "what shows that the candidate is worse: the margin is below it"},
			{"<guard>" + SuffixUpper, Float, "what shows that it is not: the margin is above it"},
		}, documentFields()...)...), "What may become of a version that is compared with another one, and the committed bytes of that document. `maturity_ms` is 0 where it was read with " +
			"the window's own result, else with its quality."},
		{MeasurementFairness, "the window's end", []string{TagDimension, TagGroup, TagMaturity, TagModel, TagReference, TagSegment, TagVersion, TagWindow}, with(append([]Field{
			{FieldFinal, Boolean, "true: the last maturity"},
			{FieldPredictions, Integer, "of a group: predictions with a class"},
			{FieldSelected, Integer, "of a group: of these, of the positive class"},
			{FieldLabels, Integer, "of a group: labels"},
			{FieldPositives, Integer, "of a group: labels of the positive class"},
			{FieldCompared, Boolean, "of a group: false where it is in no gap"},
			{"<rate>", Float, "of a group: `selection_rate`, `true_positive_rate`, `false_positive_rate`, `accuracy`; not written where it does not exist"},
			{"<rate>" + SuffixLower, Float, "lower end of its interval"},
			{"<rate>" + SuffixUpper, Float, "upper end of its interval"},
			{FieldUngrouped, Integer, "of all groups: labels that name none"},
			{"<measure>", Float, "of all groups: `demographic_parity_difference`, `equal_opportunity_difference`, …; not written where it does not exist"},
			{"<measure>" + SuffixLower, Float, "lower end of its interval, which holds for all pairs of groups"},
			{"<measure>" + SuffixUpper, Float, "upper end of its interval"},
			{"<measure>" + SuffixP, Float, "that all groups have one rate"},
			{"<measure>" + SuffixLow, Text, "the group with the smallest rate"},
			{"<measure>" + SuffixHigh, Text, "the group with the largest rate"},
		}, documentFields()...)...), "What the predictions of a window did to the groups of a dimension, as far as labels had come `maturity_ms` after its end: a point for all " +
			"groups, whose tag `group` is `none`, with the committed bytes of the document, and one for each group, named as its segment (`sex=f`)."},
		{MeasurementAlert, "end of the window that moved the incident", []string{
			TagFeature, TagModel, TagRole, TagRule, TagSegment, TagState, TagVersion, TagWindow,
		}, append([]Field{
			{FieldID, Text, "id of the transition"},
			{FieldIncident, Text, "id of the incident"},
			{FieldResultID, Text, "the result that caused it"},
			{FieldRuleKind, Text, "what the rule looks at"},
			{FieldSeverity, Text, "of the rule"},
			{FieldFrom, Text, "the state before"},
			{FieldValue, Float, "what was seen"},
			{FieldThreshold, Float, "what it was compared with"},
			{FieldWorst, Float, "the largest value of the incident so far"},
			{FieldUnit, Text, "what the three are"},
			{FieldTitle, Text, "for people"},
			{FieldSince, Integer, "start of the first window of the incident, Unix milliseconds"},
		}, documentFields()...), "Changes of the state of incidents."},
		{
			MeasurementDocument, windowEnd,
			[]string{TagModel, TagPart, TagReference, TagSegment, TagVersion, TagWindow},
			with(documentFields()...), "The committed bytes of a result's documents: what the page and the API show. " +
				"`part` is `summary` or the number of a feature document.",
		},
		{MeasurementPipeline, "when it was sampled, on the clock of driftd's machine", []string{TagPartition}, []Field{
			{FieldLag, Integer, "messages that are stored and not committed yet"},
			{FieldPosition, Integer, "sequence of the last committed message"},
			{FieldCommits, Integer, "commits since the process started"},
			{FieldMessages, Integer, "messages that were folded"},
			{FieldDead, Integer, "records that were dead-lettered"},
			{FieldLateAll, Integer, "records that came too late"},
			{FieldLostAll, Integer, "messages that the stream lost"},
			{FieldPending, Integer, "documents that wait in the outbox"},
			{FieldRefused, Integer, "lines that InfluxDB refused since the process started"},
		}, "How driftd itself does, every 30 seconds while InfluxDB answers. A sample that finds InfluxDB away is not made up for."},
	}
}

func documentFields() []Field {
	return []Field{
		{FieldEncoding, Text, "`json`, or `zstd+base64`"},
		{FieldSHA256, Text, "of the committed bytes, hexadecimal"},
		{FieldSize, Integer, "committed bytes"},
		{FieldChunks, Integer, "how many chunks follow"},
		{ChunkOf + "<nn>", Text, "the encoded bytes, at most 60,000 in each"},
	}
}
