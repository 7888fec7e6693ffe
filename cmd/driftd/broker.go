package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/driftd/driftd/broker"
	"github.com/driftd/driftd/config"
)

const (
	defaultDataDir = "./driftd-data"
	connectTimeout = 10 * time.Second // a broker that is starting is waited for
	recordTimeout  = 3 * time.Second  // a daemon writes its record when its broker is ready: one that does not answer is gone
)

// findBroker is how a command that is not the daemon reaches its broker.
const findBroker = `The broker is the one of --url; else that of --config; else that of the daemon that recorded itself in --data-dir.
Credentials come from --config or from that record, so that neither needs to stand on the command line.`

// target holds the flags that say where the broker is.
type target struct{ url, config, dataDir string }

func targetFlags(fs *flag.FlagSet) *target {
	t := &target{}
	fs.StringVar(&t.url, "url", "", "`URL`: address of the broker, such as nats://127.0.0.1:4222")
	fs.StringVar(&t.config, "config", "", "`FILE`: a driftd.yaml with the broker and its credentials")
	fs.StringVar(&t.dataDir, "data-dir", "",
		"`DIR`: data directory of a running daemon, whose record says where the broker is (default "+defaultDataDir+")")
	return t
}

// link is a connection to a broker that driftd can use.
type link struct {
	nc         *nats.Conn
	js         jetstream.JetStream
	cfg        *config.Config // of --config, or the defaults
	configured bool           // by --config
}

func (l *link) close() { l.nc.Close() }

// connect finds the broker, connects to it, and refuses one that is too old.
func (t *target) connect(ctx context.Context) (*link, error) {
	cfg := config.Default()
	if t.config != "" {
		var err error
		if cfg, err = loadConfig(t.config); err != nil {
			return nil, err
		}
	}
	found, err := t.find(cfg)
	if err != nil {
		return nil, err
	}
	found.Name = "driftd command line"
	dial, cancel := context.WithTimeout(ctx, found.timeout)
	defer cancel()
	nc, err := broker.Connect(dial, found.ConnectOptions)
	if err != nil {
		return nil, fmt.Errorf("%s (the address is from %s)", plainText(err.Error()), found.origin)
	}
	if err := broker.CheckServer(dial, nc); err != nil {
		nc.Close()
		return nil, err
	}
	js, err := jetstream.New(nc)
	if err != nil {
		nc.Close()
		return nil, fmt.Errorf("opening JetStream: %w", err)
	}
	return &link{nc: nc, js: js, cfg: cfg, configured: t.config != ""}, nil
}

// found is how to connect, and which of the three ways said so.
type found struct {
	broker.ConnectOptions
	origin  string
	timeout time.Duration
}

func (t *target) find(cfg *config.Config) (found, error) {
	dir := t.dataDir
	if dir == "" {
		dir = cfg.DataDir
	}
	record, err := broker.ReadRuntime(dir)
	recorded := found{broker.ConnectOptions{URL: record.URL, Token: record.Token}, "", recordTimeout}
	switch {
	case t.url != "" && t.config == "" && err == nil && sameAddress(t.url, record.URL):
		recorded.origin = "--url, the credentials from " + dir
		return recorded, nil
	case t.url != "":
		opts := connectOptions(&cfg.NATS)
		opts.URL = t.url
		return found{opts, "--url", connectTimeout}, nil
	case cfg.NATS.URL != "":
		return found{connectOptions(&cfg.NATS), "--config", connectTimeout}, nil
	case err == nil:
		recorded.origin = fmt.Sprintf("%s, where process %d left it: does it still run?", dir, record.PID)
		if record.Token == "" {
			recorded.origin = dir + ", which has no credentials for a broker of your own: give --config"
		}
		return recorded, nil
	case errors.Is(err, broker.ErrNoRuntime):
		return found{}, usageError("no broker is known: give --url nats://host:port, or --config FILE with nats.url, "+
			"or the --data-dir of a running `driftd run` (there is no record of one in %s)", dir)
	default:
		return found{}, inputError(err)
	}
}

func sameAddress(a, b string) bool {
	bare := func(s string) string { return strings.TrimSuffix(strings.TrimPrefix(s, "nats://"), "/") }
	return bare(a) == bare(b)
}

func connectOptions(n *config.NATS) broker.ConnectOptions {
	return broker.ConnectOptions{
		URL: n.URL, CredentialsFile: n.CredentialsFile, NKeyFile: n.NKeyFile, User: n.User, PasswordFile: n.PasswordFile, TokenFile: n.TokenFile,
		TLS: broker.TLS{CAFile: n.TLS.CAFile, CertFile: n.TLS.CertFile, KeyFile: n.TLS.KeyFile},
	}
}
