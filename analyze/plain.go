package analyze

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/driftd/driftd/cells"
	"github.com/driftd/driftd/result"
)

// plain says in a sentence or two, without statistics, what happened to a feature.
func plain(f *Feature) string {
	var out []string
	before, after := rowsOf(f.Reference), rowsOf(f.Current)
	for _, lost := range []struct {
		what          string
		before, after uint64
	}{
		{"have no value", f.Reference.Missing, f.Current.Missing},
		{"hold something that is no number", f.Reference.Invalid, f.Current.Invalid},
		{"are infinite", f.Reference.Inf, f.Current.Inf},
	} {
		if before == 0 || after == 0 {
			continue
		}
		was, is := float64(lost.before)/float64(before), float64(lost.after)/float64(after)
		if math.Abs(is-was) >= 0.02 {
			out = append(out, fmt.Sprintf("%s of the rows %s; it was %s.", share(is), lost.what, share(was)))
		}
	}
	switch {
	case f.Verdict == result.Insufficient && len(out) == 0:
		return strings.TrimSuffix("There are too few values to tell: "+strings.Join(f.Reasons, ", "), ": ") + "."
	case f.Verdict == result.Stable && len(out) == 0:
		return "The values look as they did."
	case f.Reference.Count == 0 || f.Current.Count == 0:
		return strings.Join(out, " ")
	}
	if effect(f) < f.Thresholds.Warning {
		return strings.Join(out, " ") // the values that are there look as they did
	}
	if bin, was, is := mostMoved(f); bin != nil {
		if f.Kind == cells.Categorical.String() {
			out = append(out, fmt.Sprintf("%q is now %s of the values; it was %s.", shorten(bin.Label, 60), share(is), share(was)))
		} else {
			out = append(out, fmt.Sprintf("%s of the values are now %s; it was %s.", share(is), inWords(bin.Label), share(was)))
		}
	}
	if r, c := f.Reference.Median, f.Current.Median; r != nil && c != nil && *r != *c {
		out = append(out, fmt.Sprintf("The middle value went from %s to %s.", number(r), number(c)))
	}
	return strings.Join(out, " ")
}

// mostMoved returns the bin whose share changed most, nil where none did.
func mostMoved(f *Feature) (bin *result.Bin, was, is float64) {
	most := 0.0
	for i := range f.Bins {
		b := &f.Bins[i]
		r, c := float64(b.Reference)/float64(f.Reference.Count), float64(b.Current)/float64(f.Current.Count)
		if d := math.Abs(c - r); d > most {
			bin, was, is, most = b, r, c, d
		}
	}
	return bin, was, is
}

// inWords says a bin's label: `above 5`, `at most 5`, `exactly 5`, `between 3 and 5`.
func inWords(label string) string {
	for sign, words := range map[string]string{"> ": "above ", "≤ ": "at most ", "< ": "below ", "= ": "exactly "} {
		if rest, ok := strings.CutPrefix(label, sign); ok {
			return words + rest
		}
	}
	lo, hi, ok := strings.Cut(strings.Trim(label, "()]"), ", ")
	switch {
	case !ok:
		return label
	case lo == "-Infinity":
		return "at most " + hi
	case hi == "Infinity":
		return "above " + lo
	}
	return "between " + lo + " and " + hi
}

func share(x float64) string {
	if x > 0 && x < 0.001 {
		return "less than 0.1 %"
	}
	return strconv.FormatFloat(100*x, 'f', 1, 64) + " %"
}
