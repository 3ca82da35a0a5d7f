package receive

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"mayfly/internal/store"
	"mayfly/runner"
)

func newStore(t *testing.T) (*store.Dir, string) {
	t.Helper()
	dir := t.TempDir()
	st, err := store.NewDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	return st, dir
}

// Requests of several at once all get in, those whose time is over go out, and
// a run sees those that are meant for it.
func TestRequests(t *testing.T) {
	t.Parallel()
	st, dir := newStore(t)
	ctx, now := t.Context(), time.Now()
	old := Request{ID: "old-request", Host: "a", Until: now.Add(-time.Minute)}
	if err := Ask(ctx, st, "hosts", old, now.Add(-time.Hour)); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for _, q := range []Request{{ID: "request-1"}, {ID: "request-2", Instance: "i-1"}, {ID: "request-3", Instance: "i-2"}, {ID: "../../x"}} {
		q.Until = now.Add(time.Hour)
		all.Go(func() {
			if err := Ask(ctx, st, "hosts", q, now); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	s := &restores{run: &run{job: &job{env: runner.Env{Store: st, Prefix: "hosts"}}, self: runner.Self{ID: "i-1"}}}
	look := func() string {
		t.Helper()
		list, err := s.look(ctx)
		if err != nil {
			t.Fatal(err)
		}
		names := map[string]bool{}
		for _, q := range list {
			names[q.ID] = true
		}
		var found []string
		for _, id := range []string{"old-request", "request-1", "request-2", "request-3", "../../x"} {
			if names[id] {
				found = append(found, id)
			}
		}
		return strings.Join(found, " ")
	}
	if got := look(); got != "request-1 request-2" {
		t.Errorf("%q", got)
	}
	if b, err := os.ReadFile(filepath.Join(dir, "hosts", "restores.json")); err != nil || strings.Contains(string(b), "old-request") {
		t.Errorf("%s, %v", b, err)
	}
	if err := Withdraw(ctx, st, "hosts", "request-1"); err != nil {
		t.Fatal(err)
	}
	if got := look(); got != "request-2" {
		t.Errorf("%q", got)
	}
	if err := os.WriteFile(filepath.Join(dir, "hosts", "restores.json"), []byte("{"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := s.look(ctx); err == nil || !strings.Contains(err.Error(), "it is not what mayfly wrote") {
		t.Error(err)
	}
}

func TestGuestKey(t *testing.T) {
	t.Parallel()
	const good = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPrb4qPCmkuMsTSnKHfurwgxiq0MwUFk9Kgb8fio+IoN"
	if _, err := guestKey(good); err != nil {
		t.Error(err)
	}
	for _, bad := range []string{"", "x", `command="x" ` + good, good + "\n" + good} {
		if _, err := guestKey(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

// A drill is due when there was none, the last one failed, or is long ago; not
// while somebody waits for files.
func TestDrillDue(t *testing.T) {
	t.Parallel()
	st, _ := newStore(t)
	for name, tt := range map[string]struct {
		last  Drilled
		alone bool
		want  bool
	}{
		"never":       {want: true},
		"yesterday":   {last: Drilled{At: time.Now().Add(-day)}},
		"failed":      {last: Drilled{At: time.Now().Add(-day), Problem: "x"}, want: true},
		"long ago":    {last: Drilled{At: time.Now().Add(-31 * day)}, want: true},
		"almost":      {last: Drilled{At: time.Now().Add(-30*day + time.Hour)}, want: true}, // the run of that day was later
		"years ahead": {last: Drilled{At: time.Now().AddDate(10, 0, 0)}, want: true},        // by a clock that was wrong
		"an hour on":  {last: Drilled{At: time.Now().Add(time.Hour)}},
		"for a while": {last: Drilled{At: time.Now().Add(-31 * day)}, alone: true},
	} {
		r := &run{job: &job{config: &Config{Drill: &Drill{Every: runner.Duration(30 * day)}}, env: runner.Env{Store: st, Prefix: name}}}
		r.restores = &restores{run: r, alone: tt.alone}
		if !tt.last.At.IsZero() {
			if err := replace(t.Context(), st, name+"/"+drillsFile, text(drillsDone{1, map[string]Drilled{"a": tt.last}})); err != nil {
				t.Fatal(err)
			}
		}
		if got := r.newDrills(t.Context()).due("a"); got != tt.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// A drill that failed and cannot be repeated has failed still: no snapshot is
// removed, and the report says so.
func TestDrillFailedStays(t *testing.T) {
	t.Parallel()
	st, _ := newStore(t)
	stopped, stop := context.WithCancel(t.Context())
	stop()
	for _, problem := range []string{"", "the snapshot snap-1 is not as the volume"} {
		r := &run{job: &job{config: &Config{Drill: &Drill{Every: runner.Duration(30 * day)}}, env: runner.Env{Store: st, Prefix: "p" + problem[:min(len(problem), 1)]}}}
		last := drillsDone{1, map[string]Drilled{"a": {At: time.Now(), Problem: problem}}}
		if err := replace(t.Context(), st, r.env.Prefix+"/"+drillsFile, text(last)); err != nil {
			t.Fatal(err)
		}
		for why, alone := range map[string]bool{"somebody waits for files": true, "the run is stopped": false} {
			r.restores = &restores{run: r, alone: alone}
			ctx := t.Context()
			if !alone {
				ctx = stopped
			}
			r.drills = r.newDrills(ctx)
			e := &ending{run: r, host: &host{name: "a"}}
			e.drill(nil, time.Now().Add(time.Hour))
			if (e.drilled != nil) != (problem != "") || e.drilled != nil && !strings.Contains(e.drilled.Reason, problem) {
				t.Errorf("%s, after %q: %+v", why, problem, e.drilled)
			}
		}
	}
}

// A request whose client's clock is wrong, or which says that it stands for
// years, does not hold windows open: nobody renews it.
func TestRequestExpires(t *testing.T) {
	t.Parallel()
	s, now := &restores{}, time.Now()
	q := Request{ID: "request-1", Until: now.Add(1000 * time.Hour)}
	for _, c := range []struct {
		after time.Duration
		renew bool
		want  bool
	}{{0, false, false}, {RequestTime - time.Minute, false, false}, {RequestTime - time.Second, true, false}, {2*RequestTime - time.Minute, false, false}, {2 * RequestTime, false, true}} {
		if c.renew {
			q.Until = q.Until.Add(time.Minute)
		}
		if got := s.expired(q, now.Add(c.after)); got != c.want {
			t.Errorf("after %s: %v", c.after, got)
		}
	}
	q.Until = now.Add(-time.Second)
	if !s.expired(q, now) {
		t.Error("its time is over")
	}
}

// Who asks by a clock that is far ahead is told so, instead of being served
// until nobody knows when.
func TestRequestClock(t *testing.T) {
	t.Parallel()
	st, _ := newStore(t)
	h := &host{name: "a", problem: &runner.Problem{Reason: "not mounted"}}
	s := &restores{run: &run{job: &job{env: runner.Env{Store: st, Prefix: "hosts"}}, byName: map[string]*host{"a": h}}}
	const key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPrb4qPCmkuMsTSnKHfurwgxiq0MwUFk9Kgb8fio+IoN"
	for ahead, says := range map[time.Duration]string{RequestTime: "not mounted", 2*RequestTime - time.Minute: "not mounted", 2*RequestTime + time.Minute: "clock", 1000 * time.Hour: "clock"} {
		_, err := s.open(t.Context(), &restore{Request: Request{ID: "request-1", Host: "a", Key: key, Until: time.Now().Add(ahead)}})
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s ahead: %v", ahead, err)
		}
	}
}

// What cannot be read is not taken for drills that passed, and not written over.
func TestDrillsUnread(t *testing.T) {
	t.Parallel()
	st, _ := newStore(t)
	if err := replace(t.Context(), st, "p/"+drillsFile, []byte("{")); err != nil {
		t.Fatal(err)
	}
	r := &run{job: &job{config: &Config{Drill: &Drill{Every: runner.Duration(30 * day)}}, env: runner.Env{Store: st, Prefix: "p"}}}
	r.restores = &restores{run: r}
	r.drills = r.newDrills(t.Context())
	h := newHost("a", Host{}, nil, func() {})
	h.good, h.transfers = 1, 1
	e := &ending{run: r, host: h, taken: runner.Snapshot{ID: "snap-1"}}
	e.drill(nil, time.Now().Add(time.Hour))
	if e.undrilled == nil || !strings.Contains(e.undrilled.Fix, "p/"+drillsFile) || e.drilled != nil {
		t.Errorf("%+v, %+v", e.undrilled, e.drilled)
	}
	e.prune(t.Context()) // which would ask the run's volumes, of which there are none
	if _, err := LastDrills(t.Context(), st, "p"); err == nil {
		t.Error("it was written over")
	}
}
