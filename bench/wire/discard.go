package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// discardEnv makes this program a consumer that throws every message away; it holds the broker's URL and the number of messages.
const discardEnv = "DRIFTD_WIRE_DISCARD"

// sample is one reading of a stream. Both readers are measured behind their first messages, when they run.
type sample struct {
	Rate    float64 `json:"events_per_second"`
	CPU     float64 `json:"cpu_us_per_event"`
	Seconds float64 `json:"seconds"`
	Events  int     `json:"events"`
	Ready   float64 `json:"ready_seconds,omitempty"` // of driftd, since its start
	Peak    float64 `json:"peak_mib,omitempty"`      // of driftd, resident
}

// discard reads the stream in a process of its own.
func (b *broker) discard(_ context.Context, m *measured) (sample, error) {
	self, err := os.Executable()
	if err != nil {
		return sample{}, err
	}
	cmd := onCore(clientCore, self)
	cmd.Env = append(cmd.Env, discardEnv+"="+b.url+" "+strconv.Itoa(m.Messages))
	cmd.Stderr = os.Stderr
	data, err := cmd.Output()
	if err != nil {
		return sample{}, err
	}
	var got struct {
		Messages int
		Seconds  float64
		CPU      float64
	}
	if err := decode(data, &got); err != nil {
		return sample{}, err
	}
	events := got.Messages * m.EventsPerMessage
	return sample{Rate: float64(events) / got.Seconds, CPU: got.CPU * 1e6 / float64(events), Seconds: got.Seconds, Events: events, Ready: 0, Peak: 0}, nil
}

// beDiscarding reads as package ingest does, with the same options, and looks at nothing.
func beDiscarding() bool {
	plan := os.Getenv(discardEnv)
	if plan == "" {
		return false
	}
	var url string
	var messages int
	if _, err := fmt.Sscan(plan, &url, &messages); err != nil {
		panic("BUG: bench/wire: " + err.Error())
	}
	if err := discardAll(url, messages); err != nil {
		fmt.Fprintln(os.Stderr, "discarding:", err)
		os.Exit(1)
	}
	return true
}

// readInput hands the messages of the input stream to f, with the options that package ingest has, until it is stopped.
func readInput(ctx context.Context, url string, from jetstream.DeliverPolicy, f func(jetstream.Msg)) (stop func(), err error) {
	nc, err := nats.Connect(url)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			nc.Close()
		}
	}()
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, err
	}
	cons, err := js.CreateConsumer(ctx, inputStream, jetstream.ConsumerConfig{ //nolint:exhaustruct // the rest has its default
		DeliverPolicy: from, AckPolicy: jetstream.AckNonePolicy, MemoryStorage: true, Replicas: 1, InactiveThreshold: time.Minute,
	})
	if err != nil {
		return nil, err
	}
	cc, err := cons.Consume(f, jetstream.PullMaxBytes(16<<20), jetstream.PullHeartbeat(5*time.Second), jetstream.PullExpiry(30*time.Second))
	if err != nil {
		return nil, err
	}
	return func() {
		cc.Stop()
		nc.Close()
	}, nil
}

func discardAll(url string, messages int) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	skip := messages / 20 // as driftd is measured from its first commit on
	seen := 0
	var begin, end time.Time
	var cpu float64
	done := make(chan struct{})
	stop, err := readInput(ctx, url, jetstream.DeliverAllPolicy, func(jetstream.Msg) {
		switch seen++; seen {
		case skip:
			begin, cpu = time.Now(), ownCPU()
		case messages:
			end, cpu = time.Now(), ownCPU()-cpu
			close(done)
		}
	})
	if err != nil {
		return err
	}
	defer stop()
	select {
	case <-done:
	case <-ctx.Done():
		return fmt.Errorf("%w after %d of %d messages", ctx.Err(), seen, messages)
	}
	return json.NewEncoder(os.Stdout).Encode(map[string]any{
		"Messages": messages - skip, "Seconds": end.Sub(begin).Seconds(), "CPU": cpu,
	})
}

// ownCPU returns the CPU time of this process in seconds.
func ownCPU() float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic("BUG: bench/wire: " + err.Error())
	}
	return float64(u.Utime.Sec+u.Stime.Sec) + float64(u.Utime.Usec+u.Stime.Usec)/1e6
}
