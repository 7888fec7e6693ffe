// Package selfalert holds the alerts about driftd itself: a table of them, and a board that says which fire. They are raised by
// the shell, from what it sees, and are no incidents of the stream: they are in no batch and no result, and a second reading of
// the stream does not give them again. The package is a function of its input: the caller brings the conditions and the time.
package selfalert

import (
	"slices"
	"strings"
	"time"
)

// Name is the name of an alert, as metrics, API and docs/operations.md have it.
type Name string

// The alerts. The table says what each means.
const (
	BrokerAway        Name = "broker_away"
	ForwardingStopped Name = "forwarding_stopped"
	LabelCacheDown    Name = "label_cache_down"
	LabelsLost        Name = "labels_lost"
	Lag               Name = "lag"
	LeaseLost         Name = "lease_lost"
	MessagesLost      Name = "messages_lost"
	NoProgress        Name = "no_progress"
	NotifierDown      Name = "notifier_down"
	OutboxExpired     Name = "outbox_expired"
	PartitionHalted   Name = "partition_halted"
	PartitionStopped  Name = "partition_stopped"
	Quarantined       Name = "quarantined"
	SinkBehind        Name = "sink_behind"
	SinkDown          Name = "sink_down"
	SourcedBack       Name = "sourced_back"
	StateFilling      Name = "state_filling"
	StateFull         Name = "state_full"
)

// Severity says how soon somebody must look.
type Severity string

// The severities: at once, or on the next working day.
const (
	Critical Severity = "critical"
	Warning  Severity = "warning"
)

// Rule is one row of the table.
type Rule struct {
	Name     Name
	Severity Severity
	For      time.Duration // how long the condition must last before the alert fires
	Keep     time.Duration // how long it fires after the condition was last seen: what happened once must be noticed
	Summary  string        // what it means
	Remedy   string        // what to do
}

// Rules returns the table, by name.
func Rules() []Rule {
	rules := []Rule{
		{
			BrokerAway, Critical, 5 * time.Second, 0, "the connection to the broker is lost: nothing is read and nothing is committed",
			"bring the broker back; driftd connects again by itself and goes on where it was",
		},
		{
			ForwardingStopped, Critical, time.Minute, 0, "committed results do not get to the outbox: stores and notifiers see nothing new",
			"look at the outbox stream (its limits, its leader); nothing is lost until the state stream is full",
		},
		{
			LabelCacheDown, Warning, 0, 0, "predictions that wait for their labels are kept in memory: their cache on disk cannot be used",
			"make room on the disk of the data directory, then restart driftd; no number is wrong, but memory grows up to labels.max_pending",
		},
		{
			LabelsLost, Warning, 0, time.Hour, "predictions that waited for their labels are lost: their cache was, and the stream does not hold them any more",
			"the results say which windows may miss labels; let the input stream keep as much as labels.horizon",
		},
		{
			Lag, Warning, 5 * time.Minute, 0, "driftd has been behind by self_alerts.lag_messages (10,000) or more for five minutes: results come late",
			"give it more processor time, or share the models among several partitions; watch that the input stream keeps what is unread",
		},
		{
			LeaseLost, Warning, 0, 10 * time.Minute, "the lease of a partition ended before it was given back: another daemon may work on it now",
			"once is a broker that was away; often, raise nats.lease_ttl, and look whether two daemons run on copies of one data directory",
		},
		{
			MessagesLost, Critical, 0, time.Hour, "acknowledged messages are gone from the input stream before they were counted: windows are incomplete",
			"the results say how many are missing; give the input stream more room or replicas",
		},
		{
			NoProgress, Critical, 0, 0, "the partition was taken over three times in a row without a commit: messages are folded one by one to find a culprit",
			"read the log of the starts before: a crash is reported there, a kill is not; out of memory looks like a kill",
		},
		{
			NotifierDown, Warning, time.Minute, 0, "a receiver of alerts does not take them: what there is to tell waits, and the others are told",
			"read the reason in the log; what still holds is told once when the receiver is back",
		},
		{
			OutboxExpired, Critical, 0, time.Hour, "results left the outbox before a store had them: its history has a hole",
			"bring the store back and fill the hole; raise nats.outbox.max_age and max_bytes so that they outlast the next outage",
		},
		{
			PartitionHalted, Critical, 0, 0, "the partition is halted: no retry can mend what is wrong with its stream",
			"read the reason and decide; then start driftd again",
		},
		{
			PartitionStopped, Critical, 30 * time.Second, 0, "the partition has not been folded for half a minute",
			"read the reason; driftd tries again by itself, and nothing is lost meanwhile",
		},
		{
			Quarantined, Warning, 0, time.Hour, "a message made driftd panic or die and was set aside",
			"`driftd dead-letters list` names it: report it with the record; `driftd dead-letters retry` counts it after a fix",
		},
		{
			SinkBehind, Warning, time.Minute, 0, "a store has not taken most of what the outbox keeps: the oldest results will expire soon",
			"bring the store back, or raise nats.outbox.max_age and max_bytes",
		},
		{
			SinkDown, Warning, 10 * time.Second, 0, "a store does not take results: they wait in the outbox; counting goes on",
			"bring the store back: it gets everything that the outbox still has",
		},
		{
			SourcedBack, Warning, 0, time.Hour, "a stream that the input stream sources went back to a lower sequence, with messages that are not remembered",
			"an origin that was made again is meant so, and loses nothing; if it was not, messages without an id may have been counted twice",
		},
		{
			StateFilling, Warning, 0, 0, "the state stream is filled to self_alerts.state_percent (70 %) or more: when it is full, counting stops",
			"raise nats.state.max_bytes and `nats stream edit` the stream; look whether results are forwarded",
		},
		{
			StateFull, Critical, 0, 0, "the broker has no room for a commit: counting has stopped, the input waits in its stream",
			"raise the state stream's max_bytes, the account's limit or the disk; counting goes on by itself and nothing is lost",
		},
	}
	slices.SortFunc(rules, func(a, b Rule) int { return strings.Compare(string(a.Name), string(b.Name)) })
	return rules
}
