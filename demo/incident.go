package demo

import (
	"fmt"
	"slices"
	"time"
)

// Kind says what an incident does to the log.
type Kind string

// The kinds of incidents.
const (
	Kilometres  Kind = "kilometres"   // distance_miles holds kilometres
	MissingCode Kind = "missing-code" // the code of one airport of departure is null
	SlowVersion Kind = "slow-version" // another version serves, and takes longer
)

// The strengths of the incidents.
const (
	kilometresPerMile = 1.609344
	missingAirport    = "ORD"
	slowFactor        = 2.5
	slowVersion       = "2"
	firstVersion      = "1"
)

// Incident is a fault that is injected into the log on stated days. Whoever judges the log is not told of it.
type Incident struct {
	Kind       Kind
	Start, End int64  // [Start, End), Unix milliseconds
	Text       string // for people

	// What an alert must name to have found it.
	Rule, Feature, Version string // Version "*": all together
}

// Incidents lists what is injected, in order of time. The days are Mondays, so that each incident has one of every weekday,
// and far enough apart that one has ended before the next begins.
func Incidents() []Incident {
	day := func(month time.Month, d int) int64 {
		return time.Date(2001, month, d, 0, 0, 0, 0, time.UTC).UnixMilli()
	}
	return []Incident{
		{
			Kilometres, day(time.March, 5), day(time.March, 12), "distance_miles holds kilometres: every value × 1.609",
			"feature-drift", "distance_miles", "*",
		},
		{
			MissingCode, day(time.April, 9), day(time.April, 16), "origin is null for flights from ORD: 5 % of the events",
			"missing-values", "origin", "*",
		},
		{
			SlowVersion, day(time.May, 14), day(time.May, 21), "version 2 serves instead of version 1: latency × 2.5",
			"latency-p95", "", slowVersion,
		},
	}
}

// String says when and what, for a list.
func (i Incident) String() string {
	const layout = "2006-01-02"
	return fmt.Sprintf("%s to %s  %s", time.UnixMilli(i.Start).UTC().Format(layout), time.UnixMilli(i.End-1).UTC().Format(layout), i.Text)
}

// active reports whether an incident of a kind holds at a time.
func active(all []Incident, kind Kind, t int64) bool {
	return slices.ContainsFunc(all, func(i Incident) bool { return i.Kind == kind && i.Start <= t && t < i.End })
}
