package influx

import "strconv"

// Health is one sample of how driftd itself does.
type Health struct {
	Partition int
	Lag       uint64 // messages that are stored and not committed yet
	Position  uint64 // sequence of the last committed message
	Commits   uint64
	Messages  uint64
	Dead      uint64 // dead-lettered records
	Late      uint64
	Lost      uint64
	Pending   uint64 // documents that wait in the outbox
	Refused   uint64 // lines that InfluxDB refused
}

// Line returns the sample as a point of MeasurementPipeline at a time in Unix milliseconds.
func (h Health) Line(ms int64) string {
	p := newPoint(MeasurementPipeline, []tag{{TagPartition, strconv.Itoa(h.Partition)}})
	p.int(FieldLag, int64(h.Lag))
	p.int(FieldPosition, int64(h.Position))
	p.int(FieldCommits, int64(h.Commits))
	p.int(FieldMessages, int64(h.Messages))
	p.int(FieldDead, int64(h.Dead))
	p.int(FieldLateAll, int64(h.Late))
	p.int(FieldLostAll, int64(h.Lost))
	p.int(FieldPending, int64(h.Pending))
	p.int(FieldRefused, int64(h.Refused))
	return p.end(ms)
}
