package demo

import (
	"cmp"
	"encoding/json"
	"fmt"
	"iter"
	"math"
	"math/rand/v2"
	"slices"
	"time"
)

// ModelName is the name of the model in the log.
const ModelName = "flight-delay"

// The simulated latency is log-normal: exp(ln(median) + sigma·z) milliseconds, with z drawn by the flight's row.
const (
	latencyMedian = 12.0
	latencySigma  = 0.4
	latencySeed   = 2001
)

// The simulated flight: half an hour on the ground and the way at cruising speed. The data has no arrival times.
const (
	taxi         = 30 * time.Minute
	milesPerHour = 460
)

// The simulated report of a landing: it comes some hours later, exponentially distributed and drawn by the flight's row, and one
// of twenty never does.
const (
	reportMean = 10 * time.Hour
	reportSeed = 2002
	unreported = 20
)

// prediction is an event as the model's service would log it.
type prediction struct {
	Model      string   `json:"model"`
	Version    string   `json:"version"`
	ID         string   `json:"id"`
	Time       string   `json:"ts"`
	Latency    float64  `json:"latency_ms"`
	Status     string   `json:"status"`
	Prediction float64  `json:"prediction"`
	Features   features `json:"features"`
}

type features struct {
	Hour            int     `json:"hour"`
	Origin          *string `json:"origin"`
	Destination     string  `json:"destination"`
	Distance        float64 `json:"distance_miles"`
	OriginMean      float64 `json:"origin_delay_mean"`
	DestinationMean float64 `json:"destination_delay_mean"`
}

// label is what is known once the landing is reported.
type label struct {
	Model string `json:"model"`
	ID    string `json:"id"`
	Time  string `json:"ts"`
	Label int    `json:"label"` // 1: more than LateMinutes late
}

// Log is the log of the model for some flights: a prediction at each departure, a label when its landing is reported, in order of
// time.
type Log struct {
	Flights   []Flight // in order of departure
	Model     *Model
	Incidents []Incident // that are injected; nil: none
	End       int64      // reports from here on are not in it, Unix milliseconds; 0: all are
}

// Record is one line of a log.
type Record struct {
	Time  int64 // Unix milliseconds
	Label bool  // else a prediction
	Line  []byte
}

// Records returns the lines in order of time; where times are equal, predictions come first, then rows in order. Line is
// valid until the next one.
func (l *Log) Records() iter.Seq[Record] {
	type entry struct {
		time   int64
		label  bool
		flight int
	}
	entries := make([]entry, 0, 2*len(l.Flights))
	for i, f := range l.Flights {
		entries = append(entries, entry{f.Departure, false, i})
	}
	for i, f := range l.Flights {
		if at, reported := report(f); reported && (l.End == 0 || at < l.End) {
			entries = append(entries, entry{at, true, i})
		}
	}
	slices.SortStableFunc(entries, func(a, b entry) int { return cmp.Compare(a.time, b.time) })
	return func(yield func(Record) bool) {
		for _, e := range entries {
			if !yield(Record{e.time, e.label, l.line(l.Flights[e.flight], e.label)}) {
				return
			}
		}
	}
}

func (l *Log) line(f Flight, isLabel bool) []byte {
	var record any = l.predict(f)
	if isLabel {
		late := 0
		if f.Late() {
			late = 1
		}
		at, _ := report(f)
		record = label{ModelName, id(f), stamp(at), late}
	}
	line, err := json.Marshal(record)
	if err != nil {
		panic(fmt.Sprintf("BUG: a record that cannot be encoded: %v", err))
	}
	return append(line, '\n')
}

// predict is what the service did: it looked the flight up, maybe wrongly, asked the model, and logged both.
func (l *Log) predict(f Flight) prediction {
	version, origin, in, slow := firstVersion, &f.Origin, l.Model.Input(f), 1.0
	if active(l.Incidents, Kilometres, f.Departure) {
		in.Distance = round(in.Distance*kilometresPerMile, 1)
	}
	if active(l.Incidents, MissingCode, f.Departure) && f.Origin == missingAirport {
		origin, in.OriginMean = nil, l.Model.Mean // an airport without a name cannot be looked up
	}
	if active(l.Incidents, SlowVersion, f.Departure) {
		version, slow = slowVersion, slowFactor
	}
	return prediction{
		Model: ModelName, Version: version, ID: id(f), Time: stamp(f.Departure), Latency: round(slow*latency(f), 2), Status: "ok",
		Prediction: round(l.Model.Score(in), 4),
		Features:   features{in.Hour, origin, f.Destination, in.Distance, in.OriginMean, in.DestinationMean},
	}
}

func id(f Flight) string { return fmt.Sprintf("flight-%06d", f.Row) }

func stamp(t int64) string { return time.UnixMilli(t).UTC().Format(time.RFC3339) }

// latency is a function of the flight alone.
func latency(f Flight) float64 {
	z := rand.New(rand.NewPCG(latencySeed, uint64(f.Row))).NormFloat64() //nolint:gosec // a simulation that must repeat
	return latencyMedian * math.Exp(latencySigma*z)
}

// landing is when a flight's delay is known: never before it departs, however early it was.
func landing(f Flight) int64 {
	air := time.Duration(float64(f.Miles) / milesPerHour * float64(time.Hour))
	minutes := (taxi + air + time.Duration(f.Delay)*time.Minute).Round(time.Minute)
	return f.Departure + max(minutes, time.Minute).Milliseconds()
}

// report is when a landing is reported, if it ever is.
func report(f Flight) (at int64, reported bool) {
	if f.Row%unreported == 0 {
		return 0, false
	}
	wait := rand.New(rand.NewPCG(reportSeed, uint64(f.Row))).ExpFloat64() * float64(reportMean) //nolint:gosec // a simulation that must repeat
	return landing(f) + time.Duration(wait).Round(time.Minute).Milliseconds(), true
}

func round(x float64, digits int) float64 {
	scale := math.Pow10(digits)
	return math.Round(x*scale) / scale
}
