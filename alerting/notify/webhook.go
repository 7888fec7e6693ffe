package notify

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/driftd/driftd/alerting"
	"github.com/driftd/driftd/internal/secret"
	"github.com/driftd/driftd/result"
)

// Headers of a webhook.
const (
	SignatureHeader = "Driftd-Signature" // see Sign
	DeliveryHeader  = "Driftd-Delivery"  // id of the transition: the same when a delivery is repeated
)

func webhookSpec() Spec {
	return Spec{Type: "webhook", New: func(s Settings, h Host) ([]Receiver, error) {
		if s.Address != nil {
			return []Receiver{{Name: s.Name, Notifier: &Webhook{Client: s.Client, Address: s.Address, Key: s.Key, Page: h.Page, Now: h.Now}, Match: nil}}, nil
		}
		if len(s.URLs) == 0 {
			return nil, errors.New("it needs an address")
		}
		var out []Receiver
		for i, url := range s.URLs {
			address := func() (secret.String, error) { return secret.New(url), nil }
			out = append(out, Receiver{
				Name: s.Name + "=" + strconv.Itoa(i), Notifier: &Webhook{Client: s.Client, Address: address, Key: s.Key, Page: h.Page, Now: h.Now}, Match: nil,
			})
		}
		return out, nil
	}}
}

// Webhook posts each change of an incident as JSON (docs/schema/notice.schema.json) to an address of the user's.
type Webhook struct {
	Client  *http.Client
	Address func() (secret.String, error)
	Key     func() (secret.String, error) // of the signature; nil: nothing is signed
	Page    func() string
	Now     func() time.Time
}

// WebhookNotice is the body of a webhook.
type WebhookNotice struct {
	Schema     int               `json:"schema"`
	Type       string            `json:"type"`     // "notice"
	State      string            `json:"state"`    // "firing" or "resolved"
	New        bool              `json:"new"`      // this receiver was not told of the incident before
	Fired      int64             `json:"fired_ms"` // when driftd first said that it fires, Unix milliseconds of the broker's clock
	Ended      int64             `json:"ended_ms"` // when driftd said that it is over; 0: it still fires
	Link       string            `json:"link"`     // to the page; empty: its address is not known
	Labels     map[string]string `json:"labels"`   // as Alertmanager gets them
	Transition result.Transition `json:"transition"`
}

// Deliver implements Notifier.
func (w *Webhook) Deliver(ctx context.Context, notices []Notice) []Outcome {
	return eachInTime(ctx, notices, w.tell)
}

// Preview implements Notifier.
func (w *Webhook) Preview(n Notice) ([]byte, error) {
	t := &n.Transition
	body := WebhookNotice{
		Schema: result.SchemaVersion, Type: "notice", State: string(result.Firing), New: n.New, Fired: n.Fired.UnixMilli(), Ended: 0,
		Link: Link(w.Page(), t), Labels: alerting.Labels(t), Transition: *t,
	}
	if !n.Firing() {
		body.State, body.Ended = string(result.Resolved), n.Ended.UnixMilli()
	}
	data, err := json.Marshal(body)
	if err != nil {
		return nil, fmt.Errorf("encoding a notice: %w", err)
	}
	return data, nil
}

func (w *Webhook) tell(ctx context.Context, n *Notice) Outcome {
	body, err := w.Preview(*n)
	if err != nil {
		return outcome(err)
	}
	address, err := w.Address()
	if err != nil {
		return outcome(err)
	}
	header := http.Header{}
	header.Set(DeliveryHeader, n.Transition.ID)
	if w.Key != nil {
		key, err := w.Key()
		if err != nil {
			return outcome(err)
		}
		header.Set(SignatureHeader, Sign(key, w.Now(), body))
	}
	if err := post(ctx, w.Client, address.Reveal(), header, body, nil); err != nil {
		return outcome(fmt.Errorf("posting to a webhook: %w", err))
	}
	return outcome(nil)
}

// Sign returns the signature of a body that is sent at a time: `t=<Unix seconds>,v1=<hex>`, where the hex is the HMAC-SHA256 of
// `<Unix seconds>.<body>` with the key (RFC 2104, FIPS 180-4; the scheme of Stripe's webhooks). A receiver computes the same over the
// bytes that it got, compares in constant time, and refuses a time that is too long ago. During the rotation of a key the file holds
// the new one and the old one in lines of their own, and there is a v1 of each.
func Sign(key secret.String, at time.Time, body []byte) string {
	seconds := strconv.FormatInt(at.Unix(), 10)
	out := []string{"t=" + seconds}
	for line := range strings.Lines(key.Reveal()) {
		line = strings.TrimRight(line, "\r\n")
		if line == "" {
			continue
		}
		mac := hmac.New(sha256.New, []byte(line))
		mac.Write([]byte(seconds + "."))
		mac.Write(body)
		out = append(out, "v1="+hex.EncodeToString(mac.Sum(nil)))
	}
	return strings.Join(out, ",")
}
