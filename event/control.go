package event

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"
	"unicode/utf8"
)

// ControlKind says what a control message asks for.
type ControlKind uint8

// The kinds of control messages.
const (
	ControlMarker     ControlKind = iota + 1 // a watermark that no event carries
	ControlActivation                        // a reference becomes the one of a model
	ControlConfig                            // configuration that alters counting
)

// String returns the name of the kind.
func (k ControlKind) String() string {
	switch k {
	case ControlMarker:
		return "marker"
	case ControlActivation:
		return "activation"
	case ControlConfig:
		return "config"
	}
	return "ControlKind(" + strconv.Itoa(int(k)) + ")"
}

// Control is a message of a partition's control subject. It travels in the stream of the events, so a second reading
// obeys it at the same place. Only the fields of its Kind are set. docs/schema/control.schema.json is its wire format.
type Control struct {
	Kind ControlKind

	Watermark int64  // of a marker: Unix milliseconds that no later event of the source is expected to be before
	Source    string // of a marker: the model that it speaks of; empty means every source of the partition
	End       bool   // of a marker: the end of a replayed file; what it opened is closed, what follows is not late

	Model     string // of an activation
	Reference string // of an activation: the reference's fingerprint, `sha256:` and 64 lower-case hexadecimal digits
	Name      string // of an activation: the reference's name, for people; may be empty

	ConfigHash string          // of a configuration: what tells two of them apart
	Models     json.RawMessage // of a configuration: the JSON object of the models, as compact bytes
}

// The wire format. Pointers tell what is absent from what is zero.
type (
	wireControl struct {
		Schema    *int            `json:"schema"`
		Watermark json.RawMessage `json:"watermark,omitempty"`
		Source    *string         `json:"source,omitempty"`
		End       *bool           `json:"end,omitempty"`
		Activate  json.RawMessage `json:"activate,omitempty"`
		Config    json.RawMessage `json:"config,omitempty"`
		Delta     json.RawMessage `json:"delta,omitempty"`
	}
	wireActivation struct {
		Model     string `json:"model"`
		Reference string `json:"reference"`
		Name      string `json:"name,omitempty"`
	}
	wireConfig struct {
		Hash   string          `json:"hash"`
		Models json.RawMessage `json:"models"`
	}
)

// controlSchema is the version of the wire format that this package reads and writes.
const controlSchema = 1

// DecodeControl decodes a control message. It is strict: a key that it does not know, one that comes twice, or one that
// belongs to another kind refuses the message, for a marker that is half understood closes the wrong windows. A delta of
// counts is a reserved kind that this version recognises and refuses as RejectUnsupported, like every other schema.
func DecodeControl(data []byte) (Control, *RejectError) {
	var w wireControl
	if rej := strictObject(data, "control message", &w, "schema", "watermark", "source", "end", "activate", "config", "delta"); rej != nil {
		return Control{}, rej
	}
	switch {
	case w.Schema == nil:
		return Control{}, refuse(RejectMalformed, `a control message needs "schema":1`)
	case *w.Schema != controlSchema:
		return Control{}, refuse(RejectUnsupported, fmt.Sprintf("schema %d is not known to this version of driftd; it reads schema 1", *w.Schema))
	}
	kinds := 0
	for _, part := range []json.RawMessage{w.Watermark, w.Activate, w.Config, w.Delta} {
		if part != nil {
			kinds++
		}
	}
	switch {
	case kinds != 1:
		return Control{}, refuse(RejectMalformed, `a control message has exactly one of "watermark", "activate", "config" and "delta"`)
	case w.Watermark == nil && (w.Source != nil || w.End != nil):
		return Control{}, refuse(RejectMalformed, `"source" and "end" belong to a marker, which has a "watermark"`)
	case w.Watermark != nil:
		return decodeMarker(w)
	case w.Activate != nil:
		return decodeActivation(w.Activate)
	case w.Config != nil:
		return decodeConfig(w.Config)
	}
	return Control{}, refuse(RejectUnsupported, "a delta of counts is reserved: this version of driftd counts events only; send events")
}

func decodeMarker(w wireControl) (Control, *RejectError) {
	c := Control{Kind: ControlMarker, End: w.End != nil && *w.End}
	var text string
	var number float64
	bad := badLayout
	if json.Unmarshal(w.Watermark, &text) == nil && w.Watermark[0] == '"' {
		c.Watermark, bad = parseRFC3339([]byte(text))
	} else if json.Unmarshal(w.Watermark, &number) == nil && w.Watermark[0] != 'n' {
		c.Watermark, bad = epochMillis(number)
	}
	if bad != "" {
		return Control{}, refuse(RejectBadTime, "watermark: "+bad)
	}
	if w.Source != nil {
		if c.Source = *w.Source; !ValidModel(c.Source) {
			return Control{}, refuse(RejectModelName, `"source" is the name of a model; leave it out to speak of all sources`)
		}
	}
	return c, nil
}

func decodeActivation(data []byte) (Control, *RejectError) {
	var w wireActivation
	if rej := strictObject(data, `"activate"`, &w, "model", "reference", "name"); rej != nil {
		return Control{}, rej
	}
	switch {
	case w.Model == "":
		return Control{}, refuse(RejectNoModel, `"activate" needs a "model"`)
	case !ValidModel(w.Model):
		return Control{}, badModel([]byte(w.Model))
	case !validFingerprint(w.Reference):
		return Control{}, refuse(RejectMalformed, `"reference" is a fingerprint: sha256: and 64 lower-case hexadecimal digits`)
	case len(w.Name) > DefaultLimits().MaxName:
		return Control{}, refuse(RejectLimits, `"name" is longer than 256 bytes`)
	}
	return Control{Kind: ControlActivation, Model: w.Model, Reference: w.Reference, Name: w.Name}, nil
}

func decodeConfig(data []byte) (Control, *RejectError) {
	var w wireConfig
	if rej := strictObject(data, `"config"`, &w, "hash", "models"); rej != nil {
		return Control{}, rej
	}
	if w.Hash == "" || len(w.Hash) > DefaultLimits().MaxName {
		return Control{}, refuse(RejectMalformed, `"config" needs a "hash" of 1 to 256 bytes`)
	}
	if len(w.Models) == 0 || w.Models[0] != '{' {
		return Control{}, refuse(RejectMalformed, `"config" needs an object "models"`)
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, w.Models); err != nil {
		return Control{}, refuse(RejectMalformed, "models: "+err.Error())
	}
	return Control{Kind: ControlConfig, ConfigHash: w.Hash, Models: compact.Bytes()}, nil
}

// validFingerprint reports whether s is sha256: and 64 lower-case hexadecimal digits.
func validFingerprint(s string) bool {
	const prefix = "sha256:"
	if len(s) != len(prefix)+64 || s[:len(prefix)] != prefix {
		return false
	}
	for _, c := range []byte(s[len(prefix):]) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// strictObject decodes the one JSON object that data is into v, a struct that has the keys: in their exact case, none
// twice, no other. encoding/json alone takes Schema for schema, and the last of two.
func strictObject(data []byte, what string, v any, keys ...string) *RejectError {
	malformed := func(offset int64, err error) *RejectError {
		return &RejectError{Reason: RejectMalformed, Offset: int(offset), Detail: "reading a " + what + ": " + err.Error()}
	}
	if !utf8.Valid(data) {
		return malformed(0, errors.New("it is not UTF-8"))
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	token, err := dec.Token()
	if err != nil {
		return malformed(dec.InputOffset(), cutOff(err))
	}
	if token != json.Delim('{') {
		return malformed(0, errors.New("it is not a JSON object"))
	}
	seen := make(map[string]bool, len(keys))
	for dec.More() {
		token, err := dec.Token()
		if err != nil {
			return malformed(dec.InputOffset(), cutOff(err))
		}
		key, _ := token.(string)
		known := false
		for _, k := range keys {
			known = known || k == key
		}
		switch {
		case !known:
			return malformed(dec.InputOffset(), fmt.Errorf("unknown key %q", key))
		case seen[key]:
			return malformed(dec.InputOffset(), fmt.Errorf("key %q comes twice", key))
		}
		seen[key] = true
		var skipped json.RawMessage
		if err := dec.Decode(&skipped); err != nil {
			return malformed(dec.InputOffset(), cutOff(err))
		}
	}
	if _, err := dec.Token(); err != nil {
		return malformed(dec.InputOffset(), cutOff(err))
	}
	// Unmarshal also refuses what follows the object.
	if err := json.Unmarshal(data, v); err != nil {
		return malformed(dec.InputOffset(), err)
	}
	return nil
}

// cutOff names the end of the message, which encoding/json calls EOF.
func cutOff(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("it ends too early")
	}
	return err
}

// refuse returns the refusal of a whole message.
func refuse(reason RejectReason, detail string) *RejectError {
	return &RejectError{Reason: reason, Detail: detail}
}

// Encode returns the bytes of c, which DecodeControl gives back as c: compact JSON with its keys in a fixed order, the
// watermark in RFC 3339. It panics where c is no control message, which only a mistake in the program can make.
func (c Control) Encode() []byte {
	schema := controlSchema
	w := wireControl{Schema: &schema}
	switch c.Kind {
	case ControlMarker:
		w.Watermark = encode(time.UnixMilli(c.Watermark).UTC().Format("2006-01-02T15:04:05.000Z"))
		if c.Source != "" {
			w.Source = &c.Source
		}
		if c.End {
			w.End = &c.End
		}
	case ControlActivation:
		w.Activate = encode(wireActivation{Model: c.Model, Reference: c.Reference, Name: c.Name})
	case ControlConfig:
		w.Config = encode(wireConfig{Hash: c.ConfigHash, Models: c.Models})
	default:
		panic("BUG: a control message of " + c.Kind.String())
	}
	return encode(w)
}

// encode marshals v without the escapes for HTML, which would change the bytes of a configuration.
func encode(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic("BUG: encoding a control message: " + err.Error())
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}
