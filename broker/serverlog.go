package broker

import (
	"fmt"
	"log/slog"
	"strings"
	"sync"
)

// serverLog hands the embedded server's messages to slog. Notices are lifecycle chatter and go to debug.
type serverLog struct {
	log    *slog.Logger
	secret string

	mu    sync.Mutex
	fatal string
}

func (l *serverLog) text(format string, v []any) string {
	s := fmt.Sprintf(format, v...)
	if l.secret != "" {
		s = strings.ReplaceAll(s, l.secret, "<redacted>")
	}
	return s
}

func (l *serverLog) Noticef(format string, v ...any) {
	l.log.Debug("embedded broker", slog.String("message", l.text(format, v)))
}

func (l *serverLog) Warnf(format string, v ...any) {
	l.log.Warn("embedded broker", slog.String("message", l.text(format, v)))
}

func (l *serverLog) Errorf(format string, v ...any) {
	l.log.Error("embedded broker", slog.String("message", l.text(format, v)))
}

// Fatalf does not end the process: the embedding program does, after its own clean-up.
func (l *serverLog) Fatalf(format string, v ...any) {
	s := l.text(format, v)
	l.mu.Lock()
	l.fatal = s
	l.mu.Unlock()
	l.log.Error("embedded broker", slog.String("message", s))
}

func (l *serverLog) Debugf(format string, v ...any) {
	l.log.Debug("embedded broker", slog.String("message", l.text(format, v)))
}

func (l *serverLog) Tracef(string, ...any) {}

func (l *serverLog) lastFatal() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.fatal
}
