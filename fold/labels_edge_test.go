package fold_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/driftd/driftd/event"
	"github.com/driftd/driftd/fold"
	"github.com/driftd/driftd/result"
)

// edge is a stream of odd records and what the quality of its windows is in the end, counted by hand: record by record, as docs/windows.md
// says it.
type edge struct {
	name   string
	task   func(*fold.Counting) // nil: binary, of 0 and 1, by the threshold 0.5
	stream []string             // each begins with its minute
	want   map[int]string       // by the hour of a window: predictions, labels, and all that is not zero
	stats  string
	future uint64 // of the first window, as its summary tells it
}

func edges() []edge {
	return []edge{
		{
			// a, b and d are beyond any probability, c is one; e and f are nothing. Their labels are labels, and in no metric.
			name: "scores outside of [0, 1]", task: nil,
			stream: []string{
				`10 "id":"a","prediction":1.5`, `10 "id":"b","prediction":-0.25`, `10 "id":"c","prediction":0.7`, `10 "id":"d","prediction":2`,
				`10 "id":"e","prediction":"high"`, `10 "id":"f","prediction":{"score":null}`,
				`20 "id":"a","label":1`, `20 "id":"b","label":0`, `20 "id":"c","label":1`, `20 "id":"e","label":1`, `20 "id":"f","label":0`,
			},
			want: map[int]string{0: `6 5 flawed:{"prediction_type":1,"score":1} unusable:{"prediction_type":1,"score":1} [[1 0] [0 2]]` +
				` log_loss: 2 of 3 rows have a score outside [0, 1] estimate: 1 and 3 left`},
			stats: "matched:5", future: 0,
		},
		{
			name:   "a class that nobody named, of two",
			task:   func(c *fold.Counting) { c.Defaults.Labels.Positive, c.Defaults.Labels.Negative = "yes", "no" },
			stream: []string{`10 "id":"a","prediction":"yes"`, `10 "id":"b","prediction":"no"`, `10 "id":"c","prediction":"maybe"`, `20 "id":"a","label":"maybe"`, `20 "id":"b","label":"no"`, `20 "id":"c","label":"yes"`},
			want:   map[int]string{0: `3 3 flawed:{"prediction_type":1} unusable:{"label_class":1,"prediction_type":1} [[1 0] [0 0]]`},
			stats:  "matched:3", future: 0,
		},
		{
			name:   "a class that nobody named, where every other one is negative",
			task:   func(c *fold.Counting) { c.Defaults.Labels.Positive = "fraud" },
			stream: []string{`10 "id":"a","prediction":"fraud"`, `10 "id":"b","prediction":"new"`, `20 "id":"a","label":"never seen"`, `20 "id":"b","label":"fraud"`},
			want:   map[int]string{0: `2 2 [[0 1] [1 0]]`}, stats: "matched:2", future: 0,
		},
		{
			name: "a class that nobody named, of several",
			task: func(c *fold.Counting) {
				c.Defaults.Labels.Task, c.Defaults.Labels.Threshold, c.Defaults.Labels.Classes = "multiclass", 0, []string{"a", "b"}
			},
			stream: []string{`10 "id":"1","prediction":"a"`, `10 "id":"2","prediction":"z"`, `10 "id":"3","prediction":"b"`, `20 "id":"1","label":"a"`, `20 "id":"2","label":"b"`, `20 "id":"3","label":"q"`},
			want:   map[int]string{0: `3 3 [[1 0 0] [0 0 1] [0 1 0]]`}, stats: "matched:3", future: 0, // a, b, other
		},
		{
			name: "labels of another type",
			task: func(c *fold.Counting) { c.Defaults.Labels.Task, c.Defaults.Labels.Threshold = "regression", 0 },
			stream: []string{
				`10 "id":"1","prediction":10`, `10 "id":"2","prediction":10`, `10 "id":"3","prediction":10`, `10 "id":"4","prediction":10`, `10 "id":"5","prediction":"ten"`,
				`20 "id":"1","label":12`, `20 "id":"2","label":"12"`, `20 "id":"3","label":[12]`, `20 "id":"4","label":null`, `20 "id":"5","label":10`,
			},
			want:  map[int]string{0: `5 5 flawed:{"prediction_type":1} unusable:{"label_type":2,"no_label":1,"prediction_type":1} mae: 2 of 1`},
			stats: "matched:5", future: 0,
		},
		{
			// a is corrected, and its first label comes twice; of b another version's label says what is known; e's comes first; d has none, and a
			// label is about nobody.
			name: "labels before, twice, corrected and never", task: nil,
			stream: []string{
				`5 "id":"e","label":1`, `10 "id":"a","prediction":0.9`, `11 "id":"b","prediction":0.2`, `12 "id":"c","prediction":0.8`, `13 "id":"d","prediction":0.1`,
				`14 "id":"e","prediction":0.6`, `20 "id":"a","label":1`, `20 "id":"a","label":1`, `21 "id":"b","label":0`, `22 "id":"b","version":"v9","label":0`,
				`23 "id":"nobody","label":1`, `25 "id":"a","label":0`, `30 "id":"c","label":1`,
			},
			want:  map[int]string{0: `5 4 corrected:1 duplicate:1 unmatched:1 [[1 1] [0 2]] estimate: 5 and 0 left`},
			stats: "matched:4 corrected:1 repeated:1 unmatched:2", future: 0, // e's was unmatched when it came
		},
		{
			// Both count at the broker's time, and move no watermark: nothing is said before the end. c brings a prediction from the future, which
			// is one of its label's time.
			name: "a label in 2099", task: nil,
			stream: []string{
				`2 "id":"a","prediction":0.9`, `3 "id":"b","prediction":0.9`, `10 "ts":4070908800000,"id":"a","label":1`,
				`12 "id":"c","prediction":0.8,"prediction_ts":4070908800000,"label":1`, `13 "ts":4070908800000,"id":"nobody","label":1`,
			},
			want:  map[int]string{0: `3 2 unmatched:1 [[0 0] [0 2]] estimate: 3 and 0 left`},
			stats: "matched:2 unmatched:1", future: 2,
		},
		{
			// Of one version it is the prediction that was; another version's shares the label.
			name: "an id that comes back within the horizon", task: nil,
			stream: []string{`10 "id":"a","prediction":0.9`, `20 "id":"a","version":"v2","prediction":0.2`, `100 "id":"a","prediction":0.1`, `110 "id":"a","label":1`},
			want:   map[int]string{0: `2 2 [[0 0] [1 1]] estimate: 2 and 0 left`, 1: `0 0 [[0 0] [0 0]]`}, stats: "matched:2", future: 0,
		},
		{
			name: "an id that comes back within the horizon, forgotten by deduplication", task: func(c *fold.Counting) { c.DedupIDs = 0 },
			stream: []string{`10 "id":"a","prediction":0.9`, `100 "id":"a","prediction":0.1`, `110 "id":"a","label":1`},
			want:   map[int]string{0: `1 1 [[0 0] [0 1]] estimate: 1 and 0 left`, 1: `0 0 [[0 0] [0 0]]`}, stats: "matched:1", future: 0,
		},
		{
			// The horizon is 240 minutes: x moves the watermark to 260, behind a's end at 250.
			name: "an id that comes back behind the horizon", task: func(c *fold.Counting) { c.DedupIDs = 0 },
			stream: []string{`10 "id":"a","prediction":0.9`, `260 "id":"x","prediction":0.4`, `261 "id":"a","prediction":0.1`, `262 "id":"a","label":1`},
			want:   map[int]string{0: `1 0 [[0 0] [0 0]] estimate: 1 and 0 left`, 4: `2 1 [[0 0] [1 0]] estimate: 2 and 0 left`}, stats: "matched:1", future: 0,
		},
		{
			// The last maturity of the first hour is at minute 240; a waits until minute 250.
			name: "a label after the last maturity", task: nil,
			stream: []string{`10 "id":"a","prediction":0.9`, `245 "id":"x","prediction":0.4`, `246 "id":"a","label":1`},
			want:   map[int]string{0: `1 0 [[0 0] [0 0]] estimate: 1 and 0 left`}, stats: "late:1", future: 0,
		},
		{
			name: "seventeen versions of one id", task: func(c *fold.Counting) { c.MaxVersions = 20 },
			stream: append(func() (out []string) {
				for i := range 17 {
					out = append(out, fmt.Sprintf(`10 "id":"a","version":"v%d","prediction":0.9`, i))
				}
				return out
			}(), `20 "id":"a","label":1`),
			want: map[int]string{0: `17 16 evicted:1 [[0 0] [0 16]] estimate: 17 and 0 left`}, stats: "matched:16 evicted:1", future: 0,
		},
	}
}

// line says what a document of quality says beside its statistics.
func line(t *testing.T, q *result.Quality) string {
	t.Helper()
	var out strings.Builder
	fmt.Fprint(&out, q.Predictions, " ", q.Labels)
	for _, n := range []struct {
		name string
		n    uint64
	}{{"corrected", q.Corrected}, {"duplicate", q.Duplicate}, {"unmatched", q.Unmatched}, {"evicted", q.Evicted}} {
		if n.n > 0 {
			fmt.Fprintf(&out, " %s:%d", n.name, n.n)
		}
	}
	for _, m := range []struct {
		name string
		m    map[string]uint64
	}{{"flawed", q.Flawed}, {"unusable", q.Unusable}} {
		if len(m.m) > 0 {
			text, err := json.Marshal(m.m)
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(&out, " %s:%s", m.name, text)
		}
	}
	if q.Confusion != nil {
		fmt.Fprint(&out, " ", q.Confusion.Matrix)
	}
	for _, m := range q.Metrics {
		if m.Name == "mae" {
			fmt.Fprintf(&out, " mae: %v of %d", show(m.Value), m.N)
		}
		if m.Name == "log_loss" && strings.Contains(m.Reason, "outside") {
			out.WriteString(" log_loss: " + m.Reason)
		}
	}
	if q.Estimate != nil {
		fmt.Fprintf(&out, " estimate: %d and %d left", q.Estimate.Predictions, q.Estimate.Left)
	}
	return out.String()
}

// Odd labels and predictions stop nothing: each is counted where the documentation says, in the documents and in the metrics of the daemon, and the
// documents are the same after any crash.
func TestLabelEdges(t *testing.T) {
	for _, c := range edges() {
		t.Run(c.name, func(t *testing.T) {
			counting := labelled()
			counting.Defaults.Labels.Fairness = nil // of groups nothing is asked here
			if counting.MaxVersions = 3; c.task != nil {
				c.task(&counting)
			}
			var msgs []fold.Message
			for i, text := range c.stream {
				var at int64
				if _, err := fmt.Sscan(text, &at); err != nil {
					t.Fatal(err)
				}
				_, body, _ := strings.Cut(text, " ")
				if !strings.HasPrefix(body, `"ts"`) {
					body = fmt.Sprintf(`"ts":%d,%s`, midnight+at*minute, body)
				}
				subject := "ml.events.m"
				if strings.Contains(body, `"label":`) && !strings.Contains(body, `{"label"`) {
					subject = "ml.labels.m"
				}
				msgs = append(msgs, fold.Message{Seq: uint64(i + 1), Subject: subject, Time: midnight + at*minute, Data: []byte("{" + body + "}"), Retry: ""})
			}
			end := event.Control{Kind: event.ControlMarker, Watermark: midnight + 24*hourMS} //nolint:exhaustruct // a marker
			msgs = append(msgs, fold.Message{Seq: uint64(len(msgs) + 1), Subject: "driftd.control.0", Time: end.Watermark, Data: end.Encode(), Retry: ""})

			p, out := fold.New("IN", counting, [2]uint64{1, 2}, nil, unlimited()), fold.Output{} //nolint:exhaustruct // empty
			for _, m := range msgs {
				if c.future > 0 && len(out.Docs) > 0 {
					t.Errorf("something is said before message %d", m.Seq)
				}
				if done, err := p.Apply(m, &out); err != nil || !done || len(out.DeadLetters) > 0 {
					t.Fatalf("message %d: done %v, %v, %+v", m.Seq, done, err, out.DeadLetters)
				}
			}
			said, future := map[int]string{}, uint64(0)
			for _, d := range out.Docs {
				if q, ok := readQuality(t, d); ok {
					hour := int((q.Window.Start - midnight) / hourMS)
					if _, asked := c.want[hour]; asked && q.Final && q.Window.Size == hourMS && q.Key.Version == result.All && q.Key.Segment == result.All {
						said[hour] = line(t, &q)
					}
					continue
				}
				s, err := readSaid(d.Data)
				if err != nil {
					t.Fatal(err)
				}
				if s.Key.Version == result.All && s.Key.Segment == result.All && s.Window.Size == hourMS && s.Window.Start == midnight {
					future = s.Counts.Future
				}
			}
			if diff := cmp.Diff(c.want, said); diff != "" {
				t.Errorf("(-counted by hand +said)\n%s", diff)
			}
			stats := p.Stats()
			var counters []string
			for _, n := range []struct {
				name string
				n    uint64
			}{
				{"matched", stats.LabelsMatched},
				{"corrected", stats.LabelsCorrected},
				{"repeated", stats.LabelsRepeated},
				{"unmatched", stats.LabelsUnmatched},
				{"late", stats.LabelsLate},
				{"evicted", stats.LabelsEvicted},
				{"lost", stats.LabelsLost},
			} {
				if n.n > 0 {
					counters = append(counters, fmt.Sprintf("%s:%d", n.name, n.n))
				}
			}
			if got := strings.Join(counters, " "); got != c.stats || future != c.future || stats.Future != c.future {
				t.Errorf("counted %q, %d and %d from the future; want %q and %d", got, future, stats.Future, c.stats, c.future)
			}
			want, _ := playLabels(t, counting, nil, msgs, calmly(), nil)
			for seed := range uint64(5) {
				rng := rand.New(rand.NewPCG(seed, 91))
				got, _ := playLabels(t, counting, nil, msgs, labelChance{
					chance: chance{rng: rng, commit: 0.5, crash: 0.3, budget: unlimited(), poison: nil}, behind: 0.3, lost: 0.5,
				}, nil)
				equal(t, want, got)
			}
		})
	}
}

// Predictions whose labels never come take no more than max_pending allows, in the cache as in the state, however many there are; the windows that lost
// some say so.
func TestNeverLabelled(t *testing.T) {
	const n, bound, batch = 40_000, 4000, 500
	counting := labelled()
	counting.Defaults.Labels.Fairness = nil // of groups nothing is asked here
	counting.Defaults.Labels.Join.MaxPending = bound
	p, out := fold.New("IN", counting, [2]uint64{1, 2}, nil, unlimited()), fold.Output{} //nolint:exhaustruct // empty
	j := &journal{head: nil, shards: map[string][]byte{}, outcome: outcome{docs: nil, dead: nil}, largest: 0, commits: 0, crashes: 0}
	disk := emptyCache()
	p.UsePending(disk.groups)
	seq, groups, state := uint64(0), 0, 0
	for i := range n {
		seq++
		m := fold.Message{Seq: seq, Subject: "ml.events.m", Time: midnight + int64(i), Data: fmt.Appendf(nil, `{"id":"%d","ts":%d,"prediction":0.7}`, i, midnight+int64(i)), Retry: ""}
		if _, err := p.Apply(m, &out); err != nil {
			t.Fatal(err)
		}
		if seq%batch > 0 {
			continue
		}
		j.commit(p, &out)
		disk.store(p)
		ledger := 0
		for name, data := range j.shards {
			if strings.HasPrefix(name, "labels.s.") {
				ledger += len(data)
			}
		}
		groups, state = max(groups, disk.groups.Len()), max(state, ledger)
	}
	// Five bytes a record are what docs/configuration.md says; a segment has a head of some 30 bytes.
	if t.Logf("%d ids: at most %d groups in the cache, %d bytes in the state", n, groups, state); groups > bound || groups < bound*9/10 || state > 5*bound+bound/30*40 {
		t.Errorf("%d groups and %d bytes of state wait, the bound is %d", groups, state, bound)
	}
	if got := p.Stats().LabelsEvicted; got < n-bound || got > n-bound*9/10 {
		t.Errorf("%d were let go of %d", got, n)
	}
	end := event.Control{Kind: event.ControlMarker, Watermark: midnight + 24*hourMS} //nolint:exhaustruct // a marker
	if _, err := p.Apply(fold.Message{Seq: seq + 1, Subject: "driftd.control.0", Time: end.Watermark, Data: end.Encode(), Retry: ""}, &out); err != nil {
		t.Fatal(err)
	}
	j.commit(p, &out)
	disk.store(p)
	finals := 0
	for _, d := range j.docs {
		if q, ok := readQuality(t, d); ok && q.Final && q.Window.Size == hourMS && q.Window.Start == midnight && q.Key.Version == result.All && q.Key.Segment == result.All {
			if finals++; q.Predictions != n || q.Labels != 0 || !strings.Contains(fmt.Sprint(q.Reasons), "labels_short") {
				t.Errorf("%d predictions, %d labels, %q", q.Predictions, q.Labels, q.Reasons)
			}
		}
	}
	if finals != 1 || disk.groups.Len() > 0 {
		t.Errorf("%d final documents of the hour; %d groups wait behind the horizon", finals, disk.groups.Len())
	}
}
