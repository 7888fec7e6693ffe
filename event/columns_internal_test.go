package event

import (
	"testing"

	"github.com/driftd/driftd/internal/columnstest"
)

// Columns that are held now and then do not each keep the memory of the largest message.
func TestColumnsThatAreHeldAreBounded(t *testing.T) {
	message := func(rows int) []byte {
		table := columnstest.Table{Names: []string{"features.x"}, Values: [][]any{make([]any, rows)}}
		for i := range rows {
			table.Values[0][i] = 1.5
		}
		for i := range 7 {
			table.Names = append(table.Names, "features.y"+string(rune('0'+i)))
			table.Values = append(table.Values, table.Values[0])
		}
		return table.Protobuf()
	}
	small, large := message(1), message(1<<16)
	d := NewDecoder(DefaultLimits())
	d.KeepColumns()
	read := func(message []byte) *Columns {
		d.Reset(message)
		if !d.Next() {
			t.Fatal("there is no record")
		}
		return d.columns
	}
	for n := range 6 {
		held := make([]*Columns, n)
		for i := range held {
			held[i] = read(small)
			held[i].Hold()
		}
		read(large)
		for _, c := range held {
			c.Release()
		}
	}
	read(small)
	values := 0
	for _, c := range d.all {
		for i := range c.all[:cap(c.all)] {
			values += cap(c.all[:cap(c.all)][i].nums)
		}
	}
	if len(d.all) < 6 || values > 9<<16 {
		t.Errorf("%d columns keep %d values, want at most those of one message of %d", len(d.all), values, 8<<16)
	}
}
