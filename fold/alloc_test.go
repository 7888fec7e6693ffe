package fold_test

import (
	"testing"

	"github.com/driftd/driftd/fold"
)

// An event is decoded, recognised as new, and counted without a single allocation. What is allocated now and then is memory for more
// ids, which the events before have used up here.
func TestAnEventAllocatesNothing(t *testing.T) {
	const events = 64
	for _, batch := range []int{1, events} {
		stream := newWireStream(t, 20, batch)
		p, out := stream.partition(), fold.Output{}       //nolint:exhaustruct // empty
		messages := stream.messages(400 * events / batch) // three segments of ids
		apply := func() {
			for some := messages[:events/batch]; len(some) > 0; {
				n, done, err := p.ApplySome(some, &out)
				if err != nil || !done {
					t.Fatal(done, err)
				}
				some = some[n:]
			}
			messages = messages[events/batch:]
		}
		for range 290 {
			apply()
		}
		// A segment of ids is encoded every 8,192 events and the ring grows: a handful of allocations in thousands of events.
		if perRun := testing.AllocsPerRun(60, apply); perRun > 0 {
			t.Errorf("%v allocations for %d events, %d a message", perRun, events, batch)
		}
	}
}
