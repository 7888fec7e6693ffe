package e2e_test

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/driftd/driftd/internal/testenv"
)

// peak returns the largest resident memory that the process ever had, in bytes.
func (d *daemon) peak() int {
	d.tb.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", d.cmd.Process.Pid))
	if err != nil {
		testenv.Missing(d.tb, "a /proc file system")
	}
	_, line, _ := strings.Cut(string(status), "VmHWM:")
	line, _, _ = strings.Cut(line, "kB")
	kib, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		d.tb.Fatalf("reading VmHWM: %v", err)
	}
	return kib << 10
}

// However far the daemon is behind, and however large the messages are, it holds no more of the backlog than docs/operations.md
// says: a pull of 16 MiB, two queues of 4 MiB and a message each, and the 8 MiB and a message that wait to be counted together, doubled by the garbage
// collector's target.
func TestMemoryAtAnyLag(t *testing.T) {
	t.Parallel()
	const size = 900_000
	const bound = 2 * (16<<20 + 2*(4<<20+size) + 8<<20 + size)
	text := strings.Repeat("x", size)
	peaks := map[int]int{}
	for _, messages := range []int{1, 300} {
		b := startBroker(t)
		d := newDaemon(t, b.config()+"commit: {interval: 20ms}\n")
		d.start()
		d.run.URL, d.run.Token = b.url, b.token
		_, js := d.connect()
		d.stop()
		for i := range messages {
			send(t, js, "ml.events.m", fmt.Sprintf(`{"id":"e%d","ts":%d,"features":{"x":%q}}`, i, at.UnixMilli()+int64(i), text))
		}
		d.start()
		d.run.URL, d.run.Token = b.url, b.token
		d.settled(js)
		peaks[messages] = d.peak()
		d.stop()
	}
	t.Logf("peak of resident memory with a backlog of 1 message: %d MiB, of 300 (%d MiB): %d MiB; bound of the growth: %d MiB",
		peaks[1]>>20, 300*size>>20, peaks[300]>>20, bound>>20)
	if grown := peaks[300] - peaks[1]; grown > bound {
		t.Errorf("a backlog of %d MiB takes %d MiB more, the bound is %d MiB", 300*size>>20, grown>>20, bound>>20)
	}
}
