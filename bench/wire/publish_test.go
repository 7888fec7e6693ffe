package main

import (
	"math"
	"testing"
	"time"
)

func TestDue(t *testing.T) {
	for _, c := range []struct {
		name   string
		rate   float64
		since  time.Duration
		stored int
		want   int
	}{
		{"at the begin", 1000, 0, 0, 0},
		{"as the rate says", 1000, 1500 * time.Millisecond, 0, 1500},
		{"part of a message", trickleRate, 10 * time.Millisecond, 0, 0},
		{"a broker that stores nothing", 1000, time.Hour, 0, ahead},
		{"a broker behind", 100_000, time.Second, 50_000, 50_000 + ahead},
		{"as fast as it stores, at the begin", math.Inf(1), 0, 0, ahead},
		{"as fast as it stores", math.Inf(1), time.Second, 7 * ackEvery, 7*ackEvery + ahead},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := due(c.rate, c.since, c.stored); got != c.want {
				t.Errorf("due(%v, %v, %d) = %d, want %d", c.rate, c.since, c.stored, got, c.want)
			}
		})
	}
	if ahead <= ackEvery {
		t.Error("publishing waits for an acknowledgement that is not asked for")
	}
}

func TestAcks(t *testing.T) {
	for _, c := range []struct {
		name, number, data string
		want               string // the error
		stored             int64
	}{
		{"stored", "510", `{"stream":"WIRE","seq":610}`, "", 510},
		{"one before it was lost", "510", `{"stream":"WIRE","seq":609}`, "event 510 was stored as number 509", 255},
		{"dropped", "510", `{"error":{"code":429,"err_code":10167,"description":"too many requests"},"stream":"WIRE","seq":0}`, "storing event 510: too many requests", 255},
		{"no stream has the subject", "510", ``, `acknowledgement of event 510: reading "": unexpected end of JSON input`, 255},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := &acks{before: 100}
			a.stored.Store(255)
			got := ""
			if err := a.take(c.number, []byte(c.data)); err != nil {
				got = err.Error()
			}
			if got != c.want {
				t.Errorf("error %q, want %q", got, c.want)
			}
			if n := a.stored.Load(); n != c.stored {
				t.Errorf("stored %d, want %d", n, c.stored)
			}
		})
	}
}
