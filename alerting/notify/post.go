package notify

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// maxAnswer bounds what is read of a receiver's answer.
const maxAnswer = 64 << 10

// statusError says that a receiver answered, and not with success.
type statusError struct {
	code   int
	after  time.Duration // it asks to be left alone so long
	answer string        // what it said, if that is one word of a known list; never free text, which may repeat a secret
}

func (e *statusError) Error() string {
	switch {
	case e.answer != "":
		return fmt.Sprintf("it answers %d: %s", e.code, e.answer)
	case e.code/100 == 3:
		return fmt.Sprintf("it answers %d: a redirect is not followed, configure the address that it leads to", e.code)
	}
	return strings.TrimSpace(fmt.Sprintf("it answers %d %s", e.code, http.StatusText(e.code)))
}

// refusing reports whether a status is an answer to what was said, so that saying it again would get the same answer. What is about
// the address, the credentials or the moment is not: an operator repairs it, and what waits is told then.
func refusing(code int) bool {
	about := []int{
		http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusProxyAuthRequired, http.StatusRequestTimeout,
		http.StatusTooEarly, http.StatusTooManyRequests,
	}
	return code/100 == 4 && !slices.Contains(about, code)
}

// outcome is what became of a notice, by the error of telling it.
func outcome(err error) Outcome {
	o := Outcome{Err: err, Refused: false, Pause: 0, Later: false, Memory: nil}
	if s, ok := errors.AsType[*statusError](err); ok {
		o.Refused, o.Pause = refusing(s.code), s.after
	}
	return o
}

// post sends a body and returns a *statusError for any answer but success. word says which answers may be repeated; nil: none. No
// error holds the address, which may be a secret.
func post(ctx context.Context, client *http.Client, address string, header http.Header, body []byte, word func(string) bool) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return errors.New("its address cannot be read as one")
	}
	req.Header = header.Clone()
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "driftd")
	res, err := client.Do(req)
	if err != nil {
		return withoutAddress(err)
	}
	defer func() { _ = res.Body.Close() }() // it was read
	answer, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil && res.StatusCode/100 == 2 {
		return nil // it took the notice, and said so
	}
	if res.StatusCode/100 == 2 {
		return nil
	}
	s := &statusError{code: res.StatusCode, after: retryAfter(res.Header.Get("Retry-After")), answer: ""}
	if text := strings.TrimSpace(string(answer)); word != nil && word(text) {
		s.answer = text
	}
	return s
}

// withoutAddress takes the address out of an error of package http.
func withoutAddress(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		return u.Err
	}
	return err
}

// retryAfter reads a pause in seconds; one that is given as a date, or cannot be read, is none: the courier has its own.
func retryAfter(text string) time.Duration {
	seconds, err := strconv.ParseUint(strings.TrimSpace(text), 10, 31)
	if err != nil {
		return 0
	}
	return time.Duration(seconds) * time.Second
}
