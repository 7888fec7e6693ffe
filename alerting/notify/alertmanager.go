package notify

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-openapi/runtime"
	httptransport "github.com/go-openapi/runtime/client"
	"github.com/go-openapi/strfmt"
	"github.com/prometheus/alertmanager/api/v2/client/alert"
	"github.com/prometheus/alertmanager/api/v2/models"

	"github.com/driftd/driftd/alerting"
	"github.com/driftd/driftd/result"
)

// Alertmanager tells one instance of Alertmanager; every instance of a cluster is told by a notifier of its own, never through a
// load balancer (https://prometheus.io/docs/alerting/latest/alertmanager/). As Prometheus does, it repeats what fires, so that an
// instance that was restarted knows it again, and what is over for a while after.
type Alertmanager struct {
	client   alert.ClientService
	external map[string]string
	page     func() string
	now      func() time.Time
	repeat   time.Duration
}

// AlertmanagerOptions of one instance.
type AlertmanagerOptions struct {
	URL      string            // http://alertmanager-0:9093, with a path prefix if it has one
	Client   *http.Client      // with TLS and authentication
	External map[string]string // labels of every alert, such as the cluster's name
	Page     func() string     // address of driftd's page, for links; empty: none
	Now      func() time.Time
	Repeat   time.Duration // how often what fires is told again; 0: every minute, as Prometheus does
}

// Times of Prometheus (rules/alerting.go: resend delay 1 m, an alert ends four of them after it was sent last, what is resolved is
// repeated for 15 m).
const (
	repeatEvery = time.Minute
	repeatEnded = 15 * time.Minute
	validFor    = 4 // repetitions
)

// NewAlertmanager returns the notifier of one instance, or says what is wrong with its address.
func NewAlertmanager(o AlertmanagerOptions) (*Alertmanager, error) {
	u, err := url.Parse(o.URL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, errors.New("the address of Alertmanager must be http://host:port or https://host:port")
	}
	transport := httptransport.NewWithClient(u.Host, strings.TrimSuffix(u.Path, "/")+"/api/v2", []string{u.Scheme}, o.Client)
	return &Alertmanager{client: alert.New(transport, strfmt.Default), external: o.External, page: o.Page, now: o.Now, repeat: cmp.Or(o.Repeat, repeatEvery)}, nil
}

// Repeat implements Repeater.
func (a *Alertmanager) Repeat() (every, afterEnd time.Duration) { return a.repeat, repeatEnded }

// Deliver implements Notifier.
func (a *Alertmanager) Deliver(ctx context.Context, notices []Notice) []Outcome {
	err := a.post(ctx, notices)
	_, bad := errors.AsType[*alert.PostAlertsBadRequest](err)
	if !bad || len(notices) == 1 {
		return all(notices, Outcome{Err: describe(err), Refused: bad, Memory: nil})
	}
	// It took the valid ones and says 400 for the others, not which: each alone tells. Telling the same again changes nothing.
	out := make([]Outcome, 0, len(notices))
	for i := range notices {
		out = append(out, a.Deliver(ctx, notices[i:i+1])...)
	}
	return out
}

func (a *Alertmanager) post(ctx context.Context, notices []Notice) error {
	alerts := make(models.PostableAlerts, 0, len(notices))
	for i := range notices {
		alerts = append(alerts, a.alert(&notices[i]))
	}
	_, err := a.client.PostAlerts(alert.NewPostAlertsParamsWithContext(ctx).WithAlerts(alerts))
	return err
}

// alert lays a notice out. Its identity is its labels.
func (a *Alertmanager) alert(n *Notice) *models.PostableAlert {
	t := &n.Transition
	labels := maps.Clone(a.external)
	if labels == nil {
		labels = map[string]string{}
	}
	maps.Copy(labels, alerting.Labels(t))
	ends := a.now().Add(validFor * a.repeat)
	if !n.Firing() {
		ends = n.Ended
	}
	starts := n.Fired
	if starts.After(ends) {
		starts = ends
	}
	return &models.PostableAlert{
		Annotations: annotations(t), StartsAt: strfmt.DateTime(starts), EndsAt: strfmt.DateTime(ends),
		Alert: models.Alert{Labels: labels, GeneratorURL: strfmt.URI(Link(a.page(), t))},
	}
}

// annotations are the texts of an alert: driftd's own, which the rule may replace.
func annotations(t *result.Transition) map[string]string {
	out := map[string]string{
		"summary":     t.Title,
		"description": strings.Join(t.Reasons, "\n"),
		"since":       time.UnixMilli(t.Since).UTC().Format(time.RFC3339),
		"incident":    t.Incident,
	}
	if len(t.Features) > 0 {
		names := make([]string, 0, len(t.Features))
		for _, f := range t.Features {
			names = append(names, f.Feature)
		}
		if more := t.FeaturesTotal - len(names); more > 0 {
			names = append(names, fmt.Sprintf("and %d more", more))
		}
		out["features"] = strings.Join(names, ", ")
	}
	maps.Copy(out, t.Annotations)
	for _, name := range slices.Sorted(maps.Keys(out)) {
		if out[name] == "" {
			delete(out, name)
		}
	}
	return out
}

// describe takes the receiver's answer apart: what an operator can act on, and no address with credentials.
func describe(err error) error {
	switch e := err.(type) { //nolint:errorlint // the client's own types, never wrapped
	case nil:
		return nil
	case *alert.PostAlertsBadRequest:
		return fmt.Errorf("alertmanager answers 400: %.300s: %w", e.Payload, err)
	case *alert.PostAlertsInternalServerError:
		return fmt.Errorf("alertmanager answers 500: %.300s: %w", e.Payload, err)
	case *runtime.APIError:
		return fmt.Errorf("alertmanager answers %d", e.Code)
	}
	if u, ok := errors.AsType[*url.Error](err); ok {
		return fmt.Errorf("asking alertmanager: %w", u.Err) // without the address, which may hold a password
	}
	return fmt.Errorf("asking alertmanager: %w", err)
}
