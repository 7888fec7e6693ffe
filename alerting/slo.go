package alerting

import (
	"errors"
	"fmt"
	"time"
)

// SLO is an objective for the share of good events, and how quickly its error budget may burn: multi-window,
// multi-burn-rate alerts (Beyer et al., The Site Reliability Workbook, 2018, chapter 5).
type SLO struct {
	Objective    float64 `json:"objective"`    // share of good events: 0.999
	Milliseconds float64 `json:"milliseconds"` // latency_slo: an event is good when it took at most this long (± 1 %)
	Burns        []Burn  `json:"burns"`        // the alert fires when any of them burns
	Window       int64   `json:"window_ms"`    // size of the windows that it is computed from, see Step
}

// Burn is a pair of windows. It burns when the share of bad events is at least Factor times the error budget in both: the long
// window says that it matters, the short one that it goes on.
type Burn struct {
	Long   int64   `json:"long_ms"`
	Short  int64   `json:"short_ms"`
	Factor float64 `json:"factor"`
}

const (
	minute  = int64(time.Minute / time.Millisecond)
	hour    = 60 * minute
	day     = 24 * hour
	maxLong = 31 * day

	maxBurns = 8
)

// PageBurns are the pairs of the workbook that page somebody, for a budget of 30 days: 2 % of it in an hour, 5 % in six.
func PageBurns() []Burn {
	return []Burn{{Long: hour, Short: 5 * minute, Factor: 14.4}, {Long: 6 * hour, Short: 30 * minute, Factor: 6}}
}

func (s *SLO) validate(latency bool) error {
	switch {
	case !(s.Objective > 0 && s.Objective < 1):
		return fmt.Errorf("must have an objective, the share of good events, above 0 and below 1, got %v", s.Objective)
	case latency && !(s.Milliseconds > 0):
		return errors.New("must have a latency: how long a good event takes at most")
	case !latency && s.Milliseconds != 0:
		return errors.New("must not have a latency: that is for rules of the kind latency_slo")
	case len(s.Burns) == 0 || len(s.Burns) > maxBurns:
		return fmt.Errorf("must have 1 to %d burns, got %d", maxBurns, len(s.Burns))
	case s.Window < 0:
		return fmt.Errorf("must not have windows of %d ms", s.Window)
	}
	for _, b := range s.Burns {
		switch {
		case b.Short < minute || b.Short > b.Long || b.Long > maxLong:
			return fmt.Errorf("must have burns with 1m ≤ short ≤ long ≤ 31d, got %v and %v", duration(b.Short), duration(b.Long))
		case !(b.Factor > 0):
			return fmt.Errorf("must have burns with a factor above 0, got %v", b.Factor)
		case b.Factor*(1-s.Objective) >= 1:
			return fmt.Errorf("can never burn: %v times the error budget of %.3g is more than all events", b.Factor, 1-s.Objective)
		}
	}
	return nil
}

// longest returns the longest window of an objective.
func (s *SLO) longest() int64 {
	out := int64(0)
	for _, b := range s.Burns {
		out = max(out, b.Long)
	}
	return out
}

// Step returns the size of the windows that a rule reads: the largest of sizes that divides every window of the objective, or
// 0 when none does.
func (s *SLO) Step(sizes []int64) int64 {
	out := int64(0)
	for _, size := range sizes {
		fits := true
		for _, b := range s.Burns {
			fits = fits && b.Short%size == 0 && b.Long%size == 0
		}
		if fits {
			out = max(out, size)
		}
	}
	return out
}

// Point is what a rule remembers of a window: all its events, and those that were not good.
type Point struct {
	End   int64  `json:"end_ms"`
	Total uint64 `json:"total"`
	Bad   uint64 `json:"bad"`
}

// minBad is how many bad events the long window of a burn must have: one failure of ten requests at night is no incident.
const minBad = 10

// burn returns the largest ratio of a burn's value to its threshold in both windows at end: 1 or more burns. ok is false while
// the windows have no events.
func (s *SLO) burn(past []Point, end int64) (ratio float64, worst Burn, share float64, ok bool) {
	sum := func(span int64) (total, bad uint64) {
		for _, p := range past {
			if p.End > end-span && p.End <= end {
				total, bad = total+p.Total, bad+p.Bad
			}
		}
		return total, bad
	}
	for _, b := range s.Burns {
		longTotal, longBad := sum(b.Long)
		shortTotal, shortBad := sum(b.Short)
		if longTotal == 0 || shortTotal == 0 {
			continue
		}
		bound := b.Factor * (1 - s.Objective)
		long, short := float64(longBad)/float64(longTotal), float64(shortBad)/float64(shortTotal)
		r := min(long, short) / bound
		if longBad < minBad {
			r = min(r, 0)
		}
		if !ok || r > ratio {
			ratio, worst, share, ok = r, b, long, true
		}
	}
	return ratio, worst, share, ok
}

func duration(ms int64) time.Duration { return time.Duration(ms) * time.Millisecond }
