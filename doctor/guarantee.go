package doctor

import (
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/driftd/driftd/broker"
	"github.com/driftd/driftd/journal"
)

// guarantees says what survives what, as the streams are now.
func (e *exam) guarantees() {
	copies, memory, seen := 0, false, 0
	refused, kept := "", map[string]bool{}
	for _, s := range e.streams {
		if s.Role == journal.RoleReferences {
			continue // immutable, and made again from its rows
		}
		kept[s.Name] = s.Info != nil
		if s.Info == nil {
			continue
		}
		seen++
		if n := s.Info.Config.Replicas; copies == 0 || n < copies {
			copies = n
		}
		memory = memory || s.Info.Config.Storage == jetstream.MemoryStorage
		for _, m := range s.Mismatches {
			refused = fmt.Sprintf("stream %s has %s %s", s.Name, m.Field, m.Found)
		}
	}
	for _, there := range kept {
		if !there {
			seen = 0
		}
	}
	e.report.Guarantees = promises(facts{
		known: seen > 0, copies: copies, memory: memory, embedded: e.Embedded, refused: refused,
	})
}

// facts are what the guarantees follow from.
type facts struct {
	known    bool   // every stream could be read
	copies   int    // of the stream that has the fewest
	memory   bool   // a stream is not in files
	embedded bool   // the broker is driftd's own
	refused  string // a setting that driftd does not start with
}

// askServers is how an operator finds out what a server does not tell its clients.
const askServers = "a server does not tell clients its sync_interval: look for it in the servers' configuration, or ask " +
	"`nats server request jetstream` with a user of the system account (sync_always, sync_interval)"

// promises derives the guarantees.
func promises(f facts) []Guarantee {
	const (
		daemon = "kill -9 of driftd"
		server = "kill -9 of a broker"
		power  = "power loss of a broker's machine"
		disk   = "loss of a broker's disk"
	)
	if !f.known {
		why := "not every stream of driftd could be read"
		return []Guarantee{{daemon, Unsure, why, ""}, {server, Unsure, why, ""}, {power, Unsure, why, ""}, {disk, Unsure, why, ""}}
	}
	if f.refused != "" {
		why := "driftd does not start like this: " + f.refused
		return []Guarantee{{daemon, No, why, ""}, {server, No, why, ""}, {power, No, why, ""}, {disk, No, why, ""}}
	}
	all := []Guarantee{{
		daemon, Yes, "position, counts and results are one atomic batch: what was not committed never happened, and is read again", "",
	}}
	majority := f.copies/2 + 1
	spare := f.copies - majority
	switch {
	case f.memory && f.copies < 3:
		why := "a stream is kept in memory"
		return append(all, Guarantee{server, No, why, "use file storage"}, Guarantee{power, No, why, "use file storage"},
			Guarantee{disk, No, why, "use file storage"})
	case f.copies < 3:
		one := "each stream has 1 copy"
		if f.copies == 2 {
			one = "each stream has 2 copies, and needs both to be written"
		}
		all = append(all, Guarantee{server, Yes, one + ", in files: a write is the kernel's before it is acknowledged; until the server is back, everything waits", ""})
		p := Guarantee{
			power, Unsure, one + ": what was acknowledged within the last sync_interval (2m by default) is gone, unless it is always; driftd would notice and report it",
			askServers + "; set sync_interval: always, or use three servers with nats.replicas: 3",
		}
		if f.embedded {
			p.Holds, p.Because = No, fmt.Sprintf("the embedded broker's sync_interval is %v: what was acknowledged since may be gone; driftd would notice and report it",
				age(broker.EmbeddedSyncInterval))
			p.Remedy = "for this guarantee run a broker of your own: sync_interval: always, or three servers with nats.replicas: 3"
		}
		return append(all, p, Guarantee{disk, No, one, "use three servers with nats.replicas: 3, and backups (docs/operations.md)"})
	}
	some := fmt.Sprintf("each stream has %d copies, and a write is acknowledged when %d have it", f.copies, majority)
	return append(all,
		Guarantee{server, Yes, fmt.Sprintf("%s: %d may be down, and counting goes on", some, spare), ""},
		Guarantee{power, Yes, fmt.Sprintf("%s: holds for %d at a time. If %d lose power at once, what was acknowledged within the last sync_interval (2m by default) "+
			"may be gone, unless it is always", some, spare, majority), askServers + "; keep the servers on separate power"},
		Guarantee{disk, Yes, fmt.Sprintf("%s: holds for %d at a time", some, spare), ""})
}
