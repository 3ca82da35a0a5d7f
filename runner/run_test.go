package runner

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// jobFunc is a Job made of a function.
type jobFunc func(ctx context.Context, rec *Recorder) error

func (f jobFunc) Run(ctx context.Context, rec *Recorder) error { return f(ctx, rec) }

// items is a job whose items end with the given outcomes.
func items(outcomes ...Outcome) jobFunc {
	return func(_ context.Context, rec *Recorder) error {
		rec.Expect(len(outcomes))
		for i, o := range outcomes {
			it := rec.Start(fmt.Sprintf("acme/site%d", i))
			it.Wrote(1000)
			var p *Problem
			if o == Failed || o == Partial {
				p = &Problem{Doing: "fetch", Item: "acme/site", Reason: "cut", Fix: "try again"}
			}
			it.End(o, p)
		}
		return nil
	}
}

// hangs is a job that ends only with its context.
func hangs(ctx context.Context, rec *Recorder) error {
	rec.Expect(2)
	rec.Start("acme/done").End(Changed, nil)
	rec.Start("acme/open")
	<-ctx.Done()
	return ctx.Err()
}

type letter struct{ subject, body string }

type mailbox struct {
	mu   sync.Mutex
	got  []letter
	fail func(ctx context.Context) error
}

func (m *mailbox) Publish(ctx context.Context, subject, body string) error {
	if m.fail != nil {
		if err := m.fail(ctx); err != nil {
			return err
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.got = append(m.got, letter{subject, body})
	return nil
}

type ender struct {
	calls int
	at    time.Time
}

func (e *ender) End(context.Context) error {
	e.calls++
	e.at = time.Now()
	return nil
}

func deployment(st *memStore, tasks ...Task) (Deployment, *bytes.Buffer) {
	var out bytes.Buffer
	return Deployment{
		Name: "onlinebackup", RunID: "20000101T000000Z-host", Version: "test", Host: "host",
		Store: st, Tasks: tasks, Out: &out,
	}, &out
}

func stored(t *testing.T, st *memStore) Report {
	t.Helper()
	var r Report
	if err := json.Unmarshal([]byte(st.text("runs/20000101T000000Z-host/report.json")), &r); err != nil {
		t.Fatalf("report.json: %v", err)
	}
	return r
}

func TestVerdicts(t *testing.T) {
	t.Parallel()
	boom := errors.New("list repositories: no such owner")
	noExpect := func(_ context.Context, rec *Recorder) error {
		rec.Start("a").End(Changed, nil)
		return nil
	}
	short := func(_ context.Context, rec *Recorder) error {
		rec.Expect(2)
		rec.Start("a").End(Changed, nil)
		return nil
	}
	leftOpen := func(_ context.Context, rec *Recorder) error {
		rec.Expect(1)
		rec.Start("a")
		return nil
	}
	for name, c := range map[string]struct {
		jobs []jobFunc
		want Verdict
		code int
		text string
	}{
		"all good":         {[]jobFunc{items(Changed, Unchanged, Empty)}, VerdictComplete, 0, "3 items: 1 changed, 1 unchanged, 1 empty; 3.0 kB written"},
		"skipped is fine":  {[]jobFunc{items(Skipped)}, VerdictComplete, 0, "1 item: 1 skipped"},
		"nothing to do":    {[]jobFunc{items()}, VerdictComplete, 0, "0 items"},
		"one failed":       {[]jobFunc{items(Changed, Failed)}, VerdictPartial, 3, "fetch acme/site1: cut"},
		"all failed":       {[]jobFunc{items(Failed)}, VerdictFailed, 1, "never backed up: acme/site0"},
		"one partial":      {[]jobFunc{items(Partial)}, VerdictPartial, 3, "1 partial"},
		"error":            {[]jobFunc{func(context.Context, *Recorder) error { return boom }}, VerdictFailed, 1, "job0: list repositories: no such owner"},
		"no listing":       {[]jobFunc{noExpect}, VerdictPartial, 3, "its listing did not complete"},
		"items missing":    {[]jobFunc{short}, VerdictPartial, 3, "listed 2 items but handled 1"},
		"item left open":   {[]jobFunc{leftOpen}, VerdictFailed, 1, "1 interrupted"},
		"panic":            {[]jobFunc{func(context.Context, *Recorder) error { panic("ouch") }}, VerdictFailed, 1, "the job panicked: ouch"},
		"the worst counts": {[]jobFunc{items(Changed), items(Failed), items(Changed, Partial)}, VerdictFailed, 1, "job2"},
		"no jobs":          {nil, VerdictFailed, 1, "no job"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			st := newMemStore()
			var tasks []Task
			for i, j := range c.jobs {
				tasks = append(tasks, Task{Name: fmt.Sprintf("job%d", i), Job: j})
			}
			d, out := deployment(st, tasks...)
			rep, err := Run(t.Context(), d)
			if err != nil {
				t.Fatal(err)
			}
			if rep.Verdict != c.want || rep.Verdict.ExitCode() != c.code {
				t.Errorf("verdict %s, exit %d; want %s, %d", rep.Verdict, rep.Verdict.ExitCode(), c.want, c.code)
			}
			if !strings.Contains(out.String(), c.text) {
				t.Errorf("report lacks %q:\n%s", c.text, out)
			}
			if got := stored(t, st).Verdict; got != c.want {
				t.Errorf("stored verdict %s", got)
			}
			if len(rep.Jobs) != len(c.jobs) {
				t.Errorf("%d jobs reported, want %d", len(rep.Jobs), len(c.jobs))
			}
		})
	}
}

func TestPanicStackOnlyInLog(t *testing.T) {
	t.Parallel()
	st := newMemStore()
	d, out := deployment(st, Task{Name: "j", Job: jobFunc(func(context.Context, *Recorder) error { panic("ouch") })})
	if _, err := Run(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(out.String(), "goroutine") {
		t.Errorf("the report holds a stack:\n%s", out)
	}
	if log := st.text("runs/20000101T000000Z-host/log/00001.txt"); !strings.Contains(log, "run_test.go") {
		t.Errorf("the log lacks the stack:\n%s", log)
	}
}

func TestCausesOfInterruption(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		setup func(d *Deployment, cancel context.CancelCauseFunc)
		took  time.Duration
		cause string
	}{
		"deadline": {func(d *Deployment, _ context.CancelCauseFunc) {
			d.Deadline = time.Now().Add(time.Hour)
		}, time.Hour - stopTime - finishTime, "the deadline of the run was reached"},
		"short deadline": {func(d *Deployment, _ context.CancelCauseFunc) {
			d.Deadline = time.Now().Add(time.Minute)
		}, 30 * time.Second, "the deadline of the run was reached"},
		"signal": {func(_ *Deployment, cancel context.CancelCauseFunc) {
			time.AfterFunc(time.Minute, func() { cancel(errors.New("spot interruption notice for 17:04:12")) })
		}, time.Minute, "spot interruption notice for 17:04:12"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				st := newMemStore()
				d, out := deployment(st, Task{Name: "first", Job: jobFunc(hangs)}, Task{Name: "second", Job: items(Changed)})
				ctx, cancel := context.WithCancelCause(t.Context())
				defer cancel(nil)
				c.setup(&d, cancel)
				begin := time.Now()
				rep, err := Run(ctx, d)
				if err != nil {
					t.Fatal(err)
				}
				if took := time.Since(begin); took != c.took {
					t.Errorf("took %s, want %s", took, c.took)
				}
				if rep.Verdict != VerdictInterrupted || rep.Verdict.ExitCode() != 4 {
					t.Errorf("verdict %s", rep.Verdict)
				}
				if !strings.Contains(stored(t, st).Cause, c.cause) || !strings.Contains(out.String(), "Cut short: "+c.cause) {
					t.Errorf("cause %q not in the report:\n%s", c.cause, out)
				}
				if j := rep.Jobs[1]; j.Verdict != VerdictInterrupted || j.Error != "not started" {
					t.Errorf("second job: %+v", j)
				}
				if !strings.Contains(out.String(), "1 changed, 1 interrupted") {
					t.Errorf("what was finished is not kept:\n%s", out)
				}
			})
		})
	}
}

func TestJobTimeoutDoesNotStopTheNext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d, out := deployment(newMemStore(), Task{Name: "slow", Timeout: time.Minute, Job: jobFunc(hangs)}, Task{Name: "next", Job: items(Changed)})
		rep, err := Run(t.Context(), d)
		if err != nil {
			t.Fatal(err)
		}
		if rep.Jobs[0].Verdict != VerdictInterrupted || rep.Jobs[1].Verdict != VerdictComplete || rep.Verdict != VerdictInterrupted {
			t.Errorf("verdicts %s, %s, run %s", rep.Jobs[0].Verdict, rep.Jobs[1].Verdict, rep.Verdict)
		}
		if !strings.Contains(out.String(), "job slow used up its timeout of 1 min") || rep.Cause != "" {
			t.Errorf("cause %q:\n%s", rep.Cause, out)
		}
	})
}

func TestDeafJobIsLeftBehind(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		deaf := func(_ context.Context, rec *Recorder) error {
			rec.Expect(1)
			rec.Start("acme/kept").End(Changed, nil)
			<-release
			return nil
		}
		d, out := deployment(newMemStore(), Task{Name: "deaf", Timeout: time.Minute, Job: jobFunc(deaf)}, Task{Name: "next", Job: items(Changed)})
		begin := time.Now()
		rep, err := Run(t.Context(), d)
		if err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begin); took != time.Minute+stopTime {
			t.Errorf("took %s", took)
		}
		if j := rep.Jobs[0]; j.Verdict != VerdictInterrupted || len(j.Items) != 1 || !strings.Contains(out.String(), "left behind") {
			t.Errorf("%+v\n%s", j, out)
		}
		if rep.Jobs[1].Verdict != VerdictComplete {
			t.Errorf("next job: %s", rep.Jobs[1].Verdict)
		}
		close(release)
	})
}

func TestPublishing(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fail      func(context.Context) error
		published string
		verdict   Verdict
	}{
		"sent":   {nil, PublishedSent, VerdictComplete},
		"failed": {func(context.Context) error { return errors.New("topic does not exist") }, PublishedFailed, VerdictFailed},
		"panic":  {func(context.Context) error { panic("ouch") }, PublishedFailed, VerdictFailed},
		"slow":   {func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }, PublishedFailed, VerdictFailed},
		"deaf":   {nil, PublishedFailed, VerdictFailed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				st, box, end := newMemStore(), &mailbox{fail: c.fail}, &ender{}
				if name == "deaf" {
					over := make(chan struct{})
					defer close(over)
					box.fail = func(context.Context) error { <-over; return nil }
				}
				d, out := deployment(st, Task{Name: "github", Unit: "repositories", Job: items(Changed)})
				d.Publisher, d.Ender = box, end
				rep, err := Run(t.Context(), d)
				if err != nil {
					t.Fatal(err)
				}
				if got := stored(t, st); got.Published != c.published || got.Verdict != c.verdict || rep.Verdict != c.verdict {
					t.Errorf("stored %s, %s; want %s, %s", got.Published, got.Verdict, c.published, c.verdict)
				}
				if st.text("runs/20000101T000000Z-host/report.txt") != out.String() {
					t.Error("report.txt and console differ")
				}
				if end.calls != 1 {
					t.Errorf("End called %d times", end.calls)
				}
				if !strings.Contains(st.text(lockKey), `"released":true`) {
					t.Error("the lock was not released")
				}
				if c.published == PublishedSent {
					if len(box.got) != 1 || box.got[0].subject != "mayfly onlinebackup: complete, 1 repository, 1 changed" {
						t.Errorf("mails: %+v", box.got)
					}
				} else if !strings.Contains(out.String(), "its jobs are complete, but this report could not be sent") {
					t.Errorf("console:\n%s", out)
				}
			})
		})
	}
}

func TestStoreGoneAtTheEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		st, box, end := newMemStore(), &mailbox{}, &ender{}
		job := func(ctx context.Context, rec *Recorder) error {
			st.mu.Lock()
			st.fault = func(op, key string) error { return errors.New("503 slow down") }
			st.mu.Unlock()
			return items(Changed)(ctx, rec)
		}
		d, _ := deployment(st, Task{Name: "j", Job: jobFunc(job)})
		d.Publisher, d.Ender = box, end
		rep, err := Run(t.Context(), d)
		if err != nil {
			t.Fatal(err)
		}
		if rep.Verdict != VerdictPartial || end.calls != 1 || len(box.got) != 1 {
			t.Fatalf("verdict %s, %d ends, %d mails", rep.Verdict, end.calls, len(box.got))
		}
		for _, want := range []string{"write the log", "store the report", "503 slow down"} {
			if !strings.Contains(box.got[0].body, want) {
				t.Errorf("the mail lacks %q:\n%s", want, box.got[0].body)
			}
		}
		if !strings.Contains(box.got[0].subject, "partial") {
			t.Errorf("subject %q", box.got[0].subject)
		}
	})
}

func TestStartupErrorWritesNothing(t *testing.T) {
	t.Parallel()
	st := newMemStore()
	st.fault = func(op, key string) error { return errors.New("access denied") }
	box, end := &mailbox{}, &ender{}
	d, out := deployment(st, Task{Name: "j", Job: items(Changed)})
	d.Publisher, d.Ender = box, end
	_, err := Run(t.Context(), d)
	var startup *StartupError
	if !errors.As(err, &startup) || !strings.Contains(err.Error(), "access denied") {
		t.Fatalf("got %v", err)
	}
	if len(st.objects) != 0 || len(box.got) != 0 || out.Len() != 0 {
		t.Errorf("%d objects, %d mails, output %q", len(st.objects), len(box.got), out)
	}
	if end.calls != 1 {
		t.Error("End was not called")
	}
	d.Unattended = true
	if _, err = Run(t.Context(), d); !errors.As(err, &startup) {
		t.Fatalf("got %v", err)
	}
	if len(box.got) != 1 || !strings.Contains(box.got[0].subject, "failed") || !strings.Contains(box.got[0].body, "access denied") {
		t.Errorf("unattended: mails %+v", box.got)
	}
}

func TestRefuse(t *testing.T) {
	t.Parallel()
	box, end := &mailbox{}, &ender{}
	d := Deployment{Name: "x", RunID: "r", Host: "h", Publisher: box, Ender: end}
	rep := Refuse(t.Context(), d, errors.New("mayfly.yaml:3:1: unknown key"))
	if rep.Verdict != VerdictFailed || end.calls != 1 || len(box.got) != 1 || !strings.Contains(box.got[0].body, "mayfly.yaml:3:1: unknown key") {
		t.Errorf("%+v, %d ends, mails %+v", rep, end.calls, box.got)
	}
}

func TestSecretsAreRedactedEverywhere(t *testing.T) {
	t.Parallel()
	const token = "ghp_0123456789"
	st, box := newMemStore(), &mailbox{}
	var console bytes.Buffer
	job := func(_ context.Context, rec *Recorder) error {
		rec.Expect(1)
		rec.Warn(Problem{Reason: "warned of " + token})
		rec.Log().With("a", token).Info("with "+token, KeyErr, errors.New(token))
		rec.Start("acme/"+token).End(Failed, &Problem{Reason: "failed with " + token, Fix: token})
		return errors.New("error with " + token)
	}
	d, out := deployment(st, Task{Name: "j", Job: jobFunc(job), Restore: func(JobReport) string { return "get " + token }})
	d.Console, d.Publisher = &console, box
	d.Redact = func(s string) string { return strings.ReplaceAll(s, token, "[secret]") }
	if _, err := Run(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	texts := map[string]string{"out": out.String(), "console": console.String(), "mail": box.got[0].body}
	for k, o := range st.objects {
		texts[k] = string(o.b)
	}
	for where, text := range texts {
		if strings.Contains(text, token) {
			t.Errorf("%s holds the token:\n%s", where, text)
		}
	}
	if !strings.Contains(texts["console"], "[secret]") || !strings.Contains(texts["mail"], "error with [secret]") {
		t.Error("the texts under test are empty")
	}
}
