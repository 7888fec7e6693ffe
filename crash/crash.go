// Package crash remembers over the death of a process which message it was folding. What recover cannot catch (an overflowing
// stack, a concurrent map write, memory that ran out) ends the process at once; the Go runtime still writes its report, here
// also into a file of the data directory. The next process reads it. A kill from outside writes no such report, so it is never
// taken for a message's fault.
package crash

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"strings"
	"sync"
)

// The files in the data directory.
const (
	reportFile = "crash.txt"     // the runtime's report on this process; empty while it lives
	handFile   = "crash.message" // the message that is folded alone
)

// LastFile holds the last report of a process before, for whoever looks for the bug.
const LastFile = "crash.last.txt"

// aloneFrame is how a report names Alone: the crash happened inside of it only if the goroutine that crashed shows it.
const aloneFrame = "/crash.(*Recorder).Alone("

// maxReport bounds what is read of a report: the goroutine that crashed comes first.
const maxReport = 1 << 20

// Recorder is the memory of one process. Its methods may be called from several goroutines.
type Recorder struct {
	mu   sync.Mutex // held while a message is folded alone, so that the file names the right one
	hand *os.File

	report    string // of the process before
	partition int    // that died while it folded seq alone
	seq       uint64 // 0: it did not
}

// Open reads what the process before left in a data directory, and makes the runtime report a crash of this one there.
func Open(dir string) (*Recorder, error) {
	r := &Recorder{mu: sync.Mutex{}, hand: nil, report: "", partition: 0, seq: 0}
	path := filepath.Join(dir, reportFile)
	if err := r.look(dir, path); err != nil {
		return nil, fmt.Errorf("reading the report of a crash: %w", err)
	}
	out, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("preparing the report of a crash: %w", err)
	}
	err = errors.Join(debug.SetCrashOutput(out, debug.CrashOptions{}), out.Close()) // the runtime has its own handle
	if err != nil {
		return nil, fmt.Errorf("preparing the report of a crash: %w", err)
	}
	if r.hand, err = os.OpenFile(filepath.Join(dir, handFile), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600); err != nil {
		return nil, fmt.Errorf("preparing the report of a crash: %w", err)
	}
	return r, nil
}

// look reads the files of the process before.
func (r *Recorder) look(dir, path string) error {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(data) == 0 {
		return nil
	}
	if err != nil {
		return err
	}
	r.report = string(data[:min(len(data), maxReport)])
	if err := os.Rename(path, filepath.Join(dir, LastFile)); err != nil {
		return err
	}
	if !foldedAlone(r.report) {
		return nil
	}
	hand, err := os.ReadFile(filepath.Join(dir, handFile))
	if err != nil {
		return err
	}
	if _, err := fmt.Sscanf(string(hand), "%d %d\n", &r.partition, &r.seq); err != nil {
		return fmt.Errorf("%s holds %q: %w", handFile, hand, err)
	}
	return nil
}

// running matches the stack of the goroutine that crashed: the first one that a report shows, up to the empty line behind it.
var running = regexp.MustCompile(`(?ms)^goroutine \d+ [^\n]*\[running[^\n]*\]:\n(.*?)(?:\n\n|\z)`)

// sent begins the report on a process that was ended by a signal which somebody sent, such as SIGQUIT. A fault of the process
// itself is reported otherwise, also one that the processor finds.
const sent = "SIG"

// foldedAlone says whether a report is of a process that died of its own fault inside of Alone.
func foldedAlone(report string) bool {
	stack := running.FindStringSubmatch(report)
	return stack != nil && !strings.HasPrefix(strings.TrimSpace(report), sent) && strings.Contains(stack[1], aloneFrame)
}

// Before returns the runtime's report on the process before, or "" if that did not crash.
func (r *Recorder) Before() string { return r.report }

// Culprit returns the message of a partition whose folding killed the process before: proven, for it was folded alone and the
// crash happened in that very call. 0: none.
func (r *Recorder) Culprit(partition int) uint64 {
	if r.seq != 0 && r.partition == partition {
		return r.seq
	}
	return 0
}

// Alone calls f, which folds one message, so that the next process knows the message if f kills this one. No two run at once.
//
//go:noinline
func (r *Recorder) Alone(partition int, seq uint64, f func()) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	// A fixed width overwrites what was there. It need not reach the disk: a process that dies leaves the kernel its writes.
	if _, err := r.hand.WriteAt(fmt.Appendf(nil, "%010d %020d\n", partition, seq), 0); err != nil {
		return fmt.Errorf("noting the message that is folded alone: %w", err)
	}
	f()
	return nil
}

// Close ends the reporting to the data directory.
func (r *Recorder) Close() error {
	return errors.Join(debug.SetCrashOutput(nil, debug.CrashOptions{}), r.hand.Close())
}
