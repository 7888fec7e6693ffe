package journal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"
)

// Headers of the atomic batch protocol (ADR-50) and of conditional, replacing and expiring messages.
const (
	headerBatchID      = "Nats-Batch-Id"
	headerBatchSeq     = "Nats-Batch-Sequence"
	headerBatchCommit  = "Nats-Batch-Commit"
	headerExpectedLast = "Nats-Expected-Last-Subject-Sequence"
	headerRollup       = "Nats-Rollup"
	headerTTL          = "Nats-TTL"
)

// Bounds of a batch. The server takes 1,000 messages; the bytes keep far away from its buffer of 128 MiB a stream.
const (
	MaxBatchMessages = 1000
	MaxBatchBytes    = 64 << 20
)

// pubAck is the server's answer to a publish or a batch's last message.
type pubAck struct {
	Error  *jetstream.APIError `json:"error"`
	Stream string              `json:"stream"`
	Seq    uint64              `json:"seq"`
	Batch  string              `json:"batch"`
	Count  int                 `json:"count"`
}

// errUnsent marks an error before the message that commits was sent: nothing can have been committed.
var errUnsent = errors.New("the batch was not sent completely")

// publishBatch sends all messages as one atomic batch and returns the server's answer. An answer with an error is a
// refusal; an error of publishBatch itself leaves the outcome open, unless it is errUnsent.
func publishBatch(ctx context.Context, nc *nats.Conn, msgs []*nats.Msg) (pubAck, error) {
	id := nuid.Next()
	for i, m := range msgs {
		m.Header.Set(headerBatchID, id)
		m.Header.Set(headerBatchSeq, strconv.Itoa(i+1))
	}
	last := msgs[len(msgs)-1]
	last.Header.Set(headerBatchCommit, "1")
	for _, m := range msgs[:len(msgs)-1] {
		// Only the last message asks for an answer: one that is missing or refused makes the commit fail as incomplete.
		if err := nc.PublishMsg(m); err != nil {
			return pubAck{}, fmt.Errorf("%w: %w", errUnsent, err)
		}
	}
	ack, err := request(ctx, nc, last)
	if err != nil {
		return ack, err
	}
	if ack.Error == nil && (ack.Batch != id || ack.Count != len(msgs)) {
		// A server that does not know batches stores the last message alone; streams and versions are checked at start.
		return ack, fmt.Errorf("the server acknowledged %d messages of batch %q, not %d of %q: it does not understand atomic batches",
			ack.Count, ack.Batch, len(msgs), id)
	}
	return ack, nil
}

// request publishes one message and waits for the stream's answer.
func request(ctx context.Context, nc *nats.Conn, m *nats.Msg) (pubAck, error) {
	var ack pubAck
	ctx, cancel := whileConnected(ctx, nc)
	defer cancel()
	resp, err := nc.RequestMsgWithContext(ctx, m)
	if err != nil {
		return ack, errors.Join(err, context.Cause(ctx))
	}
	if err := json.Unmarshal(resp.Data, &ack); err != nil {
		return ack, fmt.Errorf("reading acknowledgement: %w", err)
	}
	if ack.Error == nil && ack.Stream == "" {
		return ack, errors.New("reading acknowledgement: it names no stream")
	}
	return ack, nil
}

// errAway says that the connection was lost while an answer was waited for: it will not come.
var errAway = errors.New("the connection was lost before the answer")

// whileConnected returns a context that ends when the connection is lost: what became of the request can be asked as soon as it is back.
func whileConnected(ctx context.Context, nc *nats.Conn) (context.Context, context.CancelFunc) {
	lost := nc.StatusChanged(nats.RECONNECTING, nats.CLOSED)
	ctx, end := context.WithCancelCause(ctx)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		select {
		case <-lost:
			end(errAway)
		case <-ctx.Done():
		}
	}()
	return ctx, func() {
		end(context.Canceled)
		<-watched
		nc.RemoveStatusListener(lost)
	}
}

func newMsg(subject string, data []byte) *nats.Msg {
	return &nats.Msg{Subject: subject, Data: data, Header: nats.Header{}}
}
