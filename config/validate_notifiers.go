package config

import (
	"maps"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/driftd/driftd/alerting"
)

var notifierName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// checkNotifiers applies the rules about who is told.
func (k *checker) checkNotifiers() {
	if u := k.c.Web.ExternalURL; u != "" {
		if parsed, err := url.Parse(u); err != nil || parsed.Host == "" || parsed.Scheme != "http" && parsed.Scheme != "https" || parsed.User != nil {
			k.fail("web.external_url", nil, "must be an address such as https://driftd.example.com, without a user")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(k.c.Notifiers)) {
		k.checkNotifier(name, k.c.Notifiers[name])
	}
}

func (k *checker) checkNotifier(name string, n Notifier) {
	path := joinKey("notifiers", name)
	if !notifierName.MatchString(name) {
		k.failKey(path, "must be a notifier's name: 1 to 64 of A-Z a-z 0-9 _ -")
	}
	if n.Type == "" && !k.d.written(path+".type") {
		k.fail(path, nil, "needs a type, such as {type: alertmanager, urls: [http://alertmanager:9093]}")
		return
	}
	for _, f := range bounds(path, reflect.ValueOf(n)) {
		k.report(f)
	}
	k.checkHTTP(path, &n)
	for _, labels := range []struct {
		path   string
		values map[string]string
	}{{path + ".match", n.Match}, {path + ".external_labels", n.ExternalLabels}} {
		for _, label := range slices.Sorted(maps.Keys(labels.values)) {
			if !alerting.IsLabelName(label) {
				k.failKey(joinKey(labels.path, label), "must be the name of a label: a letter or `_`, then letters, digits and `_`")
			}
		}
	}
}

// checkHTTP applies the rules about a receiver that is reached by HTTP.
func (k *checker) checkHTTP(path string, n *Notifier) {
	remote := n.Type == "alertmanager"
	switch {
	case remote && len(n.URLs) == 0:
		k.fail(path+".urls", nil, "needs the address of every instance, such as [http://alertmanager-0:9093]")
	case !remote && len(n.URLs) > 0:
		k.fail(path+".urls", []string{path + ".type"}, "has no meaning for the type %s", n.Type)
	case len(n.URLs) > 32:
		k.fail(path+".urls", nil, "must be at most 32 instances, got %d", len(n.URLs))
	}
	seen := map[string]int{}
	for i, text := range n.URLs {
		p := joinIndex(path+".urls", i)
		u, err := url.Parse(text)
		switch {
		case err == nil && u.User != nil, strings.Contains(text, "@"):
			k.fail(p, nil, "must not hold a user or a password, which logs would show: use user and password_file, or token_file")
		case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
			k.fail(p, nil, "must be an address such as http://alertmanager-0:9093, got %q", shorten(text))
		case u.RawQuery != "" || u.Fragment != "":
			k.fail(p, nil, "must end with its path, got %q", shorten(text))
		}
		if first, again := seen[text]; again {
			k.fail(p, nil, "is urls[%d] as well", first)
		}
		seen[text] = i
	}
	switch {
	case n.User != "" && n.TokenFile != "":
		k.fail(path+".token_file", []string{path + ".user"}, "cannot be used together with user: keep one way to authenticate")
	case n.User != "" && n.PasswordFile == "":
		k.fail(path+".user", []string{path + ".password_file"}, "needs password_file as well")
	case n.User == "" && n.PasswordFile != "":
		k.fail(path+".password_file", []string{path + ".user"}, "needs user as well")
	case (n.TLS.CertFile == "") != (n.TLS.KeyFile == ""):
		k.fail(path+".tls", nil, "needs cert_file and key_file, or neither")
	}
}
