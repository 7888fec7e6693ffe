package main

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/driftd/driftd/detectors"
	"github.com/driftd/driftd/internal/stat/rivals"
)

// tally counts alarms by rule.
type tally struct {
	Windows int   `json:"windows"`
	Alarms  []int `json:"alarms"` // by rule
}

func (t *tally) add(o tally) {
	t.Windows += o.Windows
	for len(t.Alarms) < len(o.Alarms) {
		t.Alarms = append(t.Alarms, 0)
	}
	for i, n := range o.Alarms {
		t.Alarms[i] += n
	}
}

// job is one simulation: windows of n values of a model, many times.
type job struct {
	label   string
	n, m    uint64
	sizes   []int                    // numbers of features of the models that are made of one draw
	windows int                      // draws of the largest model
	of      func(i int) int          // the kind of feature i
	shift   float64                  // PSI-equivalent shift; 0: none
	moves   func(window, i int) bool // which features are shifted
	seed    uint64
}

// bench holds what all simulations share.
type bench struct {
	kinds []kind
	null  []*distribution
	rules []rule
	cfg   detectors.Config

	memos   [shares]*detectors.Memo // each used by one goroutine at a time
	mu      sync.Mutex
	shifted map[string]*distribution
}

func newBench() *bench {
	b := &bench{kinds: kinds(), rules: rules(), cfg: judgement(), shifted: map[string]*distribution{}}
	for i := range b.kinds {
		b.null = append(b.null, newDistribution(b.kinds[i].p))
	}
	return b
}

func (b *bench) alternative(kind int, psi float64) *distribution {
	b.mu.Lock()
	defer b.mu.Unlock()
	key := fmt.Sprint(kind, psi)
	if b.shifted[key] == nil {
		b.shifted[key] = b.kinds[kind].shifted(psi)
	}
	return b.shifted[key]
}

// shares is into how many parts a simulation is cut.
const shares = 8

// run runs a simulation on all processors: in shares, each with references and a random stream of its own, so that the outcome does not
// depend on how many processors there are.
func (b *bench) run(j job) (map[int]tally, error) {
	out := map[int]tally{}
	var mu sync.Mutex
	var first error
	var next atomic.Int64
	var wait sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), shares) {
		wait.Go(func() {
			for {
				s := int(next.Add(1)) - 1
				if s >= shares {
					return
				}
				part, err := b.share(j, s, (j.windows+shares-1)/shares)
				mu.Lock()
				if err != nil && first == nil {
					first = fmt.Errorf("%s, n = %d: %w", j.label, j.n, err)
				}
				for size, t := range part {
					whole := out[size]
					whole.add(t)
					out[size] = whole
				}
				mu.Unlock()
			}
		})
	}
	wait.Wait()
	return out, first
}

func (b *bench) share(j job, share, windows int) (map[int]tally, error) {
	// The references are the same at every n.
	rng, refs := rand.New(rand.NewPCG(j.seed, uint64(share)<<32|j.n)), rand.New(rand.NewPCG(j.seed, uint64(share)))
	memo := b.memos[share]
	if memo == nil {
		memo = detectors.NewMemo()
		b.memos[share] = memo
	}
	largest := j.sizes[len(j.sizes)-1]
	features := make([]*feature, largest)
	for i := range features {
		k := j.of(i)
		var err error
		if features[i], err = newFeature(refs, &b.kinds[k], b.null[k], fmt.Sprintf("f%03d", i), j.m); err != nil {
			return nil, err
		}
		features[i].plan = detectors.NewPlan(features[i].ref, b.cfg, detectors.NoChunks("the rows have no times"), memo)
		if j.shift > 0 {
			features[i].now = b.alternative(k, j.shift)
		}
		for _, name := range rivals.Names() {
			features[i].rules = append(features[i].rules, mustFind(name).Prepare(&features[i].in))
		}
	}
	out := map[int]tally{}
	for _, size := range j.sizes {
		out[size] = tally{Alarms: make([]int, len(b.rules))}
	}
	var m model
	for w := range windows {
		m.results, m.flags = m.results[:0], m.flags[:0]
		for i, f := range features {
			from := f.null
			if j.shift > 0 && j.moves(w, i) {
				from = f.now
			}
			counts, err := f.window(rng, from, j.n)
			if err != nil {
				return nil, err
			}
			r := f.plan.Evaluate(counts)
			var fl flags
			fl.set(flagThumb, thumb(&r))
			for k, decide := range f.rules {
				fl.set(flagRivals+k, decide().Drift)
			}
			m.results, m.flags = append(m.results, r), append(m.flags, fl)
		}
		for _, size := range j.sizes {
			t := out[size]
			for from := 0; from+size <= largest; from += size {
				t.Windows++
				m.alarms(from, from+size, b.cfg, b.rules, func(r int) { t.Alarms[r]++ })
			}
			out[size] = t
		}
	}
	return out, nil
}

// mixed is a model of all sorts: of twenty features eight continuous, three discrete, three heavy-tailed, three with 5 categories, two
// with 50, one with 500 or (every fifth) 5,000.
func mixed(i int) int {
	pattern := [20]int{0, 3, 0, 1, 2, 0, 4, 0, 1, 3, 0, 2, 0, 5, 0, 1, 3, 0, 2, 4}
	k := pattern[i%20]
	if k == 5 && i/20%5 == 4 {
		return 6
	}
	return k
}
