package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"

	"github.com/driftd/driftd/config"
	"github.com/driftd/driftd/fold"
	"github.com/driftd/driftd/journal"
)

// counting returns the part of a configuration that travels in the input stream, with the names of references resolved. A name
// that is not stored yet counts as none, and is returned in missing.
func counting(ctx context.Context, c *config.Config, refs *journal.References) (out fold.Counting, missing []string, err error) {
	out = c.Counting()
	for _, name := range slices.Sorted(maps.Keys(out.Models)) {
		m := out.Models[name]
		if m.ReferenceName == "" || m.Reference != "" || m.Rolling != nil {
			continue
		}
		switch meta, err := refs.Resolve(ctx, m.ReferenceName); {
		case errors.Is(err, journal.ErrReferenceNotFound):
			missing = append(missing, m.ReferenceName)
		case err != nil:
			return out, nil, fmt.Errorf("resolving reference %q of model %q: %w", m.ReferenceName, name, err)
		default:
			m.Reference = meta.Fingerprint
			out.Models[name] = m
		}
	}
	return out, missing, nil
}

// warnMissing says which references a configuration names that are not stored.
func warnMissing(log *slog.Logger, missing []string) {
	for _, name := range missing {
		log.Warn("reference is not stored yet: its models are counted without one until `driftd reference create` makes it",
			slog.String("reference", name))
	}
}
