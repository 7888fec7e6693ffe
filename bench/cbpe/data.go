package main

import (
	"bufio"
	"compress/gzip"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/driftd/driftd/event"
	"github.com/driftd/driftd/quality"
)

// row is a prediction with its label, and what windows are made by.
type row struct {
	quality.Row

	year int     // of employment-ma
	age  float64 // of employment-ma, in years
	day  int     // of elec2, from 0
}

// employment reads employment-ma: the predictions as the model gave them, with the labels in the same order.
func employment(dir string) ([]row, error) {
	spec, err := quality.NewSpec(quality.Default(quality.Binary))
	if err != nil {
		return nil, err
	}
	predictions, err := table(filepath.Join(dir, "predictions.csv.gz"))
	if err != nil {
		return nil, err
	}
	targets, err := table(filepath.Join(dir, "targets.csv.gz"))
	if err != nil {
		return nil, err
	}
	if len(predictions) != len(targets) {
		return nil, fmt.Errorf("reading employment-ma: %d predictions and %d targets", len(predictions), len(targets))
	}
	at := func(name string) int { return slices.Index(predictions[0], name) }
	id, year, age, class, score := at("id"), at("year"), at("AGEP"), at("prediction"), at("predicted_probability")
	if min(id, year, age, class, score) < 0 {
		return nil, fmt.Errorf("reading employment-ma: the columns are %q", predictions[0])
	}
	out := make([]row, 0, len(predictions)-1)
	for i, p := range predictions[1:] {
		target := targets[i+1]
		if p[id] != target[0] {
			return nil, fmt.Errorf("reading employment-ma: row %d predicts %s, its target is of %s", i+1, p[id], target[0])
		}
		r, err := employmentRow(spec, []string{p[year], p[age], p[class], p[score], target[1]})
		if err != nil {
			return nil, fmt.Errorf("reading employment-ma: row %d: %w", i+1, err)
		}
		out = append(out, r)
	}
	return out, nil
}

func employmentRow(spec *quality.Spec, cells []string) (row, error) {
	var numbers [5]float64
	for i, cell := range cells {
		x, err := strconv.ParseFloat(cell, 64)
		if err != nil {
			return row{}, err
		}
		numbers[i] = x
	}
	r := row{year: int(numbers[0]), age: numbers[1]}
	r.Prediction = spec.Prediction([]event.Field{
		field(event.PredictionLabelName, numbers[2]), field(event.PredictionScoreName, numbers[3]),
	})
	r.Label = spec.Label(value(numbers[4]))
	return r, nil
}

func field(name string, x float64) event.Field {
	return event.Field{Name: []byte(name), Value: value(x)}
}

func value(x float64) event.Value {
	return event.Value{Kind: event.ValueNumber, Num: x, Str: event.AppendShortest(nil, x)}
}

// table reads a gzipped CSV file, with its header as the first row.
func table(path string) (records [][]string, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	if records, err = csv.NewReader(z).ReadAll(); err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	return records, nil
}

// elec2 reads serving-log-elec2: each distinct prediction, with its label where it ever came.
func elec2(dir string) (rows []row, err error) {
	spec, err := quality.NewSpec(quality.Default(quality.Binary))
	if err != nil {
		return nil, err
	}
	f, err := os.Open(filepath.Join(dir, "events.ndjson.gz"))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, fmt.Errorf("reading elec2: %w", err)
	}
	first := time.Date(2024, 3, 1, 0, 0, 0, 0, time.UTC)
	index, labels := map[string]int{}, map[string]quality.Label{}
	for in := json.NewDecoder(bufio.NewReader(z)); ; {
		var record struct {
			ID                string
			TS                time.Time
			Prediction, Label *float64
		}
		switch err := in.Decode(&record); {
		case errors.Is(err, io.EOF):
			for id, l := range labels {
				if i, ok := index[id]; ok {
					rows[i].Label = l
				}
			}
			return rows, nil
		case err != nil:
			return nil, fmt.Errorf("reading elec2: %w", err)
		}
		_, known := index[record.ID]
		switch {
		case record.Label != nil:
			labels[record.ID] = spec.Label(value(*record.Label))
		case !known && record.Prediction != nil:
			index[record.ID] = len(rows)
			r := row{day: int(record.TS.Sub(first) / (24 * time.Hour))}
			r.Prediction = spec.Prediction([]event.Field{field(event.PredictionName, *record.Prediction)})
			r.Label = quality.Label{Flaw: quality.FlawNoLabel, Class: quality.NoClass}
			rows = append(rows, r)
		}
	}
}
