package archtest_test

import (
	"bytes"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/driftd/driftd/internal/testenv"
)

const drawingFile = "docs/architecture.md"

// The layers of the drawing. Only wiring and shell own goroutines and read the clock; inputs open files; the core and
// its leaves are functions of their arguments; test code is imported by tests alone.
const (
	layerWiring = "wiring"
	layerShell  = "shell"
	layerInput  = "input"
	layerCore   = "core"
	layerLeaf   = "leaf"
	layerTest   = "test"
)

var layers = []string{layerWiring, layerShell, layerInput, layerCore, layerLeaf, layerTest}

// row is one line of the drawing: a package, its layer, and the packages of this module that it may import.
type row struct {
	layer string
	allow []string
}

// drawing maps a package's path within the module to its row.
type drawing map[string]row

// pure says whether the package is a function of its input alone.
func (d drawing) pure(pkg string) bool {
	return d[pkg].layer == layerCore || d[pkg].layer == layerLeaf
}

// active says whether the package may own goroutines and read the clock.
func (d drawing) active(pkg string) bool {
	return d[pkg].layer == layerWiring || d[pkg].layer == layerShell
}

// parseDrawing reads the block of docs/architecture.md that is fenced as `text packages`. A row is
// `[layer] package -> allowed…`; a row without a layer has that of the row above it. `allowed` names packages or layers.
func parseDrawing(markdown []byte) (drawing, error) {
	_, after, ok := bytes.Cut(markdown, []byte("```text packages\n"))
	if !ok {
		return nil, errors.New("no block fenced as ```text packages")
	}
	block, _, ok := bytes.Cut(after, []byte("\n```"))
	if !ok {
		return nil, errors.New("the block fenced as ```text packages is not closed")
	}
	found := drawing{}
	layer := ""
	for line := range strings.Lines(string(block)) {
		left, right, arrow := strings.Cut(strings.TrimSpace(line), "->")
		words := strings.Fields(left)
		switch {
		case len(words) == 0 && !arrow:
			continue
		case arrow && len(words) == 2 && slices.Contains(layers, words[0]):
			layer, words = words[0], words[1:]
		case !arrow || len(words) != 1 || layer == "":
			return nil, fmt.Errorf("cannot read the row %q; want `[layer] package -> allowed…`", strings.TrimSpace(line))
		}
		pkg := words[0]
		if _, twice := found[pkg]; twice {
			return nil, fmt.Errorf("package %s has two rows", pkg)
		}
		found[pkg] = row{layer: layer, allow: strings.Fields(right)}
	}
	return found, found.validate()
}

// validate holds the drawing to the rules that the design gives it; the code is then held to the drawing.
func (d drawing) validate() error {
	for _, pkg := range sortedKeys(d) {
		for _, target := range d.expand(pkg) {
			to, known := d[target]
			switch {
			case !known:
				return fmt.Errorf("package %s may import %s, which has no row", pkg, target)
			case d[pkg].layer == layerTest:
			case to.layer == layerTest:
				return fmt.Errorf("package %s may not import the test code of %s", pkg, target)
			case d[pkg].layer == layerShell && to.layer == layerShell:
				return fmt.Errorf("shell packages never import one another: %s -> %s", pkg, target)
			case slices.Index(layers, to.layer) < slices.Index(layers, d[pkg].layer):
				return fmt.Errorf("arrows go down only: %s (%s) -> %s (%s)", pkg, d[pkg].layer, target, to.layer)
			}
		}
	}
	return nil
}

// expand returns the packages that pkg may import, with layers replaced by their packages.
func (d drawing) expand(pkg string) []string {
	var all []string
	for _, allowed := range d[pkg].allow {
		if !slices.Contains(layers, allowed) {
			all = append(all, allowed)
			continue
		}
		for _, other := range sortedKeys(d) {
			if d[other].layer == allowed && other != pkg {
				all = append(all, other)
			}
		}
	}
	return all
}

// checkImports compares the imports of a file with the drawing. Tests may use anything but what their own layer forbids
// to run: they build real neighbours, so the direction of their imports says nothing about the product.
func checkImports(d drawing, f file) []string {
	row, known := d[f.pkg()]
	if !known {
		return []string{fmt.Sprintf("%s: package %s is not in the drawing of %s; give it a row there", f.name, f.pkg(), drawingFile)}
	}
	if f.isTest() || row.layer == layerTest {
		return nil
	}
	var findings []string
	for _, spec := range f.ast.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return []string{f.at(spec.Pos()) + ": unreadable import path"}
		}
		target, own := strings.CutPrefix(imported, module+"/")
		if own && !slices.Contains(d.expand(f.pkg()), target) {
			findings = append(findings, fmt.Sprintf("%s: %s may not import %s (see %s)", f.at(spec.Pos()), f.pkg(), target, drawingFile))
		}
	}
	return findings
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

func loadDrawing(tb testing.TB) drawing {
	tb.Helper()
	d, err := parseDrawing(read(tb, drawingFile))
	if err != nil {
		tb.Fatalf("%s: %v", drawingFile, err)
	}
	return d
}

func TestImportsFollowTheDrawing(t *testing.T) {
	d := loadDrawing(t)
	for _, f := range load(t) {
		report(t, checkImports(d, f))
	}
}

// What the core reaches through other modules matters as much as what it names: a statistics library that opened a
// connection would break the promise as well.
func TestCoreReachesNoNetworkLoggerOrBroker(t *testing.T) {
	d := loadDrawing(t)
	var pure []string
	for _, f := range load(t) {
		if pkg := module + "/" + f.pkg(); d.pure(f.pkg()) && !f.isTest() && !slices.Contains(pure, pkg) {
			pure = append(pure, pkg)
		}
	}
	// -e: a package that does not build is the compiler's to report.
	list := exec.CommandContext(t.Context(), "go", append([]string{"list", "-e", "-deps"}, pure...)...)
	list.Dir = testenv.Root(t)
	var stderr bytes.Buffer
	list.Stderr = &stderr
	out, err := list.Output()
	if err != nil {
		t.Fatalf("listing what the core imports: %v\n%s", err, stderr.String())
	}
	for dep := range strings.FieldsSeq(string(out)) {
		for _, forbidden := range []string{"log/slog", "net", "net/http", "os/exec", "github.com/nats-io", "github.com/prometheus", "modernc.org"} {
			if dep == forbidden || strings.HasPrefix(dep, forbidden+"/") && strings.Contains(forbidden, ".") {
				t.Errorf("the core imports %s, directly or through another package", dep)
			}
		}
	}
}

// The linter's idea of the core and of the shell is the drawing's.
func TestLinterKnowsTheDrawing(t *testing.T) {
	d := loadDrawing(t)
	config := string(read(t, ".golangci.yml"))
	for _, pkg := range sortedKeys(d) {
		if d.pure(pkg) != strings.Contains(config, `"**/`+pkg+`/*.go"`+"\n") {
			t.Errorf("%s: the rule pure-core must list the files of %s if and only if it is core or leaf", ".golangci.yml", pkg)
		}
		if d[pkg].layer == layerTest {
			continue // denied to everybody, by a rule of its own
		}
		denied := strings.Contains(config, "pkg: "+module+"/"+pkg+"$\n")
		if (d.active(pkg) || d[pkg].layer == layerInput) != denied {
			t.Errorf("%s: the rule pure-core must deny %s$ if and only if it is wiring, shell or input", ".golangci.yml", pkg)
		}
	}
}

func TestDrawingRejects(t *testing.T) {
	tests := []struct{ name, block, want string }{
		{"no layer", "event ->", "cannot read the row"},
		{"no arrow", "core event", "cannot read the row"},
		{"two rows", "core event ->\n event ->", "two rows"},
		{"unknown target", "core event -> nowhere", "has no row"},
		{"upward", "shell web ->\ncore event -> web", "arrows go down only"},
		{"shell to shell", "shell web -> store\n store ->", "never import one another"},
		{"test code", "core event -> internal/testenv\ntest internal/testenv ->", "test code"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := parseDrawing([]byte("# Title\n```text packages\n" + test.block + "\n```\n"))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got error %v, want one with %q", err, test.want)
			}
		})
	}
}

func TestImportRuleFires(t *testing.T) {
	d, err := parseDrawing([]byte("```text packages\nshell ingest -> event\ncore detectors -> event\n event ->\n```\n"))
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, file, imported string
		findings             int
	}{
		{"down", "ingest/a.go", module + "/event", 0},
		{"up", "detectors/a.go", module + "/ingest", 1},
		{"up in a test", "detectors/a_test.go", module + "/ingest", 0},
		{"another module", "detectors/a.go", "gonum.org/v1/gonum/stat", 0},
		{"not in the drawing", "helper/a.go", "fmt", 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f := parse(t, test.file, []byte("package a\n\nimport _ "+strconv.Quote(test.imported)+"\n"))
			if got := checkImports(d, f); len(got) != test.findings {
				t.Errorf("got findings %q, want %d", got, test.findings)
			}
		})
	}
}
