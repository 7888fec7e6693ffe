package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/driftd/driftd/app"
	"github.com/driftd/driftd/journal"
)

// layout returns the streams that the configuration asks for. Limits are the daemon's to choose: what it did not create
// yet gets its defaults here.
func (l *link) layout() journal.Layout {
	return journal.Layout{Partitions: app.Partitions(&l.cfg.NATS), Replicas: 0}
}

// home is where the messages of a model lie.
type home struct {
	partition int
	stream    string // where that is known
}

func (h home) control() string { return journal.ControlSubject(h.partition) }

// homeOf returns the partition of a model, the first one where none is given: the configuration says it, or else the stream that takes the model's events, by its control
// subject. A broker that takes none yet has the one partition of an empty configuration.
func (l *link) homeOf(ctx context.Context, model string) (home, error) {
	first := home{0, l.layout().Partitions[0].InputName()}
	if model == "" {
		return first, nil
	}
	if l.configured {
		p, ok := l.cfg.NATS.PartitionOf(model)
		if !ok {
			return home{}, fmt.Errorf("model %s is in none of nats.partitions", model)
		}
		return home{p, l.layout().Partitions[p].InputName()}, nil
	}
	name, err := l.js.StreamNameBySubject(ctx, "ml.events."+model)
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound):
		return first, nil
	case err != nil:
		return home{}, fmt.Errorf("looking for the stream of model %s: %w", model, err)
	}
	s, err := l.js.Stream(ctx, name)
	if err != nil {
		return home{}, fmt.Errorf("looking for the stream of model %s: %w", model, err)
	}
	for _, subject := range s.CachedInfo().Config.Subjects {
		number, is := strings.CutPrefix(subject, strings.TrimSuffix(journal.ControlSubject(0), "0"))
		if p, err := strconv.Atoi(number); is && err == nil {
			return home{p, name}, nil
		}
	}
	return first, nil
}

// partitions returns the numbers of the partitions that this broker has state of, or of those that the configuration names.
func (l *link) partitions(ctx context.Context) ([]int, error) {
	var out []int
	if l.configured {
		for p := range l.layout().Partitions {
			out = append(out, p)
		}
		return out, nil
	}
	names := l.js.StreamNames(ctx)
	for name := range names.Name() {
		number, is := strings.CutPrefix(name, strings.TrimSuffix(journal.StateStream(0), "0"))
		if p, err := strconv.Atoi(number); is && err == nil {
			out = append(out, p)
		}
	}
	slices.Sort(out)
	return out, names.Err()
}
