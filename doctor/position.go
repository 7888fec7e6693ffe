package doctor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/driftd/driftd/fold"
	"github.com/driftd/driftd/ingest"
	"github.com/driftd/driftd/journal"
	"github.com/driftd/driftd/store"
)

// partition looks at how far a partition has counted, and whether the stream still has what it needs.
func (e *exam) partition(ctx context.Context, in journal.StreamSurvey) {
	name := fmt.Sprintf("partition %d", in.Partition)
	state := in.Info.State
	if state.Consumers == 0 {
		e.add(name, Advice, "start `driftd run`", "nobody reads %s: nothing is counted now", in.Name)
	}
	if e.stream(journal.RoleState, in.Partition) == nil {
		e.add(name, Unknown, "", "its state stream cannot be read")
		e.unread = true
		return
	}
	asked, stop := context.WithTimeout(ctx, questionTimeout)
	head, err := journal.ReadCheckpoint(asked, e.js, in.Partition)
	stop()
	switch {
	case err != nil:
		e.add(name, Broken, "run the version of driftd that wrote it, or restore the state stream from a backup", "%v", err)
		return
	case head == nil || head.Position == nil:
		e.add(name, Advice, "", "nothing was committed yet; %d messages wait", state.Msgs)
		return
	}
	var id ingest.Identity
	if err := json.Unmarshal(head.Position, &id); err != nil {
		e.add(name, Broken, "restore the state stream from a backup", "the committed position cannot be read: %v", err)
		return
	}
	actx, cancel := context.WithTimeout(ctx, questionTimeout)
	defer cancel()
	err = ingest.Verify(actx, e.js, id)
	var gap *ingest.GapError
	switch {
	case errors.As(err, &gap):
		e.add(name, Broken, "give the input stream more room (nats.input); the windows that lost events will say complete: false", "%v", err)
	case err != nil:
		e.add(name, Broken, "", "%v", err)
	default:
		e.headroom(ctx, name, in, id.Seq, head)
	}
	e.state(ctx, in.Partition, head)
	e.deadLetters(ctx, in.Partition)
}

// headroom says how far the input stream's retention is from what was not counted yet.
func (e *exam) headroom(ctx context.Context, name string, in journal.StreamSurvey, position uint64, head *journal.Checkpoint) {
	state, c := in.Info.State, in.Info.Config
	lag := max(state.LastSeq, position) - position
	share, most := 0.0, ""
	if c.MaxBytes > 0 && state.Msgs > 0 {
		share, most = float64(lag)/float64(state.Msgs)*float64(state.Bytes)/float64(c.MaxBytes), "max_bytes"
	}
	if c.MaxMsgs > 0 && float64(lag)/float64(c.MaxMsgs) > share {
		share, most = float64(lag)/float64(c.MaxMsgs), "max_msgs"
	}
	if c.MaxAge > 0 && lag > 0 {
		if m, err := e.message(ctx, in.Name, position+1); err == nil && !e.now.IsZero() {
			if s := e.now.Sub(m.Time).Seconds() / c.MaxAge.Seconds(); s > share {
				share, most = s, "max_age"
			}
		}
	}
	status, remedy := lagStatus(share, most)
	text := fmt.Sprintf("committed up to message %d of %d", position, state.LastSeq)
	if lag > 0 {
		text += fmt.Sprintf(", %d wait", lag)
		if most != "" {
			text += fmt.Sprintf(": %.0f %% of what %s keeps", 100*share, most)
		}
	}
	e.add(name, status, remedy, "%s; the stream is the one that was counted; last commit %s", text, head.Time.UTC().Format(time.RFC3339))
}

// lagStatus judges which share of the retention is not counted yet.
func lagStatus(share float64, bound string) (Status, string) {
	switch {
	case share >= full:
		return Broken, "raise nats.input." + bound + " now: what expires before it is counted is lost"
	case share >= 0.5:
		return Advice, "raise nats.input." + bound + ", or find out why driftd is behind"
	}
	return OK, ""
}

func (e *exam) message(ctx context.Context, stream string, seq uint64) (*jetstream.RawStreamMsg, error) {
	actx, cancel := context.WithTimeout(ctx, questionTimeout)
	defer cancel()
	s, err := e.js.Stream(actx, stream)
	if err != nil {
		return nil, err
	}
	return s.GetMsg(actx, seq)
}

// state reads the state as a restart would.
func (e *exam) state(ctx context.Context, partition int, head *journal.Checkpoint) {
	name := fmt.Sprintf("state of partition %d", partition)
	shards, err := journal.ReadState(ctx, e.js, partition)
	var damage *journal.RestoreError
	switch {
	case errors.As(err, &damage):
		e.add(name, Broken, "restore the state stream from a backup, or start the partition afresh", "%v", err)
	case errors.Is(err, journal.ErrBusy):
		e.add(name, Unknown, "stop driftd, and ask again", "not compared with its checksum: %v", err)
	case err != nil:
		e.add(name, Unknown, "", "%v", err)
	default:
		n := 0
		for _, data := range shards {
			n += len(data)
		}
		e.add(name, OK, "", "%s, whole: it fits the checkpoint's checksum", size(uint64(n)))
	}
	if err != nil {
		e.unread = true
		return
	}
	used, err := fold.ReferencesInUse(head.Meta, shards)
	if err != nil {
		e.add(name, Broken, "run the version of driftd that wrote it", "%v", err)
	}
	maps.Copy(e.used, used)
}

func (e *exam) deadLetters(ctx context.Context, partition int) {
	letters, err := journal.ListDeadLetters(ctx, e.js, partition, 0)
	switch {
	case err != nil:
		e.add("dead letters", Unknown, "", "%v", err)
	case len(letters) == 0:
		e.add("dead letters", OK, "", "none are kept")
	default:
		reasons := map[string]int{}
		for _, l := range letters {
			reasons[l.Reason]++
		}
		parts := make([]string, 0, len(reasons))
		for _, r := range slices.Sorted(maps.Keys(reasons)) {
			parts = append(parts, fmt.Sprintf("%s %d", r, reasons[r]))
		}
		e.add("dead letters", Advice, "look at them with `driftd dead-letters list`",
			"%d records could not be counted (%s)", len(letters), strings.Join(parts, ", "))
	}
}

// storeConsumer is how the names of the durable consumers of embedded stores begin: each daemon of an external broker has its own.
const storeConsumer = "driftd-store"

// outbox looks at whether results reach the store before they expire.
func (e *exam) outbox(ctx context.Context) {
	s := e.stream(journal.RoleOutbox, 0)
	if s == nil {
		return
	}
	actx, cancel := context.WithTimeout(ctx, questionTimeout)
	defer cancel()
	stream, err := e.js.Stream(actx, s.Name)
	if err != nil {
		e.add("store's reader", Unknown, "", "%v", err)
		return
	}
	var readers []*jetstream.ConsumerInfo
	list := stream.ListConsumers(actx)
	for info := range list.Info() {
		if info.Name == storeConsumer || strings.HasPrefix(info.Name, storeConsumer+"-") {
			readers = append(readers, info)
		}
	}
	switch {
	case list.Err() != nil:
		e.add("store's reader", Unknown, "", "%v", list.Err())
	case len(readers) == 0:
		e.add("store's reader", Advice, "start `driftd run`", "no store reads the outbox; %d documents wait", s.Info.State.Msgs)
	}
	for _, info := range readers {
		name := "store's reader"
		if len(readers) > 1 {
			name += strings.TrimPrefix(info.Name, storeConsumer)
		}
		e.reader(ctx, name, s, info)
	}
}

// reader looks at how far a store has read the outbox.
func (e *exam) reader(ctx context.Context, name string, s *journal.StreamSurvey, info *jetstream.ConsumerInfo) {
	// What the consumer says is pending follows the stream at a distance; its floor of acknowledgements does not.
	next := info.AckFloor.Stream + 1
	waiting := min(s.Info.State.Msgs, s.Info.State.LastSeq-min(s.Info.State.LastSeq, info.AckFloor.Stream))
	// What was acknowledged and then removed by retention is not missing.
	if first := s.Info.State.FirstSeq; waiting > 0 && first > next && info.Delivered.Stream < first {
		e.add(name, Broken, "give the outbox more room (nats.outbox), and find out why the store was down",
			"%d documents expired in the outbox before the store took them", first-max(next, info.Delivered.Stream+1))
		return
	}
	if waiting == 0 {
		e.add(name, OK, "", "every document is stored")
		return
	}
	status, remedy := OK, ""
	text := fmt.Sprintf("%d documents wait for the store", waiting)
	if m, err := e.message(ctx, s.Name, next); err == nil && !e.now.IsZero() && s.Info.Config.MaxAge > 0 {
		old := e.now.Sub(m.Time)
		text += fmt.Sprintf(", the oldest for %s of %s", age(old), age(s.Info.Config.MaxAge))
		if old > s.Info.Config.MaxAge/2 {
			status, remedy = Advice, "mend the store: what waits longer expires"
		}
	}
	e.add(name, status, remedy, "%s", text)
}

// references reads every reference that is in use.
func (e *exam) references(ctx context.Context) {
	if e.stream(journal.RoleReferences, 0) == nil {
		return
	}
	refs, err := journal.OpenReferences(ctx, e.js)
	if err != nil {
		e.add("references", Unknown, "", "%v", err)
		return
	}
	inUse := maps.Clone(e.References)
	if inUse == nil {
		inUse = map[string]string{}
	}
	maps.Copy(inUse, e.used) // what is activated and counted by wins over what the file names
	for model, ref := range e.References {
		if inUse[model] == "" {
			inUse[model] = ref // named, and not in use: it may be missing
		}
	}
	var bad []string
	for _, model := range slices.Sorted(maps.Keys(inUse)) {
		fp := inUse[model]
		if fp == "" {
			delete(inUse, model) // it was deactivated
			continue
		}
		if !strings.HasPrefix(fp, "sha256:") {
			meta, err := refs.Resolve(ctx, fp)
			if err != nil {
				bad = append(bad, fmt.Sprintf("%s of model %s: %v", fp, model, err))
				continue
			}
			fp = meta.Fingerprint
		}
		if _, err := refs.Get(ctx, fp); err != nil {
			bad = append(bad, fmt.Sprintf("%.19s… of model %s: %v", fp, model, err))
		}
	}
	switch {
	case len(bad) > 0:
		e.add("references", Broken, "create them with `driftd reference create`: without one a model is counted and not judged", "%s", strings.Join(bad, "; "))
	case len(inUse) == 0 && e.unread:
		e.add("references", Unknown, "", "the state that names them was not read")
	case len(inUse) == 0:
		e.add("references", Advice, "`driftd reference create --activate`", "no model has a reference: everything is counted, nothing is judged")
	default:
		e.add("references", OK, "", "%d in use, all stored and whole", len(inUse))
	}
}

// store reads the store's file on this machine.
func (e *exam) store(ctx context.Context) {
	if e.StorePath == "" {
		return
	}
	err := store.CheckFile(ctx, e.StorePath)
	var damage *store.FileError
	switch {
	case err == nil:
		e.add("store", OK, "", "%s is whole", e.StorePath)
	case errors.Is(err, fs.ErrNotExist):
		e.add("store", Unknown, "run doctor where the daemon runs, or give --data-dir", "there is no %s on this machine", e.StorePath)
	case errors.As(err, &damage):
		e.add("store", Broken, damage.Remedy, "%s %s", e.StorePath, damage.Problem)
	default:
		e.add("store", Unknown, "", "%v", err)
	}
}
