package runner

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"mayfly/internal/store"
)

// The temporary files of killed runs stayed for ever.
func TestUnfinishedUploadsAreDropped(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	st, err := store.NewDir(root)
	if err != nil {
		t.Fatal(err)
	}
	unfinished := func(key string, age time.Duration) string {
		w, err := st.Create(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { w.Close() })
		if _, err := io.WriteString(w, "half"); err != nil {
			t.Fatal(err)
		}
		files, err := filepath.Glob(filepath.Join(root, filepath.Dir(key), ".mayfly-tmp-*"))
		if err != nil || len(files) != 1 {
			t.Fatalf("temporary files %v, error %v", files, err)
		}
		then := time.Now().Add(-age)
		if err := os.Chtimes(files[0], then, then); err != nil {
			t.Fatal(err)
		}
		return files[0]
	}
	old, young := unfinished("j/a/x", 25*time.Hour), unfinished("j/b/x", time.Minute)
	ours, foreign := unfinished("j/c/x", -time.Minute), unfinished("other/x", 25*time.Hour) // begun after the lock was taken; another job's
	job := jobFunc(func(_ context.Context, rec *Recorder) error {
		rec.Expect(0)
		return nil
	})
	if _, err := Run(t.Context(), Deployment{Name: "n", RunID: "R", Store: st, Tasks: []Task{{Name: "j", Prefix: "j", Job: job}}}); err != nil {
		t.Fatal(err)
	}
	for path, stays := range map[string]bool{old: false, young: false, ours: true, foreign: true} {
		if _, err := os.Stat(path); (err == nil) != stays {
			t.Errorf("%s: error %v, stays %v", path, err, stays)
		}
	}
}

type fullDevice struct{}

func (fullDevice) Write([]byte) (int, error) { return 0, errors.New("no space left on device") }

// A report that reaches nobody is no success.
func TestReportThatCannotBePrinted(t *testing.T) {
	t.Parallel()
	for _, mailed := range []bool{false, true} {
		st := newMemStore()
		d, _ := deployment(st, Task{Name: "j", Job: jobFunc(func(_ context.Context, rec *Recorder) error {
			rec.Expect(1)
			rec.Start("a").End(Changed, nil)
			return nil
		})})
		d.Out = fullDevice{}
		want := VerdictPartial
		if mailed {
			d.Publisher, want = &mailbox{}, VerdictComplete
		}
		rep, err := Run(t.Context(), d)
		if err != nil || rep.Verdict != want || stored(t, st).Verdict != want {
			t.Errorf("mailed %v: error %v, verdict %s, stored %s", mailed, err, rep.Verdict, stored(t, st).Verdict)
		}
	}
}

// Whoever is about to wait can see that the deadline comes first.
func TestJobsSeeTheDeadline(t *testing.T) {
	t.Parallel()
	d, _ := deployment(newMemStore(), Task{Name: "j", Job: jobFunc(func(ctx context.Context, rec *Recorder) error {
		rec.Expect(0)
		if at, ok := ctx.Deadline(); !ok || time.Until(at) > time.Hour {
			t.Errorf("deadline %v, %v", at, ok)
		}
		return nil
	})})
	d.Deadline = time.Now().Add(time.Hour)
	if _, err := Run(t.Context(), d); err != nil {
		t.Fatal(err)
	}
}
