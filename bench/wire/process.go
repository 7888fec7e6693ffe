package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// resident is what a process has in memory, in MiB: resident, the most that ever was, and without what is mapped from files, as its program is.
type resident struct {
	Now  float64 `json:"resident_mib"`
	Peak float64 `json:"peak_mib"`
	Own  float64 `json:"anonymous_mib"`
}

func memoryOf(pid int) (m resident, err error) {
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return m, err
	}
	for line := range strings.Lines(string(data)) {
		name, rest, _ := strings.Cut(line, ":")
		into := map[string]*float64{"VmRSS": &m.Now, "VmHWM": &m.Peak, "RssAnon": &m.Own}[name]
		if into == nil {
			continue
		}
		kb, err := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 64)
		if err != nil {
			return m, fmt.Errorf("reading the memory of process %d: %q", pid, line)
		}
		*into = kb / 1024
	}
	if m.Now == 0 {
		return m, errors.New("the system does not say how much memory a process has")
	}
	return m, nil
}

// mostOwn looks at a process until it is told to stop, and then returns the most anonymous memory that it was seen with.
func mostOwn(ctx context.Context, pid int) (stop func() float64) {
	ctx, cancel := context.WithCancel(ctx)
	most := make(chan float64, 1) // one answer
	go func() {
		var seen float64
		for pause(ctx, 20*time.Millisecond) == nil {
			if m, err := memoryOf(pid); err == nil {
				seen = max(seen, m.Own)
			}
		}
		most <- seen
	}()
	return func() float64 {
		cancel()
		return <-most
	}
}
