package journal

import "time"

// WithTombstoneTTL shortens the life of tombstones, so that a test can see them vanish.
func WithTombstoneTTL(d time.Duration) Options { return Options{tombstoneTTL: d} }

// AfterAck runs f when everything is acknowledged by the outbox and nothing purged yet.
func (f *Forwarder) AfterAck(fn func()) { f.afterAck = fn }
