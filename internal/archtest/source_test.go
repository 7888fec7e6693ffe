package archtest_test

import (
	"fmt"
	"go/ast"
	"go/token"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// clockCalls are the functions of package time that read the clock or wait for it. Durations, parsing and formatting
// are arithmetic and stay allowed everywhere.
var clockCalls = []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker"}

// impure are the imports that a function of its input has no use for.
var impure = []string{"log", "log/slog", "net", "net/http", "os", "os/exec", "math/rand", "math/rand/v2", "crypto/rand", "sync", "sync/atomic"}

// checkPurity holds a file of the core to: no clock, goroutine, channel, lock, logger, network or file system.
func checkPurity(d drawing, f file) []string {
	if !d.pure(f.pkg()) || f.isTest() {
		return nil
	}
	var findings []string
	add := func(pos token.Pos, what string) {
		findings = append(findings, fmt.Sprintf("%s: %s is core and may not %s", f.at(pos), f.pkg(), what))
	}
	for _, spec := range f.ast.Imports {
		if imported, err := strconv.Unquote(spec.Path.Value); err == nil && slices.Contains(impure, imported) {
			add(spec.Pos(), "import "+imported)
		}
	}
	for node := range nodes(f.ast) {
		switch node := node.(type) {
		case *ast.GoStmt:
			add(node.Pos(), "start a goroutine")
		case *ast.ChanType, *ast.SendStmt, *ast.SelectStmt:
			add(node.Pos(), "use a channel")
		case *ast.UnaryExpr:
			if node.Op == token.ARROW {
				add(node.Pos(), "use a channel")
			}
		case *ast.SelectorExpr:
			if name := selected(f, node, "time"); slices.Contains(clockCalls, name) {
				add(node.Pos(), "call time."+name)
			}
		}
	}
	return findings
}

// checkGoroutines allows `go` where somebody joins it: in the wiring and the shell. Test code owns its goroutines.
func checkGoroutines(d drawing, f file) []string {
	if d.active(f.pkg()) || d[f.pkg()].layer == layerTest || f.isTest() {
		return nil
	}
	var findings []string
	for node := range nodes(f.ast) {
		if node, ok := node.(*ast.GoStmt); ok {
			findings = append(findings, fmt.Sprintf("%s: package %s may not start a goroutine (see %s)", f.at(node.Pos()), f.pkg(), drawingFile))
		}
	}
	return findings
}

// checkTests: a test neither sleeps nor skips on its own account. internal/testenv waits for conditions, and skips by
// name what is missing unless CI=true.
func checkTests(f file) []string {
	if !f.isTest() {
		return nil
	}
	var findings []string
	for node := range nodes(f.ast) {
		call, ok := node.(*ast.CallExpr)
		if !ok {
			continue
		}
		sel, ok := call.Fun.(*ast.SelectorExpr)
		if !ok {
			continue
		}
		if selected(f, sel, "time") == "Sleep" && !importsPackage(f, "testing/synctest") {
			findings = append(findings, f.at(call.Pos())+": a test may not sleep: wait for the condition with testenv.Eventually")
		}
		receiver, ok := sel.X.(*ast.Ident)
		if ok && slices.Contains([]string{"t", "tb", "b", "f"}, receiver.Name) && slices.Contains([]string{"Skip", "Skipf", "SkipNow"}, sel.Sel.Name) {
			findings = append(findings, f.at(call.Pos())+": a test may not skip on its own: say what is missing with testenv.Missing")
		}
	}
	return findings
}

// checkErrors: an error says what was being done ("reading reference: …"), not that it failed.
func checkErrors(f file) []string {
	if f.isTest() {
		return nil
	}
	var findings []string
	for node := range nodes(f.ast) {
		call, ok := node.(*ast.CallExpr)
		if !ok || len(call.Args) == 0 {
			continue
		}
		sel, ok := call.Fun.(*ast.SelectorExpr)
		if !ok || selected(f, sel, "fmt") != "Errorf" && selected(f, sel, "errors") != "New" {
			continue
		}
		literal, ok := call.Args[0].(*ast.BasicLit)
		if !ok {
			continue
		}
		for _, start := range []string{"failed to", "error ", "unable to", "could not"} {
			if strings.HasPrefix(strings.ToLower(strings.Trim(literal.Value, "\"`")), start) {
				findings = append(findings, fmt.Sprintf("%s: the error starts with %q; say what was being done: \"reading x: %%w\"", f.at(call.Pos()), start))
			}
		}
	}
	return findings
}

// checkPackages: every package says once what it is, and none is named for nothing.
func checkPackages(files []file) []string {
	comments := map[string]int{}
	var findings []string
	for _, f := range files {
		if f.isTest() {
			continue
		}
		if f.ast.Doc != nil {
			comments[f.pkg()]++
		} else {
			comments[f.pkg()] += 0
		}
	}
	for _, pkg := range sortedKeys(comments) {
		if comments[pkg] != 1 {
			findings = append(findings, fmt.Sprintf("package %s has %d package comments, want one, in doc.go or its main file", pkg, comments[pkg]))
		}
		if slices.Contains([]string{"util", "utils", "common", "helper", "helpers", "types", "models", "misc", "base"}, path.Base(pkg)) {
			findings = append(findings, fmt.Sprintf("package %s is named for nothing: name it for what it is responsible for", pkg))
		}
	}
	return findings
}

// selected returns the name that sel selects from the package imported as pkgPath, or "".
func selected(f file, sel *ast.SelectorExpr, pkgPath string) string {
	ident, ok := sel.X.(*ast.Ident)
	if !ok {
		return ""
	}
	for _, spec := range f.ast.Imports {
		if spec.Path.Value != strconv.Quote(pkgPath) {
			continue
		}
		name := path.Base(pkgPath)
		if spec.Name != nil {
			name = spec.Name.Name
		}
		if ident.Name == name {
			return sel.Sel.Name
		}
	}
	return ""
}

func importsPackage(f file, pkgPath string) bool {
	return slices.ContainsFunc(f.ast.Imports, func(spec *ast.ImportSpec) bool { return spec.Path.Value == strconv.Quote(pkgPath) })
}

// nodes yields every node of the file's syntax tree.
func nodes(root ast.Node) func(yield func(ast.Node) bool) {
	return func(yield func(ast.Node) bool) {
		on := true
		ast.Inspect(root, func(node ast.Node) bool {
			on = on && (node == nil || yield(node))
			return on
		})
	}
}

func TestSourcesKeepTheRules(t *testing.T) {
	d := loadDrawing(t)
	files := load(t)
	for _, f := range files {
		report(t, checkPurity(d, f))
		report(t, checkGoroutines(d, f))
		report(t, checkTests(f))
		report(t, checkErrors(f))
	}
	report(t, checkPackages(files))
}

func TestSourceRulesFire(t *testing.T) {
	d, err := parseDrawing([]byte("```text packages\nshell ingest ->\ninput rows ->\ncore window ->\n```\n"))
	if err != nil {
		t.Fatal(err)
	}
	all := func(f file) []string {
		return slices.Concat(checkPurity(d, f), checkGoroutines(d, f), checkTests(f), checkErrors(f), checkPackages([]file{f}))
	}
	const doc = "// Package p is a snippet.\n"
	tests := []struct{ name, file, source, want string }{
		{"clean", "window/a.go", doc + "package p\nimport \"time\"\nconst Day = 24 * time.Hour", ""},
		{"clock in the core", "window/a.go", doc + "package p\nimport \"time\"\nvar x = time.Now()", "call time.Now"},
		{"clock as a value", "window/a.go", doc + "package p\nimport \"time\"\nvar now = time.Now", "call time.Now"},
		{"clock under another name", "window/a.go", doc + "package p\nimport clock \"time\"\nvar x = clock.Since(y)", "call time.Since"},
		{"clock in the shell", "ingest/a.go", doc + "package p\nimport \"time\"\nvar x = time.Now()", ""},
		{"goroutine in the core", "window/a.go", doc + "package p\nfunc f() { go f() }", "start a goroutine"},
		{"goroutine in an input", "rows/a.go", doc + "package p\nfunc f() { go f() }", "start a goroutine"},
		{"goroutine in the shell", "ingest/a.go", doc + "package p\nfunc f() { go f() }", ""},
		{"channel in the core", "window/a.go", doc + "package p\ntype c chan int", "use a channel"},
		{"receive in the core", "window/a.go", doc + "package p\nvar x = <-y", "use a channel"},
		{"logger in the core", "window/a.go", doc + "package p\nimport _ \"log/slog\"", "import log/slog"},
		{"file system in the core", "window/a.go", doc + "package p\nimport _ \"os\"", "import os"},
		{"sleep in a test", "window/a_test.go", "package p\nimport \"time\"\nfunc f() { time.Sleep(1) }", "may not sleep"},
		{"skip in a test", "window/a_test.go", "package p\nfunc f() { t.Skip() }", "may not skip"},
		{"failed to", "ingest/a.go", doc + "package p\nimport \"fmt\"\nvar e = fmt.Errorf(\"failed to read: %w\", x)", "say what was being done"},
		{"no package comment", "ingest/a.go", "package p", "has 0 package comments"},
		{"empty name", "ingest/util/a.go", doc + "package util", "named for nothing"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := all(parse(t, test.file, []byte(test.source)))
			if test.want == "" && len(got) > 0 {
				t.Errorf("got findings %q, want none", got)
			}
			if test.want != "" && !slices.ContainsFunc(got, func(finding string) bool { return strings.Contains(finding, test.want) }) {
				t.Errorf("got findings %q, want one with %q", got, test.want)
			}
		})
	}
}
