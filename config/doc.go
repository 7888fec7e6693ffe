// Package config turns driftd.yaml into one validated Config. Load and Parse report every mistake of a file at once, each
// with its line and column: syntax, unknown and repeated keys, wrong types, values out of range, and settings that
// contradict each other. The YAML library is used in this package only.
//
// A Config is always complete: what a file does not say has its default, and what a model does not say is taken from
// `defaults` (what a feature does not say, from its model). So no reader of a Config has to look in two places.
//
// The generated files follow the doc comments and tags of the types: docs/configuration.md and
// docs/schema/config.schema.json. Write both again with `go generate ./config`.
package config

//go:generate go run ../internal/docgen
