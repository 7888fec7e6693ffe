package store

// span is where a JSON value lies in a document.
type span struct {
	pos, size int
}

// arrayElements returns where the elements of the array lie that the top-level object has under key. The document must be
// valid JSON that encoding/json has accepted: this only counts brackets outside of strings, and reads each byte once, where
// decoding into json.RawMessage would read and copy all of it again. It returns nil where there is no such array or two.
func arrayElements(data []byte, key string) []span {
	var out []span
	found := false
	depth, start := 0, -1
	inArray := false  // at depth 2, in the array asked for
	name := span{}    // the last string at depth 1
	expected := false // a value of key follows
	for i := 0; i < len(data); i++ {
		switch c := data[i]; c {
		case '"':
			from := i + 1
			for i = from; i < len(data) && data[i] != '"'; i++ {
				if data[i] == '\\' {
					i++
				}
			}
			if depth == 1 {
				name = span{from, i - from}
			}
		case ':':
			if depth == 1 {
				expected = string(data[name.pos:name.pos+name.size]) == key
			}
		case '{', '[':
			depth++
			if depth == 2 && c == '[' && expected {
				if found {
					return nil
				}
				inArray, found = true, true
			}
			if depth == 3 && inArray {
				start = i
			}
		case '}', ']':
			if depth == 3 && inArray {
				out = append(out, span{start, i + 1 - start})
			}
			if depth--; depth == 1 {
				inArray = false
			}
		}
	}
	return out
}
