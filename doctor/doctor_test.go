package doctor_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/driftd/driftd/broker"
	"github.com/driftd/driftd/broker/brokertest"
	"github.com/driftd/driftd/doctor"
	"github.com/driftd/driftd/ingest"
	"github.com/driftd/driftd/internal/testenv"
	"github.com/driftd/driftd/journal"
)

// brokerDirEnv makes the test binary a broker that keeps its streams in the directory it names.
const brokerDirEnv = "DRIFTD_DOCTOR_BROKER_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(brokerDirEnv); dir != "" {
		os.Exit(beBroker(dir))
	}
	os.Exit(m.Run())
}

// beBroker serves until standard input ends, so that it never outlives the test that started it.
func beBroker(dir string) int {
	e, err := broker.StartEmbedded(broker.EmbeddedOptions{StoreDir: dir, Port: -1})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer e.Shutdown()
	fmt.Println(e.URL(), e.Token())
	_, _ = io.Copy(io.Discard, os.Stdin)
	return 0
}

// external runs a broker in a process of its own until the test ends.
func external(tb testing.TB) (*nats.Conn, jetstream.JetStream) {
	tb.Helper()
	self, err := os.Executable()
	if err != nil {
		tb.Fatal(err)
	}
	cmd := exec.Command(self, "-test.run=^$")
	cmd.Env = append(os.Environ(), brokerDirEnv+"="+filepath.Join(tb.TempDir(), "jetstream"))
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		tb.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		_ = stdin.Close()
		if err := cmd.Wait(); err != nil {
			tb.Errorf("the broker ended: %v", err)
		}
	})
	line, err := bufio.NewReader(stdout).ReadString('\n')
	address, token, ok := strings.Cut(strings.TrimSpace(line), " ")
	if err != nil || !ok {
		tb.Fatalf("the broker printed %q: %v", line, err)
	}
	return brokertest.Connect(tb, address, token)
}

// counted lays the streams out, publishes some events and commits that they were counted.
func counted(tb testing.TB, nc *nats.Conn, js jetstream.JetStream, layout journal.Layout) {
	tb.Helper()
	ctx := tb.Context()
	if err := journal.EnsureStreams(ctx, js, layout); err != nil {
		tb.Fatal(err)
	}
	id, err := ingest.IdentityOf(ctx, js, layout.Partitions[0].InputName())
	if err != nil {
		tb.Fatal(err)
	}
	for i := range 5 {
		data := fmt.Appendf(nil, `{"id":"%d"}`, i)
		ack, err := js.Publish(ctx, "ml.events.m", data)
		if err != nil {
			tb.Fatal(err)
		}
		s, err := js.Stream(ctx, layout.Partitions[0].InputName())
		if err != nil {
			tb.Fatal(err)
		}
		m, err := s.GetMsg(ctx, ack.Sequence)
		if err != nil {
			tb.Fatal(err)
		}
		if i == 3 { // the last one waits
			id = id.At(ingest.Message{Seq: m.Sequence, Time: m.Time.UnixMilli(), Data: m.Data})
		}
	}
	j, err := journal.Open(ctx, js, nc, 0, journal.Options{})
	if err != nil {
		tb.Fatal(err)
	}
	if _, err := j.Acquire(ctx); err != nil {
		tb.Fatal(err)
	}
	position := fmt.Sprintf(`{"stream":%q,"created":%q,"seq":%d,"time":%d,"hash":%q}`, id.Stream, id.Created.Format(time.RFC3339Nano), id.Seq, id.Time, id.Hash)
	if err := j.Commit(ctx, journal.Batch{
		Position: []byte(position), Meta: []byte(`{"version":1}`),
		Shards: []journal.Shard{{Name: "config.0", Data: []byte(`{}`)}, {Name: "panes.0.0", Data: bytes.Repeat([]byte{1}, 2000)}},
	}); err != nil {
		tb.Fatal(err)
	}
}

func single() journal.Layout { return journal.Layout{Partitions: []journal.Partition{{}}} }

func examine(tb testing.TB, o doctor.Options) *doctor.Report {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), 60*time.Second)
	defer cancel()
	o.Tolerance = 5 * time.Minute
	r, err := doctor.Examine(ctx, o)
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

// holds returns what the report says of the four accidents.
func holds(r *doctor.Report) string {
	var s []string
	for _, g := range r.Guarantees {
		s = append(s, string(g.Holds))
	}
	return strings.Join(s, " ")
}

// check returns the first check of a name that has the status, or fails.
func check(tb testing.TB, r *doctor.Report, name string, status doctor.Status, finding string) {
	tb.Helper()
	for _, c := range r.Checks {
		if c.Name == name && c.Status == status && strings.Contains(c.Finding, finding) {
			return
		}
	}
	tb.Errorf("no check %q says %s and %q; the report:\n%s", name, status, finding, text(r))
}

// onThePage wants the report's guarantees in docs/operations.md, word for word.
func onThePage(tb testing.TB, r *doctor.Report) {
	tb.Helper()
	page, err := os.ReadFile(filepath.Join(testenv.Root(tb), "docs", "operations.md"))
	if err != nil {
		tb.Fatal(err)
	}
	for _, g := range r.Guarantees {
		if row := fmt.Sprintf("| %s | %s | %s | %s |\n", g.Survives, g.Holds, g.Because, g.Remedy); !strings.Contains(string(page), row) {
			tb.Errorf("docs/operations.md lacks the row\n%s", row)
		}
	}
}

func text(r *doctor.Report) string {
	var b strings.Builder
	for _, c := range r.Checks {
		fmt.Fprintf(&b, "%s\t%s\t%s\n", c.Name, c.Status, c.Finding)
	}
	return b.String()
}

// Each kind of broker gets its own guarantees, and a broker in order breaks nothing.
func TestBrokers(t *testing.T) {
	for _, tt := range []struct {
		name     string
		start    func(tb testing.TB) (*nats.Conn, jetstream.JetStream)
		embedded bool
		replicas int
		holds    string
		server   string
	}{
		{"embedded", brokertest.New, true, 1, "yes yes no no", "driftd's own"},
		{"external", external, false, 1, "yes yes unknown no", "a server on its own"},
		{"cluster", func(tb testing.TB) (*nats.Conn, jetstream.JetStream) {
			return brokertest.Connect(tb, brokertest.Cluster(tb, 3)[0].ClientURL(), "")
		}, false, 3, "yes yes yes yes", "of cluster test"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			nc, js := tt.start(t)
			layout := single()
			layout.Replicas, layout.InputMaxBytes, layout.StateMaxBytes = tt.replicas, 8<<20, 8<<20
			layout.OutboxMaxBytes, layout.ReferencesBytes = 8<<20, 8<<20
			counted(t, nc, js, layout)
			before := lastSequences(t, js)
			r := examine(t, doctor.Options{Conn: nc, Embedded: tt.embedded, Layout: layout})
			t.Logf("%s\n%s", holds(r), text(r))
			if r.Broken != 0 || holds(r) != tt.holds {
				t.Errorf("%d broken, guarantees %q; want none and %q", r.Broken, holds(r), tt.holds)
			}
			onThePage(t, r)
			check(t, r, "server", doctor.OK, tt.server)
			check(t, r, "permissions", doctor.OK, "")
			check(t, r, "clocks", doctor.OK, "")
			check(t, r, "partition 0", doctor.OK, "committed up to message 4 of 5, 1 wait")
			check(t, r, "state of partition 0", doctor.OK, "whole")
			check(t, r, "dead letters", doctor.OK, "none")
			check(t, r, "store's reader", doctor.Advice, "no store reads the outbox")
			check(t, r, "references", doctor.Advice, "nothing is judged")
			if tt.replicas == 3 {
				check(t, r, "replicas of DRIFTD_STATE_0", doctor.OK, "3 copies, all current")
			}
			if after := lastSequences(t, js); after != before {
				t.Errorf("the doctor wrote: last sequences %s, before %s", after, before)
			}
		})
	}
}

func lastSequences(tb testing.TB, js jetstream.JetStream) string {
	tb.Helper()
	var s []string
	for _, name := range []string{journal.InputStream(0), journal.StateStream(0), journal.OutboxStream, journal.ReferencesStream} {
		stream, err := js.Stream(tb.Context(), name)
		if err != nil {
			tb.Fatal(err)
		}
		s = append(s, strconv.FormatUint(stream.CachedInfo().State.LastSeq, 10))
	}
	return strings.Join(s, " ")
}

// One copy in a cluster is advice; a server of three that is away is a promise that does not hold.
func TestClusterFaults(t *testing.T) {
	servers := brokertest.Cluster(t, 3)
	nc, js := brokertest.Connect(t, servers[0].ClientURL(), "")
	layout := single()
	layout.Replicas = 3
	layout.InputMaxBytes, layout.StateMaxBytes, layout.OutboxMaxBytes, layout.ReferencesBytes = 8<<20, 8<<20, 8<<20, 8<<20
	counted(t, nc, js, layout)
	lone := layout
	lone.Replicas = 1
	r := examine(t, doctor.Options{Conn: nc, Layout: lone})
	check(t, r, "stream DRIFTD_IN_0", doctor.Broken, "num_replicas is 3, must be 1")

	servers[2].Shutdown()
	servers[2].WaitForShutdown()
	testenv.Eventually(t, 60*time.Second, "the doctor sees that a server is away", func() bool {
		r = examine(t, doctor.Options{Conn: nc, Layout: layout})
		return strings.Contains(text(r), "n3 is offline") || strings.Contains(text(r), "n3 is behind")
	})
	if r.Broken == 0 {
		t.Errorf("a server is away and nothing is broken:\n%s", text(r))
	}
}

// Every fault is found, named and said to be broken.
func TestFaults(t *testing.T) {
	t.Run("no streams", func(t *testing.T) {
		nc, _ := brokertest.New(t)
		r := examine(t, doctor.Options{Conn: nc, Layout: single()})
		check(t, r, "streams", doctor.Broken, "none of driftd's streams")
		if holds(r) != "unknown unknown unknown unknown" {
			t.Errorf("guarantees without streams: %s", holds(r))
		}
	})
	t.Run("unreachable", func(t *testing.T) {
		r := examine(t, doctor.Options{ConnectErr: errors.New("nobody is there"), StorePath: filepath.Join(t.TempDir(), "store.db")})
		check(t, r, "broker", doctor.Broken, "nobody is there")
		check(t, r, "store", doctor.Unknown, "there is no")
	})
	t.Run("damaged store", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "store.db")
		if err := os.WriteFile(path, bytes.Repeat([]byte("no database "), 1000), 0o600); err != nil {
			t.Fatal(err)
		}
		r := examine(t, doctor.Options{ConnectErr: errors.New("nobody is there"), StorePath: path})
		check(t, r, "store", doctor.Broken, "is not a SQLite database")
	})
	t.Run("settings", func(t *testing.T) {
		nc, js := brokertest.New(t)
		counted(t, nc, js, single())
		s, err := js.Stream(t.Context(), journal.StateStream(0))
		if err != nil {
			t.Fatal(err)
		}
		c := s.CachedInfo().Config
		c.Discard = jetstream.DiscardOld
		if _, err := js.UpdateStream(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		r := examine(t, doctor.Options{Conn: nc, Layout: single()})
		check(t, r, "stream DRIFTD_STATE_0", doctor.Broken, "discard is DiscardOld, must be DiscardNew")
		if holds(r) != "no no no no" {
			t.Errorf("guarantees with a state stream that drops the oldest: %s", holds(r))
		}
	})
	t.Run("stream made anew", func(t *testing.T) {
		nc, js := brokertest.New(t)
		counted(t, nc, js, single())
		if err := js.DeleteStream(t.Context(), journal.InputStream(0)); err != nil {
			t.Fatal(err)
		}
		if err := journal.EnsureStreams(t.Context(), js, single()); err != nil {
			t.Fatal(err)
		}
		r := examine(t, doctor.Options{Conn: nc, Layout: single()})
		check(t, r, "partition 0", doctor.Broken, "created")
	})
	t.Run("expired before it was counted", func(t *testing.T) {
		nc, js := brokertest.New(t)
		layout := single()
		layout.InputMaxBytes = 64 << 10
		counted(t, nc, js, layout)
		for range 40 {
			if _, err := js.Publish(t.Context(), "ml.events.m", make([]byte, 4<<10)); err != nil {
				t.Fatal(err)
			}
		}
		r := examine(t, doctor.Options{Conn: nc, Layout: single()})
		check(t, r, "partition 0", doctor.Broken, "5 to ")
	})
	t.Run("damaged state", func(t *testing.T) {
		nc, js := brokertest.New(t)
		counted(t, nc, js, single())
		if _, err := js.Publish(t.Context(), "driftd.state.0.shard.panes.0.0", []byte("other bytes")); err != nil {
			t.Fatal(err)
		}
		r := examine(t, doctor.Options{Conn: nc, Layout: single()})
		check(t, r, "state of partition 0", doctor.Broken, "")
	})
	t.Run("expired before it was stored", func(t *testing.T) {
		nc, js := brokertest.New(t)
		layout := single()
		layout.OutboxMaxBytes = 64 << 10
		counted(t, nc, js, layout)
		if _, err := ingest.Outbox(t.Context(), js, "driftd-store"); err != nil {
			t.Fatal(err)
		}
		publish := func(n int) {
			for range n {
				if _, err := js.Publish(t.Context(), "driftd.result.m", make([]byte, 4<<10)); err != nil {
					t.Fatal(err)
				}
			}
		}
		publish(5)
		r := examine(t, doctor.Options{Conn: nc, Layout: single()})
		check(t, r, "store's reader", doctor.OK, "5 documents wait for the store, the oldest for ")
		publish(35) // of 40 documents of 4 KiB, 15 find room in 64 KiB
		r = examine(t, doctor.Options{Conn: nc, Layout: single()})
		check(t, r, "store's reader", doctor.Broken, "25 documents expired")
	})
	t.Run("too old", func(t *testing.T) {
		binary, err := exec.LookPath("nats-server")
		if err != nil {
			testenv.Missing(t, "nats-server below 2.12.1 (Debian: the package nats-server)")
		}
		ports := filepath.Join(t.TempDir(), "ports")
		if err := os.Mkdir(ports, 0o700); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(binary, "-a", "127.0.0.1", "-p", "-1", "-js", "-sd", t.TempDir(), "--ports_file_dir", ports)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		})
		var said struct{ Nats []string }
		testenv.Eventually(t, 30*time.Second, "the server says where it listens", func() bool {
			files, err := filepath.Glob(filepath.Join(ports, "*.ports"))
			if err != nil || len(files) != 1 {
				return false
			}
			data, err := os.ReadFile(files[0])
			return err == nil && json.Unmarshal(data, &said) == nil && len(said.Nats) == 1
		})
		nc, _ := brokertest.Connect(t, said.Nats[0], "")
		r := examine(t, doctor.Options{Conn: nc, Layout: single()})
		check(t, r, "server", doctor.Broken, "driftd needs nats-server 2.12.1 or later")
		if len(r.Checks) != 1 || holds(r) != "unknown unknown unknown unknown" {
			t.Errorf("guarantees of a server that is too old: %s\n%s", holds(r), text(r))
		}
	})
	t.Run("missing reference", func(t *testing.T) {
		nc, js := brokertest.New(t)
		counted(t, nc, js, single())
		r := examine(t, doctor.Options{Conn: nc, Layout: single(), References: map[string]string{"m": "m-2026"}})
		check(t, r, "references", doctor.Broken, "m-2026 of model m")
	})
}

// A user who may not do all is told what is refused, in the server's words.
func TestPermissions(t *testing.T) {
	opts := &server.Options{Users: []*server.User{
		{Username: "all", Password: "all"},
		{Username: "blind", Password: "blind", Permissions: &server.Permissions{
			Publish: &server.SubjectPermission{Deny: []string{"$JS.API.STREAM.INFO." + journal.StateStream(0)}},
		}},
		{Username: "some", Password: "some", Permissions: &server.Permissions{
			Publish: &server.SubjectPermission{Deny: []string{"driftd.state.>", "$JS.API.STREAM.INFO." + journal.ReferencesStream}},
		}},
	}}
	url := brokertest.Serve(t, opts).ClientURL()
	connect := func(user string) (*nats.Conn, jetstream.JetStream) {
		path := filepath.Join(t.TempDir(), user)
		if err := os.WriteFile(path, []byte(user), 0o600); err != nil {
			t.Fatal(err)
		}
		nc, err := broker.Connect(t.Context(), broker.ConnectOptions{URL: url, User: user, PasswordFile: path})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(nc.Close)
		js, err := jetstream.New(nc)
		if err != nil {
			t.Fatal(err)
		}
		return nc, js
	}
	nc, js := connect("all")
	counted(t, nc, js, single())
	some, _ := connect("some")
	r := examine(t, doctor.Options{Conn: some, Layout: single()})
	check(t, r, "permissions", doctor.Broken, `Publish to "driftd.state.0.meta"`)
	check(t, r, "permissions", doctor.Broken, `Publish to "$JS.API.STREAM.INFO.DRIFTD_REFERENCES"`)
	check(t, r, "stream DRIFTD_REFERENCES", doctor.Broken, "it cannot be read")
	blind, _ := connect("blind")
	r = examine(t, doctor.Options{Conn: blind, Layout: single()})
	onThePage(t, r)
	if holds(r) != "unknown unknown unknown unknown" {
		t.Errorf("the user who may not see the state stream: %s", holds(r))
	}
	if holds(examine(t, doctor.Options{Conn: nc, Layout: single()})) != "yes yes unknown no" {
		t.Errorf("the user with every permission: %s", holds(r))
	}
}
