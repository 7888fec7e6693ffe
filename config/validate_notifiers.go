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
	k.checkMeaning(path, &n)
	k.checkReceiver(path, &n)
	k.checkURLs(path, &n)
	k.checkSecrets(path, &n)
	k.checkLabels(path+".match", n.Match)
	k.checkLabels(path+".external_labels", n.ExternalLabels)
	for i, r := range n.Routes {
		p := joinIndex(path+".routes", i)
		k.checkLabels(p+".match", r.Match)
		if len(r.Match) == 0 {
			k.fail(p+".match", []string{p}, "needs labels, such as {team: risk}: what has no route is told in `channel`")
		}
		if !channel.MatchString(r.Channel) {
			k.fail(p+".channel", []string{p}, "must be the id of a channel, such as C024BE91L, or its name, such as #risk, got %q", shorten(r.Channel))
		}
	}
}

// channel is the form of Slack's ids and names of channels.
var channel = regexp.MustCompile(`^([CDGU][A-Z0-9]{2,20}|#[^\s#@<>&]{1,80})$`)

func (k *checker) checkLabels(path string, labels map[string]string) {
	for _, label := range slices.Sorted(maps.Keys(labels)) {
		if !alerting.IsLabelName(label) {
			k.failKey(joinKey(path, label), "must be the name of a label: a letter or `_`, then letters, digits and `_`")
		}
	}
}

// checkMeaning refuses what the type of a notifier has no use for.
func (k *checker) checkMeaning(path string, n *Notifier) {
	for _, f := range []struct {
		key   string
		given bool
		types []string
	}{
		{"urls", len(n.URLs) > 0, []string{"alertmanager", "slack", "webhook"}},
		{"url_file", n.URLFile != "", []string{"slack", "webhook"}},
		{"url_env", n.URLEnv != "", []string{"slack", "webhook"}},
		{"external_labels", len(n.ExternalLabels) > 0, []string{"alertmanager"}},
		{"channel", n.Channel != "", []string{"slack"}},
		{"routes", len(n.Routes) > 0, []string{"slack"}},
		{"user", n.User != "", []string{"alertmanager", "webhook"}},
		{"password_file", n.PasswordFile != "", []string{"alertmanager", "webhook"}},
		{"password_env", n.PasswordEnv != "", []string{"alertmanager", "webhook"}},
		{"token_file", n.TokenFile != "", []string{"alertmanager", "slack", "webhook"}},
		{"token_env", n.TokenEnv != "", []string{"alertmanager", "slack", "webhook"}},
		{"secret_file", n.SecretFile != "", []string{"webhook"}},
		{"secret_env", n.SecretEnv != "", []string{"webhook"}},
		{"tls", n.TLS != (TLS{}), []string{"alertmanager", "slack", "webhook"}}, //nolint:exhaustruct // none
	} {
		if f.given && !slices.Contains(f.types, n.Type) {
			k.fail(path+"."+f.key, []string{path + ".type"}, "has no meaning for the type %s", n.Type)
		}
	}
}

// checkReceiver applies the rules about where a receiver is.
func (k *checker) checkReceiver(path string, n *Notifier) {
	hook, token := n.URLFile != "" || n.URLEnv != "", n.TokenFile != "" || n.TokenEnv != ""
	switch n.Type {
	case "alertmanager":
		if len(n.URLs) == 0 {
			k.fail(path+".urls", nil, "needs the address of every instance, such as [http://alertmanager-0:9093]")
		}
	case "webhook":
		switch {
		case len(n.URLs) == 0 && !hook:
			k.fail(path+".urls", nil, "needs an address, such as [https://hooks.example.com/driftd], or url_file where the address is a secret")
		case len(n.URLs) > 0 && hook:
			k.fail(path+".urls", []string{path + ".url_file", path + ".url_env"}, "cannot be used together with url_file or url_env: make two notifiers of it")
		}
	case "slack":
		switch {
		case hook && token:
			k.fail(path+".url_file", []string{path + ".url_env", path + ".token_file"}, "cannot be used together with a token: an incoming webhook needs none")
		case !hook && !token:
			k.fail(path, nil, "needs token_file (or token_env) of a bot, or url_file (or url_env) of an incoming webhook")
		case hook && (n.Channel != "" || len(n.Routes) > 0):
			k.fail(path+".channel", []string{path + ".routes"}, "has no meaning for an incoming webhook, which belongs to one channel: use a token, or several notifiers with match")
		case hook && len(n.URLs) > 0:
			k.fail(path+".urls", []string{path + ".url_file"}, "cannot be used together with an incoming webhook")
		case token && n.Channel == "" && len(n.Routes) == 0:
			k.fail(path+".channel", nil, "needs the id of a channel, such as C024BE91L, or its name, such as #ml-alerts")
		case n.Channel != "" && !channel.MatchString(n.Channel):
			k.fail(path+".channel", nil, "must be the id of a channel, such as C024BE91L, or its name, such as #ml-alerts, got %q", shorten(n.Channel))
		case len(n.URLs) > 1:
			k.fail(path+".urls", nil, "must be the one address of Slack's API, got %d", len(n.URLs))
		}
	}
}

// checkURLs applies the rules about addresses.
func (k *checker) checkURLs(path string, n *Notifier) {
	if len(n.URLs) > 32 {
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
}

var environmentName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,127}$`)

// checkSecrets applies the rules about what a notifier shows of itself.
func (k *checker) checkSecrets(path string, n *Notifier) {
	for _, s := range []struct{ what, file, env string }{
		{"url", n.URLFile, n.URLEnv}, {"password", n.PasswordFile, n.PasswordEnv}, {"token", n.TokenFile, n.TokenEnv}, {"secret", n.SecretFile, n.SecretEnv},
	} {
		switch {
		case s.file != "" && s.env != "":
			k.fail(path+"."+s.what+"_env", []string{path + "." + s.what + "_file"}, "cannot be used together with %s_file: keep one", s.what)
		case s.env != "" && !environmentName.MatchString(s.env):
			k.fail(path+"."+s.what+"_env", nil, "must be the name of a variable of the environment, such as DRIFTD_%s, not the secret itself", strings.ToUpper(s.what))
		}
	}
	password := n.PasswordFile != "" || n.PasswordEnv != ""
	switch {
	case n.User != "" && (n.TokenFile != "" || n.TokenEnv != ""):
		k.fail(path+".token_file", []string{path + ".user"}, "cannot be used together with user: keep one way to authenticate")
	case n.User != "" && !password:
		k.fail(path+".user", []string{path + ".password_file"}, "needs password_file as well")
	case n.User == "" && password:
		k.fail(path+".password_file", []string{path + ".user", path + ".password_env"}, "needs user as well")
	case (n.TLS.CertFile == "") != (n.TLS.KeyFile == ""):
		k.fail(path+".tls", nil, "needs cert_file and key_file, or neither")
	}
}
