package notify

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
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

func alertmanagerSpec() Spec {
	return Spec{Type: "alertmanager", New: func(s Settings, h Host) ([]Receiver, error) {
		var out []Receiver
		for i, url := range s.URLs {
			am, err := NewAlertmanager(AlertmanagerOptions{URL: url, Client: s.Client, External: s.External, Page: h.Page, Now: h.Now, Repeat: 0})
			if err != nil {
				return nil, err
			}
			out = append(out, Receiver{Name: s.Name + "-" + strconv.Itoa(i), Notifier: am, Match: nil})
		}
		return out, nil
	}}
}

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
	o := outcome(describe(a.post(ctx, notices)))
	if !o.Refused || len(notices) == 1 {
		return all(notices, o)
	}
	// It took the valid ones and says 400 for the others, not which: each alone tells. Telling the same again changes nothing.
	out := make([]Outcome, 0, len(notices))
	for i := range notices {
		out = append(out, a.Deliver(ctx, notices[i:i+1])...)
	}
	return out
}

// Preview implements Notifier.
func (a *Alertmanager) Preview(n Notice) ([]byte, error) {
	data, err := json.Marshal(models.PostableAlerts{a.alert(&n)})
	if err != nil {
		return nil, fmt.Errorf("encoding an alert: %w", err)
	}
	return data, nil
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
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*alert.PostAlertsBadRequest](err); ok {
		return fmt.Errorf("telling alertmanager: %w: %.300s", &statusError{code: http.StatusBadRequest, after: 0, answer: ""}, e.Payload)
	}
	if e, ok := errors.AsType[*alert.PostAlertsInternalServerError](err); ok {
		return fmt.Errorf("telling alertmanager: %w: %.300s", &statusError{code: http.StatusInternalServerError, after: 0, answer: ""}, e.Payload)
	}
	if e, ok := errors.AsType[*runtime.APIError](err); ok {
		s := &statusError{code: e.Code, after: 0, answer: ""}
		if r, ok := e.Response.(runtime.ClientResponse); ok {
			s.after = retryAfter(r.GetHeader("Retry-After"))
		}
		return fmt.Errorf("telling alertmanager: %w", s)
	}
	return fmt.Errorf("asking alertmanager: %w", withoutAddress(err))
}
