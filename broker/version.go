package broker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// requiredAPILevel is the JetStream API level that brought atomic batches (ADR-50); Nats-Msg-Id inside a batch needs 2.12.1.
const requiredAPILevel = 2

// VersionError says that a server cannot do what driftd's exactly-once commit needs.
type VersionError struct {
	Server   string // version as the server states it
	APILevel int    // JetStream API level, -1 if not asked
	Reason   string
}

func (e *VersionError) Error() string {
	level := ""
	if e.APILevel >= 0 {
		level = ", JetStream API level " + strconv.Itoa(e.APILevel)
	}
	return fmt.Sprintf("nats-server %s%s: %s; driftd needs nats-server 2.12.1 or later (API level %d) for atomic batch publishing: "+
		"upgrade every server of the cluster, at best to 2.12.15, 2.14.4 or 2.15", e.Server, level, e.Reason, requiredAPILevel)
}

// CheckServer refuses a broker without JetStream, or one too old for atomic batches (*VersionError).
func CheckServer(ctx context.Context, nc *nats.Conn) error {
	if !nc.IsConnected() {
		return fmt.Errorf("checking broker: %w", nats.ErrConnectionReconnecting) // it has no version
	}
	if err := checkVersion(nc.ConnectedServerVersion()); err != nil {
		return err
	}
	js, err := jetstream.New(nc)
	if err != nil {
		return fmt.Errorf("checking broker: %w", err)
	}
	info, err := js.AccountInfo(ctx)
	if err != nil {
		return fmt.Errorf("checking broker: %w: JetStream must be enabled for this account and the user may publish to $JS.API.INFO", err)
	}
	return checkLevel(nc.ConnectedServerVersion(), info.API.Level)
}

// The server's errors of a cluster that has only begun to run (server/errors.json).
const (
	codeNoPeers      jetstream.ErrorCode = 10005
	codeNotAvailable jetstream.ErrorCode = 10008
	codeNotLeader    jetstream.ErrorCode = 10009
)

// Away reports whether an error of a question to a broker may be one of a broker that is away for a moment, or of a cluster that has no
// leader yet. A request that the user may not make gets no answer either.
func Away(err error) bool {
	if api, ok := errors.AsType[jetstream.JetStreamError](err); ok && api.APIError() != nil {
		return slices.Contains([]jetstream.ErrorCode{codeNoPeers, codeNotAvailable, codeNotLeader}, api.APIError().ErrorCode)
	}
	return slices.ContainsFunc([]error{
		context.DeadlineExceeded, nats.ErrTimeout, nats.ErrNoResponders, nats.ErrConnectionReconnecting, nats.ErrDisconnected,
	}, func(away error) bool { return errors.Is(err, away) })
}

func checkLevel(version string, level int) error {
	if level < requiredAPILevel {
		return &VersionError{Server: version, APILevel: level, Reason: "the JetStream API level is too low"}
	}
	return nil
}

// checkVersion refuses versions before 2.12.1. A pre-release counts as older than its release.
func checkVersion(s string) error {
	v, ok := parseVersion(s)
	if !ok {
		return &VersionError{Server: strconv.Quote(s), APILevel: -1, Reason: "the version is not understood"}
	}
	if v.less(version{2, 12, 1, false}) {
		return &VersionError{Server: s, APILevel: -1, Reason: "the server is too old"}
	}
	return nil
}

// Advice returns what is known to be wrong with an accepted server version, or "".
func Advice(serverVersion string) string {
	v, ok := parseVersion(serverVersion)
	switch {
	case !ok:
		return ""
	case v.less(version{2, 12, 15, false}), !v.less(version{2, 13, 0, true}) && v.less(version{2, 14, 4, false}):
		return "nats-server " + serverVersion + " has known faults in atomic batches and replicated stores " +
			"(nats-server #8376, #8305, #8265): upgrade to 2.12.15, 2.14.4 or 2.15"
	}
	return ""
}

type version struct {
	major, minor, patch int
	pre                 bool
}

func (v version) less(w version) bool {
	switch {
	case v.major != w.major:
		return v.major < w.major
	case v.minor != w.minor:
		return v.minor < w.minor
	case v.patch != w.patch:
		return v.patch < w.patch
	}
	return v.pre && !w.pre
}

func parseVersion(s string) (version, bool) {
	core, _, _ := strings.Cut(strings.TrimPrefix(s, "v"), "+") // build metadata does not order
	core, _, pre := strings.Cut(core, "-")
	parts := strings.Split(core, ".")
	if len(parts) != 3 {
		return version{}, false
	}
	var n [3]int
	for i, p := range parts {
		x, err := strconv.ParseUint(p, 10, 16)
		if err != nil {
			return version{}, false
		}
		n[i] = int(x)
	}
	return version{n[0], n[1], n[2], pre}, true
}
