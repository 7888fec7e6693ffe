package ingest

import "strings"

// delivery is what the reply subject of a delivered message says.
type delivery struct {
	streamSeq uint64
	timeNS    int64 // broker time, Unix nanoseconds
	pending   uint64
}

const ackPrefix = "$JS.ACK."

// parseReply reads an acknowledgement subject without allocating. It has one of two forms:
//
//	$JS.ACK.<stream>.<consumer>.<delivered>.<sseq>.<cseq>.<tm>.<pending>
//	$JS.ACK.<domain>.<account hash>.<stream>.<consumer>.<delivered>.<sseq>.<cseq>.<tm>.<pending>[.<token>]
func parseReply(s string) (delivery, bool) {
	if !strings.HasPrefix(s, ackPrefix) {
		return delivery{}, false
	}
	skip := 3 // stream, consumer, delivered
	switch n := strings.Count(s, ".") + 1; {
	case n == 9:
	case n >= 11:
		skip = 5
	default:
		return delivery{}, false
	}
	rest := s[len(ackPrefix):]
	for range skip {
		_, rest, _ = strings.Cut(rest, ".")
	}
	var f [4]uint64 // sseq, cseq, tm, pending
	for i := range f {
		var tok string
		tok, rest, _ = strings.Cut(rest, ".")
		v, ok := parseUint(tok)
		if !ok {
			return delivery{}, false
		}
		f[i] = v
	}
	return delivery{streamSeq: f[0], timeNS: int64(f[2]), pending: f[3]}, f[0] > 0
}

func parseUint(s string) (uint64, bool) {
	if s == "" || len(s) > 19 { // 19 digits always fit
		return 0, false
	}
	var n uint64
	for i := range len(s) {
		c := s[i] - '0'
		if c > 9 {
			return 0, false
		}
		n = n*10 + uint64(c)
	}
	return n, true
}
