package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/term"

	"github.com/driftd/driftd/demo"
	"github.com/driftd/driftd/journal"
	"github.com/driftd/driftd/result"
)

// watcher reads the outbox as any subscriber may: committed results and transitions, in order.
type watcher struct {
	link   *link
	in     *logReader
	show   *stage
	msgs   jetstream.MessagesContext
	done   sync.WaitGroup
	report *demo.Report

	mu   sync.Mutex
	last int64     // end of the newest window that is judged
	at   time.Time // when anything came last
	err  error
}

// Bounds of the wait for the last windows.
const (
	quietAfter = 500 * time.Millisecond // nothing follows the last window
	patience   = 30 * time.Second       // without any result: something is stuck
)

func (c *conductor) watch(ctx context.Context, in *logReader) (*watcher, error) {
	l, err := (&target{url: "", config: "", dataDir: c.dir}).connect(ctx)
	if err != nil {
		return nil, err
	}
	w := &watcher{link: l, in: in, show: c.show, report: demo.NewReport(demo.Incidents()), at: time.Now()} //nolint:exhaustruct // nothing came yet
	cons, err := l.js.OrderedConsumer(ctx, journal.OutboxStream, jetstream.OrderedConsumerConfig{          //nolint:exhaustruct // from the beginning
		FilterSubjects: []string{"driftd.result." + demo.ModelName, "driftd.transition." + demo.ModelName},
	})
	if err == nil {
		w.msgs, err = cons.Messages()
	}
	if err != nil {
		l.close()
		return nil, fmt.Errorf("reading the outbox: %w", err)
	}
	w.done.Go(w.read)
	return w, nil
}

func (w *watcher) close() {
	w.msgs.Stop()
	w.done.Wait()
	w.link.close()
}

func (w *watcher) read() {
	for {
		m, err := w.msgs.Next()
		if err == nil {
			err = w.take(m.Subject(), m.Data())
		}
		if err != nil {
			w.mu.Lock()
			w.err = err
			w.mu.Unlock()
			return
		}
	}
}

// take adds one document to the report, and shows what a person should see of it.
func (w *watcher) take(subject string, data []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.at = time.Now()
	if strings.HasPrefix(subject, "driftd.transition.") {
		var t result.Transition
		if err := json.Unmarshal(data, &t); err != nil {
			return fmt.Errorf("reading a transition: %w", err)
		}
		w.report.Transition(&t)
		w.show.text(demo.Alert(&t))
		return nil
	}
	var kind struct{ Type string }
	if err := json.Unmarshal(data, &kind); err != nil {
		return fmt.Errorf("reading a result: %w", err)
	}
	if kind.Type == "quality" {
		var doc result.Quality
		if err := json.Unmarshal(data, &doc); err != nil {
			return fmt.Errorf("reading the quality of a result: %w", err)
		}
		w.report.Quality(&doc)
		return nil
	}
	if kind.Type != "summary" {
		var doc result.FeatureDoc
		if err := json.Unmarshal(data, &doc); err != nil {
			return fmt.Errorf("reading the features of a result: %w", err)
		}
		w.report.Features(&doc)
		return nil
	}
	var sum result.Summary
	if err := json.Unmarshal(data, &sum); err != nil {
		return fmt.Errorf("reading a result: %w", err)
	}
	w.report.Window(&sum)
	if sum.Key.Version == result.All {
		w.last = max(w.last, sum.Window.End)
		w.show.progress(time.UnixMilli(sum.Window.Start).UTC(), w.in.read.Load())
	}
	return nil
}

// finish waits until the window that holds the newest record is judged, and nothing follows.
func (w *watcher) finish(ctx context.Context, newest int64) (*demo.Report, error) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		w.mu.Lock()
		last, quiet, err := w.last, time.Since(w.at), w.err
		w.mu.Unlock()
		switch {
		case err != nil:
			return nil, fmt.Errorf("reading the outbox: %w", err)
		case last > newest && quiet > quietAfter:
			w.show.clear()
			return w.report, nil
		case quiet > patience:
			return nil, errors.New("the last windows were not judged: see the warnings above")
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-tick.C:
		}
	}
}

// stage writes the demo's lines, and keeps one line at the end that shows how far it is.
type stage struct {
	con   *console
	mu    sync.Mutex
	live  bool // a terminal
	shown bool
	month time.Month
}

func newStage(con *console) *stage {
	file, ok := con.stdout.(*os.File)
	live := ok && term.IsTerminal(int(file.Fd())) && con.getenv("TERM") != "dumb"
	return &stage{con: con, mu: sync.Mutex{}, live: live, shown: false, month: 0}
}

func (s *stage) line(format string, args ...any) { s.text(fmt.Sprintf(format, args...) + "\n") }

func (s *stage) text(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wipe()
	fmt.Fprint(s.con.stdout, text)
}

// progress says which day is judged: on a terminal over itself, else once a month.
func (s *stage) progress(day time.Time, records uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.live {
		s.wipe()
		s.shown = true
		fmt.Fprintf(s.con.stdout, "%s  judged; %s replayed", day.Format(time.DateOnly), count(records, "record", "records"))
		return
	}
	if day.Month() != s.month {
		s.month = day.Month()
		fmt.Fprintf(s.con.stdout, "%s  judging %s\n", day.Format(time.DateOnly), day.Format("January 2006"))
	}
}

func (s *stage) clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wipe()
}

// wipe removes the line of progress.
func (s *stage) wipe() {
	if s.shown {
		s.shown = false
		fmt.Fprint(s.con.stdout, "\r\x1b[K")
	}
}
