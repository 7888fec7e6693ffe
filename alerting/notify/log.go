package notify

import (
	"context"
	"log/slog"
	"strings"
)

// Log writes what changed to a logger: a receiver that is always there.
type Log struct{ Logger *slog.Logger }

// Deliver implements Notifier.
func (l *Log) Deliver(ctx context.Context, notices []Notice) []Outcome {
	for i := range notices {
		t := &notices[i].Transition
		l.Logger.LogAttrs(ctx, slog.LevelInfo, "alert",
			slog.String("state", string(t.To)), slog.String("severity", t.Severity), slog.String("title", t.Title), slog.String("incident", t.Incident),
			slog.String("reasons", strings.Join(t.Reasons, "; ")))
	}
	return all(notices, Outcome{Err: nil, Refused: false, Memory: nil})
}
