// Package broker gives driftd its NATS JetStream server: the one it embeds, or a connection to somebody else's. It knows
// addresses, credentials, versions and nothing of what is stored there (packages journal and ingest do).
//
// The embedded broker is the same server in process, with file storage, so one machine and a cluster run the same code.
package broker

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

const (
	defaultHost       = "127.0.0.1"
	defaultPort       = 4222
	defaultMaxPayload = 8 << 20
	readyTimeout      = 30 * time.Second // a store of many gigabytes is recovered before the server is ready

	lockFile  = "driftd.lock"
	tokenFile = "driftd.token"
)

// EmbeddedSyncInterval is how long the embedded broker may take to bring what it acknowledged to the disk, without SyncAlways.
// It is the server's own default.
const EmbeddedSyncInterval = 2 * time.Minute

// EmbeddedOptions configures the embedded broker. Only StoreDir is required.
type EmbeddedOptions struct {
	StoreDir   string       // directory of the streams; created with mode 0700 if absent
	Host       string       // address to listen on; default 127.0.0.1
	Port       int          // default 4222; a free one is taken if it is occupied. -1: any free port
	Token      string       // secret of every client; empty: the one kept in StoreDir, generated on first start
	MaxPayload int          // largest message in bytes; default 8 MiB
	MaxStore   int64        // bytes that the streams may reserve; 0: 75 % of what the disk has free
	SyncAlways bool         // fsync before every acknowledgement: survives power loss, about 50 times slower
	Logger     *slog.Logger // warnings and errors of the server; nil discards them
}

// Embedded is a running embedded broker.
type Embedded struct {
	srv   *server.Server
	token string
	lock  *dirLock
	once  sync.Once
}

// InUseError says that another process holds a store directory.
type InUseError struct {
	Dir string
	PID int // 0 if unknown
}

func (e *InUseError) Error() string {
	who := "another process"
	if e.PID > 0 {
		who = "process " + strconv.Itoa(e.PID)
	}
	return fmt.Sprintf("directory %s is in use by %s: stop it, connect to it with --url, or choose another --data-dir", e.Dir, who)
}

// StartEmbedded starts a JetStream server on loopback and returns when it accepts clients. Two processes never share a
// store directory: the second one gets *InUseError.
func StartEmbedded(opts EmbeddedOptions) (*Embedded, error) {
	if opts.StoreDir == "" {
		return nil, errors.New("starting embedded broker: no store directory is given")
	}
	if opts.Host == "" {
		opts.Host = defaultHost
	}
	if opts.Port == 0 {
		opts.Port = defaultPort
	}
	if opts.MaxPayload == 0 {
		opts.MaxPayload = defaultMaxPayload
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	if err := os.MkdirAll(opts.StoreDir, 0o700); err != nil {
		return nil, fmt.Errorf("creating store directory: %w", err)
	}
	lock, err := lockDir(opts.StoreDir)
	if err != nil {
		return nil, err
	}
	e, err := startLocked(opts)
	if err != nil {
		return nil, errors.Join(err, lock.release())
	}
	e.lock = lock
	return e, nil
}

func startLocked(opts EmbeddedOptions) (*Embedded, error) {
	token, err := storeToken(opts.StoreDir, opts.Token)
	if err != nil {
		return nil, err
	}
	so := &server.Options{
		ServerName:            "driftd",
		Host:                  opts.Host,
		Port:                  choosePort(opts.Host, opts.Port),
		Authorization:         token,
		MaxPayload:            int32(min(opts.MaxPayload, server.MAX_PAYLOAD_MAX_SIZE*8)),
		JetStream:             true,
		StoreDir:              opts.StoreDir,
		JetStreamMaxStore:     opts.MaxStore,
		SyncAlways:            opts.SyncAlways,
		SyncInterval:          EmbeddedSyncInterval,
		NoSigs:                true,
		DisableShortFirstPing: true,
	}
	srv, err := server.NewServer(so)
	if err != nil {
		return nil, fmt.Errorf("starting embedded broker: %w", err)
	}
	log := &serverLog{log: opts.Logger, secret: token}
	srv.SetLoggerV2(log, false, false, false)
	srv.Start()
	if !srv.ReadyForConnections(readyTimeout) {
		srv.Shutdown()
		srv.WaitForShutdown()
		if why := log.lastFatal(); why != "" {
			return nil, fmt.Errorf("starting embedded broker: %s", why)
		}
		return nil, fmt.Errorf("starting embedded broker: not ready within %v", readyTimeout)
	}
	return &Embedded{srv: srv, token: token}, nil
}

// URL returns the address of the broker, without the token.
func (e *Embedded) URL() string { return e.srv.ClientURL() }

// Token returns the secret that a client must present.
func (e *Embedded) Token() string { return e.token }

// StoreLimit returns how many bytes the streams of this broker may reserve together.
func (e *Embedded) StoreLimit() int64 {
	if c := e.srv.JetStreamConfig(); c != nil {
		return c.MaxStore
	}
	return 0
}

// Shutdown stops the broker, waits until its store is closed, and releases the store directory. It may be called again.
func (e *Embedded) Shutdown() {
	e.once.Do(func() {
		e.srv.Shutdown()
		e.srv.WaitForShutdown()
		_ = e.lock.release() // the lock dies with the process anyway
	})
}

// choosePort returns port if it can be bound now, else the value that makes the server take a free one.
func choosePort(host string, port int) int {
	if port < 0 {
		return server.RANDOM_PORT
	}
	var lc net.ListenConfig
	l, err := lc.Listen(context.Background(), "tcp", net.JoinHostPort(host, strconv.Itoa(port))) // binding does not wait
	if err != nil {
		return server.RANDOM_PORT
	}
	_ = l.Close()
	return port
}

// storeToken keeps a generated token in the store directory, so that clients survive a restart of the broker.
func storeToken(dir, given string) (string, error) {
	if given != "" {
		return given, nil
	}
	path := filepath.Join(dir, tokenFile)
	b, err := os.ReadFile(path)
	if err == nil {
		if t := strings.TrimSpace(string(b)); t != "" {
			return t, nil
		}
	} else if !errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("reading broker token: %w", err)
	}
	raw := make([]byte, 24)
	if _, err := rand.Read(raw); err != nil {
		return "", fmt.Errorf("generating broker token: %w", err)
	}
	token := hex.EncodeToString(raw)
	if err := writeFileAtomic(path, []byte(token+"\n")); err != nil {
		return "", fmt.Errorf("writing broker token: %w", err)
	}
	return token, nil
}

// writeFileAtomic writes a file of mode 0600 so that a reader sees the old or the new bytes, never a part.
func writeFileAtomic(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*") // mode 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }() // absent after the rename
	if _, err := f.Write(data); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
