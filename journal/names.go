// Package journal keeps driftd's state in JetStream. A partition's checkpoint, shards, results and dead letters are
// committed as one atomic batch to its state stream, under a compare-and-swap that also fences stale owners: what was not
// committed never happened (design section 7). A forwarder then copies committed results to the outbox. The package also
// creates or verifies every stream that driftd uses, and stores references.
package journal

import (
	"fmt"
	"strconv"

	"github.com/driftd/driftd/result"
)

// The streams that all partitions share, and the subjects of the outbox.
const (
	OutboxStream     = "DRIFTD_OUTBOX"
	ReferencesStream = "DRIFTD_REFERENCES"

	outboxSubject     = "driftd." // followed by the document's kind and its model
	resultSubject     = outboxSubject + string(result.KindResult) + "."
	transitionSubject = outboxSubject + string(result.KindTransition) + "."
	verdictSubject    = outboxSubject + string(result.KindVerdict) + "."
	referenceSubject  = "driftd.reference."
)

// Headers of driftd's own messages.
const (
	HeaderDocID     = "Driftd-Doc-Id"     // message id of a document in the outbox
	HeaderDocNumber = "Driftd-Doc-Number" // dense number of a document in its partition, from 1
	HeaderPartition = "Driftd-Partition"  // partition that an outbox message came from
)

// InputStream returns the name of the stream that driftd creates for a partition's input.
func InputStream(partition int) string { return "DRIFTD_IN_" + strconv.Itoa(partition) }

// StateStream returns the name of a partition's state stream.
func StateStream(partition int) string { return "DRIFTD_STATE_" + strconv.Itoa(partition) }

// ControlSubject returns the subject of a partition's markers and configuration changes.
func ControlSubject(partition int) string { return "driftd.control." + strconv.Itoa(partition) }

// subjects are the subjects of one partition's state stream.
type subjects struct{ meta, shard, out, dead string }

func stateSubjects(partition int) subjects {
	p := "driftd.state." + strconv.Itoa(partition) + "."
	return subjects{meta: p + "meta", shard: p + "shard.", out: p + "out.", dead: p + "dead"}
}

const (
	maxNameLen  = 200
	maxModelLen = 128
)

// checkName refuses a shard name that is not one or more plain subject tokens.
func checkName(name string) error {
	if name == "" || len(name) > maxNameLen {
		return fmt.Errorf("shard name %q: must have 1 to %d bytes", clip(name, 64), maxNameLen)
	}
	start := 0
	for i := 0; i <= len(name); i++ {
		if i == len(name) || name[i] == '.' {
			if i == start {
				return fmt.Errorf("shard name %q: has an empty token", name)
			}
			start = i + 1
			continue
		}
		if !plain(name[i]) {
			return fmt.Errorf("shard name %q: only letters, digits, '_', '-' and '.' are allowed", name)
		}
	}
	return nil
}

// isToken says whether s is 1 to n bytes of [A-Za-z0-9_-].
func isToken(s string, n int) bool {
	if s == "" || len(s) > n {
		return false
	}
	for i := range len(s) {
		if !plain(s[i]) {
			return false
		}
	}
	return true
}

func plain(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-'
}

// clip shortens s to at most n bytes at a character's border.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && s[n]&0xC0 == 0x80 { // inside a UTF-8 sequence
		n--
	}
	return s[:n]
}
