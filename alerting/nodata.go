package alerting

import (
	"fmt"
	"time"

	"github.com/driftd/driftd/result"
)

// Silence looks at a watermark that moved without events: markers say that a model was silent. last is the end of the newest
// window of the given size that had an event, at the latest; step is how long such a window may become. After as many steps in a
// row as the rule says, the incident fires; the next window with an event resolves it.
func (b *Book) Silence(key result.Key, size, step, last, watermark int64, rules []Rule) []result.Transition {
	var out []result.Transition
	for i := range rules {
		r := &rules[i]
		if r.Kind != KindNoData {
			continue
		}
		silent := (watermark - last) / step
		subject := Subject{Rule: r.Name, Key: key, Size: size}
		if in := b.open[subject]; silent < int64(r.Hits) || in != nil && in.State == result.Firing {
			continue
		}
		// The window that decided it, whatever the watermark has become by now: another reading may see fewer markers.
		w := result.Window{Start: last + int64(r.Hits-1)*step, End: last + int64(r.Hits)*step, Size: size}
		var sum result.Summary // there is no result
		sum.Key, sum.Window = key, w
		in := b.incident(subject)
		out = append(out, in.move(r, &sum, func() {
			in.Members = []Member{{
				Feature: "", Role: "", Firing: true, Since: last, Last: w.End, History: []bool{true}, Quiet: 0, Value: float64(r.Hits), Threshold: float64(r.Hits),
				Unit: "windows without an event", Worst: float64(r.Hits),
				Reasons: []string{fmt.Sprintf("no event since %s: %d windows of %v without any", time.UnixMilli(last).UTC().Format(time.RFC3339), r.Hits, duration(step))},
			}}
		})...)
		out = b.inhibit(&sum, rules, out)
	}
	return out
}

// Silent reports whether an incident of silence is open or no rule asks for one: then no marker has anything more to say.
func (b *Book) Silent(rules []Rule) bool {
	for i := range rules {
		if rules[i].Kind != KindNoData {
			continue
		}
		for s, in := range b.open {
			if s.Rule == rules[i].Name && in.State == result.Firing {
				return true
			}
		}
		return false
	}
	return true
}

// heard ends an incident of silence: a window has events again.
func (b *Book) heard(r *Rule, sum *result.Summary) []result.Transition {
	var out []result.Transition
	in := b.open[Subject{Rule: r.Name, Key: sum.Key, Size: sum.Window.Size}]
	if in == nil || sum.Counts.Events == 0 || len(in.Members) > 0 && sum.Window.End <= in.Members[0].Last {
		return nil // also a revision of a window from before the silence
	}
	out = in.move(r, sum, func() {
		for i := range in.Members {
			in.Members[i].Firing, in.Members[i].History, in.Members[i].Value = false, nil, 0
			in.Members[i].Reasons = []string{fmt.Sprintf("%d events again", sum.Counts.Events)}
		}
	})
	b.forget(in, sum.Window.End)
	return out
}
