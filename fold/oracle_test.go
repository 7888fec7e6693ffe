package fold_test

import (
	"cmp"
	"maps"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/driftd/driftd/event"
	"github.com/driftd/driftd/fold"
	"github.com/driftd/driftd/reference"
	"github.com/driftd/driftd/result"
	"github.com/driftd/driftd/window"
)

// The oracle counts a made-up stream as the design says it, and nothing else: it keeps every record for ever in one list and
// adds a window up by a loop over all of them. It has no panes, forgets nothing, stores nothing, and shares no code with
// packages window and fold; it only takes their types for what a configuration says.

const (
	unset = int64(math.MinInt64)
	never = int64(math.MaxInt64)
)

// said is what a summary says, without its statistics.
type said struct {
	Key       result.Key
	Window    result.Window
	Revision  int
	Reference string // fingerprint
	Lost      uint64
	Complete  bool
	Counts    result.Counts
	Errors    uint64
	Status    map[string]uint64
	Latency   [2]uint64 // how many were numbers, and how many not
	X         [4]uint64 // by class, of the events that a reference binds
}

// refused is a dead letter.
type refused struct {
	seq    uint64
	index  int
	reason string
}

// item is one thing that was counted: at an event time, for a version or for none, under one regime.
type item struct {
	at      int64
	regime  *regime
	version string   // empty: of no version
	parts   []string // segments
	missed  window.Spec
	gone    bool // no window of its regime takes anything any more
	said
}

// regime is a configuration of a model from one event time on.
type regime struct {
	from   int64
	timing window.Timing
	ref    string
	own    map[string][]string // values that are counted on their own, by dimension
}

func (r *regime) has(s window.Spec) bool { return slices.Contains(r.timing.Windows, s) }

// span is a window of one kind over one reference.
type span struct {
	start, end int64
	spec       window.Spec
	ref        string
}

// chain is the extended windows of one kind over one reference.
type chain struct {
	spec   window.Spec
	ref    string
	looked int64 // ends of panes were looked at until then
	done   int64 // where the last window ended
	begin  int64 // of the window that has not ended
}

// open is what the oracle knows of a window.
type open struct {
	span
	revision int
	quiet    bool               // it has nothing new to say
	late     bool               // it had ended when its first item came
	changed  map[[2]string]bool // versions, and segments of them
}

// due returns the watermark at which a window says something next: the first time at its end, else at the end of its lateness.
func (m *model) due(w *open) int64 {
	switch {
	case w.quiet:
		return never
	case w.late || w.revision > 0:
		return m.closes(w.span)
	}
	return w.end
}

// model is the event time of one model.
type model struct {
	name      string
	newest    int64 // event time that was seen
	watermark int64
	regimes   []*regime
	items     []*item
	waiting   []*item // counted before the model had any event time
	windows   map[span]*open
	chains    []*chain
	fileEnded bool
	config    fold.ModelConfig
}

type oracle struct {
	refs     fold.References
	known    map[string]bool // references
	counting fold.Counting
	bound    map[string]string // activated references by model
	models   map[string]*model
	ids      []remembered
	forgot   bool // ids
	said     []said
	refused  []refused
}

// foretell returns what a schedule must say.
func foretell(s *schedule, refs fold.References, fps []string) *oracle {
	o := &oracle{
		refs: refs, known: map[string]bool{}, counting: s.counting, bound: map[string]string{}, models: map[string]*model{}, ids: nil, forgot: false, said: nil, refused: nil,
	}
	for _, fp := range fps {
		o.known[fp] = true
	}
	next := uint64(1)
	for i := range s.msgs {
		m := &s.msgs[i]
		if m.seq > next {
			o.lose(m.seq - next)
		}
		next = m.seq + 1
		source := ""
		if m.source != "" {
			source = strings.Join([]string{"source", m.source, m.subject, string(m.data)}, "\n")
		}
		switch {
		case m.poison[-1]:
			o.refuse(m, 0, m.model, event.RejectPanic.String())
		case o.knows(source):
			if mo := o.models[m.model]; mo != nil {
				mo.arrived(&item{said: said{Counts: result.Counts{Duplicate: 1}}})
			}
		case m.isControl():
			o.control(m)
		case len(m.data) > o.counting.MaxMessage:
			o.refuse(m, 0, m.model, event.RejectOversize.String())
		default:
			for j := range m.records {
				o.record(m, j, &m.records[j])
				o.speak()
			}
		}
		o.speak()
		o.remember(source, m.time)
	}
	return o
}

func (o *oracle) sorted() []*model {
	var out []*model
	for _, name := range slices.Sorted(maps.Keys(o.models)) {
		out = append(out, o.models[name])
	}
	return out
}

func (o *oracle) lose(n uint64) {
	for _, m := range o.sorted() {
		m.arrived(&item{said: said{Lost: n}})
	}
}

func (o *oracle) refuse(m *simMessage, index int, name, reason string) {
	o.refused = append(o.refused, refused{m.seq, index, reason})
	if m := o.models[name]; m != nil {
		m.arrived(&item{said: said{Counts: result.Counts{Rejected: map[string]uint64{reason: 1}}}})
	}
}

// control applies a control message.
func (o *oracle) control(m *simMessage) {
	c := m.control
	switch {
	case c == nil:
		o.refuse(m, 0, "", event.RejectMalformed.String())
	case c.Kind == event.ControlConfig && m.config == nil, c.Kind == event.ControlActivation && !o.known[c.Reference]:
		o.refuse(m, 0, "", event.RejectControl.String())
	case c.Kind == event.ControlConfig:
		o.configure(*m.config)
	case c.Kind == event.ControlActivation:
		o.bound[c.Model] = c.Reference
		if m := o.models[c.Model]; m != nil {
			m.obey(o.configOf(m.name), o.refs)
		}
	default:
		for _, mo := range o.sorted() {
			if c.Source == "" || c.Source == mo.name {
				mo.watermark = max(mo.watermark, min(c.Watermark, m.time+o.counting.FutureTolerance))
				mo.fileEnded = mo.fileEnded || c.End
				mo.settle()
			}
		}
	}
}

func (o *oracle) configure(next fold.Counting) {
	for name := range o.bound {
		if next.Models[name].Reference != o.counting.Models[name].Reference {
			delete(o.bound, name) // the configuration names another one
		}
	}
	o.counting = next
	o.forget()
	for _, m := range o.sorted() {
		if c := o.configOf(m.name); !reflect.DeepEqual(c, m.config) {
			m.obey(c, o.refs)
		}
	}
}

func (o *oracle) configOf(name string) fold.ModelConfig {
	c, ok := o.counting.Models[name]
	if !ok {
		c = o.counting.Defaults
	}
	if fp, ok := o.bound[name]; ok {
		c.Reference, c.ReferenceName = fp, "r"
	}
	return c
}

// record counts one record.
func (o *oracle) record(m *simMessage, index int, r *simRecord) {
	switch {
	case m.poison[index]:
		o.refuse(m, index, m.model, event.RejectPanic.String())
		return
	case r.broken != "":
		o.refuse(m, index, m.model, r.broken)
		return
	case r.model == "" && m.model == "":
		o.refuse(m, index, "", event.RejectNoModel.String())
		return
	}
	name := cmp.Or(r.model, m.model)
	mo := o.model(name)
	if mo == nil {
		o.refuse(m, index, name, event.RejectUnknownModel.String())
		return
	}
	at, future := m.time, r.hasTime && r.ts > m.time+o.counting.FutureTolerance
	if r.hasTime && !future {
		at = r.ts
	}
	short := false
	if r.id != "" {
		var again bool
		if again, short = o.repeated(name, r, m.time); again {
			mo.arrived(&item{said: said{Counts: result.Counts{Duplicate: 1}}})
			return
		}
	}
	taken, revises, missed := mo.fate(at)
	if !taken {
		mo.arrived(&item{said: said{Counts: result.Counts{Late: 1}}})
		return
	}
	for spec := range missed {
		mo.arrived(&item{missed: spec, said: said{Counts: result.Counts{Late: 1}}})
	}
	if short {
		mo.count(&item{at: at, said: said{Counts: result.Counts{DedupShort: 1}}})
	}
	it := &item{at: at, said: said{Counts: result.Counts{Labels: 1}}}
	if r.isLabel && future {
		it.Counts.Future = 1
	}
	if !r.isLabel {
		it.version, it.said = o.versionOf(mo, r.version), r.say(future, revises)
		it.parts = mo.regimeAt(at).partsOf(r)
	}
	mo.count(it)
	if !future {
		mo.newest = max(mo.newest, at)
		mo.watermark = max(mo.watermark, at-mo.regimeAt(at).timing.WatermarkDelay)
	}
	mo.settle()
}

// say returns what one event adds to the windows that contain it.
func (r *simRecord) say(future, revises bool) said {
	one := func(b bool) uint64 {
		if b {
			return 1
		}
		return 0
	}
	s := said{
		Counts: result.Counts{
			Events: 1, WithoutID: one(r.id == ""), Future: one(future), LateAccepted: one(revises), Unknown: r.unknown, DuplicateKey: r.repeated,
		},
		Errors: one(r.status == "500"), Latency: [2]uint64{one(r.latency == 1), one(r.latency == 2)},
	}
	s.X[r.x] = 1
	if r.status != "" {
		s.Status = map[string]uint64{r.status: 1}
	}
	return s
}

// partsOf returns the segments of an event.
func (r *regime) partsOf(e *simRecord) []string {
	var out []string
	for _, dimension := range slices.Sorted(maps.Keys(r.own)) {
		switch value := map[string]string{"c": e.c, "plan": e.plan}[dimension]; {
		case value == "":
			out = append(out, dimension+"=(missing)")
		case slices.Contains(r.own[dimension], value):
			out = append(out, dimension+"="+value)
		default:
			out = append(out, dimension+"=other")
		}
	}
	return out
}

// valuesOf returns the values of a dimension that are counted on their own.
func valuesOf(c fold.SegmentConfig, ref *reference.Reference) []string {
	if len(c.Values) > 0 || ref == nil || ref.Dimension(c.Dimension) == nil {
		return c.Values
	}
	all := slices.Clone(ref.Dimension(c.Dimension).Segments)
	slices.SortFunc(all, func(a, b reference.Segment) int {
		return cmp.Or(cmp.Compare(b.Rows, a.Rows), cmp.Compare(a.Value, b.Value))
	})
	var out []string
	for _, s := range all[:min(c.Largest, len(all))] {
		out = append(out, s.Value)
	}
	return out
}

// model returns the model of a name, or nil where the configuration does not let it in.
func (o *oracle) model(name string) *model {
	if m := o.models[name]; m != nil {
		return m
	}
	if _, named := o.counting.Models[name]; !named {
		found := 0
		for other := range o.models {
			if _, named := o.counting.Models[other]; !named {
				found++
			}
		}
		if o.counting.UnknownModels == fold.UnknownReject || found >= o.counting.MaxModels {
			return nil
		}
	}
	m := &model{name: name, newest: unset, watermark: unset, windows: map[span]*open{}} //nolint:exhaustruct // nothing was counted
	m.obey(o.configOf(name), o.refs)
	o.models[name] = m
	return m
}

// repeated remembers an identity and says whether it is among the last ones, and whether those are fewer than they should be.
func (o *oracle) repeated(name string, r *simRecord, now int64) (again, short bool) {
	id := "event " + name + " " + r.version + " " + r.id
	if r.isLabel {
		id = "label " + name + " " + r.version + " " + r.id + " " + strconv.Itoa(r.label)
	}
	if o.counting.DedupIDs == 0 {
		return false, false
	}
	short = o.counting.DedupHorizon > 0 && o.forgot && (len(o.ids) == 0 || now/1000-o.ids[0].second < o.counting.DedupHorizon/1000)
	if o.knows(id) {
		return true, short
	}
	o.remember(id, now)
	return false, short
}

func (o *oracle) knows(id string) bool {
	return slices.ContainsFunc(o.ids, func(r remembered) bool { return r.id == id })
}

// remember notes an identity that is not known; an empty one is none.
func (o *oracle) remember(id string, now int64) {
	if id != "" && o.counting.DedupIDs > 0 && !o.knows(id) {
		o.ids = append(o.ids, remembered{id, now / 1000})
		o.forget()
	}
}

// remembered is an identity and when the broker stored its record.
type remembered struct {
	id     string
	second int64
}

// forget keeps as many ids as the configuration says.
func (o *oracle) forget() {
	if n := len(o.ids) - o.counting.DedupIDs; n > 0 {
		o.ids, o.forgot = o.ids[n:], true
	}
}

// versionOf bounds the versions that are counted apart: those of windows that still take something.
func (o *oracle) versionOf(m *model, version string) string {
	switch version {
	case "":
		version = "unknown"
	case result.All:
		version = result.Other
	}
	live := map[string]bool{}
	for _, it := range m.items {
		if it.version != "" && !it.gone {
			live[it.version] = true
		}
	}
	if !live[version] && len(live) >= o.counting.MaxVersions {
		return result.Other
	}
	return version
}
