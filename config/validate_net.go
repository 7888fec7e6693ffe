package config

import (
	"net"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// streamName is what JetStream takes as the name of a stream, without the characters that make a bad file name.
var streamName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,128}$`)

var hostName = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?$`)

// checkNATS applies the rules about the broker.
func (k *checker) checkNATS() {
	n := &k.c.NATS
	if n.URL != "" {
		for u := range strings.SplitSeq(n.URL, ",") {
			k.checkURL(strings.TrimSpace(u))
		}
	}
	if !streamName.MatchString(n.Stream) {
		k.fail("nats.stream", nil, "must be 1 to 128 of A-Z a-z 0-9 _ -, got %q", shorten(n.Stream))
	}
	k.checkAuthentication(n)
	if n.URL == "" && n.Replicas > 1 && n.Replicas <= 5 {
		k.fail("nats.replicas", []string{"nats.url"}, "must be 1 with the embedded broker, got %d: set nats.url to use a cluster", n.Replicas)
	}
	k.checkTLS("nats.tls", &n.TLS)
}

func (k *checker) checkTLS(path string, t *TLS) {
	cert, key := path+".cert_file", path+".key_file"
	if t.CertFile != "" && t.KeyFile == "" {
		k.fail(cert, []string{key}, "needs %s as well", key)
	}
	if t.KeyFile != "" && t.CertFile == "" {
		k.fail(key, []string{cert}, "needs %s as well", cert)
	}
}

// checkInfluxDB applies the rules about the InfluxDB that results go to.
func (k *checker) checkInfluxDB() {
	i := &k.c.Store.InfluxDB
	used := k.c.Store.Type == "influxdb"
	u, err := url.Parse(i.URL)
	switch {
	case i.URL == "" && used:
		k.fail("store.type", []string{"store.influxdb.url"}, "influxdb needs store.influxdb.url, such as http://localhost:8086")
	case i.URL == "":
	case err == nil && u.User != nil, strings.Contains(i.URL, "@"):
		k.fail("store.influxdb.url", nil, "must not hold a user or a password, which logs would show: put user:password or a token into token_file")
	case err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "" || u.RawQuery != "":
		k.fail("store.influxdb.url", nil, "must be an address such as http://localhost:8086, got %q", shorten(i.URL))
	}
	if used && strings.TrimSpace(i.Bucket) == "" {
		k.fail("store.influxdb.bucket", []string{"store.type"}, "must name a bucket (of 1.8: a database)")
	}
	k.checkTLS("store.influxdb.tls", &i.TLS)
}

func (k *checker) checkURL(text string) {
	u, err := url.Parse(text)
	switch {
	case err == nil && u.User != nil, strings.Contains(text, "@"):
		k.fail("nats.url", nil, "must not hold a user or a password, which logs would show: use user and password_file, or token_file")
	case err != nil || !slices.Contains([]string{"nats", "tls", "ws", "wss"}, u.Scheme) || u.Hostname() == "":
		k.fail("nats.url", nil, "must be addresses such as nats://host:4222, separated by commas, got %q", shorten(text))
	default:
		if p := u.Port(); p != "" && !validPort(p) {
			k.fail("nats.url", nil, "must have a port between 0 and 65535, got %q", shorten(text))
		}
	}
}

// checkAuthentication allows one way to authenticate, and none with the embedded broker, which makes its own token.
func (k *checker) checkAuthentication(n *NATS) {
	var ways []string
	for _, f := range []struct{ path, value string }{
		{"nats.credentials_file", n.CredentialsFile},
		{"nats.nkey_file", n.NKeyFile},
		{"nats.user", n.User},
		{"nats.token_file", n.TokenFile},
	} {
		if f.value != "" {
			ways = append(ways, f.path)
		}
	}
	for _, way := range ways[min(1, len(ways)):] {
		k.fail(way, ways, "cannot be used together with %s: keep one way to authenticate", ways[0])
	}
	switch {
	case n.User != "" && n.PasswordFile == "":
		k.fail("nats.user", []string{"nats.password_file"}, "needs nats.password_file as well")
	case n.User == "" && n.PasswordFile != "":
		k.fail("nats.password_file", []string{"nats.user"}, "needs nats.user as well")
	}
	if n.URL != "" {
		return
	}
	for _, f := range []struct{ path, value string }{
		{"nats.tls.ca_file", n.TLS.CAFile},
		{"nats.tls.cert_file", n.TLS.CertFile},
		{"nats.tls.key_file", n.TLS.KeyFile},
	} {
		if f.value != "" {
			ways = append(ways, f.path)
		}
	}
	for _, way := range ways {
		k.fail(way, []string{"nats.url"}, "has no meaning without nats.url: the embedded broker generates its own token")
	}
}

// checkServers applies the rules about the addresses that driftd listens on, and about the store.
func (k *checker) checkServers() {
	web, broker := &k.c.Web, &k.c.NATS.Embedded
	if k.checkListen("web.listen", web.Listen) && !loopback(web.Listen) && web.ConfigFile == "" {
		k.fail("web.listen", []string{"web.config_file"},
			"must be a loopback address such as 127.0.0.1:8790, got %q: beyond it, set web.config_file with users (and TLS)", shorten(web.Listen))
	}
	if k.checkListen("nats.embedded.listen", broker.Listen) && k.c.NATS.URL == "" && web.Listen == broker.Listen &&
		!strings.HasSuffix(web.Listen, ":0") {
		k.fail("web.listen", []string{"nats.embedded.listen", "nats.url"}, "must not be the address of nats.embedded.listen (%s)", shorten(broker.Listen))
	}
	for i, host := range web.AllowedHosts {
		if !hostName.MatchString(host) && net.ParseIP(host) == nil {
			k.fail(joinIndex("web.allowed_hosts", i), nil, "must be a host name without scheme, port and wildcard, got %q", shorten(host))
		}
	}
	if strings.TrimSpace(k.c.DataDir) == "" {
		k.fail("data_dir", nil, "must name a directory, such as ./driftd-data")
	}
}

func (k *checker) checkListen(path, address string) bool {
	host, port, err := net.SplitHostPort(address)
	if err != nil || !validPort(port) || (host != "" && !hostName.MatchString(host) && net.ParseIP(host) == nil) {
		k.fail(path, nil, "must be host:port, such as 127.0.0.1:8790 or [::1]:8790, got %q", shorten(address))
		return false
	}
	return true
}

func validPort(port string) bool {
	n, err := strconv.ParseUint(port, 10, 16)
	return err == nil && n <= 65535
}

// loopback reports whether only this machine can reach an address.
func loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	ip := net.ParseIP(host)
	return err == nil && (host == "localhost" || (ip != nil && ip.IsLoopback()))
}
