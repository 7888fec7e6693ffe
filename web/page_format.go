package web

import (
	"html/template"
	"maps"
	"math"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/driftd/driftd/result"
)

// missing stands where a number does not exist; the reason is beside it or in the document.
const missing = "–"

// functions are what the templates may call.
func functions() template.FuncMap {
	return template.FuncMap{
		"iso": iso, "size": sizeName, "percent": percent, "num": number, "count": grouped, "share": share, "wait": wait,
		"escape": url.PathEscape, "asset": assetURL, "short": func(fingerprint string) string {
			return strings.TrimPrefix(fingerprint, "sha256:")[:min(12, len(strings.TrimPrefix(fingerprint, "sha256:")))]
		},
	}
}

// iso writes a time as ISO 8601 in UTC, without seconds where they are zero.
func iso(ms int64) string {
	t := time.UnixMilli(ms).UTC()
	switch {
	case ms%1000 != 0:
		return t.Format("2006-01-02T15:04:05.000Z")
	case t.Second() != 0:
		return t.Format("2006-01-02T15:04:05Z")
	default:
		return t.Format("2006-01-02T15:04Z")
	}
}

// sizeName writes a window size as people do: 15m, 1h, 1d.
func sizeName(ms int64) string {
	d := time.Duration(ms) * time.Millisecond
	if d >= 24*time.Hour && d%(24*time.Hour) == 0 {
		return strconv.FormatInt(int64(d/(24*time.Hour)), 10) + "d"
	}
	name := d.String()
	if strings.HasSuffix(name, "m0s") {
		name = strings.TrimSuffix(name, "0s")
	}
	if strings.HasSuffix(name, "h0m") {
		name = strings.TrimSuffix(name, "0m")
	}
	return name
}

// number writes a number with four significant digits.
func number(v any) string {
	var x float64
	switch n := v.(type) {
	case *float64:
		if n == nil {
			return missing
		}
		x = *n
	case float64:
		x = n
	default:
		return missing
	}
	if x == 0 || math.Abs(x) >= 1e-3 && math.Abs(x) < 1e7 {
		digits := 4
		if x != 0 {
			digits = max(0, 3-int(math.Floor(math.Log10(math.Abs(x)))))
		}
		text := strconv.FormatFloat(x, 'f', digits, 64)
		if strings.Contains(text, ".") {
			text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
		}
		return text
	}
	return strconv.FormatFloat(x, 'e', 2, 64)
}

// grouped writes a count with a narrow space between thousands.
func grouped(n any) string {
	var text string
	switch v := n.(type) {
	case uint64:
		text = strconv.FormatUint(v, 10)
	case int:
		text = strconv.Itoa(v)
	default:
		return missing
	}
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "\u202f" + text[i:]
	}
	return text
}

// percent writes a share as a percentage with up to two digits.
func percent(v *float64) string {
	if v == nil {
		return missing
	}
	x := *v * 100
	digits := 1
	if x != 0 && math.Abs(x) < 1 {
		digits = 2
	}
	return strings.TrimSuffix(strconv.FormatFloat(x, 'f', digits, 64), ".0") + "\u202f%"
}

// wait writes milliseconds in the largest unit that they are at least one of.
func wait(ms *float64) string {
	if ms == nil {
		return missing
	}
	for _, unit := range []struct {
		name string
		ms   float64
	}{{"d", 86_400_000}, {"h", 3_600_000}, {"min", 60_000}, {"s", 1000}} {
		if math.Abs(*ms) >= unit.ms {
			return number(*ms/unit.ms) + "\u202f" + unit.name
		}
	}
	return number(*ms) + "\u202fms"
}

// share writes part of whole as a percentage.
func share(part, whole uint64) string {
	if whole == 0 {
		return missing
	}
	v := float64(part) / float64(whole)
	return percent(&v)
}

// selection is what a page shows of a model: everything that its links carry.
type selection struct {
	Model, Version, Segment string
	Size                    int64 // ms; 0: the smallest
	Windows                 int   // how many; 0: the default
	To                      int64 // the windows before this time, ms; 0: the newest
}

func (s selection) query() url.Values {
	q := url.Values{}
	if s.Version != "" && s.Version != result.All {
		q.Set("version", s.Version)
	}
	if s.Segment != "" && s.Segment != result.All {
		q.Set("segment", s.Segment)
	}
	if s.Size != 0 {
		q.Set("size", sizeName(s.Size))
	}
	if s.Windows != 0 && s.Windows != defaultWindows {
		q.Set("windows", strconv.Itoa(s.Windows))
	}
	if s.To != 0 {
		q.Set("to", iso(s.To))
	}
	return q
}

func withQuery(path string, q url.Values) string {
	if len(q) == 0 {
		return path
	}
	return path + "?" + q.Encode()
}

// in is the selection in a segment; an empty one changes nothing.
func (s selection) in(segment string) selection {
	if segment != "" {
		s.Segment = segment
	}
	return s
}

// URL leads to the model's page.
func (s selection) URL() string { return withQuery("/models/"+url.PathEscape(s.Model), s.query()) }

// FeatureURL leads to a feature's page, at the window that starts at the given time; 0 is the newest.
func (s selection) FeatureURL(feature string, role result.Role, start int64) string {
	s.To = 0
	q := s.query()
	if role == result.RolePrediction {
		q.Set("role", string(role))
	}
	if start != 0 {
		q.Set("window", iso(start))
	}
	return withQuery("/models/"+url.PathEscape(s.Model)+"/features/"+url.PathEscape(feature), q)
}

// API leads to a route of the API below the model, with the same selection.
func (s selection) API(path string, more url.Values) string {
	q := s.query()
	q.Del("windows")
	maps.Copy(q, more)
	return withQuery("/api/v1/models/"+url.PathEscape(s.Model)+path, q)
}
