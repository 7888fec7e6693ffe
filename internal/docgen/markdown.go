package main

import (
	"bytes"
	_ "embed"
	"fmt"
	"slices"
	"strings"
)

//go:embed configuration.intro.md
var intro []byte

// markdown writes one table for every struct, in the order of the types.
func markdown(top setting) []byte {
	var b bytes.Buffer
	b.WriteString("<!-- Generated from package config by `go generate ./config`. Do not edit. -->\n\n")
	b.Write(intro)
	b.WriteString("\n## The top level\n\n")
	section(&b, top)
	return b.Bytes()
}

// section writes the table of a struct, and then a section for each struct in it.
func section(b *bytes.Buffer, s setting) {
	b.WriteString("| setting | type | default | meaning |\n|---|---|---|---|\n")
	for _, c := range s.children {
		fmt.Fprintf(b, "| %s | %s | %s | %s |\n", link(c), cell(typeText(c)), defaultText(c), cell(c.doc))
	}
	for _, c := range s.children {
		inner, ok := inside(c)
		if !ok {
			continue
		}
		fmt.Fprintf(b, "\n## `%s`\n\n", inner.path)
		if inner.path == c.path {
			b.WriteString(c.doc + "\n\n")
		}
		section(b, inner)
	}
}

// inside returns the struct that a setting is, or holds.
func inside(s setting) (setting, bool) {
	switch {
	case s.kind == "object":
		// Detectors are described once, where their defaults are.
		return s, s.key != "detectors" || s.path == "defaults.detectors"
	case (s.kind == "map" || s.kind == "list") && s.children[0].kind == "object":
		// So are windows and rules.
		return s.children[0], s.key != "windows" && s.key != "rules" || strings.HasPrefix(s.path, "defaults.")
	default:
		return setting{}, false
	}
}

func link(s setting) string {
	target := s
	if inner, ok := inside(s); ok {
		target = inner
	} else if s.kind == "object" || (s.kind == "list" || s.kind == "map") && s.children[0].kind == "object" {
		target.path = "defaults." + s.key
		switch s.kind {
		case "list":
			target.path += "[]"
		case "map":
			target.path += "." + s.name
		}
	} else {
		return "`" + s.key + "`"
	}
	return "[`" + s.key + "`](#" + anchor(target.path) + ")"
}

// anchor is the id that renderers give a heading: lower case, without punctuation.
func anchor(heading string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '_', r == '-':
			return r
		default:
			return -1
		}
	}, strings.ToLower(heading))
}

func typeText(s setting) string {
	switch s.kind {
	case "object":
		if s.short {
			return "text or section"
		}
		return "section"
	case "map":
		return "section by `" + s.name + "`"
	case "list":
		if s.children[0].kind == "object" {
			return "list of sections"
		}
		return "list of " + s.children[0].kind
	}
	switch {
	case len(s.enum) == 1:
		return "`" + s.enum[0] + "`"
	case len(s.enum) > 0:
		return "`" + strings.Join(slices.DeleteFunc(slices.Clone(s.enum), func(e string) bool { return e == "" }), "`, `") + "`"
	case s.min != "" && s.max != "":
		return s.kind + ", " + s.min + " to " + s.max
	case s.min != "":
		return s.kind + ", at least " + s.min
	default:
		return s.kind
	}
}

func defaultText(s setting) string {
	switch {
	case s.kind == "object" || s.kind == "map":
		return ""
	case strings.HasPrefix(s.path, "models.<name>.features.") && s.key == "role":
		return "by name"
	case strings.HasPrefix(s.path, "models.<name>.") && strings.HasPrefix(s.doc, "Replaces"):
		return "inherited"
	case strings.HasSuffix(s.path, "[].size"):
		return "required"
	case strings.HasSuffix(s.path, "[].every"):
		return "`size`"
	case strings.HasPrefix(s.path, "defaults.rules."):
		return "by kind"
	case s.value == "":
		return "empty"
	default:
		return "`" + s.value + "`"
	}
}

func cell(text string) string { return strings.ReplaceAll(text, "|", `\|`) }
