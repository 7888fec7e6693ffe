package demo

import (
	"bytes"
	"compress/gzip"
	_ "embed" // the flights
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"time"
)

//go:embed data/flights.csv.gz
var flightsFile []byte

// LateMinutes is the delay beyond which a flight is late: the event that the model predicts.
const LateMinutes = 15

// Flight is one record of the data.
type Flight struct {
	Row                 int   // from 1, in the order of the file
	Departure           int64 // scheduled, Unix milliseconds: local time read as UTC
	Origin, Destination string
	Miles               int
	Delay               int // minutes at arrival; negative: early
}

// Late reports whether the flight arrived more than LateMinutes late.
func (f Flight) Late() bool { return f.Delay > LateMinutes }

// Hour returns the scheduled hour of departure, 0 to 23.
func (f Flight) Hour() int { return time.UnixMilli(f.Departure).UTC().Hour() }

// Flights reads the embedded data, in the order of departure.
func Flights() ([]Flight, error) {
	flights, err := readFlights(bytes.NewReader(flightsFile))
	if err != nil {
		return nil, fmt.Errorf("reading the embedded flights: %w", err)
	}
	return flights, nil
}

func readFlights(compressed io.Reader) ([]Flight, error) {
	unpacked, err := gzip.NewReader(compressed)
	if err != nil {
		return nil, err
	}
	r := csv.NewReader(unpacked)
	r.ReuseRecord = true
	header, err := r.Read()
	if err != nil {
		return nil, err
	}
	if want := []string{"scheduled_departure", "origin", "destination", "distance_miles", "arrival_delay_minutes"}; !slices.Equal(header, want) {
		return nil, fmt.Errorf("the columns are %v, want %v", header, want)
	}
	var out []Flight
	for {
		record, err := r.Read()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, err
		}
		departure, errTime := time.Parse("2006-01-02T15:04:05", record[0])
		miles, errMiles := strconv.Atoi(record[3])
		delay, errDelay := strconv.Atoi(record[4])
		if err := errors.Join(errTime, errMiles, errDelay); err != nil {
			line, _ := r.FieldPos(0)
			return nil, fmt.Errorf("line %d: %w", line, err)
		}
		f := Flight{len(out) + 1, departure.UnixMilli(), string([]byte(record[1])), string([]byte(record[2])), miles, delay}
		if len(out) > 0 && f.Departure < out[len(out)-1].Departure {
			return nil, fmt.Errorf("row %d departs before the one above it", f.Row)
		}
		out = append(out, f)
	}
}

// Between returns the flights that depart in [start, end), Unix milliseconds, of flights in the order of departure.
func Between(flights []Flight, start, end int64) []Flight {
	at := func(t int64) int {
		i, _ := slices.BinarySearchFunc(flights, t, func(f Flight, t int64) int {
			if f.Departure < t {
				return -1
			}
			return 1 // the first flight at t, where several depart
		})
		return i
	}
	return flights[at(start):at(end)]
}
