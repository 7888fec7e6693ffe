package notify

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/driftd/driftd/internal/secret"
	"github.com/driftd/driftd/result"
)

// Spec is a type of notifiers: what the configuration calls it, and how one is made.
type Spec struct {
	Type string
	// New returns the receivers of a notifier, each of which is told on its own, or says what is wrong with the settings. It asks
	// nobody and sends nothing.
	New func(Settings, Host) ([]Receiver, error)
}

// Builtin lists the types of notifiers. A new one is a file and a line here; the suite of package notifytest must hold for it.
func Builtin() []Spec {
	return []Spec{alertmanagerSpec(), logSpec(), natsSpec(), slackSpec(), webhookSpec()}
}

// Settings are what the configuration says of a notifier.
type Settings struct {
	Name     string
	URLs     []string
	External map[string]string // labels of every alert, such as the cluster's name
	Channel  string
	Routes   []Route
	Pictures bool
	Client   *http.Client // with TLS and authentication; it follows no redirect, which would turn a POST into a GET

	// Each reads a secret when it is used, so that one that changes needs no restart; nil: there is none.
	Token, Address, Key func() (secret.String, error)
}

// Route sends what has its labels to a channel of its own.
type Route struct {
	Match   map[string]string
	Channel string
}

// Host is what a notifier needs of the process that it runs in.
type Host struct {
	Logger *slog.Logger
	Page   func() string // address of driftd's page, for links; empty: none
	Now    func() time.Time
	Broker jetstream.JetStream
	// Picture draws what a transition is about, as a PNG; nil without an error: there is nothing to draw of it.
	Picture func(context.Context, *result.Transition) ([]byte, error)
}

// Receiver is one address that is told.
type Receiver struct {
	Name     string // of its consumer and its records: stable while the address is. No notifier has a `=` in its name
	Notifier Notifier
	Match    func(labels map[string]string) bool // of several receivers of one notifier, what is told to this one; nil: everything
}
