package app

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/driftd/driftd/event"
	"github.com/driftd/driftd/influx"
	"github.com/driftd/driftd/pipeline"
	"github.com/driftd/driftd/result"
)

// metrics is what driftd says of itself. The counters of the core are read from the worker's last snapshot, so that they move
// with the commits: what was not committed never happened.
type metrics struct {
	app        *App
	configOK   prometheus.Gauge
	configTime prometheus.Gauge
	counters   []counter
	events     *prometheus.Desc
	rejected   *prometheus.Desc
	joined     *prometheus.Desc
	verdicts   *prometheus.Desc
	refused    *prometheus.Desc
	gauges     []gauge
	parts      []partMetric
}

// counter is one scalar that only grows while the process lives.
type counter struct {
	desc *prometheus.Desc
	read func(*App, *pipeline.Snapshot) float64
}

type gauge counter

// partMetric is one series for each partition.
type partMetric struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	owned bool // it says something of the partitions only that this process works on
	read  func(*look) float64
}

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, labels, nil)
}

func newMetrics(registry prometheus.Registerer, a *App) *metrics {
	type snap = pipeline.Snapshot
	m := &metrics{
		app: a,
		configOK: prometheus.NewGauge(prometheus.GaugeOpts{ //nolint:exhaustruct // the rest stays empty
			Name: "driftd_config_last_reload_successful", Help: "Whether the last load of the configuration succeeded.",
		}),
		configTime: prometheus.NewGauge(prometheus.GaugeOpts{ //nolint:exhaustruct // the rest stays empty
			Name: "driftd_config_last_reload_success_timestamp_seconds", Help: "When the configuration was last loaded with success.",
		}),
		events:   desc("driftd_ingest_records_total", "Records that were folded, by what became of them.", "result"),
		joined:   desc("driftd_labels_joined_total", "Labels by what became of them where they are joined to predictions.", "result"),
		rejected: desc("driftd_ingest_rejected_total", "Records that were dead-lettered, by reason.", "reason"),
		verdicts: desc("driftd_detector_results_total", "Results by verdict.", "verdict"),
		refused:  desc("driftd_store_refused_total", "Lines or documents that the store refused for good, by reason.", "reason"),
		counters: []counter{
			{desc("driftd_ingest_messages_total", "Messages that were folded."), func(_ *App, s *snap) float64 { return float64(s.Stats.Messages) }},
			{desc("driftd_ingest_markers_total", "Markers that were folded."), func(_ *App, s *snap) float64 { return float64(s.Stats.Markers) }},
			{
				desc("driftd_ingest_future_total", "Events and labels ahead of the broker's clock, counted at the broker's time."),
				func(_ *App, s *snap) float64 { return float64(s.Stats.Future) },
			},
			{
				desc("driftd_ingest_without_id_total", "Events without an id, which cannot be deduplicated."),
				func(_ *App, s *snap) float64 { return float64(s.Stats.WithoutID) },
			},
			{
				desc("driftd_ingest_unknown_fields_total", "Fields and features that neither the format nor the reference knows."),
				func(_ *App, s *snap) float64 { return float64(s.Stats.UnknownFeatures) },
			},
			{
				desc("driftd_ingest_wrong_types_total", "Fields of a wrong type in records that were counted nevertheless."),
				func(_ *App, s *snap) float64 { return float64(s.Stats.WrongTypes) },
			},
			{
				desc("driftd_ingest_duplicate_keys_total", "Keys that came twice in one record; the last one won."),
				func(_ *App, s *snap) float64 { return float64(s.Stats.DuplicateKeys) },
			},
			{
				desc("driftd_window_late_accepted_total", "Events that changed a result as a revision."),
				func(_ *App, s *snap) float64 { return float64(s.Stats.LateAccepted) },
			},
			{
				desc("driftd_window_results_total", "Windows that were emitted, revisions included."),
				func(_ *App, s *snap) float64 { return float64(s.Stats.Results) },
			},
			{
				desc("driftd_window_revisions_total", "Revisions of windows that were emitted."),
				func(_ *App, s *snap) float64 { return float64(s.Stats.Revisions) },
			},
			{
				desc("driftd_alert_transitions_total", "Changes of the state of incidents."),
				func(_ *App, s *snap) float64 { return float64(s.Stats.Transitions) },
			},
			{
				desc("driftd_ingest_lost_messages_total", "Messages that the stream lost before they were folded."),
				func(_ *App, s *snap) float64 { return float64(s.Stats.Lost) },
			},
			{
				desc("driftd_ingest_sourced_repeated_total", "Messages that the broker sourced twice; the second was dropped."),
				func(_ *App, s *snap) float64 { return float64(s.Stats.SourcedTwice) },
			},
			{
				desc("driftd_ingest_sourced_back_total", "Times the sequence of a sourced stream went back to other messages, which were counted."),
				func(_ *App, s *snap) float64 { return float64(s.Stats.SourcedBack) },
			},
			{
				desc("driftd_labels_evicted_total", "Predictions that labels.max_pending let go before their horizon."),
				func(_ *App, s *snap) float64 { return float64(s.Stats.LabelsEvicted) },
			},
			{
				desc("driftd_labels_lost_total", "Records that waited for their labels and could not be read again from the stream."),
				func(_ *App, s *snap) float64 { return float64(s.Stats.LabelsLost) },
			},
			{
				desc("driftd_quality_results_total", "Documents about the quality of a window that were emitted."),
				func(_ *App, s *snap) float64 { return float64(s.Stats.QualityResults) },
			},
			{
				desc("driftd_compare_verdicts_total", "Verdicts about two versions that were emitted."),
				func(_ *App, s *snap) float64 { return float64(s.Stats.Comparisons) },
			},
			{
				desc("driftd_compare_pairs_late_total", "Answers that came after their window had been compared with a shadow."),
				func(_ *App, s *snap) float64 { return float64(s.Stats.PairsLate) },
			},
			{
				desc("driftd_store_documents_total", "Documents that were written to the store."),
				func(a *App, _ *snap) float64 { return float64(a.sink.written.Load()) },
			},
			{
				desc("driftd_store_write_failures_total", "Writes to the store that failed and will be repeated."),
				func(a *App, _ *snap) float64 { return float64(a.sink.failed.Load()) },
			},
			{
				desc("driftd_store_expired_documents_total", "Documents that left the outbox before the store had them."),
				func(a *App, _ *snap) float64 { return float64(a.sink.expired()) },
			},
		},
		gauges: []gauge{
			{
				desc("driftd_pipeline_quarantined_records", "Records that made driftd panic and were set aside."),
				func(_ *App, s *snap) float64 { return float64(s.Quarantine) },
			},
			{desc("driftd_window_open", "Windows that may still change."), func(_ *App, s *snap) float64 {
				n := 0
				for _, src := range s.Sources {
					n += src.Windows
				}
				return float64(n)
			}},
			{desc("driftd_window_panes", "Panes held in memory."), func(_ *App, s *snap) float64 {
				n := 0
				for _, src := range s.Sources {
					n += src.Panes
				}
				return float64(n)
			}},
			{desc("driftd_window_models", "Models that are counted."), func(_ *App, s *snap) float64 { return float64(len(s.Sources)) }},
			{desc("driftd_store_up", "Whether the store takes results."), func(a *App, _ *snap) float64 { return truth(a.sink.why() == "") }},
			{
				desc("driftd_lease_members", "Daemons that share the partitions, this one among them."),
				func(a *App, _ *snap) float64 { return float64(a.leases.Status().Members) },
			},
		},
		parts: partMetrics(),
	}
	build := prometheus.NewGauge(prometheus.GaugeOpts{ //nolint:exhaustruct // the rest stays empty
		Name: "driftd_build_info", Help: "Constant 1 with driftd's version.", ConstLabels: prometheus.Labels{"version": a.o.Version},
	})
	build.Set(1)
	registry.MustRegister(build, m.configOK, m.configTime, a.delays, m,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{})) //nolint:exhaustruct // this process
	m.reloaded(nil)
	return m
}

// partMetrics are the series of each partition.
func partMetrics() []partMetric {
	d := func(name, help string) *prometheus.Desc { return desc(name, help, "partition") }
	const count, value = prometheus.CounterValue, prometheus.GaugeValue
	return []partMetric{
		{
			d("driftd_partition_owner", "Whether this process works on the partition."), value, false,
			func(l *look) float64 { return truth(l.Owned) },
		},
		{
			d("driftd_lease_lost_total", "Leases of the partition that ended before they were given back."), count, false,
			func(l *look) float64 { return float64(l.Lost) },
		},
		{
			d("driftd_pipeline_running", "Whether the partition is being folded."), value, false,
			func(l *look) float64 { return truth(l.Owned && l.Running) },
		},
		{
			d("driftd_pipeline_commits_total", "Atomic batches that were committed."), count, false,
			func(l *look) float64 { return float64(l.Commits) },
		},
		{
			d("driftd_pipeline_reloads_total", "Times the partition's state had to be read again."), count, false,
			func(l *look) float64 { return float64(l.Reloads) },
		},
		{
			d("driftd_pipeline_position", "Sequence of the last committed message."), value, true,
			func(l *look) float64 { return float64(l.Position.Seq) },
		},
		{
			d("driftd_pipeline_lag_messages", "Messages that are stored and not committed yet, as last seen."), value, true,
			func(l *look) float64 { return float64(max(l.Last, l.Position.Seq) - l.Position.Seq) },
		},
		{
			d("driftd_pipeline_last_commit_duration_seconds", "How long the last commit took."), value, true,
			func(l *look) float64 { return l.LastCommit.Seconds() },
		},
		{
			d("driftd_pipeline_last_commit_pause_seconds", "How long counting paused for the last commit, which is stored while counting goes on."), value, true,
			func(l *look) float64 { return l.LastPause.Seconds() },
		},
	}
}

// newDelays returns the histogram of how long messages wait to be counted.
func newDelays() *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{ //nolint:exhaustruct // the rest stays empty
		Name: "driftd_pipeline_delay_seconds", Help: "From the broker's storing a message to its being counted, of a sample of the messages.",
		Buckets: []float64{0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 300, 3600, 86400},
	}, []string{"partition"})
}

// delayObserver returns what notes the delays of a partition.
func delayObserver(delays *prometheus.HistogramVec, partition int) func(time.Duration) {
	h := delays.WithLabelValues(strconv.Itoa(partition))
	return func(d time.Duration) { h.Observe(d.Seconds()) }
}

// reloaded notes the outcome of loading a configuration.
func (m *metrics) reloaded(err error) {
	if err != nil {
		m.configOK.Set(0)
		return
	}
	m.configOK.Set(1)
	m.configTime.Set(float64(time.Now().Unix()))
}

// Describe implements prometheus.Collector.
func (m *metrics) Describe(ch chan<- *prometheus.Desc) {
	ch <- m.events
	ch <- m.rejected
	ch <- m.joined
	ch <- m.verdicts
	ch <- m.refused
	for _, c := range m.counters {
		ch <- c.desc
	}
	for _, g := range m.gauges {
		ch <- g.desc
	}
	for _, p := range m.parts {
		ch <- p.desc
	}
}

// Collect implements prometheus.Collector.
func (m *metrics) Collect(ch chan<- prometheus.Metric) {
	looks := m.app.looks()
	snap := total(looks)
	count := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, v, labels...)
	}
	s := snap.Stats
	for _, r := range []struct {
		name string
		n    uint64
	}{{"event", s.Events}, {"label", s.Labels}, {"duplicate", s.Duplicates}, {"late", s.Late}} {
		count(m.events, float64(r.n), r.name)
	}
	for _, r := range []struct {
		name string
		n    uint64
	}{
		{"matched", s.LabelsMatched}, {"corrected", s.LabelsCorrected}, {"repeated", s.LabelsRepeated}, {"unmatched", s.LabelsUnmatched}, {"late", s.LabelsLate},
	} {
		count(m.joined, float64(r.n), r.name)
	}
	for _, r := range event.RejectReasons() {
		count(m.rejected, float64(s.Rejected[r]), r.String())
	}
	for _, v := range []result.Verdict{result.Drift, result.Warning, result.Stable, result.Insufficient} {
		count(m.verdicts, float64(s.Verdicts[v]), string(v))
	}
	refused := m.app.sink.refusals()
	for _, r := range influx.Reasons() {
		count(m.refused, float64(refused[string(r)]), string(r))
	}
	for _, c := range m.counters {
		count(c.desc, c.read(m.app, &snap))
	}
	for _, g := range m.gauges {
		ch <- prometheus.MustNewConstMetric(g.desc, prometheus.GaugeValue, g.read(m.app, &snap))
	}
	for i := range looks {
		for _, p := range m.parts {
			if !p.owned || looks[i].Owned {
				ch <- prometheus.MustNewConstMetric(p.desc, p.kind, p.read(&looks[i]), strconv.Itoa(looks[i].Number))
			}
		}
	}
}

// total adds up what the partitions say: counters of all that this process ever worked on, the rest of those that it works on now.
func total(looks []look) pipeline.Snapshot {
	var sum pipeline.Snapshot
	for i := range looks {
		sum.Stats = pipeline.AddStats(sum.Stats, looks[i].Stats)
		if looks[i].Owned {
			sum.Sources = append(sum.Sources, looks[i].Sources...)
			sum.Quarantine += looks[i].Quarantine
		}
	}
	return sum
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
