package app

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/driftd/driftd/alerting/notify"
	"github.com/driftd/driftd/alerting/notify/notifytest"
	"github.com/driftd/driftd/config"
)

// The types that the configuration takes are those that there are.
func TestNotifierTypes(t *testing.T) {
	field, ok := reflect.TypeFor[config.Notifier]().FieldByName("Type")
	if !ok {
		t.Fatal("a notifier has no type")
	}
	var types []string
	for _, s := range notify.Builtin() {
		types = append(types, s.Type)
	}
	if diff := cmp.Diff(strings.Split(field.Tag.Get("enum"), "|"), types); diff != "" {
		t.Errorf("types (-config +notify):\n%s", diff)
	}
}

// A secret is where the configuration says, in a file or in the environment, and is found when it is used.
func TestNotifierSecrets(t *testing.T) {
	var got http.Header
	var path string
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got, path = r.Header.Clone(), r.URL.Path }))
	t.Cleanup(server.Close)
	file := filepath.Join(t.TempDir(), "secret")
	tell := func(n config.Notifier) error {
		t.Helper()
		host := notify.Host{Logger: slog.New(slog.DiscardHandler), Page: func() string { return "" }, Now: time.Now}
		receivers, err := Receivers("n", n, host)
		if err != nil {
			return err
		}
		return receivers[0].Notifier.Deliver(t.Context(), notifytest.Notices()[:1])[0].Err
	}
	t.Setenv("DRIFTD_TEST_URL", server.URL+"/s3cret-path")
	t.Setenv("DRIFTD_TEST_TOKEN", "s3cret-token")
	t.Setenv("DRIFTD_TEST_KEY", "s3cret-key")
	n := config.Notifier{Type: "webhook", URLEnv: "DRIFTD_TEST_URL", TokenEnv: "DRIFTD_TEST_TOKEN", SecretEnv: "DRIFTD_TEST_KEY"}
	if err := tell(n); err != nil || path != "/s3cret-path" || got.Get("Authorization") != "Bearer s3cret-token" || !strings.HasPrefix(got.Get(notify.SignatureHeader), "t=") {
		t.Errorf("%v, %s, %v", err, path, got)
	}
	n = config.Notifier{Type: "webhook", URLFile: file}
	if err := tell(n); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("a file that is not there: %v", err)
	}
	if err := os.WriteFile(file, []byte(server.URL+"/another\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := tell(n); err != nil || path != "/another" {
		t.Errorf("%v, %s", err, path)
	}
	server.Close()
	t.Setenv("DRIFTD_TEST_URL", "http://127.0.0.1:1/s3cret-path")
	for _, n := range []config.Notifier{
		{Type: "webhook", URLEnv: "DRIFTD_TEST_URL", TokenEnv: "DRIFTD_TEST_TOKEN", SecretEnv: "DRIFTD_TEST_KEY"},
		{Type: "slack", URLEnv: "DRIFTD_TEST_URL"},
		{Type: "slack", URLs: []string{"http://127.0.0.1:1/"}, TokenEnv: "DRIFTD_TEST_TOKEN", Channel: "#a"},
		{Type: "webhook", URLs: []string{"http://127.0.0.1:1/"}, User: "u", PasswordEnv: "DRIFTD_TEST_TOKEN"},
	} {
		if err := tell(n); err == nil || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%+v: %v", n, err)
		}
	}
}

// Each channel is a receiver of its own, whose name no other notifier can have and that stays when routes change their order.
func TestSlackReceivers(t *testing.T) {
	n := config.Notifier{Type: "slack", TokenFile: "t", Channel: "#all", Routes: []config.Route{
		{Match: map[string]string{"team": "a"}, Channel: "#a_b"},
		{Match: map[string]string{"team": "b"}, Channel: "C024BE91L"},
		{Match: map[string]string{"team": "c"}, Channel: "#a_b"},
		{Match: map[string]string{"team": "d"}, Channel: "#ünïcode"},
	}}
	receivers, err := Receivers("slack", n, notify.Host{})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, r := range receivers {
		names = append(names, r.Name)
	}
	slices.Sort(names)
	if diff := cmp.Diff([]string{"slack=C024BE91L", "slack=_fcn_efcode", "slack=a__b", "slack=all"}, names); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
	for team, want := range map[string]string{"a": "slack=a__b", "b": "slack=C024BE91L", "c": "slack=a__b", "": "slack=all"} {
		var told []string
		for _, r := range receivers {
			if r.Match(map[string]string{"team": team}) {
				told = append(told, r.Name)
			}
		}
		if !slices.Equal(told, []string{want}) {
			t.Errorf("team %q is told by %v, want %s alone", team, told, want)
		}
	}
}
