package store

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// FuzzArrayElements compares with encoding/json: where the span finder returns the array, each span holds that element.
func FuzzArrayElements(f *testing.F) {
	for _, seed := range []string{
		`{"features":[{"a":1},{"b":"]}"}]}`, `{"features":[]}`, `{"features":3}`, `{"x":{"features":[{}]},"features":[{"y":[{}]}]}`,
		`{"a":"features","b":[{}]}`, `{"a\"":"\\","features" : [ {"k":"\\\""} , {} ]}`, `{"features":[{}],"features":[{}]}`, `{}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var doc map[string]json.RawMessage
		if json.Unmarshal(data, &doc) != nil {
			return
		}
		got := arrayElements(data, "features")
		var want []json.RawMessage
		if json.Unmarshal(doc["features"], &want) != nil || len(got) != len(want) {
			return // refused by its caller
		}
		for i := range want {
			if sp := got[i]; string(data[sp.pos:sp.pos+sp.size]) != string(want[i]) {
				// Elements that are no objects are refused by its caller before; spans of several arrays never mix.
				if len(want[i]) > 0 && want[i][0] == '{' {
					t.Errorf("%s: element %d is %q, want %q", data, i, data[sp.pos:sp.pos+sp.size], want[i])
				}
			}
		}
	})
}

func TestArrayElements(t *testing.T) {
	data := `{"a\"b":"features","z":[{"q":1}],"features" : [ {"k":"]}\\\""} , {"n":[{}]} ],"t":{"features":[{}]}}`
	var got []string
	for _, sp := range arrayElements([]byte(data), "features") {
		got = append(got, data[sp.pos:sp.pos+sp.size])
	}
	if diff := cmp.Diff([]string{`{"k":"]}\\\""}`, `{"n":[{}]}`}, got); diff != "" {
		t.Error(diff)
	}
}
