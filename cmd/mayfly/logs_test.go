package main

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"mayfly/internal/store"
)

// A screen is what someone who follows a run sees, safe to look at meanwhile.
type screen struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

// waitFor waits until the screen shows the text.
func (s *screen) waitFor(t *testing.T, text string) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		s.mu.Lock()
		all := s.text.String()
		s.mu.Unlock()
		if strings.Contains(all, text) {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%q is not shown: %q", text, all)
		}
	}
}

// TestFollow follows a run from before it began to its report.
func TestFollow(t *testing.T) {
	t.Parallel()
	st, err := store.NewDir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	put := func(key, text string, old store.ETag) store.ETag {
		t.Helper()
		etag, err := st.Put(t.Context(), key, []byte(text), old)
		if err != nil {
			t.Fatal(err)
		}
		return etag
	}
	var out, errs screen
	a := &app{stdout: &out, stderr: &errs, now: func() time.Time { return scriptNow }}
	l := &logReader{app: a, st: st, every: time.Millisecond}
	done := make(chan error, 1)
	go func() {
		if err := l.find(t.Context(), "", true); err != nil {
			done <- err
			return
		}
		done <- l.print(t.Context(), true)
	}()
	errs.waitFor(t, "waiting for one")
	const run = "20261120T115900Z-i-0abc"
	lock := put("runs/lock.json", `{"run": "`+run+`"}`, "")
	put("runs/"+run+"/started.json", `{"run": "`+run+`"}`, "")
	put("runs/"+run+"/log/00001.txt", "one\n", "")
	out.waitFor(t, "one\n")
	put("runs/"+run+"/log/00002.txt", "two\n", "")
	out.waitFor(t, "one\ntwo\n")
	put("runs/"+run+"/log/00003.txt", "three\n", "")
	put("runs/"+run+"/report.json", `{"verdict": "interrupted"}`, "")
	put("runs/lock.json", `{"run": "`+run+`", "released": true}`, lock)
	err = <-done
	if coded, ok := errors.AsType[*codeError](err); !ok || coded.code != exitInterrupted || coded.err != nil {
		t.Errorf("the exit code is not the run's: %v", err)
	}
	if got, want := out.text.String(), "one\ntwo\nthree\nRun "+run+": interrupted.\n"; got != want {
		t.Errorf("shown %q, want %q", got, want)
	}
}

// TestFollowStops when whoever follows has seen enough.
func TestFollowStops(t *testing.T) {
	t.Parallel()
	st, err := store.NewDir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	l := &logReader{app: &app{stderr: new(screen), now: time.Now}, st: st, every: time.Hour}
	if err := l.find(ctx, "", true); err == nil {
		t.Error("found a run where there is none")
	}
}
