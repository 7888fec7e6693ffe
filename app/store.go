package app

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/driftd/driftd/config"
	"github.com/driftd/driftd/influx"
	"github.com/driftd/driftd/internal/secret"
	"github.com/driftd/driftd/store"
	"github.com/driftd/driftd/web"
)

// influxConsumer is the outbox's consumer for InfluxDB. Daemons that share a broker share it: each result is written once.
const influxConsumer = "driftd-influxdb"

// document is a committed document on its way to a store: its message id and its bytes.
type document struct {
	id   string
	data []byte
}

// target is a store as the sink needs it.
type target interface {
	// write stores documents, all of them but those that it returns: a store will never take those. After an error nothing is
	// known; writing again is harmless.
	write(ctx context.Context, docs []document) ([]influx.Refusal, error)
	// check says why the store takes nothing, before there is anything to write.
	check(ctx context.Context) error
}

// embedded is the SQLite store as a target.
type embedded struct{ s *store.Store }

func (e embedded) write(ctx context.Context, docs []document) ([]influx.Refusal, error) {
	all := make([]store.Document, 0, len(docs))
	for _, d := range docs {
		all = append(all, store.Document{ID: d.id, Data: d.data})
	}
	err := e.s.Write(ctx, all)
	bad, isBad := errors.AsType[*store.DocumentError](err)
	switch {
	case err == nil:
		return nil, nil
	case !isBad:
		return nil, err
	case len(docs) == 1:
		reason := influx.ReasonMalformed
		if errors.Is(err, store.ErrConflict) {
			reason = influx.ReasonConflict
		}
		return []influx.Refusal{{ID: bad.ID, Reason: reason, Detail: bad.Detail, Line: ""}}, nil
	}
	var refused []influx.Refusal
	for i := range docs { // one transaction takes all or nothing: the others are stored one by one
		more, err := e.write(ctx, docs[i:i+1])
		if err != nil {
			return nil, err
		}
		refused = append(refused, more...)
	}
	return refused, nil
}

func (embedded) check(context.Context) error { return nil }

// bucket is an InfluxDB as a target.
type bucket struct {
	db     *influx.DB
	health func() []influx.Health
}

// check writes a sample of driftd's own health: what proves that writing works, and is worth writing.
func (b bucket) check(ctx context.Context) error {
	now := time.Now().UnixMilli()
	samples := b.health()
	if len(samples) == 0 {
		samples = []influx.Health{{}} //nolint:exhaustruct // nothing runs yet: position 0
	}
	lines := make([]string, 0, len(samples))
	for _, h := range samples {
		lines = append(lines, h.Line(now))
	}
	return b.db.WriteLines(ctx, lines...)
}

// sampleEvery is how often a sample of driftd's health is written.
const sampleEvery = 30 * time.Second

// sample writes driftd's health now and then while InfluxDB answers. A sample is no result: one that fails is left out.
func (a *App) sample(ctx context.Context) error {
	if a.influx == nil {
		<-ctx.Done()
		return nil
	}
	tick := time.NewTicker(sampleEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if a.sink.why() != "" {
			continue
		}
		if err := a.sink.to.check(ctx); err != nil {
			a.log.Debug("writing a sample of driftd's health", slog.Any("err", err))
		}
	}
}

// pipelineHealth samples the partitions that this daemon owns.
func (a *App) pipelineHealth() []influx.Health {
	refused := uint64(0)
	for _, n := range a.sink.refusals() {
		refused += n
	}
	snapshots := a.snapshots()
	out := make([]influx.Health, 0, len(snapshots))
	for _, snap := range snapshots {
		s := &snap.Stats
		h := influx.Health{
			Partition: snap.Partition, Lag: max(snap.Last, snap.Position.Seq) - snap.Position.Seq, Position: snap.Position.Seq, Commits: snap.Commits,
			Messages: s.Messages, Dead: 0, Late: s.Late, Lost: s.Lost, Pending: a.sink.pending.Load(), Refused: refused,
		}
		for _, n := range s.Rejected {
			h.Dead += n
		}
		out = append(out, h)
	}
	return out
}

func (b bucket) write(ctx context.Context, docs []document) ([]influx.Refusal, error) {
	all := make([]influx.Document, 0, len(docs))
	for _, d := range docs {
		all = append(all, influx.Document{ID: d.id, Data: d.data})
	}
	return b.db.Write(ctx, all)
}

// StorePath is where a data directory has its embedded store.
func StorePath(dataDir string) string { return filepath.Join(dataDir, "store.db") }

// OpenInfluxDB prepares the InfluxDB of a configuration. It asks the server nothing.
func OpenInfluxDB(c config.InfluxDB) (*influx.DB, error) {
	o := influx.Options{
		URL: c.URL, Org: c.Org, Bucket: c.Bucket, Token: nil, TLS: nil, Timeout: c.Timeout.Std(), Lines: c.BatchLines, Bytes: int(c.BatchBytes),
		NoGzip: !c.Gzip, Language: influx.Language(c.Query), NoHistograms: !c.Histograms,
	}
	if c.TokenFile != "" {
		o.Token = func() (string, error) {
			token, err := secret.ReadFile(c.TokenFile)
			return token.Reveal(), err
		}
	}
	var err error
	if o.TLS, err = tlsOf(c.TLS); err != nil {
		return nil, err
	}
	return influx.Open(o)
}

// tlsOf reads the certificates of a connection; nil where none is named.
func tlsOf(c config.TLS) (*tls.Config, error) {
	if c == (config.TLS{CAFile: "", CertFile: "", KeyFile: ""}) {
		return nil, nil //nolint:nilnil // the standard's configuration
	}
	out := &tls.Config{MinVersion: tls.VersionTLS12} //nolint:exhaustruct // the rest is the standard's
	if c.CAFile != "" {
		pem, err := os.ReadFile(c.CAFile)
		if err != nil {
			return nil, fmt.Errorf("reading store.influxdb.tls.ca_file: %w", err)
		}
		out.RootCAs = x509.NewCertPool()
		if !out.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("reading store.influxdb.tls.ca_file: %s holds no certificate in PEM", c.CAFile)
		}
	}
	if c.CertFile != "" {
		pair, err := tls.LoadX509KeyPair(c.CertFile, c.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("reading store.influxdb.tls.cert_file: %w", err)
		}
		out.Certificates = []tls.Certificate{pair}
	}
	return out, nil
}

// openStore opens where results go, and what the page reads.
func (a *App) openStore(ctx context.Context) error {
	c := a.config.Store
	var reader web.Reader
	var to target
	durable := storeConsumer
	if c.Type == "influxdb" {
		db, err := OpenInfluxDB(c.InfluxDB)
		if err != nil {
			return err
		}
		a.onClose("InfluxDB", db.Close)
		reader, to, durable, a.influx = db, bucket{db, a.pipelineHealth}, influxConsumer, db
	} else {
		s, err := store.Open(ctx, StorePath(a.config.DataDir), store.Options{Retention: c.Retention.Std(), Logger: a.log})
		if err != nil {
			return err
		}
		a.onClose("the store", s.Close)
		reader, to = s, embedded{s}
		if a.embedded == nil {
			durable += "-" + a.node // daemons that share a broker have a store each, and each needs all results
		}
	}
	a.reader = reader
	a.sink = newSink(a.js, durable, to, a.log)
	return nil
}
