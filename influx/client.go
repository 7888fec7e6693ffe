package influx

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	influxdb2 "github.com/influxdata/influxdb-client-go/v2"
	"github.com/influxdata/influxdb-client-go/v2/api"
	ihttp "github.com/influxdata/influxdb-client-go/v2/api/http"
)

// Language is the query language that answers the questions of package history.
type Language string

// The query languages. Every 1.x server has InfluxQL, every 2.x server Flux.
const (
	Auto     Language = "auto" // InfluxQL where the server is a 1.x, else Flux
	InfluxQL Language = "influxql"
	Flux     Language = "flux"
)

// Options of a DB.
type Options struct {
	URL    string // http or https, without credentials
	Org    string // empty: 1.8, which has none
	Bucket string // of 1.8: database or database/retention-policy
	// Token is asked for whenever a connection is set up, and again after a refusal, so that a rotated file needs no restart.
	// For 1.8 it is user:password. Nil: no authentication.
	Token    func() (string, error)
	TLS      *tls.Config   // nil: the system's authorities
	Timeout  time.Duration // of one request; 0: 10 s
	Lines    int           // lines in one request; 0: 5,000
	Bytes    int           // bytes in one request before compression; 0: 4 MiB
	NoGzip   bool          // sends bodies as they are
	Language Language      // empty: Auto
	// NoHistograms leaves the bins out: they are most of the series.
	NoHistograms bool
}

// DB is one bucket of an InfluxDB. Writes and queries may be called from several goroutines.
type DB struct {
	o       Options
	enc     *encoder
	http    *http.Client
	timeout time.Duration

	mu       sync.Mutex
	client   influxdb2.Client
	writer   api.WriteAPIBlocking
	token    string
	language Language
}

// Open prepares a DB. It asks the server nothing: a server that is away is no mistake of the configuration.
func Open(o Options) (*DB, error) {
	u, err := url.Parse(o.URL)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.User != nil {
		return nil, errors.New("opening InfluxDB: the address must be http://host:8086 or https://…, without user and password")
	}
	if o.Bucket == "" {
		return nil, errors.New("opening InfluxDB: no bucket is named")
	}
	if o.Timeout <= 0 {
		o.Timeout = 10 * time.Second
	}
	if o.Lines <= 0 {
		o.Lines = 5000
	}
	if o.Bytes <= 0 {
		o.Bytes = 4 << 20
	}
	if o.Language == "" {
		o.Language = Auto
	}
	enc, err := newEncoder(!o.NoHistograms)
	if err != nil {
		return nil, fmt.Errorf("opening InfluxDB: %w", err)
	}
	o.URL = strings.TrimRight(o.URL, "/")
	transport := &http.Transport{ //nolint:exhaustruct // the rest is the standard's
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         (&net.Dialer{Timeout: 5 * time.Second, KeepAlive: 30 * time.Second}).DialContext, //nolint:exhaustruct // the rest is the standard's
		TLSHandshakeTimeout: 5 * time.Second, TLSClientConfig: o.TLS, MaxIdleConnsPerHost: 8, IdleConnTimeout: 90 * time.Second,
		ForceAttemptHTTP2: true,
	}
	//nolint:exhaustruct // connected at the first use
	return &DB{o: o, enc: enc, http: &http.Client{Transport: transport, Timeout: o.Timeout}, timeout: o.Timeout}, nil //nolint:exhaustruct // the standard's
}

// Close releases the connections. The DB must not be used afterwards.
func (db *DB) Close() error {
	db.forget()
	db.http.CloseIdleConnections()
	return db.enc.zstd.Close()
}

// forget drops the client, so that the next use asks for the token again.
func (db *DB) forget() {
	db.mu.Lock()
	defer db.mu.Unlock()
	if db.client != nil {
		db.client.Close()
	}
	db.client, db.writer = nil, nil
}

// connect returns the client, and sets it up when there is none.
func (db *DB) connect() (influxdb2.Client, api.WriteAPIBlocking, error) {
	db.mu.Lock()
	defer db.mu.Unlock()
	if db.client != nil {
		return db.client, db.writer, nil
	}
	db.token = ""
	if db.o.Token != nil {
		token, err := db.o.Token()
		if err != nil {
			return nil, nil, &PausedError{Status: 0, Remedy: "put the token there", Err: err}
		}
		db.token = token
	}
	options := influxdb2.DefaultOptions().SetHTTPClient(db.http).SetUseGZip(!db.o.NoGzip).SetPrecision(time.Millisecond).
		SetLogLevel(0).SetApplicationName("driftd")
	db.client = influxdb2.NewClientWithOptions(db.o.URL, db.token, options)
	db.writer = db.client.WriteAPIBlocking(db.o.Org, db.o.Bucket) // not batching: that empties its batch before it is sent
	return db.client, db.writer, nil
}

// Version asks the server what it is, such as 1.8.10 or v2.7.12.
func (db *DB) Version(ctx context.Context) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, db.o.URL+"/ping", http.NoBody)
	if err != nil {
		return "", fmt.Errorf("asking InfluxDB for its version: %w", err)
	}
	resp, err := db.http.Do(req)
	if err != nil {
		return "", fmt.Errorf("asking InfluxDB for its version: %w", err)
	}
	if err := resp.Body.Close(); err != nil {
		return "", fmt.Errorf("asking InfluxDB for its version: %w", err)
	}
	return resp.Header.Get("X-Influxdb-Version"), nil
}

// old reports whether a version is a 1.x.
func old(version string) bool { return strings.HasPrefix(strings.TrimPrefix(version, "v"), "1.") }

// status returns the HTTP status of a client's error, 0 where the server gave none.
func status(err error) (*ihttp.Error, bool) {
	he, ok := errors.AsType[*ihttp.Error](err)
	return he, ok
}
