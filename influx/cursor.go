package influx

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"hash/fnv"

	"github.com/driftd/driftd/history"
)

// position is where a page ended: the start of its last window, and the reference tag or transition id that orders ties.
type position struct {
	start     int64
	reference string
}

const cursorVersion = 2 // 1 is the embedded store's

// cursor encodes a position for the query that queryHash names. It is opaque to callers.
func (p position) cursor(queryHash uint64) string {
	b := []byte{cursorVersion}
	b = binary.BigEndian.AppendUint64(b, queryHash)
	b = binary.BigEndian.AppendUint64(b, uint64(p.start))
	return base64.RawURLEncoding.EncodeToString(append(b, p.reference...))
}

// parseCursor reads a cursor of the same query; an empty one is the beginning.
func parseCursor(s string, queryHash uint64) (position, error) {
	if s == "" {
		return position{start: maxTime, reference: ""}, nil
	}
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil || len(b) < 17 || b[0] != cursorVersion {
		return position{}, &history.QueryError{
			Field: "cursor", Detail: "is not one that was given out; take `next` of the page before, or leave it out to begin",
		}
	}
	if binary.BigEndian.Uint64(b[1:]) != queryHash {
		return position{}, &history.QueryError{
			Field: "cursor", Detail: "belongs to another query; keep model, version, segment, size, from and to as they were",
		}
	}
	return position{start: int64(binary.BigEndian.Uint64(b[9:])), reference: string(b[17:])}, nil
}

// queryHash names a query, so that its cursors are not taken for another's. It is no protection, only a check.
func queryHash(parts ...any) uint64 {
	h := fnv.New64a()
	for _, p := range parts {
		s := fmt.Sprint(p)
		fmt.Fprintf(h, "%d:%s", len(s), s)
	}
	return h.Sum64()
}

// limit checks a page's limit against a query's bounds.
func limit(asked, standard, most int) (int, error) {
	switch {
	case asked == 0:
		return standard, nil
	case asked < 0 || asked > most:
		return 0, &history.QueryError{Field: "limit", Detail: fmt.Sprintf("must be between 1 and %d, got %d", most, asked)}
	}
	return asked, nil
}
