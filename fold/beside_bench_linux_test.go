package fold_test

import (
	"fmt"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/driftd/driftd/detectors"
	"github.com/driftd/driftd/fold"
)

// BenchmarkPause is the longest that counting takes over one message while a window of 1,000 features of 1,000 cut points closes, one of 3,000
// events of one version: where windows are judged by the thread that counts, and beside it. It is measured from the message that makes the window
// due to the one behind its documents: on the clock, and by the CPU time of the thread that counts, which the load of the machine does not touch;
// the kernel may tell that by ticks of 4 ms.
func BenchmarkPause(b *testing.B) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	stream := newWireStream(b, wideFeatures, 1)
	messages := stream.messages(3000)
	for _, beside := range []bool{false, true} {
		b.Run(fmt.Sprintf("beside=%v", beside), func(b *testing.B) {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			p, out := stream.watched(detectors.Default()), fold.Output{} //nolint:exhaustruct // empty
			if beside {
				p.JudgeBeside(goes)
			}
			seq := uint64(0)
			apply := func(i int, hour int64) (took, cpu time.Duration) {
				m := messages[i%len(messages)]
				stream.renew(m.Data, seq)
				m.Data = stream.move(m.Data, hour)
				seq++
				m.Seq = seq
				begin, beginCPU := time.Now(), threadTime(b)
				if done, err := p.Apply(m, &out); err != nil || !done {
					b.Fatal(done, err)
				}
				return time.Since(begin), threadTime(b) - beginCPU
			}
			var pauses, pausesCPU, plain []time.Duration
			counted, next := 0, 0
			for hour := int64(0); b.Loop(); hour++ {
				b.StopTimer()
				for i := next; i < len(messages); i++ {
					took, _ := apply(i, hour)
					plain = append(plain, took)
				}
				out = fold.Output{} //nolint:exhaustruct // empty
				b.StartTimer()
				most, mostCPU := time.Duration(0), time.Duration(0)
				for next = 0; next == 0 || p.Judging(); next++ {
					took, cpu := apply(next, hour+1)
					most, mostCPU = max(most, took), max(mostCPU, cpu)
					counted++
				}
				if out.Results == 0 {
					b.Fatal("no result")
				}
				if hour > 0 { // plans are made in the first
					pauses, pausesCPU = append(pauses, most), append(pausesCPU, mostCPU)
				}
			}
			for _, all := range []struct {
				name string
				took []time.Duration
			}{{"pause-ms", pauses}, {"pause-cpu-ms", pausesCPU}, {"message-ms", plain}} {
				if slices.Sort(all.took); len(all.took) > 0 {
					b.ReportMetric(float64(all.took[0].Microseconds())/1000, "least-"+all.name)
					b.ReportMetric(float64(all.took[len(all.took)/2].Microseconds())/1000, all.name)
				}
			}
			b.ReportMetric(float64(counted)/float64(b.N), "messages-meanwhile")
		})
	}
}

// threadTime is the CPU time of the thread.
func threadTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_THREAD, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
