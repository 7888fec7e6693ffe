package archtest_test

import (
	"fmt"
	"go/ast"
	"go/token"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const runbookFile = "docs/operations.md"

// checkRunbook: each warning and error of the log has an entry in the runbook, under its text. It finds the calls of slog's methods
// by their names and shapes.
func checkRunbook(f file, runbook string) []string {
	if f.isTest() {
		return nil
	}
	var findings []string
	for node := range nodes(f.ast) {
		call, ok := node.(*ast.CallExpr)
		if !ok {
			continue
		}
		message := logged(call)
		if message == nil {
			continue
		}
		text, ok := constant(message)
		text = strings.ReplaceAll(text, "`", "") // which cannot stand inside of Markdown's own
		switch {
		case !ok:
			findings = append(findings, f.at(message.Pos())+": the message of a log call must be a constant: put what varies into attributes")
		case !strings.Contains(runbook, "| `"+text+"`") && !strings.Contains(runbook, ", `"+text+"` |"):
			findings = append(findings, fmt.Sprintf("%s: %s has no entry for the log message %q", f.at(message.Pos()), runbookFile, text))
		}
	}
	return findings
}

// logged returns the message of a call that logs a warning or an error, else nil.
func logged(call *ast.CallExpr) ast.Expr {
	sel, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return nil
	}
	at := map[string]int{"Warn": 0, "Error": 0, "WarnContext": 1, "ErrorContext": 1, "LogAttrs": 2}
	i, known := at[sel.Sel.Name]
	if !known || i >= len(call.Args) {
		return nil
	}
	if sel.Sel.Name == "LogAttrs" {
		level, ok := call.Args[1].(*ast.SelectorExpr)
		if !ok || !slices.Contains([]string{"LevelWarn", "LevelError"}, level.Sel.Name) {
			return nil
		}
	}
	if receiver, ok := sel.X.(*ast.SelectorExpr); !ok || !slices.Contains([]string{"log", "Logger", "logger"}, receiver.Sel.Name) {
		if name, ok := sel.X.(*ast.Ident); !ok || !slices.Contains([]string{"log", "logger", "slog"}, name.Name) {
			return nil
		}
	}
	return call.Args[i]
}

// constant returns the text of a string literal, or of several that are added up.
func constant(e ast.Expr) (string, bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		text, err := strconv.Unquote(e.Value)
		return text, err == nil
	case *ast.BinaryExpr:
		left, ok := constant(e.X)
		right, also := constant(e.Y)
		return left + right, ok && also && e.Op == token.ADD
	}
	return "", false
}

func TestRunbookIsComplete(t *testing.T) {
	d, runbook := loadDrawing(t), string(read(t, runbookFile))
	for _, f := range load(t) {
		if d.active(f.pkg()) {
			report(t, checkRunbook(f, runbook))
		}
	}
}

func TestRunbookRuleFires(t *testing.T) {
	const runbook = "| `it broke` | yes | no |\n| `one`, `two words` | yes | no |\n"
	for _, tc := range []struct{ name, body, want string }{
		{"there", `log.Warn("it broke")`, ""},
		{"two in a row", `a.log.ErrorContext(ctx, "two" + " words")`, ""},
		{"missing", `o.Logger.Error("else")`, "no entry"},
		{"by attributes", `s.log.LogAttrs(ctx, slog.LevelWarn, "else")`, "no entry"},
		{"not a warning", `s.log.LogAttrs(ctx, slog.LevelInfo, "else")`, ""},
		{"made at run time", `log.Warn(text)`, "must be a constant"},
		{"not a logger", `err.Error("else")`, ""},
	} {
		got := checkRunbook(parse(t, "app/a.go", []byte("package app\nfunc f() { "+tc.body+" }")), runbook)
		if joined := strings.Join(got, "\n"); tc.want == "" && joined != "" || !strings.Contains(joined, tc.want) {
			t.Errorf("%s: findings %q, want %q", tc.name, joined, tc.want)
		}
	}
}
