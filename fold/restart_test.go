package fold_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/driftd/driftd/event"
	"github.com/driftd/driftd/fold"
	"github.com/driftd/driftd/internal/elec2test"
	"github.com/driftd/driftd/reference"
	"github.com/driftd/driftd/result"
)

// The real log gives the same bytes whenever commits happen, however small they are, and however often the partition is lost
// and restored from the last of them.
func TestElec2Restarts(t *testing.T) {
	lines := elec2test.Lines(t)
	ref := elec2Reference(t, lines, reference.DefaultResolution)
	counting, msgs := elec2Counting(ref.Fingerprint()), messages(lines, true)
	want := run(t, counting, find(ref), msgs, undisturbed())
	got := run(t, counting, find(ref), msgs, chance{
		rng: rand.New(rand.NewPCG(1, 2)), commit: 0.002, crash: 0.0005, budget: fold.Budget{Messages: 12, Bytes: 1 << 20}, poison: nil,
	})
	equal(t, want, got)
}

// streamOf makes a hostile stream of two models: shuffled, repeated, late, future, broken, with changes of reference and
// configuration, markers and ends of files.
func streamOf(rng *rand.Rand, counting fold.Counting, fingerprints []string, n int) []fold.Message {
	var msgs []fold.Message
	now := int64(1_800_000_000_000)
	add := func(subject string, data string) {
		now += rng.Int64N(2000)
		msgs = append(msgs, fold.Message{Seq: uint64(len(msgs) + 1), Subject: subject, Time: now, Data: []byte(data)})
	}
	eventAt := func(model string) string {
		ts := now - rng.Int64N(60_000)
		switch rng.IntN(40) {
		case 0:
			ts = now - rng.Int64N(8*3_600_000) // late, maybe too late
		case 1:
			ts = now + 3_600_000 // future
		case 2:
			ts = 0
		}
		id := ""
		if rng.IntN(20) > 0 {
			id = fmt.Sprintf(`"id":"%d",`, rng.IntN(4*n))
		}
		if rng.IntN(6) == 0 {
			return fmt.Sprintf(`{"model":%q,"id":"%d","ts":%d,"label":%d}`, model, rng.IntN(4*n), ts, rng.IntN(2))
		}
		return fmt.Sprintf(`{"model":%q,%s"version":"v%d","ts":%d,"latency_ms":%g,"status":%d,"prediction":%g,"features":{"x":%g,"c":"k%d"}}`,
			model, id, rng.IntN(3), ts, rng.ExpFloat64()*10, 200+rng.IntN(2)*300, rng.Float64(), rng.NormFloat64(), rng.IntN(4))
	}
	for len(msgs) < n {
		model := "a"
		if rng.IntN(3) == 0 {
			model = "b"
		}
		switch rng.IntN(60) {
		case 0:
			add("ml.events."+model, `{"broken`)
		case 1:
			add("ml.events."+model, "not json\n"+eventAt(model)+"\n{\"ts\":NaN}\n"+eventAt(model))
		case 2:
			c := event.Control{Kind: event.ControlMarker, Watermark: now - rng.Int64N(600_000), Source: model, End: rng.IntN(2) == 0} //nolint:exhaustruct // a marker
			add("driftd.control.0", string(c.Encode()))
		case 3:
			if len(fingerprints) == 0 {
				continue
			}
			c := event.Control{Kind: event.ControlActivation, Model: model, Reference: fingerprints[rng.IntN(len(fingerprints))], Name: "r"} //nolint:exhaustruct // an activation
			add("driftd.control.0", string(c.Encode()))
		case 4:
			next := counting
			next.Defaults.Timing.Lateness = rng.Int64N(4) * 900_000
			next.DedupIDs = 50 + rng.IntN(n)
			data, err := json.Marshal(next)
			if err != nil {
				panic(err)
			}
			c := event.Control{Kind: event.ControlConfig, ConfigHash: next.Hash(), Models: data} //nolint:exhaustruct // a configuration
			add("driftd.control.0", string(c.Encode()))
		case 5:
			add("driftd.control.0", `{"schema":1,"watermark":"never"}`)
		default:
			records := make([]string, 1+rng.IntN(4))
			for i := range records {
				records[i] = eventAt(model)
			}
			add("ml.events."+model, strings.Join(records, "\n"))
		}
		if rng.IntN(300) == 0 {
			now += 3 * 3_600_000
		}
	}
	now += 24 * 3_600_000                                         // everything closes
	c := event.Control{Kind: event.ControlMarker, Watermark: now} //nolint:exhaustruct // a marker
	add("driftd.control.0", string(c.Encode()))
	return msgs
}

// references returns two small references over the same features.
func references(tb testing.TB, rows int) (fold.References, []string) {
	tb.Helper()
	known := map[string]*reference.Reference{}
	var fps []string
	for i := range 2 {
		rng := rand.New(rand.NewPCG(uint64(i), 9))
		o := reference.Options{Name: fmt.Sprint("r", i)} //nolint:exhaustruct // the defaults are meant
		if i == 0 {
			o.Segments = []reference.SegmentBy{{Name: "c", Values: nil, Largest: 0}}
		}
		b := reference.NewBuilder(o)
		d := event.NewDecoder(event.DefaultLimits())
		for j := range rows {
			d.Reset(fmt.Appendf(nil, `{"id":"r%d","latency_ms":%g,"prediction":%g,"features":{"x":%g,"c":"k%d"}}`, j, rng.ExpFloat64()*10,
				rng.Float64(), rng.NormFloat64()+float64(i), rng.IntN(3)))
			for d.Next() {
				ev, rej := d.Event()
				if rej != nil {
					tb.Fatal(rej)
				}
				if err := b.Add(ev); err != nil {
					tb.Fatal(err)
				}
			}
		}
		ref, err := b.Build()
		if err != nil {
			tb.Fatal(err)
		}
		known[ref.Fingerprint()] = ref
		fps = append(fps, ref.Fingerprint())
	}
	return func(fp string) (*reference.Reference, error) {
		if ref := known[fp]; ref != nil {
			return ref, nil
		}
		return nil, fold.ErrNoReference
	}, fps
}

// smallCounting has short windows of two sizes, one of them sliding, for streams that are made up.
func smallCounting() fold.Counting {
	c := elec2Counting("")
	c.Models = nil
	c.UnknownModels = fold.UnknownAuto
	c.MaxVersions = 2
	c.Defaults.ReferenceName = ""
	t := &c.Defaults.Timing
	t.Windows[0].Size, t.Windows[0].Every = 3_600_000, 3_600_000
	t.Windows = append(t.Windows, t.Windows[0])
	t.Windows[1].Size, t.Windows[1].Every = 1_800_000, 900_000
	t.Lateness = 1_800_000
	return c
}

// Any stream gives the same bytes under any commits and crashes. Each schedule is made from its seed alone.
func TestSchedules(t *testing.T) {
	schedules := 60
	if testing.Short() {
		schedules = 10
	}
	refs, fps := references(t, 400)
	for seed := range uint64(schedules) {
		rng := rand.New(rand.NewPCG(seed, 77))
		msgs := streamOf(rng, smallCounting(), fps, 400)
		want := run(t, smallCounting(), refs, msgs, undisturbed())
		got := run(t, smallCounting(), refs, msgs, chance{
			rng: rng, commit: 0.2 * rng.Float64(), crash: 0.05 * rng.Float64(), budget: fold.Budget{Messages: 12 + rng.IntN(30), Bytes: 1 << 20}, poison: nil,
		})
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) { equal(t, want, got) })
		counted(t, msgs, want)
	}
}

// counted checks that no record vanished: every decoded event of the stream is in exactly one place.
func counted(t *testing.T, msgs []fold.Message, j *journal) {
	t.Helper()
	records := 0
	d := event.NewDecoder(event.DefaultLimits())
	for _, m := range msgs {
		if strings.HasPrefix(m.Subject, "driftd.control.") {
			continue
		}
		d.Reset(m.Data)
		for d.Next() {
			if _, rej := d.Event(); rej == nil {
				records++
			}
		}
	}
	var sum uint64
	seen := map[string]int{}
	totals := map[string]uint64{}
	for _, doc := range j.docs {
		if !bytes.Contains(doc.Data, []byte(`"type":"summary"`)) {
			continue
		}
		var s result.Summary
		if err := json.Unmarshal(doc.Data, &s); err != nil {
			t.Fatal(err)
		}
		// The tumbling hours of all versions together cover everything once; the last revision holds.
		if s.Key.Version != result.All || s.Window.Size != 3_600_000 {
			continue
		}
		fp := ""
		if s.Ref != nil {
			fp = s.Ref.Fingerprint
		}
		k := fmt.Sprint(s.Key.Model, s.Window.Start, fp)
		if r, ok := seen[k]; !ok || s.Revision > r {
			seen[k] = s.Revision
			totals[k] = s.Counts.Events + s.Counts.Labels + s.Counts.Late + s.Counts.Duplicate
		}
	}
	for _, n := range totals {
		sum += n
	}
	if sum != uint64(records) {
		t.Errorf("windows count %d records, the stream has %d", sum, records)
	}
}

// A model with more drifting features than a commit has messages is emitted over several commits, each within its budget, and
// crashes between them change nothing.
func TestWideModel(t *testing.T) {
	const features, rows = 700, 700
	line := func(rng *rand.Rand, id string, ts int64, shift float64) []byte {
		b := fmt.Appendf(nil, `{"model":"wide","id":%q,"ts":%d,"version":"v%d","features":{`, id, ts, rng.IntN(2))
		for i := range features {
			if i > 0 {
				b = append(b, ',')
			}
			b = fmt.Appendf(b, `"f%d":%.3f`, i, rng.NormFloat64()+shift)
		}
		return append(b, "}}"...)
	}
	b := reference.NewBuilder(reference.Options{Name: "wide", Resolution: 50}) //nolint:exhaustruct // the defaults are meant
	d := event.NewDecoder(event.DefaultLimits())
	rng := rand.New(rand.NewPCG(5, 5))
	for i := range rows {
		d.Reset(line(rng, fmt.Sprint("r", i), 0, 0))
		for d.Next() {
			ev, rej := d.Event()
			if rej != nil {
				t.Fatal(rej)
			}
			if err := b.Add(ev); err != nil {
				t.Fatal(err)
			}
		}
	}
	ref, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	var msgs []fold.Message
	for i := range rows {
		at := int64(i) * 2 * 3_600_000 / rows // two windows of an hour
		msgs = append(msgs, fold.Message{Seq: uint64(i + 1), Subject: "ml.events.wide", Time: 1_800_000_000_000, Data: line(rng, strconv.Itoa(i), at, 3)})
	}
	c := event.Control{Kind: event.ControlMarker, Watermark: 10 * 3_600_000} //nolint:exhaustruct // a marker
	msgs = append(msgs, fold.Message{Seq: uint64(len(msgs) + 1), Subject: "driftd.control.0", Time: 1_800_000_000_000, Data: c.Encode()})
	counting := smallCounting()
	counting.Defaults.Reference = ref.Fingerprint()
	counting.Defaults.Timing.Windows = counting.Defaults.Timing.Windows[:1]
	want := run(t, counting, find(ref), msgs, undisturbed())
	got := run(t, counting, find(ref), msgs, chance{
		rng: rand.New(rand.NewPCG(3, 4)), commit: 0.01, crash: 0.01, budget: fold.Budget{Messages: 120, Bytes: 8 << 20}, poison: nil,
	})
	equal(t, want, got)
	if got.largest > 120+8 { // the shards of the emitting source come on top
		t.Errorf("a commit has %d messages, the budget is 120", got.largest)
	}
	// 700 features drift; a person hears of it once, with the largest effects first.
	var fired []result.Transition
	for _, doc := range got.docs {
		var tr result.Transition
		if doc.Kind != result.KindTransition {
			continue
		}
		if err := json.Unmarshal(doc.Data, &tr); err != nil {
			t.Fatal(err)
		}
		if tr.To == result.Firing && tr.InhibitedBy == "" && tr.Rule != "no-data" { // the marker at the end says that nothing follows
			fired = append(fired, tr)
		}
	}
	if len(fired) != 1 || fired[0].Rule != "drift-share" {
		t.Errorf("fired: %+v, want the share of drifted features alone", fired)
	}
}
