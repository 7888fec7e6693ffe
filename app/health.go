package app

import (
	"fmt"

	"github.com/driftd/driftd/web"
)

// health says whether the process works. Reachability of the broker is readiness, never liveness: an outage must not become
// a storm of restarts.
func (a *App) health() web.Health {
	h := web.Health{Failing: nil, Waiting: nil}
	switch {
	case a.shutting.Load():
		h.Waiting = append(h.Waiting, "stopping")
	case !a.leases.Status().Settled:
		h.Waiting = append(h.Waiting, "the partitions are not shared out yet")
	}
	for _, p := range a.looks() {
		switch {
		case !p.Owned || a.shutting.Load():
		case !p.Seen:
			h.Waiting = append(h.Waiting, fmt.Sprintf("partition %d is being restored", p.Number))
		case !p.Running && p.Err != nil:
			h.Waiting = append(h.Waiting, fmt.Sprintf("partition %d does not run: %v", p.Number, p.Err))
		}
	}
	if !a.nc.IsConnected() {
		h.Waiting = append(h.Waiting, "the broker is away")
	}
	if why := a.sink.why(); why != "" {
		h.Waiting = append(h.Waiting, why)
	}
	return h
}
