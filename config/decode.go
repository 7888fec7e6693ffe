package config

import (
	"encoding"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
)

// Why the tree is walked here and not handed to the library's strict decoder: that one stops at its first mistake, and
// cannot give an entry of a map what it inherits. The rules are the same (unknown and repeated keys are mistakes, nothing
// is converted), and a test holds the two against each other.

// inheritor is a struct whose maps' entries start from something else than zero values.
type inheritor interface {
	element(field, key string) any
}

// entry is one key of a mapping with its value.
type entry struct {
	key   string
	at    place
	value ast.Node
}

// resolve follows anchors and aliases to the node that holds the value; nil stands for an empty value.
func (d *document) resolve(node ast.Node, path string) (ast.Node, bool) {
	for range maxDepth {
		switch n := node.(type) {
		case *ast.AnchorNode:
			node = n.Value
		case *ast.AliasNode:
			name := n.Value.GetToken().Value
			target, ok := d.anchors[name]
			if !ok {
				d.reject(placeOf(n), path, "no anchor &%s is defined in this file", shorten(name))
				return nil, false
			}
			node = target
		case *ast.TagNode:
			d.reject(placeOf(n), path, "has the tag %s; tags are not supported", shorten(n.GetToken().Value))
			return nil, false
		case *ast.NullNode, nil:
			return nil, true
		default:
			return n, true
		}
	}
	d.reject(placeOf(node), path, "is an alias of itself")
	return nil, false
}

// entries lists what a mapping holds, after merge keys (`<<`): an own key wins over a merged one.
func (d *document) entries(node ast.Node, path, what string, depth int) []entry {
	var values []*ast.MappingValueNode
	switch n := node.(type) {
	case *ast.MappingNode:
		values = n.Values
	case *ast.MappingValueNode:
		values = []*ast.MappingValueNode{n}
	default:
		hint := ""
		if path == "models" {
			hint = "; to find models by their events, say `unknown_models: auto`"
		}
		d.reject(placeOf(node), path, "must be %s, got %s%s", what, describe(node), hint)
		return nil
	}
	if depth > maxDepth {
		d.reject(placeOf(node), path, "merges itself")
		return nil
	}
	var own, merged []entry
	seen := map[string]int{}
	for _, v := range values {
		if d.nodes++; d.nodes > maxNodes {
			if d.nodes == maxNodes+1 {
				d.fail(placeOf(v), path, "the file has more than %d settings after its aliases are expanded", maxNodes)
			}
			return nil
		}
		var key ast.Node = v.Key
		if k, ok := key.(*ast.MappingKeyNode); ok {
			key = k.Value
		}
		switch key.(type) {
		case *ast.MergeKeyNode:
			merged = append(merged, d.merged(v.Value, path, what, depth)...)
			continue
		case ast.ScalarNode:
		default:
			d.reject(placeOf(v), path, "has %s as a key; a key is a name", describe(key))
			continue
		}
		e := entry{key: key.GetToken().Value, at: placeOf(key), value: v.Value}
		if first, again := seen[e.key]; again {
			d.fail(e.at, joinKey(path, e.key), "is already set in line %d; remove one of the two", first)
			continue
		}
		seen[e.key] = e.at.line
		own = append(own, e)
	}
	for _, e := range merged {
		if _, again := seen[e.key]; !again {
			seen[e.key] = e.at.line
			own = append(own, e)
		}
	}
	return own
}

// merged lists the entries that a merge key brings in.
func (d *document) merged(value ast.Node, path, what string, depth int) []entry {
	node, ok := d.resolve(value, path)
	if !ok || node == nil {
		return nil
	}
	sequence, ok := node.(*ast.SequenceNode)
	if !ok {
		return d.entries(node, path, what, depth+1)
	}
	var out []entry
	for _, v := range sequence.Values {
		if n, ok := d.resolve(v, path); ok && n != nil {
			out = append(out, d.entries(n, path, what, depth+1)...)
		}
	}
	return out
}

// decode writes the value of a node to v. An empty value leaves v as it is.
func (d *document) decode(node ast.Node, path string, v reflect.Value) {
	at := placeOf(node)
	node, ok := d.resolve(node, path)
	if !ok || node == nil {
		return
	}
	if text, ok := reflect.TypeAssert[encoding.TextUnmarshaler](v.Addr()); ok {
		d.decodeText(node, at, path, text)
		return
	}
	if short, ok := reflect.TypeAssert[shortForm](v.Addr()); ok {
		if _, scalar := node.(ast.ScalarNode); scalar {
			text := reflect.New(reflect.TypeFor[string]()).Elem()
			d.decodeScalar(node, at, path, text)
			short.setText(text.String())
			return
		}
	}
	switch v.Kind() {
	case reflect.Struct:
		d.decodeStruct(node, path, v)
	case reflect.Map:
		d.decodeMap(node, path, v, func(string) any { return nil })
	case reflect.Slice:
		d.decodeSlice(node, path, v)
	default:
		d.decodeScalar(node, at, path, v)
	}
}

// decodeStruct decodes fields in the order of the type, so that a field which others inherit from is complete before them.
func (d *document) decodeStruct(node ast.Node, path string, v reflect.Value) {
	fields := reflect.VisibleFields(v.Type())
	names := make([]string, 0, len(fields))
	for _, f := range fields {
		if name := yamlName(f); name != "" {
			names = append(names, name)
		}
	}
	byName := map[string]entry{}
	for _, e := range d.entries(node, path, "a mapping with the keys "+list(names, "and"), 0) {
		if !slices.Contains(names, e.key) {
			d.fail(e.at, joinKey(path, e.key), "%s", unknownKey(e.key, names))
			continue
		}
		byName[e.key] = e
	}
	for _, f := range fields {
		name := yamlName(f)
		e, ok := byName[name]
		if !ok {
			continue
		}
		field := v.FieldByIndex(f.Index)
		p := d.enter(path, e)
		parent, inherits := reflect.TypeAssert[inheritor](v.Addr())
		if field.Kind() != reflect.Map || !inherits {
			d.decode(e.value, p, field)
			continue
		}
		if n, ok := d.resolve(e.value, p); ok && n != nil {
			d.decodeMap(n, p, field, func(key string) any { return parent.element(name, key) })
		}
	}
}

// yamlName returns the key of a field; empty for a field that is not a setting.
func yamlName(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
	return name
}

// enter records where a setting stands and returns its path.
func (d *document) enter(path string, e entry) string {
	p := joinKey(path, e.key)
	d.keys[p], d.values[p] = e.at, placeOf(e.value)
	if e.value == nil || e.value.Type() == ast.NullType {
		d.values[p] = e.at
	}
	return p
}

// decodeMap decodes a mapping whose keys are names. An empty entry is an entry: it has what it inherits.
func (d *document) decodeMap(node ast.Node, path string, v reflect.Value, inherited func(key string) any) {
	out := reflect.MakeMap(v.Type())
	for _, e := range d.entries(node, path, "a mapping of names", 0) {
		element := reflect.New(v.Type().Elem()).Elem()
		if start := inherited(e.key); start != nil {
			element.Set(reflect.ValueOf(start))
		}
		d.decode(e.value, d.enter(path, e), element)
		out.SetMapIndex(reflect.ValueOf(e.key), element)
	}
	v.Set(out)
}

func (d *document) decodeSlice(node ast.Node, path string, v reflect.Value) {
	sequence, ok := node.(*ast.SequenceNode)
	if !ok {
		d.reject(placeOf(node), path, "must be a list, got %s", describe(node))
		return
	}
	out := reflect.MakeSlice(v.Type(), len(sequence.Values), len(sequence.Values))
	for i, value := range sequence.Values {
		if d.nodes++; d.nodes > maxNodes {
			return
		}
		p := joinIndex(path, i)
		d.keys[p], d.values[p] = placeOf(value), placeOf(value)
		empty(out.Index(i))
		d.decode(value, p, out.Index(i))
	}
	v.Set(out)
}

// empty makes the lists and maps of a list's element empty ones: to leave one out is to say [] or {}.
func empty(v reflect.Value) {
	if v.Kind() != reflect.Struct {
		return
	}
	for _, f := range v.Fields() {
		switch {
		case f.Kind() == reflect.Slice:
			f.Set(reflect.MakeSlice(f.Type(), 0, 0))
		case f.Kind() == reflect.Map:
			f.Set(reflect.MakeMap(f.Type()))
		}
	}
}

// decodeText decodes a value that has a text form of its own: a Duration, Bytes or a Time.
func (d *document) decodeText(node ast.Node, at place, path string, v encoding.TextUnmarshaler) {
	text := node.GetToken().Value
	what := "a duration such as 90s, 1h30m or 7d"
	_, bytes := v.(*Bytes)
	_, moment := v.(*Time)
	_, hits := v.(*Hits)
	switch {
	case bytes:
		what = "a size such as 8MiB, 512KiB or 1GB"
	case moment:
		what = "a time such as 2026-11-22T10:00:00Z"
	case hits:
		what = "windows such as 2 of 3"
	}
	switch n := node.(type) {
	case *ast.StringNode:
	case *ast.IntegerNode:
		switch {
		case moment, hits:
			d.reject(at, path, "must be %s, got %s", what, describe(node))
			return
		case !bytes:
			d.reject(at, path, "must be a duration with a unit, got the bare number %s: write %ss, %sm or %sh", shorten(text), shorten(text), shorten(text), shorten(text))
			return
		}
		text = fmt.Sprint(n.Value)
	default:
		d.reject(at, path, "must be %s, got %s", what, describe(node))
		return
	}
	if err := v.UnmarshalText([]byte(text)); err != nil {
		d.reject(at, path, "%v, got %s", err, shorten(text))
	}
}

// decodeScalar decodes a text, truth value or number, and converts none into another.
func (d *document) decodeScalar(node ast.Node, at place, path string, v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		if text, ok := textOf(node); ok {
			lines := v.Type() == reflect.TypeFor[Text]()
			if lines {
				d.texts[path] = d.placeOfText(node, at)
			}
			if lines && !hasControl(strings.NewReplacer("\n", "", "\t", "").Replace(text)) {
				v.SetString(text)
				return
			}
			if hasControl(text) {
				d.reject(at, path, "must not hold line breaks, control characters or characters that are not Unicode")
				return
			}
			v.SetString(text)
			return
		}
		if _, scalar := node.(ast.ScalarNode); scalar {
			d.reject(at, path, "must be text, got %s: put it in quotes", describeAt(path, node))
			return
		}
		d.reject(at, path, "must be text, got %s", describe(node))
	case reflect.Bool:
		if n, ok := node.(*ast.BoolNode); ok {
			v.SetBool(n.Value)
			return
		}
		d.reject(at, path, "must be true or false, got %s", describe(node))
	case reflect.Int:
		n, ok := node.(*ast.IntegerNode)
		if !ok {
			d.reject(at, path, "must be a whole number, got %s", describe(node))
			return
		}
		value, ok := toInt(n)
		if !ok {
			d.reject(at, path, "must be a whole number below %d, got %s", math.MaxInt32, shorten(n.GetToken().Value))
			return
		}
		v.SetInt(value)
	case reflect.Float64:
		switch n := node.(type) {
		case *ast.FloatNode:
			v.SetFloat(n.Value)
		case *ast.IntegerNode:
			switch value := n.Value.(type) {
			case int64:
				v.SetFloat(float64(value))
			case uint64:
				v.SetFloat(float64(value))
			}
		default:
			d.reject(at, path, "must be a number, got %s", describe(node))
		}
	default:
		panic("BUG: config: no decoding for " + v.Type().String() + " at " + path)
	}
}

// textOf returns the text of a node that is one.
func textOf(node ast.Node) (string, bool) {
	switch n := node.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return n.Value.Value, true
	default:
		return "", false
	}
}

// placeOfText returns where the characters of a text stand: behind its quote, or on the lines of a block.
func (d *document) placeOfText(node ast.Node, at place) textPlace {
	out := textPlace{place: at, block: false, indent: 0}
	switch n := node.(type) {
	case *ast.StringNode:
		if t := n.GetToken().Type; t == token.SingleQuoteType || t == token.DoubleQuoteType {
			out.col++
		}
	case *ast.LiteralNode: // the block begins on the line after its header
		if out.line++; n.Start != nil && n.Start.Type == token.LiteralType && out.line <= len(d.lines) {
			first := d.lines[out.line-1]
			out.block, out.indent = true, len(first)-len(strings.TrimLeft(first, " "))
		}
	}
	return out
}

// hasControl reports whether a text holds what no setting or name may hold.
func hasControl(text string) bool {
	return strings.ContainsFunc(text, func(r rune) bool { return unicode.IsControl(r) || r == utf8.RuneError })
}

// toInt returns the value of an integer that any platform can hold.
func toInt(n *ast.IntegerNode) (int64, bool) {
	switch value := n.Value.(type) {
	case int64:
		return value, value >= math.MinInt32 && value <= math.MaxInt32
	case uint64:
		return int64(value), value <= math.MaxInt32
	default:
		return 0, false
	}
}

// describe names a node for a message.
func describe(node ast.Node) string {
	text := shorten(strings.TrimSpace(node.GetToken().Value))
	switch node.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		return "a mapping"
	case *ast.SequenceNode:
		return "a list"
	case *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		return "the number " + text
	case *ast.BoolNode:
		return "the truth value " + text
	case *ast.StringNode:
		return fmt.Sprintf("the text %q", text)
	case *ast.LiteralNode:
		return "a block of text"
	case *ast.NullNode:
		return "nothing"
	default:
		return "something else"
	}
}

// describeAt is describe, but does not show a value where a secret may have been written instead of its file.
func describeAt(path string, node ast.Node) string {
	if strings.HasSuffix(path, "_file") {
		return "a number or truth value"
	}
	return describe(node)
}
