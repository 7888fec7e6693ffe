package e2e_test

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/driftd/driftd/broker"
)

// brokerDirEnv makes the test binary a broker that keeps its streams in the directory it names.
const brokerDirEnv = "DRIFTD_E2E_BROKER_DIR"

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

// external is a broker in a process of its own, as a user's would be.
type external struct {
	url, token string
	tokenFile  string
}

// startBroker runs a broker in a process of its own until the test ends.
func startBroker(tb testing.TB) external {
	tb.Helper()
	self, err := os.Executable()
	if err != nil {
		tb.Fatal(err)
	}
	dir := tb.TempDir()
	cmd := exec.Command(self, "-test.run=^$")
	cmd.Env = append(os.Environ(), brokerDirEnv+"="+filepath.Join(dir, "jetstream"))
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
	e := external{url: address, token: token, tokenFile: filepath.Join(dir, "token")}
	if err := os.WriteFile(e.tokenFile, []byte(token+"\n"), 0o600); err != nil {
		tb.Fatal(err)
	}
	return e
}

// config is the section of driftd.yaml that names the broker.
func (e external) config() string {
	return fmt.Sprintf("nats:\n  url: %s\n  token_file: %s\n", e.url, e.tokenFile)
}
