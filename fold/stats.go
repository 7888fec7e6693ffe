package fold

import (
	"maps"

	"github.com/driftd/driftd/event"
	"github.com/driftd/driftd/result"
)

// Stats counts what a partition did since it was made or restored; never reset, not part of its state.
type Stats struct {
	Messages, Events, Labels, Markers, Controls, Duplicates, Late, LateAccepted, Future, WithoutID uint64
	UnknownFeatures, WrongTypes, DuplicateKeys, Results, Revisions, Transitions, Lost              uint64
	SourcedTwice, SourcedBack                                                                      uint64
	Rejected                                                                                       map[event.RejectReason]uint64
	Verdicts                                                                                       map[result.Verdict]uint64

	// Of labels where they are joined: joined to a prediction; replaced by another one; said again; without a prediction when they came; too
	// late for the last maturity. Predictions that the bound let go before their horizon. Quality documents.
	LabelsMatched, LabelsCorrected, LabelsRepeated, LabelsUnmatched, LabelsLate, LabelsEvicted, LabelsLost, QualityResults uint64

	// Verdicts about two versions; answers of a shadow, or to be shadowed, that came after their window had been compared.
	Comparisons, PairsLate uint64
}

// Stats returns a copy of the counters.
func (p *Partition) Stats() Stats {
	p.runs.flush(p)
	s := p.stats
	s.Rejected, s.Verdicts = maps.Clone(s.Rejected), maps.Clone(s.Verdicts)
	return s
}

// Counters lists the scalar counters in a fixed order, for adding two.
func (s *Stats) Counters() []*uint64 {
	return []*uint64{
		&s.Messages, &s.Events, &s.Labels, &s.Markers, &s.Controls, &s.Duplicates, &s.Late, &s.LateAccepted, &s.Future,
		&s.WithoutID, &s.UnknownFeatures, &s.WrongTypes, &s.DuplicateKeys, &s.Results, &s.Revisions, &s.Transitions, &s.Lost,
		&s.LabelsMatched, &s.LabelsCorrected, &s.LabelsRepeated, &s.LabelsUnmatched, &s.LabelsLate, &s.LabelsEvicted, &s.LabelsLost,
		&s.QualityResults, &s.SourcedTwice, &s.SourcedBack, &s.Comparisons, &s.PairsLate,
	}
}
