package fold_test

import (
	"bytes"
	"fmt"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/driftd/driftd/detectors"
	"github.com/driftd/driftd/event"
	"github.com/driftd/driftd/fold"
	"github.com/driftd/driftd/window"
)

// wideFeatures are those of a wide model, of 1,000 cut points each.
const wideFeatures = 1000

// BenchmarkClose is what closing a window of 1,000 features takes, from the message that closes it to the documents: of 1,001 cells (500 cut
// points) and of 2,001, with the statistics that are computed by default, and with Anderson-Darling beside them. The window has 3,000 events.
// The first window, which makes the plans, is not measured. The CPU time is that of the process, with the garbage that is collected meanwhile.
func BenchmarkClose(b *testing.B) {
	for _, cutPoints := range []int{500, 1000} {
		b.Run(fmt.Sprintf("cells=%d", 2*cutPoints+1), func(b *testing.B) { benchmarkClose(b, newWireStreamOf(b, wideFeatures, 1, cutPoints)) })
	}
}

func benchmarkClose(b *testing.B, stream *wireStream) {
	messages := stream.messages(3000)
	for _, statistics := range [][]string{nil, {"psi", "ks", "anderson_darling"}, {"anderson_darling"}, {detectors.AllStatistics}} {
		b.Run(fmt.Sprintf("statistics=%v", statistics), func(b *testing.B) {
			cfg := detectors.Default()
			cfg.Statistics = statistics
			p, out := stream.watched(cfg), fold.Output{} //nolint:exhaustruct // empty
			seq, hour := uint64(0), int64(0)
			apply := func(m fold.Message) {
				seq++
				m.Seq = seq
				if done, err := p.Apply(m, &out); err != nil || !done {
					b.Fatal(done, err)
				}
			}
			open := func() fold.Message { // counts a window, and returns what closes it
				out = fold.Output{} //nolint:exhaustruct // empty
				for _, m := range messages {
					stream.renew(m.Data, seq)
					moved := m
					moved.Data = stream.move(m.Data, hour)
					apply(moved)
				}
				hour++
				end := event.Control{Kind: event.ControlMarker, Source: "m", Watermark: hour * 60 * minute} //nolint:exhaustruct // a marker
				return fold.Message{Seq: 0, Subject: "driftd.control.0", Time: 61_000, Data: end.Encode(), Retry: "", Source: ""}
			}
			apply(open())
			var took, cpu []time.Duration
			for b.Loop() {
				b.StopTimer()
				closing := open()
				b.StartTimer()
				begin, beginCPU := time.Now(), cpuTime(b)
				apply(closing)
				took, cpu = append(took, time.Since(begin)), append(cpu, cpuTime(b)-beginCPU)
				if out.Results == 0 {
					b.Fatal("no result")
				}
			}
			slices.Sort(cpu)
			b.ReportMetric(float64(slices.Min(took).Microseconds())/1000, "least-ms")
			b.ReportMetric(float64(cpu[0].Microseconds())/1000, "least-cpu-ms")
			b.ReportMetric(float64(cpu[len(cpu)/2].Microseconds())/1000, "cpu-ms")
			b.ReportMetric(float64(out.Bytes)/1e6, "MB-of-documents")
		})
	}
}

// cpuTime is what the process has had.
func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkCommit is the commit of a model of 1,000 features of 1,000 cut points (2,001 counters) that all changed: the pause is what
// counting waits for, the rest runs beside it.
func BenchmarkCommit(b *testing.B) {
	for _, features := range []int{20, wideFeatures} {
		stream := newWireStream(b, features, 1)
		messages := stream.messages(1000)
		b.Run(fmt.Sprintf("features=%d", features), func(b *testing.B) {
			p, out := stream.watched(detectors.Default()), fold.Output{} //nolint:exhaustruct // empty
			seq := uint64(0)
			var pauses []time.Duration
			size := 0
			for b.Loop() {
				b.StopTimer()
				for range 20 {
					m := messages[seq%uint64(len(messages))]
					stream.renew(m.Data, seq)
					seq++
					m.Seq = seq
					if done, err := p.Apply(m, &out); err != nil || !done {
						b.Fatal(done, err)
					}
				}
				b.StartTimer()
				begin := time.Now()
				p.Header()
				taken := p.Take()
				p.Committed()
				pauses = append(pauses, time.Since(begin))
				size = 0
				for _, s := range taken.Shards() {
					size += len(s.Data)
				}
				p.Stored(taken)
			}
			slices.Sort(pauses)
			b.ReportMetric(float64(pauses[0].Microseconds())/1000, "least-pause-ms")
			b.ReportMetric(float64(pauses[len(pauses)/2].Microseconds())/1000, "pause-ms")
			b.ReportMetric(float64(size)/1e6, "MB")
		})
	}
}

// BenchmarkRestore is the restoring of a state that was read from the journal: of a wide model, and of many models.
func BenchmarkRestore(b *testing.B) {
	for _, size := range []struct{ features, models, events int }{{wideFeatures, 1, 3000}, {20, 100, 30_000}} {
		b.Run(fmt.Sprintf("features=%d/models=%d", size.features, size.models), func(b *testing.B) {
			stream := newWireStream(b, size.features, 1)
			p, out := stream.manyModels(size.models), fold.Output{} //nolint:exhaustruct // empty
			messages := stream.messages(3000)
			for seq := range uint64(size.events) {
				m := messages[seq%uint64(len(messages))]
				stream.renew(m.Data, seq)
				m.Seq = seq + 1
				m.Data = bytes.Replace(m.Data, []byte(`"model":"m"`), fmt.Appendf(nil, `"model":"m%d"`, seq%uint64(size.models)), 1)
				m.Subject = "wire"
				if done, err := p.Apply(m, &out); err != nil || !done {
					b.Fatal(done, err)
				}
			}
			head, stored, total := p.Header(), map[string][]byte{}, 0
			for _, s := range p.Take().Shards() {
				if s.Data == nil {
					continue // deleted: the ids before the newest 10,000
				}
				stored[s.Name] = s.Data
				total += len(s.Data)
			}
			for b.Loop() {
				back, err := fold.Restore("IN", head, stored, stream.refs, fold.Budget{Messages: 1 << 30, Bytes: 1 << 40})
				if err != nil {
					b.Fatal(err)
				}
				if n := len(back.Sources()); n != size.models {
					b.Fatalf("%d models", n)
				}
			}
			took := b.Elapsed().Seconds() / float64(b.N)
			b.ReportMetric(float64(total)/1e6, "MB")
			b.ReportMetric(took/float64(size.models)*1000, "ms/model")
		})
	}
}

// manyModels is a partition of as many models as there are names for in the stream, all over one reference.
func (s *wireStream) manyModels(models int) *fold.Partition {
	c := s.counting(fold.ModelConfig{ //nolint:exhaustruct // no rules
		Reference: s.ref.Fingerprint(), Timing: timing(0, window.Spec{Size: 60 * minute, Every: 60 * minute}), Detectors: detectors.Default(), //nolint:exhaustruct // not extended
	})
	c.MaxModels, c.DedupIDs = models, 10_000 // fewer than the events
	return fold.New("IN", c, [2]uint64{1, 2}, s.refs, fold.Budget{Messages: 1 << 30, Bytes: 1 << 40})
}

// watched is a partition whose model has windows of an hour without lateness.
func (s *wireStream) watched(cfg detectors.Config) *fold.Partition {
	c := s.counting(fold.ModelConfig{ //nolint:exhaustruct // no rules
		Reference: s.ref.Fingerprint(), Timing: timing(0, window.Spec{Size: 60 * minute, Every: 60 * minute}), Detectors: cfg, //nolint:exhaustruct // not extended
	})
	c.FutureTolerance = 1 << 50
	return fold.New("IN", c, [2]uint64{1, 2}, s.refs, fold.Budget{Messages: 1 << 30, Bytes: 1 << 40})
}
