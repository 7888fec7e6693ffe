package archtest_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/driftd/driftd/internal/testenv"
)

const module = "github.com/driftd/driftd"

// file is one parsed Go file; its name is relative to the module, with slashes.
type file struct {
	name string
	fset *token.FileSet
	ast  *ast.File
}

func (f file) isTest() bool { return strings.HasSuffix(f.name, "_test.go") }
func (f file) pkg() string  { return path.Dir(f.name) }

func (f file) at(pos token.Pos) string {
	return f.name + ":" + strconv.Itoa(f.fset.Position(pos).Line)
}

// parse reads one file's source; tests of the rules give it snippets.
func parse(tb testing.TB, name string, source []byte) file {
	tb.Helper()
	fset := token.NewFileSet()
	tree, err := parser.ParseFile(fset, name, source, parser.ParseComments)
	if err != nil {
		tb.Fatalf("parsing %s: %v", name, err)
	}
	return file{name: name, fset: fset, ast: tree}
}

// load parses every Go file of the module, whatever its build tags.
func load(tb testing.TB) []file {
	tb.Helper()
	var files []file
	walk(tb, func(name string) {
		if strings.HasSuffix(name, ".go") {
			files = append(files, parse(tb, name, read(tb, name)))
		}
	})
	return files
}

func read(tb testing.TB, name string) []byte {
	tb.Helper()
	source, err := os.ReadFile(filepath.Join(testenv.Root(tb), filepath.FromSlash(name)))
	if err != nil {
		tb.Fatalf("reading %s: %v", name, err)
	}
	return source
}

// walk visits the module's files: not what git or the build keeps for itself, not nested modules, not test data.
func walk(tb testing.TB, visit func(name string)) {
	tb.Helper()
	root := testenv.Root(tb)
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, p)
		if err != nil {
			return err
		}
		name := filepath.ToSlash(rel)
		if !d.IsDir() {
			if d.Type().IsRegular() {
				visit(name)
			}
			return nil
		}
		if slices.Contains([]string{".git", "bin", "dist", "driftd-data", "tools"}, name) || d.Name() == "testdata" {
			return filepath.SkipDir
		}
		return nil
	})
	if err != nil {
		tb.Fatalf("walking the module: %v", err)
	}
}

// report fails the test once for every finding.
func report(tb testing.TB, findings []string) {
	tb.Helper()
	for _, finding := range findings {
		tb.Error(finding)
	}
}
