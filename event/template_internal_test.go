package event

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
)

// However many producers there are, and whatever they write, what is remembered of them is bounded, and their records are read.
func TestTemplatesAreBounded(t *testing.T) {
	d := NewDecoder(DefaultLimits())
	d.KeepColumns()
	calls := 0
	decode := func(producer string, message []byte) {
		t.Helper()
		for d.ResetFrom(producer, message); d.Next(); {
			if _, rejected := d.Event(); rejected != nil {
				t.Fatal(rejected)
			}
		}
		if calls++; calls%100 > 0 && len(message) < 100 {
			return // counting all of them takes a while
		}
		slots, bytes := 0, 0
		for _, p := range d.templates.producers {
			slots += producerSlots
			for _, one := range p.all {
				slots += len(one.slots)
				bytes += one.columns.bytes()
			}
		}
		if slots != d.templates.slots || bytes != d.templates.bytes {
			t.Fatalf("%d slots and %d bytes are known, there are %d and %d", d.templates.slots, d.templates.bytes, slots, bytes)
		}
		if slots > 2*maxSlots || bytes > 2*maxColumns {
			t.Fatalf("%d slots and %d bytes, want at most %d and %d", slots, bytes, maxSlots, maxColumns)
		}
	}
	forgotten := 0
	check := func(producer string, message []byte) {
		before := len(d.templates.producers)
		decode(producer, message)
		if len(d.templates.producers) < before {
			forgotten++
		}
	}
	for i := range maxSlots/producerSlots + 100 { // names that come once
		check("", fmt.Appendf(nil, `{"model":"m%d"}`, i))
	}
	if forgotten == 0 {
		t.Error("names that come once are never forgotten")
	}
	forgotten = 0
	wide := []byte(`{"features":{"f0":0`)
	for i := range 1000 {
		wide = fmt.Appendf(wide, `,"f%d":%d`, i+1, i)
	}
	wide = append(wide, "}}\n"...)
	for i := range maxSlots/1000 + 100 { // templates of many values
		check(fmt.Sprint("wide", i), wide)
	}
	if forgotten == 0 {
		t.Error("wide templates are never forgotten")
	}
	forgotten = 0
	var many []byte
	for range 600 {
		many = append(many, wide...)
	}
	for i := range maxColumns/(8*1000*512) + 10 { // columns of many rows
		check(fmt.Sprint("long", i), many)
	}
	if forgotten == 0 {
		t.Error("long columns are never forgotten")
	}
	forgotten = 0
	escaped := slices.Concat([]byte(`{"features":{"s":"\u0041`), bytes.Repeat([]byte("a"), 512<<10), []byte("\"}}\n"))
	for i := range maxColumns/(512<<10) + 10 { // strings that are written with escapes
		check(fmt.Sprint("escaped", i), slices.Concat(escaped, escaped))
	}
	if forgotten == 0 {
		t.Error("strings without their escapes are never forgotten")
	}
}
