package main

import (
	"fmt"
	"math"
	"testing"

	"github.com/driftd/driftd/event"
)

// What the example publishes is read as it is meant.
func TestMessages(t *testing.T) {
	e := events{
		ids: []string{"a", "b"}, times: []int64{1000, 2000}, ages: []float64{41, math.NaN()}, countries: []string{"DE", "FR"}, scores: []float64{0.25, 0.75},
	}
	stream, err := e.arrow()
	if err != nil {
		t.Fatal(err)
	}
	want := `[{"ts":1000,"id":"a","prediction":0.25,"features":{"age":41,"country":"DE"}} {"ts":2000,"id":"b","prediction":0.75,"features":{"age":null,"country":"FR"}}]`
	for name, message := range map[string][]byte{"protobuf": e.protobuf(), "Arrow": stream} {
		d := event.NewDecoder(event.DefaultLimits())
		d.Reset(message)
		var got []string
		for d.Next() {
			if _, rejected := d.Event(); rejected != nil {
				t.Fatalf("%s: %v", name, rejected)
			}
			got = append(got, string(d.Raw()))
		}
		if fmt.Sprint(got) != want {
			t.Errorf("%s: %v, want %s", name, got, want)
		}
	}
}
