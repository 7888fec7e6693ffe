package fold_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/driftd/driftd/fold"
)

var (
	simSchedules = flag.Uint64("schedules", 400, "how many schedules the simulation tries")
	simFirst     = flag.Uint64("first", 0, "the seed of the first schedule")
	simSeed      = flag.Int64("seed", -1, "try this schedule alone and print it")
)

// Deterministic simulation of the core. A seed makes a short hostile stream (late, future and repeated events, labels, markers, new
// configurations and references, losses, refused and quarantined records) and says when it is committed, crashes and is restored.
// What comes out is, byte for byte, what the stream gives undisturbed, and that is what an oracle foretells that counts by plain
// loops over all records. Where its models share nothing, a stream split by model over two partitions gives the same documents.
func TestSimulation(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(400)) // much garbage and little else
	refs, fps := references(t, 40)
	if *simSeed >= 0 {
		s := simSchedule(uint64(*simSeed), fps)
		err := simulate(s, refs, fps, &simFigures{}) //nolint:exhaustruct // zero counters
		if err != nil {
			s, err = shrink(s, refs, fps, err)
		}
		t.Log(s)
		if err != nil {
			t.Fatal(err)
		}
		return
	}
	if testing.Short() {
		*simSchedules = min(*simSchedules, 40)
	}
	workers := min(uint64(runtime.GOMAXPROCS(0)), *simSchedules)
	figures, next := make([]simFigures, workers), atomic.Uint64{}
	t.Run("schedules", func(t *testing.T) {
		for i := range figures {
			t.Run(strconv.Itoa(i), func(t *testing.T) {
				t.Parallel()
				for n := next.Add(1); n <= *simSchedules; n = next.Add(1) {
					seed := *simFirst + n - 1
					if err := simulate(simSchedule(seed, fps), refs, fps, &figures[i]); err != nil {
						next.Store(*simSchedules)
						t.Fatalf("schedule %d: %v\nreplay and shrink it: go test ./fold -run TestSimulation -v -seed %d", seed, err, seed)
					}
				}
			})
		}
	})
	var sum simFigures
	for i := range figures {
		sum.add(&figures[i])
	}
	t.Logf("schedules %d to %d: %+v", *simFirst, *simFirst+*simSchedules-1, sum)
}

// simFigures says what a simulation came across: schedules that never crash prove nothing.
type simFigures struct {
	Messages, Records, Commits, Crashes, Documents, Summaries, Revisions, Extended, Incomplete, Late, Refused, Split, Parts int
	Beside, Waited                                                                                                          int
}

func (f *simFigures) add(o *simFigures) {
	for _, p := range [][2]*int{
		{&f.Messages, &o.Messages},
		{&f.Records, &o.Records},
		{&f.Commits, &o.Commits},
		{&f.Crashes, &o.Crashes},
		{&f.Documents, &o.Documents},
		{&f.Summaries, &o.Summaries},
		{&f.Revisions, &o.Revisions},
		{&f.Extended, &o.Extended},
		{&f.Incomplete, &o.Incomplete},
		{&f.Late, &o.Late},
		{&f.Refused, &o.Refused},
		{&f.Split, &o.Split},
		{&f.Parts, &o.Parts},
		{&f.Beside, &o.Beside},
		{&f.Waited, &o.Waited},
	} {
		*p[0] += *p[1]
	}
}

// simulate tries one schedule and says what is wrong, if anything.
func simulate(s *schedule, refs fold.References, fps []string, f *simFigures) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("it panicked: %v\n%s", v, debug.Stack())
		}
	}()
	all := s.stored()
	calm := undisturbed()
	calm.poison = s.poison()
	want, err := play(s.counting, refs, all, calm)
	if err != nil {
		return err
	}
	if err := asForetold(want, foretell(s, refs, fps), f); err != nil {
		return err
	}
	disturbed := s.disturbed
	disturbed.rng, disturbed.poison = rand.New(rand.NewPCG(s.seed, 5)), calm.poison
	got, err := play(s.counting, refs, all, disturbed)
	if err != nil {
		return fmt.Errorf("disturbed: %w", err)
	}
	if err := differ(want, got); err != nil {
		return fmt.Errorf("disturbed: %w", err)
	}
	if err := beside(s, refs, all, want, f); err != nil {
		return fmt.Errorf("judged beside: %w", err)
	}
	if s.splitable {
		f.Split++
		if err := split(s, refs, want); err != nil {
			return fmt.Errorf("split: %w", err)
		}
	}
	f.Messages += len(all)
	f.Commits += got.commits
	f.Crashes += got.crashes
	f.Documents += len(want.docs)
	for i := range s.msgs {
		f.Records += len(s.msgs[i].records)
	}
	return nil
}

// beside reads a schedule with windows judged beside counting, disturbed or not. In every second one the jobs run on goroutines of their own; in the
// others each runs when somebody waits for it, or, as chance has it, before.
func beside(s *schedule, refs fold.References, all []fold.Message, want *journal, f *simFigures) error {
	c := undisturbed()
	if s.seed%4 > 1 {
		c = s.disturbed
	}
	c.rng, c.poison, c.beside = rand.New(rand.NewPCG(s.seed, 6)), s.poison(), goes
	if s.seed%2 == 0 {
		soon := c.rng.Float64() / 4
		c.beside = func(job func()) func(bool) bool {
			f.Beside++
			done := false
			return func(wait bool) bool {
				if !done && (wait || c.rng.Float64() < soon) {
					done = true
					if job(); wait {
						f.Waited++
					}
				}
				return done
			}
		}
	} else {
		c.settle = 1
	}
	got, err := play(s.counting, refs, all, c)
	if err != nil {
		return err
	}
	if c.crash > 0 { // what two models had waiting is emitted in the order of their names behind a restart
		want, got = want.byModel(), got.byModel()
	}
	return differ(want, got)
}

// goes runs a job on a goroutine of its own.
func goes(job func()) func(bool) bool {
	done := make(chan struct{})
	go func() {
		defer close(done)
		job()
	}()
	return func(wait bool) bool {
		if wait {
			<-done
			return true
		}
		select {
		case <-done:
			return true
		default:
			return false
		}
	}
}

// shrink leaves out messages of a schedule that fails for as long as it fails, and returns the rest and how that fails.
func shrink(s *schedule, refs fold.References, fps []string, failure error) (*schedule, error) {
	for size := len(s.msgs) / 2; size > 0; {
		smaller := false
		for at := 0; at+size <= len(s.msgs); at++ {
			less := *s
			less.msgs = slices.Delete(slices.Clone(s.msgs), at, at+size)
			less.number()
			if err := simulate(&less, refs, fps, &simFigures{}); err != nil { //nolint:exhaustruct // zero counters
				s, failure, smaller = &less, err, true
				at--
			}
		}
		if !smaller || size > 1 {
			size /= 2
		}
	}
	return s, failure
}

// String shows a schedule.
func (s *schedule) String() string {
	first, _ := json.Marshal(s.counting) //nolint:errchkjson // it is only shown
	var out strings.Builder
	fmt.Fprintf(&out, "schedule %d begins with the configuration %s", s.seed, first)
	for i := range s.msgs {
		m := &s.msgs[i]
		fmt.Fprintf(&out, "\n%d %s at %d, quarantined %v:\n%s", m.seq, m.subject, m.time, m.poison, m.data)
	}
	return out.String()
}
