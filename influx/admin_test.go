package influx_test

import (
	"slices"
	"testing"

	"github.com/driftd/driftd/history"
	"github.com/driftd/driftd/influx"
	"github.com/driftd/driftd/internal/influxtest"
)

// as opens a bucket of an organisation with a token.
func as(tb testing.TB, server *influxtest.Server, org, bucket, token string) *influx.DB {
	tb.Helper()
	db, err := influx.Open(influx.Options{URL: server.URL, Org: org, Bucket: bucket, Token: func() (string, error) { return token, nil }})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = db.Close() })
	return db
}

// What Prepare makes is what a daemon needs, and no more: its token writes and reads the bucket and no other one. What is there already
// stays; a second token works beside the first. Names may hold spaces.
func TestPrepare(t *testing.T) {
	server := influxtest.Start(t, influxtest.Options{Auth: true})
	server.CreateBucket("others", 0)
	org := server.Org
	if server.Two {
		org = "team ml" // made by Prepare
	}
	p := influx.Preparation{URL: server.URL, Org: org, Bucket: "drift results", Admin: server.Token, User: "driftd"}
	var tokens []string
	for range 2 {
		got, err := influx.Prepare(t.Context(), p)
		if err != nil || got.Token == "" || slices.Contains(tokens, got.Token) {
			t.Fatalf("Prepare = %+v, %v", got, err)
		}
		tokens = append(tokens, got.Token)
	}
	db := as(t, server, org, "drift results", tokens[1])
	mustWrite(t, db, results(t, 0, 2))
	if models, _, err := db.Models(t.Context(), history.Page{}); err != nil || len(models) != 1 {
		t.Errorf("reading with the token: %+v, %v", models, err)
	}
	if server.Two { // of 1.8 the second password replaces the first
		mustWrite(t, as(t, server, org, "drift results", tokens[0]), results(t, 2, 3))
	}
	_, err := as(t, server, server.Org, "others", tokens[1]).Write(t.Context(), results(t, 0, 1))
	paused(t, "writing to another bucket", err, 403)
}

// A bucket of the same name in another organisation is another bucket.
func TestPrepareInASecondOrganisation(t *testing.T) {
	server := influxtest.Start(t, influxtest.Options{})
	if !server.Two {
		return // 1.8 has no organisations
	}
	server.CreateBucket("driftd", 0)
	got, err := influx.Prepare(t.Context(), influx.Preparation{URL: server.URL, Org: "second", Bucket: "driftd", Admin: server.Token})
	if err != nil {
		t.Fatal(err)
	}
	mustWrite(t, as(t, server, "second", "driftd", got.Token), results(t, 0, 1))
	_, err = as(t, server, server.Org, "driftd", got.Token).Write(t.Context(), results(t, 0, 1))
	paused(t, "writing to the first organisation's", err, 403)
}
