package event

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"
	"testing"

	flatbuffers "github.com/google/flatbuffers/go"
	"github.com/klauspost/compress/zstd"
)

// sharedFields is an Arrow stream whose schema has a column that many parts point to: children children deep times, of a name.
func sharedFields(name string, kind byte, children, depth int) []byte {
	b := flatbuffers.NewBuilder(1024)
	text := b.CreateString(name)
	vector := func(of flatbuffers.UOffsetT) flatbuffers.UOffsetT {
		b.StartVector(sizeOfOffset, children, sizeOfOffset)
		for range children {
			b.PrependUOffsetT(of)
		}
		return b.EndVector(children)
	}
	field := func(kind byte, below flatbuffers.UOffsetT) flatbuffers.UOffsetT {
		b.StartObject(7)
		b.PrependUOffsetTSlot(0, text, 0)
		b.PrependByteSlot(2, kind, 0)
		b.PrependUOffsetTSlot(5, below, 0)
		return b.EndObject()
	}
	all := vector(field(kind, 0))
	for range depth {
		all = vector(field(typeStruct, all))
	}
	b.StartObject(4)
	b.PrependUOffsetTSlot(1, all, 0)
	schema := b.EndObject()
	b.StartObject(5)
	b.PrependByteSlot(1, headerSchema, 0)
	b.PrependUOffsetTSlot(2, schema, 0)
	b.Finish(b.EndObject())
	meta := b.FinishedBytes()
	out := binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(nil, continuation), uint32(len(meta)))
	return append(out, meta...)
}

// Parts that are there once and pointed to often count as often as they would be read.
func TestArrowPartsThatAreShared(t *testing.T) {
	for _, c := range []struct {
		name    string
		message []byte
		want    string // empty: nothing is wrong
	}{
		{"nothing shared", sharedFields("x", typeNull, 1, 3), ""},
		{"a thousand columns of one name", sharedFields("x", typeNull, 1000, 0), ""},
		{"ten to the tenth columns", sharedFields("", typeNull, 10, 9), "max_fields"},
		{"one deep in another", sharedFields("x", typeNull, 1, maxArrowDepth), "nested"},
		{"a long name in many places", sharedFields(strings.Repeat("x", 100_000), typeNull, 1000, 0), "names and metadata"},
		{"a list", sharedFields("x", 12, 1, 0), `column "x": its type`},
	} {
		got := checkArrow(c.message, DefaultLimits())
		if (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: %q, want a detail with %q", c.name, got, c.want)
		}
	}
}

// Frames of Zstandard are refused for what they announce, wherever they stand.
func TestZstandardThatIsRefused(t *testing.T) {
	w, err := zstd.NewWriter(nil, zstd.WithEncoderCRC(true))
	if err != nil {
		t.Fatal(err)
	}
	good := w.EncodeAll(bytes.Repeat([]byte("driftd "), 100_000), nil)
	frame := func(head ...byte) []byte { return append([]byte{0x28, 0xb5, 0x2f, 0xfd}, head...) } // the magic number
	last := []byte{1, 0, 0}                                                                       // an empty block
	content := append(frame(0xe0, 0, 0, 0, 0, 16, 0, 0, 0), last...)                              // one segment of 2^36 bytes
	window := append(frame(0, 0x98), last...)                                                     // 2^29 bytes
	skipped := append([]byte{0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0}, "abc"...)
	for _, c := range []struct {
		name   string
		stream []byte
		want   string
	}{
		{"good", good, ""},
		{"good, a skippable frame, good", slices.Concat(good, skipped, good), ""},
		{"nothing", nil, ""},
		{"long content", content, "unpacked"},
		{"a long window", window, "unpacked"},
		{"long content behind good", slices.Concat(good, content), "unpacked"},
		{"long content behind a skippable frame", slices.Concat(skipped, content), "unpacked"},
		{"cut off", good[:len(good)-1], "cannot be read"},
		{"cut off in a block", good[:len(good)/2], "cannot be read"},
		{"a skippable frame that is cut off", skipped[:len(skipped)-1], "cannot be read"},
		{"no Zstandard", []byte("no Zstandard"), "cannot be read"},
	} {
		if got := checkZstd(c.stream); (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: %q, want a detail with %q", c.name, got, c.want)
		}
	}
}
