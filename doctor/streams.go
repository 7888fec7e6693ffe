package doctor

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/driftd/driftd/journal"
)

// settings looks at what each stream is configured to be, and how full it is.
func (e *exam) settings() {
	missing := 0
	for _, s := range e.streams {
		if errors.Is(s.Err, jetstream.ErrStreamNotFound) {
			missing++
		}
	}
	if missing == len(e.streams) {
		e.add("streams", Broken, "start `driftd run` once: it creates its streams", "this broker has none of driftd's streams")
		return
	}
	for _, s := range e.streams {
		name := "stream " + s.Name
		switch {
		case errors.Is(s.Err, jetstream.ErrStreamNotFound) && s.Own:
			e.add(name, Broken, "start `driftd run`: it creates what is missing", "the %s stream does not exist", s.Role)
		case errors.Is(s.Err, jetstream.ErrStreamNotFound):
			e.add(name, Broken, "create it, or correct nats.stream", "the configured input stream does not exist")
		case s.Info == nil:
			e.add(name, Broken, "does the user have the permission to ask?", "it cannot be read: %v", s.Err)
		default:
			e.setting(name, s)
		}
	}
}

// sources says what driftd can check of messages that the broker brings from other streams, and what it cannot.
func (e *exam) sources(s journal.StreamSurvey) {
	if s.Role != journal.RoleInput || len(s.Info.Config.Sources) == 0 {
		return
	}
	names := make([]string, 0, len(s.Info.Config.Sources))
	for _, o := range s.Info.Config.Sources {
		names = append(names, o.Name)
	}
	e.add("sources of stream "+s.Name, Advice, "let the servers be 2.14 or later, and keep the origins until they are sourced: watch `nats stream report`",
		"it sources %s: a message that the broker sources twice is dropped while it is among the last limits.dedup_ids; "+
			"what it never sources, driftd cannot see", strings.Join(names, ", "))
}

func (e *exam) setting(name string, s journal.StreamSurvey) {
	for _, m := range s.Mismatches {
		e.add(name, Broken, m.Remedy, "%s is %s, must be %s", m.Field, m.Found, m.Wanted)
	}
	for _, w := range s.Warnings {
		e.add(name, Advice, "change it with `nats stream edit "+s.Name+"`", "%s", w)
	}
	e.sources(s)
	c, state := s.Info.Config, s.Info.State
	if c.Storage == jetstream.MemoryStorage && s.Own {
		e.add(name, Broken, "move it away and let driftd create it", "it is kept in memory")
	}
	status, remedy, fill := OK, "", ""
	if c.MaxBytes > 0 {
		share := float64(state.Bytes) / float64(c.MaxBytes)
		fill = fmt.Sprintf(" of %s (%.0f %%)", size(uint64(c.MaxBytes)), 100*share)
		if c.Discard == jetstream.DiscardNew && share >= nearlyFull {
			status, remedy = Advice, "raise its max_bytes: a full stream stops the counting, though it loses nothing"
		}
		if c.Discard == jetstream.DiscardNew && share >= full {
			status = Broken
		}
	}
	if len(s.Mismatches) > 0 {
		return
	}
	discard := "drops the oldest"
	if c.Discard == jetstream.DiscardNew {
		discard = "refuses new ones"
	}
	parts := []string{
		fmt.Sprintf("%d messages, %s%s", state.Msgs, size(state.Bytes), fill),
		storage(c.Storage), "when full it " + discard,
	}
	if c.MaxAge > 0 {
		parts = append(parts, "keeps "+age(c.MaxAge))
	}
	if s.Role == journal.RoleOutbox {
		parts = append(parts, "drops repeated ids within "+age(c.Duplicates))
	}
	e.add(name, status, remedy, "%s: %s", s.Role, strings.Join(parts, "; "))
}

func storage(s jetstream.StorageType) string {
	if s == jetstream.MemoryStorage {
		return "in memory"
	}
	return "in files"
}

// age writes a duration as the configuration would: 7d, 10m.
func age(d time.Duration) string {
	if day := 24 * time.Hour; d >= day && d%day == 0 {
		return fmt.Sprintf("%dd", d/day)
	}
	s := d.Round(time.Second).String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
