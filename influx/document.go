package influx

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
	"sync"

	"github.com/klauspost/compress/zstd"

	"github.com/driftd/driftd/history"
)

// documentsAtOnce is how many documents EachDocument holds in memory, where not more of them have one time.
const documentsAtOnce = 500

// stored is one committed document as it is read back.
type stored struct {
	resultID string
	part     string
	data     []byte
}

// documents returns the committed bytes of a series' documents whose points lie in [from, to). Part narrows it to one.
func (db *DB) documents(ctx context.Context, q history.Series, from, to int64, part string) ([]stored, error) {
	var more []tag
	if part != "" {
		more = append(more, tag{TagPart, part})
	}
	s := everywhere(MeasurementDocument, resultTags(q, more...), append([]string{FieldResultID}, documentColumns()...)...)
	s.from, s.to = from, to
	rows, err := db.query(ctx, &s)
	if err != nil {
		return nil, err
	}
	out := make([]stored, 0, len(rows))
	for i := range rows {
		data, err := assemble(&rows[i])
		if err != nil {
			return nil, fmt.Errorf("document %s part %s: %w", rows[i].text(FieldResultID), rows[i].tags[TagPart], err)
		}
		out = append(out, stored{rows[i].text(FieldResultID), rows[i].tags[TagPart], data})
	}
	return out, nil
}

// documentColumns are the fields that assemble needs.
func documentColumns() []string {
	fields := append(make([]string, 0, 4+maxChunks), FieldEncoding, FieldSHA256, FieldSize, FieldChunks)
	for i := range maxChunks {
		fields = append(fields, chunkField(i))
	}
	return fields
}

// assemble puts the chunks of a document together, decodes them and checks them against their hash.
func assemble(r *row) ([]byte, error) {
	var text strings.Builder
	for i := range min(r.int(FieldChunks), maxChunks) {
		text.WriteString(r.text(chunkField(int(i))))
	}
	data := []byte(text.String())
	if r.text(FieldEncoding) == encodingZstd {
		packed, err := base64.StdEncoding.DecodeString(text.String())
		if err != nil {
			return nil, fmt.Errorf("decoding: %w", err)
		}
		d, err := decoder()
		if err != nil {
			return nil, err
		}
		if data, err = d.DecodeAll(packed, nil); err != nil {
			return nil, fmt.Errorf("decompressing: %w", err)
		}
	}
	if sum := sha256.Sum256(data); hex.EncodeToString(sum[:]) != r.text(FieldSHA256) {
		return nil, fmt.Errorf("its %d bytes do not have the hash they were stored with: write it again with `driftd backfill`", len(data))
	}
	return data, nil
}

// decoder is shared: it holds no state between calls, and takes a while to make.
var decoder = sync.OnceValues(func() (*zstd.Decoder, error) { //nolint:gochecknoglobals // a stateless tool, made once
	return zstd.NewReader(nil, zstd.WithDecoderConcurrency(4), zstd.WithDecoderMaxMemory(maxDocument))
})

// EachDocument calls f for every document of a model's results that is stored, oldest first, all revisions: the bytes that
// were committed. Transitions are answered by Alerts.
func (db *DB) EachDocument(ctx context.Context, model string, f func(Document) error) error {
	from, atOnce := int64(-maxTime), documentsAtOnce
	seen := map[string]bool{} // of the time that the next rows begin with
	for {
		s := everywhere(MeasurementDocument, []tag{{TagModel, model}}, append([]string{FieldResultID}, documentColumns()...)...)
		s.from, s.newest, s.limit = from, false, atOnce
		rows, err := db.query(ctx, &s)
		if err != nil {
			return err
		}
		begun := from
		for i := range rows {
			r := &rows[i]
			id := r.text(FieldResultID)
			if part := r.tags[TagPart]; part != partSummary {
				id += "." + part
			}
			if r.time > from {
				from = r.time
				clear(seen)
			}
			if seen[id] {
				continue
			}
			seen[id] = true
			data, err := assemble(r)
			if err != nil {
				return fmt.Errorf("document %s: %w", id, err)
			}
			if err := f(Document{ID: id, Data: data}); err != nil {
				return err
			}
		}
		if len(rows) < atOnce {
			return nil
		}
		if from == begun { // all of one time: more of them are needed to get beyond it
			atOnce *= 2
		}
	}
}
