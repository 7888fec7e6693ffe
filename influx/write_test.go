package influx_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/driftd/driftd/history"
	"github.com/driftd/driftd/history/historytest"
	"github.com/driftd/driftd/influx"
	"github.com/driftd/driftd/internal/influxtest"
	"github.com/driftd/driftd/internal/testenv"
)

// points counts the points of a measurement.
func points(server *influxtest.Server, bucket, measurement string) int {
	return server.Count(bucket, measurement, influx.FieldResultID)
}

func results(tb testing.TB, from, to int) []influx.Document {
	tb.Helper()
	var docs []influx.Document
	for i := from; i < to; i++ {
		docs = append(docs, documents(historytest.Hourly(i).Documents(tb))...)
	}
	return docs
}

func mustWrite(tb testing.TB, db *influx.DB, docs []influx.Document) {
	tb.Helper()
	refused, err := db.Write(tb.Context(), docs)
	if err != nil || len(refused) > 0 {
		tb.Fatalf("Write = %v, refused %v", err, refused)
	}
}

func unavailable(tb testing.TB, what string, err error) *influx.UnavailableError {
	tb.Helper()
	u, ok := errors.AsType[*influx.UnavailableError](err)
	if !ok {
		tb.Fatalf("%s: got %v, want an UnavailableError", what, err)
	}
	return u
}

func paused(tb testing.TB, what string, err error, status int) {
	tb.Helper()
	p, ok := errors.AsType[*influx.PausedError](err)
	if !ok || p.Status != status || p.Remedy == "" {
		tb.Fatalf("%s: got %v, want a PausedError with status %d", what, err, status)
	}
}

func TestWriteIsIdempotent(t *testing.T) {
	server := influxtest.Start(t, influxtest.Options{})
	server.CreateBucket("b", 0)
	db := open(t, server, "b", influx.Options{Lines: 7})
	docs := results(t, 0, 5)
	for range 3 {
		mustWrite(t, db, docs)
	}
	// Five results of two documents of features and a summary; three features of twelve bins.
	for measurement, want := range map[string]int{
		influx.MeasurementSummary: 5, influx.MeasurementLatency: 5, influx.MeasurementDocument: 15, influx.MeasurementFeature: 15,
		influx.MeasurementHistogram: 180,
	} {
		if got := points(server, "b", measurement); got != want {
			t.Errorf("%s has %d points, want %d", measurement, got, want)
		}
	}
}

// One line that the server does not take costs that line alone; it comes back with its reason.
func TestPoisonLines(t *testing.T) {
	server := influxtest.Start(t, influxtest.Options{})
	server.CreateBucket("b", 0)
	db := open(t, server, "b", influx.Options{})
	// Somebody else wrote psi of f001 as a text, in the shard of the documents' time.
	foreign := fmt.Sprintf(`driftd_feature,feature=f001,model=other psi="high" %d`, historytest.Hour)
	if err := db.WriteLines(t.Context(), foreign); err != nil {
		t.Fatal(err)
	}
	refused, err := db.Write(t.Context(), append(results(t, 0, 2), influx.Document{ID: "x", Data: []byte(`{"schema":1,"type":"poem"}`)}))
	if err != nil {
		t.Fatal(err)
	}
	reasons := map[influx.Reason]int{}
	for _, r := range refused {
		reasons[r.Reason]++
		if r.ID == "" || r.Detail == "" || (r.Reason == influx.ReasonType && !strings.HasPrefix(r.Line, "driftd_feature,feature=")) {
			t.Errorf("a refusal without what it is about: %+v", r)
		}
	}
	// The field's type is the shard's: all six features of two results conflict, nothing else does.
	if reasons[influx.ReasonType] != 6 || reasons[influx.ReasonMalformed] != 1 || len(refused) != 7 {
		t.Errorf("refused %v, want 6 conflicts of type and a malformed document", reasons)
	}
	if got := points(server, "b", influx.MeasurementDocument); got != 6 {
		t.Errorf("%d documents are stored, want all 6", got)
	}
	if got := points(server, "b", influx.MeasurementHistogram); got != 72 {
		t.Errorf("%d bins are stored, want all 72", got)
	}
}

func TestBeyondRetention(t *testing.T) {
	server := influxtest.Start(t, influxtest.Options{})
	server.CreateBucket("b", 48*time.Hour)
	db := open(t, server, "b", influx.Options{})
	now := int(time.Now().UnixMilli() / historytest.Hour)
	old, recent := results(t, now-1000, now-990), results(t, now-10, now)
	refused, err := db.Write(t.Context(), slices.Concat(old, recent))
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range refused {
		if r.Reason != influx.ReasonRetention || !slices.ContainsFunc(old, func(d influx.Document) bool { return d.ID == r.ID }) {
			t.Errorf("refused %s for %s, want only what is beyond retention", r.ID, r.Reason)
		}
	}
	// A result has 2 lines of its summary, 3 of documents, 3 of features and 36 of bins.
	if len(refused) != 10*44 || points(server, "b", influx.MeasurementDocument) != 30 {
		t.Errorf("%d lines refused, %d documents stored; want 440 and 30", len(refused), points(server, "b", influx.MeasurementDocument))
	}
}

func TestTooLarge(t *testing.T) {
	if influxtest.New(t, influxtest.Options{}).Two {
		t.Log("2.7 has no bound on a body")
		return
	}
	server := influxtest.Start(t, influxtest.Options{MaxBody: 4096})
	server.CreateBucket("b", 0)
	db := open(t, server, "b", influx.Options{NoGzip: true})
	mustWrite(t, db, results(t, 0, 20)) // in one request: 413, and halved until it fits
	if got := points(server, "b", influx.MeasurementHistogram); got != 720 {
		t.Errorf("%d bins are stored, want 720", got)
	}
	big := historytest.Hourly(30)
	big.Names = []string{strings.Repeat("x", 5000)}
	refused, err := db.Write(t.Context(), documents(big.Documents(t)))
	if err != nil || len(refused) == 0 {
		t.Fatalf("Write = %v, refused %d lines; want those that are too large alone", err, len(refused))
	}
	for _, r := range refused {
		if r.Reason != influx.ReasonTooLarge {
			t.Errorf("refused for %s, want too_large: %s", r.Reason, r.Detail)
		}
	}
}

// A token that the server does not know stops everything and loses nothing; a corrected file is read without a restart.
func TestWrongTokenThenRight(t *testing.T) {
	server := influxtest.Start(t, influxtest.Options{Auth: true})
	server.CreateBucket("b", 0)
	var token atomic.Pointer[string]
	token.Store(new("nobody:wrong"))
	db := open(t, server, "b", influx.Options{Token: func() (string, error) { return *token.Load(), nil }})
	_, err := db.Write(t.Context(), results(t, 0, 1))
	paused(t, "a wrong token", err, http.StatusUnauthorized)
	if strings.Contains(err.Error(), "wrong") {
		t.Errorf("the message shows the secret: %v", err)
	}
	token.Store(&server.Token)
	mustWrite(t, db, results(t, 0, 1))
	unreadable := open(t, server, "b", influx.Options{Token: func() (string, error) { return "", errors.New("reading secret: no such file") }})
	_, err = unreadable.Write(t.Context(), results(t, 0, 1))
	paused(t, "no token file", err, 0)
}

func TestBucketDeletedWhileRunning(t *testing.T) {
	server := influxtest.Start(t, influxtest.Options{})
	db := open(t, server, "b", influx.Options{})
	_, err := db.Write(t.Context(), results(t, 0, 1))
	paused(t, "no bucket", err, http.StatusNotFound)
	server.CreateBucket("b", 0)
	mustWrite(t, db, results(t, 0, 1))
	server.DropBucket("b")
	_, err = db.Write(t.Context(), results(t, 1, 2))
	paused(t, "a deleted bucket", err, http.StatusNotFound)
	server.CreateBucket("b", 0)
	mustWrite(t, db, results(t, 0, 2))
	if got := points(server, "b", influx.MeasurementSummary); got != 2 {
		t.Errorf("%d summaries, want 2", got)
	}
}

// The disk is full: the server cannot extend its files. It says so or breaks the connection; what it did not confirm is
// written again once there is room, and nothing is missing.
func TestDiskFull(t *testing.T) {
	if _, err := exec.LookPath("prlimit"); err != nil {
		testenv.Missing(t, "prlimit (util-linux)")
	}
	server := influxtest.Start(t, influxtest.Options{})
	server.CreateBucket("b", 0)
	db := open(t, server, "b", influx.Options{})
	mustWrite(t, db, results(t, 0, 10))
	limit := func(bytes string) {
		t.Helper()
		if out, err := exec.Command("prlimit", "--pid", strconv.Itoa(server.PID()), "--fsize="+bytes+":unlimited").CombinedOutput(); err != nil {
			t.Fatalf("prlimit: %v: %s", err, out)
		}
	}
	limit("4096")
	docs := results(t, 10, 200)
	var failed error
	for i := 0; i < len(docs) && failed == nil; i += 30 {
		_, failed = db.Write(t.Context(), docs[i:min(i+30, len(docs))])
	}
	_ = unavailable(t, "a full disk", failed)
	server.Kill() // it may have ended by itself
	server.Start()
	mustWrite(t, db, docs)
	if got := points(server, "b", influx.MeasurementDocument); got != 600 {
		t.Errorf("%d documents are stored, want 600", got)
	}
}

// overloaded stands between driftd and a real server, and answers 503 or 429 to some writes.
func overloaded(tb testing.TB, server *influxtest.Server, answer func() (status int, after string)) string {
	tb.Helper()
	target, err := url.Parse(server.URL)
	if err != nil {
		tb.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(target)
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/write") {
			if status, after := answer(); status != 0 {
				w.Header().Set("Retry-After", after)
				http.Error(w, `{"code":"unavailable","message":"busy"}`, status)
				return
			}
		}
		proxy.ServeHTTP(w, r)
	}))
	tb.Cleanup(front.Close)
	return front.URL
}

func TestRetryAfter(t *testing.T) {
	server := influxtest.Start(t, influxtest.Options{})
	server.CreateBucket("b", 0)
	var status atomic.Int64
	db := open(t, server, "b", influx.Options{URL: overloaded(t, server, func() (int, string) { return int(status.Load()), "17" })})
	for _, code := range []int{http.StatusTooManyRequests, http.StatusServiceUnavailable} {
		status.Store(int64(code))
		_, err := db.Write(t.Context(), results(t, 0, 1))
		if u := unavailable(t, http.StatusText(code), err); u.After != 17*time.Second {
			t.Errorf("%d with Retry-After: 17 says %v", code, u.After)
		}
	}
	status.Store(0)
	mustWrite(t, db, results(t, 0, 1))
}

// A clock that is wrong on either side matters to nothing: times are event times. The far future and the past are kept.
func TestClockSkew(t *testing.T) {
	server := influxtest.Start(t, influxtest.Options{})
	server.CreateBucket("b", 0)
	db := open(t, server, "b", influx.Options{})
	var docs []influx.Document
	for _, start := range []int64{-30 * 365 * 24, 0, 60 * 365 * 24} { // 1940, 1970, 2029
		w := historytest.Hourly(0)
		w.Start = start * historytest.Hour
		docs = append(docs, documents(w.Documents(t))...)
	}
	mustWrite(t, db, docs)
	list, err := db.Windows(t.Context(), history.WindowsQuery{Series: history.Series{Model: "credit"}})
	if err != nil || len(list.Summaries) != 3 {
		t.Errorf("%d windows are read back, want 3: %v", len(list.Summaries), err)
	}
	w := historytest.Hourly(0)
	w.Start = 400 * 365 * 24 * historytest.Hour // 2369: InfluxDB ends in 2262
	refused, err := db.Write(t.Context(), documents(w.Documents(t)))
	if err != nil || len(refused) != 3 || refused[0].Reason != influx.ReasonMalformed {
		t.Errorf("a window in 2369: %v, %v; want it refused", refused, err)
	}
}

// The outage: writers under load, the server killed with -9 in the middle of writes, several times, and away for a while.
// Whatever was confirmed is there; whatever was not is written again; in the end nothing is missing and nothing double.
func TestKilledInTheMiddleOfWrites(t *testing.T) {
	const (
		all   = 600 // results, of three documents and 44 points
		batch = 20
	)
	server := influxtest.Start(t, influxtest.Options{})
	server.CreateBucket("b", 0)
	db := open(t, server, "b", influx.Options{Timeout: 5 * time.Second})
	var next, done, repeated atomic.Int64
	var wg sync.WaitGroup
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	for range 3 {
		wg.Go(func() {
			for {
				from := int(next.Add(batch)) - batch
				if from >= all {
					return
				}
				docs := results(t, from, from+batch)
				for ctx.Err() == nil {
					refused, err := db.Write(ctx, docs)
					if len(refused) > 0 {
						t.Errorf("refused: %+v", refused[0])
					}
					if err == nil {
						done.Add(batch)
						break
					}
					repeated.Add(1)
					select { // the sink of package app backs off longer
					case <-ctx.Done():
					case <-time.After(20 * time.Millisecond):
					}
				}
			}
		})
	}
	for kill := int64(1); kill <= 3; kill++ {
		testenv.Eventually(t, 60*time.Second, "writes go on", func() bool { return done.Load() >= kill*all/5 })
		server.Kill()
		was := repeated.Load()
		testenv.Eventually(t, 60*time.Second, "writes fail", func() bool { return repeated.Load() > was+3 })
		server.Start()
	}
	wg.Wait()
	committed := 0
	missing := 0
	stored := map[string]string{}
	if err := db.EachDocument(t.Context(), "credit", func(d influx.Document) error {
		stored[d.ID] = string(d.Data)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	for _, d := range results(t, 0, all) {
		committed++
		if stored[d.ID] != string(d.Data) {
			missing++
		}
	}
	written := points(server, "b", influx.MeasurementDocument)
	bins := points(server, "b", influx.MeasurementHistogram)
	t.Logf("3 kills, %d writes repeated: %d documents committed, %d written, %d missing, %d double; %d bins", repeated.Load(), committed, written,
		missing, written-committed, bins)
	if missing != 0 || written != committed || bins != all*36 {
		t.Errorf("committed %d, written %d, missing %d, bins %d of %d", committed, written, missing, bins, all*36)
	}
}
