package doctor

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/driftd/driftd/broker"
	"github.com/driftd/driftd/ingest"
	"github.com/driftd/driftd/journal"
)

// server looks at the version and at JetStream, and says whether there is any use in looking on.
func (e *exam) server(ctx context.Context) bool {
	nc := e.Conn
	version := nc.ConnectedServerVersion()
	where := "a server on its own"
	switch {
	case e.Embedded:
		where = "driftd's own"
	case nc.ConnectedClusterName() != "":
		where = fmt.Sprintf("server %s of cluster %s", nc.ConnectedServerName(), nc.ConnectedClusterName())
	}
	actx, cancel := context.WithTimeout(ctx, questionTimeout)
	defer cancel()
	err := broker.CheckServer(actx, nc)
	var old *broker.VersionError
	switch {
	case errors.As(err, &old):
		e.add("server", Broken, "upgrade every server of the cluster to 2.12.15, 2.14.4 or 2.15", "%v", old)
		return false
	case err != nil:
		e.add("server", Broken, "enable JetStream for this account, and let the user publish to $JS.API.INFO", "nats-server %s (%s): %v", version, where, err)
		return false
	}
	if advice := broker.Advice(version); advice != "" {
		e.add("server", Advice, "upgrade", "%s", advice)
	} else {
		e.add("server", OK, "", "nats-server %s (%s): no fault is known that concerns driftd", version, where)
	}
	info, err := e.js.AccountInfo(actx)
	if err != nil {
		e.add("account", Unknown, "", "reading the account: %v", err)
		return true
	}
	e.account(info)
	return true
}

// nearlyFull is the share of a bound from which on it should be raised, and full the one at which writes are refused soon.
const (
	nearlyFull = 0.7
	full       = 0.95
)

func (e *exam) account(info *jetstream.AccountInfo) {
	most := info.Limits.MaxStore
	if most <= 0 {
		e.add("account", OK, "", "JetStream API level %d; %s in %d streams, without a limit of the account",
			info.API.Level, size(info.Store), info.Streams)
		return
	}
	status, remedy := OK, ""
	share := float64(info.Store) / float64(most)
	if share >= nearlyFull {
		status, remedy = Advice, "give the account more storage, or the streams less"
	}
	if share >= full {
		status = Broken
	}
	e.add("account", status, remedy, "JetStream API level %d; %s of %s stored (%.0f %%), %s reserved by limits of streams",
		info.API.Level, size(info.Store), size(uint64(most)), 100*share, size(info.ReservedStore))
}

// replicas compares how many copies there are with how many there could be, and says which are missing now.
func (e *exam) replicas() {
	clustered := e.Conn.ConnectedClusterName() != ""
	for _, s := range e.streams {
		if s.Info == nil {
			continue
		}
		name := "replicas of " + s.Name
		n, cluster := s.Info.Config.Replicas, s.Info.Cluster
		var away []string
		leader := false
		if cluster != nil {
			leader = cluster.Leader != ""
			for _, p := range cluster.Replicas {
				switch {
				case p.Offline:
					away = append(away, p.Name+" is offline")
				case !p.Current:
					away = append(away, fmt.Sprintf("%s is behind (lag %d)", p.Name, p.Lag))
				}
			}
		}
		switch {
		case clustered && !leader:
			e.add(name, Broken, "bring a majority of the cluster's servers back", "the stream has no leader: it cannot be written")
		case len(away) > 0:
			e.add(name, Broken, "bring them back; until then another failure may stop or lose writes", "%d copies, but %s", n, strings.Join(away, ", "))
		case clustered && n == 1:
			e.add(name, Advice, "set nats.replicas: 3, and `nats stream edit "+s.Name+" --replicas 3`",
				"1 copy in cluster %s: the server that has it is a single point of failure", e.Conn.ConnectedClusterName())
		case n == 2 || n == 4:
			e.add(name, Advice, fmt.Sprintf("use %d", n+1), "%d copies: no better than %d, a majority is needed to write", n, n-1)
		case n > 1:
			e.add(name, OK, "", "%d copies, all current; leader %s", n, cluster.Leader)
		}
	}
}

// permissions names what the server refused while it was asked, and tries to publish where driftd must.
func (e *exam) permissions(ctx context.Context) {
	var refused []string
	for _, s := range e.streams {
		if s.Info == nil {
			continue
		}
		err := journal.Probe(ctx, e.Conn, s.Subject)
		switch {
		case err == nil:
		case !s.Own && strings.Contains(err.Error(), "no stream captures"): // a warning says so already
		default:
			refused = append(refused, err.Error())
		}
	}
	refused = append(refused, e.refusals.list()...)
	if len(refused) == 0 {
		e.add("permissions", OK, "", "this user may read and write every stream of driftd")
		return
	}
	e.add("permissions", Broken, "grant the user what docs/operations.md lists", "%s", strings.Join(refused, "; "))
}

// clockAdvice is a difference that confuses readers of logs and pages, though no promise depends on it.
const clockAdvice = time.Second

// clock compares the broker's clock with this machine's. Events are dated by those who send them: a broker that is behind
// takes good events for events of the future.
func (e *exam) clock(ctx context.Context) {
	var name string
	for _, s := range e.streams {
		if s.Info != nil {
			name = s.Name
			break
		}
	}
	if name == "" {
		return
	}
	best := time.Duration(-1)
	var offset time.Duration
	for range 5 {
		actx, cancel := context.WithTimeout(ctx, questionTimeout)
		begin := time.Now()
		ms, _, err := ingest.BrokerNow(actx, e.js, name)
		trip := time.Since(begin)
		cancel()
		if err != nil {
			continue
		}
		if best < 0 || trip < best {
			best, offset = trip, time.UnixMilli(ms).Sub(begin.Add(trip/2))
			e.now = time.UnixMilli(ms)
		}
	}
	if best < 0 {
		e.add("clocks", Unknown, "", "the broker did not say what time it has")
		return
	}
	status, remedy := clockStatus(offset, best, e.Tolerance)
	e.add("clocks", status, remedy, "the broker's clock is %s this machine's (± %v)", signed(offset), (best/2 + time.Millisecond).Round(time.Millisecond))
}

// clockStatus judges a difference that was measured with a round trip.
func clockStatus(offset, trip, tolerance time.Duration) (Status, string) {
	switch d := offset.Abs() - trip/2; {
	case tolerance > 0 && d > tolerance:
		return Broken, "set the clocks by NTP: an event dated by this machine's clock is counted at another time than its own"
	case d > clockAdvice:
		return Advice, "set the clocks by NTP"
	}
	return OK, ""
}

func signed(d time.Duration) string {
	if d < 0 {
		return d.Abs().Round(time.Millisecond).String() + " behind"
	}
	return d.Round(time.Millisecond).String() + " ahead of"
}

// size writes a number of bytes for people.
func size(n uint64) string {
	const units = "KMGTP"
	if n < 1024 {
		return fmt.Sprintf("%d bytes", n)
	}
	x, i := float64(n)/1024, 0
	for ; x >= 1024 && i < len(units)-1; i++ {
		x /= 1024
	}
	return fmt.Sprintf("%.1f %ciB", x, units[i])
}
