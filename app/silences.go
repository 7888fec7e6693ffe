package app

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/driftd/driftd/alerting"
)

// maxSilences bounds the silences that are kept.
const maxSilences = 1000

// silences follows the bucket of silences: every daemon of a cluster sees the same ones.
type silences struct {
	kv  jetstream.KeyValue
	log *slog.Logger

	mu  sync.Mutex
	all map[string]alerting.Silence
}

func newSilences(kv jetstream.KeyValue, log *slog.Logger) *silences {
	return &silences{kv: kv, log: log, mu: sync.Mutex{}, all: map[string]alerting.Silence{}}
}

// run follows the bucket until ctx ends.
func (s *silences) run(ctx context.Context) error {
	for ctx.Err() == nil {
		if err := s.follow(ctx); err != nil && ctx.Err() == nil {
			s.log.WarnContext(ctx, "the silences cannot be read; those that were known hold", slog.Any("err", err))
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
	return nil
}

func (s *silences) follow(ctx context.Context) error {
	watcher, err := s.kv.WatchAll(ctx)
	if err != nil {
		return err
	}
	defer watcher.Stop() //nolint:errcheck // it ends with its context
	for {
		select {
		case <-ctx.Done():
			return nil
		case entry, ok := <-watcher.Updates():
			if !ok {
				return errors.New("the watch ended")
			}
			if entry != nil {
				s.apply(entry)
			}
		}
	}
}

func (s *silences) apply(entry jetstream.KeyValueEntry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var silence alerting.Silence
	if entry.Operation() != jetstream.KeyValuePut || json.Unmarshal(entry.Value(), &silence) != nil {
		delete(s.all, entry.Key())
		return
	}
	s.all[entry.Key()] = silence
}

// List returns all silences, those that end last first.
func (s *silences) List() []alerting.Silence {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]alerting.Silence, 0, len(s.all))
	for _, silence := range s.all {
		out = append(out, silence)
	}
	slices.SortFunc(out, func(a, b alerting.Silence) int {
		if c := b.End.Compare(a.End); c != 0 {
			return c
		}
		return strings.Compare(a.ID, b.ID)
	})
	return out
}

// Add stores a silence and returns it with its id. What is wrong with it is an error that says so.
func (s *silences) Add(ctx context.Context, silence alerting.Silence) (alerting.Silence, error) {
	if err := silence.Validate(); err != nil {
		return silence, &alerting.SilenceError{Err: err}
	}
	if len(s.List()) >= maxSilences {
		return silence, &alerting.SilenceError{Err: fmt.Errorf("there are %d silences already: remove some that are over", maxSilences)}
	}
	silence.ID = strings.ToLower(rand.Text()[:16])
	data, err := json.Marshal(silence)
	if err != nil {
		return silence, fmt.Errorf("encoding a silence: %w", err)
	}
	if _, err := s.kv.Create(ctx, silence.ID, data); err != nil {
		return silence, fmt.Errorf("storing a silence: %w", err)
	}
	s.mu.Lock()
	s.all[silence.ID] = silence
	s.mu.Unlock()
	return silence, nil
}

// Remove ends a silence now; false where there is none.
func (s *silences) Remove(ctx context.Context, id string) (bool, error) {
	s.mu.Lock()
	_, known := s.all[id]
	s.mu.Unlock()
	if !known {
		return false, nil
	}
	if err := s.kv.Purge(ctx, id, jetstream.PurgeTTL(time.Hour)); err != nil {
		return false, fmt.Errorf("removing a silence: %w", err)
	}
	s.mu.Lock()
	delete(s.all, id)
	s.mu.Unlock()
	return true, nil
}
