package event

import (
	"encoding/binary"
	"fmt"
	"strconv"

	flatbuffers "github.com/google/flatbuffers/go"
	"github.com/klauspost/compress/zstd"
)

// arrowCheck walks what describes the parts of an Arrow stream before the library does. The library makes room for as many parts as are
// announced, copies a text wherever one points to it, and goes as deep as it is told to, so that some bytes could take all memory there is;
// where they do, a process dies. What is read here is bounded by the bytes of the message. An offset beyond them panics, as in the library.
// Formats, for the numbers below: https://arrow.apache.org/docs/format/Columnar.html#serialization-and-interprocess-communication-ipc,
// Message.fbs and Schema.fbs.
type arrowCheck struct {
	fields int // that may still come
	text   int // bytes of names and metadata that may still come
}

// Slots of the tables.
const (
	messageHeaderType = 6
	messageHeader     = 8
	messageBody       = 10
	messageMetadata   = 12

	schemaEndianness = 4
	schemaFields     = 6
	schemaMetadata   = 8

	fieldNameText  = 4
	fieldTypeType  = 8
	fieldType      = 10
	fieldChildren  = 14
	fieldMetadata  = 16
	timestampZone  = 6
	pairKey        = 4
	pairValue      = 6
	dictionaryData = 6

	batchNodes       = 6
	batchBuffers     = 8
	batchCompression = 10
	batchVariadic    = 12
	compressionCodec = 4
)

// Values of Message.fbs and Schema.fbs.
const (
	headerSchema     = 1
	headerDictionary = 2
	headerBatch      = 3

	typeNull      = 1
	typeInt       = 2
	typeFloat     = 3
	typeUTF8      = 5
	typeBool      = 6
	typeTimestamp = 10
	typeStruct    = 13
	typeLargeUTF8 = 20
	typeUTF8View  = 24

	codecZstd = 1
)

const (
	continuation  = 0xffffffff
	sizeOfOffset  = 4
	sizeOfStruct  = 16 // of a node, and of a buffer
	sizeOfCount   = 8
	sizeOfEntry   = 64 // what the library keeps of a pair of texts beside them
	maxArrowDepth = 64

	zstdBlockHeader = 3
	zstdChecksum    = 4
	zstdRepeated    = 1
	zstdReserved    = 3
)

const unreadableType = "its type is none that driftd reads: float, int, bool, string, dictionary of strings, timestamp, struct"

// checkArrow says what is wrong with the parts of an Arrow IPC stream.
func checkArrow(b []byte, l Limits) string {
	c := arrowCheck{fields: 2 * l.MaxFields, text: 4 * len(b)}
	for len(b) >= sizeOfOffset {
		size := binary.LittleEndian.Uint32(b)
		if b = b[sizeOfOffset:]; size == continuation {
			if len(b) < sizeOfOffset {
				return "the Arrow stream was cut off"
			}
			size, b = binary.LittleEndian.Uint32(b), b[sizeOfOffset:]
		}
		if size == 0 {
			return ""
		}
		if uint64(size) > uint64(len(b)) {
			return "the Arrow stream was cut off"
		}
		m := flatbuffers.Table{Bytes: b[:size], Pos: flatbuffers.GetUOffsetT(b[:size])}
		body := int64(0)
		if at := slotOf(&m, messageBody); at > 0 {
			body = m.GetInt64(at)
		}
		if b = b[size:]; body < 0 || body > int64(len(b)) {
			return "the Arrow stream was cut off"
		}
		if detail := c.message(&m, b[:body]); detail != "" {
			return detail
		}
		b = b[body:]
	}
	return ""
}

// message checks what describes a message.
func (c *arrowCheck) message(m *flatbuffers.Table, body []byte) string {
	if detail := c.metadata(m, messageMetadata); detail != "" {
		return detail
	}
	at, header := slotOf(m, messageHeaderType), tableOf(m, messageHeader)
	if at == 0 || header == nil {
		return ""
	}
	switch m.GetByte(at) {
	case headerSchema:
		return c.schema(header)
	case headerDictionary:
		if data := tableOf(header, dictionaryData); data != nil {
			return c.batch(data, body)
		}
	case headerBatch:
		return c.batch(header, body)
	}
	return ""
}

func (c *arrowCheck) schema(s *flatbuffers.Table) string {
	if at := slotOf(s, schemaEndianness); at > 0 && s.GetInt16(at) != 0 {
		return "the Arrow stream is big-endian: write it little-endian"
	}
	if detail := c.metadata(s, schemaMetadata); detail != "" {
		return detail
	}
	return c.fieldsOf(s, schemaFields, 0)
}

// fieldsOf checks a vector of fields and those below them.
func (c *arrowCheck) fieldsOf(t *flatbuffers.Table, slot flatbuffers.VOffsetT, depth int) string {
	start, n, detail := vectorOf(t, slot, sizeOfOffset)
	if detail != "" || n == 0 {
		return detail
	}
	if c.fields -= n; c.fields < 0 {
		return "the message has more columns than max_fields"
	}
	if depth == maxArrowDepth {
		return fmt.Sprintf("structs are nested more than %d deep", maxArrowDepth)
	}
	for i := range n {
		f := elementOf(t, start, i)
		if detail := c.field(f, depth); detail != "" {
			return detail
		}
	}
	return ""
}

func (c *arrowCheck) field(f *flatbuffers.Table, depth int) string {
	if detail := c.textOf(f, fieldNameText); detail != "" {
		return detail
	}
	var kind byte
	if at := slotOf(f, fieldTypeType); at > 0 {
		kind = f.GetByte(at)
	}
	switch kind {
	case typeNull, typeInt, typeFloat, typeUTF8, typeBool, typeStruct, typeLargeUTF8, typeUTF8View:
	case typeTimestamp:
		if typ := tableOf(f, fieldType); typ != nil {
			if detail := c.textOf(typ, timestampZone); detail != "" {
				return detail
			}
		}
	default:
		var name []byte
		if at := slotOf(f, fieldNameText); at > 0 {
			name = f.ByteVector(at)
		}
		return "column " + strconv.QuoteToASCII(string(clip(name))) + ": " + unreadableType
	}
	if detail := c.metadata(f, fieldMetadata); detail != "" {
		return detail
	}
	return c.fieldsOf(f, fieldChildren, depth+1)
}

// batch checks a record batch, or that of a dictionary.
func (c *arrowCheck) batch(b *flatbuffers.Table, body []byte) string {
	if _, _, detail := vectorOf(b, batchNodes, sizeOfStruct); detail != "" {
		return detail
	}
	start, buffers, detail := vectorOf(b, batchBuffers, sizeOfStruct)
	if detail != "" {
		return detail
	}
	if compression := tableOf(b, batchCompression); compression != nil {
		if at := slotOf(compression, compressionCodec); at > 0 && compression.GetByte(at) == codecZstd {
			for i := range buffers {
				at := start + flatbuffers.UOffsetT(i*sizeOfStruct)
				if detail := checkBuffer(body, b.GetInt64(at), b.GetInt64(at+sizeOfCount)); detail != "" {
					return detail
				}
			}
		}
	}
	start, n, detail := vectorOf(b, batchVariadic, sizeOfCount)
	for i := range n {
		count := b.GetInt64(start + flatbuffers.UOffsetT(i*sizeOfCount))
		if count < 0 || count > int64(buffers) {
			return fmt.Sprintf("the Arrow stream is broken: a column of %d buffers, of %d", count, buffers)
		}
	}
	return detail
}

const brokenBuffer = "the Arrow stream is broken: a compressed buffer cannot be read"

// checkBuffer checks a buffer of a body that may be compressed by Zstandard.
func checkBuffer(body []byte, offset, length int64) string {
	if length == 0 {
		return ""
	}
	if offset < 0 || length < sizeOfCount || offset > int64(len(body)) || length > int64(len(body))-offset {
		return brokenBuffer
	}
	data := body[offset : offset+length]
	if int64(binary.LittleEndian.Uint64(data)) == -1 {
		return "" // not compressed
	}
	return checkZstd(data[sizeOfCount:])
}

// checkZstd looks at the frames of a Zstandard stream, whose decoder makes room for as much as a frame announces (RFC 8878, section 3.1.1).
func checkZstd(b []byte) string {
	for len(b) > 0 {
		var h zstd.Header
		if err := h.Decode(b); err != nil || h.HeaderSize > len(b) {
			return brokenBuffer
		}
		if h.Skippable {
			if b = b[h.HeaderSize:]; int64(h.SkippableSize) > int64(len(b)) {
				return brokenBuffer
			}
			b = b[h.SkippableSize:]
			continue
		}
		if h.WindowSize > arrowMemory || h.HasFCS && h.FrameContentSize > arrowMemory {
			return fmt.Sprintf("a compressed buffer takes more than %d bytes unpacked: send fewer events a message", arrowMemory)
		}
		b = b[h.HeaderSize:]
		for last := false; !last; {
			if len(b) < zstdBlockHeader {
				return brokenBuffer
			}
			head := int(b[0]) | int(b[1])<<8 | int(b[2])<<16
			size := head >> 3
			switch b, last = b[zstdBlockHeader:], head&1 == 1; head >> 1 & 3 {
			case zstdRepeated:
				size = 1
			case zstdReserved:
				return brokenBuffer
			}
			if size > len(b) {
				return brokenBuffer
			}
			b = b[size:]
		}
		if h.HasCheckSum {
			if len(b) < zstdChecksum {
				return brokenBuffer
			}
			b = b[zstdChecksum:]
		}
	}
	return ""
}

// metadata checks pairs of texts.
func (c *arrowCheck) metadata(t *flatbuffers.Table, slot flatbuffers.VOffsetT) string {
	start, n, detail := vectorOf(t, slot, sizeOfOffset)
	for i := range n {
		pair := elementOf(t, start, i)
		if c.text -= sizeOfEntry; c.text < 0 {
			return tooMuchText
		}
		for _, slot := range []flatbuffers.VOffsetT{pairKey, pairValue} {
			if detail := c.textOf(pair, slot); detail != "" {
				return detail
			}
		}
	}
	return detail
}

const tooMuchText = "the Arrow stream is broken: more names and metadata than it has bytes"

// textOf counts a text.
func (c *arrowCheck) textOf(t *flatbuffers.Table, slot flatbuffers.VOffsetT) string {
	_, n, detail := vectorOf(t, slot, 1)
	if detail != "" {
		return detail
	}
	if c.text -= n; c.text < 0 {
		return tooMuchText
	}
	return ""
}

// slotOf returns where a table has a value, or 0 where it has none.
func slotOf(t *flatbuffers.Table, slot flatbuffers.VOffsetT) flatbuffers.UOffsetT {
	if at := t.Offset(slot); at != 0 {
		return t.Pos + flatbuffers.UOffsetT(at)
	}
	return 0
}

// tableOf returns the table that a table points to, or nil.
func tableOf(t *flatbuffers.Table, slot flatbuffers.VOffsetT) *flatbuffers.Table {
	at := slotOf(t, slot)
	if at == 0 {
		return nil
	}
	return &flatbuffers.Table{Bytes: t.Bytes, Pos: t.Indirect(at)}
}

// vectorOf returns where a vector's elements begin and how many there are: no more than there are bytes for.
func vectorOf(t *flatbuffers.Table, slot flatbuffers.VOffsetT, size int) (start flatbuffers.UOffsetT, n int, detail string) {
	at := t.Offset(slot)
	if at == 0 {
		return 0, 0, ""
	}
	offset := flatbuffers.UOffsetT(at)
	start, n = t.Vector(offset), t.VectorLen(offset)
	if int64(start)+int64(n)*int64(size) > int64(len(t.Bytes)) {
		return 0, 0, "the Arrow stream is broken: it announces more parts than it has bytes"
	}
	return start, n, ""
}

// elementOf returns a table of a vector of tables.
func elementOf(t *flatbuffers.Table, start flatbuffers.UOffsetT, i int) *flatbuffers.Table {
	return &flatbuffers.Table{Bytes: t.Bytes, Pos: t.Indirect(start + flatbuffers.UOffsetT(i*sizeOfOffset))}
}
