package alerting

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"text/template"
	"time"
	"unicode/utf8"

	"github.com/driftd/driftd/result"
)

// maxAnnotation bounds a rendered annotation in bytes; a longer one is cut and ends with an ellipsis.
const maxAnnotation = 4 << 10

// functions are what a template may call beside the builtins of text/template.
func functions() template.FuncMap {
	return template.FuncMap{
		"join":    strings.Join,
		"percent": percent,
		"time":    func(ms int64) string { return time.UnixMilli(ms).UTC().Format(time.RFC3339) },
		"number":  func(x float64) string { return fmt.Sprintf("%.4g", x) },
	}
}

func parse(text string) (*template.Template, error) {
	if len(text) > maxTemplate {
		return nil, fmt.Errorf("the template has %d bytes, at most %d are possible", len(text), maxTemplate)
	}
	return template.New("annotation").Funcs(functions()).Option("missingkey=error").Parse(text)
}

// CheckTemplate tells what is wrong with an annotation's template, by rendering it for an example.
func CheckTemplate(text string) error {
	t, err := parse(text)
	if err != nil {
		return err
	}
	example := result.Transition{ //nolint:exhaustruct // the types are what matters, and that lists are not empty
		Rule: "example", Key: result.Key{Model: "m", Version: "*", Segment: "*"}, From: result.Pending, To: result.Firing,
		Feature: "age", Role: result.RoleFeature, Reasons: []string{"a reason"}, Labels: map[string]string{},
		Features: []result.IncidentFeature{{Feature: "age", Role: result.RoleFeature, Reasons: []string{"a reason"}}}, //nolint:exhaustruct // as above
	}
	_, err = run(t, &example)
	return err
}

// render returns an annotation's text. A template that fails says so in its place: an alert is more important than its words.
func render(text string, about *result.Transition) string {
	t, err := parse(text)
	if err == nil {
		var out string
		if out, err = run(t, about); err == nil {
			return out
		}
	}
	return cut("the template failed: "+err.Error(), maxAnnotation)
}

// errEnough ends a template that writes too much: loops over nested lists may be long.
var errEnough = errors.New("enough")

// bounded takes the first bytes only.
type bounded struct{ bytes.Buffer }

func (b *bounded) Write(p []byte) (int, error) {
	if b.Len() > maxAnnotation {
		return 0, errEnough
	}
	return b.Buffer.Write(p)
}

func run(t *template.Template, about *result.Transition) (string, error) {
	var b bounded
	if err := t.Execute(&b, about); err != nil && !errors.Is(err, errEnough) {
		return "", err
	}
	return cut(b.String(), maxAnnotation), nil
}

// cut shortens a text to n bytes, between two characters.
func cut(s string, n int) string {
	s = strings.ToValidUTF8(s, "�")
	if len(s) <= n {
		return s
	}
	const ellipsis = "…"
	s = s[:n-len(ellipsis)]
	for s != "" && !utf8.ValidString(s) {
		s = s[:len(s)-1]
	}
	return s + ellipsis
}
