// Command rollback takes a version of a model out of service when it fails or becomes slow: an example of a program that acts on
// driftd's alerts. It reads the transitions that a notifier of the type nats publishes (docs/alerting.md), and writes the file that says
// which version serves:
//
//	go run ./examples/rollback --url nats://127.0.0.1:4222 --model churn --serving serving.json
//
// serving.json is {"version":"2","previous":"1"}. When an incident of error_rate or latency of exactly the version that serves begins,
// the previous one serves again and the file is replaced in one step. An incident of another version, an old one that is delivered again,
// and one that has no previous version change nothing: so it is safe to be told twice.
//
// With --verdicts it also reads the verdicts of driftd on versions that are compared (docs/versions.md), and puts the previous version back when the one
// that serves is to be rolled back.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// transition is what this program reads of docs/schema/transition.schema.json.
type transition struct {
	Incident string `json:"incident"`
	Kind     string `json:"kind"`
	Key      struct {
		Model   string `json:"model"`
		Version string `json:"version"`
	} `json:"key"`
	From  string `json:"from"`
	To    string `json:"to"`
	Title string `json:"title"`
}

// verdict is what this program reads of docs/schema/verdict.schema.json.
type verdict struct {
	ResultID  string   `json:"result_id"`
	Candidate string   `json:"candidate"`
	Verdict   string   `json:"verdict"`
	Reasons   []string `json:"reasons"`
}

// serving is the file that says which version serves.
type serving struct {
	Version  string `json:"version"`
	Previous string `json:"previous,omitempty"`
	Why      string `json:"why,omitempty"` // the incident or verdict that made it so
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	logger := slog.New(slog.NewTextHandler(os.Stderr, nil))
	err := run(ctx, logger)
	stop()
	if err != nil {
		logger.Error("rollback ends", slog.Any("err", err))
		os.Exit(1)
	}
}

func run(ctx context.Context, logger *slog.Logger) error {
	url := flag.String("url", nats.DefaultURL, "address of the broker")
	token := flag.String("token-file", "", "a file with the broker's token")
	stream := flag.String("stream", "DRIFTD_ALERTS", "the stream that keeps the alerts; it is created when missing")
	model := flag.String("model", "", "the model that is served")
	verdicts := flag.Bool("verdicts", false, "act on verdicts about versions, too")
	file := flag.String("serving", "serving.json", "the file that says which version serves")
	flag.Parse()
	if *model == "" {
		return errors.New("which model? give --model")
	}
	js, closed, err := open(*url, *token)
	if err != nil {
		return err
	}
	defer closed()
	alerts, err := watchAlerts(ctx, js, *stream, *model)
	if err != nil {
		return fmt.Errorf("opening the stream of alerts: %w", err)
	}
	if *verdicts {
		told, err := watchVerdicts(ctx, js, *model)
		if err != nil {
			return fmt.Errorf("opening the stream of verdicts: %w", err)
		}
		done := make(chan error, 1)
		rctx, stop := context.WithCancel(ctx)
		go func() {
			defer stop() // one that cannot be read ends the program
			done <- follow(rctx, logger, alerts, *file, ofTransition)
		}()
		logger.Info("watching the verdicts, too", slog.String("model", *model))
		err = follow(rctx, logger, told, *file, ofVerdict)
		stop()
		return errors.Join(err, <-done)
	}
	logger.Info("watching the version that serves", slog.String("model", *model), slog.String("stream", *stream))
	return follow(ctx, logger, alerts, *file, ofTransition)
}

// follow acts on the messages of a consumer until the context ends.
func follow(ctx context.Context, logger *slog.Logger, consumer jetstream.Consumer, file string, read func([]byte) (bad, error)) error {
	for ctx.Err() == nil {
		msg, err := consumer.Next(jetstream.FetchContext(ctx))
		if errors.Is(err, nats.ErrTimeout) || errors.Is(err, context.DeadlineExceeded) || ctx.Err() != nil {
			continue
		}
		if err != nil {
			return fmt.Errorf("reading from the broker: %w", err)
		}
		if err := handle(logger, msg, file, read); err != nil {
			return err // the message is delivered again when the program is started again
		}
	}
	return nil
}

// open connects to the broker.
func open(url, tokenFile string) (jetstream.JetStream, func(), error) {
	options := []nats.Option{nats.Name("rollback"), nats.MaxReconnects(-1)}
	if tokenFile != "" {
		token, err := os.ReadFile(tokenFile)
		if err != nil {
			return nil, nil, fmt.Errorf("reading the token: %w", err)
		}
		options = append(options, nats.Token(string(bytes.TrimSpace(token))))
	}
	nc, err := nats.Connect(url, options...)
	if err != nil {
		return nil, nil, fmt.Errorf("connecting: %w", err)
	}
	js, err := jetstream.New(nc)
	if err != nil {
		nc.Close()
		return nil, nil, fmt.Errorf("connecting: %w", err)
	}
	return js, nc.Close, nil
}

// watchAlerts returns a consumer of the alerts that remembers where this program is.
func watchAlerts(ctx context.Context, js jetstream.JetStream, stream, model string) (jetstream.Consumer, error) {
	_, err := js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{Name: stream, Subjects: []string{"driftd.alerts.>"}, MaxAge: 30 * 24 * time.Hour})
	if err != nil {
		return nil, err
	}
	return js.CreateOrUpdateConsumer(ctx, stream, jetstream.ConsumerConfig{
		Durable: "rollback-" + model, AckPolicy: jetstream.AckExplicitPolicy, FilterSubject: "driftd.alerts." + model,
	})
}

// watchVerdicts returns a consumer of the verdicts, which driftd's own outbox keeps. It begins with the newest: what an earlier version was is history.
func watchVerdicts(ctx context.Context, js jetstream.JetStream, model string) (jetstream.Consumer, error) {
	return js.CreateOrUpdateConsumer(ctx, "DRIFTD_OUTBOX", jetstream.ConsumerConfig{
		Durable: "rollback-verdicts-" + model, AckPolicy: jetstream.AckExplicitPolicy, DeliverPolicy: jetstream.DeliverLastPerSubjectPolicy,
		FilterSubject: "driftd.verdicts." + model,
	})
}

// bad is a version that should not serve, and why; empty: none.
type bad struct{ version, why, title string }

func ofTransition(data []byte) (bad, error) {
	var t transition
	if err := json.Unmarshal(data, &t); err != nil {
		return bad{}, err
	}
	if t.To != "firing" || t.From == "firing" || !slices.Contains([]string{"error_rate", "latency"}, t.Kind) {
		return bad{}, nil
	}
	return bad{t.Key.Version, t.Incident, t.Title}, nil
}

func ofVerdict(data []byte) (bad, error) {
	var v verdict
	if err := json.Unmarshal(data, &v); err != nil {
		return bad{}, err
	}
	if v.Verdict != "roll_back" {
		return bad{}, nil
	}
	return bad{v.Candidate, v.ResultID, strings.Join(v.Reasons, "; ")}, nil
}

// handle rolls back if a message says that the version that serves is bad.
func handle(logger *slog.Logger, msg jetstream.Msg, file string, read func([]byte) (bad, error)) error {
	t, err := read(msg.Data())
	if err != nil {
		logger.Warn("a message cannot be read", slog.String("subject", msg.Subject()), slog.Any("err", err))
		return msg.Term()
	}
	if t.version == "" {
		return msg.Ack()
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("reading which version serves: %w", err)
	}
	var now serving
	if err := json.Unmarshal(data, &now); err != nil {
		return fmt.Errorf("reading which version serves: %w", err)
	}
	if now.Version != t.version || now.Previous == "" {
		logger.Info("nothing to roll back", slog.String("for", t.title), slog.String("serves", now.Version))
		return msg.Ack()
	}
	if err := replace(file, serving{Version: now.Previous, Previous: "", Why: t.why}); err != nil {
		return err
	}
	logger.Info("rolled back", slog.String("for", t.title), slog.String("from", now.Version), slog.String("to", now.Previous))
	return msg.Ack()
}

// replace writes a file whole or not at all.
func replace(file string, s serving) error {
	data, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("encoding which version serves: %w", err)
	}
	temp, err := os.CreateTemp(filepath.Dir(file), ".serving-*")
	if err != nil {
		return fmt.Errorf("writing which version serves: %w", err)
	}
	_, err = temp.Write(data)
	err = errors.Join(err, temp.Sync(), temp.Close())
	if err == nil {
		err = os.Rename(temp.Name(), file)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("writing which version serves: %w", err), os.Remove(temp.Name()))
	}
	return nil
}
