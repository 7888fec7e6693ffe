package main

import (
	"fmt"
	"strings"
)

// tally counts by reason.
type tally map[string]uint64

func (t *tally) add(reason string) {
	if *t == nil {
		*t = tally{}
	}
	(*t)[reason]++
}

func (t tally) total() (n uint64) {
	for _, c := range t {
		n += c
	}
	return n
}

// String lists the reasons in order: `bad_time 2, limits 1`.
func (t tally) String() string {
	parts := make([]string, 0, len(t))
	for _, reason := range sortedKeys(t) {
		parts = append(parts, reason+" "+grouped(t[reason]))
	}
	return strings.Join(parts, ", ")
}

// badLine is a line that could not be published.
type badLine struct {
	file   string
	line   int
	detail string
}

// badLines counts them all and keeps the first.
type badLines struct {
	reasons tally
	first   []badLine
}

const maxBadLines = 20

func (b *badLines) add(l badLine, reason string) {
	b.reasons.add(reason)
	if len(b.first) < maxBadLines {
		b.first = append(b.first, l)
	}
}

func (b *badLines) total() uint64 { return b.reasons.total() }

func (b *badLines) report() string {
	var s strings.Builder
	s.WriteString(count(b.total(), "line was", "lines were") + " not published:")
	for _, l := range b.first {
		fmt.Fprintf(&s, "\n  %s:%d: %s", l.file, l.line, plainText(l.detail))
	}
	if more := b.total() - uint64(len(b.first)); more > 0 {
		fmt.Fprintf(&s, "\n  … and %s more; in all: %s", grouped(more), b.reasons)
	}
	return s.String()
}
