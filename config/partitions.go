package config

import (
	"maps"
	"slices"
	"strings"
	"time"
)

// minLease is the shortest lease: a busy broker must not make it run out.
const minLease = Duration(time.Second)

// maxPartitions bounds nats.partitions: each has two streams of its own.
const maxPartitions = 256

// ownStreams is how the names of driftd's streams begin.
const ownStreams = "DRIFTD_"

// Layout returns the partitions by number: those of nats.partitions, or else the one of nats.stream, which takes every model.
func (n *NATS) Layout() []Partition {
	if len(n.Partitions) > 0 {
		return n.Partitions
	}
	return []Partition{{Models: nil, Stream: n.Stream}}
}

// PartitionOf returns the number of the partition that takes a model: the one that names it, else the first stream of the
// operator's own that names none. There may be neither.
func (n *NATS) PartitionOf(model string) (number int, ok bool) {
	layout := n.Layout()
	if i := slices.IndexFunc(layout, func(p Partition) bool { return slices.Contains(p.Models, model) }); i >= 0 {
		return i, true
	}
	i := slices.IndexFunc(layout, func(p Partition) bool { return len(p.Models) == 0 })
	return i, i >= 0
}

// checkPartitions applies the rules about nats.partitions and their leases.
func (k *checker) checkPartitions() {
	if ttl := k.c.NATS.LeaseTTL; ttl > 0 && ttl < minLease {
		k.fail("nats.lease_ttl", nil, "must be at least %s, or 0s for none, got %s", minLease, ttl)
	}
	const path = "nats.partitions"
	all := k.c.NATS.Partitions
	switch {
	case len(all) == 0:
		return
	case len(all) > maxPartitions:
		k.fail(path, nil, "must be at most %d, got %d", maxPartitions, len(all))
	case k.c.NATS.Stream != Default().NATS.Stream: // which a printed configuration always names
		k.fail("nats.stream", []string{path}, "cannot be used together with %s: name the stream as a partition of its own", path)
	}
	models, streams := map[string]string{}, map[string]string{}
	open := false // a partition takes whatever model comes
	for i, p := range all {
		at := joinIndex(path, i)
		if p.Stream == "" && len(p.Models) == 0 && !k.d.isBroken(at) {
			k.fail(at, []string{at + ".models", at + ".stream"}, "needs models, such as {models: [churn, fraud]}, or a stream of your own")
		}
		open = open || p.Stream != "" && len(p.Models) == 0
		for j, m := range p.Models {
			k.checkPartitionModel(joinIndex(at+".models", j), m, models)
		}
		k.checkPartitionStream(at+".stream", p.Stream, streams)
	}
	if open {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(k.c.Models)) {
		if models[name] == "" && modelName.MatchString(name) {
			k.failKey(joinKey("models", name), "is in none of %s: the broker would refuse every event of it", path)
		}
	}
}

func (k *checker) checkPartitionModel(at, model string, seen map[string]string) {
	switch first := seen[model]; {
	case !modelName.MatchString(model):
		k.fail(at, nil, "must be a model's name: 1 to 128 of A-Z a-z 0-9 _ -, got %q", shorten(model))
	case first != "":
		k.fail(at, []string{first}, "is %q as well as %s: a model belongs to one partition", model, first)
	default:
		seen[model] = at
	}
}

func (k *checker) checkPartitionStream(at, stream string, seen map[string]string) {
	switch first := seen[stream]; {
	case stream == "":
	case !streamName.MatchString(stream):
		k.fail(at, nil, "must be 1 to 128 of A-Z a-z 0-9 _ -, got %q", shorten(stream))
	case strings.HasPrefix(stream, ownStreams):
		k.fail(at, nil, "must be a stream of your own, got %q: give models instead, and driftd creates the stream", shorten(stream))
	case first != "":
		k.fail(at, []string{first}, "is %q as well as %s: a stream is one partition", stream, first)
	default:
		seen[stream] = at
	}
}
