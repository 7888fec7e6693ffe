// Package slacktest is a Slack for tests: a server that answers as Slack's Web API and incoming webhooks do, and refuses what they
// refuse. The library's own test server accepts anything. Test code only.
//
// What it enforces is documented at https://docs.slack.dev: the limits of Block Kit (reference/block-kit), of texts
// (methods/chat.postMessage), the steps of an upload (messaging/working-with-files), rate limits (apis/web-api/rate-limits: 429 with
// Retry-After), and that a token, a channel and a message exist. One limit is not documented: the sum over all blocks
// (https://github.com/slackapi/bolt-js/issues/2509).
package slacktest

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"image/png"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf16"
)

// Token is the bot's token that the server knows.
const Token = "xoxb-2-slacktest-Zs81kq"

// Limits that are enforced.
const (
	maxBlocks      = 50
	maxSection     = 3000
	maxHeader      = 150
	maxFields      = 10
	maxField       = 2000
	maxContext     = 10
	maxText        = 40_000
	maxBlocksTotal = 13_200
)

// Message is a message as it is now.
type Message struct {
	Channel string // its id
	TS      string
	Thread  string // ts of the parent; empty: it is one
	Text    string
	Blocks  []byte
	Edits   int
	Calls   []string // whom it called: @here, @channel, @everyone, or a user
}

// File is a picture that was uploaded and shared.
type File struct {
	ID, Title, Channel, Thread string
	Data                       []byte
	Width, Height              int
}

// Server is one workspace.
type Server struct {
	URL  string // of the Web API
	Hook string // of an incoming webhook of the channel #hook

	tb       testing.TB
	mu       sync.Mutex
	channels map[string]*channel // by id
	messages []*Message
	files    map[string]*File
	shared   []File
	calls    []string
	fail     map[string]failure // by method
	revoked  bool
	rate     time.Duration
	last     map[string]time.Time
	sequence int
	limited  int
}

type channel struct {
	id, name string
	archived bool
}

// failure is what a method answers instead.
type failure struct {
	times  int
	status int
	code   string
	after  int
}

// New starts a workspace with the channels #ml-alerts, #risk and #hook. It is stopped at the test's end.
func New(tb testing.TB) *Server {
	tb.Helper()
	s := &Server{tb: tb, channels: map[string]*channel{}, files: map[string]*File{}, fail: map[string]failure{}, last: map[string]time.Time{}}
	for i, name := range []string{"ml-alerts", "risk", "hook"} {
		id := fmt.Sprintf("C0000%d", i)
		s.channels[id] = &channel{id: id, name: name}
	}
	secret := rand.Text()
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/chat.postMessage", s.api(s.postMessage))
	mux.HandleFunc("POST /api/chat.update", s.api(s.update))
	mux.HandleFunc("POST /api/files.getUploadURLExternal", s.api(s.uploadURL))
	mux.HandleFunc("POST /api/files.completeUploadExternal", s.api(s.complete))
	mux.HandleFunc("POST /upload/{id}", s.upload)
	mux.HandleFunc("POST /services/T0/B0/"+secret, s.webhook)
	server := httptest.NewServer(mux)
	tb.Cleanup(server.Close)
	s.URL, s.Hook = server.URL+"/api/", server.URL+"/services/T0/B0/"+secret
	return s
}

// Archive archives a channel; Unarchive takes it back.
func (s *Server) Archive(name string) { s.set(name, true) }

// Unarchive brings a channel back.
func (s *Server) Unarchive(name string) { s.set(name, false) }

func (s *Server) set(name string, archived bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.find("#" + name)
	if c == nil {
		s.tb.Fatalf("there is no channel %s", name)
	}
	c.archived = archived
}

// Revoke makes the token worthless, or valid again.
func (s *Server) Revoke(revoked bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.revoked = revoked
}

// Limit lets each channel have a message in so much time; what is faster is answered by 429.
func (s *Server) Limit(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rate = d
}

// Fail makes the next calls of a method answer a status, or with 200 an error's code.
func (s *Server) Fail(method string, times, status int, code string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail[method] = failure{times: times, status: status, code: code, after: 1}
}

// Messages returns the messages of a channel, the oldest first.
func (s *Server) Messages(name string) []Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []Message
	for _, m := range s.messages {
		if s.channels[m.Channel].name == name {
			out = append(out, *m)
		}
	}
	return out
}

// Parents returns the messages of a channel that are in no thread.
func (s *Server) Parents(name string) []Message {
	return slices.DeleteFunc(s.Messages(name), func(m Message) bool { return m.Thread != "" })
}

// Delete removes a message, as a person may.
func (s *Server) Delete(ts string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.messages = slices.DeleteFunc(s.messages, func(m *Message) bool { return m.TS == ts })
}

// Files returns the pictures that were shared.
func (s *Server) Files() []File {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.shared)
}

// Calls lists the methods that were called.
func (s *Server) Calls() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.calls)
}

// Limited returns how many calls were answered by 429.
func (s *Server) Limited() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.limited
}

func (s *Server) find(nameOrID string) *channel {
	if c, ok := s.channels[nameOrID]; ok {
		return c
	}
	for _, c := range s.channels {
		if "#"+c.name == nameOrID || c.name == nameOrID {
			return c
		}
	}
	return nil
}

// reply is what a method answers: fields, or an error's code.
type reply struct {
	fields map[string]any
	code   string
	after  int // seconds: 429
}

func refuse(code string) reply { return reply{nil, code, 0} }

// api wraps a method with what holds for all: the token, and answers that a test asked for.
func (s *Server) api(method func(r *http.Request) reply) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		name := strings.TrimPrefix(r.URL.Path, "/api/")
		if err := r.ParseForm(); err != nil {
			answer(w, refuse("invalid_form_data"))
			return
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.calls = append(s.calls, name)
		if f := s.fail[name]; f.times > 0 {
			f.times--
			s.fail[name] = f
			if f.status != http.StatusOK {
				w.Header().Set("Retry-After", strconv.Itoa(f.after))
				w.WriteHeader(f.status)
				return
			}
			answer(w, refuse(f.code))
			return
		}
		token := r.PostForm.Get("token")
		if bearer, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
			token = bearer
		}
		switch {
		case token == "":
			answer(w, refuse("not_authed"))
		case token != Token:
			answer(w, refuse("invalid_auth"))
		case s.revoked:
			answer(w, refuse("token_revoked"))
		default:
			res := method(r)
			if res.after > 0 {
				s.limited++
			}
			answer(w, res)
		}
	}
}

func answer(w http.ResponseWriter, r reply) {
	w.Header().Set("Content-Type", "application/json")
	if r.after > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(r.after))
		w.WriteHeader(http.StatusTooManyRequests)
		return
	}
	out := map[string]any{"ok": r.code == ""}
	if r.code != "" {
		out["error"] = r.code
	}
	maps.Copy(out, r.fields)
	_ = json.NewEncoder(w).Encode(out) // the client may have gone
}

// tooFast says for how many seconds a channel must be left alone.
func (s *Server) tooFast(channel string) int {
	now := time.Now()
	if s.rate > 0 && now.Sub(s.last[channel]) < s.rate {
		return 1
	}
	s.last[channel] = now
	return 0
}

func (s *Server) postMessage(r *http.Request) reply {
	c := s.find(r.PostForm.Get("channel"))
	text, blocks, thread := r.PostForm.Get("text"), r.PostForm.Get("blocks"), r.PostForm.Get("thread_ts")
	switch {
	case c == nil:
		return refuse("channel_not_found")
	case c.archived:
		return refuse("is_archived")
	case thread != "" && !slices.ContainsFunc(s.messages, func(m *Message) bool { return m.TS == thread && m.Thread == "" }):
		return refuse("thread_not_found")
	}
	if code := check(text, blocks); code != "" {
		return refuse(code)
	}
	if after := s.tooFast(c.id); after > 0 {
		return reply{nil, "", after}
	}
	ts := s.add(c.id, thread, text, blocks)
	return reply{map[string]any{"channel": c.id, "ts": ts}, "", 0}
}

func (s *Server) add(channel, thread, text, blocks string) string {
	s.sequence++
	ts := fmt.Sprintf("%d.%06d", 1_700_000_000+s.sequence, s.sequence)
	s.messages = append(s.messages, &Message{Channel: channel, TS: ts, Thread: thread, Text: text, Blocks: []byte(blocks), Edits: 0, Calls: calls(text, blocks)})
	return ts
}

func (s *Server) update(r *http.Request) reply {
	id, ts := r.PostForm.Get("channel"), r.PostForm.Get("ts")
	c, known := s.channels[id] // a name is not enough here
	if !known {
		return refuse("channel_not_found")
	}
	if c.archived {
		return refuse("is_archived")
	}
	i := slices.IndexFunc(s.messages, func(m *Message) bool { return m.TS == ts && m.Channel == id })
	if i < 0 {
		return refuse("message_not_found")
	}
	text, blocks := r.PostForm.Get("text"), r.PostForm.Get("blocks")
	if code := check(text, blocks); code != "" {
		return refuse(code)
	}
	m := s.messages[i]
	m.Text, m.Blocks, m.Edits, m.Calls = text, []byte(blocks), m.Edits+1, calls(text, blocks)
	return reply{map[string]any{"channel": id, "ts": ts, "text": text}, "", 0}
}

func (s *Server) uploadURL(r *http.Request) reply {
	length, err := strconv.Atoi(r.PostForm.Get("length"))
	if err != nil || length <= 0 || r.PostForm.Get("filename") == "" {
		return refuse("invalid_arguments")
	}
	if units(r.PostForm.Get("alt_txt")) > 1000 {
		return refuse("alt_txt_too_large")
	}
	id := fmt.Sprintf("F%04d", len(s.files))
	s.files[id] = &File{ID: id, Title: strconv.Itoa(length)} // the title holds the promised length until the file is shared
	return reply{map[string]any{"upload_url": strings.TrimSuffix(s.URL, "/api/") + "/upload/" + id, "file_id": id}, "", 0}
}

func (s *Server) upload(w http.ResponseWriter, r *http.Request) {
	file, _, err := r.FormFile("file")
	if err != nil {
		http.Error(w, "no file", http.StatusBadRequest)
		return
	}
	data, err := io.ReadAll(file)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, "upload")
	f := s.files[r.PathValue("id")]
	if f2 := s.fail["upload"]; f2.times > 0 {
		f2.times--
		s.fail["upload"] = f2
		w.WriteHeader(f2.status)
		return
	}
	if err != nil || f == nil || f.Title != strconv.Itoa(len(data)) {
		http.Error(w, "not what was announced", http.StatusBadRequest)
		return
	}
	f.Data = data
	fmt.Fprintf(w, "OK - %d", len(data))
}

func (s *Server) complete(r *http.Request) reply {
	var files []struct{ ID, Title string }
	if json.Unmarshal([]byte(r.PostForm.Get("files")), &files) != nil || len(files) == 0 {
		return refuse("invalid_arguments")
	}
	id, thread := r.PostForm.Get("channel_id"), r.PostForm.Get("thread_ts")
	c, known := s.channels[id] // a name is not enough here either
	switch {
	case !known:
		return refuse("channel_not_found")
	case c.archived:
		return refuse("is_archived")
	}
	var out []map[string]string
	for _, f := range files {
		file := s.files[f.ID]
		if file == nil || file.Data == nil {
			return refuse("file_not_found")
		}
		delete(s.files, f.ID) // once
		config, err := png.DecodeConfig(bytes.NewReader(file.Data))
		if err != nil {
			s.tb.Errorf("the file is no PNG: %v", err)
		}
		s.shared = append(s.shared, File{ID: f.ID, Title: f.Title, Channel: id, Thread: thread, Data: file.Data, Width: config.Width, Height: config.Height})
		out = append(out, map[string]string{"id": f.ID, "title": f.Title})
	}
	return reply{map[string]any{"files": out}, "", 0}
}

// webhook is an incoming webhook: plain words for answers, statuses for errors.
func (s *Server) webhook(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Text   string
		Blocks json.RawMessage
	}
	data, err := io.ReadAll(r.Body)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, "webhook")
	c := s.find("#hook")
	switch {
	case s.fail["webhook"].times > 0:
		f := s.fail["webhook"]
		f.times--
		s.fail["webhook"] = f
		http.Error(w, f.code, f.status)
	case err != nil || json.Unmarshal(data, &body) != nil:
		http.Error(w, "invalid_payload", http.StatusBadRequest)
	case c.archived:
		http.Error(w, "channel_is_archived", http.StatusGone)
	case check(body.Text, string(body.Blocks)) != "":
		http.Error(w, check(body.Text, string(body.Blocks)), http.StatusBadRequest)
	case s.tooFast(c.id) > 0:
		s.limited++
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(http.StatusTooManyRequests)
	default:
		s.add(c.id, "", body.Text, string(body.Blocks))
		fmt.Fprint(w, "ok")
	}
}

// text is a text object of Block Kit.
type text struct {
	Type string `json:"type"`
	Text string `json:"text"`
}

// block is what the messages of driftd may hold.
type block struct {
	Type     string `json:"type"`
	Text     *text  `json:"text"`
	Fields   []text `json:"fields"`
	Elements []text `json:"elements"`
}

// check returns why Slack would refuse a message, or "".
func check(message, blocks string) string {
	if units(message) > maxText {
		return "msg_too_long"
	}
	if blocks == "" || blocks == "null" {
		if message == "" {
			return "no_text"
		}
		return ""
	}
	var list []block
	if json.Unmarshal([]byte(blocks), &list) != nil {
		return "invalid_blocks_format"
	}
	if len(list) > maxBlocks {
		return "invalid_blocks"
	}
	total := 0
	for i := range list {
		if !list[i].valid() {
			return "invalid_blocks"
		}
		total += list[i].size()
	}
	if total > maxBlocksTotal {
		return "msg_blocks_too_long"
	}
	return ""
}

func (b *block) valid() bool {
	within := func(t text, limit int, types ...string) bool {
		return slices.Contains(types, t.Type) && t.Text != "" && units(t.Text) <= limit
	}
	switch b.Type {
	case "header":
		return b.Text != nil && within(*b.Text, maxHeader, "plain_text")
	case "section":
		if b.Text == nil && len(b.Fields) == 0 || len(b.Fields) > maxFields {
			return false
		}
		for _, f := range b.Fields {
			if !within(f, maxField, "plain_text", "mrkdwn") {
				return false
			}
		}
		return b.Text == nil || within(*b.Text, maxSection, "plain_text", "mrkdwn")
	case "context":
		if len(b.Elements) == 0 || len(b.Elements) > maxContext {
			return false
		}
		for _, e := range b.Elements {
			if !within(e, maxSection, "plain_text", "mrkdwn") {
				return false
			}
		}
		return true
	case "divider":
		return true
	}
	return false
}

func (b *block) size() int {
	n := 0
	if b.Text != nil {
		n += units(b.Text.Text)
	}
	for _, t := range slices.Concat(b.Fields, b.Elements) {
		n += units(t.Text)
	}
	return n
}

// units counts characters as JavaScript does.
func units(s string) int { return len(utf16.Encode([]rune(s))) }

// mention is how a text calls people (https://docs.slack.dev/messaging/formatting-message-text).
var mention = regexp.MustCompile(`<(!(here|channel|everyone|subteam\^[A-Z0-9]+)|@[UW][A-Z0-9]+)(\|[^>]*)?>`)

// calls returns whom a message calls.
func calls(message, blocks string) []string {
	var list []block
	_ = json.Unmarshal([]byte(blocks), &list) // checked before
	texts := []string{message}
	for i := range list {
		b := &list[i]
		if b.Text != nil && b.Text.Type == "mrkdwn" {
			texts = append(texts, b.Text.Text)
		}
		for _, t := range slices.Concat(b.Fields, b.Elements) {
			texts = append(texts, t.Text)
		}
	}
	return mention.FindAllString(strings.Join(texts, "\n"), -1)
}
