package runner

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A told hook notes what it hears.
type told struct {
	name  string
	last  bool
	begin func(context.Context) error
	end   func(context.Context, *Report) error

	mu    sync.Mutex
	heard []string
}

func (h *told) Name() string { return h.name }
func (h *told) Last() bool   { return h.last }

func (h *told) Begin(ctx context.Context) error {
	h.hear("began")
	if h.begin != nil {
		return h.begin(ctx)
	}
	return nil
}

func (h *told) End(ctx context.Context, r *Report) error {
	h.hear(string(r.Verdict))
	if h.end != nil {
		return h.end(ctx, r)
	}
	return nil
}

func (h *told) hear(what string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.heard = append(h.heard, what)
}

// Hooks hear of the beginning and the end, and the last of them of what has
// become of the others.
func TestHooks(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		job   jobFunc
		mail  error
		hook  error // of the first
		last  error
		first []string
		then  []string
		want  Verdict
	}{
		{name: "complete", job: items(Changed), first: []string{"began", "complete"}, then: []string{"began", "complete"}, want: VerdictComplete},
		{name: "failed", job: items(Failed), first: []string{"began", "failed"}, then: []string{"began", "failed"}, want: VerdictFailed},
		{name: "the mail fails", job: items(Changed), mail: errors.New("no topic"), first: []string{"began", "failed"}, then: []string{"began", "failed"}, want: VerdictFailed},
		{name: "a hook fails", job: items(Changed), hook: errors.New("hook is down"), first: []string{"began", "complete"}, then: []string{"began", "partial"}, want: VerdictPartial},
		{name: "the last fails", job: items(Changed), last: errors.New("hook is down"), first: []string{"began", "complete"}, then: []string{"began", "complete"}, want: VerdictPartial},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			st := newMemStore()
			d, out := deployment(st, Task{Name: "j", Job: tt.job})
			d.Publisher = &mailbox{fail: func(context.Context) error { return tt.mail }}
			first := &told{name: "webhook", end: func(context.Context, *Report) error { return tt.hook }}
			last := &told{name: "ping", last: true, end: func(context.Context, *Report) error { return tt.last }}
			d.Hooks = []Hook{last, first}
			rep, err := Run(t.Context(), d)
			if err != nil {
				t.Fatal(err)
			}
			if rep.Verdict != tt.want || !slices.Equal(first.heard, tt.first) || !slices.Equal(last.heard, tt.then) {
				t.Errorf("%s; the first heard %v, the last %v", rep.Verdict, first.heard, last.heard)
			}
			failed := tt.hook != nil || tt.last != nil
			for _, where := range []string{out.String(), st.text("runs/" + d.RunID + "/report.txt")} {
				if strings.Contains(where, "hook is down") != failed {
					t.Errorf("a hook failed: %v, and the report is\n%s", failed, where)
				}
			}
		})
	}
}

// A run that cannot start is told, too; nobody heard that it began.
func TestHooksOfARunThatCannotStart(t *testing.T) {
	t.Parallel()
	h := &told{name: "ping", last: true}
	d, _ := deployment(newMemStore())
	d.Hooks = []Hook{h}
	Refuse(t.Context(), d, errors.New("no secret"))
	if !slices.Equal(h.heard, []string{"failed"}) {
		t.Errorf("it heard %v", h.heard)
	}
}

// The start does not wait for a slow hook, its end comes after its beginning,
// and what it does to its report is its own.
func TestSlowHook(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var jobAt time.Duration
		h := &told{name: "ping", last: true, begin: func(ctx context.Context) error {
			select {
			case <-time.After(5 * time.Second):
			case <-ctx.Done():
			}
			return errors.New("slow")
		}, end: func(_ context.Context, r *Report) error { r.Verdict = "spoilt"; return nil }}
		d, _ := deployment(newMemStore(), Task{Name: "j", Job: jobFunc(func(ctx context.Context, rec *Recorder) error {
			jobAt = time.Since(began)
			return items(Changed)(ctx, rec)
		})})
		d.Hooks = []Hook{h}
		rep, err := Run(t.Context(), d)
		if err != nil || rep.Verdict != VerdictComplete || jobAt > time.Second || !slices.Equal(h.heard, []string{"began", "complete"}) {
			t.Errorf("%v, %v; the job began after %s; heard %v", rep, err, jobAt, h.heard)
		}
	})
}

func TestBriefAndSums(t *testing.T) {
	t.Parallel()
	ended := time.Date(2026, 11, 20, 17, 0, 0, 0, time.UTC)
	r := &Report{Ended: ended, Jobs: []JobReport{{Name: "j", Ended: ended, Verdict: VerdictPartial, CountedBytes: 1, Counted: map[Outcome]int{Unchanged: 2}, Items: []ItemReport{
		{Name: "a", Outcome: Changed, Wrote: 10, LastGood: ended},
		{Name: "b", Outcome: Failed, LastGood: ended.Add(-time.Hour)},
		{Name: "c", Outcome: Skipped},
	}}}}
	b := r.Brief().Jobs[0]
	if len(b.Items) != 1 || b.Items[0].Name != "b" || b.Counted[Changed] != 1 || b.Counted[Unchanged] != 2 || b.Counted[Skipped] != 1 || b.CountedBytes != 11 {
		t.Errorf("in brief: %+v", b)
	}
	if len(r.Jobs[0].Items) != 3 || len(r.Jobs[0].Counted) != 1 {
		t.Error("the report itself was changed")
	}
	if s := r.Sums()[0]; s != (JobSum{Name: "j", Items: 5, Bad: 1, Wrote: 11, Oldest: 3600}) {
		t.Errorf("the sums are %+v", s)
	}
}
