package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os/user"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/driftd/driftd/alerting"
	"github.com/driftd/driftd/result"
)

// findDaemon says how the commands of this file find the daemon.
const findDaemon = `Asks the daemon that recorded itself in the data directory, or the one at --url.`

func alertsCommand() command {
	return command{
		name:  "driftd alerts",
		short: "list and show incidents, hold notices back",
		args:  "COMMAND",
		about: `An incident is what a rule found: one for each rule, model, version and window size, with all its features. A silence holds back
what would be told of it and never changes it.`,
		examples: []example{
			{"what fires now", "driftd alerts list --state firing"},
			{"hold back what a rollout will cause", "driftd alerts silence model=credit-risk --for 2h --comment rollout"},
		},
		sub: []command{alertsListCommand(), alertsShowCommand(), alertsSilenceCommand(), alertsSilencesCommand(), alertsUnsilenceCommand()},
	}
}

// daemonExits are the exit codes of a command that talks to a daemon.
func daemonExits(done string) []exit {
	return []exit{{exitDone, done}, {exitFailed, "the daemon cannot be reached or refused"}, {exitUsage, "wrong usage, or no daemon is known"}}
}

func alertsListCommand() command {
	return command{
		name:  "driftd alerts list",
		short: "list incidents, the one that changed last first",
		args:  "[--state S] [--model M] [flags]",
		about: "Lists incidents by their newest transitions.\n\n" + findDaemon,
		examples: []example{
			{"what fires now", "driftd alerts list --state firing"},
			{"the last ten of a model, as JSON lines", "driftd alerts list --model credit-risk --limit 10 --json"},
		},
		exits: daemonExits("done, also when there are none"),
		setup: func(fs *flag.FlagSet) action {
			p := probeFlags(fs)
			state := fs.String("state", "", "`STATE`: only pending, firing, resolved or inactive ones")
			model := fs.String("model", "", "`MODEL`: only this model's")
			limit := fs.Int("limit", 50, "`N`: at most so many, 1 to 1,000")
			asJSON := fs.Bool("json", false, "print one JSON object a line, as it was committed")
			return func(ctx context.Context, con *console, args []string) error {
				if err := noArguments(args); err != nil {
					return err
				}
				query := url.Values{"limit": {strconv.Itoa(*limit)}}
				for name, value := range map[string]string{"state": *state, "model": *model} {
					if value != "" {
						query.Set(name, value)
					}
				}
				return listAlerts(ctx, con.stdout, p, query, *asJSON)
			}
		},
	}
}

func listAlerts(ctx context.Context, out io.Writer, p *probe, query url.Values, asJSON bool) error {
	var all []json.RawMessage
	if err := p.data(ctx, http.MethodGet, "/api/v1/alerts?"+query.Encode(), nil, &all); err != nil {
		return err
	}
	if asJSON {
		for _, line := range all {
			if _, err := fmt.Fprintf(out, "%s\n", line); err != nil {
				return err
			}
		}
		return nil
	}
	if len(all) == 0 {
		_, err := fmt.Fprintln(out, "no incident")
		return err
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "INCIDENT\tSTATE\tSEVERITY\tSINCE\tCHANGED\tWHAT")
	for _, line := range all {
		var t result.Transition
		if err := json.Unmarshal(line, &t); err != nil {
			return fmt.Errorf("reading an incident: %w", err)
		}
		state := string(t.To)
		if t.To == result.Firing && t.InhibitedBy != "" {
			state += " (inhibited)"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", t.Incident, state, plainText(t.Severity), moment(t.Since), moment(t.Window.End),
			plainText(strings.TrimSuffix(t.Title, " "+string(t.To))))
	}
	return w.Flush()
}

func moment(ms int64) string { return time.UnixMilli(ms).UTC().Format("2006-01-02T15:04Z") }

func alertsShowCommand() command {
	return command{
		name:     "driftd alerts show",
		short:    "show one incident with its timeline and reasons",
		args:     "INCIDENT [flags]",
		about:    "Shows every transition of an incident, the oldest first.\n\n" + findDaemon,
		examples: []example{{"the incident of `driftd alerts list`", "driftd alerts show 5a7bfa4f7288c4904f085615"}},
		exits:    daemonExits("done"),
		setup: func(fs *flag.FlagSet) action {
			p := probeFlags(fs)
			return func(ctx context.Context, con *console, args []string) error {
				if len(args) != 1 {
					return usageError("which incident? give the id that `driftd alerts list` shows")
				}
				return showAlert(ctx, con.stdout, p, args[0])
			}
		},
	}
}

func showAlert(ctx context.Context, out io.Writer, p *probe, incident string) error {
	var all []result.Transition
	if err := p.data(ctx, http.MethodGet, "/api/v1/alerts?"+url.Values{"incident": {incident}, "limit": {"1000"}}.Encode(), nil, &all); err != nil {
		return err
	}
	if len(all) == 0 {
		return fmt.Errorf("there is no incident %q", incident)
	}
	last := &all[0]
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n  rule      %s (%s)\n  severity  %s\n  since     %s\n", plainText(last.Title), plainText(last.Rule), last.Kind, plainText(last.Severity), moment(last.Since))
	if last.InhibitedBy != "" {
		fmt.Fprintf(&b, "  inhibited by %s\n", plainText(last.InhibitedBy))
	}
	for i := len(all) - 1; i >= 0; i-- {
		t := &all[i]
		fmt.Fprintf(&b, "%s  %s → %s\n", moment(t.Window.End), t.From, t.To)
		for _, reason := range t.Reasons {
			fmt.Fprintf(&b, "    %s\n", plainText(reason))
		}
		if t.FeaturesTotal > 1 {
			fmt.Fprintf(&b, "    %d features:", t.FeaturesTotal)
			for _, f := range t.Features {
				fmt.Fprintf(&b, " %s (%.3g)", plainText(f.Feature), f.Value)
			}
			b.WriteByte('\n')
		}
	}
	_, err := io.WriteString(out, b.String())
	return err
}

func alertsSilenceCommand() command {
	return command{
		name:  "driftd alerts silence",
		short: "hold back the notices of some alerts for a while",
		args:  "LABEL=VALUE… --for DURATION [flags]",
		about: `Holds back what would be told of the alerts that have all these labels: alertname (the rule), model, version, segment, window,
severity, kind, and the rule's own. Incidents go on; when the silence ends, what still fires is told.

` + findDaemon,
		examples: []example{
			{"a rollout", "driftd alerts silence model=credit-risk --for 2h --comment rollout"},
			{"one rule of one model", "driftd alerts silence model=credit-risk alertname=latency-p95 --for 30m"},
		},
		exits: daemonExits("the silence holds; its id is printed"),
		setup: func(fs *flag.FlagSet) action {
			p := probeFlags(fs)
			lasts := fs.Duration("for", 0, "`DURATION`: how long it lasts, such as 2h")
			comment := fs.String("comment", "", "`TEXT`: why")
			by := fs.String("by", "", "`NAME`: who wants it (default: the user of this process)")
			return func(ctx context.Context, con *console, args []string) error {
				if len(args) == 0 || *lasts <= 0 {
					return usageError("what, and for how long? give LABEL=VALUE and --for, such as model=credit-risk --for 2h")
				}
				matchers := map[string]string{}
				for _, arg := range args {
					label, value, ok := strings.Cut(arg, "=")
					if !ok || label == "" {
						return usageError("%q: want LABEL=VALUE, such as model=credit-risk", arg)
					}
					matchers[label] = value
				}
				if u, err := user.Current(); *by == "" && err == nil {
					*by = u.Username
				}
				body, err := json.Marshal(map[string]any{"matchers": matchers, "duration": lasts.String(), "by": *by, "comment": *comment})
				if err != nil {
					return err
				}
				var s alerting.Silence
				if err := p.data(ctx, http.MethodPost, "/api/v1/silences", body, &s); err != nil {
					return err
				}
				_, err = fmt.Fprintf(con.stdout, "%s until %s\n", s.ID, s.End.UTC().Format(time.RFC3339))
				return err
			}
		},
	}
}

func alertsSilencesCommand() command {
	return command{
		name:     "driftd alerts silences",
		short:    "list the silences",
		args:     "[flags]",
		about:    "Lists all silences, those that end last first.\n\n" + findDaemon,
		examples: []example{{"what is held back", "driftd alerts silences"}},
		exits:    daemonExits("done, also when there are none"),
		setup: func(fs *flag.FlagSet) action {
			p := probeFlags(fs)
			return func(ctx context.Context, con *console, args []string) error {
				if err := noArguments(args); err != nil {
					return err
				}
				var all []alerting.Silence
				if err := p.data(ctx, http.MethodGet, "/api/v1/silences", nil, &all); err != nil {
					return err
				}
				if len(all) == 0 {
					_, err := fmt.Fprintln(con.stdout, "no silence")
					return err
				}
				w := tabwriter.NewWriter(con.stdout, 0, 0, 2, ' ', 0)
				fmt.Fprintln(w, "SILENCE\tSTATE\tBEGINS\tENDS\tMATCHERS\tBY\tCOMMENT")
				for i := range all {
					s := &all[i]
					state := "over"
					switch now := time.Now(); {
					case s.Active(now):
						state = "active"
					case now.Before(s.Start):
						state = "to come"
					}
					fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", s.ID, state, moment(s.Start.UnixMilli()), moment(s.End.UnixMilli()),
						plainText(s.MatcherText()), plainText(s.By), plainText(s.Comment))
				}
				return w.Flush()
			}
		},
	}
}

func alertsUnsilenceCommand() command {
	return command{
		name:     "driftd alerts unsilence",
		short:    "end a silence now",
		args:     "SILENCE [flags]",
		about:    "Ends a silence: what still fires is told at once.\n\n" + findDaemon,
		examples: []example{{"the one of `driftd alerts silences`", "driftd alerts unsilence n5x3v6mw3b7ha2kd"}},
		exits:    daemonExits("it is over"),
		setup: func(fs *flag.FlagSet) action {
			p := probeFlags(fs)
			return func(ctx context.Context, con *console, args []string) error {
				if len(args) != 1 {
					return usageError("which silence? give the id that `driftd alerts silences` shows")
				}
				var answer map[string]string
				if err := p.data(ctx, http.MethodDelete, "/api/v1/silences/"+url.PathEscape(args[0]), nil, &answer); err != nil {
					return err
				}
				_, err := fmt.Fprintf(con.stdout, "%s is over\n", answer["removed"])
				return err
			}
		},
	}
}
