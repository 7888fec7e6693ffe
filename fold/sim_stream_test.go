package fold_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"

	"github.com/driftd/driftd/event"
	"github.com/driftd/driftd/fold"
	"github.com/driftd/driftd/window"
)

const minute = int64(60_000)

// simRecord is one record of a made-up stream: what was meant by it, beside the text that was sent.
type simRecord struct {
	text     string
	broken   string // why the decoder refuses it; the rest holds for the others
	isLabel  bool
	model    string // in the body
	version  string
	id       string
	ts       int64
	hasTime  bool
	label    int
	latency  int // 0: none, 1: a number, 2: not a number
	status   string
	unknown  uint64 // features that no reference has
	repeated uint64 // keys that come twice
	x        class
	c        string // the category; empty: none
	plan     string // the segment field `plan`; empty: none
}

// class says what an event brings of the numeric feature x.
type class int

const (
	absent class = iota
	number
	infinite
	invalid
)

// simMessage is one message: records, or a control message.
type simMessage struct {
	seq     uint64
	lost    uint64 // messages before it that were lost
	subject string
	model   string // that the subject names
	time    int64
	data    []byte
	source  string // where the broker sourced it from
	records []simRecord
	poison  map[int]bool // records that are quarantined, -1 for the whole message

	control *event.Control // nil where the control message is broken
	config  *fold.Counting // of a configuration; nil where it cannot be applied
}

func (m *simMessage) isControl() bool { return strings.HasPrefix(m.subject, "driftd.control.") }

// schedule is everything that one seed decides.
type schedule struct {
	seed      uint64
	counting  fold.Counting
	msgs      []simMessage
	splitable bool // models share nothing: neither a bound of ids or models, nor a loss
	disturbed chance
}

// number gives the messages their sequences; those between them were lost.
func (s *schedule) number() {
	seq := uint64(0)
	for i := range s.msgs {
		seq += 1 + s.msgs[i].lost
		s.msgs[i].seq = seq
	}
}

// poison returns the records that are quarantined.
func (s *schedule) poison() []*fold.PanicError {
	var out []*fold.PanicError
	for i := range s.msgs {
		for _, index := range slices.Sorted(maps.Keys(s.msgs[i].poison)) {
			out = append(out, &fold.PanicError{Seq: s.msgs[i].seq, Index: index, Value: "made up"})
		}
	}
	return out
}

// stored returns the messages as the stream stores them.
func (s *schedule) stored() []fold.Message {
	out := make([]fold.Message, 0, len(s.msgs))
	for i := range s.msgs {
		m := &s.msgs[i]
		out = append(out, fold.Message{Seq: m.seq, Subject: m.subject, Time: m.time, Data: m.data, Source: m.source})
	}
	return out
}

// maker makes a schedule.
type maker struct {
	*rand.Rand
	schedule
	fps  []string // of references that are stored
	now  int64    // the broker's clock
	lost uint64
	tidy bool // the schedule shall be splitable
	span int64

	origins [2]uint64 // sequences of two streams that the broker sources messages from

	judged bool // there are references: what is judged takes most of the time, and hardly any of the chances
}

// simSchedule makes the schedule of a seed.
func simSchedule(seed uint64, fps []string) *schedule {
	g := &maker{Rand: rand.New(rand.NewPCG(seed, 4)), schedule: schedule{seed: seed}, fps: fps, now: 1_800_000_000_000, lost: 0, tidy: false, span: 0, origins: [2]uint64{}, judged: false}
	g.tidy, g.judged = g.IntN(4) == 0, g.IntN(10) == 0
	g.span = []int64{10, 45, 180, 600}[g.IntN(4)] * minute
	g.splitable = g.tidy
	g.counting = g.configuration()
	for n := 15 + g.IntN(31); n > 0; {
		n -= g.step()
	}
	g.now += 100 * 60 * minute // everything closes
	g.control(&event.Control{Kind: event.ControlMarker, Watermark: g.now})
	g.disturbed = chance{
		rng: nil, commit: 0.3 * g.Float64(), crash: 0.2 * g.Float64(),
		budget: fold.Budget{Messages: 1 + g.IntN(40), Bytes: 1 << (10 + g.IntN(12))}, poison: nil, beside: nil, settle: g.Float64(), some: int(seed % 2 * 32), //nolint:exhaustruct // not alone
	}
	g.number()
	return &g.schedule
}

// configuration makes a counting configuration: any but for what would make a schedule slow.
func (g *maker) configuration() fold.Counting {
	c := smallCounting()
	c.Defaults = g.modelConfig()
	if g.IntN(3) == 0 {
		c.Models = map[string]fold.ModelConfig{"b": g.modelConfig()}
		if !g.tidy && g.IntN(3) == 0 {
			c.UnknownModels = fold.UnknownReject
			c.Models["a"] = g.modelConfig()
		}
	}
	c.MaxVersions = 1 + g.IntN(3)
	c.FutureTolerance = g.Int64N(3) * 5 * minute
	if g.IntN(4) == 0 {
		c.MaxMessage = 1500
	}
	if !g.tidy {
		if c.DedupIDs = g.IntN(20); c.DedupIDs > 0 && g.IntN(2) == 0 {
			c.DedupHorizon = g.Int64N(60 * minute)
		}
		c.MaxModels = 1 + g.IntN(3)
	}
	return c
}

func (g *maker) modelConfig() fold.ModelConfig {
	c := smallCounting().Defaults
	if i := g.IntN(3); g.judged && i < len(g.fps) {
		c.Reference, c.ReferenceName = g.fps[i], "r"
	}
	if !g.judged && g.IntN(2) == 0 {
		c.Rules = nil // they take much of the time
	}
	if g.IntN(3) == 0 {
		c.Segments = g.dimensions()
	}
	t := &c.Timing
	t.Pane = []int64{5, 15}[g.IntN(2)] * minute
	t.Lateness = []int64{0, 7, 30, 60}[g.IntN(4)] * minute
	t.WatermarkDelay = g.Int64N(2) * minute
	t.Windows = nil
	for _, w := range []struct {
		odds int
		window.Spec
	}{
		{2, window.Spec{Size: 60 * minute, Every: 60 * minute}},
		{3, window.Spec{Size: 30 * minute, Every: 15 * minute}},
		{6, window.Spec{Size: 75 * minute, Every: 30 * minute}}, // not whole in one another
		{6, window.Spec{Size: 120 * minute, Every: 120 * minute}},
		{8, window.Spec{Size: 360 * minute, Every: 120 * minute}},
		{8, window.Spec{Size: 24 * 60 * minute, Every: 12 * 60 * minute}},
		{8, window.Spec{Size: 48 * 60 * minute, Every: 24 * 60 * minute}},
		{4, window.Spec{Size: 45 * minute, Every: 45 * minute, MinEvents: 1 + g.Uint64N(8), ExtendTo: (1 + g.Int64N(12)) * 60 * minute}},
		{12, window.Spec{Size: 15 * minute, Every: 15 * minute, MinEvents: 3, ExtendTo: 90 * minute}},
	} {
		if g.IntN(w.odds) == 0 {
			t.Windows = append(t.Windows, w.Spec)
		}
	}
	if len(t.Windows) == 0 {
		t.Windows = []window.Spec{{Size: 60 * minute, Every: 60 * minute}}
	}
	return c
}

// dimensions makes dimensions of a feature, of a field that says so, and of one that nothing has.
func (g *maker) dimensions() []fold.SegmentConfig {
	var out []fold.SegmentConfig
	for _, d := range []fold.SegmentConfig{
		{Dimension: "c", Values: nil, Largest: 1 + g.IntN(3)},
		{Dimension: "nothing", Values: []string{"k1"}, Largest: 0},
		{Dimension: "plan", Values: []string{"free", "other"}, Largest: 0},
	} {
		if g.IntN(2) == 0 {
			out = append(out, d)
		}
	}
	if len(out) > 0 && out[0].Dimension == "c" && g.IntN(2) == 0 {
		out[0].Values = []string{"k0", "k3"}
	}
	return out
}

// step adds a message, or loses some, and returns how many records those were.
func (g *maker) step() int {
	if g.now += g.Int64N(20_000); g.IntN(6) == 0 {
		g.now += g.Int64N(g.span)
	}
	switch g.IntN(42) {
	case 0, 1:
		m := event.Control{Kind: event.ControlMarker, Watermark: g.now - g.Int64N(2*g.span), End: g.IntN(2) == 0}
		if g.IntN(2) == 0 {
			m.Source = g.model()
		}
		if g.IntN(5) == 0 {
			m.Watermark = g.now + g.Int64N(g.span)
		}
		g.control(&m)
	case 2:
		c := event.Control{Kind: event.ControlActivation, Model: g.model(), Name: "r", Reference: "sha256:" + strings.Repeat("0", 64)}
		if i := g.IntN(4); i < len(g.fps) {
			c.Reference = g.fps[i]
		}
		g.control(&c)
	case 3:
		next := g.configuration()
		if g.IntN(2) == 0 { // only a little changes
			next.Defaults, next.Models = g.counting.Defaults, g.counting.Models
			next.Defaults.Timing.Lateness = g.Int64N(3) * 15 * minute
		}
		valid := g.IntN(6) > 0
		if !valid {
			next.Defaults.Timing.Lateness = -1
		}
		data, err := json.Marshal(next)
		if err != nil {
			panic(err)
		}
		g.control(&event.Control{Kind: event.ControlConfig, ConfigHash: next.Hash(), Models: data})
		if valid {
			g.msgs[len(g.msgs)-1].config = &next
		}
	case 4:
		g.add(simMessage{subject: "driftd.control.0", data: []byte(`{"schema":1,"nobody":"knows"}`)})
	case 5:
		if g.tidy {
			return 1
		}
		g.lost += 1 + g.Uint64N(3)
	case 40: // the broker sources one again
		for i := range g.msgs {
			if m := g.msgs[len(g.msgs)-1-i]; m.source != "" && g.IntN(3) > 0 {
				m.poison = nil
				g.store(m)
				return len(m.records)
			}
		}
	case 41: // an origin is made again
		g.origins[g.IntN(2)] = 0
	case 6: // a stream of the user's own: the subject names no model
		r := g.record(g.model())
		g.add(simMessage{subject: "own.topic", records: []simRecord{r}, data: []byte(r.text)})
	default:
		model := g.model()
		m := simMessage{subject: "ml.events." + model, model: model}
		var text []string
		for range 1 + g.IntN(3) {
			r := g.record(model)
			m.records, text = append(m.records, r), append(text, r.text)
		}
		if g.IntN(30) == 0 {
			text = append(text, strings.Repeat(" ", 2000)) // maybe too large a message
		}
		m.data = []byte(strings.Join(text, "\n"))
		if g.IntN(30) == 0 {
			m.poison = map[int]bool{g.IntN(len(m.records)+1) - 1: true}
		}
		g.add(m)
		return len(m.records)
	}
	return 1
}

func (g *maker) control(c *event.Control) {
	g.add(simMessage{subject: "driftd.control.0", control: c, data: c.Encode()})
}

func (g *maker) add(m simMessage) {
	if g.IntN(3) == 0 {
		i := g.IntN(2)
		g.origins[i] += 1 + g.Uint64N(2) // a filter leaves some out
		m.source = fmt.Sprintf("ORIGIN%d %d > > %s", i, g.origins[i], m.subject)
		if i == 1 {
			m.source += " AB12" // a server that knows the identity of a stream
		}
	}
	g.store(m)
}

func (g *maker) store(m simMessage) {
	m.lost, m.time, g.lost = g.lost, g.now, 0
	g.msgs = append(g.msgs, m)
}

func (g *maker) model() string { return []string{"a", "a", "a", "b", "b", "c"}[g.IntN(6)] }

// record makes a record of a model: mostly one that counts.
func (g *maker) record(model string) simRecord {
	if g.IntN(25) == 0 {
		return g.broken(model)
	}
	r := simRecord{version: []string{"v1", "v1", "v1", "v2", "v2", "v3", "*", ""}[g.IntN(8)]}
	switch r.hasTime = true; g.IntN(20) {
	case 0:
		r.ts = g.now + g.Int64N(g.span) // from the future, perhaps too far
	case 1, 2, 3:
		r.ts = g.now - g.Int64N(4*g.span) // late, perhaps too late
	case 4:
		r.hasTime = false
	default:
		r.ts = g.now - g.Int64N(2*minute)
	}
	if g.IntN(10) > 0 {
		r.model = model
	}
	if g.IntN(8) > 0 {
		r.id = strconv.Itoa(g.IntN(60))
	}
	if r.isLabel = r.id != "" && g.IntN(5) == 0; r.isLabel {
		r.label = g.IntN(2)
	}
	r.latency, r.status = g.IntN(3), []string{"", "ok", "200", "500"}[g.IntN(4)]
	r.x = class(g.IntN(4))
	r.c, r.plan = []string{"k0", "k1", "k2", "k3", ""}[g.IntN(5)], []string{"free", "paid", "", ""}[g.IntN(4)]
	if g.IntN(10) == 0 {
		r.unknown = 1
	}
	if g.IntN(10) == 0 {
		r.repeated = 1
	}
	r.text = r.encode(g.Rand)
	return r
}

// broken makes a record that nobody can count, whatever the configuration.
func (g *maker) broken(model string) simRecord {
	all := []simRecord{
		{text: "not json", broken: "malformed"},
		{text: `{"ts":NaN}`, broken: "bare_nan"},
		{text: fmt.Sprintf(`{"model":%q,"ts":"yesterday"}`, model), broken: "bad_time"},
		{text: fmt.Sprintf(`{"model":%q,"label":1}`, model), broken: "label_without_id"},
		{text: `{"model":"not a name"}`, broken: "model_name"},
	}
	return all[g.IntN(len(all))]
}

// encode writes the record as a producer would.
func (r *simRecord) encode(rng *rand.Rand) string {
	var b strings.Builder
	b.WriteString("{")
	field := func(format string, args ...any) {
		if b.Len() > 1 {
			b.WriteString(",")
		}
		fmt.Fprintf(&b, format, args...)
	}
	if r.model != "" {
		field(`"model":%q`, r.model)
	}
	if r.version != "" {
		field(`"version":%q`, r.version)
	}
	if r.id != "" {
		field(`"id":%q`, r.id)
	}
	if r.hasTime {
		field(`"ts":%d`, r.ts)
	}
	if r.isLabel {
		field(`"label":%d`, r.label)
		return b.String() + "}"
	}
	switch r.latency {
	case 1:
		field(`"latency_ms":%.2f`, rng.ExpFloat64()*10)
	case 2:
		field(`"latency_ms":-1`)
	}
	if r.repeated > 0 {
		field(`"status":"never"`)
		if r.status == "" {
			r.status = "ok"
		}
	}
	if r.status != "" {
		field(`"status":%q`, r.status)
	}
	x := []string{"", fmt.Sprintf(`"x":%.3f,`, rng.NormFloat64()), `"x":"-Infinity",`, `"x":"?",`}[r.x]
	more := ""
	if r.unknown > 0 {
		more = `,"nobody":1`
	}
	c := "null"
	if r.c != "" {
		c = strconv.Quote(r.c)
	}
	field(`"prediction":%.3f,"features":{%s"c":%s%s}`, rng.Float64(), x, c, more)
	if r.plan != "" {
		field(`"segment":{"plan":%q}`, r.plan)
	}
	return b.String() + "}"
}
