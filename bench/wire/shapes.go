package main

import (
	"fmt"
	"math/rand/v2"
	"strconv"
)

const (
	referenceName = "wire-reference"
	referenceRows = 5000
	resolution    = 1000 // cut points of a numeric feature
	baseFeatures  = 20   // numeric ones of the event that the figures are about
	categorical   = 5
	eventStep     = 2 // milliseconds between two events
	beginning     = 1_795_000_000_000
)

// shape is how events are sent.
type shape struct {
	name     string
	batch    int     // events of a message
	expected float64 // events a second, for the length of the stream
	encode   func(g *generator, n int) []byte
}

func shapes() []*shape {
	return []*shape{
		{name: "single", batch: 1, expected: 260_000, encode: (*generator).ndjson},
		{name: "ndjson", batch: 64, expected: 520_000, encode: (*generator).ndjson},
		{name: "columnar", batch: 64, expected: 1_000_000, encode: (*generator).protobuf},
		{name: "columnar-1024", batch: 1024, expected: 1_000_000, encode: (*generator).protobuf},
		{name: "arrow", batch: 64, expected: 700_000, encode: (*generator).arrow},
		{name: "arrow-1024", batch: 1024, expected: 1_000_000, encode: (*generator).arrow},
	}
}

func shapeNames() []string {
	all := shapes()
	out := make([]string, len(all))
	for i, s := range all {
		out[i] = s.name
	}
	return out
}

// values returns how many values an event has.
func (o *options) values() int { return o.features + categorical + 2 }

// baseValues is the number of values of the event that expected is about.
const baseValues = baseFeatures + categorical + 2

func modelName(i int) string { return "wire-" + strconv.Itoa(i) }

// generator makes events that differ in every value, from a seed.
type generator struct {
	rng      *rand.Rand
	features int
	models   int
	first    int   // number of the first model
	step     int64 // milliseconds between two events
	n        int   // events made
	buf      []byte
}

func newGenerator(o *options) *generator {
	return &generator{rng: rand.New(rand.NewPCG(13, 17)), features: o.features, models: o.models, first: 0, step: eventStep, n: 0, buf: nil}
}

// ndjson returns n events, a line each; a single one has no newline. The result is the caller's.
func (g *generator) ndjson(n int) []byte {
	b := g.buf[:0]
	for i := range n {
		if i > 0 {
			b = append(b, '\n')
		}
		b = g.appendJSON(b)
	}
	g.buf = b
	return append([]byte(nil), b...)
}

var words = [categorical][]string{
	{"DE", "FR", "US", "GB", "IT", "ES", "PL", "NL"},
	{"web", "app", "branch", "phone"},
	{"mobile", "desktop", "tablet"},
	{"basic", "premium", "free"},
	{"firefox", "chrome", "safari", "edge", "other-browser"},
}

// appendJSON appends the event of research/limits.md: numbers of five significant digits, a UUID, a prediction and a latency.
func (g *generator) appendJSON(b []byte) []byte {
	b = fmt.Appendf(b, `{"model":"%s","version":"2026-11-01","id":"%08x-4b5a-4c6d-8e7f-%012x","ts":%d,"latency_ms":`,
		modelName(g.first+g.n%g.models), g.rng.Uint32(), g.n, beginning+int64(g.n)*g.step)
	b = strconv.AppendFloat(b, 5+20*g.rng.ExpFloat64(), 'g', 5, 64)
	b = append(b, `,"status":"ok","prediction":`...)
	b = strconv.AppendFloat(b, g.rng.Float64(), 'g', 5, 64)
	b = append(b, `,"features":{`...)
	for i := range g.features {
		b = append(b, `"f`...)
		b = strconv.AppendInt(b, int64(i), 10)
		b = append(b, `":`...)
		b = strconv.AppendFloat(b, 100+10*g.rng.NormFloat64(), 'f', 3, 64)
		b = append(b, ',')
	}
	for i, w := range words {
		b = append(b, `"c`...)
		b = strconv.AppendInt(b, int64(i), 10)
		b = append(b, `":"`...)
		b = append(b, w[g.rng.IntN(len(w))]...)
		b = append(b, '"', ',')
	}
	b[len(b)-1] = '}'
	g.n++
	return append(b, '}')
}
