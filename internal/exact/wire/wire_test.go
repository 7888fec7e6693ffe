package wire_test

import (
	"errors"
	"math"
	"testing"

	"github.com/driftd/driftd/internal/exact/wire"
)

func TestRoundTrip(t *testing.T) {
	for _, u := range []uint64{0, 1, 127, 128, 1 << 14, math.MaxUint64} {
		b := wire.AppendUvarint(nil, u)
		if len(b) != wire.UvarintLen(u) {
			t.Errorf("UvarintLen(%d) = %d, the encoding has %d bytes", u, wire.UvarintLen(u), len(b))
		}
		b = wire.AppendVarint(b, -int64(u))
		b = wire.AppendFloat(b, -1.5)
		b = wire.AppendString(b, "käse")
		r := wire.NewReader(b)
		if got := r.Uvarint(); got != u {
			t.Errorf("Uvarint = %d, want %d", got, u)
		}
		if got := r.Varint(); got != -int64(u) {
			t.Errorf("Varint = %d, want %d", got, -int64(u))
		}
		if got := r.Finite(); got != -1.5 {
			t.Errorf("Finite = %v, want -1.5", got)
		}
		if got := r.String(16); got != "käse" {
			t.Errorf("String = %q, want käse", got)
		}
		if r.Err() != nil || len(r.Rest()) != 0 || r.Offset() != len(b) {
			t.Errorf("err %v, rest %d, offset %d of %d", r.Err(), len(r.Rest()), r.Offset(), len(b))
		}
	}
}

func TestCorrupt(t *testing.T) {
	tests := map[string]struct {
		in   []byte
		read func(*wire.Reader)
	}{
		"long varint":     {[]byte{0x80, 0x00}, func(r *wire.Reader) { r.Uvarint() }},
		"cut varint":      {[]byte{0x80}, func(r *wire.Reader) { r.Uvarint() }},
		"too many items":  {[]byte{3, 0, 0}, func(r *wire.Reader) { r.Count(1) }},
		"long string":     {[]byte{2, 'a', 'b'}, func(r *wire.Reader) { _ = r.String(1) }},
		"nan":             {wire.AppendFloat(nil, math.NaN()), func(r *wire.Reader) { r.Finite() }},
		"negative zero":   {wire.AppendFloat(nil, math.Copysign(0, -1)), func(r *wire.Reader) { r.Finite() }},
		"short float":     {[]byte{1, 2}, func(r *wire.Reader) { r.Finite() }},
		"negative length": {[]byte{1}, func(r *wire.Reader) { r.Bytes(-1) }},
		"no byte":         {nil, func(r *wire.Reader) { r.Byte() }},
		"no uint32":       {nil, func(r *wire.Reader) { r.Uint32() }},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r := wire.NewReader(tt.in)
			tt.read(r)
			if !errors.Is(r.Err(), wire.ErrCorrupt) {
				t.Errorf("err = %v, want ErrCorrupt", r.Err())
			}
		})
	}
}
