package main

import (
	"compress/gzip"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// set is a pair of files that the tools compare.
type set struct {
	name      string
	file      string // in the folder of the shared data sets
	kinds     map[string]string
	reference func(i int, row map[string]string) bool
	current   func(i int, row map[string]string) bool
}

const (
	numeric     = "numeric"
	categorical = "categorical"
)

func between(from, to int) func(int, map[string]string) bool {
	return func(i int, _ map[string]string) bool { return i >= from && i < to }
}

func where(column, value string) func(int, map[string]string) bool {
	return func(_ int, row map[string]string) bool { return row[column] == value }
}

// sets are five public data sets; sizes are such that exact tests are exact, on both sides of 1,000 and of 10,000 reference rows.
func sets() []set {
	return []set{
		{"wine-quality", "wine-quality/wine.csv.gz", map[string]string{
			"fixed_acidity": numeric, "volatile_acidity": numeric, "citric_acid": numeric, "residual_sugar": numeric, "chlorides": numeric,
			"pH": numeric, "alcohol": numeric, "quality": numeric,
		}, where("color", "white"), where("color", "red")},
		{"us-flights", "us-flights/flights.csv.gz", map[string]string{
			"origin": categorical, "destination": categorical, "distance_miles": numeric, "arrival_delay_minutes": numeric,
		}, between(0, 9_000), between(60_000, 65_000)},
		{"elec2", "elec2/elec2.csv.gz", map[string]string{
			"nswprice": numeric, "nswdemand": numeric, "vicprice": numeric, "day": categorical, "label": categorical,
		}, between(17_500, 32_505), between(32_505, 35_000)},
		{"employment-ma", "employment-ma/predictions.csv.gz", map[string]string{
			"AGEP": numeric, "predicted_probability": numeric, "SCHL": categorical, "MAR": categorical, "RELP": categorical, "SEX": categorical,
		}, between(0, 800), between(40_000, 40_600)},
		{"bike-sharing", "bike-sharing/hourly.csv.gz", map[string]string{
			"temp": numeric, "hum": numeric, "windspeed": numeric, "cnt": numeric, "weathersit": categorical, "holiday": categorical,
		}, between(0, 6_000), between(8_000, 11_000)},
	}
}

// prepare writes the two files of every set.
func prepare(shared, dir string) ([]set, error) {
	all := sets()
	for i := range all {
		if err := all[i].write(shared, dir); err != nil {
			return nil, fmt.Errorf("%s: %w", all[i].name, err)
		}
	}
	return all, nil
}

func (s *set) write(shared, dir string) error {
	f, err := os.Open(filepath.Join(shared, "data", filepath.FromSlash(s.file)))
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // it was only read
	z, err := gzip.NewReader(f)
	if err != nil {
		return err
	}
	rows, err := csv.NewReader(z).ReadAll()
	if err != nil {
		return err
	}
	if len(rows) == 0 {
		return errors.New("it has no rows")
	}
	head := rows[0]
	var columns []int
	var names []string
	for i, name := range head {
		if s.kinds[name] != "" {
			columns, names = append(columns, i), append(names, name)
		}
	}
	sides := map[string][][]string{"reference": {names}, "current": {names}}
	for i, row := range rows[1:] {
		cells := make(map[string]string, len(head))
		for k, name := range head {
			cells[name] = row[k]
		}
		out := make([]string, len(columns))
		for k, c := range columns {
			out[k] = row[c]
		}
		if s.reference(i, cells) {
			sides["reference"] = append(sides["reference"], slices.Clone(out))
		}
		if s.current(i, cells) {
			sides["current"] = append(sides["current"], out)
		}
	}
	for side, table := range sides {
		out, err := os.Create(filepath.Join(dir, s.name+"."+side+".csv"))
		if err != nil {
			return err
		}
		if err := errors.Join(csv.NewWriter(out).WriteAll(table), out.Close()); err != nil {
			return err
		}
	}
	doc, err := json.Marshal(s.kinds)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, s.name+".json"), doc, 0o600)
}
