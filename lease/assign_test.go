package lease_test

import (
	"fmt"
	"testing"

	"github.com/driftd/driftd/lease"
)

// TestAssignShares shows that every partition has one owner, that nobody has more than its share, and that a member that leaves moves
// few partitions besides its own.
func TestAssignShares(t *testing.T) {
	for members := 1; members <= 7; members++ {
		group := map[string][]int{}
		for m := range members {
			group[fmt.Sprintf("node-%d", m)] = nil
		}
		const partitions = 12
		before := lease.Assign(partitions, group)
		load := map[string]int{}
		for p, node := range before {
			if _, ok := group[node]; !ok {
				t.Fatalf("%d members: partition %d belongs to %q", members, p, node)
			}
			load[node]++
		}
		for node := range group {
			if n := load[node]; n < partitions/members || n > (partitions+members-1)/members {
				t.Errorf("%d members: %s has %d of %d partitions", members, node, n, partitions)
			}
		}
		if members == 1 {
			continue
		}
		delete(group, "node-0")
		moved := 0
		for p, node := range lease.Assign(partitions, group) {
			if node != before[p] {
				moved++
			}
		}
		if moved < load["node-0"] || moved == partitions && members > 2 {
			t.Errorf("%d members: %d partitions moved when a member with %d left", members, moved, load["node-0"])
		}
	}
}

func TestAssignAway(t *testing.T) {
	got := lease.Assign(3, map[string][]int{"a": {0, 1, 2}, "b": {1}})
	if got[0] != "b" || got[1] != "" || got[2] != "b" {
		t.Errorf("assigned %q, want b to have what a is away from, and nobody partition 1", got)
	}
}
