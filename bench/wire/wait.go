package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"sort"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// waitEnv makes this program a consumer that throws every message away and notes how long it took to come; it holds the broker's URL and for how
// many seconds that is done, behind the first ones.
const waitEnv = "DRIFTD_WIRE_WAIT"

// waiting lets a consumer in a process of its own read what is published to a rate, as the daemon does afterwards, and returns how long its
// messages took.
func (b *broker) waiting(ctx context.Context, g *generator, rate float64) (f delayFigures, err error) {
	self, err := os.Executable()
	if err != nil {
		return f, err
	}
	cmd := onCore(clientCore, self)
	cmd.Env = append(cmd.Env, fmt.Sprintf("%s=%s %d", waitEnv, b.url, latencySeconds))
	cmd.Stderr = os.Stderr
	type answer struct {
		data []byte
		err  error
	}
	answers := make(chan answer, 1) // one process, one answer
	go func() {
		data, err := cmd.Output()
		answers <- answer{data, err}
	}()
	if _, err := b.publish(ctx, g, inputStream, inputSubject, rate, after(2*warmUp+latencySeconds*time.Second)); err != nil {
		return f, err
	}
	a := <-answers
	if a.err != nil {
		return f, a.err
	}
	err = decode(a.data, &f)
	return f, err
}

// beWaiting is the consumer's process.
func beWaiting() bool {
	plan := os.Getenv(waitEnv)
	if plan == "" {
		return false
	}
	var url string
	var seconds int
	if _, err := fmt.Sscan(plan, &url, &seconds); err != nil {
		panic("BUG: bench/wire: " + err.Error())
	}
	if err := waitAll(url, time.Duration(seconds)*time.Second); err != nil {
		fmt.Fprintln(os.Stderr, "waiting:", err)
		os.Exit(1)
	}
	return true
}

func waitAll(url string, d time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	begin := time.Now().Add(warmUp)
	seen := make(chan float64, 1<<20) // of a second's messages and more: it is read once, at the end
	stop, err := readInput(ctx, url, jetstream.DeliverNewPolicy, func(m jetstream.Msg) {
		meta, err := m.Metadata()
		if now := time.Now(); err == nil && meta.Sequence.Stream%64 == 0 && now.After(begin) {
			seen <- now.Sub(meta.Timestamp).Seconds()
		}
	})
	if err != nil {
		return err
	}
	err = pause(ctx, warmUp+d)
	if stop(); err != nil {
		return err
	}
	var h delays
	h.bounds = []float64{0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60} // as driftd has them
	h.counts = make([]uint64, len(h.bounds))
	for range len(seen) {
		s := <-seen
		h.total++
		for i := sort.SearchFloat64s(h.bounds, s); i < len(h.counts); i++ {
			h.counts[i]++
		}
	}
	return json.NewEncoder(os.Stdout).Encode(h.figures())
}
