package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/driftd/driftd/journal"
)

// sample is what the daemon took at one moment.
type sample struct {
	after     time.Duration
	published uint64 // messages acknowledged by the broker
	results   uint64 // revisions of windows in the outbox

	rss, heap             float64 // bytes: resident; in use by Go
	goroutines, fds       float64
	stateBytes, stateMsgs float64 // of the state stream
	stateDisk             float64 // what its files take
	inputBytes            float64
	outboxBytes           float64
	storeBytes            float64 // the database with its log
	diskBytes             float64 // the whole data directory
	lag                   float64 // messages stored and not committed
	panes                 float64
	commit                float64 // seconds of the last commit
}

// String is the line of a run in progress.
func (s sample) String() string {
	return fmt.Sprintf("%8s  %9d acknowledged  %6d results  rss %s  heap %s  goroutines %.0f  fds %.0f  state %s/%.0f  lag %.0f",
		s.after.Round(time.Second), s.published, s.results, mib(s.rss), mib(s.heap), s.goroutines, s.fds, mib(s.stateBytes), s.stateMsgs, s.lag)
}

func (d *daemon) sample(ctx context.Context) (sample, error) {
	var s sample
	proc := "/proc/" + strconv.Itoa(d.cmd.Process.Pid)
	statm, err := os.ReadFile(proc + "/statm")
	if err != nil {
		return s, err
	}
	fields := strings.Fields(string(statm))
	if len(fields) < 2 {
		return s, fmt.Errorf("reading %s/statm: %q", proc, statm)
	}
	pages, err := strconv.ParseFloat(fields[1], 64)
	if err != nil {
		return s, err
	}
	s.rss = pages * float64(os.Getpagesize())
	open, err := os.ReadDir(proc + "/fd")
	if err != nil {
		return s, err
	}
	s.fds = float64(len(open))
	err = errors.Join(d.sampleMetrics(ctx, &s), d.sampleStreams(ctx, &s), d.sampleDisk(&s))
	return s, err
}

func (d *daemon) sampleMetrics(ctx context.Context, s *sample) error {
	m, err := d.metrics(ctx)
	if err != nil {
		return err
	}
	for name, into := range map[string]*float64{
		"go_goroutines": &s.goroutines, "go_memstats_heap_inuse_bytes": &s.heap, `driftd_pipeline_lag_messages{partition="0"}`: &s.lag,
		"driftd_window_panes": &s.panes, `driftd_pipeline_last_commit_duration_seconds{partition="0"}`: &s.commit,
	} {
		v, ok := m[name]
		if !ok {
			return fmt.Errorf("reading /metrics: there is no %s", name)
		}
		*into = v
	}
	return nil
}

// metrics reads every series of /metrics.
func (d *daemon) metrics(ctx context.Context) (map[string]float64, error) {
	body, err := d.get(ctx, "/metrics")
	if err != nil {
		return nil, err
	}
	series := map[string]float64{}
	for line := range strings.Lines(string(body)) {
		at := strings.LastIndexByte(strings.TrimSpace(line), ' ')
		if at < 0 || line[0] == '#' {
			continue
		}
		v, err := strconv.ParseFloat(strings.TrimSpace(line)[at+1:], 64)
		if err != nil {
			return nil, fmt.Errorf("reading /metrics: %w", err)
		}
		series[line[:at]] = v
	}
	return series, nil
}

func (d *daemon) sampleStreams(ctx context.Context, s *sample) error {
	for name, into := range map[string]*float64{
		journal.InputStream(0): &s.inputBytes, journal.StateStream(0): &s.stateBytes, journal.OutboxStream: &s.outboxBytes,
	} {
		stream, err := d.js.Stream(ctx, name)
		if err != nil {
			return fmt.Errorf("reading stream %s: %w", name, err)
		}
		state := stream.CachedInfo().State
		*into = float64(state.Bytes)
		if name == journal.StateStream(0) {
			s.stateMsgs = float64(state.Msgs)
		}
	}
	return nil
}

// sampleDisk adds up the sizes of the files; one that goes while it is looked at counts nothing.
func (d *daemon) sampleDisk(s *sample) error {
	return filepath.WalkDir(filepath.Join(d.dir, "data"), func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return ignoreGone(err)
		}
		info, err := e.Info()
		if err != nil {
			return ignoreGone(err)
		}
		if !info.Mode().IsRegular() {
			return nil
		}
		size := float64(info.Size())
		s.diskBytes += size
		if strings.HasPrefix(e.Name(), "store.db") {
			s.storeBytes += size
		}
		if strings.Contains(path, string(filepath.Separator)+journal.StateStream(0)+string(filepath.Separator)) {
			s.stateDisk += size
		}
		return nil
	})
}

func ignoreGone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
