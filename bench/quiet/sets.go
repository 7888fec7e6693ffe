package main

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// scenarios are the real data sets. Where rows have times their order is kept.
func scenarios(shared string) ([]scenario, error) {
	var out []scenario
	for _, read := range []func(shared string) ([]scenario, error){wine, flights, elec2, latency, employment, tokens} {
		s, err := read(shared)
		if err != nil {
			return nil, err
		}
		out = append(out, s...)
	}
	return out, nil
}

func wine(shared string) ([]scenario, error) {
	t, err := readTable(shared, "wine-quality/wine.csv.gz")
	if err != nil {
		return nil, err
	}
	color := t.column("color")
	var white, red [][]string
	for _, row := range t.rows {
		if row[color] == "white" {
			white = append(white, row)
		} else {
			red = append(red, row)
		}
	}
	// The file has no order in time: every fifth row apart makes the stretches alike.
	var first, rest [][]string
	for i, row := range white {
		if i%5 < 3 {
			first = append(first, row)
		} else {
			rest = append(rest, row)
		}
	}
	windows := cut(rest, 250)
	from := len(windows)
	return []scenario{{
		set: "wine-quality", why: "white wines, three rows of five as reference, the others as windows in the order of the file, which is none in time but not random either",
		change: "red wines", columns: slices.DeleteFunc(slices.Clone(t.head), func(c string) bool { return c == "color" }), head: t.head,
		reference: first, windows: append(windows, cut(red, 250)...), from: from,
	}}, nil
}

func flights(shared string) ([]scenario, error) {
	t, err := readTable(shared, "us-flights/flights.csv.gz")
	if err != nil {
		return nil, err
	}
	at, distance, origin := t.column("scheduled_departure"), t.column("distance_miles"), t.column("origin")
	const change = "2001-05-01"
	var reference, before, after [][]string
	for _, row := range t.rows {
		switch {
		case row[at] < "2001-03-01":
			reference = append(reference, row)
		case row[at] < change:
			before = append(before, row)
		default:
			after = append(after, row)
		}
	}
	windows := by(before, at, len(change))
	base := scenario{
		set: "us-flights", why: "January and February as reference, the days of March and April as windows: no known incident, a mild change of season and delays",
		columns: []string{"origin:categorical", "destination:categorical", "distance_miles", "arrival_delay_minutes"}, head: t.head, reference: reference, windows: windows, from: len(windows),
	}
	changed := func(name, what string, moved int, f func(row []string) []string) scenario {
		s := base
		s.set, s.change, s.moved = name, what+" (injected)", []int{moved}
		var rows [][]string
		for _, row := range after {
			if row = f(slices.Clone(row)); row != nil {
				rows = append(rows, row)
			}
		}
		s.windows = append(slices.Clone(windows), by(rows, at, len(change))...)
		return s
	}
	return []scenario{
		base,
		changed("us-flights in km", "distances in kilometres from 1 May", 2, func(row []string) []string {
			x, err := strconv.ParseFloat(row[distance], 64)
			if err == nil {
				row[distance] = fmt.Sprint(math.Round(x * 1.609344))
			}
			return row
		}),
		changed("us-flights without ORD", "no flights from ORD from 1 May", 0, func(row []string) []string {
			if row[origin] == "ORD" {
				return nil
			}
			return row
		}),
	}, nil
}

func elec2(shared string) ([]scenario, error) {
	t, err := readTable(shared, "elec2/elec2.csv.gz")
	if err != nil {
		return nil, err
	}
	const half, change, week = 26 * 336, 17_424, 336
	windows := cut(t.rows[half:change], week)
	from := len(windows)
	return []scenario{{
		set: "elec2", moved: []int{2, 3, 4}, why: "the first 26 weeks as reference, the weeks up to row 17,424 as windows: nothing broke, but season and market move all along and neighbouring rows are alike",
		change: "row 17,424: the Victorian market joins, three constant features begin to move", columns: []string{"nswprice", "nswdemand", "vicprice", "vicdemand", "transfer"},
		head: t.head, reference: t.rows[:half], windows: append(windows, cut(t.rows[change:change+12*week], week)...), from: from,
	}}, nil
}

func latency(shared string) ([]scenario, error) {
	t, err := readTable(shared, "local-latency/requests.csv.gz")
	if err != nil {
		return nil, err
	}
	phase := t.column("phase")
	of := map[string][][]string{}
	for _, row := range t.rows {
		of[row[phase]] = append(of[row[phase]], row)
	}
	base := of["baseline"]
	half := len(base) / 2
	windows := cut(base[half:], 500)
	s := func(name, what, phase string) scenario {
		return scenario{
			set: name, why: "the first half of the phase `baseline` as reference, the second half as windows", change: what,
			columns: []string{"latency_ms"}, head: t.head, reference: base[:half], windows: append(slices.Clone(windows), cut(of[phase], 500)...), from: len(windows),
		}
	}
	return []scenario{
		s("local-latency", "four processes that take all of the processor", "incident"),
		s("local-latency, payload", "twenty times the rows in a request", "bigger-payload"),
	}, nil
}

func employment(shared string) ([]scenario, error) {
	t, err := readTable(shared, "employment-ma/predictions.csv.gz")
	if err != nil {
		return nil, err
	}
	year := t.column("year")
	var first, second [][]string
	for _, row := range t.rows {
		if strings.HasPrefix(row[year], "2015") {
			first = append(first, row)
		} else {
			second = append(second, row)
		}
	}
	columns := []string{"AGEP", "predicted_probability"}
	for _, c := range []string{"SCHL", "MAR", "RELP", "DIS", "ESP", "CIT", "MIG", "MIL", "ANC", "NATIVITY", "SEX", "RAC1P"} {
		columns = append(columns, c+":categorical")
	}
	windows := cut(second, 1_000)
	return []scenario{{
		set: "employment-ma", why: "2015 as reference, 2016 in its order as windows: next to no drift between the years",
		columns: columns, head: t.head, reference: first, windows: windows, from: len(windows),
	}}, nil
}

func tokens(shared string) ([]scenario, error) {
	t, err := readTable(shared, "azure-llm-conv/trace.csv.gz")
	if err != nil {
		return nil, err
	}
	windows := cut(t.rows[8_000:], 500)
	return []scenario{{
		set: "azure-llm-conv", why: "the first 8,000 requests of the hour as reference, the others as windows: a mild drift of the mix within the hour",
		columns: []string{"context_tokens", "generated_tokens"}, head: t.head, reference: t.rows[:8_000], windows: windows, from: len(windows),
	}}, nil
}
