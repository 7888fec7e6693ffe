package config

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/driftd/driftd/internal/secret"
)

// Error is one mistake in a configuration.
type Error struct {
	File    string // as it was given to Load or Parse; empty for a Config that was not read from a file
	Line    int    // from 1; 0 when the mistake has no place in a file
	Col     int    // from 1, in characters
	Path    string // the setting, such as models.churn.windows[0].size; empty for a mistake of the file as a whole
	Message string // what is wrong, with the value, the bound and what to do
	Source  string // the line as it stands in the file, with whatever looks like a secret replaced
}

// Error returns the mistake in one line: file:line:col: path: message.
func (e Error) Error() string {
	var b strings.Builder
	if e.File != "" {
		b.WriteString(e.File + ":")
	}
	if e.Line > 0 {
		fmt.Fprintf(&b, "%d:%d:", e.Line, e.Col)
	}
	if b.Len() > 0 {
		b.WriteByte(' ')
	}
	if e.Path != "" {
		b.WriteString(e.Path + ": ")
	}
	b.WriteString(e.Message)
	return b.String()
}

// Detail returns the mistake with its source line and a caret below the place.
func (e Error) Detail() string {
	if e.Line == 0 || e.Source == "" {
		return e.Error()
	}
	number := fmt.Sprintf("%5d", e.Line)
	caret := strings.Map(func(r rune) rune { // tabs stay, so that the caret lands below its character
		if r == '\t' {
			return r
		}
		return ' '
	}, string([]rune(e.Source)[:min(e.Col-1, utf8.RuneCountInString(e.Source))]))
	return e.Error() + "\n" + number + " | " + e.Source + "\n" + strings.Repeat(" ", len(number)) + " | " + caret + "^"
}

// Errors is every mistake of a configuration, in the order of the file. It is never empty where it is returned.
type Errors []Error

// Error returns all mistakes with their source lines.
func (es Errors) Error() string {
	parts := make([]string, len(es))
	for i, e := range es {
		parts[i] = e.Detail()
	}
	return strings.Join(parts, "\n")
}

// Unwrap gives errors.As and errors.Is each mistake.
func (es Errors) Unwrap() []error {
	out := make([]error, len(es))
	for i, e := range es {
		out[i] = e
	}
	return out
}

// sorted orders the mistakes by place, then by path and message, and returns nil when there are none.
func (es Errors) sorted() error {
	if len(es) == 0 {
		return nil
	}
	slices.SortStableFunc(es, func(a, b Error) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Col, b.Col), cmp.Compare(a.Path, b.Path), cmp.Compare(a.Message, b.Message))
	})
	return slices.CompactFunc(es, func(a, b Error) bool { return a == b })
}

// secretKey matches a key whose value may be a secret, and the value: up to the end of the line, so that nothing of a text
// with commas or quotes stays. Files of certificates are no secrets, and neither is the path of a web configuration.
var secretKey = regexp.MustCompile(`(?i)((?:pass(?:word|wd)?|token|secret|seed|nkey|api_?key|credentials?|creds)[a-z0-9_-]*["']?\s*[:=]\s*)\S.*$`)

// userInfo matches the user and password of a URL.
var userInfo = regexp.MustCompile(`([a-z][a-z0-9+.-]*://)[^\s/"']*@`)

// mask replaces what may be a secret in a line that is going to be shown.
func mask(line string) string {
	line = userInfo.ReplaceAllString(line, "${1}"+secret.Redacted+"@")
	return secretKey.ReplaceAllString(line, "${1}"+secret.Redacted)
}
