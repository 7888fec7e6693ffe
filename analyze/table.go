package analyze

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/driftd/driftd/result"
)

// The colours of a terminal.
const (
	ansiReset  = "\x1b[0m"
	ansiBold   = "\x1b[1m"
	ansiDim    = "\x1b[2m"
	ansiRed    = "\x1b[31m"
	ansiYellow = "\x1b[33m"
	ansiGreen  = "\x1b[32m"
)

const (
	maxName  = 32 // runes of a name in the table
	tableBar = 12 // characters of a histogram
)

// WriteTable writes the report as text: one line a feature, the worst first, with the shape of both sides, and what made the
// verdicts.
func (r *Report) WriteTable(w io.Writer, colour bool) error {
	t := &table{colour: colour, text: strings.Builder{}}
	t.sources(r)
	t.verdict("verdict    ", r.Verdict, r.Reasons)
	t.rival(r.Convention, r.Rival, nil)
	t.line("")
	t.features(r.Features)
	t.rival("", r.Rival, r.Features)
	for _, s := range r.Segments {
		t.line("")
		t.line("%s", t.paint(ansiBold, oneLine(s.Segment)))
		t.line("rows       %s → %s", grouped(s.Reference.Rows), grouped(s.Current.Rows))
		t.verdict("verdict    ", s.Verdict, s.Reasons)
		t.rival(r.Convention, s.Rival, nil)
		t.line("")
		t.features(s.Features)
		t.rival("", s.Rival, s.Features)
	}
	if _, err := io.WriteString(w, t.text.String()); err != nil {
		return fmt.Errorf("writing the analysis: %w", err)
	}
	return nil
}

type table struct {
	colour bool
	text   strings.Builder
}

func (t *table) line(format string, args ...any) {
	t.text.WriteString(strings.TrimRight(fmt.Sprintf(format, args...), " ") + "\n")
}

func (t *table) paint(code, s string) string {
	if !t.colour {
		return s
	}
	return code + s + ansiReset
}

func (t *table) verdictWord(v result.Verdict, kind string) string {
	if kind == KindIgnored {
		return t.paint(ansiDim, "ignored")
	}
	switch v {
	case result.Drift:
		return t.paint(ansiRed+ansiBold, "drift")
	case result.Warning:
		return t.paint(ansiYellow, "warning")
	case result.Stable:
		return t.paint(ansiGreen, "stable")
	case result.Insufficient:
	}
	return t.paint(ansiDim, string(v))
}

func (t *table) sources(r *Report) {
	width := max(utf8.RuneCountInString(oneLine(r.Reference.Source)), utf8.RuneCountInString(oneLine(r.Current.Source)))
	line := func(what string, s Source) {
		t.line("%-10s %s  %s rows  %s", what, pad(oneLine(s.Source), width), grouped(s.Rows), t.paint(ansiDim, s.Fingerprint))
	}
	line("reference", r.Reference)
	line("current", r.Current)
	for _, n := range r.Notes {
		t.line("%-10s %s", "note", oneLine(n))
	}
}

func (t *table) verdict(head string, v result.Verdict, reasons []string) {
	lines := []string{t.verdictWord(v, "")}
	for i, reason := range reasons {
		if i == 0 {
			lines[0] += ": " + oneLine(reason)
			continue
		}
		lines = append(lines, oneLine(reason))
	}
	for i, l := range lines {
		if i > 0 {
			head = strings.Repeat(" ", len(head))
		}
		t.line("%s%s", head, l)
	}
}

// features writes the table, and below it the reasons of what is not stable.
func (t *table) features(features []Feature) {
	order := byHarm(features)
	head := []string{"FEATURE", "VERDICT", "PSI", "P", "KS", "MISSING", "REFERENCE", "CURRENT", "SHAPE"}
	lines := make([][]string, 0, len(order))
	for _, f := range order {
		lines = append(lines, t.featureLine(f))
	}
	widths := make([]int, len(head))
	for i, h := range head {
		widths[i] = len(h)
		for _, l := range lines {
			widths[i] = max(widths[i], visible(l[i]))
		}
	}
	write := func(cells []string) {
		var b strings.Builder
		for i, c := range cells {
			b.WriteString(c + strings.Repeat(" ", widths[i]-visible(c)+2))
		}
		t.line("%s", b.String())
	}
	write(head)
	for _, l := range lines {
		write(l)
	}
	for _, f := range order {
		if f.Kind == KindIgnored || f.Verdict == result.Stable || len(f.Reasons) == 0 {
			continue
		}
		t.line("")
		t.line("%s: %s", t.paint(ansiBold, shorten(f.Feature.Feature, maxName)), t.verdictWord(f.Verdict, f.Kind))
		for _, reason := range f.Reasons {
			t.line("  %s", oneLine(reason))
		}
	}
}

func (t *table) featureLine(f *Feature) []string {
	psi, p := f.Statistics["psi_debiased"], f.Statistics["psi"].PValue
	if psi.Value == nil {
		psi = f.Statistics["psi"]
	}
	if p == nil {
		p = f.Statistics["chi2"].PValue
	}
	describe := func(s result.Side) string {
		if s.Mean == nil {
			return grouped(s.Count) + " values"
		}
		return number(s.Mean) + " ± " + number(s.Std)
	}
	missing := percent(f.Current.Missing, rowsOf(f.Current))
	if before := percent(f.Reference.Missing, rowsOf(f.Reference)); before != missing {
		missing = before + " → " + missing
	}
	name := shorten(f.Feature.Feature, maxName)
	if f.Role == result.RolePrediction {
		name += " (prediction)"
	}
	line := []string{
		name, t.verdictWord(f.Verdict, f.Kind), number(psi.Value), probability(p), number(f.Statistics["ks"].Value), missing,
		describe(f.Reference), describe(f.Current), "",
	}
	if f.Kind == KindIgnored {
		return append(line[:2], "", "", "", "", "", "", oneLine(f.Reasons[0]))
	}
	_, ref, cur, rest := f.bars(tableBar + 1)
	drawn := len(ref) - rest
	line[8] = spark(ref[:drawn]) + " → " + spark(cur[:drawn])
	return line
}

// spark draws shares as block characters, the largest as a full block; what is there at all has at least the lowest.
func spark(shares []float64) string {
	const blocks = "▁▂▃▄▅▆▇█"
	if len(shares) > tableBar { // every two bins as one
		half := make([]float64, 0, len(shares)/2+1)
		for i := 0; i < len(shares); i += 2 {
			s := shares[i]
			if i+1 < len(shares) {
				s += shares[i+1]
			}
			half = append(half, s)
		}
		shares = half
	}
	most := 0.0
	for _, s := range shares {
		most = max(most, s)
	}
	var b strings.Builder
	for _, s := range shares {
		if s == 0 {
			b.WriteByte(' ')
			continue
		}
		i := min(int(8*s/most), 7)
		b.WriteString(string([]rune(blocks)[i]))
	}
	return b.String()
}

// visible is the number of runes of s without colours.
func visible(s string) int {
	n, escape := 0, false
	for _, r := range s {
		switch {
		case r == '\x1b':
			escape = true
		case escape:
			escape = r != 'm'
		default:
			n++
		}
	}
	return n
}

func pad(s string, width int) string {
	return s + strings.Repeat(" ", max(width-utf8.RuneCountInString(s), 0))
}
