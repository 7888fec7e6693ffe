package store

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"

	"github.com/driftd/driftd/result"
)

// Document is one committed document on its way into the store: exactly the bytes of a result.Summary, a result.FeatureDoc,
// a result.Quality, a result.Fairness, a result.Comparison or a result.Transition. ID is its message id in the outbox: <result_id>, <result_id>.<part>, or the transition's id.
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
	typeSummary    = "summary"
	typeFeatures   = "features"
	typeTransition = "transition"
	typeQuality    = "quality"
	typeVerdict    = "verdict"
	typeFairness   = "fairness"
	summaryPart    = -1
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

	transition *result.Transition // of a transition
	verdict    *result.Comparison // of a verdict
	maturity   maturity           // of a document about quality or fairness

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
	p := &parsed{id: d.ID, part: summaryPart, sum: sha256.Sum256(d.Data), encoding: encodingPlain, data: d.Data}
	want := ""
	kind, err := typeOf(d.Data)
	if err != nil {
		return nil, malformed("%v", err)
	}
	switch kind {
	case typeSummary:
		err = parseSummary(p, d.Data)
		want = p.head.ResultID
	case typeFeatures:
		err = s.parseFeatureDoc(p, d.Data)
		want = p.head.ResultID + "." + strconv.Itoa(p.part)
	case typeTransition:
		err = parseTransition(p, d.Data)
		want = p.head.ResultID
	case typeQuality, typeFairness:
		err = s.parseQuality(p, d.Data, kind)
		want = p.head.ResultID
	case typeVerdict:
		err = s.parseVerdict(p, d.Data)
		want = p.head.ResultID
	default:
		err = fmt.Errorf("type %q is none of %q, %q, %q, %q, %q and %q", kind, typeSummary, typeFeatures, typeQuality, typeFairness, typeVerdict, typeTransition)
	}
	if err != nil {
		return nil, malformed("%v", err)
	}
	if d.ID != want {
		return nil, malformed("its content says that it is %q", want)
	}
	return p, nil
}

// typeOf reads a document's type. It is the second field, so this stops long before the document's end.
func typeOf(data []byte) (string, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return "", errors.New("it is not a JSON object")
	}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return "", fmt.Errorf("reading JSON: %w", err)
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return "", fmt.Errorf("reading JSON: %w", err)
		}
		var kind string
		if key == "type" && json.Unmarshal(value, &kind) == nil {
			return kind, nil
		}
	}
	return "", errors.New(`it has no "type"`)
}

func parseSummary(p *parsed, data []byte) error {
	var sum result.Summary
	if err := json.Unmarshal(data, &sum); err != nil {
		return fmt.Errorf("reading summary: %w", err)
	}
	p.head = head{Schema: sum.Schema, Type: sum.Type, ResultID: sum.ResultID, Key: sum.Key, Window: sum.Window, Revision: sum.Revision}
	if err := p.head.check(typeSummary); err != nil {
		return err
	}
	if sum.Parts < 0 || sum.Features < 0 || sum.Counts.Events > math.MaxInt64 {
		return fmt.Errorf("a count is out of range: parts %d, features %d, events %d", sum.Parts, sum.Features, sum.Counts.Events)
	}
	reasons, err := json.Marshal(sum.Reasons)
	if err != nil {
		return fmt.Errorf("writing reasons: %w", err)
	}
	p.summary, p.reasons = &sum, string(reasons)
	return nil
}

func (s *Store) parseFeatureDoc(p *parsed, data []byte) error {
	var doc struct {
		head
		Features []leanFeature `json:"features"`
	}
	if err := json.Unmarshal(data, &doc); err != nil {
		return fmt.Errorf("reading features: %w", err)
	}
	p.head, p.part = doc.head, doc.Part
	if err := p.head.check(typeFeatures); err != nil {
		return err
	}
	if p.part < 0 || p.part > maxPart {
		return fmt.Errorf("part %d is out of range", p.part)
	}
	spans := arrayElements(data, "features")
	if len(spans) != len(doc.Features) {
		return errors.New(`the array "features" is not found in it, or is there twice`)
	}
	type name struct {
		role result.Role
		name string
	}
	seen := make(map[name]bool, len(spans))
	p.features = make([]parsedFeature, len(spans))
	for i := range doc.Features {
		f := &doc.Features[i]
		switch {
		case f.Feature == "" || f.Verdict == "":
			return fmt.Errorf("feature %d has no name or no verdict", i)
		case f.Role != result.RoleFeature && f.Role != result.RolePrediction:
			return fmt.Errorf("feature %q has the unknown role %q", f.Feature, f.Role)
		case max(f.Current.Count, f.Current.Missing, f.Current.Invalid, f.Current.Inf, f.NMin) > math.MaxInt64:
			return fmt.Errorf("feature %q has a count out of range", f.Feature)
		case seen[name{f.Role, f.Feature}]:
			return fmt.Errorf("feature %q is there twice", f.Feature)
		}
		seen[name{f.Role, f.Feature}] = true
		p.features[i] = parsedFeature{feature: *f, pos: spans[i].pos, size: spans[i].size}
	}
	p.encoding, p.data = encodingZstd, s.enc.EncodeAll(data, make([]byte, 0, len(data)/4+64))
	return nil
}

// check says what is wrong with a document's head.
func (h *head) check(kind string) error {
	switch {
	case h.Schema != result.SchemaVersion:
		return fmt.Errorf("schema %d, this driftd knows %d", h.Schema, result.SchemaVersion)
	case h.Type != kind:
		return fmt.Errorf("type %q, and %q before it", h.Type, kind)
	case h.ResultID == "":
		return errors.New("no result_id")
	case h.Key.Model == "" || h.Key.Version == "" || h.Key.Segment == "":
		return fmt.Errorf("key %+v has an empty part", h.Key)
	case h.Window.Size <= 0 || h.Window.End <= h.Window.Start:
		return fmt.Errorf("window [%d, %d) of size %d is empty", h.Window.Start, h.Window.End, h.Window.Size)
	case h.Revision < 0:
		return fmt.Errorf("revision %d is negative", h.Revision)
	}
	return nil
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
		return nil, s.damaged(errors.New("a document's bytes do not have the hash they were stored with"))
	}
	return data, nil
}
