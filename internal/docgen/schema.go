package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
)

// object keeps the order of its keys, so that the schema reads like the documentation.
type object []member

type member struct {
	key   string
	value any
}

// MarshalJSON implements json.Marshaler.
func (o object) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, m := range o {
		if i > 0 {
			b.WriteByte(',')
		}
		key, err := json.Marshal(m.key)
		if err != nil {
			return nil, err
		}
		value, err := json.Marshal(m.value)
		if err != nil {
			return nil, err
		}
		b.Write(key)
		b.WriteByte(':')
		b.Write(value)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// schemaJSON writes the JSON Schema of a configuration file, for editors. `driftd check` knows more rules than it can say.
func schemaJSON(top setting) ([]byte, error) {
	s, err := schemaOf(top)
	if err != nil {
		return nil, err
	}
	s = append(object{
		{"$schema", "https://json-schema.org/draft/2020-12/schema"},
		{"$id", "https://github.com/driftd/driftd/docs/schema/config.schema.json"},
		{"title", "driftd.yaml"},
		{"$comment", "Generated from package config by `go generate ./config`. Do not edit."},
	}, s...)
	s = append(s, member{"$defs", object{
		{"duration", object{
			{"type", "string"},
			{"pattern", `^-?([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|ms|s|m|h|d|w)(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|ms|s|m|h|d|w))*$`},
		}},
		{"time", object{
			{"type", "string"},
			{"format", "date-time"},
		}},
		{"size", object{
			{"anyOf", []object{
				{{"type", "integer"}, {"minimum", 0}},
				{{"type", "string"}, {"pattern", `^[0-9]+ ?(B|kB|KB|MB|GB|TB|KiB|MiB|GiB|TiB)?$`}},
			}},
		}},
	}})
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(s); err != nil {
		return nil, fmt.Errorf("encoding schema: %w", err)
	}
	return out.Bytes(), nil
}

func schemaOf(s setting) (object, error) {
	var out object
	if s.doc != "" {
		out = append(out, member{"description", s.doc})
	}
	switch s.kind {
	case "object":
		properties := object{}
		for _, c := range s.children {
			p, err := schemaOf(c)
			if err != nil {
				return nil, err
			}
			properties = append(properties, member{c.key, p})
		}
		// An empty section is a section that says nothing.
		types := []string{"object", "null"}
		if s.short {
			types = append(types, "string")
		}
		return append(out, member{"type", types}, member{"properties", properties},
			member{"additionalProperties", false}), nil
	case "map":
		entry, err := schemaOf(s.children[0])
		if s.key == "models" {
			out = append(out, member{"propertyNames", object{{"pattern", "^[A-Za-z0-9_-]{1,128}$"}}})
		}
		return append(out, member{"type", []string{"object", "null"}}, member{"additionalProperties", entry}), err
	case "list":
		entry, err := schemaOf(s.children[0])
		return append(out, member{"type", "array"}, member{"items", entry}), err
	case "k of n":
		return append(out, member{"type", "string"}, member{"pattern", "^[0-9]{1,4} of [0-9]{1,4}$"}), nil
	case "duration", "size", "time":
		out = append(out, member{"$ref", "#/$defs/" + s.kind})
		if defaultText(s) == "`"+s.value+"`" {
			out = append(out, member{"default", s.value})
		}
		return out, nil
	default:
		return scalarSchema(out, s)
	}
}

func scalarSchema(out object, s setting) (object, error) {
	var value any
	var err error
	switch s.kind {
	case "text":
		out, value = append(out, member{"type", "string"}), s.value
		if len(s.enum) > 0 {
			out = append(out, member{"enum", s.enum})
		}
	case "true or false":
		out, value = append(out, member{"type", "boolean"}), s.value == "true"
	case "whole number":
		out = append(out, member{"type", "integer"})
		if value, err = strconv.Atoi(s.value); err != nil {
			return nil, fmt.Errorf("encoding schema of %s: %w", s.path, err)
		}
		for _, bound := range []member{{"minimum", s.min}, {"maximum", s.max}} {
			if text := fmt.Sprint(bound.value); text != "" {
				out = append(out, member{bound.key, json.Number(text)})
			}
		}
	case "number":
		out, value = append(out, member{"type", "number"}), json.Number(s.value)
	default:
		return nil, fmt.Errorf("encoding schema of %s: no type for %s", s.path, s.kind)
	}
	if defaultText(s) == "`"+s.value+"`" { // not where the value is inherited
		out = append(out, member{"default", value})
	}
	return out, nil
}
