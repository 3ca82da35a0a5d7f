package runner

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"
)

// A display that polls now and then sees every item that ended, of every job,
// without secrets.
func TestMonitorLeavesNothingOut(t *testing.T) {
	t.Parallel()
	const token = "ghp_0123456789"
	m := &Monitor{}
	var seen []string
	poll := func() {
		for {
			p, ok := m.Poll()
			if !ok {
				return
			}
			for _, it := range p.New {
				seen = append(seen, p.Job+"/"+it.Name)
				if it.Problem != nil && strings.Contains(it.Problem.Reason, token) {
					t.Error("a secret is shown")
				}
			}
			if !p.Over {
				return
			}
		}
	}
	job := func(_ context.Context, rec *Recorder) error {
		rec.Expect(100)
		for i := range 100 {
			rec.Start(fmt.Sprintf("%02d", i)).End(Failed, &Problem{Reason: token})
			if i%30 == 0 {
				poll()
			}
		}
		return nil
	}
	d, _ := deployment(newMemStore(), Task{Name: "a", Job: jobFunc(job)}, Task{Name: "b", Job: items(Changed)}, Task{Name: "c", Job: jobFunc(job)})
	d.Monitor = m
	d.Redact = func(s string) string { return strings.ReplaceAll(s, token, "[secret]") }
	m.WhenOver(poll)
	if _, err := Run(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	if len(seen) != 201 || seen[0] != "a/00" || seen[100] != "b/acme/site0" || seen[200] != "c/99" {
		t.Errorf("%d items seen", len(seen))
	}
	if _, ok := m.Poll(); ok {
		t.Error("there is more after the end")
	}
}

func TestRecorderProgress(t *testing.T) {
	t.Parallel()
	rec := NewRecorder(nil, time.Now)
	a, b := rec.Start("a"), rec.Start("b")
	a.Read(5)
	b.Read(7)
	b.Wrote(3)
	b.End(Partial, nil)
	b.End(Changed, nil) // too late
	p := rec.Progress(0)
	if p.Expected != -1 || p.Ended != 1 || p.Bad != 1 || p.Read != 12 || p.Wrote != 3 || len(p.Open) != 1 || p.Open[0].Name != "a" || len(p.New) != 1 || p.New[0].Outcome != Partial {
		t.Errorf("%+v", p)
	}
	a.End(Skipped, nil)
	if p = rec.Progress(p.Ended); p.Ended != 2 || p.Bad != 1 || len(p.New) != 1 || p.New[0].Name != "a" || len(p.Open) != 0 {
		t.Errorf("%+v", p)
	}
}
