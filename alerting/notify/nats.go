package notify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// AlertsSubject begins the subjects of the transitions for programs: the model follows, or `driftd.self` where it is about driftd
// itself (a model's name has no dot).
const AlertsSubject = "driftd.alerts."

// flushTime bounds the wait for the broker to have what was published.
const flushTime = 5 * time.Second

const selfSubject = AlertsSubject + "driftd.self"

func natsSpec() Spec {
	return Spec{Type: "nats", New: func(s Settings, h Host) ([]Receiver, error) {
		return []Receiver{{Name: s.Name, Notifier: &NATS{js: h.Broker}, Match: nil}}, nil
	}}
}

// NATS publishes every transition on the broker, for programs that act on it. Who is subscribed at that moment gets it once at most, as
// always with NATS; a stream that holds the subject gets it at least once, and keeps it once, by its message id.
type NATS struct{ js jetstream.JetStream }

// NewNATS returns the notifier of a broker.
func NewNATS(js jetstream.JetStream) *NATS { return &NATS{js: js} }

// Follow implements Follower.
func (*NATS) Follow() {}

// Deliver implements Notifier.
func (n *NATS) Deliver(ctx context.Context, notices []Notice) []Outcome {
	return eachInTime(ctx, notices, func(ctx context.Context, notice *Notice) Outcome {
		if err := n.publish(ctx, notice); err != nil {
			return outcome(fmt.Errorf("publishing a transition: %w", err))
		}
		return outcome(nil)
	})
}

// Preview implements Notifier.
func (*NATS) Preview(n Notice) ([]byte, error) {
	data, err := json.Marshal(n.Transition)
	if err != nil {
		return nil, fmt.Errorf("encoding a transition: %w", err)
	}
	return data, nil
}

func (n *NATS) publish(ctx context.Context, notice *Notice) error {
	if n.js == nil {
		return errors.New("there is no connection to a broker")
	}
	t := &notice.Transition
	data, err := n.Preview(*notice)
	if err != nil {
		return err
	}
	msg := nats.NewMsg(AlertsSubject + t.Key.Model)
	if t.Key.Model == "" {
		msg.Subject = selfSubject
	}
	msg.Data = data
	msg.Header.Set(nats.MsgIdHdr, t.ID)
	_, err = n.js.StreamNameBySubject(ctx, msg.Subject)
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound): // nobody keeps it: no acknowledgement would come
		if err := n.js.Conn().PublishMsg(msg); err != nil {
			return err
		}
		bounded, cancel := context.WithTimeout(ctx, flushTime)
		defer cancel()
		return n.js.Conn().FlushWithContext(bounded) // the broker has it, or is away
	case err != nil:
		return err
	}
	_, err = n.js.PublishMsg(ctx, msg)
	return err
}
