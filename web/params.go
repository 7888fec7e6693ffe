package web

import (
	"fmt"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/driftd/driftd/history"
)

// params holds the query parameters of a request, each at most once and only those that the route takes.
type params map[string]string

func parseParams(r *http.Request, allowed ...string) (params, error) {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, &history.QueryError{Field: "query", Detail: "cannot be read: " + err.Error()}
	}
	p := params{}
	for name, v := range values {
		if !slices.Contains(allowed, name) {
			detail := "is not a parameter here; there is none"
			if len(allowed) > 0 {
				detail = "is not a parameter here; there are " + strings.Join(allowed, ", ")
			}
			return nil, &history.QueryError{Field: strconv.Quote(name), Detail: detail}
		}
		if len(v) != 1 {
			return nil, &history.QueryError{Field: name, Detail: "is there more than once"}
		}
		p[name] = v[0]
	}
	return p, nil
}

func (p params) page() (history.Page, error) {
	page := history.Page{Cursor: p["cursor"]}
	if v, ok := p["limit"]; ok {
		n, err := strconv.Atoi(v)
		if err != nil || n < 1 {
			return page, &history.QueryError{Field: "limit", Detail: fmt.Sprintf("must be a whole number of at least 1, got %q", v)}
		}
		page.Limit = n
	}
	return page, nil
}

func (p params) series(r *http.Request) (history.Series, error) {
	q := history.Series{Model: r.PathValue("model"), Version: p["version"], Segment: p["segment"]}
	if v, ok := p["size"]; ok {
		size, err := parseSize(v)
		if err != nil {
			return q, err
		}
		q.Size = size
	}
	return q, nil
}

func (p params) windows(r *http.Request) (history.WindowsQuery, error) {
	var q history.WindowsQuery
	var err error
	if q.Series, err = p.series(r); err != nil {
		return q, err
	}
	if q.From, err = p.time("from"); err != nil {
		return q, err
	}
	if q.To, err = p.time("to"); err != nil {
		return q, err
	}
	if q.From != 0 && q.To != 0 && q.From >= q.To {
		return q, &history.QueryError{Field: "from", Detail: "must be before `to`"}
	}
	q.Page, err = p.page()
	return q, err
}

// time reads RFC 3339 or epoch milliseconds; absent is 0, which is open.
func (p params) time(name string) (int64, error) {
	v, ok := p[name]
	if !ok {
		return 0, nil
	}
	if ms, err := strconv.ParseInt(v, 10, 64); err == nil {
		return ms, nil
	}
	t, err := time.Parse(time.RFC3339Nano, v)
	if err != nil {
		t, err = time.Parse("2006-01-02T15:04Z07:00", v) // ISO 8601 without seconds, as the page writes it
	}
	if err != nil {
		return 0, &history.QueryError{
			Field: name, Detail: fmt.Sprintf("must be RFC 3339 with a zone (2026-11-22T10:00:00Z; write + as %%2B) or epoch milliseconds, got %q", v),
		}
	}
	return t.UnixMilli(), nil
}

// maturity reads a maturity: a duration, or milliseconds; absent is nil.
func (p params) maturity() (*int64, error) {
	v, ok := p["maturity"]
	if !ok {
		return nil, nil //nolint:nilnil // none is asked for
	}
	if v == "0" {
		return new(int64), nil
	}
	ms, err := parseSize(v)
	if err != nil {
		return nil, &history.QueryError{Field: "maturity", Detail: fmt.Sprintf("must be a duration (1h, 1d), milliseconds or 0, got %q", v)}
	}
	return &ms, nil
}

// parseSize reads a window size: a duration (15m, 1h, 1d) or milliseconds.
func parseSize(v string) (int64, error) {
	bad := &history.QueryError{Field: "size", Detail: fmt.Sprintf("must be a duration (15m, 1h, 1d) or milliseconds, got %q", v)}
	if ms, err := strconv.ParseInt(v, 10, 64); err == nil {
		if ms <= 0 {
			return 0, bad
		}
		return ms, nil
	}
	if days, ok := strings.CutSuffix(v, "d"); ok {
		n, err := strconv.ParseInt(days, 10, 64)
		if err != nil || n <= 0 || n > math.MaxInt64/int64(24*time.Hour) {
			return 0, bad
		}
		return n * (24 * time.Hour).Milliseconds(), nil
	}
	d, err := time.ParseDuration(v)
	if err != nil || d < time.Millisecond || d%time.Millisecond != 0 {
		return 0, bad
	}
	return d.Milliseconds(), nil
}
