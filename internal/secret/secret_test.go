package secret_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/driftd/driftd/internal/secret"
)

const text = "hunter2-correct-horse"

type holder struct {
	Name   string        `json:"name" xml:"name" yaml:"name"`
	Token  secret.String `json:"token" xml:"token" yaml:"token"`
	hidden secret.String
}

// TestStringLeaksNoSecret shows a secret in every way that a program prints, encodes or logs a value.
func TestStringLeaksNoSecret(t *testing.T) {
	s := secret.New(text)
	h := holder{Name: "visible", Token: s, hidden: s}
	shown := map[string]string{}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%T", "%p", "%w", "%10.3s"} {
		shown["value "+verb] = fmt.Sprintf(verb, s)
		shown["pointer "+verb] = fmt.Sprintf(verb, &s)
		shown["holder "+verb] = fmt.Sprintf(verb, h)
		shown["pointer to holder "+verb] = fmt.Sprintf(verb, &h)
		shown["slice "+verb] = fmt.Sprintf(verb, []secret.String{s})
		shown["map "+verb] = fmt.Sprintf(verb, map[string]secret.String{"a": s})
	}
	encode := func(name string, data []byte, err error) {
		t.Helper()
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		shown[name] = string(data)
	}
	data, err := json.Marshal(h)
	encode("json", data, err)
	data, err = yaml.Marshal(h)
	encode("yaml", data, err)
	data, err = xml.Marshal(h)
	encode("xml", data, err)
	for name, handler := range map[string]func(*bytes.Buffer) slog.Handler{
		"slog text": func(b *bytes.Buffer) slog.Handler { return slog.NewTextHandler(b, nil) },
		"slog json": func(b *bytes.Buffer) slog.Handler { return slog.NewJSONHandler(b, nil) },
	} {
		var buf bytes.Buffer
		slog.New(handler(&buf)).Info("message", slog.Any("secret", s), slog.Any("holder", h), slog.Any("pointer", &h))
		shown[name] = buf.String()
	}
	for name, got := range shown {
		for _, bad := range []string{text, fmt.Sprintf("%x", text), fmt.Sprintf("%X", text), "hun"} {
			if strings.Contains(got, bad) {
				t.Errorf("%s shows the secret: %s", name, got)
			}
		}
	}
	for _, name := range []string{"value %v", "value %#v", "json", "yaml", "xml", "slog text", "slog json"} {
		if !strings.Contains(shown[name], "redacted") {
			t.Errorf("%s = %s, want it to say that something was redacted", name, shown[name])
		}
	}
}

func TestReadFile(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for name, content := range map[string]string{"bare": text, "newline": text + "\n", "crlf": text + "\r\n"} {
		s, err := secret.ReadFile(write(name, content))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got := s.Reveal(); got != text {
			t.Errorf("%s: Reveal() = %q, want %q", name, got, text)
		}
	}
	for name, path := range map[string]string{
		"missing":   filepath.Join(dir, "missing"),
		"directory": dir,
		"empty":     write("empty", "\n"),
		"huge":      write("huge", strings.Repeat(text, secret.MaxFile)),
	} {
		_, err := secret.ReadFile(path)
		if err == nil {
			t.Fatalf("%s: no error", name)
		}
		if !strings.Contains(err.Error(), path) || strings.Contains(err.Error(), text) {
			t.Errorf("%s: error %q must name the path and not the content", name, err)
		}
	}
}

func TestFromEnv(t *testing.T) {
	t.Setenv("DRIFTD_TEST_SECRET", text)
	if s, err := secret.FromEnv("DRIFTD_TEST_SECRET"); err != nil || s.Reveal() != text {
		t.Errorf("FromEnv = %v, %v", s, err)
	}
	t.Setenv("DRIFTD_TEST_SECRET", "")
	if _, err := secret.FromEnv("DRIFTD_TEST_SECRET"); err == nil || !strings.Contains(err.Error(), "DRIFTD_TEST_SECRET") {
		t.Errorf("an empty variable: %v, want an error that names it", err)
	}
}

func TestEqual(t *testing.T) {
	var zero secret.String
	if !zero.IsZero() || !zero.Equal(secret.New("")) || zero.Reveal() != "" {
		t.Error("the zero String is not empty")
	}
	if !secret.New(text).Equal(secret.New(text)) || secret.New(text).Equal(secret.New(text+"x")) {
		t.Error("Equal does not compare the texts")
	}
}
