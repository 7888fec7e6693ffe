package journal

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go/jetstream"
)

const (
	chunkBytes       = 512 << 10
	maxReferenceSize = 256 << 20
	maxReferenceName = 200
	fingerprintHead  = "sha256:"
	headerChunked    = "Driftd-Chunked"
)

// Errors of References.
var (
	ErrReferenceNotFound = errors.New("reference not found")
	ErrReferenceExists   = errors.New("reference name is taken by other content")
	ErrReferenceDamaged  = errors.New("reference is damaged")
)

// ReferenceMeta describes a stored reference.
type ReferenceMeta struct {
	Name        string `json:"name"`
	Model       string `json:"model"`
	Fingerprint string `json:"fingerprint"` // sha256:<hex of the canonical bytes>
	Rows        uint64 `json:"rows"`
	Start       int64  `json:"start_ms"` // span of the rows, Unix milliseconds; 0 and 0: rows without times
	End         int64  `json:"end_ms"`
	Source      string `json:"source"`
	Size        int    `json:"size"`       // canonical bytes
	Created     int64  `json:"created_ms"` // when the name was stored, by the broker's clock; not part of the stored document
}

// manifest stands for a blob that is cut into chunks.
type manifest struct {
	Size   int `json:"size"`
	Chunks int `json:"chunks"`
}

// References stores references by content and by name. Both are immutable: a name may be deleted, never rebound.
type References struct {
	js     jetstream.JetStream
	stream jetstream.Stream
}

// OpenReferences returns the store of references; its stream must exist (EnsureStreams).
func OpenReferences(ctx context.Context, js jetstream.JetStream) (*References, error) {
	s, err := js.Stream(ctx, ReferencesStream)
	if err != nil {
		return nil, fmt.Errorf("opening stream %s: %w", ReferencesStream, err)
	}
	return &References{js: js, stream: s}, nil
}

// Put stores the canonical bytes of a reference under a name and returns what was stored. Storing the same bytes under the
// same name again changes nothing; other bytes are ErrReferenceExists. Fingerprint, size and name of meta are set here.
func (r *References) Put(ctx context.Context, name string, data []byte, meta ReferenceMeta) (ReferenceMeta, error) {
	subject, err := nameSubject(name)
	if err != nil {
		return meta, err
	}
	if len(data) == 0 || len(data) > maxReferenceSize {
		return meta, fmt.Errorf("storing reference %s: it has %d bytes, 1 to %d are possible: lower the resolution or the number of features",
			name, len(data), maxReferenceSize)
	}
	sum := sha256.Sum256(data)
	meta.Name, meta.Size, meta.Created = name, len(data), 0
	meta.Fingerprint = fingerprintHead + hex.EncodeToString(sum[:])
	if err := r.putBlob(ctx, meta.Fingerprint, data); err != nil {
		return meta, fmt.Errorf("storing reference %s: %w", name, err)
	}
	doc, err := json.Marshal(meta)
	if err != nil {
		return meta, fmt.Errorf("storing reference %s: %w", name, err)
	}
	// The name comes last, and only if it is free: a crash before it leaves a blob that the next Put completes.
	ack, err := r.js.PublishMsg(ctx, newMsg(subject, doc), jetstream.WithExpectLastSequencePerSubject(0))
	if err != nil {
		return r.existing(ctx, name, meta, err)
	}
	if m, err := r.stream.GetMsg(ctx, ack.Sequence); err == nil {
		meta.Created = m.Time.UnixMilli()
	}
	return meta, nil
}

// existing decides what a refused name means: the same reference again, another one, or a failure.
func (r *References) existing(ctx context.Context, name string, meta ReferenceMeta, cause error) (ReferenceMeta, error) {
	have, err := r.Resolve(ctx, name)
	switch {
	case err != nil:
		return meta, fmt.Errorf("storing reference %s: %w", name, cause)
	case have.Fingerprint != meta.Fingerprint:
		return have, fmt.Errorf("storing reference %s: %w: it is %s; delete it first or choose another name",
			name, ErrReferenceExists, have.Fingerprint)
	}
	return have, nil
}

func (r *References) putBlob(ctx context.Context, fingerprint string, data []byte) error {
	if _, err := r.Get(ctx, fingerprint); err == nil {
		return nil
	}
	subject := blobSubject(fingerprint)
	if len(data) <= chunkBytes {
		_, err := r.js.PublishMsg(ctx, newMsg(subject, data))
		return err
	}
	chunks := 0
	for part := range slices.Chunk(data, chunkBytes) {
		if _, err := r.js.PublishMsg(ctx, newMsg(subject+"."+strconv.Itoa(chunks), part)); err != nil {
			return err
		}
		chunks++
	}
	doc, err := json.Marshal(manifest{Size: len(data), Chunks: chunks})
	if err != nil {
		return err
	}
	m := newMsg(subject, doc)
	m.Header.Set(headerChunked, "1")
	_, err = r.js.PublishMsg(ctx, m)
	return err
}

// Get returns the canonical bytes of a reference, verified against its fingerprint.
func (r *References) Get(ctx context.Context, fingerprint string) ([]byte, error) {
	if !isFingerprint(fingerprint) {
		return nil, fmt.Errorf("reading reference %q: a fingerprint is sha256: and 64 hex digits", clip(fingerprint, 80))
	}
	data, err := r.last(ctx, blobSubject(fingerprint))
	if err != nil {
		return nil, fmt.Errorf("reading reference %s: %w", fingerprint, err)
	}
	if sum := sha256.Sum256(data); fingerprintHead+hex.EncodeToString(sum[:]) != fingerprint {
		return nil, fmt.Errorf("reading reference %s: %w: the stored bytes have another hash; delete it and create it again",
			fingerprint, ErrReferenceDamaged)
	}
	return data, nil
}

// last returns the bytes stored under a blob's subject, put together from chunks where it is a manifest.
func (r *References) last(ctx context.Context, subject string) ([]byte, error) {
	m, err := r.message(ctx, subject)
	if err != nil {
		return nil, err
	}
	if m.Header.Get(headerChunked) == "" {
		return m.Data, nil
	}
	var man manifest
	if err := json.Unmarshal(m.Data, &man); err != nil {
		return nil, fmt.Errorf("%w: manifest: %w", ErrReferenceDamaged, err)
	}
	if man.Size <= 0 || man.Size > maxReferenceSize || man.Chunks != (man.Size+chunkBytes-1)/chunkBytes {
		return nil, fmt.Errorf("%w: manifest with %d bytes in %d chunks", ErrReferenceDamaged, man.Size, man.Chunks)
	}
	data := make([]byte, 0, man.Size)
	for i := range man.Chunks {
		c, err := r.message(ctx, subject+"."+strconv.Itoa(i))
		if err != nil {
			return nil, fmt.Errorf("%w: chunk %d of %d: %w", ErrReferenceDamaged, i, man.Chunks, err)
		}
		if len(data)+len(c.Data) > man.Size {
			return nil, fmt.Errorf("%w: chunk %d is too long", ErrReferenceDamaged, i)
		}
		data = append(data, c.Data...)
	}
	return data, nil
}

func (r *References) message(ctx context.Context, subject string) (*jetstream.RawStreamMsg, error) {
	m, err := r.stream.GetLastMsgForSubject(ctx, subject)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil, ErrReferenceNotFound
	}
	return m, err
}

// Resolve returns what a name stands for.
func (r *References) Resolve(ctx context.Context, name string) (ReferenceMeta, error) {
	subject, err := nameSubject(name)
	if err != nil {
		return ReferenceMeta{}, err
	}
	m, err := r.message(ctx, subject)
	if err != nil {
		return ReferenceMeta{}, fmt.Errorf("resolving reference %s: %w", name, err)
	}
	return decodeReference(m)
}

func decodeReference(m *jetstream.RawStreamMsg) (ReferenceMeta, error) {
	var meta ReferenceMeta
	if err := json.Unmarshal(m.Data, &meta); err != nil {
		return meta, fmt.Errorf("reading reference name %s: %w: %w", m.Subject, ErrReferenceDamaged, err)
	}
	meta.Created = m.Time.UnixMilli()
	return meta, nil
}

// List returns all names, sorted. It walks the leader's own index, so that a reference just stored is in it.
func (r *References) List(ctx context.Context) ([]ReferenceMeta, error) {
	var all []ReferenceMeta
	for seq := uint64(1); ; {
		m, err := r.stream.GetMsg(ctx, seq, jetstream.WithGetMsgSubject(referenceSubject+"name.>"))
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("listing references: %w", err)
		}
		meta, err := decodeReference(m)
		if err != nil {
			return nil, err
		}
		all = append(all, meta)
		seq = m.Sequence + 1
	}
	slices.SortFunc(all, func(a, b ReferenceMeta) int { return strings.Compare(a.Name, b.Name) })
	return all, nil
}

// Delete removes a name, and its content where no other name stands for it. Results that name its fingerprint stay.
func (r *References) Delete(ctx context.Context, name string) error {
	meta, err := r.Resolve(ctx, name)
	if err != nil {
		return err
	}
	subject, err := nameSubject(name)
	if err != nil {
		return err
	}
	if err := r.stream.Purge(ctx, jetstream.WithPurgeSubject(subject)); err != nil {
		return fmt.Errorf("deleting reference %s: %w", name, err)
	}
	rest, err := r.List(ctx)
	if err != nil {
		return err
	}
	if !isFingerprint(meta.Fingerprint) || slices.ContainsFunc(rest, func(m ReferenceMeta) bool { return m.Fingerprint == meta.Fingerprint }) {
		return nil
	}
	blob := blobSubject(meta.Fingerprint)
	for _, s := range []string{blob, blob + ".>"} { // the manifest first: without it the chunks are nothing
		if err := r.stream.Purge(ctx, jetstream.WithPurgeSubject(s)); err != nil {
			return fmt.Errorf("deleting reference %s: %w", name, err)
		}
	}
	return nil
}

func isFingerprint(s string) bool {
	h, ok := strings.CutPrefix(s, fingerprintHead)
	if !ok || len(h) != 2*sha256.Size || h != strings.ToLower(h) {
		return false
	}
	_, err := hex.DecodeString(h)
	return err == nil
}

func blobSubject(fingerprint string) string {
	return referenceSubject + "blob." + strings.TrimPrefix(fingerprint, fingerprintHead)
}

// nameSubject maps a name to one subject token: itself where it can be one, else '=' and base64url.
func nameSubject(name string) (string, error) {
	if name == "" || len(name) > maxReferenceName || strings.ContainsFunc(name, func(c rune) bool { return c < ' ' }) {
		return "", fmt.Errorf("reference name %q: must have 1 to %d bytes without control characters", clip(name, 64), maxReferenceName)
	}
	if isToken(name, maxReferenceName) {
		return referenceSubject + "name." + name, nil
	}
	return referenceSubject + "name.=" + base64.RawURLEncoding.EncodeToString([]byte(name)), nil
}
