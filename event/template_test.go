package event_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/driftd/driftd/event"
	"github.com/driftd/driftd/internal/columnstest"
)

// decoded is all that a decoder says of a record, copied.
type decoded struct {
	Index    int
	Raw      string
	Event    event.Event
	Rejected string
	Model    string
}

// decodeTwins decodes a message with a decoder that follows templates and with one that does not, compares what they say, and returns how
// many records followed one.
func decodeTwins(t *testing.T, fast, plain *event.Decoder, producer string, message []byte) (followed int) {
	t.Helper()
	fast.ResetFrom(producer, message)
	plain.Reset(message)
	together := len(message)%3 > 0 // as many as there are, or not all of them
	for plain.Next() {
		if b := fast.Batch(); b != nil && together {
			n := b.End - b.Row
			if n -= n / 2 * (len(message) % 2); n == 0 {
				t.Fatalf("message %q: a batch of no records before %d", message, plain.Index())
			}
			for k := range n {
				if k > 0 && !plain.Next() {
					t.Fatalf("message %q: the batch has a record more than %d", message, plain.Index())
				}
				sameRow(t, b, b.Row+k, plain)
			}
			if fast.Skip(n); fast.Index() != plain.Index() {
				t.Fatalf("message %q: behind a batch is record %d, want %d", message, fast.Index(), plain.Index())
			}
			followed += n
			continue
		}
		if !fast.Next() {
			t.Fatalf("message %q: no record %d by templates", message, plain.Index())
		}
		got, columns := say(fast)
		want, _ := say(plain)
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("message %q: (-plain +by templates)\n%s", message, diff)
		}
		if columns {
			followed++
		}
	}
	if fast.Next() {
		t.Fatalf("message %q: one record more by templates", message)
	}
	return followed
}

func say(d *event.Decoder) (out decoded, columns bool) {
	d.NextIDs(nil, 3) // whatever they are
	out.Index, out.Raw = d.Index(), string(d.Raw())
	ev, rejected := d.Event()
	if rejected != nil {
		out.Rejected, out.Model = rejected.Error(), string(rejected.Model)
		return out, false
	}
	columns = ev.Columns != nil
	d.Fields()
	out.Event = *ev
	out.Event.Row = 0
	out.Event.Prediction, out.Event.Features, out.Event.Segments = copied(ev.Prediction), copied(ev.Features), copied(ev.Segments)
	return out, columns
}

// featureColumn returns the i-th column of those of features.
func featureColumn(c *event.Columns, i int) *event.Column {
	for k := range c.Len() {
		if col := c.Column(k); col.IsFeature() {
			if i--; i < 0 {
				return col
			}
		}
	}
	return nil
}

// copied returns fields that outlive the record. Columns do not keep how a number was written: the category is checked in its place.
func copied(fields []event.Field) (out []event.Field) {
	for _, f := range fields {
		f.Name = bytes.Clone(f.Name)
		if f.Str = bytes.Clone(f.Str); f.Kind == event.ValueNumber {
			f.Str = nil
			f.Str, _ = f.AppendCategory(nil)
		}
		out = append(out, f)
	}
	return out
}

// skeletons are records without their values: # is a number, $ a word, ! a boolean, % a time, @ a text.
func skeletons() []string {
	return []string{
		`{"model":"m","id":@,"ts":%,"features":{"a":#,"b":#,"c":$}}`,
		`{"model": @, "version": @, "id": @, "ts": %, "latency_ms": #, "status": @, "prediction": #, "features": {"a": #, "b": $, "c": !, "long name": #}}`,
		`{"model":"m","prediction":{"label":$,"score":#,"scores":{"x":#,"y":#}},"segment":{"region":$,"tier":{"n":#}},"features":{"n":{"a":#,"b":{"c":$}}}}`,
		`{"extra":{"k":[#,#,{"z":$}]},"model":"m","other":@,"features":{"a":#,"a":#},"schema":#}`,
		`{"features":@,"segment":@,"model":"m","prediction":@}`,
		`{"label":@,"id":"1","model":"m","prediction_ts":%,"features":{"a":#}}`,
		`{"model":"m","model":"m","features":{"a":#}}`,
		`{ "model" : "m" , "features" : { "a" : # , "b" : $ } , "prediction_ts" : % }`,
		`{"features":{},"model":"m","label":null,"prediction":#}`,
		`{}`,
	}
}

// randomRecords returns a message of records that have most in common, as producers write them, and some that do not.
func randomRecords(rng *rand.Rand, skeletons []string) []byte {
	numbers := []string{"0", "-0", "1", "12.5", "-103.25", "0.5", "1234567", "12345678", "1.2345678", "12345678901234567890", "1e3", "1.5E-7", "3.141592653589793", "1e400", "01", "1.", "-", "NaN", "null", "true", `"7"`}
	words := []string{`"DE"`, `""`, `"a longer one than eight"`, `"é"`, `"\u0041"`, `"\ud800"`, "\"\xff\"", `"a\nb"`, "null", "5", "false", `"NaN"`}
	anything := []string{`"ok"`, `"m-1"`, `"200"`, `"2026-11-01"`, "200", "null", "{}", `{"x":1}`, "[1]", "true", "Infinity", `"bad`, "-1", `"` + strings.Repeat("v", 30) + `"`}
	times := []string{"1763805600123", `"2026-11-22T10:00:00Z"`, "0", `"2026-11-22 10:00:00"`, "null", "1e300", "[]"}
	pick := func(of []string, common int) string {
		if rng.IntN(60) > 0 {
			return of[rng.IntN(common)]
		}
		return of[rng.IntN(len(of))]
	}
	joint, end := "\n", ""
	var b strings.Builder
	switch rng.IntN(4) {
	case 0:
		joint, end = ",", "]"
		b.WriteByte('[')
	case 1:
		joint = ""
	}
	mine := rng.IntN(len(skeletons))
	for k := range 1 + rng.IntN(12) {
		if k > 0 {
			b.WriteString(joint)
		}
		if rng.IntN(12) == 0 {
			mine = rng.IntN(len(skeletons))
		}
		for _, c := range []byte(skeletons[mine]) {
			switch c {
			case '#':
				b.WriteString(pick(numbers, 13))
			case '$':
				b.WriteString(pick(words, 4))
			case '!':
				b.WriteString(pick([]string{"true", "false", "null", "1"}, 2))
			case '%':
				b.WriteString(pick(times, 3))
			case '@':
				b.WriteString(pick(anything, 4))
			default:
				b.WriteByte(c)
			}
		}
	}
	b.WriteString(end)
	s := b.String()
	if rng.IntN(3) == 0 {
		i := rng.IntN(len(s))
		s = s[:i] + []string{"", "}", " ", "\n", "x", ",", "\""}[rng.IntN(7)] + s[min(len(s), i+rng.IntN(2)):]
	}
	return []byte(s)
}

// Whatever a decoder has learnt from the messages before, it says of a record what one says that learns nothing.
func TestTemplatesChangeNothing(t *testing.T) {
	rng := rand.New(rand.NewPCG(31, 32))
	n, followed := 4000, 0
	if testing.Short() {
		n = 1000
	}
	for _, limits := range []event.Limits{event.DefaultLimits(), tightLimits()} {
		var fast *event.Decoder
		var some []string
		plain := event.NewDecoder(limits)
		for i := range n {
			if i%50 == 0 {
				fast = event.NewDecoder(limits)
				fast.KeepColumns()
				some = skeletons()
				rng.Shuffle(len(some), func(i, j int) { some[i], some[j] = some[j], some[i] })
				some = some[:1+rng.IntN(5)]
			}
			followed += decodeTwins(t, fast, plain, []string{"", "a", "b"}[rng.IntN(3)], randomRecords(rng, some))
		}
	}
	if followed < 2*n {
		t.Errorf("%d records of %d messages followed a template: nothing was tried", followed, 2*n)
	}
}

// Columns that are held keep the rows of many messages, of producers that take turns, as long as they are; others do not.
func TestHeldColumns(t *testing.T) {
	d := event.NewDecoder(event.DefaultLimits())
	d.KeepColumns()
	const producers, messages = 20, 2000
	names := [producers]string{}
	held, want := map[*event.Columns][][2]string{}, 0
	check := func() {
		for c, rows := range held {
			for _, of := range rows {
				row, err := strconv.Atoi(of[0])
				if err != nil {
					t.Fatal(err)
				}
				if got := []string{fmt.Sprint(featureColumn(c, 0).Value(row).Num), string(featureColumn(c, 1).Value(row).Str)}; got[0] != of[1] || got[1] != "word "+of[1] {
					t.Errorf("row %d has %q, want %s twice", row, got, of[1])
				}
				want++
			}
			if c.Rows() < len(rows) {
				t.Errorf("%d rows, want at least %d", c.Rows(), len(rows))
			}
			c.Release()
		}
		clear(held)
	}
	for i := range messages {
		of := i * 7 % producers
		if i%(2*producers) == of { // now and then the name is not known
			names[of] = fmt.Sprint("producer ", of)
		} else {
			names[of] = ""
		}
		d.ResetFrom(names[of], fmt.Appendf(nil, `{"model":"m%d","features":{"x%d":%d,"c":"word %d"}}`, of, of, i, i))
		for d.Next() {
			ev, rejected := d.Event()
			if rejected != nil {
				t.Fatal(rejected)
			}
			switch {
			case ev.Columns == nil: // a template is learnt
			case i%5 == 0: // nobody wants it
			default:
				ev.Columns.Hold()
				held[ev.Columns] = append(held[ev.Columns], [2]string{strconv.Itoa(ev.Row), strconv.Itoa(i)})
			}
		}
		if i%317 == 0 {
			check()
		}
	}
	check()
	if most := messages - messages/5 - 2*4*producers; want < most {
		t.Errorf("%d rows were held, want %d or more: producers that take turns follow no template", want, most)
	}
}

// Columns that are released in the middle of a message keep the rows of that message, so that its records do not change each other.
func TestReleasedColumns(t *testing.T) {
	d := event.NewDecoder(event.DefaultLimits())
	d.KeepColumns()
	next := func() *event.Event {
		t.Helper()
		if !d.Next() {
			t.Fatal("no record")
		}
		ev, rejected := d.Event()
		if rejected != nil {
			t.Fatal(rejected)
		}
		return ev
	}
	d.Reset([]byte(`{"features":{"c":"learnt"}}`))
	next()
	for range 3 {
		d.Reset([]byte(`{"features":{"c":"one"}}{"features":{"c":"two"}}{"features":{"c":"three"}}`))
		first := *next()
		first.Columns.Hold()
		second := *next()
		second.Columns.Hold()
		second.Columns.Release()
		third := *next()
		for i, ev := range []event.Event{first, second, third} {
			if got, want := string(featureColumn(ev.Columns, 0).Value(ev.Row).Str), []string{"one", "two", "three"}[i]; got != want || ev.Row != i {
				t.Errorf("row %d is %q, want row %d to be %q", ev.Row, got, i, want)
			}
		}
	}
}

// The ids of records of the same lengths are known ahead, and no more than there are.
func TestNextIDs(t *testing.T) {
	tab := columnstest.Table{Names: []string{"id", "model", "features.x"}, Values: [][]any{{"a1", "b2", "c3", "d4", "e5"}, {"m", "m", "m", "m", "m"}, {1.5, 2.5, 3.5, 4.5, 5.5}}}
	for name, message := range map[string][]byte{"NDJSON": tab.JSON(t), "protobuf": tab.Protobuf()} {
		d := event.NewDecoder(event.DefaultLimits())
		d.KeepColumns()
		d.Reset([]byte(`{"features":{"x":1},"id":"z0","model":"m"}`)) // to learn from
		for d.Next() {
			if ids := d.NextIDs(nil, 9); len(ids) > 0 {
				t.Errorf("%s: ids %q behind the last record", name, ids)
			}
		}
		d.Reset(message)
		for want := [][]byte{[]byte("b2"), []byte("c3"), []byte("d4"), []byte("e5")}; d.Next(); want = want[min(1, len(want)):] {
			if diff := cmp.Diff(want[:min(3, len(want))], d.NextIDs(nil, 3), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("%s: behind record %d: %s", name, d.Index(), diff)
			}
		}
	}
}

func FuzzTemplates(f *testing.F) {
	for _, s := range seedMessages() {
		if len(s) < 1000 {
			f.Add([]byte(s))
		}
	}
	rng := rand.New(rand.NewPCG(33, 34))
	for range 50 {
		f.Add(randomRecords(rng, skeletons()))
	}
	f.Fuzz(func(t *testing.T, message []byte) {
		if event.EncodingOf(message) != event.EncodingJSON {
			return // see FuzzColumns
		}
		for _, limits := range []event.Limits{event.DefaultLimits(), tightLimits()} {
			fast, plain := event.NewDecoder(limits), event.NewDecoder(limits)
			fast.KeepColumns()
			for range 3 {
				decodeTwins(t, fast, plain, "", message)
			}
			decodeTwins(t, fast, plain, "", bytes.Join([][]byte{message, message, message}, []byte("\n")))
		}
	})
}
