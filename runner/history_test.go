package runner

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func put(t *testing.T, st *memStore, key, text string) {
	t.Helper()
	if _, err := st.Put(t.Context(), key, []byte(text), ""); err != nil {
		t.Fatal(err)
	}
}

func TestRunIDs(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 31, 23, 30, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		keys  []string
		limit int
		want  []string
	}{
		"nothing":          {nil, 5, nil},
		"no runs":          {[]string{"runs/lock.json", "runs/README/x", "github/20260301T000000Z-a/started.json"}, 5, nil},
		"newest first":     {[]string{"runs/20260302T000000Z-a/started.json", "runs/20260302T000000Z-a/log/00001.txt", "runs/20260303T000000Z-a/report.json"}, 5, []string{"20260303T000000Z-a", "20260302T000000Z-a"}},
		"limit":            {[]string{"runs/20260302T000000Z-a/x", "runs/20260303T000000Z-a/x", "runs/20260304T000000Z-a/x"}, 2, []string{"20260304T000000Z-a", "20260303T000000Z-a"}},
		"over months":      {[]string{"runs/20251102T000000Z-a/x", "runs/20260301T000000Z-a/x"}, 5, []string{"20260301T000000Z-a", "20251102T000000Z-a"}},
		"a clock ahead":    {[]string{"runs/20260401T000100Z-a/x"}, 5, []string{"20260401T000100Z-a"}},
		"only very old":    {[]string{"runs/20190101T000000Z-a/x", "runs/20200101T000000Z-a/x"}, 1, []string{"20200101T000000Z-a"}},
		"a name like ours": {[]string{"runs/20260302T000000Z-a/x", "runs/20260302T000000Z-a b/x", "runs/20260302T000000Z/x"}, 5, []string{"20260302T000000Z-a"}},
		"hosts in between": {[]string{"runs/20260302T000000Z-a/x", "runs/20260302T000000Z-a-b/x", "runs/20260302T000000Z-a/y"}, 5, []string{"20260302T000000Z-a-b", "20260302T000000Z-a"}},
	} {
		st := newMemStore()
		for _, k := range c.keys {
			put(t, st, k, "x")
		}
		got, err := RunIDs(t.Context(), st, now, c.limit)
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, %v, want %q", name, got, err, c.want)
		}
	}
}

// TestPast looks at a run before, while and after it is at work, and when it
// was cut off.
func TestPast(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		st := newMemStore()
		goOn := make(chan struct{})
		d, _ := deployment(st, Task{Name: "github", Unit: "repositories", Job: jobFunc(func(_ context.Context, rec *Recorder) error {
			rec.Expect(1)
			rec.Start("acme/site").End(Changed, nil)
			<-goOn
			return nil
		})})
		if p, err := ReadPast(t.Context(), st, d.RunID); !errors.Is(err, ErrNoRun) {
			t.Errorf("before: %+v, %v", p, err)
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			if _, err := Run(t.Context(), d); err != nil {
				t.Error(err)
			}
		}()
		time.Sleep(20 * time.Minute)
		p, err := ReadPast(t.Context(), st, d.RunID)
		if err != nil || p.State() != "running" || p.Started == nil || !p.Began().Equal(p.Started.Started) {
			t.Errorf("at work: %+v, %v", p, err)
		}
		var early bytes.Buffer
		n, err := WriteLog(t.Context(), &early, st, d.RunID, 0)
		if err != nil || n == 0 || !strings.Contains(early.String(), "job started") {
			t.Errorf("log so far: %d, %v, %q", n, err, &early)
		}
		if again, err := WriteLog(t.Context(), &early, st, d.RunID, n); err != nil || again != n || strings.Count(early.String(), "job started") != 1 {
			t.Errorf("nothing new: %d, %v, %q", again, err, &early)
		}
		close(goOn)
		<-done
		p, err = ReadPast(t.Context(), st, d.RunID)
		if err != nil || p.State() != "complete" || p.Live {
			t.Errorf("after: %+v, %v", p, err)
		}
		if got := p.Report.Counts(); got != "1 repository, 1 changed" {
			t.Errorf("counts %q", got)
		}
		if name, at := p.Report.OldestGood(); name != "github acme/site" || !at.Equal(p.Report.Jobs[0].Items[0].LastGood) {
			t.Errorf("oldest good backup %q of %s", name, at)
		}
		var late bytes.Buffer
		if _, err := WriteLog(t.Context(), &late, st, d.RunID, n); err != nil || !strings.Contains(late.String(), "run ended: complete") {
			t.Errorf("the rest of the log: %v, %q", err, &late)
		}
	})
}

func TestCutOff(t *testing.T) {
	t.Parallel()
	const run, other = "20000101T000000Z-i-0abc", "20000101T000100Z-i-0def"
	for name, c := range map[string]struct {
		lock  string // "": none
		after time.Duration
		want  string
	}{
		"no lock":      {"", 0, "cut off"},
		"fresh lock":   {`{"run": "` + run + `"}`, time.Minute, "running"},
		"stale lock":   {`{"run": "` + run + `"}`, 2 * time.Minute, "cut off"},
		"released":     {`{"run": "` + run + `", "released": true}`, 0, "cut off"},
		"another's":    {`{"run": "` + other + `"}`, 0, "cut off"},
		"not readable": {`{{{`, 0, "cut off"},
	} {
		for _, noClock := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				st := newMemStore()
				st.noClock = noClock
				put(t, st, "runs/"+run+"/started.json", `{"format": 1, "run": "`+run+`"}`)
				if c.lock != "" {
					put(t, st, lockKey, c.lock)
				}
				time.Sleep(c.after)
				p, err := ReadPast(t.Context(), st, run)
				if err != nil || p.State() != c.want {
					t.Errorf("%s: %s, %v, want %s", name, p.State(), err, c.want)
				}
			})
		}
	}
}

// TestPastJustEnded has the run's report come between the look for it and the
// look at the lock.
func TestPastJustEnded(t *testing.T) {
	t.Parallel()
	st := newMemStore()
	const run = "20000101T000000Z-i-0abc"
	put(t, st, "runs/"+run+"/started.json", "{}")
	st.fault = func(op, key string) error {
		if key == lockKey {
			st.objects["runs/"+run+"/report.json"] = memObject{b: []byte(`{"verdict": "partial"}`)}
		}
		return nil
	}
	if p, err := ReadPast(t.Context(), st, run); err != nil || p.State() != "partial" {
		t.Errorf("%s, %v", p.State(), err)
	}
}

func TestPastErrors(t *testing.T) {
	t.Parallel()
	const run = "20000101T000000Z-i-0abc"
	st := newMemStore()
	put(t, st, "runs/"+run+"/report.json", "{")
	if _, err := ReadPast(t.Context(), st, run); err == nil || !strings.Contains(err.Error(), "not what mayfly wrote") {
		t.Errorf("damaged report: %v", err)
	}
	for _, id := range []string{"", "../x", "20000101T000000Z", "20000101T000000Z-\x1b[2J"} {
		if _, err := ReadPast(t.Context(), st, id); !errors.Is(err, ErrNoRun) || strings.Contains(err.Error(), "\x1b") {
			t.Errorf("%q: %v", id, err)
		}
	}
	st.fault = func(op, key string) error { return fmt.Errorf("%s %s: no answer", op, key) }
	if _, err := ReadPast(t.Context(), st, run); err == nil || errors.Is(err, ErrNoRun) {
		t.Errorf("store down: %v", err)
	}
}
