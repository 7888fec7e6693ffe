package store_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/driftd/driftd/history"
	"github.com/driftd/driftd/store"
)

func TestReopen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a b#c?d%20 é.db") // every character that means something in a URI
	s, err := store.Open(t.Context(), path, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	write(t, s, hourly(0).documents(t)...)
	before := everything(t, s, "credit")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatalf("the file is not where it was asked for: %v", err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("the file's mode is %v, want 0600", info.Mode().Perm())
	}
	s = open(t, path, store.Options{})
	if diff := cmp.Diff(before, everything(t, s, "credit")); diff != "" {
		t.Errorf("after opening again (-before +after):\n%s", diff)
	}
	write(t, s, hourly(1).documents(t)...)
}

func raw(t *testing.T, path string, statements ...string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, q := range statements {
		if _, err := db.ExecContext(t.Context(), q); err != nil {
			t.Fatal(err)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	newer := filepath.Join(dir, "newer.db")
	s, err := store.Open(t.Context(), newer, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	raw(t, newer, "PRAGMA user_version = 99")
	foreign := filepath.Join(dir, "foreign.db")
	raw(t, foreign, "CREATE TABLE bookmarks (url TEXT)")
	text := filepath.Join(dir, "text.db")
	if err := os.WriteFile(text, []byte(strings.Repeat("this is no database\n", 200)), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		newer: "has schema version 99", foreign: "another program", text: "not a SQLite database", dir: "is a directory",
	} {
		before, _ := os.ReadFile(path) // a directory has no bytes
		_, err := store.Open(t.Context(), path, store.Options{})
		var fe *store.FileError
		if !errors.As(err, &fe) || !strings.Contains(err.Error(), want) || fe.Remedy == "" {
			t.Errorf("%s: got %v, want a FileError with %q", filepath.Base(path), err, want)
		}
		after, _ := os.ReadFile(path)
		if !bytes.Equal(before, after) {
			t.Errorf("%s: refused, but changed", filepath.Base(path))
		}
	}
	if _, err := store.Open(t.Context(), filepath.Join(dir, "none", "x.db"), store.Options{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing directory: got %v", err)
	}
	if _, err := store.Open(t.Context(), filepath.Join(dir, "x.db"), store.Options{Retention: -1}); err == nil {
		t.Error("a negative retention was taken")
	}
}

func TestDamageIsSaid(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	s, err := store.Open(t.Context(), path, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 50 {
		write(t, s, hourly(i).documents(t)...)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := 4096; i < len(data); i++ { // everything behind the header's page
		data[i] = 0xa5
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	s, err = store.Open(t.Context(), path, store.Options{})
	if err == nil {
		defer s.Close()
		_, _, err = s.Models(t.Context(), history.Page{})
	}
	var fe *store.FileError
	if !errors.As(err, &fe) || !strings.Contains(err.Error(), "is damaged") {
		t.Errorf("got %v, want a FileError that says so", err)
	}
}

func TestMalformedDocuments(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "store.db"), store.Options{})
	good := hourly(0).documents(t)
	change := func(i int, from, to string) store.Document {
		d := good[i]
		out := strings.Replace(string(d.Data), from, to, 1)
		if out == string(d.Data) {
			t.Fatalf("%q is not in document %d", from, i)
		}
		return store.Document{ID: d.ID, Data: []byte(out)}
	}
	for name, d := range map[string]store.Document{
		"not JSON":        {ID: "x", Data: []byte("{")},
		"empty":           {ID: "x"},
		"null":            {ID: "x", Data: []byte("null")},
		"newer schema":    change(0, `"schema":1`, `"schema":2`),
		"unknown type":    change(0, `"type":"summary"`, `"type":"other"`),
		"other id":        {ID: "x", Data: good[0].Data},
		"other part":      change(1, `"part":0`, `"part":1`),
		"negative part":   {ID: hourly(0).id() + ".-1", Data: change(1, `"part":0`, `"part":-1`).Data},
		"no model":        change(0, `"model":"credit"`, `"model":""`),
		"empty window":    change(0, `"size_ms":3600000`, `"size_ms":0`),
		"unknown role":    change(1, `"role":"feature"`, `"role":"admin"`),
		"feature twice":   change(1, `"feature":"f001"`, `"feature":"f000"`),
		"features object": change(1, `"features":[`, `"features":{"a":[]},"other":[`),
		"huge count":      change(1, `"n_min":203`, `"n_min":18446744073709551615`),
	} {
		err := s.Write(t.Context(), []store.Document{d})
		var de *store.DocumentError
		if !errors.As(err, &de) || !errors.Is(err, store.ErrMalformed) || de.ID != d.ID {
			t.Errorf("%s: got %v, want ErrMalformed", name, err)
		}
	}
	if models, _, err := s.Models(t.Context(), history.Page{}); err != nil || len(models) != 0 {
		t.Errorf("refused documents left %d models (%v)", len(models), err)
	}
}

func TestCancelledWriteLeavesNothing(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "store.db"), store.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Write(ctx, hourly(0).documents(t)); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
	write(t, s, hourly(0).documents(t)...)
}
