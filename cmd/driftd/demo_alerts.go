package main

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/driftd/driftd/app"
)

// tellWithin bounds how long the demo waits at its end for receivers that do not answer.
const tellWithin = 10 * time.Second

// tell prints who is told of the incidents, and how long one lasts there. Event time runs fast in the demo, and Alertmanager says
// nothing of an alert that is over before its group_wait is.
func (c *conductor) tell() {
	if len(c.cfg.Notifiers) == 0 {
		return
	}
	to := slices.Clone(c.alertmanagers)
	for _, name := range slices.Sorted(maps.Keys(c.cfg.Notifiers)) {
		if name != "alertmanager" || len(c.alertmanagers) == 0 {
			to = append(to, name)
		}
	}
	c.show.line("alerts    to %s", strings.Join(to, ", "))
	if c.speed == 0 {
		c.show.line("          as fast as possible an incident may be over before anybody is told that it fires: choose a --speed")
		return
	}
	if len(c.alertmanagers) == 0 {
		return
	}
	week := time.Duration(float64(7*24*time.Hour) / c.speed)
	c.show.line("          an incident of a week lasts %v here: Alertmanager's group_wait must be shorter, or --speed less", week.Round(10*time.Millisecond))
}

// told waits until the receivers have heard everything, and says so if they have not.
func (c *conductor) told(ctx context.Context, a *app.App) error {
	if len(c.cfg.Notifiers) == 0 {
		return nil
	}
	bounded, cancel := context.WithTimeout(ctx, tellWithin)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		left, err := a.Untold(bounded)
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil && bounded.Err() == nil:
			return err
		case bounded.Err() != nil:
			c.show.line("alerts    not every receiver was told within %v: does it run at the address?", tellWithin)
			return nil
		case left == 0:
			return nil
		}
		select {
		case <-bounded.Done():
		case <-tick.C:
		}
	}
}
