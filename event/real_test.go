package event_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/driftd/driftd/event"
	"github.com/driftd/driftd/internal/testenv"
)

// TestServingLog decodes a real serving log: as one message, line by line, and as arrays. The counts of events and labels
// are those of expected.json beside it; the values are encoding/json's (the oracle).
func TestServingLog(t *testing.T) {
	f, err := os.Open(testenv.Shared(t, "data", "serving-log-elec2", "events.ndjson.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	log, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(testenv.Shared(t, "data", "serving-log-elec2", "expected.json"))
	if err != nil {
		t.Fatal(err)
	}
	type counts struct {
		Lines       int `json:"lines"`
		Predictions int `json:"prediction_events"`
		Labels      int `json:"label_events"`
	}
	var expected struct {
		Model string `json:"model"`
		Log   counts `json:"log"`
	}
	if err := json.Unmarshal(text, &expected); err != nil {
		t.Fatal(err)
	}

	d := event.NewDecoder(event.DefaultLimits())
	var got counts
	var whole []string
	for d.Reset(log); d.Next(); got.Lines++ {
		ev, rej := d.Event()
		if rej != nil {
			t.Fatalf("line %d: %v", got.Lines, rej)
		}
		if ev.IsLabel {
			got.Labels++
		} else {
			got.Predictions++
		}
		if string(ev.Model) != expected.Model || !ev.HasTime || len(ev.ID) == 0 || ev.UnknownKeys+ev.DuplicateKeys+ev.WrongType != 0 {
			t.Fatalf("line %d: %s", got.Lines, describe(ev))
		}
		whole = append(whole, describe(ev))
	}
	if got != expected.Log {
		t.Errorf("got %+v, want %+v", got, expected.Log)
	}
	if got != (counts{83_765, 42_751, 41_014}) {
		t.Errorf("the log is another one: %+v", got)
	}
	lines := bytes.Split(bytes.TrimSpace(log), []byte("\n"))
	step := 1
	if testing.Short() {
		step = 10
	}
	for i := 0; i < len(lines); i += step {
		line := lines[i]
		if one := decodeAll(d, line); len(one) != 1 || one[0] != whole[i] {
			t.Fatalf("line %d alone: (-in the log +alone)\n%s", i, cmp.Diff(whole[i:i+1], one))
		}
		if i%50 == 0 {
			if want := oracleDecode(line, event.DefaultLimits()); !cmp.Equal(want, whole[i:i+1]) {
				t.Fatalf("line %d: (-oracle +decoder)\n%s", i, cmp.Diff(want, whole[i:i+1]))
			}
		}
	}
	for i := 0; i < len(lines); i += 1000 {
		end := min(i+1000, len(lines))
		array := append(append([]byte("["), bytes.Join(lines[i:end], []byte(","))...), ']')
		if got := decodeAll(d, array); !cmp.Equal(whole[i:end], got) {
			t.Fatalf("lines %d to %d as an array differ", i, end)
		}
	}
}

// TestNoAllocations: a decoder that has seen a message of a kind allocates nothing for the next one.
func TestNoAllocations(t *testing.T) {
	for name, message := range map[string][]byte{
		"short numbers": batch(benchRecord(false), 64),
		"long numbers":  batch(benchRecord(true), 64),
		"array":         []byte("[" + benchRecord(false) + "," + benchRecord(true) + "]"),
		"nested, escaped, scores": []byte(`{"model":"m\u0031","ts":1.5e12,"prediction":{"label":"a\n","scores":{"x":0.1,"y":{"z":1}}},` +
			`"features":{"a":{"b":{"c":"\ud83d\ude00"}},"d":[[1,2],{"e":null}]},"segment":{"s":{"t":"é"}},"other":{"a":[true]}}`),
		"label":               []byte(`{"model":"m","id":"e-1","ts":"2024-04-02T20:30:35.976+01:00","label":1}`),
		"numbers for strconv": []byte(`{"features":{"a":1e-300,"b":1.7976931348623157e308,"c":12345678901234567890123}}`),
	} {
		d := event.NewDecoder(event.DefaultLimits())
		var category []byte
		got := testing.AllocsPerRun(100, func() {
			for d.Reset(message); d.Next(); {
				ev, rej := d.Event()
				if rej != nil {
					t.Fatalf("%s: %v", name, rej)
				}
				if model, rej := event.ResolveModel("", ev); rej != nil && rej.Reason != event.RejectNoModel || len(model) > 128 {
					t.Fatalf("%s: %v", name, rej)
				}
				for _, f := range ev.Features {
					f.Float()
					category, _ = f.AppendCategory(category[:0])
				}
			}
		})
		// ResolveModel allocates its refusal of the one message that names no model.
		if want := float64(bytes.Count(message, []byte("1e-300"))); got != want {
			t.Errorf("%s: %v allocations a message, want %v", name, got, want)
		}
	}
}
