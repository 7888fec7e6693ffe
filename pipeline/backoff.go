package pipeline

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/driftd/driftd/event"
	"github.com/driftd/driftd/fold"
	"github.com/driftd/driftd/result"
)

// Bounds of the wait between two sessions.
const (
	firstWait = 100 * time.Millisecond
	mostWait  = 15 * time.Second
)

// backoff waits longer after each failure in a row, with jitter so that replicas do not move in step.
type backoff struct{ next time.Duration }

func newBackoff() *backoff { return &backoff{next: firstWait} }

func (b *backoff) reset() { b.next = firstWait }

func (b *backoff) wait(ctx context.Context) {
	t := time.NewTimer(b.next/2 + rand.N(b.next/2+1)) //nolint:gosec // jitter needs no secrecy
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
	b.next = min(2*b.next, mostWait)
}

// lastCommit is how long a commit may go on when the worker is asked to stop.
const lastCommit = 10 * time.Second

// outlive returns a context that ends d after ctx: a commit that is on its way is not torn, for then its state could not be committed any
// more and the next owner would have to fold it again.
func outlive(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	late, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		t := time.NewTimer(d)
		defer t.Stop()
		select {
		case <-t.C:
			cancel()
		case <-late.Done():
		}
	})
	return late, func() {
		stop()
		cancel()
	}
}

// configMessage returns the control message that carries a configuration.
func configMessage(c fold.Counting) ([]byte, error) {
	data, err := json.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("encoding the configuration: %w", err)
	}
	m := event.Control{Kind: event.ControlConfig, ConfigHash: c.Hash(), Models: data} //nolint:exhaustruct // a configuration
	return m.Encode(), nil
}

// AddStats adds the counters of two sessions or partitions.
func AddStats(a, b fold.Stats) fold.Stats {
	sum := b
	for i, f := range sum.Counters() {
		*f += *a.Counters()[i]
	}
	sum.Rejected, sum.Verdicts = map[event.RejectReason]uint64{}, map[result.Verdict]uint64{}
	for _, s := range []fold.Stats{a, b} {
		for k, v := range s.Rejected {
			sum.Rejected[k] += v
		}
		for k, v := range s.Verdicts {
			sum.Verdicts[k] += v
		}
	}
	return sum
}
