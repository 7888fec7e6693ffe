// Command retrain runs a job when a model drifts: an example of a program that acts on driftd's alerts. It reads the transitions that a
// notifier of the type nats publishes (docs/alerting.md), from a stream that keeps them while it does not run, and runs a command for
// each incident of drift that begins:
//
//	go run ./examples/retrain --url nats://127.0.0.1:4222 -- ./retrain.sh
//
// The command gets the transition as JSON on its standard input, and DRIFTD_MODEL, DRIFTD_VERSION, DRIFTD_INCIDENT, DRIFTD_RULE,
// DRIFTD_FEATURE and DRIFTD_RESULT (the id of the window's result) in its environment. A transition is acknowledged when the command
// has succeeded; one that failed, or was interrupted, is run again. So it may run twice for an incident: let it begin with a look for what
// it has made for that incident already.
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
	"os/exec"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	alive      = 10 * time.Second // how often the broker is told that a command still runs
	retryAfter = 30 * time.Second // after a command that failed
)

// transition is what this program reads of docs/schema/transition.schema.json.
type transition struct {
	Incident string `json:"incident"`
	Rule     string `json:"rule"`
	Kind     string `json:"kind"`
	Key      struct {
		Model   string `json:"model"`
		Version string `json:"version"`
	} `json:"key"`
	Feature     string `json:"feature"`
	From        string `json:"from"`
	To          string `json:"to"`
	ResultID    string `json:"result_id"`
	InhibitedBy string `json:"inhibited_by"`
}

// begins reports whether an incident of drift begins: it fires, did not before, and no other incident explains it.
func (t *transition) begins() bool {
	kinds := []string{"feature_drift", "prediction_drift", "drift_share"}
	return t.To == "firing" && t.From != "firing" && t.InhibitedBy == "" && slices.Contains(kinds, t.Kind)
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	logger := slog.New(slog.NewTextHandler(os.Stderr, nil))
	err := run(ctx, logger)
	stop()
	if err != nil {
		logger.Error("retrain ends", slog.Any("err", err))
		os.Exit(1)
	}
}

func run(ctx context.Context, logger *slog.Logger) error {
	url := flag.String("url", nats.DefaultURL, "address of the broker")
	token := flag.String("token-file", "", "a file with the broker's token")
	stream := flag.String("stream", "DRIFTD_ALERTS", "the stream that keeps the alerts; it is created when missing")
	flag.Parse()
	if flag.NArg() == 0 {
		return errors.New("which command? give it after the flags")
	}
	consumer, closed, err := open(ctx, *url, *token, *stream)
	if err != nil {
		return err
	}
	defer closed()
	logger.Info("waiting for drift", slog.String("stream", *stream))
	for ctx.Err() == nil {
		msg, err := consumer.Next(jetstream.FetchContext(ctx))
		if errors.Is(err, nats.ErrTimeout) || errors.Is(err, context.DeadlineExceeded) || ctx.Err() != nil {
			continue
		}
		if err != nil {
			return fmt.Errorf("reading alerts: %w", err)
		}
		if err := handle(ctx, logger, msg, flag.Args()); err != nil {
			return err
		}
	}
	return nil
}

// open connects to the broker and returns a consumer that remembers where this program is.
func open(ctx context.Context, url, tokenFile, stream string) (jetstream.Consumer, func(), error) {
	options := []nats.Option{nats.Name("retrain"), nats.MaxReconnects(-1)}
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
	if err == nil {
		_, err = js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{Name: stream, Subjects: []string{"driftd.alerts.>"}, MaxAge: 30 * 24 * time.Hour})
	}
	var consumer jetstream.Consumer
	if err == nil {
		consumer, err = js.CreateOrUpdateConsumer(ctx, stream, jetstream.ConsumerConfig{Durable: "retrain", AckPolicy: jetstream.AckExplicitPolicy, AckWait: 3 * alive, MaxAckPending: 1})
	}
	if err != nil {
		nc.Close()
		return nil, nil, fmt.Errorf("opening the stream of alerts: %w", err)
	}
	return consumer, nc.Close, nil
}

// handle runs the command if the transition is one to act on.
func handle(ctx context.Context, logger *slog.Logger, msg jetstream.Msg, command []string) error {
	var t transition
	if err := json.Unmarshal(msg.Data(), &t); err != nil {
		logger.Warn("a message is no transition", slog.String("subject", msg.Subject()), slog.Any("err", err))
		return msg.Term()
	}
	if !t.begins() {
		return msg.Ack()
	}
	logger.Info("a model drifts", slog.String("model", t.Key.Model), slog.String("feature", t.Feature), slog.String("incident", t.Incident))
	cmd := exec.CommandContext(ctx, command[0], command[1:]...) //nolint:gosec // the operator's own
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(msg.Data()), os.Stdout, os.Stderr
	cmd.Env = append(cmd.Environ(), "DRIFTD_MODEL="+t.Key.Model, "DRIFTD_VERSION="+t.Key.Version, "DRIFTD_INCIDENT="+t.Incident,
		"DRIFTD_RULE="+t.Rule, "DRIFTD_FEATURE="+t.Feature, "DRIFTD_RESULT="+t.ResultID)
	if err := attend(cmd, msg); err != nil {
		logger.Warn("the command failed and is run again", slog.String("incident", t.Incident), slog.Any("err", err))
		return msg.NakWithDelay(retryAfter)
	}
	logger.Info("the command is done", slog.String("incident", t.Incident))
	return msg.Ack()
}

// attend runs a command and tells the broker that the message is being worked on.
func attend(cmd *exec.Cmd, msg jetstream.Msg) error {
	if err := cmd.Start(); err != nil {
		return err
	}
	done := make(chan error, 1) // one result
	go func() { done <- cmd.Wait() }()
	tick := time.NewTicker(alive)
	defer tick.Stop()
	for {
		select {
		case err := <-done:
			return err
		case <-tick.C:
			if err := msg.InProgress(); err != nil {
				return errors.Join(err, cmd.Process.Kill(), <-done) // another would run it beside this one
			}
		}
	}
}
