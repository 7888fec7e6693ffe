package main

import (
	"bytes"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

const (
	cutShare = 0.06                   // of the commits that pass a proxy
	cutAfter = 150 * time.Millisecond // in which the broker acts on what was let through
)

// commitHeader stands in the message of a batch that commits it.
var commitHeader = []byte("Nats-Batch-Commit") //nolint:gochecknoglobals // a constant

// proxy forwards connections to a broker. It cuts the connection at some commits: before the commit reaches the broker, or behind it with
// every answer swallowed. The client cannot tell the one from the other.
type proxy struct {
	l      net.Listener
	target string
	all    sync.WaitGroup

	before, after atomic.Int64 // cuts

	mu    sync.Mutex
	conns map[net.Conn]bool
	rng   *rand.Rand // nil: nothing is cut
	share float64
	shut  bool
}

func newProxy(target string) (*proxy, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it takes no time
	if err != nil {
		return nil, err
	}
	p := &proxy{l: l, target: target, conns: map[net.Conn]bool{}} //nolint:exhaustruct // nothing is cut yet
	p.all.Go(p.accept)
	return p, nil
}

func (p *proxy) address() string { return p.l.Addr().String() }

// cut makes the proxy cut a share of the commits; nil ends that.
func (p *proxy) cut(rng *rand.Rand, share float64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rng, p.share = rng, share
}

// draw decides about one commit.
func (p *proxy) draw() (cut, behind bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.rng == nil || p.rng.Float64() >= p.share {
		return false, false
	}
	return true, p.rng.IntN(2) == 0
}

func (p *proxy) close() error {
	err := p.l.Close()
	p.mu.Lock()
	p.shut = true
	for c := range p.conns {
		_ = c.Close()
	}
	p.mu.Unlock()
	p.all.Wait()
	return err
}

func (p *proxy) accept() {
	for {
		c, err := p.l.Accept()
		if err != nil {
			return
		}
		s, err := net.Dial("tcp", p.target) //nolint:noctx // loopback answers at once
		if err != nil || !p.track(c, s) {
			_ = c.Close()
			if s != nil {
				_ = s.Close()
			}
			continue
		}
		deaf := &atomic.Bool{}
		p.all.Go(func() { p.upstream(c, s, deaf) })
		p.all.Go(func() { p.downstream(c, s, deaf) })
	}
}

func (p *proxy) track(cs ...net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.shut {
		return false
	}
	for _, c := range cs {
		p.conns[c] = true
	}
	return true
}

func (p *proxy) drop(cs ...net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range cs {
		_ = c.Close()
		delete(p.conns, c)
	}
}

// upstream copies client to broker and looks for commits, also across the borders of pieces.
func (p *proxy) upstream(c, s net.Conn, deaf *atomic.Bool) {
	defer p.drop(c, s)
	buf := make([]byte, 64<<10)
	var tail []byte
	for {
		n, err := c.Read(buf)
		if err != nil {
			return
		}
		seen := append(tail, buf[:n]...) //nolint:gocritic // tail is made anew below
		cut, behind := false, false
		if bytes.Contains(seen, commitHeader) {
			cut, behind = p.draw()
		}
		if cut && !behind {
			p.before.Add(1)
			return
		}
		if cut {
			deaf.Store(true)
		}
		if _, err := s.Write(buf[:n]); err != nil {
			return
		}
		if cut {
			p.after.Add(1)
			p.all.Go(func() {
				time.Sleep(cutAfter)
				p.drop(c, s)
			})
		}
		tail = bytes.Clone(seen[max(0, len(seen)-len(commitHeader)+1):])
	}
}

// downstream copies broker to client until nothing is to be heard any more.
func (p *proxy) downstream(c, s net.Conn, deaf *atomic.Bool) {
	defer p.drop(c, s)
	buf := make([]byte, 64<<10)
	for {
		n, err := s.Read(buf)
		if err != nil {
			return
		}
		if deaf.Load() {
			continue
		}
		if _, err := c.Write(buf[:n]); err != nil {
			return
		}
	}
}
