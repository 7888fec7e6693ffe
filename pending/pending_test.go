package pending_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"go.uber.org/goleak"

	"github.com/driftd/driftd/labels"
	"github.com/driftd/driftd/pending"
)

// Pebble's goroutine stays where Pebble cannot go on.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/driftd/driftd/pending.logger.Fatalf"))
}

func open(t *testing.T, dir string, fs vfs.FS) *pending.Store {
	t.Helper()
	s, err := pending.Open(dir, pending.Options{Logger: slog.New(slog.DiscardHandler), FS: fs, Free: 1})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func value(segment uint64, n int) []byte {
	g := labels.Group{Segment: segment, Began: int64(n)} //nolint:exhaustruct // it is told apart by its time
	return g.AppendBinary(nil)
}

// Whatever is put, dropped, closed and opened again: the store holds what a map would.
func TestStoreIsAMap(t *testing.T) {
	dir, rng := t.TempDir(), rand.New(rand.NewPCG(1, 1))
	s, m := open(t, dir, nil), labels.NewMemory()
	var last []byte
	segment, first := uint64(1), uint64(1)
	for round := range 300 {
		var changed []labels.Change
		for range rng.IntN(40) {
			if rng.IntN(8) == 0 {
				segment++
			}
			n := rng.IntN(500)
			c := labels.Change{Key: labels.Key{byte(n), byte(n >> 8)}, Segment: segment, Value: value(segment, round)}
			if old, _ := m.Get(c.Key); old != nil && rng.IntN(2) == 0 {
				if of, err := labels.SegmentOf(old); err == nil && of >= first { // a label comes to a group
					c.Segment, c.Value = of, value(of, round)
				}
			}
			changed = append(changed, c)
		}
		var dropped []uint64
		for rng.IntN(3) == 0 && first < segment {
			dropped, first = append(dropped, first), first+1
		}
		kept := changed[:0]
		for _, c := range changed {
			if c.Segment >= first {
				kept = append(kept, c)
			}
		}
		last = fmt.Append(nil, round)
		if err := s.Put(kept, dropped, last); err != nil {
			t.Fatal(err)
		}
		m.Apply(kept, dropped)
		if rng.IntN(30) == 0 {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			s = open(t, dir, nil)
		}
	}
	for n := range 500 {
		key := labels.Key{byte(n), byte(n >> 8)}
		want, _ := m.Get(key)
		got, err := s.Get(key)
		if err != nil || !bytes.Equal(want, got) {
			t.Fatalf("key %d: %v, %v, want %v", n, got, err, want)
		}
	}
	if tag, err := s.Tag(); err != nil || !bytes.Equal(tag, last) {
		t.Errorf("tag %q, %v, want %q", tag, err, last)
	}
	if err := s.Keep(func(of uint64) bool { return of == segment }); err != nil {
		t.Fatal(err)
	}
	for n := range 500 {
		key := labels.Key{byte(n), byte(n >> 8)}
		want, _ := m.Get(key)
		if of, err := labels.SegmentOf(want); err != nil || of != segment {
			want = nil
		}
		if got, err := s.Get(key); err != nil || !bytes.Equal(want, got) {
			t.Fatalf("key %d after the segments of others are gone: %v, %v, want %v", n, got, err, want)
		}
	}
	if err := s.Reset(); err != nil {
		t.Fatal(err)
	}
	if tag, err := s.Tag(); err != nil || len(tag) > 0 {
		t.Errorf("tag %q, %v of an empty store", tag, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// A process that dies leaves what one commit held, whole, with its tag: perhaps an earlier one.
func TestStoreAfterACrash(t *testing.T) {
	for _, flush := range []bool{false, true} {
		fs := vfs.NewCrashableMem()
		s := open(t, "labels", fs)
		for round := range 50 {
			changed := []labels.Change{
				{Key: labels.Key{1}, Segment: 1, Value: value(1, round)},
				{Key: labels.Key{2}, Segment: 1, Value: value(1, round)},
			}
			if err := s.Put(changed, nil, value(1, round)); err != nil {
				t.Fatal(err)
			}
			if flush && round == 30 {
				if err := s.Flush(); err != nil {
					t.Fatal(err)
				}
			}
		}
		after := open(t, "labels", fs.CrashClone(vfs.CrashCloneCfg{})) //nolint:exhaustruct // what was not synced is gone
		tag, err := after.Tag()
		if err != nil || flush != (len(tag) > 0) {
			t.Fatalf("tag %v, %v", tag, err)
		}
		for _, key := range []labels.Key{{1}, {2}} {
			if got, err := after.Get(key); err != nil || !bytes.Equal(got, tag) {
				t.Errorf("%v, %v beside the tag %v", got, err, tag)
			}
		}
		if err := errors.Join(after.Close(), s.Close()); err != nil {
			t.Fatal(err)
		}
	}
}

// A damaged store is made anew.
func TestStoreDamaged(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "labels")
	s := open(t, dir, nil)
	if err := s.Put([]labels.Change{{Key: labels.Key{1}, Segment: 1, Value: value(1, 1)}}, nil, []byte("tag")); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	manifests, err := filepath.Glob(filepath.Join(dir, "MANIFEST-*"))
	if err != nil || len(manifests) == 0 {
		t.Fatalf("%v, %v", manifests, err)
	}
	for _, name := range manifests {
		if err := os.WriteFile(name, []byte("nothing that Pebble has written"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s = open(t, dir, nil)
	if tag, err := s.Tag(); err != nil || len(tag) > 0 {
		t.Errorf("tag %q, %v", tag, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// A disk that takes nothing more stops the store, not the process.
func TestStoreOnAFullDisk(t *testing.T) {
	full := errors.New("no space left on device")
	var broken atomic.Bool
	fs := errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if broken.Load() && op.Kind == errorfs.OpFileWrite {
			return full
		}
		return nil
	}))
	s := open(t, "labels", fs)
	if err := s.Put([]labels.Change{{Key: labels.Key{1}, Segment: 1, Value: value(1, 1)}}, nil, []byte("tag")); err != nil {
		t.Fatal(err)
	}
	broken.Store(true)
	var err error
	for i := 0; err == nil; i++ { // until what is in memory is to be written
		big := append(value(1, i), make([]byte, 1<<20)...)
		err = s.Put([]labels.Change{{Key: labels.Key{2, byte(i), byte(i >> 8)}, Segment: 1, Value: big}}, nil, []byte("tag"))
	}
	if s.Trouble() == nil {
		t.Fatalf("a write to a full disk: %v", err)
	}
	if _, err := s.Get(labels.Key{1}); err == nil {
		t.Error("a store that was given up answers")
	}
	broken.Store(false)
	if err := s.Reset(); err != nil {
		t.Fatalf("there is room again: %v", err)
	}
	if tag, err := s.Tag(); err != nil || len(tag) > 0 {
		t.Errorf("tag %q, %v", tag, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// Where the disk is nearly full the store does not begin.
func TestStoreLeavesRoom(t *testing.T) {
	if _, err := pending.Open(t.TempDir(), pending.Options{Logger: slog.New(slog.DiscardHandler), FS: nil, Free: 1 << 62}); err == nil {
		t.Error("a store is opened on a disk that has less room than is to be kept free")
	}
}

// A disk on which the store cannot even be made is an error, at once: Pebble itself does not come back from it.
func TestStoreThatCannotBeMade(t *testing.T) {
	var made atomic.Int64
	fs := errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind == errorfs.OpFileWrite && strings.Contains(op.Path, "MANIFEST") && made.Add(1) > 0 {
			return errors.New("quota exceeded")
		}
		return nil
	}))
	_, err := pending.Open("labels", pending.Options{Logger: slog.New(slog.DiscardHandler), FS: fs, Free: 1})
	if err == nil || !strings.Contains(err.Error(), "quota exceeded") {
		t.Errorf("%v, want that the quota is exceeded", err)
	}
	if made.Load() == 0 {
		t.Error("nothing was written")
	}
}
