package lease

// Assign shows the assignment to the tests: the partitions that each node cannot work on, and how many it knows.
func Assign(partitions int, away map[string][]int) []string {
	group := map[string]member{}
	for node, out := range away {
		group[node] = member{Schema: schema, Session: "", Partitions: partitions, Away: out}
	}
	return assign(group)
}
