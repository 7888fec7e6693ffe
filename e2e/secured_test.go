package e2e_test

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/driftd/driftd/app"
	"github.com/driftd/driftd/broker"
	"github.com/driftd/driftd/broker/brokertest"
	"github.com/driftd/driftd/config"
)

// The whole daemon works on a broker that asks who it is: it lays the streams out, counts, commits and stores; with a wrong
// secret it does not start, and says why.
func TestSecuredBrokers(t *testing.T) {
	for _, kind := range brokertest.SecuredKinds() {
		t.Run(kind, func(t *testing.T) {
			s := brokertest.NewSecured(t, kind)
			configure := func(o broker.ConnectOptions) *config.Config {
				text := fmt.Sprintf(`
nats:
  url: %s
  credentials_file: %q
  nkey_file: %q
  user: %q
  password_file: %q
  token_file: %q
  tls: {ca_file: %q, cert_file: %q, key_file: %q}
data_dir: %q
web: {listen: "127.0.0.1:0"}
commit: {interval: 50ms}
`, o.URL, o.CredentialsFile, o.NKeyFile, o.User, o.PasswordFile, o.TokenFile, o.TLS.CAFile, o.TLS.CertFile, o.TLS.KeyFile,
					filepath.Join(t.TempDir(), "data"))
				c, err := config.Parse("driftd.yaml", []byte(text))
				if err != nil {
					t.Fatal(err)
				}
				return c
			}
			bad, err := app.New(t.Context(), app.Options{Config: configure(s.Bad), Logger: slog.New(slog.DiscardHandler), Version: "test"})
			if err == nil || !strings.Contains(err.Error(), "connecting to the broker") || !strings.Contains(err.Error(), "check the") {
				t.Fatalf("New with a wrong secret: %v, %v", bad, err)
			}

			a, err := app.New(t.Context(), app.Options{Config: configure(s.Good), Logger: slog.New(slog.DiscardHandler), Version: "test"})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			ended := make(chan error, 1)
			go func() { ended <- a.Run(ctx) }()
			nc, err := broker.Connect(t.Context(), s.Good)
			if err != nil {
				t.Fatal(err)
			}
			defer brokertest.CloseAndWait(nc)
			js, err := jetstream.New(nc)
			if err != nil {
				t.Fatal(err)
			}
			send(t, js, "ml.events.churn", goodEvent(1, at))
			marker(t, js, "churn", at.Add(24*time.Hour))
			eventually(t, "the window of the event is in the outbox", func() bool {
				out, err := js.Stream(t.Context(), "DRIFTD_OUTBOX")
				return err == nil && out.CachedInfo().State.LastSeq > 0
			})
			cancel()
			if err := <-ended; err != nil {
				t.Errorf("running: %v", err)
			}
		})
	}
}
