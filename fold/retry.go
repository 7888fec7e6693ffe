package fold

import "github.com/driftd/driftd/window"

// A dead letter may be published again, any number of times. What it was is remembered like the id of an event: by the same keyed
// hashes, in the commit that counts it, for as long as the last ids are kept. So it is folded once, though its records may have
// no id of their own.

func (p *Partition) retryHash(m Message) idHash { return p.ids.hash([]byte{'r'}, []byte(m.Retry)) }

// repeats says whether a message is the retry of a dead letter that was retried before. Once a message is begun it is folded to
// its end.
func (p *Partition) repeats(m Message) bool {
	return m.Retry != "" && p.position.Index == 0 && p.ids.find(p.retryHash(m))
}

// drop counts a repeated retry as a duplicate.
func (p *Partition) drop(m Message, model string, out *Output) bool {
	p.stats.Duplicates++
	if s := p.sources[model]; s != nil {
		p.touch(s, m.Time)
		p.arrival(s, func(t *window.Tally) { t.Duplicate++ })
	}
	p.position.Index, p.position.Emitted = wholeMessage, 0
	return p.drain(out)
}

// folded remembers a retry.
func (p *Partition) folded(m Message) {
	if m.Retry != "" {
		p.ids.add(p.retryHash(m), m.Time)
	}
}
