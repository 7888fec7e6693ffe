package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/driftd/driftd/ingest"
)

// inputStream holds the events. It is a stream of its own, so that all that driftd makes can be removed between two runs.
const (
	inputStream  = "WIRE"
	inputSubject = "wire.events"

	// liveStream is a second partition's, whose events come while they are counted.
	liveStream  = "WIRE_LIVE"
	liveSubject = "wire-live.events"
)

// broker is a nats-server in a process of its own.
type broker struct {
	cmd *exec.Cmd
	url string
	nc  *nats.Conn
	js  jetstream.JetStream
}

func startBroker(ctx context.Context, binary, dir string) (*broker, error) {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, err
	}
	cmd := onCore(brokerCore, binary, "-a", "127.0.0.1", "-p", "-1", "-js", "-sd", dir, "--ports_file_dir", dir, "-l", filepath.Join(dir, "log"))
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", binary, err)
	}
	b := &broker{cmd: cmd} //nolint:exhaustruct // nothing is known yet
	if err := b.connect(ctx, dir); err != nil {
		b.stop()
		return nil, fmt.Errorf("connecting to %s: %w", binary, err)
	}
	return b, nil
}

// connect waits for the file in which the server says where it listens.
func (b *broker) connect(ctx context.Context, dir string) error {
	for end := time.Now().Add(20 * time.Second); ; {
		files, err := filepath.Glob(filepath.Join(dir, "*.ports"))
		if err != nil {
			return err
		}
		if len(files) == 1 {
			data, err := os.ReadFile(files[0])
			var ports struct {
				NATS []string `json:"nats"`
			}
			if err == nil && decode(data, &ports) == nil && len(ports.NATS) > 0 {
				b.url = ports.NATS[0]
				break
			}
		}
		if time.Now().After(end) {
			return errors.New("it did not say where it listens within 20 s")
		}
		if err := pause(ctx, 20*time.Millisecond); err != nil {
			return err
		}
	}
	var err error
	if b.nc, err = nats.Connect(b.url, nats.Name("bench-wire")); err != nil {
		return err
	}
	b.js, err = jetstream.New(b.nc)
	return err
}

func (b *broker) stop() {
	if b.nc != nil {
		b.nc.Close()
	}
	_ = b.cmd.Process.Kill() // what it holds is thrown away
	_ = b.cmd.Wait()         // it was killed
}

// create makes a stream for events, of at most so many bytes of the newest ones; 0: all of them.
func (b *broker) create(ctx context.Context, name, subject string, most int64) error {
	_, err := b.js.CreateStream(ctx, jetstream.StreamConfig{ //nolint:exhaustruct // the rest has its default
		Name: name, Subjects: []string{subject}, Storage: jetstream.FileStorage, MaxBytes: most, Discard: jetstream.DiscardOld,
	})
	return err
}

// fill stores a number of events in the input stream.
func (b *broker) fill(ctx context.Context, g *generator, s *shape, events int, m *measured) error {
	if err := b.create(ctx, inputStream, inputSubject, 0); err != nil {
		return err
	}
	p := ingest.NewPublisher(b.js)
	var total int
	for m.Events < events {
		data := s.encode(g, s.batch)
		if err := p.Publish(ctx, inputSubject, "", data, m.Messages); err != nil {
			return err
		}
		total += len(data)
		m.Messages++
		m.Events += s.batch
	}
	if err := p.Flush(ctx); err != nil {
		return err
	}
	m.MessageBytes = float64(total) / float64(m.Messages)
	return p.Close()
}

// empty makes the input stream anew, without events.
func (b *broker) empty(ctx context.Context) error {
	if err := b.js.DeleteStream(ctx, inputStream); err != nil {
		return err
	}
	return b.create(ctx, inputStream, inputSubject, 0)
}

// clean removes all that a daemon made but the references.
func (b *broker) clean(ctx context.Context) error {
	names := b.js.StreamNames(ctx)
	var own []string
	for name := range names.Name() {
		if name != inputStream && name != liveStream && name != "DRIFTD_REFERENCES" {
			own = append(own, name)
		}
	}
	if err := names.Err(); err != nil {
		return err
	}
	for _, name := range own {
		if err := b.js.DeleteStream(ctx, name); err != nil {
			return fmt.Errorf("deleting stream %s: %w", name, err)
		}
	}
	return nil
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
