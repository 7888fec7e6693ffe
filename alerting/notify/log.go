package notify

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
)

func logSpec() Spec {
	return Spec{Type: "log", New: func(s Settings, h Host) ([]Receiver, error) {
		return []Receiver{{Name: s.Name, Notifier: &Log{Logger: h.Logger}, Match: nil}}, nil
	}}
}

// Log writes what changed to a logger: a receiver that is always there.
type Log struct{ Logger *slog.Logger }

// Deliver implements Notifier.
func (l *Log) Deliver(ctx context.Context, notices []Notice) []Outcome {
	for i := range notices {
		write(ctx, l.Logger, &notices[i])
	}
	return all(notices, outcome(nil))
}

// Preview implements Notifier.
func (*Log) Preview(n Notice) ([]byte, error) {
	var b bytes.Buffer
	handler := slog.NewTextHandler(&b, &slog.HandlerOptions{AddSource: false, Level: nil, ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
		if len(groups) == 0 && a.Key == slog.TimeKey {
			return slog.Attr{} // of nobody's interest beforehand
		}
		return a
	}})
	write(context.Background(), slog.New(handler), &n)
	return b.Bytes(), nil
}

func write(ctx context.Context, to *slog.Logger, n *Notice) {
	t := &n.Transition
	to.LogAttrs(ctx, slog.LevelInfo, "alert",
		slog.String("state", string(t.To)), slog.String("severity", t.Severity), slog.String("title", t.Title), slog.String("incident", t.Incident),
		slog.String("reasons", strings.Join(t.Reasons, "; ")))
}
