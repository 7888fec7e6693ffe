// Package wire holds the primitives of the canonical encodings of the core: unsigned and zigzag varints, little-endian
// floats, length-prefixed bytes. What it writes has one form; what it reads in another form (a varint that is longer than
// needed, a NaN) is an error, so that decoding and encoding again always gives the same bytes. It is a leaf.
package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// ErrCorrupt is wrapped by every error of a Reader: the bytes are not what this package's writers produce.
var ErrCorrupt = errors.New("corrupt encoding")

// AppendUvarint appends x in 1 to 10 bytes.
func AppendUvarint(b []byte, x uint64) []byte { return binary.AppendUvarint(b, x) }

// AppendVarint appends x zigzag-coded in 1 to 10 bytes.
func AppendVarint(b []byte, x int64) []byte { return binary.AppendVarint(b, x) }

// AppendFloat appends the 8 little-endian bytes of x.
func AppendFloat(b []byte, x float64) []byte {
	return binary.LittleEndian.AppendUint64(b, math.Float64bits(x))
}

// AppendString appends the length of s and its bytes.
func AppendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// UvarintLen returns the number of bytes that AppendUvarint needs for x.
func UvarintLen(x uint64) int {
	n := 1
	for x >= 0x80 {
		x >>= 7
		n++
	}
	return n
}

// Reader reads what the Append functions wrote. The first error sticks, later reads return zero values; check Err before
// a value read is used to allocate or to index.
type Reader struct {
	data []byte
	off  int
	err  error
}

// NewReader returns a reader of b, which it does not change.
func NewReader(b []byte) *Reader { return &Reader{data: b} }

// Err returns the first error.
func (r *Reader) Err() error { return r.err }

// Rest returns what has not been read.
func (r *Reader) Rest() []byte { return r.data[r.off:] }

// Offset returns how many bytes have been read.
func (r *Reader) Offset() int { return r.off }

// Fail records an error about what was read last; an earlier error wins.
func (r *Reader) Fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("%w at byte %d: %s", ErrCorrupt, r.off, fmt.Sprintf(format, args...))
	}
}

// Uvarint reads an unsigned varint.
func (r *Reader) Uvarint() uint64 {
	if r.err != nil {
		return 0
	}
	x, n := binary.Uvarint(r.data[r.off:])
	switch {
	case n <= 0:
		r.Fail("no varint")
		return 0
	case n > 1 && r.data[r.off+n-1] == 0:
		r.Fail("a varint longer than needed")
		return 0
	}
	r.off += n
	return x
}

// Varint reads a zigzag varint.
func (r *Reader) Varint() int64 {
	u := r.Uvarint()
	return int64(u>>1) ^ -int64(u&1)
}

// Byte reads one byte.
func (r *Reader) Byte() byte {
	b := r.take(1)
	if len(b) == 0 {
		return 0
	}
	return b[0]
}

// Uint32 reads four little-endian bytes.
func (r *Reader) Uint32() uint32 {
	b := r.take(4)
	if len(b) == 0 {
		return 0
	}
	return binary.LittleEndian.Uint32(b)
}

// Uint64 reads eight little-endian bytes.
func (r *Reader) Uint64() uint64 {
	b := r.take(8)
	if len(b) == 0 {
		return 0
	}
	return binary.LittleEndian.Uint64(b)
}

// Finite reads a float that is neither NaN nor infinite nor negative zero.
func (r *Reader) Finite() float64 {
	x := math.Float64frombits(r.Uint64())
	if math.IsNaN(x) || math.IsInf(x, 0) || (x == 0 && math.Signbit(x)) {
		r.Fail("the float %v is not allowed here", x)
		return 0
	}
	return x
}

// Count reads a uvarint that says how many items of at least size bytes each follow, and checks that they can.
func (r *Reader) Count(size int) int {
	n := r.Uvarint()
	if r.err == nil && n > uint64(len(r.data)-r.off)/uint64(max(size, 1)) {
		r.Fail("%d items announced, %d bytes left", n, len(r.data)-r.off)
	}
	if r.err != nil {
		return 0
	}
	return int(n)
}

// String reads a string of at most limit bytes.
func (r *Reader) String(limit int) string {
	n := r.Count(1)
	if n > limit {
		r.Fail("a string of %d bytes, at most %d are allowed", n, limit)
	}
	return string(r.take(n))
}

// Bytes returns the next n bytes, not copied.
func (r *Reader) Bytes(n int) []byte { return r.take(n) }

func (r *Reader) take(n int) []byte {
	if r.err == nil && (n < 0 || n > len(r.data)-r.off) {
		r.Fail("%d bytes wanted, %d left", n, len(r.data)-r.off)
	}
	if r.err != nil {
		return nil
	}
	r.off += n
	return r.data[r.off-n : r.off]
}
