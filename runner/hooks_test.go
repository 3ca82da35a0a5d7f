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

	"mayfly/internal/store"
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
		full  bool // standard output
		first []string
		then  []string
		want  Verdict
	}{
		{name: "complete", job: items(Changed), first: []string{"began", "complete"}, then: []string{"began", "complete"}, want: VerdictComplete},
		{name: "failed", job: items(Failed), first: []string{"began", "failed"}, then: []string{"began", "failed"}, want: VerdictFailed},
		{name: "the mail fails", job: items(Changed), mail: errors.New("no topic"), first: []string{"began", "failed"}, then: []string{"began", "failed"}, want: VerdictFailed},
		{name: "a hook fails", job: items(Changed), hook: errors.New("hook is down"), first: []string{"began", "complete"}, then: []string{"began", "partial"}, want: VerdictPartial},
		{name: "the last fails", job: items(Changed), last: errors.New("hook is down"), first: []string{"began", "complete"}, then: []string{"began", "complete"}, want: VerdictPartial},
		{name: "nothing can be printed", job: items(Changed), full: true, first: []string{"began", "complete"}, then: []string{"began", "partial"}, want: VerdictPartial},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			st := newMemStore()
			d, out := deployment(st, Task{Name: "j", Job: tt.job})
			d.Publisher = &mailbox{fail: func(context.Context) error { return tt.mail }}
			if tt.full {
				d.Publisher, d.Out = nil, broken{}
			}
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
				if tt.full {
					break
				}
				if strings.Contains(where, "hook is down") != failed {
					t.Errorf("a hook failed: %v, and the report is\n%s", failed, where)
				}
			}
		})
	}
}

// broken is a full disk.
type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errors.New("no space left on device") }

// A second report.json that cannot be written is no success, and who has heard
// of one from another hears again.
func TestPingIsLast(t *testing.T) {
	t.Parallel()
	st := newMemStore()
	d, _ := deployment(st, Task{Name: "j", Job: items(Changed)})
	d.Publisher = &mailbox{}
	d.Store = &secondFails{Store: st}
	ping := &told{name: "ping", last: true}
	d.Hooks = []Hook{ping}
	rep, err := Run(t.Context(), d)
	if err != nil || rep.Verdict != VerdictPartial || !slices.Equal(ping.heard, []string{"began", "partial"}) {
		t.Errorf("%v %v; it heard %v", rep.Verdict, err, ping.heard)
	}
	d, _ = deployment(newMemStore(), Task{Name: "j", Job: items(Changed)})
	good := &told{name: "ping", last: true}
	d.Hooks = []Hook{good, &told{name: "other", last: true, end: func(context.Context, *Report) error { return errors.New("down") }}}
	if rep, err = Run(t.Context(), d); err != nil || rep.Verdict != VerdictPartial || !slices.Equal(good.heard, []string{"began", "complete", "partial"}) {
		t.Errorf("%v %v; it heard %v", rep.Verdict, err, good.heard)
	}
}

// secondFails takes report.json once.
type secondFails struct {
	store.Store
	mu sync.Mutex
	n  int
}

func (s *secondFails) Put(ctx context.Context, key string, b []byte, old store.ETag) (store.ETag, error) {
	if strings.HasSuffix(key, "report.json") {
		s.mu.Lock()
		s.n++
		n := s.n
		s.mu.Unlock()
		if n > 1 {
			return "", errors.New("no space left")
		}
	}
	return s.Store.Put(ctx, key, b, old)
}

// So is one that somebody has started at the keyboard, or cron.
func TestHooksOfAnAttendedRunThatCannotStart(t *testing.T) {
	t.Parallel()
	st := newMemStore()
	ping, webhook := &told{name: "ping", last: true}, &told{name: "webhook"}
	d, _ := deployment(st, Task{Name: "j", Job: items(Changed)})
	d.Store = &deaf{Store: st}
	d.Hooks = []Hook{webhook, ping}
	if _, err := Run(t.Context(), d); err == nil || !slices.Equal(ping.heard, []string{"failed"}) || len(webhook.heard) > 0 {
		t.Errorf("%v: the ping heard %v, the webhook %v", err, ping.heard, webhook.heard)
	}
	ping.heard = nil
	Unstarted(t.Context(), d, errors.New("no secret"))
	if !slices.Equal(ping.heard, []string{"failed"}) {
		t.Errorf("it heard %v", ping.heard)
	}
}

// deaf is a store that cannot be reached.
type deaf struct{ store.Store }

func (deaf) Put(context.Context, string, []byte, store.ETag) (store.ETag, error) {
	return "", errors.New("connection refused")
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
