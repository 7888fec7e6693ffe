package alerting

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/driftd/driftd/result"
)

// Labels identify an alert: never values, times or hosts. They are the rule's own labels and driftd's.
func Labels(t *result.Transition) map[string]string {
	out := maps.Clone(t.Labels)
	if out == nil {
		out = map[string]string{}
	}
	out["alertname"], out["kind"], out["severity"] = t.Rule, t.Kind, t.Severity
	out["model"], out["version"], out["segment"] = t.Key.Model, t.Key.Version, t.Key.Segment
	if t.Window.Size > 0 {
		out["window"] = windowName(t.Window.Size)
	}
	maps.DeleteFunc(out, func(_, v string) bool { return v == "" })
	return out
}

// windowName writes the size of a window as the configuration does, where it is whole: 1d, 90m, 45s.
func windowName(ms int64) string {
	for _, u := range []struct {
		ms   int64
		name string
	}{{day, "d"}, {hour, "h"}, {minute, "m"}, {1000, "s"}} {
		if ms%u.ms == 0 {
			return strconv.FormatInt(ms/u.ms, 10) + u.name
		}
	}
	return strconv.FormatInt(ms, 10) + "ms"
}

// Match reports whether labels have all the wanted values.
func Match(want, labels map[string]string) bool {
	for name, value := range want {
		if labels[name] != value {
			return false
		}
	}
	return true
}

// Silence holds back the notices whose labels it matches, while it lasts. It never changes an incident.
type Silence struct {
	ID       string            `json:"id"`
	Matchers map[string]string `json:"matchers"` // label → value; all must match
	Start    time.Time         `json:"start"`
	End      time.Time         `json:"end"`
	By       string            `json:"by"`
	Comment  string            `json:"comment"`
}

// SilenceError says what is wrong with a silence that somebody wants.
type SilenceError struct{ Err error }

func (e *SilenceError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *SilenceError) Unwrap() error { return e.Err }

// Active reports whether the silence holds at a time.
func (s *Silence) Active(now time.Time) bool { return !now.Before(s.Start) && now.Before(s.End) }

// MatcherText writes the matchers as they are typed: `alertname=latency-p95 model=m`.
func (s *Silence) MatcherText() string {
	out := make([]string, 0, len(s.Matchers))
	for _, name := range slices.Sorted(maps.Keys(s.Matchers)) {
		out = append(out, name+"="+s.Matchers[name])
	}
	return strings.Join(out, " ")
}

// Validate returns what is wrong with a silence that somebody wants, or nil.
func (s *Silence) Validate() error {
	switch {
	case len(s.Matchers) == 0:
		return errors.New("a silence needs matchers, such as model=credit-risk: one without would hold back everything")
	case len(s.Matchers) > 32:
		return fmt.Errorf("a silence has at most 32 matchers, got %d", len(s.Matchers))
	case !s.End.After(s.Start):
		return fmt.Errorf("a silence must end (%s) after it begins (%s)", s.End.Format(time.RFC3339), s.Start.Format(time.RFC3339))
	case s.End.Sub(s.Start) > 366*24*time.Hour:
		return errors.New("a silence lasts at most 366 days: switch the rule off instead")
	case len(s.By) > 256 || len(s.Comment) > 1024:
		return fmt.Errorf("by has at most 256 bytes and comment 1,024, got %d and %d", len(s.By), len(s.Comment))
	}
	for _, name := range slices.Sorted(maps.Keys(s.Matchers)) {
		if name == "" || len(name) > 128 || len(s.Matchers[name]) > 1024 {
			return fmt.Errorf("a matcher is the name of a label (1 to 128 bytes) and a value of at most 1,024 bytes, got %.40q", name)
		}
	}
	return nil
}

// Silenced returns the silence that holds a transition back, or nil.
func Silenced(silences []Silence, t *result.Transition, now time.Time) *Silence {
	labels := Labels(t)
	for i := range silences {
		if s := &silences[i]; s.Active(now) && Match(s.Matchers, labels) {
			return s
		}
	}
	return nil
}
