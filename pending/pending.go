// Package pending keeps the predictions that wait for their labels, and the labels that wait for their predictions, on disk: an
// embedded log-structured store (Pebble). It is a cache. It is written after a commit, it says which commit it holds, and whatever it
// loses is read again from the stream; so it never waits for a disk, keeps no log of its own, and gives up rather than to
// stand in the way of counting.
package pending

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/driftd/driftd/labels"
)

// Sizes of the store. With them it takes about as much memory, whatever it holds.
const (
	cacheBytes    = 32 << 20
	memTableBytes = 8 << 20
	leastFree     = 256 << 20 // bytes of the disk that are left to others
	lookEvery     = 8 << 20   // bytes after which the free space is looked at again

	flushPause = 250 * time.Millisecond
)

// Options of a Store.
type Options struct {
	Logger *slog.Logger
	FS     vfs.FS // nil: the file system of the machine
	Free   uint64 // bytes of the disk that are left to others; 0: 256 MiB
}

// Store is the pending groups of one partition. One goroutine may ask while another one writes; Trouble, DiskBytes and MemoryBytes may be called
// by any.
type Store struct {
	dir     string
	o       Options
	db      *pebble.DB
	cache   *pebble.Cache
	trouble atomic.Pointer[error]
	stuck   atomic.Bool // Pebble holds its locks for ever
	buf     []byte      // of whoever asks
	written int         // bytes since the free space was looked at
}

// The keys: of the tag, of a group by its key, and of a group by its segment.
const (
	tagKey    = 't'
	groupKey  = 'g'
	memberKey = 's'
)

// Open opens the store in a directory, which is made where it is missing. A store that is damaged is removed: it comes again from the
// stream.
func Open(dir string, o Options) (*Store, error) {
	if o.FS == nil {
		o.FS = vfs.Default
	}
	if o.Free == 0 {
		o.Free = leastFree
	}
	s := &Store{dir: dir, o: o, db: nil, cache: nil, trouble: atomic.Pointer[error]{}, stuck: atomic.Bool{}, buf: nil, written: 0}
	if err := s.open(); s.stuck.Load() {
		return nil, err
	} else if err != nil {
		o.Logger.Warn("the cache of pending labels cannot be read and is made anew", slog.String("dir", dir), slog.Any("err", err))
		if err := o.FS.RemoveAll(dir); err != nil {
			return nil, fmt.Errorf("removing the cache of pending labels: %w", err)
		}
		if err := s.open(); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (s *Store) open() error {
	if err := s.o.FS.MkdirAll(s.dir, 0o750); err != nil {
		return fmt.Errorf("making the directory of pending labels: %w", err)
	}
	if err := s.room(0); err != nil {
		return err
	}
	fatal := make(chan struct{}, 1)
	s.cache = pebble.NewCache(cacheBytes)
	o := &pebble.Options{
		FS: s.o.FS, Cache: s.cache, MemTableSize: memTableBytes, Logger: logger{s, fatal}, FormatMajorVersion: pebble.FormatNewest,
		// What a crash takes is read again from the stream. A log would cost a write more for each group, and Pebble ends the process when it
		// cannot write one.
		DisableWAL: true,
		EventListener: &pebble.EventListener{BackgroundError: func(err error) {
			s.giveUp(fmt.Errorf("writing pending labels: %w", err))
			time.Sleep(flushPause) // Pebble tries again at once, and for ever
		}},
	}
	for i := range o.Levels {
		o.Levels[i].FilterPolicy = bloom.FilterPolicy(10) // most predictions find nothing
	}
	type opened struct {
		db  *pebble.DB
		err error
	}
	done := make(chan opened, 1) // of one who may be given up
	go func() {
		db, err := pebble.Open(s.dir, o)
		done <- opened{db, err}
	}()
	select {
	case got := <-done:
		if got.err != nil {
			s.cache.Unref()
			return fmt.Errorf("opening pending labels: %w", got.err)
		}
		s.db = got.db
		return nil
	case <-fatal: // it never returns
		return fmt.Errorf("opening pending labels: %w", s.Trouble())
	}
}

// logger hears of what Pebble cannot go on from. Pebble expects that its Fatalf does not return, and holds its locks meanwhile: the store is
// given up and its goroutine stays.
type logger struct {
	s     *Store
	fatal chan struct{} // hears of the first time
}

func (l logger) Infof(string, ...any) {}

func (l logger) Errorf(format string, args ...any) {
	l.s.o.Logger.Debug("the store of pending labels", slog.String("detail", fmt.Sprintf(format, args...)))
}

func (l logger) Fatalf(format string, args ...any) {
	l.s.giveUp(fmt.Errorf("writing pending labels: "+format, args...))
	l.s.stuck.Store(true)
	select {
	case l.fatal <- struct{}{}:
	default:
	}
	select {}
}

// giveUp notes the first thing from which the store cannot go on. Nothing more is asked of Pebble then.
func (s *Store) giveUp(err error) { s.trouble.CompareAndSwap(nil, &err) }

// Trouble returns why the store takes nothing any more, or nil.
func (s *Store) Trouble() error {
	if err := s.trouble.Load(); err != nil {
		return *err
	}
	return nil
}

// room gives up where the disk is about to be full: before Pebble meets it, which it cannot go on from.
func (s *Store) room(more int) error {
	if s.written += more; more > 0 && s.written < lookEvery {
		return nil
	}
	s.written = 0
	use, err := s.o.FS.GetDiskUsage(s.dir)
	switch {
	case errors.Is(err, vfs.ErrUnsupported):
		return nil
	case err != nil:
		return fmt.Errorf("asking for the free space of %s: %w", s.dir, err)
	case use.AvailBytes < s.o.Free:
		return fmt.Errorf("the disk of %s has %d MiB left, %d MiB are kept free", s.dir, use.AvailBytes>>20, s.o.Free>>20)
	}
	return nil
}

// Tag returns the tag of the commit that the store holds; nil: it holds none.
func (s *Store) Tag() ([]byte, error) {
	return s.get(nil, []byte{tagKey})
}

// Get implements labels.Reader.
func (s *Store) Get(key labels.Key) ([]byte, error) {
	v, err := s.group(s.buf[:0], key)
	if v != nil {
		s.buf = v
	}
	return v, err
}

// group appends the group of a key to b, or returns nil.
func (s *Store) group(b []byte, key labels.Key) ([]byte, error) {
	var k [17]byte
	k[0] = groupKey
	copy(k[1:], key[:])
	return s.get(b, k[:])
}

func (s *Store) get(b, key []byte) ([]byte, error) {
	if err := s.Trouble(); err != nil {
		return nil, err
	}
	v, closer, err := s.db.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		err = fmt.Errorf("reading pending labels: %w", err)
		s.giveUp(err)
		return nil, err
	}
	return append(b, v...), closer.Close()
}

func member(b []byte, segment uint64) []byte {
	return binary.BigEndian.AppendUint64(append(b, memberKey), segment)
}

// Put stores groups, removes those of dropped segments, and sets the tag: all of it or nothing. Without a tag the store holds no commit
// until it is told one. After an error it takes nothing any more.
func (s *Store) Put(changed []labels.Change, dropped []uint64, tag []byte) error {
	if err := s.Trouble(); err != nil {
		return err
	}
	size := len(tag)
	for i := range changed {
		size += len(changed[i].Value) + 48
	}
	err := s.room(max(size, 1))
	if err == nil {
		err = s.put(changed, dropped, tag, size)
	}
	if err != nil {
		s.giveUp(err)
	}
	return err
}

func (s *Store) put(changed []labels.Change, dropped []uint64, tag []byte, size int) error {
	b := s.db.NewBatchWithSize(size + 1024)
	defer func() { _ = b.Close() }() // it only gives memory back
	var key []byte
	for i := range changed {
		c := &changed[i]
		key = append(append(key[:0], groupKey), c.Key[:]...)
		if err := b.Set(key, c.Value, nil); err != nil {
			return fmt.Errorf("writing pending labels: %w", err)
		}
		key = append(member(key[:0], c.Segment), c.Key[:]...)
		if err := b.Set(key, nil, nil); err != nil {
			return fmt.Errorf("writing pending labels: %w", err)
		}
	}
	fresh := map[labels.Key]uint64{}
	for i := range changed {
		fresh[changed[i].Key] = changed[i].Segment
	}
	for _, segment := range dropped {
		if err := s.drop(b, segment, fresh); err != nil {
			return err
		}
	}
	var err error
	if tag == nil {
		err = b.Delete([]byte{tagKey}, nil)
	} else {
		err = b.Set([]byte{tagKey}, tag, nil)
	}
	if err == nil {
		err = b.Commit(pebble.NoSync)
	}
	if err != nil {
		return fmt.Errorf("writing pending labels: %w", err)
	}
	return nil
}

// drop removes the groups that began in a segment and are no others' by now.
func (s *Store) drop(b *pebble.Batch, segment uint64, fresh map[labels.Key]uint64) error {
	from, to := member(nil, segment), member(nil, segment+1)
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: from, UpperBound: to}) //nolint:exhaustruct // the defaults
	if err != nil {
		return fmt.Errorf("reading pending labels: %w", err)
	}
	for ok := it.First(); ok; ok = it.Next() {
		key := labels.Key(it.Key()[len(from):])
		if _, changed := fresh[key]; changed {
			continue // it is another segment's: of this one nothing is fresh
		}
		v, err := s.group(nil, key)
		if err != nil {
			return errors.Join(err, it.Close())
		}
		if v == nil {
			continue
		}
		if of, err := labels.SegmentOf(v); err == nil && of != segment {
			continue
		}
		if err := b.Delete(append([]byte{groupKey}, key[:]...), nil); err != nil {
			return errors.Join(fmt.Errorf("writing pending labels: %w", err), it.Close())
		}
	}
	if err := it.Close(); err != nil {
		return fmt.Errorf("reading pending labels: %w", err)
	}
	if err := b.DeleteRange(from, to, nil); err != nil {
		return fmt.Errorf("writing pending labels: %w", err)
	}
	return nil
}

// Keep removes the groups of segments that do not live: what was let go between a commit and a crash, or by another owner.
func (s *Store) Keep(lives func(segment uint64) bool) error {
	if err := s.Trouble(); err != nil {
		return err
	}
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: []byte{memberKey}, UpperBound: []byte{memberKey + 1}}) //nolint:exhaustruct // the defaults
	if err != nil {
		return fmt.Errorf("reading pending labels: %w", err)
	}
	var gone []uint64
	for ok := it.First(); ok; {
		segment := binary.BigEndian.Uint64(it.Key()[1:9])
		if !lives(segment) {
			gone = append(gone, segment)
		}
		ok = it.SeekGE(member(nil, segment+1))
	}
	if err := it.Close(); err != nil {
		return fmt.Errorf("reading pending labels: %w", err)
	}
	if len(gone) == 0 {
		return nil
	}
	tag, err := s.Tag()
	if err != nil {
		return err
	}
	return s.Put(nil, gone, tag)
}

// Reset empties the store, and takes up again one that was given up.
func (s *Store) Reset() error {
	if err := s.close(); err != nil {
		s.o.Logger.Debug("closing pending labels", slog.Any("err", err))
	}
	if err := s.o.FS.RemoveAll(s.dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("removing pending labels: %w", err)
	}
	s.trouble.Store(nil)
	s.stuck.Store(false)
	if err := s.open(); err != nil {
		s.giveUp(err)
		return err
	}
	return nil
}

// DiskBytes returns how many bytes the store takes on disk.
func (s *Store) DiskBytes() uint64 {
	if s.Trouble() != nil {
		return 0
	}
	return s.db.Metrics().DiskSpaceUsage()
}

// MemoryBytes returns how many bytes of memory the store takes.
func (s *Store) MemoryBytes() uint64 {
	if s.Trouble() != nil {
		return 0
	}
	m := s.db.Metrics()
	return m.MemTable.Size + uint64(m.BlockCache.Size)
}

// Flush writes to disk what is in memory.
func (s *Store) Flush() error {
	if err := s.Trouble(); err != nil {
		return err
	}
	if err := s.db.Flush(); err != nil {
		return fmt.Errorf("writing pending labels: %w", err)
	}
	return nil
}

// Close writes what is in memory to disk and releases the store.
func (s *Store) Close() error {
	if s.Trouble() != nil {
		return s.close()
	}
	return errors.Join(s.Flush(), s.close())
}

func (s *Store) close() error {
	if s.db == nil || s.stuck.Load() {
		return nil // it is left alone, in a directory that nobody looks at any more
	}
	err := s.db.Close()
	s.db = nil
	s.cache.Unref()
	if err != nil {
		return fmt.Errorf("closing pending labels: %w", err)
	}
	return nil
}

// Dir returns where a partition's store is in a data directory.
func Dir(dataDir string, partition int) string {
	return filepath.Join(dataDir, "labels", fmt.Sprintf("%03d", partition))
}
