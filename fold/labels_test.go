package fold_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/dchest/siphash"
	"github.com/google/go-cmp/cmp"

	"github.com/driftd/driftd/alerting"
	"github.com/driftd/driftd/event"
	"github.com/driftd/driftd/fold"
	"github.com/driftd/driftd/labels"
	"github.com/driftd/driftd/result"
	"github.com/driftd/driftd/window"
)

// cache is a store of pending groups that survives a crash, or does not.
type cache struct {
	groups *labels.Memory
	tag    []byte
}

func emptyCache() *cache { return &cache{groups: labels.NewMemory(), tag: nil} }

func (c *cache) store(p *fold.Partition) {
	tag := p.PendingTag()
	c.groups.Apply(p.TakePending())
	c.tag = tag
	p.PendingStored()
}

// labelChance says how a run with labels is disturbed, beside its commits and crashes: how often a process dies between a commit and
// the cache, and how often it finds its cache gone.
type labelChance struct {
	chance

	behind, lost float64
}

func calmly() labelChance { return labelChance{chance: undisturbed(), behind: 0, lost: 0} }

// labelFigures says what a run came across.
type labelFigures struct{ crashes, rebuilt, reread, verdicts, pairs int }

// playLabels is play with a cache. seen is called after each message with what the fold said since, and its partition.
func playLabels(t *testing.T, counting fold.Counting, refs fold.References, msgs []fold.Message, c labelChance, seen func(m fold.Message, docs []result.Doc)) (*journal, labelFigures) {
	t.Helper()
	j := &journal{head: nil, shards: map[string][]byte{}, outcome: outcome{docs: nil, dead: nil}, largest: 0, commits: 0, crashes: 0, flight: nil}
	var f labelFigures
	disk := emptyCache()
	var p *fold.Partition
	var out fold.Output
	open := func() {
		t.Helper()
		p, out = fold.New("IN", counting, [2]uint64{1, 2}, refs, c.budget), fold.Output{} //nolint:exhaustruct // what was not committed is lost
		if j.head != nil {
			var err error
			if p, err = fold.Restore("IN", j.head, j.shards, refs, c.budget); err != nil {
				t.Fatal(err)
			}
		}
		if c.rng.Float64() < c.lost {
			disk = emptyCache()
			f.rebuilt++
		}
		if j.head == nil {
			disk = emptyCache()
		}
		again, clean := p.Relive(disk.tag)
		if clean {
			disk = emptyCache()
		}
		p.UsePending(disk.groups)
		if from, ok := again.From(); ok {
			for i := range msgs {
				if msgs[i].Seq >= from && msgs[i].Seq <= again.To() {
					f.reread++
					if err := again.Apply(msgs[i]); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
		again.Finish()
		if j.head != nil {
			disk.store(p)
		}
	}
	commit := func() {
		j.commit(p, &out)
		if c.rng.Float64() < c.behind {
			f.crashes++
			open()
			return
		}
		disk.store(p)
	}
	open()
	for {
		next := p.Position().Next()
		i := slices.IndexFunc(msgs, func(m fold.Message) bool { return m.Seq == next })
		if i < 0 {
			break
		}
		before := len(out.Docs)
		done, err := p.Apply(msgs[i], &out)
		if err != nil {
			t.Fatalf("message %d: %v", msgs[i].Seq, err)
		}
		if seen != nil {
			seen(msgs[i], out.Docs[before:])
		}
		if !done || c.rng.Float64() < c.commit {
			commit()
			if !done && p.Stuck(&out) {
				t.Fatalf("stuck at %+v", p.Position())
			}
		} else if c.rng.Float64() < c.crash {
			f.crashes++
			open()
		}
	}
	commit()
	return j, f
}

// labelled is a configuration with labels of a binary task.
func labelled() fold.Counting {
	c := smallCounting()
	c.Defaults.Rules = nil
	c.Defaults.Timing.Lateness = 20 * minute
	c.Defaults.Timing.Windows = []window.Spec{{Size: 60 * minute, Every: 60 * minute}, {Size: 30 * minute, Every: 15 * minute}}
	c.Defaults.Labels = &fold.Labels{
		Join: labels.Config{Mode: labels.ModeFull, Rate: labels.Million, Horizon: 240 * minute, MaxPending: 1000, Maturities: []int64{45 * minute, 180 * minute}},
		Task: "binary", Threshold: 0.5, Segments: true, Fairness: &fold.Fairness{Dimensions: []string{"f", "s"}, NMin: 5, Level: 0.9},
	}
	c.Defaults.Segments = []fold.SegmentConfig{{Dimension: "f", Values: []string{"1"}}, {Dimension: "s", Values: []string{"a", "b"}}}
	return c
}

// qualityRules are rules about quality that few labels are enough for.
func qualityRules() []alerting.Rule {
	accurate, each, labelled := alerting.Template("accurate", alerting.KindQuality), alerting.Template("each", alerting.KindQuality), alerting.Template("labelled", alerting.KindLabelCoverage)
	accurate.Metric, accurate.Threshold, accurate.MinLabels, accurate.Hits, accurate.Of, accurate.Quiet = "accuracy", 0.99, 2, 1, 2, 1
	each.Metric, each.Threshold, each.MinLabels, each.Scope = "accuracy", 0.95, 2, alerting.ScopeEach
	labelled.Threshold, labelled.MinLabels = 0.9, 2
	accurate.Inhibits = []string{"labelled"}
	worse := alerting.Template("worse", alerting.KindQuality)
	worse.Relative, worse.Metric, worse.Threshold, worse.MinLabels, worse.Hits, worse.Of = true, "accuracy", 0.01, 2, 1, 2
	return []alerting.Rule{accurate, each, labelled, worse}
}

// saidQuality is what a quality document says without statistics.
type saidQuality struct {
	Key                                                    result.Key
	Window                                                 result.Window
	Maturity                                               int64
	Predictions, Labels, Corrected, Unmatched, Unrightable uint64
	Matrix                                                 [2][2]uint64
}

// labelOracle joins by plain loops over all that came, as the documentation says it.
type labelOracle struct {
	mode                   string
	horizon, reach, future int64
	watermark              int64
	ids                    map[string]*oracleID
	predictions            []*oraclePrediction
	orphans                []*oracleID
	repeated               map[string]bool
	unmatched              []int64 // where labels are that say not what they are about
}

type oracleID struct {
	began       int64
	label       *int
	labelAt     int64
	predictions []*oraclePrediction
}

type oraclePrediction struct {
	at        int64
	version   string
	segments  []string
	class     int
	uncounted bool // a label's, which is no prediction of the stream
	label     *int
	corrected uint64
}

func (o *labelOracle) group(id string, at int64) *oracleID {
	g := o.ids[id]
	if g == nil || g.began+o.horizon <= o.watermark {
		g = &oracleID{began: at, label: nil, labelAt: 0, predictions: nil}
		o.ids[id] = g
	}
	return g
}

// quarter is the length of what counts are kept by: the longest that divides the windows.
const quarter = 15 * minute

// looks reports whether an id is looked at: in a sample by SipHash-2-4 with a key of zeros, as docs/configuration.md says.
func (o *labelOracle) looks(id string) bool {
	return o.mode != labels.ModeSample || id != "" && siphash.Hash(0, 0, []byte(id))%1_000_000 < 500_000
}

func (o *labelOracle) predict(id string, p *oraclePrediction) {
	if !o.looks(id) {
		return
	}
	if version, at := p.version, p.at; id != "" && o.mode != labels.ModeSelf {
		g := o.group(id, at)
		for _, other := range g.predictions {
			if other.version == version {
				return
			}
		}
		g.predictions = append(g.predictions, p)
		p.label = g.label
	}
	o.predictions = append(o.predictions, p)
}

// say is told of a label, and of the prediction that it carries, if it does.
func (o *labelOracle) say(id string, at int64, label int, own *oraclePrediction) {
	switch {
	case !o.looks(id):
		return
	case own != nil && (o.mode == labels.ModeSelf || id == ""):
		if own.at-mod(own.at, quarter)+o.reach >= o.watermark {
			own.label, own.uncounted = &label, o.mode == labels.ModeSelf
			o.predictions = append(o.predictions, own)
		}
		return
	case o.mode == labels.ModeSelf:
		o.unmatched = append(o.unmatched, at)
		return
	}
	g := o.group(id, at)
	if own != nil && len(g.predictions) == 0 {
		g.predictions, o.predictions = append(g.predictions, own), append(o.predictions, own)
	}
	if g.label == nil {
		g.labelAt = at
		if len(g.predictions) == 0 {
			o.orphans = append(o.orphans, g)
		}
	}
	for _, p := range g.predictions {
		switch late := o.watermark > p.at-mod(p.at, quarter)+o.reach; {
		case late || p.label != nil && *p.label == label:
		case p.label != nil:
			p.corrected++
			p.label = &label
		default:
			p.label = &label
		}
	}
	g.label = &label
}

func mod(a, b int64) int64 { return (a%b + b) % b }

// tell returns what is known of a window.
func (o *labelOracle) tell(like *saidQuality) saidQuality {
	out := saidQuality{Key: like.Key, Window: like.Window, Maturity: like.Maturity} //nolint:exhaustruct // counted below
	in := func(at int64) bool { return at >= like.Window.Start && at < like.Window.End }
	for _, p := range o.predictions {
		if !in(p.at) || like.Key.Version != result.All && like.Key.Version != p.version || !slices.Contains(p.segments, like.Key.Segment) {
			continue
		}
		if !p.uncounted {
			out.Predictions++
		}
		out.Corrected += p.corrected
		if p.label != nil {
			out.Labels++
			out.Matrix[*p.label][p.class]++
		}
	}
	if like.Key.Version != result.All || like.Key.Segment != result.All {
		return out
	}
	for _, g := range o.orphans {
		if in(g.labelAt) && len(g.predictions) == 0 {
			out.Unmatched++
		}
	}
	for _, at := range o.unmatched {
		if in(at) {
			out.Unmatched++
		}
	}
	return out
}

// keys returns what documents must be of at a maturity of a window, in their order.
func (o *labelOracle) keys(w result.Window) []result.Key {
	in := map[result.Key]bool{{Model: "m", Version: result.All, Segment: result.All}: true}
	for _, p := range o.predictions {
		if p.at < w.Start || p.at >= w.End {
			continue
		}
		for _, segment := range p.segments {
			in[result.Key{Model: "m", Version: result.All, Segment: segment}], in[result.Key{Model: "m", Version: p.version, Segment: segment}] = true, true
		}
	}
	return slices.SortedFunc(maps.Keys(in), func(a, b result.Key) int { // `*` comes before every name
		return strings.Compare(a.Segment+"\x00"+a.Version, b.Segment+"\x00"+b.Version)
	})
}

func readQuality(t *testing.T, d result.Doc) (q result.Quality, ok bool) {
	t.Helper()
	if !bytes.HasPrefix(d.Data, []byte(`{"schema":1,"type":"quality"`)) {
		return q, false
	}
	if err := json.Unmarshal(d.Data, &q); err != nil {
		t.Fatal(err)
	}
	if d.ID != q.ResultID {
		t.Errorf("message id %s of result %s", d.ID, q.ResultID)
	}
	return q, true
}

// labelStream makes a hostile stream of one model: predictions of two versions, labels that come before them, twice, again and otherwise,
// or never, or with a prediction of their own; segments of few values, of many, of none; ids that come back; late and future records; and
// markers that jump.
func labelStream(rng *rand.Rand, n int) []fold.Message {
	var out []fold.Message
	now := midnight
	add := func(subject, text string) {
		out = append(out, fold.Message{Seq: uint64(len(out) + 1), Subject: subject, Time: now, Data: []byte(text), Retry: ""})
	}
	for len(out) < n {
		now += rng.Int64N(2 * minute)
		if rng.IntN(60) == 0 {
			now += rng.Int64N(90 * minute)
		}
		id := strconv.Itoa(rng.IntN(n / 6))
		at := now - rng.Int64N(3*minute)
		switch rng.IntN(20) {
		case 0:
			at = now - rng.Int64N(40*minute)
		case 1:
			at = now + 10*minute // from the future: counted at the broker's time
		}
		parts := ""
		switch rng.IntN(4) {
		case 0:
			parts = fmt.Sprintf(`,"segment":{"s":%q},"features":{"f":%d.0}`, string(rune('a'+rng.IntN(20))), rng.IntN(3))
		case 1:
			parts = fmt.Sprintf(`,"segment":{"s":%q,"f":null},"features":{"f":1}`, string(rune('a'+rng.IntN(2))))
		case 2:
			parts = `,"features":{"f":"1","s":"a"}`
		}
		switch rng.IntN(9) {
		case 0, 1, 2, 3:
			own := ""
			if rng.IntN(5) == 0 {
				own = fmt.Sprintf(`,"version":"v%d","prediction":%.2f,"prediction_ts":%d%s`, rng.IntN(2), rng.Float64(), at-rng.Int64N(60*minute), parts)
				if rng.IntN(3) == 0 {
					id = ""
				}
			}
			add("ml.labels.m", fmt.Sprintf(`{"id":%q,"ts":%d,"label":%d%s}`, id, at, rng.IntN(2), own))
		case 4:
			if rng.IntN(10) == 0 {
				add("driftd.control.0", string((&event.Control{Kind: event.ControlMarker, Watermark: now}).Encode())) //nolint:exhaustruct // a marker
				continue
			}
			fallthrough
		default:
			if rng.IntN(10) == 0 {
				id = ""
			}
			add("ml.events.m", fmt.Sprintf(`{"id":%q,"version":"v%d","ts":%d,"prediction":%.2f%s}`, id, rng.IntN(2), at, rng.Float64(), parts))
		}
	}
	now += 24 * 60 * minute
	add("driftd.control.0", string((&event.Control{Kind: event.ControlMarker, Watermark: now}).Encode())) //nolint:exhaustruct // a marker
	return out
}

// follow lets the oracle see a message before the documents that it set off.
func (o *labelOracle) follow(t *testing.T, m fold.Message, lateness int64) {
	t.Helper()
	if strings.HasPrefix(m.Subject, "driftd.control.") {
		c, rejected := event.DecodeControl(m.Data)
		if rejected != nil {
			t.Fatal(rejected)
		}
		o.watermark = max(o.watermark, c.Watermark)
		return
	}
	var r struct {
		ID, Version       string
		TS                int64
		PredictionTS      int64 `json:"prediction_ts"`
		Prediction        *float64
		Label             *int
		Segment, Features map[string]any
	}
	if err := json.Unmarshal(m.Data, &r); err != nil {
		t.Fatal(err)
	}
	at, future := r.TS, r.TS > m.Time+o.future
	if future {
		at = m.Time
	}
	identity := fmt.Sprint(r.ID, " ", r.Version, " ", r.Label == nil)
	if r.Label != nil {
		identity += fmt.Sprint(" ", *r.Label)
		if r.Prediction != nil {
			identity += fmt.Sprint(" ", *r.Prediction)
		}
	}
	if r.ID != "" {
		if o.repeated[identity] {
			return
		}
		o.repeated[identity] = true
	}
	var p *oraclePrediction
	if r.Prediction != nil {
		p = &oraclePrediction{at: at, version: r.Version, segments: []string{result.All}, class: 0, uncounted: false, label: nil, corrected: 0}
		if *r.Prediction >= 0.5 {
			p.class = 1
		}
		f, s := oracleSegment(r.Segment, r.Features, "f", "1"), oracleSegment(r.Segment, r.Features, "s", "a", "b")
		if r.Label == nil || f != "f=(missing)" || s != "s=(missing)" {
			p.segments = append(p.segments, f, s)
		}
	}
	if r.Label != nil {
		if p != nil {
			p.at = min(r.PredictionTS, at)
		}
		o.say(r.ID, at, *r.Label, p)
	}
	pane := at - mod(at, 5*minute)
	if end := max(pane-mod(pane, 60*minute)+60*minute, pane+30*minute-mod(pane+30*minute, quarter)); o.watermark >= end+lateness {
		return // no window takes it
	}
	if r.Label == nil {
		o.predict(r.ID, p)
	}
	if !future {
		o.watermark = max(o.watermark, at)
	}
}

func oracleSegment(segment, features map[string]any, name string, own ...string) string {
	v, ok := segment[name]
	if !ok {
		v = features[name]
	}
	if v == nil {
		return name + "=(missing)"
	}
	if text := fmt.Sprint(v); slices.Contains(own, text) {
		return name + "=" + text
	}
	return name + "=other"
}

// Labels join their predictions as plain loops join them, whatever the order in which they come, in all modes and in every segment.
func TestLabelsAgainstOracle(t *testing.T) {
	counting := labelled()
	c := counting.Defaults.Labels.Join
	schedules, most := 12, 600
	if testing.Short() {
		schedules = 6
	}
	var corrected, unmatched, matched, docs, inParts uint64
	for seed := range uint64(schedules) {
		rng := rand.New(rand.NewPCG(seed, 8))
		counting.Defaults.Timing.WatermarkDelay = 0
		join := &counting.Defaults.Labels.Join
		join.Mode, join.Rate = []string{labels.ModeFull, labels.ModeFull, labels.ModeSample, labels.ModeSelf}[seed%4], labels.Million
		if join.Mode == labels.ModeSample {
			join.Rate = 500_000
		}
		o := &labelOracle{
			mode: join.Mode, unmatched: nil,
			horizon: c.Horizon, reach: 60*minute + c.Maturities[1], future: counting.FutureTolerance, watermark: math.MinInt64 / 2,
			ids: map[string]*oracleID{}, predictions: nil, orphans: nil, repeated: map[string]bool{},
		}
		msgs := labelStream(rng, most)
		ripe := map[result.Window][]int64{} // maturities that were said
		j, _ := playLabels(t, counting, nil, msgs, calmly(), func(m fold.Message, said []result.Doc) {
			o.follow(t, m, counting.Defaults.Timing.Lateness)
			type moment struct {
				window   result.Window
				maturity int64
			}
			keys := map[moment][]result.Key{}
			for _, d := range said {
				q, ok := readQuality(t, d)
				if !ok {
					continue
				}
				got := saidQuality{
					Key: q.Key, Window: q.Window, Maturity: q.Maturity, Predictions: q.Predictions, Labels: q.Labels, Corrected: q.Corrected,
					Unmatched: q.Unmatched, Unrightable: uint64(len(q.Unusable) + len(q.Flawed)), Matrix: [2][2]uint64{},
				}
				for i := range q.Confusion.Matrix {
					copy(got.Matrix[i][:], q.Confusion.Matrix[i])
				}
				if diff := cmp.Diff(o.tell(&got), got); diff != "" {
					t.Fatalf("seed %d, message %d: %+v of %+v (-oracle +said):\n%s", seed, m.Seq, q.Key, q.Window, diff)
				}
				at := moment{q.Window, q.Maturity}
				keys[at] = append(keys[at], q.Key)
				docs++
				corrected, unmatched, matched = corrected+q.Corrected, unmatched+q.Unmatched, matched+q.Labels
				if inParts += min(1, uint64(len(q.Key.Segment)-1)); q.Key.Version == result.All && q.Key.Segment == result.All {
					ripe[q.Window] = append(ripe[q.Window], q.Maturity)
				}
			}
			for at, got := range keys {
				if diff := cmp.Diff(o.keys(at.window), got); diff != "" {
					t.Fatalf("seed %d, message %d: documents of %+v (-oracle +said):\n%s", seed, m.Seq, at, diff)
				}
			}
		})
		for _, d := range j.docs {
			one, err := readSaid(d.Data)
			if err != nil || one.Key.Version != result.All || one.Key.Segment != result.All || one.Revision > 0 || !bytes.Contains(d.Data[:40], []byte("summary")) {
				continue
			}
			if diff := cmp.Diff(append([]int64{0}, c.Maturities...), ripe[one.Window]); diff != "" {
				t.Errorf("seed %d: maturities of %+v (-want +said):\n%s", seed, one.Window, diff)
			}
		}
	}
	t.Logf("%d documents, %d of segments: %d labels, %d corrected, %d unmatched", docs, inParts, matched, corrected, unmatched)
	if corrected == 0 || unmatched == 0 || matched == 0 || inParts == 0 {
		t.Error("the streams do not try what they should")
	}
}

// Whenever the process dies, and whatever is left of its cache, the documents are byte for byte those of an undisturbed reading.
func TestLabelsUnderCrashes(t *testing.T) {
	schedules := 15
	if testing.Short() {
		schedules = 3
	}
	var sum labelFigures
	told := map[string]int{}
	measured := measuredReference(t)
	for seed := range uint64(schedules) {
		rng := rand.New(rand.NewPCG(seed, 9))
		counting := labelled()
		counting.Defaults.Rules = qualityRules()
		join := &counting.Defaults.Labels.Join
		switch rng.IntN(4) {
		case 0:
			join.Mode, join.Rate = labels.ModeSample, 500_000
		case 1:
			join.Horizon, join.Maturities = 30*minute, []int64{20 * minute} // ids come back behind it
		}
		var refs fold.References
		if seed%2 == 1 {
			counting.Defaults.Reference, refs = measured.Fingerprint(), find(measured)
		}
		counting.MaxVersions = 1 + rng.IntN(2)
		counting.DedupIDs = rng.IntN(300)
		counting.Defaults.Compare = comparisons()
		msgs := labelStream(rng, 700)
		if rng.IntN(2) == 0 { // another configuration on the way
			next := counting
			l := *counting.Defaults.Labels
			l.Join.Maturities = []int64{15 * minute, 25 * minute}
			next.Defaults.Labels = &l
			next.Defaults.Compare = next.Defaults.Compare[rng.IntN(2):]
			if rng.IntN(3) == 0 {
				next.Defaults.Labels, next.Defaults.Compare = nil, nil
			}
			data, err := json.Marshal(next)
			if err != nil {
				t.Fatal(err)
			}
			m := &msgs[200+rng.IntN(300)]
			m.Subject = "driftd.control.0"
			m.Data = (&event.Control{Kind: event.ControlConfig, ConfigHash: next.Hash(), Models: data}).Encode() //nolint:exhaustruct // a configuration
		}
		want, _ := playLabels(t, counting, refs, msgs, calmly(), nil)
		got, f := playLabels(t, counting, refs, msgs, labelChance{
			chance: chance{rng: rng, commit: 0.2 * rng.Float64(), crash: 0.05 * rng.Float64(), budget: fold.Budget{Messages: 12 + rng.IntN(30), Bytes: 1 << 20}, poison: nil},
			behind: 0.3 * rng.Float64(), lost: 0.5 * rng.Float64(),
		}, nil)
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) { equal(t, want, got) })
		_, changes := documents(t, want)
		for _, c := range changes {
			told[c.Rule+" "+string(c.To)]++
		}
		sum.verdicts, sum.pairs = sum.verdicts+len(verdicts(t, want.docs)), sum.pairs+pairsIn(t, want.docs)
		sum.crashes, sum.rebuilt, sum.reread = sum.crashes+f.crashes, sum.rebuilt+f.rebuilt, sum.reread+f.reread
	}
	if t.Logf("%+v, %v", sum, told); sum.crashes == 0 || sum.rebuilt == 0 || sum.reread == 0 || sum.verdicts == 0 || sum.pairs == 0 || told["accurate firing"] == 0 || told["accurate resolved"] == 0 ||
		told["labelled firing"] == 0 || told["worse firing"] == 0 || told["each pending"] == 0 {
		t.Error("the schedules do not try what they should")
	}
}

// Beyond the bound the ids that came first go first, in the order of the stream: results say so, and say the same after any crash.
func TestLabelsBound(t *testing.T) {
	counting := labelled()
	counting.Defaults.Labels.Join.MaxPending = labels.MinPending
	const n = 2500
	var msgs []fold.Message
	add := func(subject, format string, args ...any) {
		msgs = append(msgs, fold.Message{Seq: uint64(len(msgs) + 1), Subject: subject, Time: midnight + int64(len(msgs)), Data: fmt.Appendf(nil, format, args...), Retry: ""})
	}
	for i := range n {
		add("ml.events.m", `{"id":"%d","ts":%d,"prediction":0.7}`, i, midnight+int64(i))
	}
	for i := range n {
		add("ml.labels.m", `{"id":"%d","ts":%d,"label":1}`, i, midnight+minute)
	}
	end := event.Control{Kind: event.ControlMarker, Watermark: midnight + 5*60*minute} //nolint:exhaustruct // a marker
	msgs = append(msgs, fold.Message{Seq: uint64(len(msgs) + 1), Subject: "driftd.control.0", Time: end.Watermark, Data: end.Encode(), Retry: ""})
	want, _ := playLabels(t, counting, nil, msgs, calmly(), nil)
	rng := rand.New(rand.NewPCG(3, 3))
	got, _ := playLabels(t, counting, nil, msgs, labelChance{
		chance: chance{rng: rng, commit: 0.01, crash: 0.005, budget: unlimited(), poison: nil}, behind: 0.3, lost: 0.5,
	}, nil)
	equal(t, want, got)
	var last result.Quality
	for _, d := range want.docs {
		if q, ok := readQuality(t, d); ok && q.Key.Version == result.All && q.Key.Segment == result.All && q.Window.Size == 60*minute && q.Window.Start == midnight {
			last = q
		}
	}
	// While labels come, each one whose prediction is gone begins a group of its own, which pushes out predictions that have had no turn:
	// none of the labels but those that come at once meets its prediction.
	if last.Predictions != n || last.Labels+last.Unmatched != n || last.Labels > labels.MinPending || !strings.Contains(fmt.Sprint(last.Reasons), "labels_short") {
		t.Errorf("%d predictions, %d labels, %d unmatched, %q", last.Predictions, last.Labels, last.Unmatched, last.Reasons)
	}
}

// A cache that is lost when the stream holds no more what it was made of: what came since is counted, and results say what may be missing.
func TestLabelsLost(t *testing.T) {
	counting := labelled()
	counting.Defaults.Labels.Segments, counting.Defaults.Labels.Fairness = false, nil // one document at a time
	msgs := []fold.Message{
		{Seq: 1, Subject: "ml.events.m", Time: midnight, Data: []byte(`{"id":"a","ts":1799971200000,"prediction":0.7}`), Retry: ""},
		{Seq: 2, Subject: "ml.events.m", Time: midnight, Data: []byte(`{"id":"b","ts":1799971200001,"prediction":0.2}`), Retry: ""},
		{Seq: 3, Subject: "ml.labels.m", Time: midnight, Data: []byte(`{"id":"a","ts":1799971200002,"label":1}`), Retry: ""},
		{Seq: 4, Subject: "ml.labels.m", Time: midnight, Data: []byte(`{"id":"b","ts":1799971200002,"label":0}`), Retry: ""},
	}
	end := event.Control{Kind: event.ControlMarker, Watermark: midnight + 5*60*minute} //nolint:exhaustruct // a marker
	msgs = append(msgs, fold.Message{Seq: 5, Subject: "driftd.control.0", Time: end.Watermark, Data: end.Encode(), Retry: ""})
	p := fold.New("IN", counting, [2]uint64{1, 2}, nil, unlimited())
	var out fold.Output
	j := &journal{head: nil, shards: map[string][]byte{}, outcome: outcome{docs: nil, dead: nil}, largest: 0, commits: 0, crashes: 0, flight: nil}
	for _, m := range msgs[:2] {
		if _, err := p.Apply(m, &out); err != nil {
			t.Fatal(err)
		}
	}
	j.commit(p, &out)
	p, err := fold.Restore("IN", j.head, j.shards, nil, unlimited())
	if err != nil {
		t.Fatal(err)
	}
	again, clean := p.Relive(nil)
	if from, ok := again.From(); !clean || !ok || from != 1 || again.To() != 2 {
		t.Fatalf("from %d, %v, clean %v", from, ok, clean)
	}
	p.UsePending(labels.NewMemory())
	if err := again.Apply(msgs[1]); err != nil { // the first one is gone
		t.Fatal(err)
	}
	if n := again.Finish(); n != 1 || p.Stats().LabelsLost != 1 {
		t.Errorf("%d records lost, want 1", n)
	}
	for _, m := range msgs[2:] {
		if _, err := p.Apply(m, &out); err != nil {
			t.Fatal(err)
		}
	}
	q, ok := readQuality(t, out.Docs[len(out.Docs)-1])
	if !ok || q.Predictions != 2 || q.Labels != 1 || q.Confusion.Matrix[0][0] != 1 || !strings.Contains(fmt.Sprint(q.Reasons), "labels_lost") {
		t.Errorf("%+v", q)
	}
}
