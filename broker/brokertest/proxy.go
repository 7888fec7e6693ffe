package brokertest

import (
	"bytes"
	"net"
	"net/url"
	"sync"
	"testing"
)

// Proxy forwards TCP connections to a broker. Once armed with a text, it swallows every answer after the client has sent
// that text, and cuts the connection at the first acknowledgement: the server has acted and the client does not know.
type Proxy struct {
	l      net.Listener
	target string
	wg     sync.WaitGroup

	mu     sync.Mutex
	conns  map[net.Conn]bool
	needle []byte
	before bool // cut before the needle reaches the server
	down   bool
}

// NewProxy listens on a free port of loopback until the test ends.
func NewProxy(tb testing.TB, brokerURL string) *Proxy {
	tb.Helper()
	u, err := url.Parse(brokerURL)
	if err != nil {
		tb.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	p := &Proxy{l: l, target: u.Host, conns: map[net.Conn]bool{}}
	p.wg.Go(p.accept)
	tb.Cleanup(func() {
		_ = l.Close()
		p.SetDown(true)
		p.wg.Wait()
	})
	return p
}

// URL returns the address of the proxy.
func (p *Proxy) URL() string { return "nats://" + p.l.Addr().String() }

// CutAfter cuts the connection once the server has acknowledged what the client sent with the text; the answer is lost.
func (p *Proxy) CutAfter(text string) { p.arm(text, false) }

// CutBefore cuts the connection instead of forwarding the piece of the client's stream that holds the text.
func (p *Proxy) CutBefore(text string) { p.arm(text, true) }

func (p *Proxy) arm(text string, before bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.needle, p.before = []byte(text), before
}

// Retarget makes new connections go to another broker.
func (p *Proxy) Retarget(tb testing.TB, brokerURL string) {
	tb.Helper()
	u, err := url.Parse(brokerURL)
	if err != nil {
		tb.Fatal(err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.target = u.Host
}

// SetDown refuses (true) or allows new connections, and cuts the present ones when going down.
func (p *Proxy) SetDown(down bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down = down
	if down {
		for c := range p.conns {
			_ = c.Close()
		}
	}
}

func (p *Proxy) accept() {
	for {
		c, err := p.l.Accept()
		if err != nil {
			return
		}
		p.mu.Lock()
		target := p.target
		p.mu.Unlock()
		s, err := net.Dial("tcp", target)
		if err != nil || !p.track(c, s) {
			_ = c.Close()
			if s != nil {
				_ = s.Close()
			}
			continue
		}
		swallow := make(chan struct{})
		p.wg.Go(func() { p.upstream(c, s, swallow) })
		p.wg.Go(func() { p.downstream(c, s, swallow) })
	}
}

func (p *Proxy) track(cs ...net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.down {
		return false
	}
	for _, c := range cs {
		p.conns[c] = true
	}
	return true
}

func (p *Proxy) drop(cs ...net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range cs {
		_ = c.Close()
		delete(p.conns, c)
	}
}

// upstream copies client to server and looks for the needle across piece borders.
func (p *Proxy) upstream(c, s net.Conn, swallow chan struct{}) {
	defer p.drop(c, s)
	buf := make([]byte, 64<<10)
	var tail []byte
	swallowing := false
	for {
		n, err := c.Read(buf)
		if err != nil {
			return
		}
		p.mu.Lock()
		needle, before := p.needle, p.before
		tail = append(tail, buf[:n]...)
		hit := len(needle) > 0 && bytes.Contains(tail, needle)
		if hit {
			p.needle = nil // one shot
		}
		p.mu.Unlock()
		if hit && before {
			return
		}
		if hit && !swallowing {
			swallowing = true
			close(swallow)
		}
		if _, err := s.Write(buf[:n]); err != nil {
			return
		}
		tail = append([]byte(nil), tail[max(0, len(tail)-256):]...)
	}
}

// downstream copies server to client until told to swallow; then it cuts at the first JetStream acknowledgement.
func (p *Proxy) downstream(c, s net.Conn, swallow chan struct{}) {
	defer p.drop(c, s)
	buf := make([]byte, 64<<10)
	for {
		n, err := s.Read(buf)
		if err != nil {
			return
		}
		select {
		case <-swallow:
			if bytes.Contains(buf[:n], []byte(`"seq":`)) {
				return
			}
			continue
		default:
		}
		if _, err := c.Write(buf[:n]); err != nil {
			return
		}
	}
}
