package main

import (
	"errors"
	"fmt"
	"io"
	"math"
)

// errFallsShort is the failure of the benchmark.
var errFallsShort = errors.New("driftd falls short of what it must be")

// quietEnough are the false alarms in 2,400 exchangeable windows up to which a rival's delay counts.
const quietEnough = 24

// must holds the measurements against what must be: at most one false alarm in 2,400 exchangeable windows at every n, and on no
// drifting set a longer delay than the quickest rival that stays under 24 there. An alarm of driftd is a feature that drifts: what opens an
// incident.
func (b *bench) must(r *report, out io.Writer) error {
	failed := false
	say := func(ok bool, format string, args ...any) {
		word := "as it must be: "
		if !ok {
			word, failed = "BELOW WHAT IT MUST BE: ", true
		}
		fmt.Fprintf(out, word+format+"\n", args...)
	}
	alarms, windows := 0, 0
	check := func(what string, a, w int) {
		alarms, windows = alarms+a, windows+w
		if allowed := max(1, math.Ceil(float64(w)/mustPer)); float64(a) > allowed {
			say(false, "%s: %d false alarms in %d windows, %g allowed", what, a, w, allowed)
		}
	}
	for i := range r.Quiet {
		row := &r.Quiet[i]
		check(fmt.Sprintf("n = %d, reference of %d, %d features", row.N, row.M, row.Features), row.Alarms[flagDrift], row.Windows)
	}
	for i := range r.Kinds {
		row := &r.Kinds[i]
		if row.NotExchangeable {
			continue
		}
		check(fmt.Sprintf("%s, n = %d", row.Kind, row.N), row.Alarms[flagDrift], row.Windows)
	}
	for i := range r.Real {
		row := &r.Real[i]
		check(row.Set+", shuffled", row.Shuffled.Alarms[flagDrift], row.Shuffled.Windows)
	}
	say(float64(alarms) <= float64(windows)/mustPer, "%d false alarms of driftd in %d exchangeable windows, with 95 %% confidence at most %.2g in 2,400",
		alarms, windows, mustPer*poissonUpper(alarms)/float64(windows))
	for i := range r.Real {
		row := &r.Real[i]
		if row.Delay == nil {
			continue
		}
		best, by := math.MaxInt, ""
		for k, rule := range b.rules {
			if rule.flag < flagRivals || rule.model || row.Delay[k] == 0 {
				continue
			}
			if row.Shuffled.Alarms[k]*mustPer <= quietEnough*row.Shuffled.Windows && row.Delay[k] < best {
				best, by = row.Delay[k], rule.name
			}
		}
		own := row.Delay[flagDrift]
		if by == "" {
			say(true, "%s: %s; no rival is quiet enough and sees it", row.Set, delayWords(own))
		} else {
			say(own > 0 && own <= best, "%s: %s, the best quiet rival's %d (%s)", row.Set, delayWords(own), best, by)
		}
	}
	if failed {
		return errFallsShort
	}
	return nil
}

func delayWords(windows int) string {
	if windows == 0 {
		return "never drift"
	}
	return fmt.Sprintf("delay %d", windows)
}

// poissonUpper is the 95 % upper bound of the mean of a Poisson number of which k were seen.
func poissonUpper(k int) float64 {
	lo, hi := 0.0, float64(k)+20+10*math.Sqrt(float64(k))
	for range 100 {
		mean := (lo + hi) / 2
		p, term := 0.0, math.Exp(-mean)
		for i := 0; i <= k; i++ {
			p += term
			term *= mean / float64(i+1)
		}
		if p > 0.05 {
			lo = mean
		} else {
			hi = mean
		}
	}
	return hi
}
