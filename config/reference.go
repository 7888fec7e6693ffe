package config

import (
	"fmt"
	"strings"

	"github.com/driftd/driftd/fold"
)

// Reference says what the windows of a model are compared with: a stored reference by its name, which may be written as one text, or
// what the model's own stream brings.
type Reference struct {
	// A stored reference, by its name or by its fingerprint (`sha256:` and 64 hexadecimal digits). `reference: churn-q3` is short for
	// `reference: {name: churn-q3}`. Empty: the one that `driftd reference activate` chose.
	Name string `yaml:"name"`

	// The span before each window, such as `7d`: the model is compared with its own past, which rolls along.
	Previous Duration `yaml:"previous" min:"0s" max:"366d"`

	// A season of the model's own past: `hour` compares a window with the same hours of every past day, `weekday` with the same
	// hours of the same day of every past week.
	Same string `yaml:"same" enum:"|hour|weekday"`

	// How many weeks back `same` goes; 0: four.
	Weeks int `yaml:"weeks" min:"0" max:"52"`

	// A version of the model: the others are compared with what it saw in the same window, or with `previous` or `same` in its past.
	Version string `yaml:"version"`
}

// defaultWeeks is how far back a season goes that does not say.
const defaultWeeks = 4

// shortForm is a struct that may be written as one text.
type shortForm interface{ setText(text string) }

func (r *Reference) setText(text string) { *r = Reference{Name: text} }

// span returns how far back the reference goes.
func (r Reference) span() Duration {
	switch {
	case r.Same == "":
		return r.Previous
	case r.Weeks == 0:
		return defaultWeeks * Week
	}
	return Duration(r.Weeks) * Week
}

// String returns what people call the reference; it stands in results.
func (r Reference) String() string {
	var parts []string
	if r.Name != "" {
		parts = append(parts, r.Name)
	}
	if r.Version != "" {
		parts = append(parts, "version "+r.Version)
	}
	if r.Same != "" {
		parts = append(parts, fmt.Sprintf("same %s of the previous %s", r.Same, r.span()))
	} else if r.Previous != 0 {
		parts = append(parts, "previous "+r.Previous.String())
	}
	return strings.Join(parts, ", ")
}

// rolling returns how the stream itself is the reference; nil where it is not.
func (r Reference) rolling(resolution int) *fold.Rolling {
	if r.Previous == 0 && r.Same == "" && r.Version == "" {
		return nil
	}
	return &fold.Rolling{Previous: r.span().Milliseconds(), Same: r.Same, Version: r.Version, Resolution: resolution}
}

// checkReference applies the rules about a model's reference.
func (k *checker) checkReference(path string, m Model) {
	r := m.Reference
	rolling := r.rolling(k.c.Defaults.Resolution)
	switch {
	case k.d.isBroken(path) || k.d.isBroken(path+".previous") || k.d.isBroken(path+".weeks"):
	case r.Name != "" && (rolling != nil || r.Weeks != 0):
		k.fail(path, nil, "must be the name of a stored reference, or previous, same or version: not both")
	case r.Name != "" && !referenceName.MatchString(r.Name) && !fingerprint.MatchString(r.Name):
		k.fail(path, nil, "must be the name of a reference, or sha256: and 64 hexadecimal digits, got %q", shorten(r.Name))
	case r.Weeks != 0 && r.Same == "":
		k.fail(path+".weeks", nil, "says how far back same goes: say same: hour or same: weekday as well")
	case r.Previous != 0 && r.Same != "":
		k.fail(path+".previous", nil, "cannot stand beside same, which goes back by weeks")
	case r.Same != "" && r.Same != fold.SameHour && r.Same != fold.SameWeekday: // reported as a choice
	case m.Pane > 0 && r.Previous%m.Pane != 0:
		k.fail(path+".previous", nil, "must be a multiple of the pane (%s), got %s", m.Pane, r.Previous)
	case len(r.Version) > maxNameSize:
		k.fail(path+".version", nil, "must have at most %d bytes, got %d", maxNameSize, len(r.Version))
	case rolling != nil:
		timing := modelCounting(m, k.c.Defaults.Resolution).Timing
		if timing.Validate() != nil || rolling.Previous < 0 {
			return // reported where it is written
		}
		if err := rolling.Validate(timing); err != nil {
			at := path
			if k.d.written(path + ".previous") {
				at = path + ".previous"
			}
			k.fail(at, nil, "cannot be: %v", err)
		}
	}
}
