package store

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"math"
	"strconv"

	"github.com/driftd/driftd/result"
)

// Document is one committed document on its way into the store: exactly the bytes of a result.Summary or a
// result.FeatureDoc. ID is its message id in the outbox: <result_id>, or <result_id>.<part>.
type Document struct {
	ID   string
	Data []byte
}

// Bounds of what is taken. A feature document is at most 512 KiB where it is made; these only keep a damaged or hostile
// message from exhausting memory.
const (
	maxDocument = 16 << 20
	maxPart     = 1 << 20
)

// The kinds of a document, and the part number under which a summary is kept.
const (
	typeSummary  = "summary"
	typeFeatures = "features"
	summaryPart  = -1
)

// The encodings of stored bytes.
const (
	encodingPlain = 0
	encodingZstd  = 1
)

// parsed is a document ready to be written: everything that can fail without the file has been done.
type parsed struct {
	id       string
	head     head
	part     int
	summary  *result.Summary // of a summary
	reasons  string          // of a summary, as JSON
	features []parsedFeature
	sum      [sha256.Size]byte
	encoding int
	data     []byte // as stored
}

// parsedFeature is one feature and where its bytes lie in the document.
type parsedFeature struct {
	feature   leanFeature
	pos, size int
}

// head is what every document begins with.
type head struct {
	Schema   int           `json:"schema"`
	Type     string        `json:"type"`
	ResultID string        `json:"result_id"`
	Part     int           `json:"part"`
	Key      result.Key    `json:"key"`
	Window   result.Window `json:"window"`
	Revision int           `json:"revision"`
}

// leanFeature is the part of a result.Feature that becomes columns; bins and the reference's side stay in the document.
type leanFeature struct {
	Feature    string                 `json:"feature"`
	Role       result.Role            `json:"role"`
	Kind       string                 `json:"kind"`
	Current    result.Side            `json:"current"`
	Statistics map[string]result.Stat `json:"statistics"`
	QValue     *float64               `json:"q_value"`
	NMin       uint64                 `json:"n_min"`
	Verdict    result.Verdict         `json:"verdict"`
}

// parse reads and checks one document. Fields that it does not know are a later version's and stay in the bytes.
func (s *Store) parse(d Document) (*parsed, error) {
	malformed := func(format string, args ...any) error {
		return &DocumentError{ID: d.ID, Err: ErrMalformed, Detail: fmt.Sprintf(format, args...)}
	}
	if len(d.Data) > maxDocument {
		return nil, malformed("%d bytes, at most %d are taken", len(d.Data), maxDocument)
	}
	var doc struct {
		head
		Features json.RawMessage `json:"features"` // a number in a summary, an array in a feature document
	}
	if err := json.Unmarshal(d.Data, &doc); err != nil {
		return nil, malformed("reading JSON: %v", err)
	}
	p := &parsed{id: d.ID, head: doc.head, part: summaryPart, sum: sha256.Sum256(d.Data), encoding: encodingPlain, data: d.Data}
	if err := checkHead(&p.head); err != nil {
		return nil, malformed("%v", err)
	}
	want := p.head.ResultID
	switch p.head.Type {
	case typeSummary:
		var sum result.Summary
		if err := json.Unmarshal(d.Data, &sum); err != nil {
			return nil, malformed("reading summary: %v", err)
		}
		if sum.Parts < 0 || sum.Features < 0 || sum.Counts.Events > math.MaxInt64 {
			return nil, malformed("a count is out of range: parts %d, features %d, events %d", sum.Parts, sum.Features, sum.Counts.Events)
		}
		reasons, err := json.Marshal(sum.Reasons)
		if err != nil {
			return nil, malformed("writing reasons: %v", err)
		}
		p.summary, p.reasons = &sum, string(reasons)
	case typeFeatures:
		p.part = p.head.Part
		want += "." + strconv.Itoa(p.part)
		if p.part < 0 || p.part > maxPart {
			return nil, malformed("part %d is out of range", p.part)
		}
		var err error
		if p.features, err = parseFeatures(d.Data, doc.Features); err != nil {
			return nil, malformed("%v", err)
		}
		p.encoding, p.data = encodingZstd, s.enc.EncodeAll(d.Data, make([]byte, 0, len(d.Data)/4+64))
	default:
		return nil, malformed("type %q is neither %q nor %q", p.head.Type, typeSummary, typeFeatures)
	}
	if d.ID != want {
		return nil, malformed("its content says that it is %q", want)
	}
	return p, nil
}

func checkHead(h *head) error {
	switch {
	case h.Schema != result.SchemaVersion:
		return fmt.Errorf("schema %d, this driftd knows %d", h.Schema, result.SchemaVersion)
	case h.ResultID == "":
		return fmt.Errorf("no result_id")
	case h.Key.Model == "" || h.Key.Version == "" || h.Key.Segment == "":
		return fmt.Errorf("key %+v has an empty part", h.Key)
	case h.Window.Size <= 0 || h.Window.End <= h.Window.Start:
		return fmt.Errorf("window [%d, %d) of size %d is empty", h.Window.Start, h.Window.End, h.Window.Size)
	case h.Revision < 0:
		return fmt.Errorf("revision %d is negative", h.Revision)
	}
	return nil
}

// parseFeatures reads the features of a document and finds the bytes of each in it.
func parseFeatures(data []byte, raw json.RawMessage) ([]parsedFeature, error) {
	var each []json.RawMessage
	if err := json.Unmarshal(raw, &each); err != nil {
		return nil, fmt.Errorf("reading features: %w", err)
	}
	type name struct {
		role result.Role
		name string
	}
	seen := make(map[name]bool, len(each))
	out := make([]parsedFeature, len(each))
	at := 0
	for i, b := range each {
		p := &out[i]
		if err := json.Unmarshal(b, &p.feature); err != nil {
			return nil, fmt.Errorf("reading feature %d: %w", i, err)
		}
		f := &p.feature
		switch {
		case f.Feature == "" || f.Verdict == "":
			return nil, fmt.Errorf("feature %d has no name or no verdict", i)
		case f.Role != result.RoleFeature && f.Role != result.RolePrediction:
			return nil, fmt.Errorf("feature %q has the unknown role %q", f.Feature, f.Role)
		case max(f.Current.Count, f.Current.Missing, f.Current.Invalid, f.Current.Inf, f.NMin) > math.MaxInt64:
			return nil, fmt.Errorf("feature %q has a count out of range", f.Feature)
		case seen[name{f.Role, f.Feature}]:
			return nil, fmt.Errorf("feature %q is there twice", f.Feature)
		}
		seen[name{f.Role, f.Feature}] = true
		// A RawMessage is a verbatim copy, so the first occurrence after the feature before is it, or equal bytes.
		off := bytes.Index(data[at:], b)
		if off < 0 {
			return nil, fmt.Errorf("feature %q is not found in its document", f.Feature)
		}
		p.pos, p.size = at+off, len(b)
		at = p.pos + p.size
	}
	return out, nil
}

// decode returns the committed bytes of a stored document and checks them against their hash.
func (s *Store) decode(encoding int, data, sum []byte) ([]byte, error) {
	switch encoding {
	case encodingPlain:
	case encodingZstd:
		var err error
		if data, err = s.dec.DecodeAll(data, nil); err != nil {
			return nil, s.damaged(fmt.Errorf("decompressing a document: %w", err))
		}
	default:
		return nil, s.damaged(fmt.Errorf("a document has encoding %d", encoding))
	}
	if got := sha256.Sum256(data); !bytes.Equal(got[:], sum) {
		return nil, s.damaged(fmt.Errorf("a document's bytes do not have the hash they were stored with"))
	}
	return data, nil
}
