package fold_test

import (
	"testing"

	"github.com/driftd/driftd/fold"
)

// An event is decoded, recognised as new, and counted without a single allocation. What is allocated now and then is memory for more
// ids, which the events before have used up here.
func TestAnEventAllocatesNothing(t *testing.T) {
	const batch = 64
	stream := newWireStream(t, 20, batch)
	p, out := stream.partition(), fold.Output{} //nolint:exhaustruct // empty
	messages := stream.messages(400)            // three segments of ids
	next := 0
	apply := func() {
		if done, err := p.Apply(messages[next], &out); err != nil || !done {
			t.Fatal(done, err)
		}
		next++
	}
	for range 290 {
		apply()
	}
	// A segment of ids is encoded every 8,192 events and the ring grows: a handful of allocations in thousands of events.
	if perMessage := testing.AllocsPerRun(60, apply); perMessage > 0 {
		t.Errorf("%v allocations a message of %d events", perMessage, batch)
	}
}
