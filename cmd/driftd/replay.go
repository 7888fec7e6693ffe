package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/driftd/driftd/event"
	"github.com/driftd/driftd/ingest"
	"github.com/driftd/driftd/journal"
)

func replayCommand() command {
	return command{
		name:  "driftd replay",
		short: "publish a log of events and labels, waiting for every acknowledgement",
		args:  "FILE… [--speed N] [--model M] [flags]",
		about: `Publishes each record of NDJSON files, plain or compressed with gzip or zstd, to ml.events.MODEL; one with a top-level "label"
goes to ml.labels.MODEL. "-" is standard input. A line that is no JSON or names no model is reported with its place while
the others are published. At the end of all files a marker closes the windows that they opened; a following file is not late
for it. Repeating a replay counts nothing twice where the records have ids.

` + findBroker,
		examples: []example{
			{"a compressed log, into the daemon on this machine", "driftd replay events.ndjson.gz"},
			{"two days an hour, as if they happened now", "driftd replay --speed 48 monday.ndjson tuesday.ndjson"},
			{"records that do not name their model, from another program", "zcat log.gz | driftd replay --model churn -"},
			{"into a broker of your own; the labels come later, so no marker yet", "driftd replay --config driftd.yaml --no-marker events.ndjson"},
		},
		exits: []exit{
			{exitDone, "every record was published and acknowledged"},
			{exitFailed, "some lines could not be published (they are named), or the broker failed"},
			{exitUsage, "wrong usage, or a file is empty or cannot be read"},
		},
		setup: func(fs *flag.FlagSet) action {
			r := replay{target: targetFlags(fs)}
			fs.Float64Var(&r.speed, "speed", 0, "`N`: times event time; 1 is real time, 0 as fast as possible (default 0)")
			fs.StringVar(&r.model, "model", "", "`MODEL`: of records that name none")
			fs.BoolVar(&r.noMarker, "no-marker", false, "do not close the last windows at the end")
			fs.BoolVar(&r.strict, "strict", false, "stop at the first line that cannot be published")
			return r.run
		},
	}
}

// replay is one call of the command: its flags, and what has happened so far.
type replay struct {
	target   *target
	speed    float64
	model    string
	noMarker bool
	strict   bool

	con     *console
	link    *link
	out     *ingest.Publisher
	limit   int   // bytes of the largest record that the broker takes
	future  int64 // event times beyond this move no watermark
	decoder *event.Decoder
	pace    pace
	show    progress

	events, labels uint64
	models         map[string]int64 // newest event time by model, in Unix milliseconds
	homes          map[string]home  // of the models so far
	bad            badLines
	doomed         tally  // records that were sent though driftd will refuse them, by reason
	spans          []span // of the files so far
}

func (r *replay) run(ctx context.Context, con *console, files []string) error {
	if err := r.checkUsage(files); err != nil {
		return err
	}
	l, err := r.prepare(ctx, con, files)
	if err != nil {
		return err
	}
	defer l.close()
	defer func() { _ = r.out.Close() }() // what it could say was said by Flush
	start := time.Now()
	r.pace = pace{speed: r.speed, start: start, first: 0, newest: 0, begun: false}
	r.show = newProgress(con, start)
	err = r.publish(ctx, files)
	r.show.clear()
	stored, _ := r.out.Acknowledged()
	if err != nil && stored == 0 {
		return err
	}
	r.summarise(time.Since(start))
	r.warn()
	if err != nil {
		return fmt.Errorf("%w (stopped: %s acknowledged, no marker published; repeating the replay counts nothing twice where "+
			"the records have ids)", err, count(stored, "message", "messages"))
	}
	if r.bad.total() > 0 {
		return errors.New(r.bad.report())
	}
	return nil
}

// publish publishes the files and, if all went well, the markers. It returns when everything that was sent is acknowledged
// or lost: an interruption leaves no doubt about what is stored.
func (r *replay) publish(ctx context.Context, files []string) error {
	err := r.files(ctx, files)
	if err == nil && !r.noMarker {
		err = r.mark(ctx)
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), ackTimeout)
	defer cancel()
	flushErr := r.flush(last)
	var lost *ingest.PublishError
	if err != nil && errors.As(err, &lost) {
		return err // it is the same failure
	}
	return errors.Join(err, flushErr)
}

// ackTimeout is how long acknowledgements are waited for at the end.
const ackTimeout = 30 * time.Second

// send publishes one message; a failure may be that of an earlier one.
func (r *replay) send(ctx context.Context, subject string, data []byte, line int) error {
	return r.explain(r.out.Publish(ctx, subject, "", data, line))
}

// flush waits for the acknowledgements of everything that was sent.
func (r *replay) flush(ctx context.Context) error { return r.explain(r.out.Flush(ctx)) }

// explain says in which file the message that the publisher lost stands, and what to do.
func (r *replay) explain(err error) error {
	var lost *ingest.PublishError
	switch {
	case err == nil:
		return nil
	case errors.Is(err, context.Canceled):
		return errors.New("interrupted")
	case !errors.As(err, &lost):
		return fmt.Errorf("waiting for acknowledgements: %w", err)
	}
	where := "a marker"
	for _, s := range r.spans {
		if lost.Line > s.before {
			where = fmt.Sprintf("%s:%d", s.name, lost.Line-s.before)
		}
	}
	cause := lost.Err.Error()
	if errors.Is(lost.Err, jetstream.ErrNoStreamResponse) {
		cause = "no stream of this broker takes this subject: start `driftd run` once, which creates its streams"
	}
	return &publishError{text: fmt.Sprintf("publishing %s to %s: %s", where, lost.Subject, cause), err: lost}
}

// publishError words an ingest.PublishError for the command line.
type publishError struct {
	text string
	err  *ingest.PublishError
}

func (e *publishError) Error() string { return e.text }
func (e *publishError) Unwrap() error { return e.err }

// span is where a file lies in the lines of all files.
type span struct {
	name   string
	before int // lines of the files before it
}

const markerLine = -1 // of a message that stands in no file

func (r *replay) checkUsage(files []string) error {
	switch {
	case len(files) == 0:
		return usageError("which log? give one or more NDJSON files, or - for standard input")
	case r.speed < 0 || math.IsNaN(r.speed) || math.IsInf(r.speed, 1):
		return usageError("--speed %v: must be 0 (as fast as possible) or more", r.speed)
	case r.model != "" && !event.ValidModel(r.model):
		return usageError("--model %q: a model's name is 1 to 128 of A-Z, a-z, 0-9, '_' and '-'", r.model)
	}
	stdin := 0
	for _, f := range files {
		if f == stdinName {
			stdin++
		}
	}
	if stdin > 1 {
		return usageError("standard input (-) is named %d times; it can be read once", stdin)
	}
	return nil
}

// prepare does all that can fail before anything is published.
func (r *replay) prepare(ctx context.Context, con *console, files []string) (*link, error) {
	const probeLimit = 1 << 20 // a longer first line is a line all the same
	if err := probeLogs(files, probeLimit); err != nil {
		return nil, inputError(err)
	}
	l, err := r.target.connect(ctx)
	if err != nil {
		return nil, err
	}
	if err := r.checkStreams(ctx, l); err != nil {
		l.close()
		return nil, err
	}
	limits := &l.cfg.Limits
	r.con, r.limit = con, int(l.nc.MaxPayload())
	r.decoder = event.NewDecoder(event.Limits{MaxRecord: int(limits.MaxRecord), MaxFields: limits.MaxFeatures})
	r.future = time.Now().Add(limits.FutureTolerance.Std()).UnixMilli()
	r.models, r.homes = map[string]int64{}, map[string]home{}
	r.link = l
	r.out = ingest.NewPublisher(l.js)
	return l, nil
}

// checkStreams says what is wrong with the streams before anything is published. Without --config, only the first partition is known.
func (r *replay) checkStreams(ctx context.Context, l *link) error {
	for _, p := range l.layout().Partitions {
		subject := journal.ControlSubject(p.Number)
		name, err := l.js.StreamNameBySubject(ctx, subject)
		switch {
		case errors.Is(err, jetstream.ErrStreamNotFound) && r.noMarker:
		case errors.Is(err, jetstream.ErrStreamNotFound):
			return fmt.Errorf("no stream of this broker takes %s: start `driftd run` once, which creates its streams; "+
				"a stream of your own needs this subject too, or give --no-marker", subject)
		case err != nil:
			return fmt.Errorf("looking for the input stream: %w", err)
		case l.configured && name != p.InputName():
			return fmt.Errorf("%s is taken by stream %s, but the configuration reads %s", subject, name, p.InputName())
		}
	}
	return nil
}

func (r *replay) files(ctx context.Context, names []string) error {
	before := 0
	for _, name := range names {
		f, err := openLog(name, r.con.stdin, r.limit)
		if err != nil {
			return inputError(err)
		}
		r.spans = append(r.spans, span{f.name, before})
		err = r.lines(ctx, f)
		before += f.line
		if closeErr := f.close(); err == nil && closeErr != nil {
			err = inputError(fmt.Errorf("reading %s: %w", f.name, closeErr))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (r *replay) lines(ctx context.Context, f *logFile) error {
	for {
		if err := ctx.Err(); err != nil {
			return errors.New("interrupted")
		}
		line, length, err := f.next()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return inputError(err)
		case length > len(line):
			err = r.refuse(f, "oversize", fmt.Sprintf("the line has %s; the broker takes at most %s",
				count(length, "byte", "bytes"), grouped(uint64(r.limit))))
		default:
			err = r.records(ctx, f, line)
		}
		if err != nil {
			return err
		}
		r.show.update(r)
	}
}

// records publishes what a line holds: as a rule one record. Each is a message of its own, so that each goes where it
// belongs.
func (r *replay) records(ctx context.Context, f *logFile, line []byte) error {
	r.decoder.Reset(line)
	if len(line) == 0 {
		return nil
	}
	for r.decoder.Next() {
		to, refused := r.route()
		if refused != nil {
			if err := r.refuse(f, refused.Reason.String(), refused.Error()); err != nil {
				return err
			}
			continue
		}
		if err := r.settle(ctx, to.model); err != nil {
			return err
		}
		if err := r.pace.wait(ctx, to, r.flush); err != nil {
			return err
		}
		if err := r.send(ctx, to.subject(), r.decoder.Raw(), r.spans[len(r.spans)-1].before+f.line); err != nil {
			return err
		}
		r.account(to)
	}
	return nil
}

// settle finds out where the markers of a model go, before its first record does.
func (r *replay) settle(ctx context.Context, model string) error {
	if _, ok := r.homes[model]; ok {
		return nil
	}
	where, err := r.link.homeOf(ctx, model)
	r.homes[model] = where
	return err
}

// route is where a record goes.
type route struct {
	model   string
	label   bool
	time    int64
	hasTime bool
}

func (t route) subject() string {
	if t.label {
		return "ml.labels." + t.model
	}
	return "ml.events." + t.model
}

// route decides where the decoder's record goes. One that driftd will refuse, but whose model is known, is published all
// the same: it becomes a dead letter there, with its reason, and is counted.
func (r *replay) route() (route, *event.RejectError) {
	ev, refused := r.decoder.Event()
	if refused != nil {
		switch refused.Reason {
		case event.RejectBadTime, event.RejectBareNaN, event.RejectLimits, event.RejectOversize, event.RejectNoLabelID:
		default:
			return route{}, refused
		}
		model, unknown := event.ResolveModel(r.model, &event.Event{Model: refused.Model})
		if unknown != nil {
			return route{}, refused
		}
		r.doomed.add(refused.Reason.String())
		return route{model: string(model), label: refused.Reason == event.RejectNoLabelID, time: 0, hasTime: false}, nil
	}
	model, unknown := event.ResolveModel(r.model, ev)
	if unknown != nil {
		if unknown.Reason == event.RejectNoModel {
			unknown.Detail = `name the model in "model", or give --model`
		}
		return route{}, unknown
	}
	return route{model: string(model), label: ev.IsLabel, time: ev.Time, hasTime: ev.HasTime}, nil
}

func (r *replay) account(to route) {
	if to.label {
		r.labels++
	} else {
		r.events++
	}
	newest := r.models[to.model] // 0, the year 1970, where no record had a time: such a marker moves no watermark
	if to.hasTime && to.time <= r.future {
		newest = max(newest, to.time)
	}
	r.models[to.model] = newest
}

// refuse notes a line that cannot be published, and stops the replay if it is to be strict.
func (r *replay) refuse(f *logFile, reason, detail string) error {
	r.bad.add(badLine{file: f.name, line: f.line, detail: detail}, reason)
	r.show.clear()
	if r.strict {
		return errors.New(r.bad.report() + " (--strict)")
	}
	return nil
}

// mark publishes the marker of every model that the files held. They are sent when
// every record is acknowledged, so that none can end up behind its marker.
func (r *replay) mark(ctx context.Context) error {
	if err := r.flush(ctx); err != nil {
		return err
	}
	for _, model := range sortedKeys(r.models) {
		c := event.Control{Kind: event.ControlMarker, Watermark: r.models[model], Source: model, End: true}
		if err := r.send(ctx, r.homes[model].control(), c.Encode(), markerLine); err != nil {
			return err
		}
	}
	return nil
}

func (r *replay) summarise(took time.Duration) {
	n := r.events + r.labels
	fmt.Fprintf(r.con.stdout, "published %s and %s of %s in %v (%s a second), %s not published\n",
		count(r.events, "event", "events"), count(r.labels, "label", "labels"), count(len(r.models), "model", "models"),
		took.Round(time.Millisecond), grouped(uint64(float64(n)/max(took.Seconds(), 1e-3))), count(r.bad.total(), "line", "lines"))
}

// warn says what was published in vain.
func (r *replay) warn() {
	if n := r.doomed.total(); n > 0 {
		become := "it becomes a dead letter"
		if n > 1 {
			become = "they become dead letters"
		}
		fmt.Fprintf(r.con.stderr, "warning: %s published that cannot be counted (%s): %s, see `driftd dead-letters list`\n",
			count(n, "record was", "records were"), r.doomed, become)
	}
}
