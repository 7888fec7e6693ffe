package fold

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/driftd/driftd/compare"
	"github.com/driftd/driftd/internal/exact/wire"
)

// The shards of comparisons: compare.<model> is what they know, pairs.<model>.<start> the pairs of answers that begin at a time.
const (
	comparePrefix  = "compare."
	pairsPrefix    = "pairs."
	compareVersion = 1
)

// storedComparisons are the comparisons of a model as they are stored, but for pairs.
type storedComparisons struct {
	Version int         `json:"version"`
	All     []comparing `json:"comparisons"`
}

// compareDirt returns how many messages, and about how many bytes, the changes of comparisons will take.
func (p *Partition) compareDirt() (count, size int) {
	for _, s := range p.comparing {
		if s.comparisons.head {
			count, size = count+1, size+len(s.comparisons.all)*4096
		}
		count += len(s.comparisons.starts)
		size += len(s.comparisons.starts) * 4096
	}
	return count, size
}

// compareChanges returns the shards of comparisons that changed.
func (p *Partition) compareChanges() []Shard {
	var out []Shard
	for _, name := range slices.Sorted(maps.Keys(p.comparing)) {
		l := p.comparing[name].comparisons
		if l.head {
			out = append(out, Shard{Name: comparePrefix + name, Data: encode(storedComparisons{Version: compareVersion, All: l.all})})
		}
		if len(l.starts) == 0 {
			continue
		}
		byStart := map[int64][]pairKey{}
		for k := range l.pairs {
			if l.starts[k.start] {
				byStart[k.start] = append(byStart[k.start], k)
			}
		}
		for _, start := range slices.Sorted(maps.Keys(l.starts)) {
			keys := byStart[start]
			shard := Shard{Name: pairsPrefix + name + "." + strconv.FormatInt(start, 10), Data: nil}
			switch {
			case len(keys) > 0:
				slices.SortFunc(keys, func(a, b pairKey) int {
					if c := strings.Compare(a.name, b.name); c != 0 {
						return c
					}
					return a.epoch - b.epoch
				})
				shard.Data = []byte{compareVersion}
				for _, k := range keys {
					shard.Data = wire.AppendUvarint(wire.AppendString(shard.Data, k.name), uint64(k.epoch))
					body := l.pairs[k].AppendBinary(nil)
					shard.Data = append(wire.AppendUvarint(shard.Data, uint64(len(body))), body...)
				}
				l.stored[start] = true
			case !l.stored[start]:
				continue
			default:
				delete(l.stored, start)
			}
			out = append(out, shard)
		}
	}
	return out
}

// compareCommitted notes that the changes were stored.
func (p *Partition) compareCommitted() {
	for _, s := range p.comparing {
		s.comparisons.head = false
		clear(s.comparisons.starts)
	}
	clear(p.comparing)
}

var errCorruptComparisons = errors.New("stored comparisons are corrupt")

// restoreComparisons restores one shard of them; the sources are there already.
func (p *Partition) restoreComparisons(name string, data []byte) error {
	rest, pairs := strings.CutPrefix(name, pairsPrefix)
	model, start := strings.TrimPrefix(rest, comparePrefix), int64(0)
	if pairs {
		of, at, ok := strings.Cut(rest, ".") // a model's name has no dot
		var err error
		if start, err = strconv.ParseInt(at, 10, 64); !ok || err != nil {
			return fmt.Errorf("%w: name", errCorruptComparisons)
		}
		model = of
	}
	s := p.sources[model]
	if s == nil {
		return fmt.Errorf("%w: there is no model %q", errCorruptComparisons, model)
	}
	if s.comparisons == nil {
		s.comparisons = newComparisons()
	}
	if !pairs {
		var in storedComparisons
		if err := json.NewDecoder(bytes.NewReader(data)).Decode(&in); err != nil {
			return fmt.Errorf("%w: %w", errCorruptComparisons, err)
		}
		if in.Version != compareVersion {
			return fmt.Errorf("%w: version %d", errCorruptComparisons, in.Version)
		}
		s.comparisons.all = in.All
		return nil
	}
	if len(data) == 0 || data[0] != compareVersion {
		return fmt.Errorf("%w: version", errCorruptComparisons)
	}
	r := reader{b: data[1:], bad: false}
	for len(r.b) > 0 && !r.bad {
		key := pairKey{start: start, name: r.str(), epoch: int(r.uvarint())}
		n, after, err := compare.DecodePairs(r.bytes())
		if err != nil || len(after) > 0 {
			return fmt.Errorf("%w: %d bytes too many: %w", errCorruptComparisons, len(after), err)
		}
		s.comparisons.pairs[key] = n
	}
	if r.bad {
		return fmt.Errorf("%w: end", errCorruptComparisons)
	}
	s.comparisons.stored[start] = true
	return nil
}
