package broker_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/driftd/driftd/broker"
	"github.com/driftd/driftd/broker/brokertest"
	"github.com/driftd/driftd/internal/testenv"
)

func deadline(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func TestEmbeddedKeepsStreamsAndTokenOverRestart(t *testing.T) {
	dir := t.TempDir()
	e, err := broker.StartEmbedded(broker.EmbeddedOptions{StoreDir: dir, Port: -1})
	if err != nil {
		t.Fatal(err)
	}
	token := e.Token()
	if len(token) != 48 {
		t.Errorf("token has %d characters, want 48 (24 random bytes in hex)", len(token))
	}
	ctx := deadline(t)
	nc, js := brokertest.Connect(t, e.URL(), token)
	if err := broker.CheckServer(ctx, nc); err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: "S", Subjects: []string{"s"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := js.Publish(ctx, "s", []byte("kept")); err != nil {
		t.Fatal(err)
	}
	brokertest.CloseAndWait(nc)
	e.Shutdown()
	e.Shutdown() // again is harmless

	e = brokertest.Start(t, dir)
	if e.Token() != token {
		t.Error("the generated token changed over a restart: connected clients would be locked out")
	}
	_, js = brokertest.Connect(t, e.URL(), token)
	s, err := js.Stream(ctx, "S")
	if err != nil {
		t.Fatal(err)
	}
	if m, err := s.GetMsg(ctx, 1); err != nil || string(m.Data) != "kept" {
		t.Errorf("message 1 = %v, %v", m, err)
	}
}

func TestEmbeddedRefusesSharedDirectory(t *testing.T) {
	dir := t.TempDir()
	brokertest.Start(t, dir)
	_, err := broker.StartEmbedded(broker.EmbeddedOptions{StoreDir: dir, Port: -1})
	var inUse *broker.InUseError
	if !errors.As(err, &inUse) || inUse.PID != os.Getpid() {
		t.Fatalf("second start = %v, want *InUseError with this process", err)
	}
}

func TestEmbeddedTakesFreePort(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	port := l.Addr().(*net.TCPAddr).Port
	e, err := broker.StartEmbedded(broker.EmbeddedOptions{StoreDir: t.TempDir(), Port: port})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Shutdown()
	if strings.HasSuffix(e.URL(), ":"+strconv.Itoa(port)) {
		t.Errorf("URL %s is on the occupied port", e.URL())
	}
	brokertest.Connect(t, e.URL(), e.Token())
}

func TestEmbeddedCarriesLargeMessages(t *testing.T) {
	e := brokertest.Start(t, "")
	nc, _ := brokertest.Connect(t, e.URL(), e.Token())
	if nc.MaxPayload() != 8<<20 {
		t.Errorf("max payload = %d, want 8 MiB", nc.MaxPayload())
	}
}

func TestConnectRefusedCredentialsFailAtOnceWithoutSecrets(t *testing.T) {
	const secret = "s3cr3t-s3cr3t"
	e := brokertest.Start(t, "")
	host := strings.TrimPrefix(e.URL(), "nats://")
	tokenFile := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(tokenFile, []byte(secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, opts := range map[string]broker.ConnectOptions{
		"token":         {URL: e.URL(), Token: secret},
		"token file":    {URL: e.URL(), TokenFile: tokenFile},
		"password":      {URL: e.URL(), User: "u", PasswordFile: tokenFile},
		"in url":        {URL: "nats://u:" + secret + "@" + host},
		"bad url":       {URL: "nats://u:" + secret + "@" + host + ":x:y"},
		"scheme":        {URL: "http://u:" + secret + "@" + host},
		"two kinds":     {URL: e.URL(), Token: secret, TokenFile: tokenFile},
		"missing file":  {URL: e.URL(), TokenFile: tokenFile + "-absent"},
		"lonely user":   {URL: e.URL(), User: "u"},
		"lonely cert":   {URL: e.URL(), TLS: broker.TLS{CertFile: tokenFile}},
		"missing CA":    {URL: e.URL(), Token: e.Token(), TLS: broker.TLS{CAFile: tokenFile + "-absent"}},
		"missing creds": {URL: e.URL(), CredentialsFile: tokenFile + "-absent"},
		"bad nkey":      {URL: e.URL(), NKeyFile: tokenFile},
	} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			opts.Logger = slog.New(slog.NewTextHandler(&log, nil))
			nc, err := broker.Connect(deadline(t), opts)
			if err == nil {
				nc.Close()
				t.Fatal("connected")
			}
			var ce *broker.ConnectError
			if !errors.As(err, &ce) || errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("error = %v, want *ConnectError before the deadline", err)
			}
			if strings.Contains(err.Error()+log.String(), secret) {
				t.Errorf("the secret leaks: %v / %s", err, log.String())
			}
		})
	}
}

func TestConnectWaitsForBroker(t *testing.T) {
	port := testenv.FreePort(t)
	url := "nats://127.0.0.1:" + strconv.Itoa(port)

	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := broker.Connect(ctx, broker.ConnectOptions{URL: url}); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("error = %v, want the deadline", err)
	}

	type outcome struct {
		nc  *nats.Conn
		err error
	}
	done := make(chan outcome, 1)
	full := deadline(t)
	go func() {
		nc, err := broker.Connect(full, broker.ConnectOptions{URL: url, Token: "t"})
		done <- outcome{nc, err}
	}()
	e, err := broker.StartEmbedded(broker.EmbeddedOptions{StoreDir: t.TempDir(), Port: port, Token: "t"})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Shutdown()
	o := <-done
	if o.err != nil {
		t.Fatal(o.err)
	}
	brokertest.CloseAndWait(o.nc)
}

func TestRotatedTokenFileIsReadAtReconnect(t *testing.T) {
	dir, file := t.TempDir(), filepath.Join(t.TempDir(), "token")
	write := func(s string) {
		if err := os.WriteFile(file, []byte(s), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("old")
	e, err := broker.StartEmbedded(broker.EmbeddedOptions{StoreDir: dir, Port: -1, Token: "old"})
	if err != nil {
		t.Fatal(err)
	}
	nc, err := broker.Connect(deadline(t), broker.ConnectOptions{URL: e.URL(), TokenFile: file})
	if err != nil {
		t.Fatal(err)
	}
	defer brokertest.CloseAndWait(nc)
	port, _ := strconv.Atoi(e.URL()[strings.LastIndex(e.URL(), ":")+1:])
	e.Shutdown()
	e, err = broker.StartEmbedded(broker.EmbeddedOptions{StoreDir: dir, Port: port, Token: "new"})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Shutdown()
	write("new")
	testenv.Eventually(t, 15*time.Second, "reconnected with the new token", nc.IsConnected)
}

func TestPermissionViolationIsReported(t *testing.T) {
	srv, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: -1, NoSigs: true, NoLog: true, Users: []*server.User{{
		Username: "u", Password: "p", Permissions: &server.Permissions{
			Publish:   &server.SubjectPermission{Deny: []string{"forbidden"}},
			Subscribe: &server.SubjectPermission{Allow: []string{broker.InboxPrefix + ".>"}},
		},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	srv.Start()
	defer srv.WaitForShutdown()
	defer srv.Shutdown()
	if !srv.ReadyForConnections(10 * time.Second) {
		t.Fatal("server is not ready")
	}
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte("p\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	log := &syncBuffer{}
	nc, err := broker.Connect(deadline(t), broker.ConnectOptions{
		URL: srv.ClientURL(), User: "u", PasswordFile: file, Logger: slog.New(slog.NewTextHandler(log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer brokertest.CloseAndWait(nc)
	if err := nc.Publish("forbidden", nil); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, 5*time.Second, "the violation is logged", func() bool {
		return strings.Contains(log.String(), "broker refuses permission") && strings.Contains(log.String(), "forbidden")
	})
	if err := broker.CheckServer(deadline(t), nc); err == nil {
		t.Error("a server without JetStream was accepted")
	}
}

// What a broker answers that is away, or has no leader: two of the three servers of a cluster have ended. What it refuses is no such answer.
func TestAway(t *testing.T) {
	servers := brokertest.Cluster(t, 3)
	nc, js := brokertest.Connect(t, servers[0].ClientURL(), "")
	_, refused := js.CreateStream(deadline(t), jetstream.StreamConfig{Name: "S", Subjects: []string{"$JS.API.>"}})
	if refused == nil || broker.Away(refused) {
		t.Errorf("a refused stream: %v", refused)
	}
	for _, s := range servers[1:] {
		s.Shutdown()
		s.WaitForShutdown()
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if _, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: "S", Subjects: []string{"s"}}); err == nil || !broker.Away(err) {
		t.Errorf("a stream without a majority: %v", err)
	}
	servers[0].Shutdown()
	servers[0].WaitForShutdown()
	testenv.Eventually(t, 10*time.Second, "the connection is lost", func() bool { return !nc.IsConnected() })
	ctx, cancel = context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := broker.CheckServer(ctx, nc); err == nil || !broker.Away(err) {
		t.Errorf("no server is left: %v", err)
	}
}

func TestRuntimeFile(t *testing.T) {
	dir := t.TempDir()
	if _, err := broker.ReadRuntime(dir); !errors.Is(err, broker.ErrNoRuntime) {
		t.Errorf("reading an empty directory = %v, want ErrNoRuntime", err)
	}
	want := broker.Runtime{URL: "nats://127.0.0.1:4222", Token: "t", WebURL: "http://127.0.0.1:8790", PID: 7}
	if err := broker.WriteRuntime(dir, want); err != nil {
		t.Fatal(err)
	}
	got, err := broker.ReadRuntime(dir)
	if err != nil || !cmp.Equal(want, got) {
		t.Errorf("read %+v, %v; want %+v", got, err, want)
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 1 || files[0].Name() != "driftd.run.json" {
		t.Errorf("directory holds %v, %v", files, err)
	}
	if info, err := files[0].Info(); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode = %v, %v; want 0600: it holds a secret", info.Mode(), err)
	}
	if err := broker.RemoveRuntime(dir); err != nil {
		t.Fatal(err)
	}
	if err := broker.RemoveRuntime(dir); err != nil {
		t.Errorf("removing twice: %v", err)
	}
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}
