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

// Who follows without a name means the run at work, else the next one; a run
// that is over is none of them.
func TestWhatIsFollowed(t *testing.T) {
	t.Parallel()
	const old, at, next = "20261120T110000Z-i-0aa", "20261120T115900Z-i-0ab", "20261120T115930Z-i-0ac"
	for _, tt := range []struct {
		name     string
		runs     []string // there from the start
		live     string
		come     []string // later
		after    string
		want     string
		waitsFor string
	}{
		{name: "at work", runs: []string{old, at}, live: at, want: at},
		{name: "over", runs: []string{old}, come: []string{at}, want: at, waitsFor: "No run is at work; waiting for the next. The last one: mayfly logs " + old},
		{name: "two come at once", runs: []string{old}, come: []string{at, next}, want: at, waitsFor: "waiting for the next"},
		{name: "after, there already and over", runs: []string{old, at}, after: "20261120T115800Z", want: at},
		{name: "after, of two the first", runs: []string{old, at, next}, live: next, after: "20261120T115800Z", want: at},
		{name: "after, not yet", runs: []string{old}, live: old, after: "20261120T115800Z", come: []string{at}, want: at, waitsFor: "waiting for the next"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			st, err := store.NewDir(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			put := func(key, text string) {
				t.Helper()
				if _, err := st.Put(t.Context(), key, []byte(text), ""); err != nil {
					t.Fatal(err)
				}
			}
			for _, run := range tt.runs {
				put("runs/"+run+"/started.json", `{"run": "`+run+`"}`)
				if run != tt.live {
					put("runs/"+run+"/report.json", `{"verdict": "failed"}`)
				}
			}
			if tt.live != "" {
				put("runs/lock.json", `{"run": "`+tt.live+`"}`)
			}
			var errs screen
			l := &logReader{app: &app{stderr: &errs, now: func() time.Time { return scriptNow }}, st: st, every: time.Millisecond}
			if tt.after != "" {
				if l.after, err = time.Parse(afterForm, tt.after); err != nil {
					t.Fatal(err)
				}
			}
			done := make(chan error, 1)
			go func() { done <- l.find(t.Context(), "", true) }()
			if tt.waitsFor != "" {
				errs.waitFor(t, tt.waitsFor)
			}
			for _, run := range tt.come { // the older first: it is the one
				put("runs/"+run+"/started.json", `{"run": "`+run+`"}`)
			}
			if err := <-done; err != nil || l.run != tt.want {
				t.Errorf("follows %q, %v; want %q", l.run, err, tt.want)
			}
		})
	}
}
