package influx

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// maxLineShown bounds what a Refusal repeats of a line.
const maxLineShown = 4 << 10

// Write stores documents and returns once InfluxDB has confirmed every line, or has refused some for good: those are
// returned, by document, and the caller must keep them somewhere before it acknowledges. A *UnavailableError or a
// *PausedError says that nothing is known of the lines; writing all of them again is harmless, for the same documents give
// the same bytes and a point that is there is overwritten by itself.
func (db *DB) Write(ctx context.Context, docs []Document) ([]Refusal, error) {
	var refused []Refusal
	var lines []line
	for i, d := range docs {
		ls, err := db.enc.document(d)
		if err != nil {
			refused = append(refused, Refusal{ID: d.ID, Reason: ReasonMalformed, Detail: err.Error(), Line: ""})
			continue
		}
		for j := range ls {
			ls[j].doc = i
		}
		lines = append(lines, ls...)
	}
	w := &writing{db: db, docs: docs, refused: refused}
	for len(lines) > 0 {
		n, size := 0, 0
		for n < len(lines) && n < db.o.Lines && (n == 0 || size+len(lines[n].text) < db.o.Bytes) {
			size += len(lines[n].text) + 1
			n++
		}
		if err := w.send(ctx, lines[:n]); err != nil {
			return nil, err
		}
		lines = lines[n:]
	}
	return w.refused, nil
}

// WriteLines stores lines that are no documents, such as samples of driftd's own health.
func (db *DB) WriteLines(ctx context.Context, lines ...string) error {
	_, writer, err := db.connect()
	if err != nil {
		return err
	}
	return db.judge(writer.WriteRecord(ctx, lines...))
}

// writing is one Write.
type writing struct {
	db      *DB
	docs    []Document
	refused []Refusal
}

// A rejected is what the server says of lines that it will never take.
type rejected struct {
	status int
	text   string
}

func (e *rejected) Error() string { return e.text }

// send writes lines in one request and, where the server refuses some, finds which: it halves until a line stands alone.
// What a partial write has stored is written again, which changes nothing.
func (w *writing) send(ctx context.Context, lines []line) error {
	if len(lines) == 0 {
		return nil
	}
	_, writer, err := w.db.connect()
	if err != nil {
		return err
	}
	texts := make([]string, len(lines))
	for i := range lines {
		texts[i] = lines[i].text
	}
	err = w.db.judge(writer.WriteRecord(ctx, texts...))
	no, isNo := errors.AsType[*rejected](err)
	switch {
	case !isNo:
		return err
	case len(lines) == 1:
		w.refuse(lines[0], reasonOf(no), no.text)
		return nil
	}
	if n := dropped(no); reasonOf(no) == ReasonRetention && n > 0 && n <= len(lines) {
		return w.withoutOldest(ctx, lines, n, no)
	}
	half := len(lines) / 2
	if err := w.send(ctx, lines[:half]); err != nil {
		return err
	}
	return w.send(ctx, lines[half:])
}

// withoutOldest gives up the n oldest lines, which are older than the bucket keeps, and sends the others again: that the
// server takes them all is the proof that it was those. A replayed history would take thousands of halvings otherwise.
func (w *writing) withoutOldest(ctx context.Context, lines []line, n int, no *rejected) error {
	sorted := slices.Clone(lines)
	slices.SortStableFunc(sorted, func(a, b line) int { return cmp.Compare(a.time, b.time) })
	if err := w.send(ctx, sorted[n:]); err != nil {
		return err
	}
	for _, l := range sorted[:n] {
		w.refuse(l, ReasonRetention, no.text)
	}
	return nil
}

func (w *writing) refuse(l line, reason Reason, detail string) {
	w.refused = append(w.refused, Refusal{
		ID: w.docs[l.doc].ID, Reason: reason, Detail: cut(detail, 1<<10), Line: cut(l.text, maxLineShown),
	})
}

func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "…"
}

// judge turns what the client says of a write into what is to be done: nil, *rejected, *UnavailableError or *PausedError.
func (db *DB) judge(err error) error {
	if err == nil {
		return nil
	}
	he, ok := status(err)
	if !ok || he.StatusCode == 0 {
		return &UnavailableError{After: 0, Err: err}
	}
	switch code := he.StatusCode; {
	case code == http.StatusTooManyRequests, code >= 500, code == http.StatusRequestTimeout:
		return &UnavailableError{After: time.Duration(min(he.RetryAfter, 3600)) * time.Second, Err: err}
	case code == http.StatusRequestEntityTooLarge:
		return &rejected{code, err.Error()}
	case code == http.StatusBadRequest, code == http.StatusUnprocessableEntity:
		if text := err.Error(); strings.Contains(text, "limit exceeded") || strings.Contains(text, "limit reached") {
			return &PausedError{Status: code, Remedy: "raise the server's limit of series or write fewer (docs/data-model.md)", Err: err}
		}
		return &rejected{code, err.Error()}
	case code == http.StatusUnauthorized, code == http.StatusForbidden:
		db.forget() // the token may have been replaced meanwhile
		return &PausedError{Status: code, Remedy: "check store.influxdb.token_file and what the token may write", Err: err}
	case code == http.StatusNotFound:
		return &PausedError{Status: code, Remedy: "check store.influxdb.bucket and org, or create them with `driftd init influxdb`", Err: err}
	default:
		return &PausedError{Status: code, Remedy: "check store.influxdb.url: is this InfluxDB?", Err: err}
	}
}

// reasonOf reads the texts of 1.8 and 2.x.
func reasonOf(no *rejected) Reason {
	switch text := no.text; {
	case no.status == http.StatusRequestEntityTooLarge:
		return ReasonTooLarge
	case strings.Contains(text, "retention policy"), strings.Contains(text, "outside retention"):
		return ReasonRetention
	case strings.Contains(text, "type conflict"):
		return ReasonType
	case strings.Contains(text, "unable to parse"), strings.Contains(text, "invalid"):
		return ReasonUnparsable
	default:
		return ReasonUnexplained
	}
}

var droppedText = regexp.MustCompile(`dropped[= ](\d+)`)

// dropped returns how many lines the server says that it left out; 0 where it does not say.
func dropped(no *rejected) int {
	m := droppedText.FindStringSubmatch(no.text)
	if m == nil {
		return 0
	}
	n, err := strconv.Atoi(m[1])
	if err != nil {
		return 0
	}
	return n
}
