package influx_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/driftd/driftd/history/historytest"
	"github.com/driftd/driftd/influx"
	"github.com/driftd/driftd/internal/influxtest"
)

// The same suite that the embedded store passes, in both query languages, against a real server.
func TestConformance(t *testing.T) {
	server := influxtest.Start(t, influxtest.Options{Flux: true})
	for _, lang := range []influx.Language{influx.InfluxQL, influx.Flux} {
		t.Run(string(lang), func(t *testing.T) {
			n := 0
			historytest.Run(t, func(t *testing.T) historytest.Store {
				n++
				bucket := fmt.Sprintf("%s-%d", lang, n)
				server.CreateBucket(bucket, 0)
				return suite(t, open(t, server, bucket, influx.Options{Language: lang}))
			})
		})
	}
}

func suite(t *testing.T, db *influx.DB) historytest.Store {
	return historytest.Store{ModelReader: db, WindowReader: db, QualityReader: db, VerdictReader: db, Write: func(ctx context.Context, docs []historytest.Document) error {
		refused, err := db.Write(ctx, documents(docs))
		if len(refused) > 0 {
			t.Errorf("refused: %+v", refused)
		}
		return err
	}}
}

func documents(docs []historytest.Document) []influx.Document {
	out := make([]influx.Document, 0, len(docs))
	for _, d := range docs {
		out = append(out, influx.Document(d))
	}
	return out
}

// open opens a bucket of a test's server.
func open(tb testing.TB, server *influxtest.Server, bucket string, o influx.Options) *influx.DB {
	tb.Helper()
	if o.URL == "" {
		o.URL = server.URL
	}
	o.Org, o.Bucket = server.Org, bucket
	if o.Token == nil && server.Token != "" {
		o.Token = func() (string, error) { return server.Token, nil }
	}
	db, err := influx.Open(o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := db.Close(); err != nil {
			tb.Error(err)
		}
	})
	return db
}
