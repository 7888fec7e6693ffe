// Package doctor reads a broker, driftd's streams in it, the store and the clocks, and says in plain words which guarantee
// holds now and what to change. It creates and changes nothing.
package doctor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/driftd/driftd/journal"
)

// Status is the outcome of one check.
type Status string

// The outcomes of a check.
const (
	OK      Status = "ok"
	Advice  Status = "advice"  // no promise is broken, but something should be changed or known
	Broken  Status = "broken"  // a promise does not hold
	Unknown Status = "unknown" // it could not be found out
)

// Check is one thing that was looked at.
type Check struct {
	Name    string `json:"check"`
	Status  Status `json:"status"`
	Finding string `json:"finding"`
	Remedy  string `json:"remedy,omitempty"` // what to do; empty where there is nothing to do
}

// Holds says whether a guarantee holds.
type Holds string

// What can be said of a guarantee.
const (
	Yes    Holds = "yes"
	No     Holds = "no"
	Unsure Holds = "unknown"
)

// Guarantee is what becomes of acknowledged events and committed results in one kind of accident.
type Guarantee struct {
	Survives string `json:"survives"` // the accident
	Holds    Holds  `json:"holds"`
	Because  string `json:"because"`
	Remedy   string `json:"remedy,omitempty"`
}

// Report is everything that was found.
type Report struct {
	Schema     int         `json:"schema"`
	Guarantees []Guarantee `json:"guarantees"`
	Checks     []Check     `json:"checks"`
	Broken     int         `json:"broken"` // checks that say so
}

// Options say what to look at.
type Options struct {
	Conn       *nats.Conn
	ConnectErr error          // why there is no Conn
	Embedded   bool           // the broker is driftd's own
	Layout     journal.Layout // the streams; limits that are given are compared
	// References are the references that the configuration names, by model.
	References map[string]string
	Tolerance  time.Duration // limits.future_tolerance
	StorePath  string        // empty: no store on this machine
}

// questionTimeout bounds one question to the broker: without the permission to ask it, there is no answer at all.
const questionTimeout = 3 * time.Second

// exam is one examination in progress.
type exam struct {
	Options
	js       jetstream.JetStream
	report   Report
	streams  []journal.StreamSurvey
	now      time.Time         // the broker's clock
	used     map[string]string // references by model, of the states that were read
	unread   bool              // a state could not be read
	refusals refusals
}

// Examine looks at everything. It goes on after a failure, which is a finding; its own error is of ctx alone.
func Examine(ctx context.Context, o Options) (*Report, error) {
	e := &exam{
		Options: o, js: nil, streams: nil, now: time.Time{}, used: map[string]string{}, unread: false, refusals: refusals{mu: sync.Mutex{}, seen: nil},
		report: Report{Schema: 1, Guarantees: nil, Checks: nil, Broken: 0},
	}
	if o.Conn == nil {
		e.add("broker", Broken, "", "%v", o.ConnectErr)
	} else if err := e.broker(ctx); err != nil {
		return nil, err
	}
	e.store(ctx)
	e.guarantees()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	for _, c := range e.report.Checks {
		if c.Status == Broken {
			e.report.Broken++
		}
	}
	return &e.report, nil
}

// broker looks at everything that the broker has.
func (e *exam) broker(ctx context.Context) error {
	js, err := jetstream.New(e.Conn)
	if err != nil {
		return fmt.Errorf("opening JetStream: %w", err)
	}
	e.js = js
	before := e.Conn.ErrorHandler()
	e.Conn.SetErrorHandler(e.refusals.take)
	defer e.Conn.SetErrorHandler(before)
	if e.server(ctx) {
		e.survey(ctx)
		e.settings()
		e.replicas()
		e.permissions(ctx)
		e.clock(ctx)
		for _, s := range e.streams {
			if s.Role == journal.RoleInput && s.Info != nil {
				e.partition(ctx, s)
			}
		}
		e.outbox(ctx)
		e.references(ctx)
	}
	return nil
}

// A copy may be a message behind at any moment: only one that is so for long is a finding.
const (
	surveys    = 5
	surveyWait = 400 * time.Millisecond
)

// survey looks at the streams until no copy is behind, or for so long that it is no matter of a moment.
func (e *exam) survey(ctx context.Context) {
	for range surveys {
		e.streams = journal.Survey(ctx, e.js, e.Layout)
		if !behind(e.streams) {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(surveyWait):
		}
	}
}

func behind(streams []journal.StreamSurvey) bool {
	for _, s := range streams {
		if s.Info == nil || s.Info.Cluster == nil {
			continue
		}
		for _, p := range s.Info.Cluster.Replicas {
			if !p.Current && !p.Offline {
				return true
			}
		}
	}
	return false
}

// add notes a check.
func (e *exam) add(name string, s Status, remedy, format string, args ...any) {
	e.report.Checks = append(e.report.Checks, Check{Name: name, Status: s, Finding: fmt.Sprintf(format, args...), Remedy: remedy})
}

// stream returns the survey of a role's stream, or nil where there is none or it cannot be read.
func (e *exam) stream(role journal.StreamRole, partition int) *journal.StreamSurvey {
	for i := range e.streams {
		if s := &e.streams[i]; s.Role == role && s.Partition == partition && s.Info != nil {
			return s
		}
	}
	return nil
}

// refusals are the permissions that the server refused. It says so outside of any call: the call itself only times out.
type refusals struct {
	mu   sync.Mutex
	seen []string
}

func (r *refusals) take(_ *nats.Conn, _ *nats.Subscription, err error) {
	if !errors.Is(err, nats.ErrPermissionViolation) {
		return
	}
	text := strings.TrimPrefix(err.Error(), "nats: ")
	r.mu.Lock()
	defer r.mu.Unlock()
	if !slices.Contains(r.seen, text) {
		r.seen = append(r.seen, text)
	}
}

func (r *refusals) list() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.seen)
}
