package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/term"
)

// pace plays records at a multiple of their own time. The newest time seen sets it: a record out of order waits for nobody.
type pace struct {
	speed  float64 // 0: no pace
	start  time.Time
	first  int64 // event time that start stands for
	newest int64
	begun  bool
}

// wait returns when it is the record's turn. What was published before is acknowledged first: nobody should wait for it.
func (p *pace) wait(ctx context.Context, to route, flush func(context.Context) error) error {
	if p.speed == 0 || !to.hasTime {
		return nil
	}
	if !p.begun {
		p.begun, p.first, p.newest, p.start = true, to.time, to.time, time.Now()
	}
	p.newest = max(p.newest, to.time)
	due := p.start.Add(time.Duration(float64(p.newest-p.first) / p.speed * float64(time.Millisecond)))
	left := time.Until(due)
	if left <= 0 {
		return nil
	}
	if err := flush(ctx); err != nil {
		return err
	}
	timer := time.NewTimer(time.Until(due))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return errors.New("interrupted")
	case <-timer.C:
		return nil
	}
}

// progress writes one line over itself, on a terminal only.
type progress struct {
	con   *console
	on    bool
	start time.Time
	next  time.Time
	shown bool
}

const progressEvery = 200 * time.Millisecond

func newProgress(con *console, start time.Time) progress {
	file, ok := con.stderr.(*os.File)
	on := ok && term.IsTerminal(int(file.Fd())) && con.getenv("TERM") != "dumb"
	return progress{con: con, on: on, start: start, next: start.Add(progressEvery), shown: false}
}

func (p *progress) update(r *replay) {
	if !p.on {
		return
	}
	now := time.Now()
	if now.Before(p.next) {
		return
	}
	p.next, p.shown = now.Add(progressEvery), true
	n := r.events + r.labels
	fmt.Fprintf(p.con.stderr, "\r\x1b[K%s, %s a second, %s not published", count(n, "record", "records"),
		grouped(uint64(float64(n)/now.Sub(p.start).Seconds())), count(r.bad.total(), "line", "lines"))
}

// clear removes the line, so that other text can follow.
func (p *progress) clear() {
	if p.shown {
		p.shown = false
		fmt.Fprint(p.con.stderr, "\r\x1b[K")
	}
}
