package journal

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"math/bits"
)

// digest is a 128-bit number. The digest of a set of shards is the sum mod 2^128 of the digests of its members: it does
// not depend on order, and changes of members are added and subtracted. It is there to notice an incomplete or mixed
// reading, not to resist somebody who may write to the stream.
type digest struct{ hi, lo uint64 }

// shardDigest is the first half of SHA-256 over the length of the name, the name and the data.
func shardDigest(name string, data []byte) digest {
	h := sha256.New()
	var n [8]byte
	binary.BigEndian.PutUint64(n[:], uint64(len(name)))
	h.Write(n[:])
	h.Write([]byte(name))
	h.Write(data)
	s := h.Sum(nil)
	return digest{binary.BigEndian.Uint64(s), binary.BigEndian.Uint64(s[8:])}
}

func (d digest) plus(e digest) digest {
	lo, carry := bits.Add64(d.lo, e.lo, 0)
	hi, _ := bits.Add64(d.hi, e.hi, carry)
	return digest{hi, lo}
}

func (d digest) minus(e digest) digest {
	lo, borrow := bits.Sub64(d.lo, e.lo, 0)
	hi, _ := bits.Sub64(d.hi, e.hi, borrow)
	return digest{hi, lo}
}

func (d digest) String() string {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:], d.hi)
	binary.BigEndian.PutUint64(b[8:], d.lo)
	return hex.EncodeToString(b[:])
}
