package ingest_test

import (
	"fmt"
	"testing"

	"github.com/driftd/driftd/broker/brokertest"
	"github.com/driftd/driftd/ingest"
)

// BenchmarkConsumer reads a prefilled stream through the checked consumer; embedded broker over loopback TCP, file storage.
func BenchmarkConsumer(b *testing.B) {
	for _, size := range []int{512, 32 << 10} {
		b.Run(fmt.Sprintf("%dB", size), func(b *testing.B) {
			_, js := brokertest.New(b)
			makeStream(b, js, nil)
			p := ingest.NewPublisher(js)
			n := 200_000
			if size > 4096 {
				n = 10_000
			}
			data := make([]byte, size)
			for i := range n {
				if err := p.Publish(deadline(b), "ml.events.m", "", data, i); err != nil {
					b.Fatal(err)
				}
			}
			if err := p.Flush(deadline(b)); err != nil {
				b.Fatal(err)
			}
			if err := p.Close(); err != nil {
				b.Fatal(err)
			}
			ctx := deadline(b)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			b.ResetTimer()
			for done := 0; done < b.N; {
				c, err := ingest.OpenConsumer(ctx, js, stream, 1, ingest.ConsumerOptions{})
				if err != nil {
					b.Fatal(err)
				}
				for i := 0; i < n && done < b.N; i++ {
					if _, err := c.Next(ctx); err != nil {
						b.Fatal(err)
					}
					done++
				}
				c.Close()
			}
		})
	}
}
