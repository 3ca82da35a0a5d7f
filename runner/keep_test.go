package runner

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

const keptText = "because the run failed and keep_on_failure is set"

// Only the machine of a failed run is kept, never beyond the deadline, and the
// mail says so.
func TestKeepOnFailure(t *testing.T) {
	t.Parallel()
	const keep = 30 * time.Minute
	for name, c := range map[string]struct {
		job      Job
		deadline time.Duration
		change   func(*Deployment, *mailbox)
		mail     bool // the mail says that the machine is kept
		want     time.Duration
	}{
		"failed":                 {job: items(Failed), mail: true, want: keep},
		"complete":               {job: items(Changed)},
		"partial":                {job: items(Changed, Failed)},
		"the deadline is sooner": {job: items(Failed), deadline: 20 * time.Minute, mail: true, want: 20 * time.Minute},
		"interrupted":            {job: jobFunc(hangs), deadline: 10 * time.Minute, want: 10*time.Minute - stopTime - finishTime},
		"nobody can be told": {job: items(Changed), change: func(_ *Deployment, m *mailbox) {
			m.fail = func(context.Context) error { return errors.New("AccessDenied") }
		}, want: keep},
		"it is not to be kept":     {job: items(Failed), change: func(d *Deployment, _ *mailbox) { d.Keep = 0 }},
		"a machine of one's own":   {job: items(Failed), change: func(d *Deployment, _ *mailbox) { d.Ender = nil }},
		"a run that did not start": {job: items(Changed), change: func(d *Deployment, _ *mailbox) { d.Store.(*memStore).fault = denied }, mail: true, want: keep},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				st, box, end := newMemStore(), &mailbox{}, &ender{}
				d, _ := deployment(st, Task{Name: "j", Job: c.job})
				d.Publisher, d.Ender, d.Keep, d.Unattended = box, end, keep, true
				if c.deadline > 0 {
					d.Deadline = time.Now().Add(c.deadline)
				}
				if c.change != nil {
					c.change(&d, box)
				}
				begin := time.Now()
				_, _ = Run(t.Context(), d)
				if took := time.Since(begin); took != c.want {
					t.Errorf("ended after %s, want %s", took, c.want)
				}
				mails := ""
				for _, m := range box.got {
					mails += m.body
				}
				if strings.Contains(mails, keptText) != c.mail {
					t.Errorf("the mail says it: %v, want %v:\n%s", !c.mail, c.mail, mails)
				}
				if c.mail && !strings.Contains(mails, "journalctl -u mayfly") {
					t.Errorf("the mail does not say how to look:\n%s", mails)
				}
				if d.Ender != nil && end.calls != 1 {
					t.Errorf("%d ends", end.calls)
				}
			})
		})
	}
}

func denied(string, string) error { return errors.New("access denied") }

// Who wants to end a kept machine sooner stops the unit.
func TestKeptMachineHeedsTheSignal(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		end := &ender{}
		d, _ := deployment(newMemStore(), Task{Name: "j", Job: items(Failed)})
		d.Ender, d.Keep = end, time.Hour
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
		defer cancel()
		begin := time.Now()
		if _, err := Run(ctx, d); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begin); took != 10*time.Minute || end.calls != 1 {
			t.Errorf("%d ends after %s", end.calls, took)
		}
	})
}

// A refusal is a failure, too.
func TestRefusedMachineIsKept(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		box, end := &mailbox{}, &ender{}
		begin := time.Now()
		d := Deployment{Name: "x", RunID: "r", Publisher: box, Ender: end, Keep: time.Hour, Deadline: begin.Add(2 * time.Hour)}
		Refuse(t.Context(), d, errors.New("no such secret"))
		if took := time.Since(begin); took != time.Hour || end.calls != 1 || !strings.Contains(box.got[0].body, keptText) {
			t.Errorf("%d ends after %s: %+v", end.calls, took, box.got)
		}
	})
}

// A bug in the run itself is reported, and the machine ends.
func TestPanicOfTheRunItself(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		st, box, end := newMemStore(), &mailbox{}, &ender{}
		d, out := deployment(st, Task{Name: "a", Job: items(Changed)})
		d.Publisher, d.Ender, d.Redact = box, end, func(s string) string { return strings.ReplaceAll(s, "hunter2", "[secret]") }
		d.Now = panicsAt(2)
		rep, err := Run(t.Context(), d)
		if err != nil || rep == nil || rep.Verdict != VerdictFailed {
			t.Fatalf("%+v, %v", rep, err)
		}
		for what, text := range map[string]string{"console": out.String(), "mail": box.got[0].body} {
			if !strings.Contains(text, "it panicked: the clock broke: [secret]") || !strings.Contains(text, "bug in mayfly") {
				t.Errorf("%s:\n%s", what, text)
			}
		}
		if end.calls != 1 {
			t.Errorf("%d ends", end.calls)
		}
		if !strings.Contains(st.text(lockKey), `"released":true`) || stored(t, st).Verdict != VerdictFailed {
			t.Error("the lock was not released, or the report not stored")
		}
	})
}

// panicsAt is a clock whose nth look panics, once.
func panicsAt(n int) func() time.Time {
	return func() time.Time {
		if n--; n == 0 {
			panic("the clock broke: hunter2")
		}
		return time.Now()
	}
}

// What is known of the machine stands in the report.
func TestRemarks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d, out := deployment(newMemStore(), Task{Name: "j", Job: items(Changed)})
		d.Remarks = []Problem{{Reason: "the timer is not armed", Fix: "look at the boot script"}}
		rep, err := Run(t.Context(), d)
		if err != nil || rep.Verdict != VerdictComplete || !strings.Contains(out.String(), "the timer is not armed") {
			t.Errorf("%v:\n%s", err, out)
		}
	})
}

func TestKeepOnFailureInTheConfig(t *testing.T) {
	t.Parallel()
	for keep, want := range map[string]string{
		"30m": "", "119m": "",
		"2h":   "is not shorter than the deadline, 2h",
		"3h":   "is not shorter than the deadline, 2h",
		"soon": "not a length of time",
	} {
		src := "name: onlinebackup\nstore: file:///var/backups\nschedule: {deadline: 2h}\nkeep_on_failure: " + keep + "\njobs: [{name: j, toy: {owners: [octocat]}}]\n"
		c, err := Parse("mayfly.yaml", []byte(src), toyOptions())
		if want == "" && (err != nil || c.Keep.String() != keep && keep != "119m") || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v", keep, err)
		}
	}
}
