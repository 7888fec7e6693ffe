package rows

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"

	"github.com/driftd/driftd/event"
)

// A column is written in blocks of spillBlock bytes; where there are very many columns, of less: each has one block in memory.
const (
	spillBlock      = 16 << 10
	leastSpillBlock = 512
	spillBlocks     = 64 << 20 // bytes of all columns' blocks together, as long as these are not the smallest
)

// block returns the size of the blocks.
func (s *spill) block() int {
	return min(max(spillBlocks/max(len(s.columns), 1), leastSpillBlock), spillBlock)
}

// spill keeps the values of many columns that arrive row by row, so that they can be read column by column: in memory up to a
// budget, from then on in a temporary file that nobody else can see.
type spill struct {
	columns []*spillColumn
	budget  int64
	held    int64 // bytes of finished blocks in memory
	dir     string
	file    *os.File
	size    int64 // of the file
}

// spillColumn is one column: finished blocks, and the one that is being filled.
//
// A block is a sequence of runs: one byte that says of what, four bytes with how many, and their values.
type spillColumn struct {
	blocks []block
	buf    []byte
	run    byte // the kind of the open run, 0 for none
	at     int  // where the length of the open run stands in buf
	length uint32
	rows   uint64
}

type block struct {
	data []byte // nil: in the file
	from int64
	size int
}

// The kinds of runs.
const (
	runNumbers = 'n' // eight bytes each
	runNulls   = '0'
	runFalse   = 'f'
	runTrue    = 't'
	runInvalid = 'x'
	runTexts   = 's' // a uvarint with the length, and the bytes
)

// add adds a value to column i, which must exist.
func (s *spill) add(i int, v event.Value) error {
	c := s.columns[i]
	c.rows++
	switch v.Kind {
	case event.ValueNumber:
		c.open(runNumbers)
		c.buf = binary.LittleEndian.AppendUint64(c.buf, math.Float64bits(v.Num))
	case event.ValueBool:
		if v.Num != 0 {
			c.open(runTrue)
		} else {
			c.open(runFalse)
		}
	case event.ValueString:
		c.open(runTexts)
		c.buf = binary.AppendUvarint(c.buf, uint64(len(v.Str)))
		c.buf = append(c.buf, v.Str...)
	case event.ValueNull:
		c.open(runNulls)
	default:
		c.open(runInvalid)
	}
	if len(c.buf) >= s.block() || c.length == math.MaxUint32 {
		return s.seal(c)
	}
	return nil
}

// nulls adds n missing values to column i.
func (s *spill) nulls(i int, n uint64) error {
	c := s.columns[i]
	c.rows += n
	for n > 0 {
		c.open(runNulls)
		more := min(n-1, uint64(math.MaxUint32-c.length)) // open counted one
		c.length += uint32(more)
		n -= more + 1
		if c.length == math.MaxUint32 {
			if err := s.seal(c); err != nil {
				return err
			}
		}
	}
	return nil
}

// open continues a run of the kind or starts one.
func (c *spillColumn) open(kind byte) {
	if c.run != kind {
		c.end()
		c.run, c.at, c.length = kind, len(c.buf)+1, 0
		c.buf = append(c.buf, kind, 0, 0, 0, 0)
	}
	c.length++
}

func (c *spillColumn) end() {
	if c.run != 0 {
		binary.LittleEndian.PutUint32(c.buf[c.at:], c.length)
	}
	c.run = 0
}

// seal finishes the block that is being filled.
func (s *spill) seal(c *spillColumn) error {
	c.end()
	if len(c.buf) == 0 {
		return nil
	}
	if s.file == nil && s.held+int64(len(c.buf)) <= s.budget {
		c.blocks = append(c.blocks, block{data: c.buf, from: 0, size: len(c.buf)})
		s.held += int64(cap(c.buf))
		c.buf = nil
		return nil
	}
	if s.file == nil {
		f, err := os.CreateTemp(s.dir, "driftd-rows-*")
		if err != nil {
			return fmt.Errorf("keeping rows that do not fit in memory: %w", err)
		}
		s.file = f
		_ = os.Remove(f.Name()) // where the system allows: nothing is left behind whatever happens; else close does it
	}
	if _, err := s.file.WriteAt(c.buf, s.size); err != nil {
		return fmt.Errorf("keeping rows that do not fit in memory (set TMPDIR to a larger disk): %w", err)
	}
	c.blocks = append(c.blocks, block{data: nil, from: s.size, size: len(c.buf)})
	s.size += int64(len(c.buf))
	c.buf = c.buf[:0]
	return nil
}

// finish seals all columns. After it, columns may be read at the same time.
func (s *spill) finish() error {
	for _, c := range s.columns {
		if err := s.seal(c); err != nil {
			return err
		}
		c.buf = nil
	}
	return nil
}

func (s *spill) close() error {
	if s.file == nil {
		return nil
	}
	err := s.file.Close()
	if e := os.Remove(s.file.Name()); e != nil && !errors.Is(e, os.ErrNotExist) {
		err = errors.Join(err, e)
	}
	return err //nolint:wrapcheck // the Table says what it was doing
}

// read gives all values of column i to v.
func (s *spill) read(i int, v Visitor, stop func() error) error {
	var buf []byte
	var numbers []float64
	for _, b := range s.columns[i].blocks {
		if err := stop(); err != nil {
			return err
		}
		data := b.data
		if data == nil {
			if cap(buf) < b.size {
				buf = make([]byte, b.size)
			}
			data = buf[:b.size]
			if _, err := s.file.ReadAt(data, b.from); err != nil {
				return fmt.Errorf("reading rows back: %w", err)
			}
		}
		numbers = visitBlock(data, v, numbers)
	}
	return nil
}

// visitBlock gives the values of a block to v. numbers is scratch, returned for the next block.
func visitBlock(data []byte, v Visitor, numbers []float64) []float64 {
	for len(data) > 0 {
		kind, n := data[0], int(binary.LittleEndian.Uint32(data[1:]))
		data = data[5:]
		switch kind {
		case runNumbers:
			numbers = numbers[:0]
			for k := range n {
				numbers = append(numbers, math.Float64frombits(binary.LittleEndian.Uint64(data[8*k:])))
			}
			data = data[8*n:]
			v.Numbers(numbers)
		case runNulls:
			v.Nulls(n)
		case runTexts:
			for range n {
				size, head := binary.Uvarint(data)
				end := head + int(size)
				v.Value(event.Value{Kind: event.ValueString, Num: 0, Str: data[head:end:end]})
				data = data[end:]
			}
		default:
			value := event.Value{Kind: event.ValueInvalid, Num: 0, Str: nil}
			switch kind {
			case runFalse:
				value = event.Value{Kind: event.ValueBool, Num: 0, Str: []byte("false")}
			case runTrue:
				value = event.Value{Kind: event.ValueBool, Num: 1, Str: []byte("true")}
			}
			for range n {
				v.Value(value)
			}
		}
	}
	return numbers
}
