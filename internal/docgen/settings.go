package main

import (
	"encoding"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"

	"github.com/driftd/driftd/config"
	"github.com/driftd/driftd/detectors"
)

const module = "github.com/driftd/driftd"

// setting is one key of the configuration, or a struct of them.
type setting struct {
	path     string // models.<name>.windows[].size
	key      string
	doc      string
	kind     string // as the documentation names it: text, duration, …
	value    string // the default, as it would be written; empty where there is none
	enum     []string
	min, max string
	name     string // of a map: what its keys are, such as <name>
	children []setting
	short    bool // of a struct: it may be written as one text
}

// detectorChoices are the enumerations of detectors.Config, whose validation is code and no tags.
var detectorChoices = map[string][]string{ //nolint:gochecknoglobals // a constant table
	"bins":       {detectors.BinsAuto, detectors.BinsQuantile10Split, detectors.BinsQuantile10},
	"smoothing":  {detectors.SmoothingPseudocount, detectors.SmoothingFloor},
	"convention": detectors.Conventions(),
	"threshold":  {detectors.ThresholdAuto, detectors.ThresholdFixed},
	"gate":       detectors.Gates(),
	"fdr":        {detectors.FDRBenjaminiHochberg, detectors.FDRBenjaminiYekutieli},
}

// reader finds the doc comments of types. Packages are parsed once.
type reader struct {
	root string
	docs map[string]map[string]string // package path → Type or Type.Field → text
}

func readSettings(root string) (setting, error) {
	r := &reader{root: root, docs: map[string]map[string]string{}}
	c := config.Default()
	m := c.Model("") // entries to describe; their names do not show
	m.Segments[""], m.Compare[""] = config.DefaultSegment(), config.DefaultComparison()
	c.Models[""], c.Notifiers[""] = m, config.DefaultNotifier()
	top := setting{kind: "object"}
	err := r.fields(&top, reflect.ValueOf(*c))
	return top, err
}

// fields describes a struct.
func (r *reader) fields(parent *setting, v reflect.Value) error {
	docs, err := r.read(v.Type().PkgPath())
	if err != nil {
		return err
	}
	parent.kind = "object"
	for _, f := range reflect.VisibleFields(v.Type()) {
		key, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		if key == "" {
			continue
		}
		name := v.Type().Name() + "." + f.Name
		if docs[name] == "" {
			return fmt.Errorf("reading settings: %s.%s has no doc comment", v.Type().PkgPath(), name)
		}
		s := setting{path: join(parent.path, key), key: key, doc: docs[name], min: f.Tag.Get("min"), max: f.Tag.Get("max")}
		if enum := f.Tag.Get("enum"); enum != "" {
			s.enum = strings.Split(enum, "|")
		}
		if v.Type() == reflect.TypeFor[detectors.Config]() {
			s.enum = detectorChoices[key]
		}
		if key := f.Tag.Get("key"); key != "" {
			s.name = "<" + key + ">"
		}
		if err := r.describe(&s, v.FieldByIndex(f.Index)); err != nil {
			return err
		}
		parent.children = append(parent.children, s)
	}
	return nil
}

// describe fills in what the type and the default of a setting say.
func (r *reader) describe(s *setting, v reflect.Value) error {
	if text, ok := reflect.TypeAssert[encoding.TextMarshaler](v); ok {
		data, err := text.MarshalText()
		s.value, s.kind = string(data), "duration"
		switch v.Type() {
		case reflect.TypeFor[config.Bytes]():
			s.kind = "size"
		case reflect.TypeFor[config.Time]():
			s.kind, s.value = "time", "" // there is no default moment
		case reflect.TypeFor[config.Hits]():
			s.kind, s.value = "k of n", ""
		}
		return err
	}
	switch v.Kind() {
	case reflect.Struct:
		s.short = v.Type() == reflect.TypeFor[config.Reference]()
		return r.fields(s, v)
	case reflect.Map:
		entry := setting{path: join(s.path, s.name)}
		element := v.MapIndex(reflect.ValueOf(""))
		if !element.IsValid() {
			element = reflect.Zero(v.Type().Elem())
		}
		if err := r.describe(&entry, element); err != nil {
			return err
		}
		s.kind, s.value, s.children = "map", "{}", []setting{entry}
	case reflect.Slice:
		entry := setting{path: s.path + "[]"}
		if err := r.describe(&entry, reflect.Zero(v.Type().Elem())); err != nil {
			return err
		}
		s.kind, s.value, s.children = "list", "[]", []setting{entry}
		if v.Len() > 0 {
			s.value = listText(v)
		}
	case reflect.String:
		s.kind, s.value = "text", v.String()
	case reflect.Bool:
		s.kind, s.value = "true or false", strconv.FormatBool(v.Bool())
	case reflect.Int:
		s.kind, s.value = "whole number", strconv.FormatInt(v.Int(), 10)
	case reflect.Float64:
		s.kind, s.value = "number", strconv.FormatFloat(v.Float(), 'g', -1, 64)
	default:
		return fmt.Errorf("reading settings: %s has the type %s, which is not described", s.path, v.Type())
	}
	return nil
}

// listText writes a list as YAML on one line.
func listText(v reflect.Value) string {
	parts := make([]string, 0, v.Len())
	for i := range v.Len() {
		if v.Type().Elem().Kind() != reflect.Struct {
			parts = append(parts, fmt.Sprint(v.Index(i).Interface()))
			continue
		}
		fields := reflect.VisibleFields(v.Type().Elem())
		keys := make([]string, 0, len(fields))
		for _, f := range fields {
			keys = append(keys, f.Tag.Get("yaml")+": "+fmt.Sprint(v.Index(i).FieldByIndex(f.Index).Interface()))
		}
		parts = append(parts, "{"+strings.Join(keys, ", ")+"}")
	}
	return "[" + strings.Join(parts, ", ") + "]"
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// read returns the doc comments of a package of this module.
func (r *reader) read(pkg string) (map[string]string, error) {
	if docs, ok := r.docs[pkg]; ok {
		return docs, nil
	}
	dir := filepath.Join(r.root, filepath.FromSlash(strings.TrimPrefix(pkg, module+"/")))
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil || len(files) == 0 {
		return nil, fmt.Errorf("reading package %s: %w", pkg, fs.ErrNotExist)
	}
	docs := map[string]string{}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return nil, fmt.Errorf("reading package %s: %w", pkg, err)
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			spec, ok := n.(*ast.TypeSpec)
			if !ok {
				return true
			}
			if s, ok := spec.Type.(*ast.StructType); ok {
				for _, f := range s.Fields.List {
					for _, name := range f.Names {
						docs[spec.Name.Name+"."+name.Name] = strings.Join(strings.Fields(f.Doc.Text()), " ")
					}
				}
			}
			return false
		})
	}
	r.docs[pkg] = docs
	return docs, nil
}
