package e2e_test

import (
	"flag"
	"fmt"
	"html"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/driftd/driftd/internal/testenv"
)

var dashboardsOut = flag.String("dashboards", "", "`DIR`: where TestDashboards draws what its queries returned; it writes the rows of each query to docs/dashboards.md too")

// markdown is the list of panels with the rows that each query returned.
func markdown(variant string, all []panelRows) string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n### %s\n\n| dashboard | panel | rows of each query |\n|---|---|---|\n", variant)
	for _, p := range all {
		counts := make([]string, 0, len(p.rows))
		for _, n := range p.rows {
			counts = append(counts, strconv.Itoa(n))
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", p.dashboard, p.panel, strings.Join(counts, ", "))
	}
	return b.String()
}

// replaceRows writes the list into docs/dashboards.md.
func replaceRows(tb testing.TB, text string) {
	tb.Helper()
	path := filepath.Join(testenv.Root(tb), "docs", "dashboards.md")
	before, rest, ok := strings.Cut(string(readRoot(tb, "docs/dashboards.md")), "<!-- rows -->")
	_, after, ok2 := strings.Cut(rest, "<!-- end -->")
	if !ok || !ok2 {
		tb.Fatal("docs/dashboards.md has no place for the rows")
	}
	if err := os.WriteFile(path, []byte(before+"<!-- rows -->\n"+text+"\n<!-- end -->"+after), 0o600); err != nil {
		tb.Fatal(err)
	}
}

// pictures are pages with the data of dashboards, by uid: what the queries of their panels returned, at the panels' places.
type pictures map[string]*picture

// picture is a page in the making.
type picture struct {
	strings.Builder

	height int
}

// Sizes in pixels of the grid that Grafana lays panels on.
const (
	gridX, gridY = 50, 30
	gap          = 6
)

// panel draws the answer to a panel's query. Only answers in Flux are drawn: they have their rows.
func (p pictures) panel(uid, title, kind, xField string, at [4]int, a answer) {
	if len(a.table) == 0 {
		return
	}
	page := p[uid]
	if page == nil {
		page = &picture{}
		p[uid] = page
	}
	w, h := at[2]*gridX-gap, at[3]*gridY-gap
	page.height = max(page.height, (at[1]+at[3])*gridY)
	fmt.Fprintf(page, `<div style="left:%dpx;top:%dpx;width:%dpx;height:%dpx"><b>%s</b>`, at[0]*gridX, at[1]*gridY, w, h, html.EscapeString(title))
	w, h = w-16, h-46
	switch kind {
	case "stat":
		name := a.columns("number")[0]
		fmt.Fprintf(page, `<p class="stat">%s</p>`, short(a.table[len(a.table)-1][name]))
	case "table":
		page.WriteString(tableOf(a))
	case "barchart":
		page.WriteString(barsOf(a, xField, w, h))
	case "status-history", "heatmap":
		page.WriteString(gridOf(a, kind == "heatmap", w, h))
	default:
		page.WriteString(linesOf(a, w, h))
	}
	page.WriteString("</div>\n")
}

func short(v string) string {
	x, err := strconv.ParseFloat(v, 64)
	if err != nil {
		return html.EscapeString(v)
	}
	return strconv.FormatFloat(x, 'g', 4, 64)
}

func tableOf(a answer) string {
	var b strings.Builder
	names := slices.Concat(a.columns("time"), a.columns("text"), a.columns("number"))
	b.WriteString("<table><tr>")
	for _, n := range names {
		b.WriteString("<th>" + html.EscapeString(n) + "</th>")
	}
	for _, row := range a.table[:min(8, len(a.table))] {
		b.WriteString("<tr>")
		for _, n := range names {
			b.WriteString("<td>" + short(row[n]) + "</td>")
		}
	}
	return b.String() + "</table>"
}

// colours of lines, one after the other.
func colour(i int) string {
	return []string{"#3274d9", "#e0752d", "#299c46", "#a352cc", "#c4162a", "#8f8f2a", "#3fbfbf", "#777"}[i%8]
}

func (a answer) value(row int, name string) (float64, bool) {
	x, err := strconv.ParseFloat(a.table[row][name], 64)
	return x, err == nil
}

// when returns the place of each row between the first and the last, from 0 to 1.
func (a answer) when() []float64 {
	at := make([]float64, len(a.table))
	for i, row := range a.table {
		if t, err := time.Parse(time.RFC3339Nano, row["_time"]); err == nil {
			at[i] = float64(t.UnixMilli())
		}
	}
	low, high := slices.Min(at), slices.Max(at)
	for i := range at {
		at[i] = (at[i] - low) / max(high-low, 1)
	}
	return at
}

func legend(names []string) string {
	var b strings.Builder
	b.WriteString("<p>")
	for i, n := range names {
		fmt.Fprintf(&b, `<span style="color:%s">■ %s</span> `, colour(i), html.EscapeString(n))
	}
	return b.String() + "</p>"
}

func linesOf(a answer, w, h int) string {
	names, at := a.columns("number"), a.when()
	low, high := 0.0, math.Inf(-1)
	for i := range a.table {
		for _, n := range names {
			if x, ok := a.value(i, n); ok {
				low, high = min(low, x), max(high, x)
			}
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg width="%d" height="%d"><text x="0" y="10">%.4g</text><text x="0" y="%d">%.4g</text>`, w, h, high, h-2, low)
	for k, n := range names {
		fmt.Fprintf(&b, `<polyline fill="none" stroke="%s" points="`, colour(k))
		for i := range a.table {
			if x, ok := a.value(i, n); ok {
				fmt.Fprintf(&b, "%.1f,%.1f ", 45+at[i]*float64(w-50), 4+(1-(x-low)/max(high-low, 1e-12))*float64(h-8))
			}
		}
		b.WriteString(`"/>`)
	}
	return b.String() + "</svg>" + legend(names)
}

func gridOf(a answer, shades bool, w, h int) string {
	names, at := a.columns("number"), a.when()
	height := float64(h) / float64(len(names))
	width := float64(w-150) / float64(len(a.table))
	var b strings.Builder
	fmt.Fprintf(&b, `<svg width="%d" height="%d">`, w, h)
	for k, n := range names {
		fmt.Fprintf(&b, `<text x="0" y="%.1f">%s</text>`, (float64(k)+0.7)*height, html.EscapeString(n))
		for i := range a.table {
			x, ok := a.value(i, n)
			if !ok {
				continue
			}
			fill := map[float64]string{-1: "#8e8e8e", 0: "#73bf69", 1: "#ff9830", 2: "#e02f44"}[x]
			if shades {
				fill = fmt.Sprintf("rgba(224,117,45,%.3f)", math.Sqrt(min(1, max(0, x)/0.5)))
			}
			fmt.Fprintf(&b, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="%s"/>`, 145+at[i]*(float64(w-150)-width), float64(k)*height, max(1, width-0.5), height-2, fill)
		}
	}
	return b.String() + "</svg>"
}

func barsOf(a answer, xField string, w, h int) string {
	names := a.columns("number")
	high := 0.0
	for i := range a.table {
		for _, n := range names {
			if x, ok := a.value(i, n); ok {
				high = max(high, x)
			}
		}
	}
	group := float64(w) / float64(len(a.table))
	var b strings.Builder
	fmt.Fprintf(&b, `<svg width="%d" height="%d">`, w, h)
	for i, row := range a.table {
		fmt.Fprintf(&b, `<text x="%.1f" y="%d">%s</text>`, float64(i)*group+2, h-3, html.EscapeString(row[xField]))
		for k, n := range names {
			if x, ok := a.value(i, n); ok {
				tall := x / high * float64(h-18)
				fmt.Fprintf(&b, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="%s"/>`, float64(i)*group+float64(k)*group*0.4+2, float64(h-16)-tall, group*0.38, tall, colour(k))
			}
		}
	}
	return b.String() + "</svg>" + legend(names)
}

// save takes a picture of each page, in Chromium.
func (p pictures) save(tb testing.TB, dir string) {
	tb.Helper()
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		testenv.Missing(tb, "chromium (Debian: the package chromium)")
	}
	for uid, body := range p {
		page := `<meta charset="utf-8"><style>body{margin:6px;background:#fff;font:12px sans-serif;color:#222}div{position:absolute;border:1px solid #ccc;padding:2px 6px;box-sizing:border-box;` +
			`overflow:hidden}p{margin:0}svg{display:block;font-size:11px}.stat{font-size:36px;text-align:center}table{border-spacing:10px 1px}td,th{text-align:left}</style>` + body.String()
		file := writeFile(tb, uid+".html", page)
		image := filepath.Join(dir, strings.TrimSuffix(uid, "-flux")+".png")
		cmd := exec.Command(chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-sync", "--disable-background-networking", "--no-first-run",
			"--user-data-dir="+tb.TempDir(), "--hide-scrollbars", fmt.Sprintf("--window-size=1216,%d", body.height+gap), "--screenshot="+image, "file://"+file)
		if out, err := cmd.CombinedOutput(); err != nil {
			tb.Fatalf("drawing %s: %v\n%s", uid, err, out)
		}
	}
}
