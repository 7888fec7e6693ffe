package analyze

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/driftd/driftd/result"
)

// SchemaVersion is the version of the JSON document.
const SchemaVersion = 1

// KindIgnored is the kind of a column that is listed, but not compared.
const KindIgnored = "ignore"

// Report is what an analysis found: the document of `driftd analyze --format json`, docs/schema/analyze.schema.json.
type Report struct {
	Schema     int             `json:"schema"`
	Convention string          `json:"convention"`
	Reference  Source          `json:"reference"`
	Current    Source          `json:"current"`
	Features   []Feature       `json:"features"`
	Verdict    result.Verdict  `json:"verdict"`
	DriftShare *float64        `json:"drift_share"` // share of judged features with verdict drift; null: none could be judged
	Reasons    []string        `json:"reasons"`
	Rival      *RivalReport    `json:"rival,omitempty"` // with --convention of another tool: what that says
	Segments   []SegmentReport `json:"segments,omitempty"`
	Notes      []string        `json:"notes"` // what a person should know about the files
}

// Source is one side of an analysis.
type Source struct {
	Source      string `json:"source"` // the file, as it was named
	Rows        uint64 `json:"rows"`
	Fingerprint string `json:"fingerprint,omitempty"` // of the reference frozen from the rows
}

// SegmentReport is the analysis of the rows with one value of the column of --segment-by, on both sides.
type SegmentReport struct {
	Segment    string         `json:"segment"` // column=value
	Reference  SegmentRows    `json:"reference"`
	Current    SegmentRows    `json:"current"`
	Features   []Feature      `json:"features"`
	Verdict    result.Verdict `json:"verdict"`
	DriftShare *float64       `json:"drift_share"`
	Reasons    []string       `json:"reasons"`
	Rival      *RivalReport   `json:"rival,omitempty"`
}

// SegmentRows says how many rows a segment has on one side.
type SegmentRows struct {
	Rows uint64 `json:"rows"`
}

// Feature is a column with its statistics and verdict, as in the daemon's results.
type Feature struct {
	result.Feature

	Rival *RivalFeature `json:"rival,omitempty"`

	// Shape is what the distributions look like, for people.
	Shape *Shape `json:"-"`

	// shown are the statistics and bins of another convention than the one that judges; they replace those after the verdict.
	shown *shown
}

type shown struct {
	statistics map[string]result.Stat
	bins       []result.Bin
}

// Shape is a histogram of both sides over equal widths. What lies beyond is in the first and the last bin.
type Shape struct {
	Low, High          float64
	Reference, Current []uint64
}

// WriteJSON writes the document.
func (r *Report) WriteJSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(r); err != nil {
		return fmt.Errorf("writing the analysis: %w", err)
	}
	return nil
}
