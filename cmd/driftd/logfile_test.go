package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// readLines returns the lines of a log; one that is too long stands as its length.
func readLines(t *testing.T, name string, stdin io.Reader, limit int) (lines []string, long []int, err error) {
	t.Helper()
	f, err := openLog(name, stdin, limit)
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = f.close() }()
	for {
		line, length, err := f.next()
		switch {
		case errors.Is(err, io.EOF):
			return lines, long, nil
		case err != nil:
			return lines, long, err
		case length > len(line):
			long = append(long, f.line, length)
		default:
			lines = append(lines, string(line))
		}
	}
}

func gzipped(t *testing.T, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func zstandard(t *testing.T, text string) []byte {
	t.Helper()
	w, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	return w.EncodeAll([]byte(text), nil)
}

// Compression is seen in the bytes: no file here has a name that tells.
func TestLogIsDecompressed(t *testing.T) {
	const text = "one\ntwo\r\n\nfour"
	want := []string{"one", "two", "", "four"}
	for name, data := range map[string][]byte{"plain": []byte(text), "gzip": gzipped(t, text), "zstd": zstandard(t, text)} {
		path := filepath.Join(t.TempDir(), "log")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		got, long, err := readLines(t, path, nil, 100)
		if diff := cmp.Diff(want, got); diff != "" || err != nil || long != nil {
			t.Errorf("%s: %v, too long %v (-want +got):\n%s", name, err, long, diff)
		}
		got, _, err = readLines(t, stdinName, bytes.NewReader(data), 100)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%s from standard input: %v (-want +got):\n%s", name, err, diff)
		}
	}
}

// A line beyond the limit costs no more memory than the limit, and those around it stay.
func TestLongLines(t *testing.T) {
	long := strings.Repeat("x", 3<<20)
	got, lengths, err := readLines(t, stdinName, strings.NewReader("a\n"+long+"\n12345\n123456\r\n123\n"+long), 5)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"a", "12345", "123"}, got); diff != "" {
		t.Errorf("lines differ (-want +got):\n%s", diff)
	}
	// line and length, the line's end included
	if diff := cmp.Diff([]int{2, 3<<20 + 1, 4, 8, 6, 3 << 20}, lengths); diff != "" {
		t.Errorf("long lines differ (-want +got):\n%s", diff)
	}
}

func TestDamagedLogs(t *testing.T) {
	whole := gzipped(t, strings.Repeat("a line of some length\n", 10_000))
	for name, test := range map[string]struct {
		data []byte
		want string
	}{
		"empty":      {nil, "standard input is empty"},
		"empty gzip": {gzipped(t, ""), "standard input is empty"},
		"empty zstd": {zstandard(t, ""), "standard input is empty"},
		"cut gzip":   {whole[:len(whole)/2], "reading standard input behind line "},
		"only magic": {[]byte{0x1f, 0x8b}, "reading standard input: "},
		"bad zstd":   {[]byte{0x28, 0xb5, 0x2f, 0xfd, 0xff, 0xff}, "reading standard input: "},
	} {
		_, _, err := readLines(t, stdinName, bytes.NewReader(test.data), 100)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: error %v, want one with %q", name, err, test.want)
		}
	}
}
