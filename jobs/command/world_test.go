package command

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"mayfly/internal/secret"
	"mayfly/internal/store"
	"mayfly/runner"
)

// A world is what one command is run in.
type world struct {
	t       *testing.T
	env     runner.Env
	dir     string // below which everything is
	secrets map[secret.Ref]string
	objects map[string]string
	vars    map[string]string
	log     syncBuffer
	tune    func(*job)
	rec     *runner.Recorder
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir(), secrets: map[secret.Ref]string{}, objects: map[string]string{}}
	// The temporary directory of a test is its owner's alone.
	for d := w.dir; d != "/" && d != os.TempDir(); d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	st, err := store.NewDir(filepath.Join(w.dir, "store"))
	if err != nil {
		t.Fatal(err)
	}
	redactor := new(secret.Redactor)
	w.vars = map[string]string{"PATH": os.Getenv("PATH"), "HOME": w.dir, "TMPDIR": w.dir, "LANG": "C.UTF-8", "TZ": "UTC", "MAYFLY_TEST_NOT_PASSED": "1"}
	w.env = runner.Env{
		Job: "task", Prefix: "task", RunID: "20261120T170412Z-i-0abc", Start: time.Now(), Store: st,
		Secret: func(r secret.Ref) (secret.Value, error) {
			v := secret.New(w.secrets[r])
			return v, redactor.Add(v)
		},
		Redact: redactor.Redact, Hide: func(v secret.Value) { _ = redactor.Add(v) },
		Object: func(_ context.Context, url string) (io.ReadCloser, error) {
			text, ok := w.objects[url]
			if !ok {
				return nil, store.ErrNotExist
			}
			return io.NopCloser(strings.NewReader(text)), nil
		},
		Getenv: func(n string) string { return w.vars[n] },
	}
	return w
}

// run runs the command as the runner would, and returns how its item ended.
func (w *world) run(c Config) runner.ItemReport { return w.runIn(w.t.Context(), c) }

func (w *world) runIn(ctx context.Context, c Config) runner.ItemReport {
	w.t.Helper()
	for _, p := range c.Validate() {
		w.t.Fatalf("the config of the test: %v", p)
	}
	made, err := c.New(w.env)
	if err != nil {
		w.t.Fatal(err)
	}
	if w.tune != nil {
		w.tune(made.(*job))
	}
	w.rec = runner.NewRecorder(slog.New(slog.NewTextHandler(&w.log, nil)), time.Now)
	if err := made.Run(ctx, w.rec); err != nil {
		w.t.Fatal(err)
	}
	jr := w.rec.Snapshot()
	if len(jr.Items) != 1 || jr.Expected != 1 {
		w.t.Fatalf("want one item: %+v", jr)
	}
	w.nothingIsLeft()
	return jr.Items[0]
}

// nothingIsLeft checks that the command's own directories are gone.
func (w *world) nothingIsLeft() {
	w.t.Helper()
	left, err := filepath.Glob(filepath.Join(w.dir, "mayfly-*"))
	if err != nil || len(left) > 0 {
		w.t.Errorf("left behind: %v, %v", left, err)
	}
}

// ok runs a script that is to succeed, and returns what it printed.
func (w *world) ok(c Config) string {
	w.t.Helper()
	it := w.run(c)
	if it.Outcome != runner.Done || it.Problem != nil || it.Exit == nil || *it.Exit != 0 {
		w.t.Fatalf("%s: %+v\n%s", it.Outcome, it.Problem, &w.log)
	}
	return w.printed()
}

// bad runs a script that is to fail, and returns what is said about it.
func (w *world) bad(c Config) *runner.Problem {
	w.t.Helper()
	it := w.run(c)
	if it.Outcome != runner.Failed || it.Problem == nil {
		w.t.Fatalf("%s: %+v\n%s", it.Outcome, it.Problem, &w.log)
	}
	return it.Problem
}

// printed is what the log has of the command's output.
func (w *world) printed() string {
	var b strings.Builder
	for line := range strings.Lines(w.log.String()) {
		_, msg, _ := strings.Cut(line, " msg=")
		if msg, err := strconv.Unquote(strings.TrimSpace(msg)); err == nil && strings.HasPrefix(msg, "| ") {
			b.WriteString(msg[2:] + "\n")
		}
	}
	return b.String()
}

// says checks that text holds each of the parts.
func says(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if !strings.Contains(text, p) {
			t.Errorf("it does not say %q:\n%s", p, text)
		}
	}
}

// root says whether the test may do what only root may.
func root(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 && os.Getenv("MAYFLY_NO_SKIP") != "" {
		t.Fatal("needs root")
	}
	if os.Geteuid() != 0 {
		t.Skip("needs root; CI runs as root, and does not skip")
	}
}

func shell(script string) *exec.Cmd { return exec.Command("/bin/sh", "-c", script) }
