package influx

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/influxdata/influxdb-client-go/v2/api"
)

// maxTime is the latest time in Unix milliseconds that InfluxDB has (11 April 2262), rounded down; -maxTime is the earliest.
const maxTime = 9_223_372_036_853

// selection is one question to the server, in either language: the values of some fields of a measurement, narrowed by tags,
// by one field and by time.
type selection struct {
	measurement string
	tags        []tag    // these tags have these values
	fields      []string // a point that has none of them is no row
	field       string   // this field …
	op          string   // … is = or > …
	value       any      // … a string or an int64
	from, to    int64    // Unix milliseconds, [from, to)
	newest      bool     // newest first; else oldest first
	perSeries   int      // rows of each set of tags; 0: all
	limit       int      // rows in all; 0: all; not together with perSeries
}

// row is one point as the server returns it. Integers are int64, floats float64.
type row struct {
	time   int64 // Unix milliseconds
	tags   map[string]string
	fields map[string]any
}

func (r *row) text(name string) string {
	s, _ := r.fields[name].(string)
	return s
}

func (r *row) int(name string) int64 {
	n, _ := r.fields[name].(int64)
	return n
}

func (r *row) bool(name string) bool {
	b, _ := r.fields[name].(bool)
	return b
}

func (r *row) float(name string) *float64 {
	v, ok := r.fields[name].(float64)
	if !ok {
		return nil
	}
	return &v
}

// tag returns the name that a tag stands for.
func (r *row) tag(key string) string { return Name(r.tags[key]) }

// everywhere is a selection over all time.
func everywhere(measurement string, tags []tag, fields ...string) selection {
	//nolint:exhaustruct // the rest is set by who needs it
	return selection{measurement: measurement, tags: tags, fields: fields, from: -maxTime, to: maxTime, newest: true}
}

func (db *DB) query(ctx context.Context, s *selection) ([]row, error) {
	s.from, s.to = max(s.from, -maxTime), min(s.to, maxTime)
	if s.from >= s.to {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, db.timeout)
	defer cancel()
	lang, err := db.speaks(ctx)
	if err != nil {
		return nil, err
	}
	var rows []row
	if lang == Flux {
		rows, err = db.queryFlux(ctx, s)
	} else {
		rows, err = db.queryInfluxQL(ctx, s)
	}
	if err != nil {
		return nil, fmt.Errorf("querying %s in InfluxDB: %w", s.measurement, err)
	}
	return rows, nil
}

// speaks returns the language to ask in.
func (db *DB) speaks(ctx context.Context) (Language, error) {
	db.mu.Lock()
	known := db.language
	db.mu.Unlock()
	if known != "" {
		return known, nil
	}
	lang := db.o.Language
	if lang == Auto {
		version, err := db.Version(ctx)
		if err != nil {
			return "", err
		}
		lang = Flux
		if old(version) {
			lang = InfluxQL
		}
	}
	db.mu.Lock()
	db.language = lang
	db.mu.Unlock()
	return lang, nil
}

// tagKeys returns the tags of a measurement.
func tagKeys(measurement string) []string {
	for _, m := range Schema() {
		if m.Name == measurement {
			return m.Tags
		}
	}
	return nil
}

// influxQL writes a selection in InfluxQL.
func (s *selection) influxQL() string {
	var b strings.Builder
	b.WriteString("SELECT ")
	for i, f := range s.fields {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(identifier(f))
	}
	if s.perSeries == 0 {
		for _, t := range tagKeys(s.measurement) {
			b.WriteString(", " + identifier(t))
		}
	}
	fmt.Fprintf(&b, " FROM %s WHERE time >= %dms AND time < %dms", identifier(s.measurement), s.from, s.to)
	for _, t := range s.tags {
		fmt.Fprintf(&b, " AND %s = %s", identifier(t.key), literal(tagText(t.value)))
	}
	switch v := s.value.(type) {
	case string:
		fmt.Fprintf(&b, " AND %s %s %s", identifier(s.field), s.op, literal(v))
	case int64:
		fmt.Fprintf(&b, " AND %s %s %d", identifier(s.field), s.op, v)
	}
	if s.perSeries > 0 {
		b.WriteString(" GROUP BY *")
	}
	if s.newest {
		b.WriteString(" ORDER BY time DESC")
	}
	if n := s.perSeries + s.limit; n > 0 {
		fmt.Fprintf(&b, " LIMIT %d", n)
	}
	return b.String()
}

func identifier(name string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(name) + `"`
}

func literal(text string) string {
	return `'` + strings.NewReplacer(`\`, `\\`, `'`, `\'`, "\n", `\n`).Replace(text) + `'`
}

// queryInfluxQL asks by plain HTTP: the client has no call for it.
func (db *DB) queryInfluxQL(ctx context.Context, s *selection) ([]row, error) {
	if _, _, err := db.connect(); err != nil {
		return nil, err
	}
	database, policy, _ := strings.Cut(db.o.Bucket, "/")
	form := url.Values{"db": {database}, "epoch": {"ms"}, "q": {s.influxQL()}}
	if policy != "" {
		form.Set("rp", policy)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, db.o.URL+"/query", strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	db.mu.Lock()
	if db.token != "" {
		req.Header.Set("Authorization", "Token "+db.token)
	}
	db.mu.Unlock()
	resp, err := db.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }() // what matters was read
	if resp.StatusCode != http.StatusOK {
		text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
		if resp.StatusCode == http.StatusUnauthorized {
			db.forget()
		}
		return nil, errors.Join(fmt.Errorf("%s: %s", resp.Status, text), err)
	}
	return decodeInfluxQL(resp.Body, s)
}

func decodeInfluxQL(r io.Reader, s *selection) ([]row, error) {
	var answer struct {
		Error   string
		Results []struct {
			Error  string
			Series []struct {
				Tags    map[string]string
				Columns []string
				Values  [][]any
			}
		}
	}
	d := json.NewDecoder(r)
	d.UseNumber() // integers beyond 2^53 and floats keep their bits
	if err := d.Decode(&answer); err != nil {
		return nil, fmt.Errorf("reading the answer: %w", err)
	}
	if answer.Error != "" {
		return nil, errors.New(answer.Error)
	}
	types := fieldTypes(s.measurement)
	isTag := map[string]bool{}
	for _, t := range tagKeys(s.measurement) {
		isTag[t] = true
	}
	var out []row
	for _, res := range answer.Results {
		if res.Error != "" {
			return nil, errors.New(res.Error)
		}
		for _, series := range res.Series {
			for _, values := range series.Values {
				rw := row{time: 0, tags: map[string]string{}, fields: make(map[string]any, len(s.fields))}
				maps.Copy(rw.tags, series.Tags)
				for i, v := range values {
					if err := rw.set(series.Columns[i], v, isTag, types); err != nil {
						return nil, err
					}
				}
				out = append(out, rw)
			}
		}
	}
	return out, nil
}

// set takes one column of InfluxQL's answer, whose JSON does not tell an integer from a float: the schema does.
func (r *row) set(column string, v any, isTag map[string]bool, types func(string) FieldType) error {
	switch v := v.(type) {
	case nil:
	case string:
		if isTag[column] {
			r.tags[column] = v
		} else {
			r.fields[column] = v
		}
	case json.Number:
		if column == "time" {
			n, err := v.Int64()
			r.time = n
			return err
		}
		if types(column) == Integer {
			n, err := v.Int64()
			r.fields[column] = n
			return err
		}
		f, err := v.Float64()
		r.fields[column] = f
		return err
	default:
		r.fields[column] = v
	}
	return nil
}

// fieldTypes returns the types of a measurement's fields by name; what is not named is one of a family of floats.
func fieldTypes(measurement string) func(string) FieldType {
	types := map[string]FieldType{}
	for _, m := range Schema() {
		if m.Name == measurement {
			for _, f := range m.Fields {
				types[f.Name] = f.Type
			}
		}
	}
	return func(name string) FieldType {
		if t, ok := types[name]; ok {
			return t
		}
		return Float
	}
}

// flux writes a selection in Flux, in the part of it that 1.8 and 2.x share.
func (s *selection) flux(bucket string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "from(bucket: %s)\n  |> range(start: time(v: %d), stop: time(v: %d))\n  |> filter(fn: (r) => r._measurement == %s",
		fluxText(bucket), s.from*int64(time.Millisecond), s.to*int64(time.Millisecond), fluxText(s.measurement))
	for _, t := range s.tags {
		fmt.Fprintf(&b, " and r[%s] == %s", fluxText(t.key), fluxText(tagText(t.value)))
	}
	fields := s.fields
	if s.field != "" {
		fields = append([]string{s.field}, fields...)
	}
	for i, f := range fields {
		b.WriteString([...]string{" and (", " or "}[min(i, 1)] + "r._field == " + fluxText(f))
	}
	b.WriteString("))\n")
	b.WriteString(`  |> pivot(rowKey: ["_time"], columnKey: ["_field"], valueColumn: "_value")` + "\n")
	switch v := s.value.(type) {
	case string:
		fmt.Fprintf(&b, "  |> filter(fn: (r) => r[%s] %s %s)\n", fluxText(s.field), fluxOp(s.op), fluxText(v))
	case int64:
		fmt.Fprintf(&b, "  |> filter(fn: (r) => r[%s] %s %d)\n", fluxText(s.field), fluxOp(s.op), v)
	}
	if s.perSeries == 0 {
		b.WriteString("  |> group()\n")
	}
	fmt.Fprintf(&b, "  |> sort(columns: [\"_time\"], desc: %t)\n", s.newest)
	if n := s.perSeries + s.limit; n > 0 {
		fmt.Fprintf(&b, "  |> limit(n: %d)\n", n)
	}
	return b.String()
}

func fluxOp(op string) string {
	if op == "=" {
		return "=="
	}
	return op
}

// fluxText writes a text in Flux. `${` would begin an interpolation, so the sign is written by its code.
func fluxText(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\r", `\r`, "\t", `\t`, "$", `\x24`).Replace(s) + `"`
}

func (db *DB) queryFlux(ctx context.Context, s *selection) ([]row, error) {
	client, _, err := db.connect()
	if err != nil {
		return nil, err
	}
	bucket := db.o.Bucket
	result, err := client.QueryAPI(db.o.Org).Query(ctx, s.flux(bucket))
	if err != nil {
		if he, ok := status(err); ok && he.StatusCode == http.StatusUnauthorized {
			db.forget()
		}
		return nil, err
	}
	return readFlux(result, s)
}

func readFlux(result *api.QueryTableResult, s *selection) ([]row, error) {
	tags := tagKeys(s.measurement)
	var out []row
	for result.Next() {
		record := result.Record()
		rw := row{time: record.Time().UnixMilli(), tags: make(map[string]string, len(tags)), fields: make(map[string]any, len(s.fields))}
		for _, t := range tags {
			v, _ := record.ValueByKey(t).(string)
			rw.tags[t] = v
		}
		some := false
		for _, f := range s.fields {
			if v := record.ValueByKey(f); v != nil {
				rw.fields[f], some = v, true
			}
		}
		if some {
			out = append(out, rw)
		}
	}
	if err := result.Err(); err != nil {
		return nil, fmt.Errorf("reading the answer: %w", err)
	}
	return out, result.Close()
}
