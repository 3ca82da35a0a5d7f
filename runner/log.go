package runner

import (
	"context"
	"io"
	"log/slog"
	"sync"
)

// The keys of the log, all of them: one word for one thing.
const (
	KeyRun    = "run"
	KeyJob    = "job"
	KeyItem   = "item"
	KeyErr    = "err"
	KeyCause  = "cause"
	KeyStack  = "stack"
	KeyHolder = "holder"
	KeyHost   = "host"
	KeyHook   = "hook"
	KeyLeft   = "left"
	KeyTook   = "took"
	KeyBytes  = "bytes"
	KeyCount  = "count"
)

// newLogger logs to console from consoleLevel on, and to kept from info on (or
// from consoleLevel, when that is finer). Every record is redacted as a whole,
// after formatting.
func newLogger(console io.Writer, consoleLevel slog.Level, kept io.Writer, redact func(string) string) *slog.Logger {
	keptLevel := min(consoleLevel, slog.LevelInfo)
	h := tee{slog.NewTextHandler(redactor{kept, redact}, &slog.HandlerOptions{Level: keptLevel})}
	if console != nil {
		h = append(h, slog.NewTextHandler(redactor{console, redact}, &slog.HandlerOptions{Level: consoleLevel}))
	}
	return slog.New(h)
}

// A redactor passes on what is written to it without its secrets. slog's
// handlers write one whole record at a time, so no secret is ever split.
type redactor struct {
	w      io.Writer
	redact func(string) string
}

func (r redactor) Write(p []byte) (int, error) {
	if _, err := io.WriteString(r.w, r.redact(string(p))); err != nil {
		return 0, err
	}
	return len(p), nil
}

// A tee hands each record to several handlers.
type tee []slog.Handler

func (t tee) Enabled(ctx context.Context, l slog.Level) bool {
	for _, h := range t {
		if h.Enabled(ctx, l) {
			return true
		}
	}
	return false
}

func (t tee) Handle(ctx context.Context, r slog.Record) error {
	var first error
	for _, h := range t {
		if !h.Enabled(ctx, r.Level) {
			continue
		}
		if err := h.Handle(ctx, r.Clone()); err != nil && first == nil {
			first = err
		}
	}
	return first
}

func (t tee) WithAttrs(a []slog.Attr) slog.Handler {
	out := make(tee, len(t))
	for i, h := range t {
		out[i] = h.WithAttrs(a)
	}
	return out
}

func (t tee) WithGroup(name string) slog.Handler {
	out := make(tee, len(t))
	for i, h := range t {
		out[i] = h.WithGroup(name)
	}
	return out
}

// An excerpt keeps the first and the last bytes of a log, for the mail: its
// memory does not grow.
type excerpt struct {
	mu         sync.Mutex
	head, tail []byte
	cut        int64 // bytes between them that are gone
}

const excerptHalf = 100 << 10

func (e *excerpt) Write(p []byte) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	n := len(p)
	if room := excerptHalf - len(e.head); room > 0 && len(e.tail) == 0 {
		if len(p) <= room {
			e.head = append(e.head, p...)
			return n, nil
		}
	}
	e.tail = append(e.tail, p...)
	if over := len(e.tail) - 2*excerptHalf; over > 0 {
		keep := e.tail[len(e.tail)-excerptHalf:]
		e.cut += int64(len(e.tail) - len(keep))
		e.tail = append(e.tail[:0], keep...)
	}
	return n, nil
}

// parts returns the beginning and the end of the log, and how many bytes lie
// between them.
func (e *excerpt) parts() (head, tail string, cut int64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return string(e.head), string(e.tail), e.cut
}
