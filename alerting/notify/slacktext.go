package notify

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf16"

	"github.com/slack-go/slack"

	"github.com/driftd/driftd/result"
)

// Limits of Slack (https://docs.slack.dev/reference/block-kit/blocks), in characters as its own clients count them, and below them our
// own: the sum over all blocks is refused from about 13,000 on (https://github.com/slackapi/bolt-js/issues/2509).
const (
	maxHeader   = 150
	maxSection  = 3000
	maxField    = 500  // of 2,000: six of them
	maxText     = 1000 // of 40,000: what a notification on a telephone shows
	maxLine     = 300  // of a list
	maxName     = 100  // of a feature
	maxDetail   = 1500 // of an annotation
	maxLines    = 25   // of a digest
	maxFeatures = 10   // of an incident
)

// slackText is one message to Slack.
type slackText struct {
	text   string // what a notification shows, and clients that know no blocks
	blocks []slack.Block
}

// message lays an incident out: what, since when, how bad, compared with what, what moved, and where to look.
func (s *Slack) message(n *Notice, note string) slackText {
	t := &n.Transition
	m := slackText{text: clip(sign(n)+" "+strings.Join(strings.Fields(t.Title), " ")+"\n"+strings.Join(t.Reasons[:min(2, len(t.Reasons))], "\n"), maxText), blocks: nil}
	m.blocks = append(m.blocks,
		slack.NewHeaderBlock(slack.NewTextBlockObject(slack.PlainTextType, line(sign(n)+" "+t.Title, maxHeader), false, false)),
		slack.NewSectionBlock(nil, fields(n), nil))
	if text := moved(t); text != "" {
		m.blocks = append(m.blocks, slack.NewSectionBlock(markdown(text), nil, nil))
	}
	if text := details(t); text != "" {
		m.blocks = append(m.blocks, slack.NewSectionBlock(markdown(text), nil, nil))
	}
	foot := []string{}
	if link := Link(s.page(), t); link != "" {
		foot = append(foot, anchor(link, "Open it in driftd"))
	}
	foot = append(foot, "incident "+code(t.Incident))
	if n.New && !n.Firing() {
		foot = append(foot, "it came and went while nobody could be told")
	}
	if t.Flapping {
		foot = append(foot, "it changes often: it stays firing until a day was quiet")
	}
	if note != "" {
		foot = append(foot, clip(note, maxLine))
	}
	m.blocks = append(m.blocks, slack.NewContextBlock("", markdown(strings.Join(foot, "  ·  "))))
	return m
}

// fields are the numbers of an incident.
func fields(n *Notice) []*slack.TextBlockObject {
	t := &n.Transition
	var out []*slack.TextBlockObject
	field := func(name, text string) {
		if text != "" {
			out = append(out, markdown("*"+name+"*\n"+clip(text, maxField)))
		}
	}
	since := moment(t.Since)
	if !n.Firing() && t.Window.End > t.Since {
		since += " until " + moment(t.Window.End)
	}
	field("Since", since)
	if t.Unit != "" {
		bad := fmt.Sprintf("%s %.3g, threshold %.3g", t.Unit, t.Value, t.Threshold)
		if t.Worst > t.Value {
			bad += fmt.Sprintf(", at worst %.3g", t.Worst)
		}
		field("How bad", bad)
	}
	if t.Reference != nil {
		field("Compared with", fmt.Sprintf("reference %s (%.19s)", t.Reference.Name, t.Reference.Fingerprint))
	}
	if t.Window.Size > 0 {
		field("Window", moment(t.Window.Start)+" to "+moment(t.Window.End))
	}
	field("Severity", t.Severity)
	field("Rule", strings.TrimSpace(t.Rule+versions(&t.Key)))
	return out
}

func versions(k *result.Key) string {
	switch k.Version {
	case "":
		return ""
	case result.All:
		return ", all versions"
	}
	return ", version " + k.Version
}

// moved lists what is different, the largest effect first.
func moved(t *result.Transition) string {
	lines := []string{"*What is different*"}
	if len(t.Features) <= 1 {
		for _, r := range t.Reasons {
			lines = append(lines, "• "+line(r, maxLine))
		}
	}
	for i := range t.Features {
		if len(t.Features) == 1 || i == maxFeatures {
			break
		}
		f := &t.Features[i]
		lines = append(lines, "• "+code(f.Feature)+" "+line(strings.Join(f.Reasons[:min(2, len(f.Reasons))], "; "), maxLine))
	}
	if len(lines) == 1 {
		return ""
	}
	return fit(lines, max(t.FeaturesTotal, len(lines)-1), maxSection)
}

// details are the texts that the rule's author wrote.
func details(t *result.Transition) string {
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(t.Annotations)) {
		if text := t.Annotations[name]; text != "" {
			lines = append(lines, "*"+clip(name, maxName)+"* "+clip(text, maxDetail))
		}
	}
	return fit(lines, len(lines), maxSection)
}

// reply is what a change adds to the thread.
func reply(n *Notice, m *slackMemory) slackText {
	t := &n.Transition
	var text string
	switch {
	case !n.Firing():
		text = "✅ Over since " + moment(t.Window.End) + ", after " + duration(t.Window.End-t.Since)
	case m.State != string(t.To):
		text = sign(n) + " It fires again"
	case t.FeaturesTotal != m.Features:
		text = fmt.Sprintf("%s %d features, %d before", sign(n), t.FeaturesTotal, m.Features)
	default:
		text = sign(n) + " It changed"
	}
	if t.InhibitedBy != "" {
		text += clip(" (inhibited by "+t.InhibitedBy+")", maxLine)
	}
	if list := moved(t); list != "" {
		text += "\n" + list
	}
	return slackText{text: clipRaw(text, maxSection), blocks: nil}
}

// digest tells of many incidents at once.
func (s *Slack) digest(group []*Notice) slackText {
	sorted := slices.Clone(group)
	rank := func(n *Notice) int {
		switch {
		case !n.Firing():
			return 3
		case n.Transition.Severity == "critical":
			return 0
		case n.Transition.Severity == "warning":
			return 1
		}
		return 2
	}
	slices.SortStableFunc(sorted, func(a, b *Notice) int { return cmp.Compare(rank(a), rank(b)) })
	firing := 0
	lines := make([]string, 0, len(sorted))
	for _, n := range sorted {
		if n.Firing() {
			firing++
		}
		if len(lines) == maxLines {
			continue
		}
		title := line(n.Transition.Title, maxName)
		if link := Link(s.page(), &n.Transition); link != "" {
			title = anchor(link, n.Transition.Title)
		}
		lines = append(lines, sign(n)+" "+title)
	}
	title := fmt.Sprintf("%d incidents at once: %d firing, %d over", len(group), firing, len(group)-firing)
	blocks := []slack.Block{
		slack.NewHeaderBlock(slack.NewTextBlockObject(slack.PlainTextType, title, false, false)),
		slack.NewSectionBlock(markdown(fit(lines, len(group), maxSection)), nil, nil),
	}
	if page := s.page(); page != "" {
		blocks = append(blocks, slack.NewContextBlock("", markdown(anchor(strings.TrimSuffix(page, "/")+"/alerts", "All of them in driftd"))))
	}
	return slackText{text: title, blocks: blocks}
}

// sign is a mark that can be told from afar.
func sign(n *Notice) string {
	switch {
	case !n.Firing():
		return "✅"
	case n.Transition.Severity == "critical":
		return "🔴"
	case n.Transition.Severity == "warning":
		return "🟠"
	}
	return "🔵"
}

func markdown(text string) *slack.TextBlockObject {
	return slack.NewTextBlockObject(slack.MarkdownType, text, false, false)
}

func moment(ms int64) string { return time.UnixMilli(ms).UTC().Format("2006-01-02 15:04 UTC") }

func duration(ms int64) string {
	d := time.Duration(ms) * time.Millisecond
	if days := int(d / (24 * time.Hour)); days > 0 {
		return strings.TrimSuffix(fmt.Sprintf("%d d %d h", days, int(d/time.Hour)%24), " 0 h")
	}
	return d.Round(time.Second).String()
}

// anchor is a link. Slack ends the address at a bar and the whole at a bracket.
func anchor(link, text string) string {
	link = strings.NewReplacer("&", "&amp;", "<", "%3C", ">", "%3E", "|", "%7C").Replace(link)
	return "<" + link + "|" + strings.ReplaceAll(line(text, maxName), "|", "¦") + ">"
}

// code writes a name that nobody chose for Slack, as code, in which no formatting holds.
func code(name string) string { return "`" + line(name, maxName) + "`" }

// line is clip for what must stay on one line.
func line(text string, n int) string { return clip(strings.Join(strings.Fields(text), " "), n) }

// clip makes a text harmless and at most n characters long. The three characters that are control characters for Slack are written
// as it wants them (https://docs.slack.dev/messaging/formatting-message-text#escaping): so no `<!here>` of a feature's name calls
// anybody. A backtick becomes an apostrophe, which ends no code; control characters become blanks.
func clip(text string, n int) string {
	var b strings.Builder
	used := 0
	for _, r := range strings.ToValidUTF8(text, "�") {
		piece := string(r)
		switch {
		case r == '&':
			piece = "&amp;"
		case r == '<':
			piece = "&lt;"
		case r == '>':
			piece = "&gt;"
		case r == '`':
			piece = "'"
		case r != '\n' && unicode.IsControl(r):
			piece = " "
		}
		if used += units(piece); used > n-1 {
			return b.String() + "…"
		}
		b.WriteString(piece)
	}
	return b.String()
}

// clipRaw cuts a text that is harmless already, at the end of a line.
func clipRaw(text string, n int) string {
	for units(text) > n {
		cut := strings.LastIndexByte(text, '\n')
		if cut < 0 {
			return clip(text, n)
		}
		text = text[:cut]
	}
	return text
}

// units counts characters as JavaScript does.
func units(s string) int { return len(utf16.Encode([]rune(s))) }

// fit joins lines as far as they fit, and says how many of all there are more.
func fit(lines []string, total, limit int) string {
	const reserve = 40
	var b strings.Builder
	used, shown := 0, 0
	heading := len(lines) > 0 && strings.HasPrefix(lines[0], "*What")
	for _, one := range lines {
		if used += units(one) + 1; used > limit-reserve {
			break
		}
		b.WriteString(one + "\n")
		shown++
	}
	if heading {
		shown--
	}
	if more := total - shown; more > 0 {
		fmt.Fprintf(&b, "… and %d more", more)
	}
	return strings.TrimSuffix(b.String(), "\n")
}
