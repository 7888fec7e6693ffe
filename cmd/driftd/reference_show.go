package main

import (
	"context"
	"flag"
	"fmt"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/driftd/driftd/cells"
	"github.com/driftd/driftd/journal"
	"github.com/driftd/driftd/quality"
	"github.com/driftd/driftd/reference"
	"github.com/driftd/driftd/result"
)

func referenceShowCommand() command {
	return command{
		name:  "driftd reference show",
		short: "print what a reference knows of each feature",
		args:  "NAME [--json] [flags]",
		about: `Prints a reference's features: kind, counts, mean, standard deviation (ddof 1), range, distinct values, and how many cut
points (bin edges among them) or categories were kept. A feature of which every distinct value has a cell of its own is
compared exactly. NAME may be a fingerprint.

` + findBroker,
		examples: []example{
			{"one of the daemon on this machine", "driftd reference show churn-2026-11"},
			{"as one JSON object", "driftd reference show churn-2026-11 --json"},
		},
		exits: []exit{
			{exitDone, "printed"},
			{exitFailed, "there is no such reference, or the broker failed"},
			{exitUsage, "wrong usage, or no broker is known"},
		},
		setup: func(fs *flag.FlagSet) action {
			where := targetFlags(fs)
			asJSON := fs.Bool("json", false, "print one JSON object")
			return func(ctx context.Context, con *console, args []string) error {
				if len(args) != 1 {
					return usageError("give one name: driftd reference show NAME")
				}
				l, refs, err := openReferences(ctx, where)
				if err != nil {
					return err
				}
				defer l.close()
				return showReference(ctx, con, refs, args[0], *asJSON)
			}
		},
	}
}

// referenceDoc is what `show --json` prints.
type referenceDoc struct {
	journal.ReferenceMeta
	Resolution int          `json:"resolution"`
	Latency    uint64       `json:"latency_count"` // rows with a latency
	Pane       int64        `json:"pane_ms"`       // length of the panes that rows with times are counted by; 0: they are not
	Panes      int          `json:"panes"`         // panes with rows
	Features   []featureDoc `json:"features"`
	Quality    *qualityDoc  `json:"quality"` // null: it says nothing of its quality
	Notes      []string     `json:"notes"`
}

// qualityDoc is what a reference knows of the quality of its predictions.
type qualityDoc struct {
	Task        string            `json:"task"`
	Read        string            `json:"read"` // as what predictions and labels are read, for people
	Predictions uint64            `json:"predictions"`
	Labels      uint64            `json:"labels"`
	Metrics     []result.Metric   `json:"metrics"`
	Confusion   *result.Confusion `json:"confusion"` // null for a regression
}

type featureDoc struct {
	Feature   string      `json:"feature"`
	Role      result.Role `json:"role"`
	Kind      string      `json:"kind"`
	Reference result.Side `json:"reference"`
	Distinct  uint64      `json:"distinct"`
	Kept      int         `json:"kept"`  // cut points, or categories that are tracked on their own
	Exact     bool        `json:"exact"` // every distinct value has a cell of its own
}

func showReference(ctx context.Context, con *console, refs *journal.References, name string, asJSON bool) error {
	meta, err := resolveReference(ctx, refs, name)
	if err != nil {
		return err
	}
	data, err := refs.Get(ctx, meta.Fingerprint)
	if err != nil {
		return err
	}
	ref, err := reference.Decode(data)
	if err != nil {
		return fmt.Errorf("reading reference %s: %w", meta.Name, err)
	}
	doc := describeReference(meta, ref)
	if asJSON {
		return writeJSON(con.stdout, doc)
	}
	return writeReference(con, doc)
}

func describeReference(meta journal.ReferenceMeta, ref *reference.Reference) referenceDoc {
	doc := referenceDoc{
		ReferenceMeta: meta, Resolution: ref.Resolution, Latency: 0, Pane: ref.Pane, Panes: len(ref.Panes),
		Features: make([]featureDoc, 0, len(ref.Features)), Quality: nil, Notes: ref.Notes(),
	}
	if c := ref.Quality; c != nil {
		doc.Quality = &qualityDoc{
			Task: c.Spec().Task().String(), Read: c.Spec().Describe(), Predictions: c.Predictions(), Labels: c.Labels(), Metrics: quality.Evaluate(c), Confusion: nil,
		}
		if classes, matrix := c.Confusion(); matrix != nil {
			doc.Quality.Confusion = &result.Confusion{Classes: classes, Matrix: matrix}
		}
	}
	if doc.Notes == nil {
		doc.Notes = []string{}
	}
	if ref.Latency != nil {
		doc.Latency = ref.Latency.Count()
	}
	for i := range ref.Features {
		f := &ref.Features[i]
		kept, whole := len(f.Space.Points()), f.Distinct <= uint64(ref.Resolution)
		if f.Space.Kind() == cells.Categorical {
			kept = len(f.Space.Categories())
			whole = f.Distinct <= uint64(kept)
		}
		doc.Features = append(doc.Features, featureDoc{
			Feature: f.Name, Role: f.Role, Kind: f.Space.Kind().String(), Reference: f.Side(), Distinct: f.Distinct, Kept: kept,
			Exact: whole,
		})
	}
	return doc
}

func writeReference(con *console, doc referenceDoc) error {
	w := tabwriter.NewWriter(con.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "reference\t%s\n", plainText(doc.Name))
	fmt.Fprintf(w, "model\t%s\n", orDash(doc.Model))
	fmt.Fprintf(w, "fingerprint\t%s\n", doc.Fingerprint)
	fmt.Fprintf(w, "source\t%s, %s\n", orDash(doc.Source), count(doc.Rows, "row", "rows"))
	if doc.Start != 0 || doc.End != 0 {
		fmt.Fprintf(w, "span\t%s to %s\n", instant(doc.Start), instant(doc.End))
	}
	fmt.Fprintf(w, "created\t%s\n", instant(doc.Created))
	panes := "none: chunks and seasons of this reference cannot be told"
	if doc.Pane > 0 {
		panes = count(doc.Panes, "pane", "panes") + " of " + (time.Duration(doc.Pane) * time.Millisecond).String()
	}
	fmt.Fprintf(w, "panes\t%s\n", panes)
	fmt.Fprintf(w, "latency\t%s\n", count(doc.Latency, "row", "rows"))
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(con.stdout)
	w = tabwriter.NewWriter(con.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "FEATURE\tROLE\tKIND\tCOUNT\tMISSING\tMEAN\tSTD\tMIN\tMAX\tDISTINCT\tKEPT\tEXACT")
	for _, f := range doc.Features {
		exact := "yes"
		if !f.Exact {
			exact = "bounds"
			if f.Kind == cells.Categorical.String() {
				exact = "with other"
			}
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%d\t%s\t%s\t%s\t%s\t%d\t%d\t%s\n", plainText(f.Feature), f.Role, f.Kind,
			f.Reference.Count, f.Reference.Missing,
			number(f.Reference.Mean), number(f.Reference.Std), number(f.Reference.Min), number(f.Reference.Max), f.Distinct, f.Kept, exact)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if err := writeQuality(con, doc.Quality); err != nil {
		return err
	}
	for _, note := range doc.Notes {
		fmt.Fprintf(con.stdout, "\nnote: %s\n", note)
	}
	return nil
}

// writeQuality prints the metrics of a reference that has them.
func writeQuality(con *console, q *qualityDoc) error {
	if q == nil {
		return nil
	}
	fmt.Fprintf(con.stdout, "\nquality of %s: labels of %d of %d rows\n\n", plainText(q.Read), q.Labels, q.Predictions)
	w := tabwriter.NewWriter(con.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "METRIC\tVALUE\tLOWER\tUPPER\tROWS")
	for _, m := range q.Metrics {
		name := m.Name
		if m.Class != "" {
			name += " of " + plainText(m.Class)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\n", name, number(m.Value), number(m.Lower), number(m.Upper), m.N)
	}
	return w.Flush()
}

// number writes a number with six digits, or a dash where there is none.
func number(x *float64) string {
	if x == nil {
		return "-"
	}
	return strconv.FormatFloat(*x, 'g', 6, 64)
}
