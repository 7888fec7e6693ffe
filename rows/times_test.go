package rows_test

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"testing"

	"github.com/driftd/driftd/rows"
)

// The times of a file are those of its column, and of events their own; 2026-03-01 is 1772323200 seconds after 1970 (`date -u -d 2026-03-01 +%s`).
func TestTimes(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		roles      map[string]string
		want       string
	}{
		{"a.csv", "ts,x\n2026-03-01,1\n,2\n1772323200001,3\n2026-03-01T01:00:00+01:00,4\n", nil, "1772323200000 none 1772323200001 1772323200000"},
		{"mapped.csv", "x,at\n1,2026-03-01\n", map[string]string{"ts": "at"}, "1772323200000"},
		{"none.csv", "x\n1\n", nil, "no times"},
		{"empty.csv", "", nil, "no times"},
		{"flat.ndjson", `{"x":1}` + "\n" + `{"ts":1772323200000,"x":1}` + "\n", nil, "none 1772323200000"},
		{"events.ndjson", `{"model":"m","ts":"2026-03-01T00:00:00Z","features":{"ts":5}}` + "\n" + `{"model":"m","features":{"x":1}}` + "\n", nil, "1772323200000 none"},
		{"bad.csv", "ts,x\n2026-03-01,1\nsoon,2\n", nil, `1772323200000 error row 2: the time "soon" cannot be read`},
		{"far.csv", "ts,x\n1e300,1\n", nil, "error row 1: the time 1e+300 lies outside of the years 1 to 9999"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			table, err := rows.OpenTable(context.Background(), write(t, tt.name, tt.text), rows.TableOptions{Map: tt.roles})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = table.Close() }()
			var got []string
			has, err := table.Times(context.Background(), func(ms int64, ok bool) {
				if ok {
					got = append(got, strconv.FormatInt(ms, 10))
				} else {
					got = append(got, "none")
				}
			})
			if at := (*rows.Error)(nil); errors.As(err, &at) {
				got = append(got, "error "+at.Err.Error())
			} else if err != nil {
				t.Fatal(err)
			}
			if !has {
				got = append(got, "no times")
			}
			if s := strings.Join(got, " "); !strings.HasPrefix(s, tt.want) || (!strings.Contains(tt.want, "error") && s != tt.want) {
				t.Errorf("times %q, want %q", s, tt.want)
			}
		})
	}
}
