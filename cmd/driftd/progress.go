package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"
)

// progressBar shows what is being done on a terminal, and nothing elsewhere.
type progressBar struct {
	mu    sync.Mutex
	out   io.Writer
	width int // columns; 0: no terminal
	now   func() time.Time
	begun time.Time
	shown time.Time
	share map[string]float64
	order []string
}

// terminalWidth returns how many columns a terminal has; 0 for what is none.
func terminalWidth(w io.Writer) int {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return 0
	}
	if width, _, err := term.GetSize(int(f.Fd())); err == nil && width > 0 {
		return width
	}
	return 80
}

// newProgressBar returns a bar for a terminal of so many columns, or one that never shows for 0.
func newProgressBar(w io.Writer, width int, now func() time.Time) *progressBar {
	return &progressBar{out: w, width: width, now: now, begun: now(), shown: time.Time{}, share: map[string]float64{}, order: nil}
}

// update is told by several goroutines.
func (b *progressBar) update(what string, share float64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.width == 0 {
		return
	}
	if _, ok := b.share[what]; !ok {
		b.order = append(b.order, what)
	}
	b.share[what] = max(b.share[what], share)
	now := b.now()
	if now.Sub(b.begun) < 300*time.Millisecond || now.Sub(b.shown) < 100*time.Millisecond {
		return // a short run needs no bar
	}
	b.shown = now
	fmt.Fprintf(b.out, "\r\x1b[K%s", b.line())
}

// line is one line of the terminal, and shorter than that: one that wraps could not be cleared.
func (b *progressBar) line() string {
	const most, least = 20, 5 // of a bar
	var doing []string
	taken := 0
	for _, what := range b.order {
		if b.share[what] < 1 || what == b.order[len(b.order)-1] {
			doing = append(doing, what)
			taken += len(what) + len("  100 %  ")
		}
	}
	length := min((b.width-taken)/len(doing), most)
	parts := make([]string, len(doing))
	for i, what := range doing {
		bar := ""
		if length >= least {
			done := int(float64(length) * b.share[what])
			bar = strings.Repeat("█", done) + strings.Repeat("░", length-done) + " "
		}
		parts[i] = fmt.Sprintf("%s %s%3.0f %%", what, bar, 100*b.share[what])
	}
	line := []rune(strings.Join(parts, "  "))
	return string(line[:min(len(line), b.width-1)])
}

// clear removes the line; nothing is shown after it.
func (b *progressBar) clear() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.width > 0 && !b.shown.IsZero() {
		fmt.Fprint(b.out, "\r\x1b[K")
	}
	b.width = 0
}
