package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"time"

	natsserver "github.com/nats-io/nats-server/v2/server"
)

// brokerEnv makes this program a broker; it holds the plan.
const brokerEnv = "DRIFTD_CHAOS_BROKER"

// plan is what a broker must know before it starts.
type plan struct {
	Name   string
	Dir    string
	Client int   // port
	Routes []int // ports of all
	Own    int   // index in Routes
}

// beBroker serves until standard input ends, so that it never outlives the program that started it. false: this is no broker.
func beBroker() bool {
	text := os.Getenv(brokerEnv)
	if text == "" {
		return false
	}
	var p plan
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		panic("BUG: chaos: " + err.Error())
	}
	opts := &natsserver.Options{ //nolint:exhaustruct // the rest has its default
		ServerName: p.Name, Host: "127.0.0.1", Port: p.Client, JetStream: true, StoreDir: p.Dir, NoSigs: true,
		Cluster: natsserver.ClusterOpts{ //nolint:exhaustruct // loopback
			Name: "chaos", Host: "127.0.0.1", Port: p.Routes[p.Own], NoAdvertise: true, // clients stay behind their proxy
		},
	}
	for _, port := range p.Routes {
		opts.Routes = append(opts.Routes, &url.URL{Scheme: "nats-route", Host: fmt.Sprintf("127.0.0.1:%d", port)}) //nolint:exhaustruct // host and port
	}
	s, err := natsserver.NewServer(opts)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return true
	}
	s.ConfigureLogger()
	s.Start()
	_, _ = io.Copy(io.Discard, os.Stdin)
	s.Shutdown()
	s.WaitForShutdown()
	return true
}

// server is a broker in a process of its own.
type server struct {
	name    string
	address string
	plan    plan
	log     string
	cmd     *exec.Cmd
	stdin   io.Closer
	kills   atomic.Int64
}

// freePorts chooses ports that are free now.
func freePorts(ctx context.Context, n int) ([]int, error) {
	ports, open := make([]int, n), make([]net.Listener, 0, n)
	defer func() {
		for _, l := range open { // not before all are chosen
			_ = l.Close()
		}
	}()
	for i := range ports {
		l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0") //nolint:exhaustruct // as usual
		if err != nil {
			return nil, err
		}
		open = append(open, l)
		addr, ok := l.Addr().(*net.TCPAddr)
		if !ok {
			return nil, fmt.Errorf("a TCP listener has address %v", l.Addr())
		}
		ports[i] = addr.Port
	}
	return ports, nil
}

// startServers starts the cluster. Every server needs the routes of all before it starts, so the ports are chosen first.
func startServers(ctx context.Context, dir string) ([]*server, error) {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, err
	}
	ports, err := freePorts(ctx, 2*brokers)
	if err != nil {
		return nil, err
	}
	var out []*server
	for i := range brokers {
		s := &server{name: fmt.Sprintf("n%d", i+1), address: fmt.Sprintf("127.0.0.1:%d", ports[i])} //nolint:exhaustruct // it does not run
		s.plan = plan{Name: s.name, Dir: filepath.Join(dir, s.name), Client: ports[i], Routes: ports[brokers:], Own: i}
		s.log = filepath.Join(dir, s.name+".log")
		out = append(out, s)
	}
	for _, s := range out {
		if err := s.start(); err != nil {
			return out, err
		}
	}
	return out, nil
}

func (s *server) start() error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	data, err := json.Marshal(s.plan)
	if err != nil {
		return err
	}
	log, err := os.OpenFile(s.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }() // the process has its own handle
	cmd := exec.Command(self)          //nolint:gosec,noctx // this very program; it ends with its standard input
	cmd.Env = append(os.Environ(), brokerEnv+"="+string(data))
	cmd.Stdout, cmd.Stderr = log, log
	if s.stdin, err = cmd.StdinPipe(); err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting broker %s: %w", s.name, err)
	}
	s.cmd = cmd
	return nil
}

// kill ends the process as kill -9 does.
func (s *server) kill() {
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Kill() // it may have ended by itself
	_ = s.cmd.Wait()
	s.cmd = nil
	s.kills.Add(1)
}

// end stops the process in order.
func (s *server) end() {
	if s.cmd == nil {
		return
	}
	_ = s.stdin.Close()
	ended := make(chan struct{})
	go func() {
		_ = s.cmd.Wait() // its state does not matter any more
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(20 * time.Second):
		_ = s.cmd.Process.Kill()
		<-ended
	}
}

var errBroker = errors.New("the cluster of brokers is not ready")
