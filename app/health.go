package app

import (
	"fmt"

	"github.com/driftd/driftd/web"
)

// health says whether the process works. Reachability of the broker is readiness, never liveness: an outage must not become
// a storm of restarts.
func (a *App) health() web.Health {
	h := web.Health{Failing: nil, Waiting: nil}
	snap, seen, stopping := a.state.get()
	switch {
	case stopping:
		h.Waiting = append(h.Waiting, "stopping")
	case !seen:
		h.Waiting = append(h.Waiting, "the partition is being restored")
	case !snap.Running && snap.Err != nil:
		h.Waiting = append(h.Waiting, fmt.Sprintf("partition %d does not run: %v", snap.Partition, snap.Err))
	}
	if !a.nc.IsConnected() {
		h.Waiting = append(h.Waiting, "the broker is away")
	}
	if a.sink.down.Load() {
		h.Waiting = append(h.Waiting, "the store does not take results: they wait in the outbox")
	}
	return h
}
