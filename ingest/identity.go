package ingest

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Identity fixes what a checkpoint's position means: which stream, and which message was the last one counted. The zero
// Seq means that nothing was consumed yet.
type Identity struct {
	Stream  string    `json:"stream"`
	Created time.Time `json:"created"` // of the stream
	Seq     uint64    `json:"seq"`     // last consumed message
	Time    int64     `json:"time"`    // its broker time, Unix milliseconds
	Hash    string    `json:"hash"`    // HashOf its data
}

// HashOf returns the fingerprint of a message's data: the first 16 bytes of its SHA-256, in hex.
func HashOf(data []byte) string {
	s := sha256.Sum256(data)
	return hex.EncodeToString(s[:16])
}

// IdentityOf returns the identity of a stream at its very beginning, for a fresh partition.
func IdentityOf(ctx context.Context, js jetstream.JetStream, stream string) (Identity, error) {
	s, err := js.Stream(ctx, stream)
	if err != nil {
		return Identity{}, fmt.Errorf("reading stream %s: %w", stream, err)
	}
	return Identity{Stream: stream, Created: s.CachedInfo().Created}, nil
}

// At returns the identity after m as the last consumed message.
func (id Identity) At(m Message) Identity {
	id.Seq, id.Time, id.Hash = m.Seq, m.Time, HashOf(m.Data)
	return id
}

// Verify checks that a stream still is the one of a checkpoint and continues where the checkpoint ends. It returns
// *IdentityError if it is not, and *GapError if it is but retention has removed messages that were not consumed yet.
func Verify(ctx context.Context, js jetstream.JetStream, id Identity) error {
	s, err := js.Stream(ctx, id.Stream)
	if err != nil {
		return fmt.Errorf("checking stream %s: %w", id.Stream, err)
	}
	info := s.CachedInfo()
	if err := checkInfo(id, info); err != nil {
		return err
	}
	return verifyLast(ctx, js, id, info)
}

// verifyLast checks that the last consumed message still is the one it was.
func verifyLast(ctx context.Context, js jetstream.JetStream, id Identity, info *jetstream.StreamInfo) error {
	if id.Seq == 0 || id.Seq < info.State.FirstSeq {
		return nil // consumed, then removed by retention: nothing to compare, and nothing missing
	}
	m, err := leaderGet(ctx, js, id.Stream, id.Seq, false)
	var found string
	switch {
	case errors.Is(err, jetstream.ErrMsgNotFound):
		found = "absent"
	case err != nil:
		return fmt.Errorf("checking stream %s: reading message %d: %w", id.Stream, id.Seq, err)
	case m.Time != id.Time || HashOf(m.Data) != id.Hash:
		found = describe(m.Time, HashOf(m.Data))
	default:
		return nil
	}
	return &IdentityError{
		Stream: id.Stream, Check: "message " + strconv.FormatUint(id.Seq, 10), Stored: describe(id.Time, id.Hash), Found: found,
		Remedy: "the broker lost acknowledged messages and used their sequences again, or the message was deleted; " +
			"restore the stream from a backup, or start the partition afresh",
	}
}

func describe(ms int64, hash string) string {
	return "of " + time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05.000Z") + " with hash " + hash
}

// checkInfo makes the checks that need nothing but the stream's info.
func checkInfo(id Identity, info *jetstream.StreamInfo) error {
	if !info.Created.Equal(id.Created) {
		return &IdentityError{
			Stream: id.Stream, Check: "created", Stored: id.Created.UTC().Format(time.RFC3339Nano),
			Found:  info.Created.UTC().Format(time.RFC3339Nano),
			Remedy: "the stream was deleted and created again, its sequences start anew; start the partition afresh, or restore the old stream",
		}
	}
	if info.State.LastSeq < id.Seq {
		return &IdentityError{
			Stream: id.Stream, Check: "last_seq", Stored: "at least " + strconv.FormatUint(id.Seq, 10),
			Found:  strconv.FormatUint(info.State.LastSeq, 10),
			Remedy: "the broker lost messages or was rolled back to a backup; restore a newer one, or start the partition afresh",
		}
	}
	if info.State.FirstSeq > id.Seq+1 {
		return &GapError{Stream: id.Stream, From: id.Seq + 1, To: info.State.FirstSeq - 1, Cause: causeRetention}
	}
	return nil
}

// BrokerNow returns the broker's clock in Unix milliseconds and the stream's last sequence, both of one moment.
func BrokerNow(ctx context.Context, js jetstream.JetStream, stream string) (nowMS int64, last uint64, err error) {
	s, err := js.Stream(ctx, stream)
	if err != nil {
		return 0, 0, fmt.Errorf("reading stream %s: %w", stream, err)
	}
	info := s.CachedInfo()
	return info.TimeStamp.UnixMilli(), info.State.LastSeq, nil
}

// storedMsg is a message as the stream's leader has it.
type storedMsg struct {
	Subject string
	Seq     uint64
	Time    int64 // Unix milliseconds
	Data    []byte
}

// leaderGet reads message seq from the stream's leader, or with next the first message at or behind it. The client
// library would ask any replica where the stream allows direct gets, as a user's own stream may.
func leaderGet(ctx context.Context, js jetstream.JetStream, stream string, seq uint64, next bool) (storedMsg, error) {
	req := map[string]any{"seq": seq}
	if next {
		req["next_by_subj"] = ">"
	}
	body, err := json.Marshal(req)
	if err != nil {
		return storedMsg{}, err
	}
	o := js.Options()
	prefix := "$JS.API."
	switch {
	case o.Domain != "":
		prefix = "$JS." + o.Domain + ".API."
	case o.APIPrefix != "":
		prefix = o.APIPrefix
		if prefix[len(prefix)-1] != '.' {
			prefix += "."
		}
	}
	resp, err := js.Conn().RequestWithContext(ctx, prefix+"STREAM.MSG.GET."+stream, body)
	if err != nil {
		return storedMsg{}, err
	}
	var r struct {
		Error   *jetstream.APIError `json:"error"`
		Message struct {
			Subject string    `json:"subject"`
			Seq     uint64    `json:"seq"`
			Data    string    `json:"data"`
			Time    time.Time `json:"time"`
		} `json:"message"`
	}
	if err := json.Unmarshal(resp.Data, &r); err != nil {
		return storedMsg{}, fmt.Errorf("reading answer: %w", err)
	}
	if r.Error != nil {
		if r.Error.ErrorCode == jetstream.JSErrCodeMessageNotFound {
			return storedMsg{}, jetstream.ErrMsgNotFound
		}
		return storedMsg{}, r.Error
	}
	data, err := base64.StdEncoding.DecodeString(r.Message.Data)
	if err != nil {
		return storedMsg{}, fmt.Errorf("reading answer: %w", err)
	}
	return storedMsg{Subject: r.Message.Subject, Seq: r.Message.Seq, Time: r.Message.Time.UnixMilli(), Data: data}, nil
}
