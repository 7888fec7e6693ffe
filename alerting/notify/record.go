package notify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/driftd/driftd/result"
)

// Buckets of the broker.
const (
	RecordsBucket  = "DRIFTD_NOTICES"  // what each notifier was told: <notifier>.<incident>
	SilencesBucket = "DRIFTD_SILENCES" // by id
)

// markerTTL is how long the broker remembers that an entry was removed.
const markerTTL = time.Hour

// record is what a notifier knows of one incident: what it says now, and what was told.
type record struct {
	Latest result.Transition `json:"latest"`
	Fired  time.Time         `json:"fired"`
	Ended  time.Time         `json:"ended"`

	Told    string          `json:"told"`    // id of the transition that was told last; empty: none
	At      time.Time       `json:"at"`      // when
	Refused string          `json:"refused"` // why the receiver will not have Latest; empty: nothing was refused
	Memory  json.RawMessage `json:"memory,omitempty"`

	revision uint64 // of the bucket's entry
	key      string
}

// note takes over a transition; it reports whether that changes anything to tell. Transitions come at least once and, after a
// redelivery, in any order: of one incident, the window's end orders them.
func (r *record) note(t *result.Transition, at time.Time) bool {
	if r.Latest.ID == t.ID || r.Latest.ID != "" && !later(t, &r.Latest) {
		return false
	}
	r.Latest, r.Refused = *t, ""
	switch t.To {
	case result.Firing:
		if r.Fired.IsZero() {
			r.Fired = at
		}
		r.Ended = time.Time{}
	case result.Resolved:
		if r.Ended = at; r.Fired.IsZero() {
			r.Fired = at
		}
	case result.Pending, result.Inactive:
	}
	return true
}

// later reports whether t follows o, of the same incident.
func later(t, o *result.Transition) bool {
	if t.Window.End != o.Window.End {
		return t.Window.End > o.Window.End
	}
	return rank(t) > rank(o)
}

func rank(t *result.Transition) int {
	switch t.To {
	case result.Pending:
		return 0
	case result.Firing:
		if t.From == result.Firing {
			return 2
		}
		return 1
	case result.Resolved, result.Inactive:
	}
	return 3
}

// records is a notifier's part of the bucket; without one nothing is kept.
type records struct {
	kv   jetstream.KeyValue
	name string
}

// OpenBuckets creates what is missing of the buckets, or opens them.
func OpenBuckets(ctx context.Context, js jetstream.JetStream, replicas int) (notices, silences jetstream.KeyValue, err error) {
	for _, b := range []struct {
		name, about string
		into        *jetstream.KeyValue
	}{{RecordsBucket, "what driftd's notifiers were told", &notices}, {SilencesBucket, "silences of driftd's alerts", &silences}} {
		kv, err := js.KeyValue(ctx, b.name)
		if errors.Is(err, jetstream.ErrBucketNotFound) {
			kv, err = js.CreateKeyValue(ctx, jetstream.KeyValueConfig{ //nolint:exhaustruct // the defaults are meant
				Bucket: b.name, Description: b.about, History: 1, Replicas: replicas, Storage: jetstream.FileStorage, LimitMarkerTTL: markerTTL,
			})
		}
		if err != nil {
			return nil, nil, fmt.Errorf("opening the bucket %s: %w", b.name, err)
		}
		*b.into = kv
	}
	return notices, silences, nil
}

// load returns everything that is known, by incident.
func (r records) load(ctx context.Context) (map[string]*record, error) {
	out := map[string]*record{}
	if r.kv == nil {
		return out, nil
	}
	lister, err := r.kv.ListKeysFiltered(ctx, r.name+".>")
	if err != nil {
		return nil, fmt.Errorf("reading what %s was told: %w", r.name, err)
	}
	for key := range lister.Keys() {
		entry, err := r.kv.Get(ctx, key)
		if errors.Is(err, jetstream.ErrKeyNotFound) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("reading what %s was told: %w", r.name, err)
		}
		var rec record
		if err := json.Unmarshal(entry.Value(), &rec); err != nil {
			continue // of a later version: the incident's next transition writes it anew
		}
		rec.revision, rec.key = entry.Revision(), key
		out[rec.Latest.Incident] = &rec
	}
	return out, nil
}

// save writes a record, unless another process wrote it since it was read: errStale.
func (r records) save(ctx context.Context, rec *record) error {
	if r.kv == nil {
		return nil
	}
	data, err := json.Marshal(rec)
	if err != nil {
		return fmt.Errorf("encoding what %s was told: %w", r.name, err)
	}
	if rec.key == "" {
		rec.key = r.name + "." + rec.Latest.Incident
	}
	revision, err := r.kv.Update(ctx, rec.key, data, rec.revision)
	if err != nil {
		if api, ok := errors.AsType[*jetstream.APIError](err); ok && api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence || errors.Is(err, jetstream.ErrKeyExists) {
			return errStale
		}
		return fmt.Errorf("noting what %s was told: %w", r.name, err)
	}
	rec.revision = revision
	return nil
}

// forget removes a record for good.
func (r records) forget(ctx context.Context, rec *record) error {
	if rec.key == "" || r.kv == nil {
		return nil
	}
	if err := r.kv.Purge(ctx, rec.key, jetstream.LastRevision(rec.revision), jetstream.PurgeTTL(markerTTL)); err != nil && !errors.Is(err, nats.ErrKeyNotFound) {
		return fmt.Errorf("forgetting what %s was told: %w", r.name, err)
	}
	return nil
}

var errStale = errors.New("another process wrote this since it was read")
