package app

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/driftd/driftd/broker"
	"github.com/driftd/driftd/broker/brokertest"
	"github.com/driftd/driftd/config"
	"github.com/driftd/driftd/history/historytest"
	"github.com/driftd/driftd/influx"
	"github.com/driftd/driftd/internal/influxtest"
	"github.com/driftd/driftd/internal/testenv"
	"github.com/driftd/driftd/journal"
)

// The path of a result from the outbox to a confirmed write, and beside it, in the same run against the same server, the same
// lines sent as they are. The ratio is what decoding, encoding, acknowledging and compressing cost.
func BenchmarkInfluxSink(b *testing.B) {
	const windows, features = 200, 20
	server := influxtest.Start(b, influxtest.Options{})
	var docs []historytest.Document
	for i := range windows {
		w := historytest.Hourly(i)
		w.Features, w.PerPart = features, features
		docs = append(docs, w.Documents(b)...)
	}
	points := windows * (4 + features*13) // summary, latency, two documents; a feature and its twelve bins
	var raw [][]byte
	capture := recordWrites(b, server.URL, &raw)
	server.CreateBucket("captured", 0)
	through(b, benchOutbox(b, docs), server, capture, "captured", len(docs)) // once, to know the lines
	var path, baseline time.Duration
	n := 0
	for b.Loop() {
		b.StopTimer()
		bucket := fmt.Sprintf("bench%d", n)
		server.CreateBucket(bucket, 0)
		server.CreateBucket(bucket+"raw", 0)
		js := benchOutbox(b, docs)
		lines := func() {
			began := time.Now()
			for _, body := range raw {
				post(b, server, bucket+"raw", body)
			}
			baseline += time.Since(began)
		}
		if n%2 == 0 { // in turns: the server tidies up behind each
			lines()
		}
		b.StartTimer()
		began := time.Now()
		through(b, js, server, server.URL, bucket, len(docs))
		path += time.Since(began)
		b.StopTimer()
		if n%2 == 1 {
			lines()
		}
		for _, name := range []string{bucket, bucket + "raw"} {
			if got := server.Count(name, influx.MeasurementHistogram, influx.FieldResultID); got != windows*features*12 {
				b.Fatalf("%d bins are stored in %s, want %d", got, name, windows*features*12)
			}
		}
		n++
		b.StartTimer()
	}
	b.ReportMetric(float64(n*points)/path.Seconds(), "points/s")
	b.ReportMetric(float64(n*points)/baseline.Seconds(), "raw-points/s")
	b.ReportMetric(baseline.Seconds()/path.Seconds(), "of-raw")
}

// benchOutbox returns a broker whose outbox holds the documents.
func benchOutbox(b *testing.B, docs []historytest.Document) jetstream.JetStream {
	b.Helper()
	e, err := broker.StartEmbedded(broker.EmbeddedOptions{StoreDir: b.TempDir(), Port: -1})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(e.Shutdown)
	_, js := brokertest.Connect(b, e.URL(), e.Token())
	if err := journal.EnsureStreams(b.Context(), js, journal.Layout{}.Fit(e.StoreLimit())); err != nil {
		b.Fatal(err)
	}
	for _, d := range docs {
		m := nats.NewMsg("driftd.result.credit")
		m.Data = d.Data
		m.Header.Set(jetstream.MsgIDHeader, d.ID)
		if _, err := js.PublishMsgAsync(m); err != nil {
			b.Fatal(err)
		}
	}
	<-js.PublishAsyncComplete()
	return js
}

// through runs the daemon's sink until everything in the outbox is confirmed.
func through(b *testing.B, js jetstream.JetStream, server *influxtest.Server, url, bucket string, want int) {
	b.Helper()
	c := config.Default().Store.InfluxDB
	c.URL, c.Org, c.Bucket = url, server.Org, bucket
	db, err := OpenInfluxDB(c)
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	s := newSink(js, influxConsumer, bucketOf(db), quiet())
	part := start(b.Context(), func(error) {}, "the sink", s.Run)
	testenv.Eventually(b, 2*time.Minute, "everything is stored", func() bool { return s.written.Load() >= uint64(want) })
	if err := part.stop(); err != nil {
		b.Fatal(err)
	}
}

func post(b *testing.B, server *influxtest.Server, bucket string, body []byte) {
	b.Helper()
	req, err := http.NewRequestWithContext(b.Context(), http.MethodPost, server.URL+"/api/v2/write?precision=ms&org="+server.Org+"&bucket="+bucket,
		strings.NewReader(string(body)))
	if err != nil {
		b.Fatal(err)
	}
	req.Header.Set("Content-Encoding", "gzip")
	req.Header.Set("Authorization", "Token "+server.Token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		b.Fatal(err)
	}
	if resp.Body.Close() != nil || resp.StatusCode != http.StatusNoContent {
		b.Fatalf("writing lines: %s", resp.Status)
	}
}

// recordWrites stands before the server and keeps the compressed bodies of writes, but for the samples of health.
func recordWrites(b *testing.B, server string, into *[][]byte) string {
	b.Helper()
	target, err := url.Parse(server)
	if err != nil {
		b.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(target)
	var mu sync.Mutex
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		if strings.HasSuffix(r.URL.Path, "/write") {
			mu.Lock()
			*into = append(*into, body)
			mu.Unlock()
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		proxy.ServeHTTP(w, r)
	}))
	b.Cleanup(front.Close)
	return front.URL
}

func bucketOf(db *influx.DB) bucket {
	return bucket{db, func() []influx.Health { return nil }}
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }
