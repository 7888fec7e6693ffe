package reference

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/driftd/driftd/event"
	"github.com/driftd/driftd/internal/exact/wire"
	"github.com/driftd/driftd/quality"
)

// Where rows have labels, a reference also counts how right its predictions were: what the quality of windows is compared with, over
// cells that its scores or errors choose.

// QualityBy says what the rows' predictions and labels are.
type QualityBy struct {
	Config     quality.Config
	Resolution int // cut points of scores or errors; 0: quality.DefaultPoints
}

// heldRow is about what the prediction of a row takes in memory.
const heldRow = 120

// qualityRows collects predictions and labels.
type qualityRows struct {
	by     QualityBy
	spec   *quality.Spec // reads them; the cells come later
	rows   []quality.Row
	keys   [][16]byte                 // of their ids; zero: none
	labels map[[16]byte]quality.Label // of records of their own, the last of each id
}

func newQualityRows(by QualityBy) (*qualityRows, error) {
	spec, err := quality.NewSpec(by.Config)
	if err != nil {
		return nil, err
	}
	if by.Resolution == 0 {
		by.Resolution = quality.DefaultPoints
	}
	return &qualityRows{by: by, spec: spec, rows: nil, keys: nil, labels: map[[16]byte]quality.Label{}}, nil
}

// labelKey names what a label is about: an id of a model, whichever version predicted it.
func labelKey(model string, id []byte) [16]byte {
	b := binary.AppendUvarint(make([]byte, 0, 64), uint64(len(model)))
	sum := sha256.Sum256(append(append(b, model...), id...))
	return [16]byte(sum[:16])
}

// add adds a row. It returns about how many bytes are held more.
func (q *qualityRows) add(model string, e *event.Event) int {
	row := quality.Row{Prediction: q.spec.Prediction(e.Prediction), Label: quality.Label{Flaw: quality.FlawNoLabel, Class: quality.NoClass, Value: 0}}
	if e.Label.Kind != 0 { // null is none either
		row.Label = q.spec.Label(e.Label)
	}
	var key [16]byte
	if len(e.ID) > 0 {
		key = labelKey(model, e.ID)
	}
	q.rows, q.keys = append(q.rows, row), append(q.keys, key)
	return heldRow
}

// label notes a label that came as a record of its own. It returns about how many bytes are held more.
func (q *qualityRows) label(model string, e *event.Event) int {
	if len(e.ID) == 0 || e.Label.Kind == 0 || e.Label.Kind == event.ValueNull {
		return 0
	}
	key := labelKey(model, e.ID)
	_, again := q.labels[key]
	q.labels[key] = q.spec.Label(e.Label)
	if again {
		return 0
	}
	return heldID
}

// freeze counts the rows; nil: none of them has a label.
func (q *qualityRows) freeze() (*quality.Counts, error) {
	none := true
	rows := make([]quality.Row, len(q.rows))
	for i, r := range q.rows {
		if l, ok := q.labels[q.keys[i]]; ok && r.Label.Flaw == quality.FlawNoLabel {
			r.Label = l
		}
		none = none && r.Label.Flaw == quality.FlawNoLabel
		rows[i] = r
	}
	if none {
		return nil, nil //nolint:nilnil // there is nothing to say
	}
	c, err := quality.Build(q.by.Config, rows, q.by.Resolution)
	if err != nil {
		return nil, err
	}
	c.Compact()
	return c, nil
}

// countQuality adds the quality to a reference.
func (b *Builder) countQuality(r *Reference) (err error) {
	if b.quality == nil {
		return nil
	}
	r.Quality, err = b.quality.freeze()
	return err
}

func (r *Reference) appendQuality(b []byte) []byte {
	return r.Quality.AppendBinary(r.Quality.Spec().AppendBinary(b))
}

func decodeQuality(ref *Reference, r *wire.Reader) error {
	spec, rest, err := quality.DecodeSpec(r.Rest())
	if err != nil {
		return err
	}
	counts, rest, err := quality.DecodeCounts(spec, rest)
	if err != nil {
		return err
	}
	r.Bytes(len(r.Rest()) - len(rest))
	if counts.Predictions() != ref.Rows || counts.Labels() == 0 || counts.Labels() > ref.Rows {
		r.Fail("%d labels of %d predictions in %d rows", counts.Labels(), counts.Predictions(), ref.Rows)
	}
	counts.Compact()
	ref.Quality = counts
	return r.Err()
}

// ErrOtherTask is wrapped by the error of a Measures.
var ErrOtherTask = errors.New("the reference counts another quality")

// Measures returns nil where windows whose labels are read by cfg can be compared with the quality of the reference.
func (r *Reference) Measures(cfg quality.Config) error {
	own := r.Quality.Spec()
	spec, err := quality.NewSpec(own.Freeze(cfg))
	if err != nil {
		return fmt.Errorf("%w: %w", ErrOtherTask, err)
	}
	if !spec.Equal(own) {
		return fmt.Errorf("%w: of %s, and labels are read as %s", ErrOtherTask, own.Describe(), spec.Describe())
	}
	return nil
}
