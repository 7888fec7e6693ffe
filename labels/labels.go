// Package labels joins labels to the predictions that they are about, by id, in the order of the stream. It is the bookkeeping of
// the join and nothing else: which ids are pending and since when (Ledger), and what is known of each (Group). What a joined pair
// counts for is the fold's.
//
// The groups are bulk and live in a store that is a cache: it is written after a commit and may be lost. The ledger is small and is
// part of the committed state: it lists, in the order of the stream, the records that changed a group. Reading those records
// again, and no others, gives the groups back as they were, so that nothing that decided about a record (deduplication,
// lateness, configuration at its time) has to be known again.
package labels

import (
	"fmt"
	"slices"

	"github.com/dchest/siphash"
)

// The modes of a join.
const (
	ModeSelf   = "self"   // a label carries its prediction; nothing is kept
	ModeSample = "sample" // predictions and labels of a share of the ids, chosen by a hash of the id, are joined
	ModeFull   = "full"   // all are joined, within the horizon and the bound
)

// Million is the rate at which every id is joined.
const Million = 1_000_000

// Config says how the labels of a model meet its predictions. All times are milliseconds of event time.
type Config struct {
	Mode       string  `json:"mode"`
	Rate       uint32  `json:"rate"`        // of a million ids that are joined; Million but for ModeSample
	Horizon    int64   `json:"horizon_ms"`  // how long a prediction waits for its label, and a label for its prediction
	MaxPending int     `json:"max_pending"` // ids that are kept; the ones that came first go first
	Maturities []int64 `json:"maturities_ms"`
}

// Bounds of a Config.
const (
	MinPending    = 1000
	MaxPending    = 100_000_000
	MaxHorizon    = int64(366 * 24 * 60 * 60 * 1000)
	MaxMaturities = 8
)

// Validate returns what makes a configuration impossible to join by, or nil.
func (c *Config) Validate() error {
	switch {
	case c.Mode != ModeSelf && c.Mode != ModeSample && c.Mode != ModeFull:
		return fmt.Errorf("labels: mode is %q, not %s, %s or %s", c.Mode, ModeSelf, ModeSample, ModeFull)
	case c.Rate < 1 || c.Rate > Million || c.Mode != ModeSample && c.Rate != Million:
		return fmt.Errorf("labels: a rate of %d in a million does not go with mode %s", c.Rate, c.Mode)
	case c.Horizon <= 0 || c.Horizon > MaxHorizon:
		return fmt.Errorf("labels: a horizon of %d ms is not between 1 ms and %d ms", c.Horizon, MaxHorizon)
	case c.MaxPending < MinPending || c.MaxPending > MaxPending:
		return fmt.Errorf("labels: max_pending is %d, not between %d and %d", c.MaxPending, MinPending, MaxPending)
	case len(c.Maturities) == 0 || len(c.Maturities) > MaxMaturities:
		return fmt.Errorf("labels: %d maturities, there must be 1 to %d", len(c.Maturities), MaxMaturities)
	}
	for i, m := range c.Maturities {
		if m <= 0 || m > c.Horizon || i > 0 && m <= c.Maturities[i-1] {
			return fmt.Errorf("labels: maturities %v ms must be positive, ascending, and no longer than the horizon of %d ms", c.Maturities, c.Horizon)
		}
	}
	return nil
}

// Joins reports whether predictions wait for their labels.
func (c *Config) Joins() bool { return c.Mode != ModeSelf }

// Sampled reports whether an id is joined. Both sides decide alike, everywhere and for ever: the hash has no key (SipHash-2-4 with
// a key of zeros), for a key that a partition drew would let two readings of one stream choose different ids. Whoever may choose
// ids can choose whether they are looked at; a bound on what is kept holds all the same.
func (c *Config) Sampled(id []byte) bool {
	return c.Rate == Million || siphash.Hash(0, 0, id)%Million < uint64(c.Rate)
}

// Equal reports whether two configurations are the same.
func (c *Config) Equal(o *Config) bool {
	return c.Mode == o.Mode && c.Rate == o.Rate && c.Horizon == o.Horizon && c.MaxPending == o.MaxPending && slices.Equal(c.Maturities, o.Maturities)
}
