package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/driftd/driftd/broker"
	"github.com/driftd/driftd/config"
)

// healthTimeout is shorter than the five seconds that a supervisor usually waits: the answer should be ours.
const healthTimeout = 4 * time.Second

// probe is one call of the command.
type probe struct{ url, config, dataDir, user, passwordFile, caFile string }

func healthCommand() command {
	return command{
		name:  "driftd health",
		short: "ask the running daemon whether it is ready",
		args:  "[--url URL] [flags]",
		about: `Asks GET /-/ready of the daemon that recorded itself in the data directory, or of the one at --url, and says why where it is not
ready. It is what a container without a shell and curl has for a health check.

The certificate of a daemon on this machine is taken as it is, for it seldom names 127.0.0.1; --ca-file makes it checked. Those of
others are always checked.`,
		examples: []example{
			{"the daemon on this machine", "driftd health"},
			{"one whose page asks for a password", "driftd health --data-dir /data --user probe --password-file /run/secrets/probe"},
			{"another machine's", "driftd health --url https://driftd.example.org:8790"},
		},
		exits: []exit{
			{exitDone, "ready"},
			{exitFailed, "not ready, or no answer"},
			{exitUsage, "wrong usage, or no daemon is known"},
		},
		setup: func(fs *flag.FlagSet) action {
			p := probeFlags(fs)
			return func(ctx context.Context, con *console, args []string) error {
				if err := noArguments(args); err != nil {
					return err
				}
				return p.ask(ctx, con.stdout)
			}
		},
	}
}

// probeFlags declares how a daemon's HTTP API is found.
func probeFlags(fs *flag.FlagSet) *probe {
	p := &probe{} //nolint:exhaustruct // the flags fill it
	fs.StringVar(&p.url, "url", "", "`URL`: address of the daemon's page, such as http://127.0.0.1:8790")
	fs.StringVar(&p.config, "config", "", "`FILE`: the driftd.yaml of the daemon, for its data_dir")
	fs.StringVar(&p.dataDir, "data-dir", "", "`DIR`: data directory of the daemon (default "+defaultDataDir+")")
	fs.StringVar(&p.user, "user", "", "`NAME`: a user of the web configuration")
	fs.StringVar(&p.passwordFile, "password-file", "", "`FILE`: the password of --user")
	fs.StringVar(&p.caFile, "ca-file", "", "`FILE`: certificates (PEM) that may sign the daemon's")
	return p
}

func (p *probe) ask(ctx context.Context, out io.Writer) error {
	return p.call(ctx, http.MethodGet, "/-/ready", nil, func(base *url.URL, resp *http.Response) error {
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("%s is not ready: %s", base, refusal(resp))
		}
		_, err := fmt.Fprintf(out, "ready: %s\n", base)
		return err
	})
}

// call asks the daemon for something and hands its answer on.
func (p *probe) call(ctx context.Context, method, path string, body []byte, take func(base *url.URL, resp *http.Response) error) error {
	base, err := p.address()
	if err != nil {
		return err
	}
	client, err := p.client(base)
	if err != nil {
		return err
	}
	defer client.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	at, query, _ := strings.Cut(path, "?")
	u := base.JoinPath(at)
	u.RawQuery = query
	req, err := http.NewRequestWithContext(ctx, method, u.String(), bytes.NewReader(body)) //nolint:gosec // the daemon that the user names
	if err != nil {
		return usageError("--url %s: %w", base.Redacted(), err)
	}
	if len(body) > 0 {
		req.Header.Set("Content-Type", "application/json")
	}
	if p.user != "" {
		password, err := os.ReadFile(p.passwordFile)
		if err != nil {
			return inputError(fmt.Errorf("reading the password of %s: %w", p.user, err))
		}
		req.SetBasicAuth(p.user, strings.TrimRight(string(password), "\r\n"))
	}
	resp, err := client.Do(req) //nolint:gosec // as above
	if err != nil {
		return fmt.Errorf("no answer: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode == http.StatusUnauthorized {
		return fmt.Errorf("%s asks for a password: give --user and --password-file", base)
	}
	return take(base, resp)
}

// data asks for an object of the API and decodes what it says.
func (p *probe) data(ctx context.Context, method, path string, body []byte, into any) error {
	return p.call(ctx, method, path, body, func(base *url.URL, resp *http.Response) error {
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("%s: %s", base, refusal(resp))
		}
		answer := struct {
			Data any `json:"data"`
		}{into}
		if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
			return fmt.Errorf("reading the answer of %s: %w", base, err)
		}
		return nil
	})
}

// refusal returns what an answer of the API gives as its reason, or its status where the answer is somebody else's.
func refusal(resp *http.Response) string {
	var body struct {
		Error struct {
			Message string `json:"message"`
		} `json:"error"`
	}
	err := json.NewDecoder(io.LimitReader(resp.Body, 64<<10)).Decode(&body)
	if err != nil || body.Error.Message == "" {
		return "the answer is " + resp.Status
	}
	return plainText(body.Error.Message)
}

// address returns where the daemon's page is: --url, or what the daemon recorded.
func (p *probe) address() (*url.URL, error) {
	if (p.user == "") != (p.passwordFile == "") {
		return nil, usageError("--user and --password-file belong together")
	}
	if p.url != "" {
		u, err := url.Parse(p.url)
		if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
			return nil, usageError("--url %q: want the address of the page, such as http://127.0.0.1:8790", p.url)
		}
		if u.User != nil {
			return nil, usageError("--url: a command line is readable by others; give --user and --password-file")
		}
		return u, nil
	}
	dir := p.dataDir
	if dir == "" {
		cfg := config.Default()
		if p.config != "" {
			var err error
			if cfg, err = loadConfig(p.config); err != nil {
				return nil, err
			}
		}
		dir = cfg.DataDir
	}
	record, err := broker.ReadRuntime(dir)
	if errors.Is(err, broker.ErrNoRuntime) {
		return nil, usageError("no daemon is known: give --url http://host:port, or the --data-dir of a running `driftd run` "+
			"(there is no record of one in %s)", dir)
	}
	if err != nil {
		return nil, inputError(err)
	}
	u, err := url.Parse(record.WebURL)
	if err != nil || u.Host == "" {
		return nil, fmt.Errorf("the daemon of %s (process %d) has not recorded where its page is: is it starting?", dir, record.PID)
	}
	return u, nil
}

// client asks the daemon itself: through no proxy, and following nobody elsewhere.
func (p *probe) client(base *url.URL) (*http.Client, error) {
	secure := &tls.Config{MinVersion: tls.VersionTLS12}
	if p.caFile != "" {
		pem, err := os.ReadFile(p.caFile)
		if err != nil {
			return nil, inputError(fmt.Errorf("reading certificates: %w", err))
		}
		secure.RootCAs = x509.NewCertPool()
		if !secure.RootCAs.AppendCertsFromPEM(pem) {
			return nil, inputError(fmt.Errorf("reading certificates: %s has none in PEM", p.caFile))
		}
	} else if onLoopback(base.Hostname()) {
		secure.InsecureSkipVerify = true // it names the machine, not loopback; what is here already is not kept out by a name
	}
	return &http.Client{
		Transport:     &http.Transport{Proxy: nil, TLSClientConfig: secure, DialContext: (&net.Dialer{}).DialContext},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, nil
}

func onLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.Unmap().IsLoopback()
}
