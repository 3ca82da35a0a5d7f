package runner

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"
)

// A job with many items keeps those that matter, and counts the rest.
func TestCountedItems(t *testing.T) {
	t.Parallel()
	rec := NewRecorder(slog.New(slog.DiscardHandler), time.Now)
	rec.Expect(1003)
	rec.Count(Unchanged, 1000)
	folded, open, bad := rec.Start("a"), rec.Start("b"), rec.Start("c")
	folded.Wrote(7)
	folded.Fold(Changed)
	folded.End(Failed, &Problem{Reason: "too late"})
	bad.Wrote(2)
	bad.End(Failed, &Problem{Reason: "unreadable"})
	p := rec.Progress(0)
	if p.Ended != 1002 || p.Bad != 1 || len(p.Open) != 1 || len(p.New) != 1 || p.Next != 1 || p.Wrote != 9 {
		t.Errorf("progress is %+v", p)
	}
	if jr := judge(rec.Snapshot(), nil); jr.Verdict != VerdictPartial || len(jr.Items) != 2 || jr.CountedBytes != 7 {
		t.Errorf("with one open: %+v", jr)
	}
	open.Fold(Unchanged)
	jr := judge(rec.Snapshot(), nil)
	jr.Name, jr.Unit, jr.Ended = "docs", "files", time.Now()
	if jr.Verdict != VerdictPartial || len(jr.Items) != 1 || jr.Counted[Unchanged] != 1001 || jr.Counted[Changed] != 1 {
		t.Errorf("the job is %+v", jr)
	}
	r := &Report{Deployment: "d", Run: "r", Verdict: jr.Verdict, Started: jr.Ended.Add(-time.Minute), Ended: jr.Ended, Jobs: []JobReport{jr}}
	text := r.Text()
	for _, want := range []string{"1003 files: 1 changed, 1001 unchanged, 1 failed; 9 B written", "never backed up: c", "c: unreadable"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if s := r.Subject(); !strings.Contains(s, "1003 files, 1 failed, 1 changed") {
		t.Errorf("the subject is %q", s)
	}
}

// Too few are not complete, named or not.
func TestCountedItemsMustBeAll(t *testing.T) {
	t.Parallel()
	rec := NewRecorder(slog.New(slog.DiscardHandler), time.Now)
	rec.Expect(3)
	rec.Count(Changed, 2)
	if jr := judge(rec.Snapshot(), nil); jr.Verdict == VerdictComplete || !strings.Contains(jr.Error, "listed 3 items but handled 2") {
		t.Errorf("the job is %+v", jr)
	}
	rec.Count(Skipped, 1)
	if jr := judge(rec.Snapshot(), nil); jr.Verdict != VerdictComplete {
		t.Errorf("the job is %+v", jr)
	}
}

// Work has no age; what a program printed last stands under its problem.
func TestWorkInTheReport(t *testing.T) {
	t.Parallel()
	rec := NewRecorder(slog.New(slog.DiscardHandler), time.Now)
	rec.Expect(1)
	it := rec.Start("dump")
	it.Exit(3)
	it.End(Failed, &Problem{Doing: "run", Reason: "exit status 3", Fix: "see what it printed", Output: strings.Repeat("early\n", 30) + "pg_dump: no such database\n"})
	jr := judge(rec.Snapshot(), nil)
	jr.Name, jr.Unit, jr.Ageless = "dump", "commands", true
	r := &Report{Deployment: "d", Run: "r", Verdict: jr.Verdict, Started: time.Now(), Ended: time.Now(), Jobs: []JobReport{jr}}
	text := r.Text()
	if !strings.Contains(text, "1 command: 1 failed\n") || strings.Contains(text, "backed up") || strings.Contains(text, "oldest good") {
		t.Errorf("work is told of as a backup:\n%s", text)
	}
	if strings.Count(text, "| early") != outputShown-1 || !strings.Contains(text, "      | pg_dump: no such database\n") {
		t.Errorf("the output is not there:\n%s", text)
	}
	if *jr.Items[0].Exit != 3 {
		t.Errorf("the exit status is %v", jr.Items[0].Exit)
	}
}

// Work that is done is no backup, and has no age.
func TestDoneIsNoBackup(t *testing.T) {
	t.Parallel()
	rec := NewRecorder(slog.New(slog.DiscardHandler), time.Now)
	rec.Expect(2)
	rec.Start("backup").End(Changed, nil)
	rec.Start("work").End(Done, nil)
	for _, it := range rec.Snapshot().Items {
		if it.LastGood.IsZero() != (it.Name == "work") {
			t.Errorf("%s: last good %s", it.Name, it.LastGood)
		}
	}
}

// What is brought out of the store is no backup, whoever reads of it: a run's
// report, and what is read from the store later.
func TestBroughtIsNoBackup(t *testing.T) {
	t.Parallel()
	d, out := deployment(newMemStore(), Task{Name: "down", Unit: "files", To: "/srv/docs", Job: jobFunc(func(_ context.Context, rec *Recorder) error {
		rec.Expect(1003)
		rec.Count(Unchanged, 1001)
		for _, name := range []string{"a", "b"} {
			it := rec.Start(name)
			it.Wrote(2048)
			it.Fold(Changed)
		}
		return nil
	})}, Task{Name: "work", Unit: "commands", Ageless: true, Job: jobFunc(func(_ context.Context, rec *Recorder) error {
		rec.Expect(1)
		rec.Start("work").End(Done, nil)
		return nil
	})})
	r, err := Run(t.Context(), d)
	if err != nil || r.Verdict != VerdictComplete {
		t.Fatalf("%v, %v\n%s", r, err, out)
	}
	text := r.Text()
	if !strings.Contains(text, "1003 files: 2 changed, 1001 unchanged; brought 2 files to /srv/docs, 4.1 kB\n") || strings.Contains(text, "oldest good") || strings.Contains(text, "backed up") {
		t.Errorf("it is told of as a backup:\n%s", text)
	}
	p, err := ReadPast(t.Context(), d.Store, d.RunID)
	if err != nil {
		t.Fatal(err)
	}
	if name, at := p.Report.OldestGood(); !at.IsZero() || !p.Report.Ageless() {
		t.Errorf("the store's report calls %q a good backup of %s", name, at)
	}
	for _, s := range r.Sums() {
		if s.Oldest >= 0 {
			t.Errorf("%s has a backup %v s old", s.Name, s.Oldest)
		}
	}
	up := JobReport{Name: "docs", Unit: "files", Ended: p.Report.Ended, Counted: map[Outcome]int{Unchanged: 3}}
	p.Report.Jobs = append(p.Report.Jobs, up)
	if name, at := p.Report.OldestGood(); name != "docs" || at.IsZero() || p.Report.Ageless() {
		t.Errorf("with a backup: %q, %s", name, at)
	}
}

// A backup that used up its time goes on with the next run; work that did has
// failed.
func TestTimeoutOfWork(t *testing.T) {
	t.Parallel()
	for ageless, want := range map[bool]Verdict{false: VerdictInterrupted, true: VerdictFailed} {
		d, out := deployment(newMemStore(), Task{Name: "j", Ageless: ageless, Timeout: time.Millisecond, Job: jobFunc(func(ctx context.Context, rec *Recorder) error {
			rec.Expect(1)
			rec.Start("a")
			<-ctx.Done()
			return ctx.Err()
		})})
		rep, err := Run(t.Context(), d)
		if err != nil || rep.Jobs[0].Verdict != want || rep.Verdict != want {
			t.Errorf("ageless %v: %v, %v\n%s", ageless, rep.Verdict, err, out)
		}
	}
}
