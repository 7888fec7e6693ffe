package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

// InboxPrefix keeps driftd's replies apart from those of other clients, so that an account can grant it alone.
const InboxPrefix = "_INBOX_driftd"

const (
	dialTimeout  = 2 * time.Second
	firstBackoff = 100 * time.Millisecond
	lastBackoff  = 2 * time.Second
	maxSecret    = 64 << 10 // bytes of a password or token file
)

// TLS names the files of a TLS connection.
type TLS struct {
	CAFile   string // trusted authorities; empty: those of the system
	CertFile string // client certificate, with KeyFile
	KeyFile  string
}

// ConnectOptions says where a broker is and how to prove who we are. At most one kind of credentials may be given.
// Secrets come from files, which are read again at every reconnect, so that they can be rotated.
type ConnectOptions struct {
	URL             string // nats://host:port or tls://…, several separated by commas
	CredentialsFile string // JWT and seed (.creds)
	NKeyFile        string // seed of an nkey
	User            string
	PasswordFile    string
	TokenFile       string
	Token           string // of the embedded broker; a user's own token belongs into TokenFile
	TLS             TLS
	Name            string       // shown by the server; default driftd
	Logger          *slog.Logger // connection events and permission violations; nil discards them
}

// ConnectError says why a connection could not be made. It never holds a secret.
type ConnectError struct {
	URL    string // without user and password
	Remedy string
	Err    error
}

func (e *ConnectError) Error() string {
	s := fmt.Sprintf("connecting to broker %s: %v", e.URL, e.Err)
	if e.Remedy != "" {
		s += ": " + e.Remedy
	}
	return s
}

func (e *ConnectError) Unwrap() error { return e.Err }

// Connect connects to a broker and retries until ctx ends, unless the fault cannot heal (bad option, refused
// credentials). It says once that it waits, and once that this is over. Once connected, the connection reconnects for ever.
func Connect(ctx context.Context, opts ConnectOptions) (*nats.Conn, error) {
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	shown, err := redactURLs(opts.URL)
	if err != nil {
		return nil, err
	}
	no, err := natsOptions(opts)
	if err != nil {
		return nil, &ConnectError{URL: shown, Err: err}
	}
	wait, waits := firstBackoff, false
	for {
		nc, err := nats.Connect(opts.URL, no...)
		if err == nil {
			if waits {
				opts.Logger.Info("broker is reached", slog.String("url", shown))
			}
			return nc, nil
		}
		if remedy := permanent(err); remedy != "" {
			return nil, &ConnectError{URL: shown, Remedy: remedy, Err: err}
		}
		level := slog.LevelWarn
		if waits {
			level = slog.LevelDebug
		}
		waits = true
		opts.Logger.Log(ctx, level, "broker is not reachable: waiting for it", slog.String("url", shown), slog.Any("err", err))
		select {
		case <-ctx.Done():
			return nil, &ConnectError{URL: shown, Remedy: "is the broker running and reachable?", Err: fmt.Errorf("%w (%w)", err, ctx.Err())}
		case <-time.After(wait):
		}
		wait = min(2*wait, lastBackoff)
	}
}

// permanent returns the remedy of an error that no retry heals, or "".
func permanent(err error) string {
	switch {
	case errors.Is(err, nats.ErrAuthorization), errors.Is(err, nats.ErrAuthExpired), errors.Is(err, nats.ErrAuthRevoked),
		errors.Is(err, nats.ErrAccountAuthExpired), strings.Contains(err.Error(), "Authorization Violation"):
		return "the server refuses the credentials: check the token, user, nkey or credentials file"
	case errors.Is(err, nats.ErrSecureConnRequired), errors.Is(err, nats.ErrSecureConnWanted):
		return "one side wants TLS and the other does not: check tls:// and the TLS files"
	case strings.Contains(err.Error(), "x509:"), strings.Contains(err.Error(), "tls:"):
		return "the TLS handshake fails: check the CA, certificate and key files"
	case errors.Is(err, os.ErrNotExist), errors.Is(err, os.ErrPermission):
		return "a file of the credentials cannot be read"
	}
	return ""
}

func natsOptions(opts ConnectOptions) ([]nats.Option, error) {
	name := opts.Name
	if name == "" {
		name = "driftd"
	}
	log := opts.Logger
	no := []nats.Option{
		nats.Name(name),
		nats.CustomInboxPrefix(InboxPrefix),
		nats.Timeout(dialTimeout),
		nats.MaxReconnects(-1),
		nats.IgnoreAuthErrorAbort(), // a rotated secret may reach the server before its file reaches us
		nats.ReconnectWait(250 * time.Millisecond),
		nats.ReconnectJitter(250*time.Millisecond, time.Second),
		nats.PingInterval(10 * time.Second), // a silently dead connection is noticed after 30 s
		nats.ErrorHandler(func(_ *nats.Conn, sub *nats.Subscription, err error) { reportAsync(log, sub, err) }),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil { // nil: we closed it
				log.Warn("broker connection lost", slog.Any("err", err))
			}
		}),
		nats.ReconnectHandler(func(nc *nats.Conn) {
			log.Info("broker connection restored", slog.String("server_version", nc.ConnectedServerVersion()))
		}),
	}
	auth, err := authOptions(opts)
	if err != nil {
		return nil, err
	}
	no = append(no, auth...)
	if opts.TLS.CAFile != "" {
		no = append(no, nats.RootCAs(opts.TLS.CAFile))
	}
	switch {
	case opts.TLS.CertFile != "" && opts.TLS.KeyFile != "":
		no = append(no, nats.ClientCert(opts.TLS.CertFile, opts.TLS.KeyFile))
	case opts.TLS.CertFile != "" || opts.TLS.KeyFile != "":
		return nil, errors.New("a TLS client certificate needs both the certificate and the key file")
	}
	return no, nil
}

// reportAsync logs what the server says outside any call. A forbidden JetStream request shows up at its caller as a bare
// timeout; only here is the reason.
func reportAsync(log *slog.Logger, sub *nats.Subscription, err error) {
	attrs := []any{slog.Any("err", err)}
	if sub != nil {
		attrs = append(attrs, slog.String("subject", sub.Subject))
	}
	if errors.Is(err, nats.ErrPermissionViolation) {
		log.Error("broker refuses permission", attrs...)
		return
	}
	log.Warn("broker connection error", attrs...)
}

func authOptions(opts ConnectOptions) ([]nats.Option, error) {
	var kinds []string
	var no []nats.Option
	if opts.CredentialsFile != "" {
		if err := readable(opts.CredentialsFile); err != nil {
			return nil, err
		}
		kinds = append(kinds, "credentials file")
		no = append(no, nats.UserCredentials(opts.CredentialsFile))
	}
	if opts.NKeyFile != "" {
		o, err := nats.NkeyOptionFromSeed(opts.NKeyFile)
		if err != nil {
			return nil, fmt.Errorf("reading nkey file %s: %w", opts.NKeyFile, err)
		}
		kinds = append(kinds, "nkey file")
		no = append(no, o)
	}
	if opts.User != "" || opts.PasswordFile != "" {
		if opts.User == "" || opts.PasswordFile == "" {
			return nil, errors.New("a user needs a password file, and a password file a user")
		}
		if _, err := readSecret(opts.PasswordFile); err != nil {
			return nil, err
		}
		kinds = append(kinds, "user")
		no = append(no, nats.UserInfoHandler(func() (string, string) {
			return opts.User, rereadSecret(opts.Logger, opts.PasswordFile)
		}))
	}
	switch {
	case opts.TokenFile != "":
		if _, err := readSecret(opts.TokenFile); err != nil {
			return nil, err
		}
		kinds = append(kinds, "token file")
		no = append(no, nats.TokenHandler(func() string { return rereadSecret(opts.Logger, opts.TokenFile) }))
	case opts.Token != "":
		kinds = append(kinds, "token")
		no = append(no, nats.Token(opts.Token))
	}
	if len(kinds) > 1 {
		return nil, fmt.Errorf("more than one kind of credentials is given (%s): keep one", strings.Join(kinds, ", "))
	}
	return no, nil
}

func readable(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("reading secret: %w", err)
	}
	return f.Close()
}

func readSecret(path string) (string, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("reading secret: %w", err)
	}
	s := strings.TrimSpace(string(b))
	if s == "" || len(b) > maxSecret {
		return "", fmt.Errorf("reading secret: %s is empty or larger than %d bytes", path, maxSecret)
	}
	return s, nil
}

func rereadSecret(log *slog.Logger, path string) string {
	s, err := readSecret(path)
	if err != nil {
		log.Error("secret is not readable", slog.Any("err", err))
	}
	return s
}

// redactURLs checks a comma-separated list of URLs and returns it without user and password. Its own errors do not
// quote what it cannot parse: a secret may be in it.
func redactURLs(list string) (string, error) {
	var shown []string
	for i, s := range strings.Split(list, ",") {
		s = strings.TrimSpace(s)
		if s != "" && !strings.Contains(s, "://") {
			s = "nats://" + s
		}
		u, err := url.Parse(s)
		if err != nil || u.Host == "" {
			return "", &ConnectError{
				URL: fmt.Sprintf("(address %d)", i+1), Remedy: "write it as nats://host:port",
				Err: errors.New("the address is not a URL"),
			}
		}
		switch u.Scheme {
		case "nats", "tls", "ws", "wss":
		default:
			return "", &ConnectError{URL: u.Host, Remedy: "write it as nats://host:port", Err: fmt.Errorf("unknown scheme %q", u.Scheme)}
		}
		u.User = nil
		u.RawQuery = ""
		shown = append(shown, u.String())
	}
	return strings.Join(shown, ","), nil
}
