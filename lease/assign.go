package lease

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"maps"
	"slices"
	"strconv"
)

// member is what a member says of itself.
type member struct {
	Schema     int    `json:"schema"`
	Session    string `json:"session"`
	Partitions int    `json:"partitions"`     // that it knows: 0 to Partitions-1
	Away       []int  `json:"away,omitempty"` // that it cannot work on now
}

func (m member) can(p int) bool { return p < m.Partitions && !slices.Contains(m.Away, p) }

// assign returns the node of each partition, "" where nobody can work on it. It is rendezvous hashing with bounded loads: every
// partition goes to the node with the largest weight for it that has not its share yet, so that few partitions are shared evenly too.
// It depends on the group alone: whoever sees the same group assigns alike.
func assign(group map[string]member) []string {
	total := 0
	for _, m := range group {
		total = max(total, m.Partitions)
	}
	nodes := slices.Sorted(maps.Keys(group))
	share, over := total/max(1, len(nodes)), total%max(1, len(nodes)) // so many each, and so many with one more
	load := map[string]int{}
	free := func(n string) bool { return load[n] < share || load[n] == share && over > 0 }
	out := make([]string, total)
	for p := range out {
		able := slices.DeleteFunc(slices.Clone(nodes), func(n string) bool { return !group[n].can(p) })
		slices.SortStableFunc(able, func(a, b string) int { return cmp.Compare(weight(b, p), weight(a, p)) })
		if len(able) == 0 {
			continue
		}
		// Where some are away, the others take more than their share.
		n := able[max(0, slices.IndexFunc(able, free))]
		if load[n] == share {
			over--
		}
		load[n]++
		out[p] = n
	}
	return out
}

// weight is the hash of a node for a partition.
func weight(node string, p int) uint64 {
	sum := sha256.Sum256([]byte(strconv.Itoa(p) + "/" + node))
	return binary.BigEndian.Uint64(sum[:])
}
