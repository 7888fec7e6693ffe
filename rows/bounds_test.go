package rows

import (
	"io"
	"strings"
	"testing"
)

// endless is text that never ends, and costs nothing.
type endless struct{}

func (endless) Read(b []byte) (int, error) { return len(b), nil }

// Text that unpacks beyond all measure ends with an error, after as much as was promised.
func TestUnpackedIsBounded(t *testing.T) {
	tests := map[string]struct {
		packed   int64
		from, to int64 // where it ends
	}{
		"a few bytes":    {100, unpackFreely, unpackFreely + 1<<20},
		"ten megabytes":  {10 << 20, maxRatio * 10 << 20, (maxRatio*10 + 1) << 20},
		"nothing at all": {0, unpackFreely, unpackFreely + 1<<20},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			n, err := io.CopyBuffer(io.Discard, &unpacked{in: endless{}, packed: &counted{size: tt.packed}}, make([]byte, 1<<20))
			if err == nil || !strings.Contains(err.Error(), "unpacks to more than 200 times its size") {
				t.Errorf("err = %v", err)
			}
			if n < tt.from-1<<20 || n > tt.to {
				t.Errorf("ended after %d bytes, want %d to %d", n, tt.from, tt.to)
			}
		})
	}
	text := &unpacked{in: io.LimitReader(endless{}, unpackFreely), packed: &counted{size: 1}}
	if n, err := io.Copy(io.Discard, text); err != nil || n != unpackFreely {
		t.Errorf("%d bytes, %v; want all of %d", n, err, int64(unpackFreely))
	}
}
