package reference

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/driftd/driftd/cells"
	"github.com/driftd/driftd/internal/exact/wire"
	"github.com/driftd/driftd/result"
)

// The format of an encoded reference is the byte behind Magic: without counts by pane, with them, or with a mask of what there is
// beside the whole. A reference is written in the first of them that can hold it, so that it keeps its fingerprint.
const (
	formatWhole  = 1
	formatPanes  = 2
	formatMasked = 3
)

// The bits of the mask, in the order in which their sections follow the whole.
const (
	hasPanes = 1 << iota
	hasSegments
	hasQuality
	hasErrors
	knownSections = 1<<iota - 1
)

// maxSource bounds the name, the model and the source, in bytes.
const maxSource = 4096

// ErrNotReference is wrapped by the errors of Decode: the bytes are no reference, or not one of a known version.
var ErrNotReference = errors.New("not a driftd reference of format version 1 to 3; create it with `driftd reference create`")

// roles are the roles in their encoded order, which is also that of Features.
func roles() []result.Role { return []result.Role{result.RoleFeature, result.RolePrediction} }

// Encode returns the canonical bytes: equal references have equal bytes, and the fingerprint is their hash.
func (r *Reference) Encode() []byte {
	var mask uint64
	if r.Pane != 0 {
		mask |= hasPanes
	}
	if len(r.Dimensions) > 0 {
		mask |= hasSegments
	}
	if r.Quality != nil {
		mask |= hasQuality
	}
	if r.Errors != nil {
		mask |= hasErrors
	}
	b := []byte(Magic)
	switch mask {
	case 0:
		b = append(b, formatWhole)
	case hasPanes:
		b = append(b, formatPanes)
	default:
		b = wire.AppendUvarint(append(b, formatMasked), mask)
	}
	b = wire.AppendString(b, r.Name)
	b = wire.AppendString(b, r.Model)
	b = wire.AppendString(b, r.Source)
	b = wire.AppendVarint(b, r.Start)
	b = wire.AppendVarint(b, r.End)
	b = wire.AppendUvarint(b, r.Rows)
	b = wire.AppendUvarint(b, uint64(r.Resolution))
	if r.Latency == nil {
		b = append(b, 0)
	} else {
		b = r.Latency.AppendBinary(append(b, 1))
	}
	b = wire.AppendUvarint(b, uint64(len(r.Features)))
	for i := range r.Features {
		f := &r.Features[i]
		b = append(b, byte(slices.Index(roles(), f.Role)))
		b = wire.AppendString(b, f.Name)
		b = f.Space.AppendBinary(b)
		b = f.Counts.AppendBinary(b)
		b = wire.AppendUvarint(b, uint64(len(f.Deciles)))
		for _, d := range f.Deciles {
			b = wire.AppendFloat(b, d)
		}
		b = wire.AppendUvarint(b, f.Distinct)
		b = wire.AppendUvarint(b, f.Singletons)
	}
	if r.Pane != 0 {
		b = r.appendPanes(b)
	}
	if len(r.Dimensions) > 0 {
		b = r.appendSegments(b)
	}
	if r.Quality != nil {
		b = r.appendQuality(b)
	}
	if r.Errors != nil {
		b = wire.AppendUvarint(b, r.Errors.Failed)
	}
	return b
}

// Decode reads what Encode wrote and checks everything that the rest of driftd relies on: bytes that Encode does not write are
// an error.
func Decode(b []byte) (*Reference, error) {
	if len(b) <= len(Magic) || string(b[:len(Magic)]) != Magic || b[len(Magic)] < formatWhole || b[len(Magic)] > formatMasked {
		return nil, fmt.Errorf("reading reference: %w", ErrNotReference)
	}
	ref, err := decode(wire.NewReader(b[len(Magic)+1:]), b[len(Magic)])
	if err != nil {
		return nil, fmt.Errorf("reading reference: %w: %w", ErrNotReference, err)
	}
	return ref, nil
}

func decode(r *wire.Reader, format byte) (*Reference, error) {
	var mask uint64
	switch format {
	case formatPanes:
		mask = hasPanes
	case formatMasked:
		if mask = r.Uvarint(); mask <= hasPanes || mask&^knownSections != 0 { // the others have formats of their own
			r.Fail("sections %b", mask)
		}
	}
	ref := &Reference{
		Name: r.String(maxSource), Model: r.String(maxSource), Source: r.String(maxSource), Start: r.Varint(), End: r.Varint(),
		Rows: r.Uvarint(), Resolution: 0, Features: nil, Latency: nil, Errors: nil, Pane: 0, Panes: nil, Dimensions: nil, Quality: nil,
	}
	resolution := r.Uvarint()
	if resolution < 10 || resolution > cells.MaxPoints/2 {
		r.Fail("a resolution of %d", resolution)
	}
	ref.Resolution = int(resolution)
	if ref.Rows == 0 || ref.End < ref.Start {
		r.Fail("%d rows in [%d, %d)", ref.Rows, ref.Start, ref.End)
	}
	var err error
	if ref.Latency, err = decodeLatency(r, ref.Rows); err != nil {
		return nil, err
	}
	const leastFeature = 10 // bytes
	n := r.Count(leastFeature)
	for i := range n {
		f, err := decodeFeature(r, ref.Rows)
		if err != nil {
			return nil, fmt.Errorf("feature %d: %w", i, err)
		}
		if i > 0 && compareFeatures(ref.Features[i-1], *f) >= 0 {
			return nil, fmt.Errorf("%w: %s %q is not above the one before", wire.ErrCorrupt, f.Role, f.Name)
		}
		ref.Features = append(ref.Features, *f)
	}
	for _, section := range []struct {
		bit    uint64
		decode func(*Reference, *wire.Reader) error
	}{{hasPanes, decodePanes}, {hasSegments, decodeSegments}, {hasQuality, decodeQuality}, {hasErrors, decodeErrors}} {
		if mask&section.bit == 0 || r.Err() != nil {
			continue
		}
		if err := section.decode(ref, r); err != nil {
			return nil, err
		}
	}
	if r.Err() == nil && len(r.Rest()) > 0 {
		r.Fail("%d bytes too many", len(r.Rest()))
	}
	return ref, r.Err()
}

func decodeErrors(ref *Reference, r *wire.Reader) error {
	ref.Errors = &Errors{Rows: ref.Rows, Failed: r.Uvarint()}
	if ref.Errors.Failed > ref.Rows {
		r.Fail("%d failures in %d rows", ref.Errors.Failed, ref.Rows)
	}
	return r.Err()
}

func decodeFeature(r *wire.Reader, rows uint64) (*Feature, error) {
	role := int(r.Byte())
	if role >= len(roles()) {
		r.Fail("a role of %d", role)
	}
	name := r.String(maxName)
	if err := r.Err(); err != nil {
		return nil, err
	}
	space, rest, err := cells.DecodeSpace(r.Rest())
	if err != nil {
		return nil, fmt.Errorf("%q: %w", name, err)
	}
	counts, rest, err := cells.DecodeCounts(space, rest)
	if err != nil {
		return nil, fmt.Errorf("%q: %w", name, err)
	}
	r.Bytes(len(r.Rest()) - len(rest))
	f := &Feature{
		Name: name, Role: roles()[role], Space: space, Counts: counts, Deciles: make([]float64, r.Count(8)), Distinct: 0, Singletons: 0,
		panes: nil,
	}
	for i := range f.Deciles {
		f.Deciles[i] = r.Finite()
	}
	f.Distinct, f.Singletons = r.Uvarint(), r.Uvarint()
	if err := f.check(rows); r.Err() == nil && err != nil {
		r.Fail("%q: %v", name, err)
	}
	if len(f.Deciles) == 0 {
		f.Deciles = nil
	}
	return f, r.Err()
}

// check says what of a decoded feature does not fit together.
func (f *Feature) check(rows uint64) error {
	c := f.Counts
	total := c.N()
	for _, n := range []uint64{c.Missing, c.Inf, c.Invalid} {
		if total+n < total {
			return cells.ErrTooMany
		}
		total += n
	}
	if total != rows {
		return fmt.Errorf("%d values and non-values in %d rows", total, rows)
	}
	if f.Distinct > c.N() || f.Singletons > f.Distinct || (f.Distinct == 0) != (c.N() == 0) {
		return fmt.Errorf("%d distinct values, %d of them seen once, among %d", f.Distinct, f.Singletons, c.N())
	}
	if f.Space.Kind() == cells.Categorical {
		if len(f.Deciles) > 0 {
			return errors.New("deciles of categories")
		}
		return nil
	}
	if lo, ok := c.Min(); c.N() > 0 && !ok {
		return fmt.Errorf("the minimum (%v) is not known", lo)
	}
	if below, above := c.OutOfRange(); below > 0 || above > 0 || (len(f.Space.Points()) == 0 && c.N() > 0) {
		return errors.New("values of the reference lie beyond its points")
	}
	if (len(f.Deciles) == 0) != (c.N() == 0) || (len(f.Deciles) != 0 && len(f.Deciles) != 9) {
		return fmt.Errorf("%d deciles", len(f.Deciles))
	}
	before := math.Inf(-1)
	for _, d := range f.Deciles {
		if _, ok := slices.BinarySearch(f.Space.Points(), d); !ok || d < before {
			return fmt.Errorf("the decile %v is no point, or below the one before", d)
		}
		before = d
	}
	return nil
}
