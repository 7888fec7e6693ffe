package config

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// Bounds of a file. The parser's time grows with the square of the depth, so the depth is bounded before it runs.
const (
	maxFile  = 1 << 20 // bytes
	maxDepth = 64
	maxNodes = 100_000 // after the expansion of aliases
)

// place is where a setting stands in the file.
type place struct{ line, col int }

// document is one parsed file, and what was found in it so far.
type document struct {
	name    string
	lines   []string
	body    ast.Node
	anchors map[string]ast.Node
	values  map[string]place     // by path: where its value stands
	texts   map[string]textPlace // by path: where the characters of a Text stand
	keys    map[string]place     // by path: where its key stands
	broken  map[string]bool      // paths whose value could not be read: no rule is applied to them
	nodes   int
	errs    Errors
}

// parseDocument reads the syntax. A mistake of it leaves body nil: there is nothing to read settings from.
func parseDocument(name string, data []byte) *document {
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	d := &document{
		name: name, anchors: map[string]ast.Node{}, values: map[string]place{}, texts: map[string]textPlace{}, keys: map[string]place{}, broken: map[string]bool{},
	}
	if len(data) > maxFile {
		d.fail(place{}, "", "the file has %d bytes; a configuration may have %d", len(data), maxFile)
		return d
	}
	text := strings.ReplaceAll(string(data), "\r\n", "\n")
	d.lines = strings.Split(text, "\n")
	for i, line := range d.lines {
		if at := strings.IndexFunc(line, func(r rune) bool { return r == utf8.RuneError || (r < ' ' && r != '\t') || r == 0x7f }); at >= 0 {
			d.fail(place{i + 1, utf8.RuneCountInString(line[:at]) + 1}, "", "must be UTF-8 text without control characters")
			return d
		}
	}
	body, err := parseBody(text)
	var syntax yaml.Error
	switch {
	case err == nil:
		d.body = body
	case errors.As(err, &syntax) && syntax.GetToken() != nil:
		message := syntax.GetMessage()
		if strings.Contains(message, "'\t'") {
			message = "a tab cannot indent; use spaces"
		}
		d.fail(start(syntax.GetToken()), "", "is not valid YAML: %s", message)
	default:
		d.fail(place{1, 1}, "", "is not valid YAML: %v", err)
	}
	if d.body != nil {
		ast.Walk(collector{d}, d.body)
	}
	return d
}

// parseBody returns the one document of a text; nil when it is empty. A panic of the parser is a syntax error.
func parseBody(text string) (body ast.Node, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = errors.New("the YAML parser gave up on this file")
		}
	}()
	tokens := lexer.Tokenize(text)
	depth, line, entries := 0, 0, 0
	for _, tk := range tokens {
		if tk.Position.Line != line {
			line, entries = tk.Position.Line, 0
		}
		switch tk.Type {
		case token.SequenceStartType, token.MappingStartType:
			depth++
		case token.SequenceEndType, token.MappingEndType:
			depth--
		case token.SequenceEntryType, token.MappingKeyType, token.MappingValueType:
			entries++ // `- - -` nests within a line; within braces these count entries, which are bounded by the file
			if depth > 0 {
				entries--
			}
		default:
		}
		if depth > maxDepth || entries > maxDepth {
			return nil, &yaml.SyntaxError{Message: fmt.Sprintf("nested deeper than %d levels", maxDepth), Token: tk}
		}
	}
	file, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		return nil, err
	}
	for _, doc := range file.Docs {
		switch {
		case doc == nil || doc.Body == nil:
		case doc.Body.Type() == ast.DirectiveType:
			return nil, &yaml.SyntaxError{Message: "directives are not supported", Token: doc.Body.GetToken()}
		case body != nil:
			return nil, &yaml.SyntaxError{Message: "a second document begins here; a configuration is one", Token: doc.Start}
		default:
			body = doc.Body
		}
	}
	return body, nil
}

// collector finds the anchors of a document.
type collector struct{ doc *document }

// Visit implements ast.Visitor.
func (c collector) Visit(node ast.Node) ast.Visitor {
	if anchor, ok := node.(*ast.AnchorNode); ok && anchor.Name != nil {
		name := anchor.Name.GetToken().Value
		if _, again := c.doc.anchors[name]; again {
			c.doc.fail(start(anchor.GetToken()), "", "the anchor &%s is already defined", name)
		}
		c.doc.anchors[name] = anchor.Value
	}
	return c
}

// start returns the place of a token.
func start(tk *token.Token) place {
	if tk == nil || tk.Position == nil {
		return place{}
	}
	return place{tk.Position.Line, tk.Position.Column}
}

// placeOf returns where a node begins: a mapping's own token is the colon of its first entry.
func placeOf(node ast.Node) place {
	switch n := node.(type) {
	case nil:
		return place{}
	case *ast.MappingNode:
		if !n.IsFlowStyle && len(n.Values) > 0 {
			return placeOf(n.Values[0].Key)
		}
	case *ast.MappingValueNode:
		return placeOf(n.Key)
	}
	return start(node.GetToken())
}

// fail records a mistake.
func (d *document) fail(at place, path, format string, args ...any) {
	e := Error{File: d.name, Line: at.line, Col: at.col, Path: path, Message: fmt.Sprintf(format, args...)}
	if at.line > 0 && at.line <= len(d.lines) {
		e.Source = mask(strings.ToValidUTF8(d.lines[at.line-1], string(utf8.RuneError)))
	}
	d.errs = append(d.errs, e)
}

// reject records a mistake in the value at a path, so that no rule looks at it.
func (d *document) reject(at place, path, format string, args ...any) {
	d.broken[path] = true
	d.fail(at, path, format, args...)
}

// find returns the place of a path's value, or that of the nearest setting around it.
func (d *document) find(path string) place {
	for p := path; p != ""; p = parentPath(p) {
		if at, ok := d.values[p]; ok {
			if p != path { // a setting that is not written: its parent's key says where it belongs
				at = d.keys[p]
			}
			return at
		}
	}
	return place{}
}

// written reports whether the file says anything at the path.
func (d *document) written(path string) bool {
	_, ok := d.keys[path]
	return ok
}

// isBroken reports whether the value at the path, or one around it, could not be read.
func (d *document) isBroken(path string) bool {
	for p := path; p != ""; p = parentPath(p) {
		if d.broken[p] {
			return true
		}
	}
	return false
}
