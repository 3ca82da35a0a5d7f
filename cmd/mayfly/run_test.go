package main

import (
	"slices"
	"strings"
	"testing"
	"time"

	"mayfly/internal/store"
	"mayfly/runner"
)

// A run within the second of another one waits for the next, since both would
// have the same name.
func TestRunWaitsForASecondOfItsOwn(t *testing.T) {
	t.Parallel()
	st, err := store.NewDir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	first := time.Date(2026, 11, 20, 17, 4, 12, 999_000_000, time.UTC)
	times := []time.Time{first.Add(time.Millisecond), first.Add(1001 * time.Millisecond)} // that the clock shows
	a := &app{hostname: "vm", now: func() time.Time {
		now := times[0]
		times = slices.Delete(times, 0, 1)
		return now
	}}
	for _, taken := range []time.Time{first, first.Add(time.Millisecond)} {
		if _, err := st.Put(t.Context(), "runs/"+runner.NewRunID(taken, "vm")+"/started.json", []byte("{}"), ""); err != nil {
			t.Fatal(err)
		}
	}
	d := &runner.Deployment{RunID: runner.NewRunID(first, "vm")}
	start, err := a.ownSecond(t.Context(), st, d, first)
	if err != nil || !start.Equal(first.Add(1001*time.Millisecond)) || !strings.HasPrefix(d.RunID, "20261120T170414Z") {
		t.Errorf("%s %s, %v", start, d.RunID, err)
	}
	if _, err := st.Stat(t.Context(), "runs/"+d.RunID+"/started.json"); err == nil {
		t.Errorf("%s is taken", d.RunID)
	}
}
