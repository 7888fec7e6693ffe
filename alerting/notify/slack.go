package notify

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/slack-go/slack"

	"github.com/driftd/driftd/alerting"
	"github.com/driftd/driftd/internal/secret"
	"github.com/driftd/driftd/result"
)

// slackAPI is where Slack is, unless the configuration names another (a government's, or a proxy).
const slackAPI = "https://slack.com/api/"

const (
	slackPace    = time.Second     // between two messages to a channel (https://docs.slack.dev/apis/web-api/rate-limits)
	digestAbove  = 10              // new incidents at once from which on they share one message
	pictureTime  = 5 * time.Second // to draw a picture
	pictureName  = "driftd.png"
	maxPicture   = 1 << 20 // bytes
	maxErrorCode = 64
)

func slackSpec() Spec {
	return Spec{Type: "slack", New: newSlack}
}

// newSlack returns a receiver for the incoming webhook, or one for each channel: a channel that is archived holds up no other.
func newSlack(s Settings, h Host) ([]Receiver, error) {
	base := Slack{client: s.Client, token: s.Token, address: s.Address, page: h.Page, now: h.Now, picture: h.Picture, pace: slackPace} //nolint:exhaustruct // set below
	if !s.Pictures {
		base.picture = nil
	}
	if s.Address != nil {
		return []Receiver{{Name: s.Name, Notifier: &base, Match: nil}}, nil
	}
	if s.Token == nil {
		return nil, errors.New("it needs a bot's token, or the address of an incoming webhook")
	}
	base.api = slackAPI
	if len(s.URLs) > 0 {
		base.api = strings.TrimSuffix(s.URLs[0], "/") + "/"
	}
	routes := slices.Clone(s.Routes)
	if s.Channel != "" {
		routes = append(routes, Route{Match: nil, Channel: s.Channel})
	}
	var out []Receiver
	for _, r := range routes {
		name := s.Name + "=" + channelName(r.Channel)
		if slices.ContainsFunc(out, func(o Receiver) bool { return o.Name == name }) {
			continue // another route leads there
		}
		one := base
		one.channel = r.Channel
		out = append(out, Receiver{Name: name, Notifier: &one, Match: func(labels map[string]string) bool { return channelOf(routes, labels) == r.Channel }})
	}
	return out, nil
}

// channelOf returns the channel of the first route that matches.
func channelOf(routes []Route, labels map[string]string) string {
	for _, r := range routes {
		if alerting.Match(r.Match, labels) {
			return r.Channel
		}
	}
	return ""
}

// channelName writes a channel in letters that may be in the name of a consumer: what is not is written by its number.
func channelName(channel string) string {
	var b strings.Builder
	for _, r := range strings.TrimPrefix(channel, "#") {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' {
			b.WriteRune(r)
			continue
		}
		if r == '_' {
			b.WriteString("__")
			continue
		}
		fmt.Fprintf(&b, "_%x", r)
	}
	return b.String()
}

// Slack tells a channel of Slack. With a bot's token an incident is one message, which is changed as the incident does, with replies
// in its thread and a picture there; through an incoming webhook it is one message for each change of its state.
type Slack struct {
	client  *http.Client
	api     string
	token   func() (secret.String, error)
	channel string
	address func() (secret.String, error) // of the incoming webhook; nil: there is none
	page    func() string
	now     func() time.Time
	picture func(context.Context, *result.Transition) ([]byte, error) // nil: no pictures
	pace    time.Duration

	posted time.Time // when the last message was
}

// slackMemory is what is kept of an incident's message.
type slackMemory struct {
	Channel  string `json:"channel"` // its id
	TS       string `json:"ts"`      // of the message; empty: there is none yet
	Digest   bool   `json:"digest,omitempty"`
	Shown    string `json:"shown,omitempty"`   // id of the transition that the message shows
	Replied  string `json:"replied,omitempty"` // id of the last transition that the thread tells
	State    string `json:"state,omitempty"`   // as it was told last
	Features int    `json:"features,omitempty"`
	Note     string `json:"note,omitempty"` // why there is no picture
}

func recall(n *Notice) slackMemory {
	var m slackMemory
	if json.Unmarshal(n.Memory, &m) != nil {
		return slackMemory{} //nolint:exhaustruct // of a later version: a message of its own
	}
	return m
}

func (m *slackMemory) store() json.RawMessage {
	data, err := json.Marshal(m)
	if err != nil {
		panic("BUG: a memory that cannot be encoded: " + err.Error())
	}
	return data
}

// Deliver implements Notifier.
func (s *Slack) Deliver(ctx context.Context, notices []Notice) []Outcome {
	return inTime(ctx, notices, s.group(notices), func(ctx context.Context, group []*Notice) []Outcome {
		to, err := s.connect()
		if err != nil {
			return same(group, outcome(err))
		}
		switch {
		case len(group) > 1, recall(group[0]).Digest:
			return s.tellMany(ctx, to, group)
		case s.address != nil:
			return []Outcome{s.tellState(ctx, to, group[0])}
		}
		m := recall(group[0])
		err = s.tell(ctx, to, group[0], &m)
		o := slackOutcome(err)
		if m.TS != "" || err == nil {
			o.Memory = m.store()
		}
		return []Outcome{o}
	})
}

// group puts together what goes into one message: many new incidents, and the changes of those that shared one.
func (s *Slack) group(notices []Notice) [][]int {
	var fresh []int
	digests, out := map[string]int{}, [][]int{}
	for i := range notices {
		switch m := recall(&notices[i]); {
		case m.TS == "" && m.State == "":
			fresh = append(fresh, i)
		case m.Digest && s.address == nil:
			if g, ok := digests[m.TS]; ok {
				out[g] = append(out[g], i)
				continue
			}
			digests[m.TS] = len(out)
			out = append(out, []int{i})
		default:
			out = append(out, []int{i})
		}
	}
	if len(fresh) > digestAbove {
		return append(out, fresh)
	}
	for _, i := range fresh {
		out = append(out, []int{i})
	}
	return out
}

func same(group []*Notice, o Outcome) []Outcome {
	out := make([]Outcome, len(group))
	for i := range out {
		out[i] = o
	}
	return out
}

// Preview implements Notifier.
func (s *Slack) Preview(n Notice) ([]byte, error) {
	m := s.message(&n, "")
	data, err := json.Marshal(struct {
		Channel string       `json:"channel,omitempty"`
		Text    string       `json:"text"`
		Blocks  slack.Blocks `json:"blocks"`
	}{s.channel, m.text, slack.Blocks{BlockSet: m.blocks}})
	if err != nil {
		return nil, fmt.Errorf("encoding a message: %w", err)
	}
	return data, nil
}

// connection is Slack with the secret as it is now.
type connection struct {
	api  *slack.Client
	hook secret.String
}

func (s *Slack) connect() (*connection, error) {
	if s.address != nil {
		hook, err := s.address()
		return &connection{api: nil, hook: hook}, err
	}
	token, err := s.token()
	if err != nil {
		return nil, err
	}
	return &connection{api: slack.New(token.Reveal(), slack.OptionAPIURL(s.api), slack.OptionHTTPClient(s.client)), hook: secret.String{}}, nil
}

// tell brings the message of an incident to where it should be. m says what is there already, also after an error.
func (s *Slack) tell(ctx context.Context, to *connection, n *Notice, m *slackMemory) error {
	t := &n.Transition
	if m.TS == "" {
		return s.begin(ctx, to, n, m)
	}
	if m.Shown != t.ID {
		err := s.update(ctx, to, m, s.message(n, m.Note))
		if slices.Contains([]string{"message_not_found", "cant_update_message", "edit_window_closed"}, slackCode(err)) {
			*m = slackMemory{} //nolint:exhaustruct // somebody removed it, or Slack lets it be changed no more: another one
			return s.begin(ctx, to, n, m)
		}
		if err != nil {
			return err
		}
		m.Shown = t.ID
	}
	if m.Replied != t.ID {
		if _, err := s.post(ctx, to, reply(n, m), m.Channel, m.TS); err != nil {
			return err
		}
		m.Replied = t.ID
	}
	m.State, m.Features = string(t.To), t.FeaturesTotal
	return nil
}

// begin posts the message of an incident, and its picture into the thread.
func (s *Slack) begin(ctx context.Context, to *connection, n *Notice, m *slackMemory) error {
	t := &n.Transition
	png, err := s.draw(ctx, n)
	if err != nil {
		m.Note = "There is no picture: " + err.Error()
	}
	at, err := s.post(ctx, to, s.message(n, m.Note), s.channel, "")
	if err != nil {
		return err
	}
	m.Channel, m.TS, m.Shown, m.Replied, m.State, m.Features = at.channel, at.ts, t.ID, t.ID, string(t.To), t.FeaturesTotal
	if png == nil {
		return nil
	}
	if err := s.upload(ctx, to, m, t, png); err != nil {
		m.Note, m.Shown = "There is no picture: "+slackError(err).Error(), ""
		if ctx.Err() != nil {
			m.Note = "There is no picture: there was no time to upload it"
			return err
		}
		if err := s.update(ctx, to, m, s.message(n, m.Note)); err != nil {
			return err
		}
		m.Shown = t.ID
	}
	return nil
}

// draw returns the picture of what begins; nil: there is none.
func (s *Slack) draw(ctx context.Context, n *Notice) ([]byte, error) {
	if s.picture == nil || !n.Firing() {
		return nil, nil //nolint:nilnil // no picture is no fault
	}
	bounded, cancel := context.WithTimeout(ctx, pictureTime)
	defer cancel()
	png, err := s.picture(bounded, &n.Transition)
	if err == nil && len(png) > maxPicture {
		return nil, fmt.Errorf("it has %d bytes", len(png))
	}
	return png, err
}

// place is where a message is.
type place struct{ channel, ts string }

// post sends a message, not faster than Slack wants them.
func (s *Slack) post(ctx context.Context, to *connection, m slackText, channel, thread string) (place, error) {
	if wait := s.posted.Add(s.pace).Sub(s.now()); wait > 0 && wait <= s.pace {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		select {
		case <-ctx.Done():
			return place{}, ctx.Err()
		case <-timer.C:
		}
	}
	s.posted = s.now()
	options := []slack.MsgOption{slack.MsgOptionText(m.text, false), slack.MsgOptionDisableLinkUnfurl()}
	if len(m.blocks) > 0 {
		options = append(options, slack.MsgOptionBlocks(m.blocks...))
	}
	if thread != "" {
		options = append(options, slack.MsgOptionTS(thread))
	}
	id, ts, err := to.api.PostMessageContext(ctx, channel, options...)
	return place{id, ts}, err
}

func (*Slack) update(ctx context.Context, to *connection, m *slackMemory, text slackText) error {
	_, _, _, err := to.api.UpdateMessageContext(ctx, m.Channel, m.TS, slack.MsgOptionText(text.text, false), slack.MsgOptionBlocks(text.blocks...))
	return err
}

func (*Slack) upload(ctx context.Context, to *connection, m *slackMemory, t *result.Transition, png []byte) error {
	_, err := to.api.UploadFileContext(ctx, slack.UploadFileParameters{ //nolint:exhaustruct // no comment of its own
		Content: string(png), FileSize: len(png), Filename: pictureName, Title: clip(t.Title, 200), AltTxt: clip(t.Title, 500), Channel: m.Channel, ThreadTimestamp: m.TS,
	})
	return err
}

// tellMany tells many incidents in one message: new ones in a digest, later changes of them in its thread.
func (s *Slack) tellMany(ctx context.Context, to *connection, group []*Notice) []Outcome {
	m := recall(group[0])
	var err error
	switch {
	case s.address != nil:
		err = s.hook(ctx, to, s.digest(group))
	case m.TS == "":
		var at place
		at, err = s.post(ctx, to, s.digest(group), s.channel, "")
		m = slackMemory{Channel: at.channel, TS: at.ts, Digest: true} //nolint:exhaustruct // filled below
	default:
		_, err = s.post(ctx, to, s.digest(group), m.Channel, m.TS)
	}
	out := same(group, slackOutcome(err))
	for i, n := range group {
		if err == nil {
			m.State = string(n.Transition.To)
			out[i].Memory = m.store()
		}
	}
	return out
}

// tellState posts an incident's change of state to an incoming webhook, which can change no message and knows no threads.
func (s *Slack) tellState(ctx context.Context, to *connection, n *Notice) Outcome {
	m := recall(n)
	if m.State == string(n.Transition.To) {
		return outcome(nil) // a feature more or less is no message
	}
	o := slackOutcome(s.hook(ctx, to, s.message(n, "")))
	if o.Err == nil {
		m.State = string(n.Transition.To)
		o.Memory = m.store()
	}
	return o
}

func (s *Slack) hook(ctx context.Context, to *connection, m slackText) error {
	unfurl := false
	body, err := json.Marshal(slack.WebhookMessage{Text: m.text, Blocks: &slack.Blocks{BlockSet: m.blocks}, UnfurlLinks: &unfurl}) //nolint:exhaustruct // the webhook's own defaults
	if err != nil {
		return fmt.Errorf("encoding a message: %w", err)
	}
	return post(ctx, s.client, to.hook.Reveal(), http.Header{}, body, isSlackCode)
}

// errorCode is the form of the words that Slack gives as errors. Anything else that comes back may be a text that repeats a secret.
var errorCode = regexp.MustCompile(`^[a-z]+(_[a-z]+)*$`)

func isSlackCode(text string) bool { return len(text) <= maxErrorCode && errorCode.MatchString(text) }

// slackCode returns Slack's word for an error, or "".
func slackCode(err error) string {
	if e, ok := errors.AsType[slack.SlackErrorResponse](err); ok && isSlackCode(e.Err) {
		return e.Err
	}
	return ""
}

// slackOutcome is what became of a notice. Refused is only what Slack says of the message itself: a channel or a token is repaired
// by a person, and what waits is told then.
func slackOutcome(err error) Outcome {
	if err == nil {
		return outcome(nil)
	}
	said := slackError(err)
	o := outcome(said)
	if e, ok := errors.AsType[*slack.RateLimitedError](err); ok {
		o.Pause = max(e.RetryAfter, time.Second)
	}
	content := []string{
		"invalid_blocks", "invalid_blocks_format", "msg_blocks_too_long", "msg_too_long", "no_text", "too_many_attachments", "invalid_arguments", "invalid_payload",
	}
	o.Refused = o.Refused || slices.Contains(content, slackCode(err))
	if e, ok := errors.AsType[*statusError](err); ok { // of an incoming webhook, which answers 4xx for whatever it is
		o.Refused = slices.Contains(content, e.answer)
	}
	return o
}

// slackError says what an operator can act on, without any text of the other side that is not one of its words.
func slackError(err error) error {
	if e, ok := errors.AsType[*slack.RateLimitedError](err); ok {
		return fmt.Errorf("telling slack: it asks for a pause of %v", e.RetryAfter)
	}
	if e, ok := errors.AsType[slack.StatusCodeError](err); ok {
		return fmt.Errorf("telling slack: %w", &statusError{code: e.Code, after: 0, answer: ""})
	}
	if e, ok := errors.AsType[*statusError](err); ok {
		return fmt.Errorf("telling slack: %w%s", e, slackRemedy(e.answer))
	}
	if _, ok := errors.AsType[slack.SlackErrorResponse](err); ok {
		code := cmp.Or(slackCode(err), "an error that has no word")
		return fmt.Errorf("telling slack: %s%s", code, slackRemedy(code))
	}
	return fmt.Errorf("telling slack: %w", withoutAddress(err))
}

// slackRemedy says what to do about an error.
func slackRemedy(code string) string {
	switch code {
	case "is_archived", "channel_is_archived":
		return " (unarchive the channel, or configure another)"
	case "channel_not_found", "not_in_channel", "no_active_hooks", "no_service":
		return " (does the channel exist, and was the app invited to it?)"
	case "invalid_auth", "not_authed", "token_revoked", "token_expired", "account_inactive", "invalid_token":
		return " (put a valid token into its file: it is read again)"
	case "missing_scope", "not_allowed_token_type":
		return " (the app needs the scopes chat:write and files:write)"
	}
	return ""
}
