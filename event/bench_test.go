package event_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/driftd/driftd/event"
)

// benchRecord returns an event of 20 numbers and 5 strings: about 525 bytes with short numbers, as a team writes them
// that rounds, and about 790 with the 17 digits that Python prints.
func benchRecord(long bool) string {
	var b strings.Builder
	b.WriteString(`{"model":"credit-risk","version":"2026-11-01","id":"9f1c2d3e-4b5a-4c6d-8e7f-0123456789ab",` +
		`"ts":"2026-11-22T10:00:00.123Z","latency_ms":12.7,"prediction":0.231,"features":{`)
	for i := range 20 {
		if long {
			fmt.Fprintf(&b, `"f%02d":%.17g,`, i, 1/(float64(i)+1.37))
		} else {
			fmt.Fprintf(&b, `"f%02d":%.4f,`, i, float64(i)*0.737+0.1234)
		}
	}
	b.WriteString(`"country":"DE","channel":"web","device":"mobile","plan":"premium","browser":"firefox"}}`)
	return b.String()
}

// batch repeats a record as NDJSON.
func batch(record string, n int) []byte { return []byte(strings.Repeat(record+"\n", n)) }

func BenchmarkDecode(b *testing.B) {
	for _, bb := range []struct {
		name    string
		message []byte
		records int
	}{
		{"short/records=1", batch(benchRecord(false), 1), 1},
		{"short/records=64", batch(benchRecord(false), 64), 64},
		{"long/records=1", batch(benchRecord(true), 1), 1},
		{"long/records=64", batch(benchRecord(true), 64), 64},
	} {
		b.Run(bb.name+"/driftd", func(b *testing.B) {
			d := event.NewDecoder(event.DefaultLimits())
			b.SetBytes(int64(len(bb.message)))
			b.ReportAllocs()
			for b.Loop() {
				d.Reset(bb.message)
				for d.Next() {
					if _, err := d.Event(); err != nil {
						b.Fatal(err)
					}
				}
			}
			perRecord(b, bb.records)
		})
		b.Run(bb.name+"/encoding_json_map", func(b *testing.B) {
			b.SetBytes(int64(len(bb.message)))
			b.ReportAllocs()
			for b.Loop() {
				for line := range strings.Lines(string(bb.message)) {
					var m map[string]any
					if err := json.Unmarshal([]byte(line), &m); err != nil {
						b.Fatal(err)
					}
				}
			}
			perRecord(b, bb.records)
		})
	}
}

// perRecord reports the time of one record.
func perRecord(b *testing.B, records int) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*records), "ns/record")
}
