// Package browsertest drives a real headless Chromium in tests. A test without the browser is skipped by name on a
// developer's machine and fails where CI=true. Test code only.
package browsertest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/driftd/driftd/internal/testenv"
)

// patience bounds every wait for the browser.
const patience = 60 * time.Second

// watch collects violations of the content security policy before any script of the page runs.
const watch = `window.__violations = []; document.addEventListener("securitypolicyviolation", (e) =>
	window.__violations.push(e.violatedDirective + " " + e.blockedURI + " " + e.sourceFile + ":" + e.lineNumber));`

// Browser is one Chromium with one tab, until the test ends.
type Browser struct {
	tb  testing.TB
	ctx context.Context

	mu       sync.Mutex
	problems []string
}

// names are what Debian, Alpine, Fedora and Google call it.
func names() []string { return []string{"chromium", "chromium-browser", "google-chrome"} }

// New starts a browser with an empty profile.
func New(tb testing.TB) *Browser {
	tb.Helper()
	path := ""
	for _, name := range names() {
		if found, err := exec.LookPath(name); err == nil {
			path = found
			break
		}
	}
	if path == "" {
		testenv.Missing(tb, "Chromium (Debian: apt-get install chromium)")
	}
	options := []chromedp.ExecAllocatorOption{
		chromedp.ExecPath(path), chromedp.UserDataDir(tb.TempDir()), chromedp.WindowSize(1280, 900), chromedp.NoFirstRun, chromedp.Headless,
		chromedp.NoSandbox, chromedp.DisableGPU, chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true), chromedp.Flag("hide-scrollbars", true),
		chromedp.Flag("force-color-profile", "srgb"), chromedp.Flag("disable-dev-shm-usage", true), chromedp.WSURLReadTimeout(patience),
	}
	allocator, stop := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, cancel := chromedp.NewContext(allocator)
	b := &Browser{tb: tb, ctx: ctx, mu: sync.Mutex{}, problems: nil}
	tb.Cleanup(func() {
		// Cancel closes the browser and waits for its end.
		if err := chromedp.Cancel(ctx); err != nil {
			tb.Logf("closing the browser: %v", err)
		}
		cancel()
		stop()
	})
	chromedp.ListenTarget(ctx, b.listen)
	b.Run(network.Enable(), log.Enable(), chromedp.ActionFunc(func(ctx context.Context) error {
		_, err := page.AddScriptToEvaluateOnNewDocument(watch).Do(ctx)
		return err
	}))
	return b
}

func (b *Browser) listen(event any) {
	switch e := event.(type) {
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.APITypeError || e.Type == runtime.APITypeWarning || e.Type == runtime.APITypeAssert {
			var args []string
			for _, a := range e.Args {
				args = append(args, string(a.Value)+a.Description)
			}
			b.add("console: " + strings.Join(args, " "))
		}
	case *runtime.EventExceptionThrown:
		b.add("exception: " + e.ExceptionDetails.Error())
	case *log.EventEntryAdded:
		if e.Entry.Level == log.LevelError || e.Entry.Level == log.LevelWarning {
			b.add(fmt.Sprintf("%s: %s %s", e.Entry.Source, e.Entry.Text, e.Entry.URL))
		}
	case *page.EventJavascriptDialogOpening:
		b.add("dialog: " + e.Message)
	}
}

func (b *Browser) add(problem string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.problems = append(b.problems, problem)
}

// Clean fails the test where the browser has complained since the last call: errors and warnings of the console, of scripts
// and of loading, dialogs, and violations of the policy on the page that is shown.
func (b *Browser) Clean(where string) {
	b.tb.Helper()
	var violations []string
	b.Eval(`window.__violations`, &violations)
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, p := range append(b.problems, violations...) {
		b.tb.Errorf("%s: the browser says %s", where, p)
	}
	b.problems = nil
}

// Run runs actions and fails the test where one fails.
func (b *Browser) Run(actions ...chromedp.Action) {
	b.tb.Helper()
	// The first run starts the browser and binds its life to the context: that must be the browser's own.
	if chromedp.FromContext(b.ctx).Target == nil {
		if err := chromedp.Run(b.ctx); err != nil {
			b.tb.Fatalf("starting the browser: %v", err)
		}
	}
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	if err := chromedp.Run(ctx, actions...); err != nil {
		var at string
		_ = chromedp.Run(b.ctx, chromedp.Location(&at)) // only to say where
		b.tb.Fatalf("at %s: %v; the browser says %q", at, err, b.problems)
	}
}

// Open loads an address.
func (b *Browser) Open(url string) {
	b.tb.Helper()
	b.Run(chromedp.Navigate(url))
}

// Eval evaluates JavaScript, waits for it if it is a promise, and decodes its value.
func (b *Browser) Eval(script string, into any) {
	b.tb.Helper()
	b.Run(chromedp.Evaluate(script, into, func(p *runtime.EvaluateParams) *runtime.EvaluateParams { return p.WithAwaitPromise(true) }))
}

// Text returns the text of the first element that matches, as soon as there is one. It asks the page itself: a handle of the
// protocol would go stale where the page exchanges the element meanwhile.
func (b *Browser) Text(selector string) string {
	b.tb.Helper()
	var text *string
	testenv.Eventually(b.tb, patience, "there is "+selector, func() bool {
		b.Eval(fmt.Sprintf(`document.querySelector(%q)?.textContent ?? null`, selector), &text)
		return text != nil
	})
	return strings.TrimSpace(*text)
}

// Texts returns the texts of all elements that match.
func (b *Browser) Texts(selector string) []string {
	b.tb.Helper()
	var texts []string
	b.Eval(fmt.Sprintf(`[...document.querySelectorAll(%q)].map((e) => e.textContent.trim())`, selector), &texts)
	return texts
}

// Until waits until a script returns true.
func (b *Browser) Until(what, script string) {
	b.tb.Helper()
	testenv.Eventually(b.tb, patience, what, func() bool {
		var ok bool
		b.Eval(`!!(`+script+`)`, &ok)
		return ok
	})
}

// Follow does something that leads to another page, and waits until that has loaded.
func (b *Browser) Follow(actions ...chromedp.Action) {
	b.tb.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	for {
		_, err := chromedp.RunResponse(ctx, actions...)
		if err == nil {
			return
		}
		// A page that follows the stream may replace a node between looking it up and clicking it. Nothing was clicked then.
		if gone := new(cdproto.Error); !errors.As(err, &gone) || !strings.Contains(strings.ToLower(gone.Message), "node with given id") {
			b.tb.Fatalf("following: %v", err)
		}
	}
}

// Resize sets the size of the viewport.
func (b *Browser) Resize(width, height int64) {
	b.tb.Helper()
	b.Run(chromedp.EmulateViewport(width, height))
}

// Scheme sets what the reader prefers: light or dark.
func (b *Browser) Scheme(scheme string) {
	b.tb.Helper()
	b.Run(emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{
		{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"},
	}))
}

// Screenshot writes what the viewport shows, or with full the whole page, as a PNG.
func (b *Browser) Screenshot(path string, full bool) {
	b.tb.Helper()
	var png []byte
	if full {
		b.Run(chromedp.FullScreenshot(&png, 100)) // 100 is PNG
	} else {
		b.Run(chromedp.CaptureScreenshot(&png))
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		b.tb.Fatal(err)
	}
	if err := os.WriteFile(path, png, 0o600); err != nil {
		b.tb.Fatal(err)
	}
}
