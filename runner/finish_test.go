package runner

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mayfly/internal/awstest"
	"mayfly/internal/cloud"
	"mayfly/internal/store"
)

// However slow everything is, the machine's end begins before the deadline.
func TestFinishKeepsTheDeadline(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		st, end, over := newMemStore(), &ender{}, make(chan struct{})
		defer close(over)
		deaf := func(_ context.Context, rec *Recorder) error {
			rec.Expect(1)
			rec.Start("a")
			st.mu.Lock()
			st.fault = func(op, key string) error { <-over; return errors.New("late") } // deaf, too
			st.mu.Unlock()
			<-over
			return nil
		}
		d, _ := deployment(st, Task{Name: "deaf", Job: jobFunc(deaf)})
		d.Publisher = &mailbox{fail: func(context.Context) error { <-over; return nil }}
		d.Hooks = []Hook{
			&told{begin: func(context.Context) error { <-over; return nil }, end: func(context.Context, *Report) error { <-over; return nil }},
			&told{last: true, end: func(context.Context, *Report) error { <-over; return nil }},
		}
		d.Ender = end
		d.Deadline = time.Now().Add(time.Hour)
		d.Out = blocked{over}
		d.Monitor = &Monitor{}
		d.Monitor.WhenOver(func() { <-over })
		if _, err := Run(t.Context(), d); err != nil {
			t.Fatal(err)
		}
		if end.calls != 1 || end.at.After(d.Deadline) {
			t.Errorf("%d ends, %s after the deadline", end.calls, end.at.Sub(d.Deadline))
		}
	})
}

type blocked struct{ until chan struct{} }

func (b blocked) Write(p []byte) (int, error) {
	<-b.until
	return len(p), nil
}

// A panic in any step of finishing skips none of the others.
func TestPanicsWhileFinishing(t *testing.T) {
	t.Parallel()
	for _, where := range []string{"report.json", "report.txt", "log/", "lock.json"} {
		t.Run(where, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				st, box, end := newMemStore(), &mailbox{}, &ender{}
				job := func(ctx context.Context, rec *Recorder) error {
					st.mu.Lock()
					st.fault = func(op, key string) error {
						if strings.Contains(key, where) {
							panic("ouch")
						}
						return nil
					}
					st.mu.Unlock()
					return items(Changed)(ctx, rec)
				}
				d, out := deployment(st, Task{Name: "j", Job: jobFunc(job)})
				d.Publisher, d.Ender = box, end
				if _, err := Run(t.Context(), d); err != nil {
					t.Fatal(err)
				}
				if len(box.got) != 1 || end.calls != 1 || !strings.Contains(out.String(), "onlinebackup") {
					t.Errorf("%d mails, %d ends, console:\n%s", len(box.got), end.calls, out)
				}
				if where != "lock.json" && !strings.Contains(st.text(lockKey), `"released":true`) {
					t.Error("the lock was not released")
				}
			})
		})
	}
}

// When a part of the run itself breaks, that is reported, and End is called.
func TestEndAfterAPanicOfTheRunner(t *testing.T) {
	t.Parallel()
	st, end := newMemStore(), &ender{}
	st.fault = func(op, key string) error { panic("store is broken") }
	d, out := deployment(st)
	d.Ender = end
	rep, err := Run(t.Context(), d)
	if err != nil || rep.Verdict != VerdictFailed || !strings.Contains(out.String(), "it panicked: store is broken") {
		t.Errorf("%v:\n%s", err, out)
	}
	if end.calls != 1 {
		t.Error("End was not called")
	}
}

// A cancelled context keeps nothing from being reported.
func TestCancelledRunIsReported(t *testing.T) {
	t.Parallel()
	st, box := newMemStore(), &mailbox{}
	ctx, cancel := context.WithCancelCause(t.Context())
	job := func(ctx context.Context, rec *Recorder) error {
		cancel(errors.New("terminated signal received"))
		<-ctx.Done()
		return ctx.Err()
	}
	d, _ := deployment(st, Task{Name: "j", Job: jobFunc(job)})
	d.Publisher = box
	rep, err := Run(ctx, d)
	if err != nil {
		t.Fatal(err)
	}
	if rep.Published != PublishedSent || len(box.got) != 1 || !strings.Contains(box.got[0].body, "Cut short: terminated signal received.") {
		t.Errorf("%s, mails %+v", rep.Published, box.got)
	}
}

// The real store, the real client, and SNS's own limits.
func TestRunWithDirectoryAndSNS(t *testing.T) {
	t.Parallel()
	s, err := awstest.New()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	s.Topics = []string{awstest.TopicARN("onlinebackup")}
	env := s.Env()
	c, err := cloud.Load(t.Context(), cloud.Options{Getenv: func(k string) string { return env[k] }})
	if err != nil {
		t.Fatal(err)
	}
	pub, err := c.Publisher(awstest.TopicARN("onlinebackup"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	st, err := store.NewDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	noisy := func(ctx context.Context, rec *Recorder) error {
		for range 5000 {
			rec.Log().Info(strings.Repeat("ü", 100))
		}
		return items(Changed, Failed)(ctx, rec)
	}
	var out bytes.Buffer
	d := Deployment{Name: "onlinebackup", RunID: "R1", Host: "h", Store: st, Out: &out, Publisher: pub,
		Tasks: []Task{{Name: "github", Unit: "repositories", Job: jobFunc(noisy)}}}
	rep, err := Run(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	if rep.Verdict != VerdictPartial || rep.Published != PublishedSent {
		t.Errorf("%s, %s:\n%s", rep.Verdict, rep.Published, &out)
	}
	got := s.Messages()
	if len(got) != 1 || got[0].Subject != "mayfly onlinebackup: partial, 2 repositories, 1 failed, 1 changed" ||
		!strings.HasPrefix(got[0].Body, "onlinebackup partial.") || !strings.Contains(got[0].Body, "of the log left out here") {
		t.Errorf("%d messages", len(got))
	}
	b, err := os.ReadFile(filepath.Join(dir, "runs", "R1", "report.json"))
	if err != nil {
		t.Fatal(err)
	}
	var back Report
	if err := json.Unmarshal(b, &back); err != nil || back.Published != PublishedSent || len(back.Jobs) != 1 {
		t.Errorf("%v: %s", err, b)
	}
	d.RunID = "R1" // the same id again: nothing may be overwritten
	if _, err := Run(t.Context(), d); err == nil || !strings.Contains(err.Error(), "started.json") {
		t.Errorf("a second run of the same id: %v", err)
	}
	d.RunID = "R2"
	if _, err := Run(t.Context(), d); err != nil {
		t.Errorf("the run after: %v", err)
	}
}
