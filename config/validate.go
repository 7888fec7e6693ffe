package config

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// checker applies the rules to a decoded Config. Rules are written once, for a Config with and without a file.
type checker struct {
	c *Config
	d *document // of an empty file where the Config was not read from one
}

// finding is what a rule says about a path. Also names other settings that the rule looked at.
type finding struct {
	path    string
	also    []string
	message string
	at      place // in the file; none: where the path stands
}

// Validate returns nil, or Errors with every rule that c breaks. Load and Parse have done it already; it is for a Config
// that was changed by a program.
func (c *Config) Validate() error {
	k := &checker{c: c, d: parseDocument("", nil)}
	k.check()
	return k.d.errs.sorted()
}

// fail reports a mistake unless one of the settings that it is about could not be read in the first place.
func (k *checker) fail(path string, also []string, format string, args ...any) {
	k.report(finding{path: path, also: also, message: fmt.Sprintf(format, args...)})
}

func (k *checker) report(f finding) {
	if k.d.isBroken(f.path) || slices.ContainsFunc(f.also, k.d.isBroken) {
		return
	}
	if f.at != (place{}) {
		k.d.fail(f.at, f.path, "%s", f.message)
		return
	}
	at := k.d.find(f.path)
	if !k.d.written(f.path) { // a default that does not fit what is written: point to that
		if i := slices.IndexFunc(f.also, k.d.written); i >= 0 {
			at = k.d.values[f.also[i]]
		}
	}
	k.d.fail(at, f.path, "%s", f.message)
}

func (k *checker) check() {
	for _, f := range bounds("", reflect.ValueOf(*k.c), "defaults", "models", "notifiers") {
		k.report(f)
	}
	k.checkNATS()
	k.checkPartitions()
	k.checkServers()
	k.checkInfluxDB()
	k.checkSizes()
	k.checkModels()
	k.checkNotifiers()
}

// bounds applies the tags min, max and enum to a struct and the structs in it, leaving out some of its fields.
func bounds(path string, v reflect.Value, without ...string) []finding {
	var out []finding
	for _, f := range reflect.VisibleFields(v.Type()) {
		name, field := yamlName(f), v.FieldByIndex(f.Index)
		if name == "" || slices.Contains(without, name) {
			continue
		}
		p := joinKey(path, name)
		switch {
		case field.Kind() == reflect.Struct:
			out = append(out, bounds(p, field)...)
		case f.Tag.Get("enum") != "":
			if choices := strings.Split(f.Tag.Get("enum"), "|"); !slices.Contains(choices, field.String()) {
				out = append(out, finding{path: p, message: enumMessage(choices, field.String())})
			}
		default:
			if message := rangeMessage(field, f.Tag.Get("min"), f.Tag.Get("max")); message != "" {
				out = append(out, finding{path: p, message: message})
			}
		}
	}
	return out
}

func enumMessage(choices []string, got string) string {
	choices = slices.DeleteFunc(choices, func(c string) bool { return c == "" })
	if len(choices) == 1 {
		return fmt.Sprintf("must be %s, got %q", choices[0], shorten(got))
	}
	return fmt.Sprintf("must be %s, got %q", list(choices, "or"), shorten(got))
}

// rangeMessage says how a value breaks its bounds; empty when it does not.
func rangeMessage(v reflect.Value, low, high string) string {
	parse := func(bound string, otherwise int64) int64 {
		if bound == "" {
			return otherwise
		}
		n, err := parseBound(v, bound)
		if err != nil {
			panic("BUG: config: bad bound in a tag: " + bound)
		}
		return n
	}
	if !v.CanInt() || (low == "" && high == "") {
		return ""
	}
	if n := v.Int(); n >= parse(low, math.MinInt64) && n <= parse(high, math.MaxInt64) {
		return ""
	}
	got := fmt.Sprint(v.Interface())
	switch {
	case high == "":
		return fmt.Sprintf("must be at least %s, got %s", low, got)
	case low == "":
		return fmt.Sprintf("must be at most %s, got %s", high, got)
	default:
		return fmt.Sprintf("must be between %s and %s, got %s", low, high, got)
	}
}

func parseBound(v reflect.Value, bound string) (int64, error) {
	switch v.Interface().(type) {
	case Duration:
		d, err := ParseDuration(bound)
		return int64(d), err
	case Bytes:
		b, err := ParseBytes(bound)
		return int64(b), err
	default:
		return strconv.ParseInt(bound, 10, 64)
	}
}

// checkSizes applies the rules about sizes that must fit into each other.
func (k *checker) checkSizes() {
	l, n := &k.c.Limits, &k.c.NATS
	if l.FutureTolerance%Duration(time.Millisecond) != 0 {
		k.fail("limits.future_tolerance", nil, "must be whole milliseconds, got %s", l.FutureTolerance)
	}
	if l.DedupHorizon%Duration(time.Millisecond) != 0 {
		k.fail("limits.dedup_horizon", nil, "must be whole milliseconds, got %s", l.DedupHorizon)
	}
	if l.DedupHorizon > 0 && l.DedupIDs == 0 {
		k.fail("limits.dedup_horizon", []string{"limits.dedup_ids"}, "needs limits.dedup_ids: none is remembered")
	}
	if l.MaxRecord > l.MaxMessage {
		k.fail("limits.max_record", []string{"limits.max_message"},
			"must not be larger than limits.max_message (%s), got %s: a message holds at least one record", l.MaxMessage, l.MaxRecord)
	}
	if n.Outbox.MaxBytes > 0 && n.Outbox.MaxBytes < MiB {
		k.fail("nats.outbox.max_bytes", nil, "must be 0 or at least 1MiB, got %s", n.Outbox.MaxBytes)
	}
	if n.URL == "" && l.MaxMessage > n.Embedded.MaxPayload {
		k.fail("limits.max_message", []string{"nats.url", "nats.embedded.max_payload"},
			"must not be larger than nats.embedded.max_payload (%s), got %s: the broker refuses larger ones", n.Embedded.MaxPayload, l.MaxMessage)
	}
	if n.State.MaxBytes != 0 && n.State.MaxBytes/2 < k.c.Commit.MaxBytes {
		k.fail("nats.state.max_bytes", []string{"commit.max_bytes"},
			"must be at least twice commit.max_bytes (%s), got %s: the state stream holds a commit beside the one before",
			k.c.Commit.MaxBytes, n.State.MaxBytes)
	}
}
