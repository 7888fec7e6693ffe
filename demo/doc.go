// Package demo is the data of `driftd demo`: real flights, a small model that was fitted on their first month, and the log
// that this model would have written while it served the others. It is a function of embedded files: the same build makes
// the same bytes.
//
// What is real: times, airports, distances and delays of 100,000 US flights (see data/README.md). What is made: the model
// (fitted by `go generate ./demo` on January), its latency, the moment at which a label arrives, and the Incidents. Times of
// departure are local times of the airport, read as if they were UTC, so that a day of the demo is a day of schedules.
package demo

//go:generate go run ./fit
