package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mayfly/internal/gittest"
	"mayfly/internal/store"
)

// begun makes a chain of n segments, one a day, whatever chains there are.
func begun(t *testing.T, st *faulty, at time.Time, n int) {
	t.Helper()
	dir := repo(t, gittest.Normal)
	scratch := newStore(t)
	for i := range n {
		git(t, dir, "update-ref", fmt.Sprintf("refs/heads/n%d", i), "main")
		seg := backUp(t, scratch, at.AddDate(0, 0, i), dir, "")
		if _, err := st.Put(t.Context(), seg.Key, object(t, scratch, seg.Key), ""); err != nil {
			t.Fatal(err)
		}
		st.redate(t, seg.Key, at.AddDate(0, 0, i).Add(time.Minute))
	}
}

func (f *faulty) file(full time.Time, n int) string {
	return filepath.Join(f.root, filepath.FromSlash(Key("github", "acme", "site", full, n, n > 0)))
}

// spoil cuts a segment in half and leaves its time.
func (f *faulty) spoil(t *testing.T, full time.Time, n int) {
	t.Helper()
	file := f.file(full, n)
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	fi, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	b = b[:len(b)/2]
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	f.redate(t, Key("github", "acme", "site", full, n, n > 0), fi.ModTime())
}

// An openFails store cannot read one object now.
type openFails struct {
	*faulty
	key string
}

var errBusy = errors.New("503 slow down")

func (f *openFails) Open(ctx context.Context, key string, off, n int64) (io.ReadCloser, store.Object, error) {
	if key == f.key {
		return nil, store.Object{}, errBusy
	}
	return f.faulty.Open(ctx, key, off, n)
}

// Something older than what was asked for is never given in its place.
func TestPointAtBesideDamage(t *testing.T) {
	t.Parallel()
	day := func(n int) time.Time { return created.AddDate(0, 0, n) }
	next := day(10) // when the second chain begins
	for _, c := range []struct {
		name  string
		spoil func(t *testing.T, st *faulty) store.Store
		at    time.Time
		want  time.Time // of the point; zero: an error
	}{
		{"all is well", nil, day(3).Add(time.Hour), day(3)},
		{"damaged before it", func(t *testing.T, st *faulty) store.Store { st.spoil(t, created, 2); return st }, day(3).Add(time.Hour), time.Time{}},
		{"missing before it", func(t *testing.T, st *faulty) store.Store { os.Remove(st.file(created, 2)); return st }, day(3).Add(time.Hour), time.Time{}},
		{"damaged, perhaps it", func(t *testing.T, st *faulty) store.Store { st.spoil(t, created, 2); return st }, day(1).Add(time.Hour), time.Time{}},
		{"damaged, and the very second of one", func(t *testing.T, st *faulty) store.Store { st.spoil(t, created, 2); return st }, day(1).Add(time.Second - 1), day(1)},
		{"damaged, known to be later", func(t *testing.T, st *faulty) store.Store { st.spoil(t, created, 2); return st }, day(0).Add(time.Hour), day(0)},
		{"damaged, of an older chain", func(t *testing.T, st *faulty) store.Store { st.spoil(t, created, 2); return st }, next.Add(time.Hour), next},
		{"damaged, of a newer chain", func(t *testing.T, st *faulty) store.Store { st.spoil(t, next, 0); return st }, day(4), day(3)},
		{"a full segment damaged", func(t *testing.T, st *faulty) store.Store { st.spoil(t, next, 0); return st }, next.Add(time.Hour), time.Time{}},
		{"a full segment missing", func(t *testing.T, st *faulty) store.Store { os.Remove(st.file(next, 0)); return st }, time.Time{}, time.Time{}},
		{"an older chain damaged, the newest asked for", func(t *testing.T, st *faulty) store.Store { st.spoil(t, created, 0); return st }, time.Time{}, day(11)},
		{"copied, an older chain damaged", func(t *testing.T, st *faulty) store.Store {
			st.spoil(t, created, 2)
			st.copied(t, day(100))
			return st
		}, time.Time{}, day(11)},
		{"503 for it", func(t *testing.T, st *faulty) store.Store {
			return &openFails{st, Key("github", "acme", "site", created, 3, true)}
		}, day(3).Add(time.Hour), time.Time{}},
		{"503 for a later one", func(t *testing.T, st *faulty) store.Store {
			return &openFails{st, Key("github", "acme", "site", created, 3, true)}
		}, day(1).Add(time.Hour), time.Time{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			own := newStore(t)
			begun(t, own, created, 4)
			begun(t, own, next, 2)
			var st store.Store = own
			if c.spoil != nil {
				st = c.spoil(t, own)
			}
			p, err := PointAt(t.Context(), st, "github", "acme", "site", c.at, nil)
			if c.want.IsZero() {
				if err == nil {
					t.Fatalf("silently the point of %s", p.At)
				}
				if !errors.Is(err, ErrDamaged) && !errors.Is(err, errBusy) || errors.Is(err, ErrDamaged) && !strings.Contains(err.Error(), ".zip") {
					t.Errorf("the error does not say which: %v", err)
				}
				return
			}
			if err != nil || !p.At.Equal(c.want) {
				t.Errorf("the point of %s, %v, want that of %s", p.At, err, c.want)
			}
		})
	}
}

// copied makes all objects new, as a copy of a store does.
func (f *faulty) copied(t *testing.T, at time.Time) {
	t.Helper()
	for o, err := range f.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		f.redate(t, o.Key, at)
	}
}

// After a copy, of one chain or of all, every point is where it was.
func TestPointAtAfterCopy(t *testing.T) {
	t.Parallel()
	st := newStore(t)
	old := created.AddDate(-1, 0, 0)
	begun(t, st, old, 2)
	begun(t, st, created, 2)
	check := func(what string) {
		t.Helper()
		for at, want := range map[time.Time]time.Time{
			{}:                           created.AddDate(0, 0, 1),
			created.Add(time.Hour):       created,
			created.Add(-time.Hour):      old.AddDate(0, 0, 1),
			old.Add(time.Hour):           old,
			created.AddDate(0, 0, 1):     created.AddDate(0, 0, 1),
			created.AddDate(0, 0, 10000): created.AddDate(0, 0, 1),
		} {
			if p, err := PointAt(t.Context(), st, "github", "acme", "site", at, nil); err != nil || !p.At.Equal(want) {
				t.Errorf("%s: at %s: the point of %s, %v", what, at, p.At, err)
			}
		}
	}
	check("before")
	st.redate(t, Key("github", "acme", "site", old, 0, false), created.AddDate(0, 1, 0))
	check("one copied over itself")
	st.copied(t, created.AddDate(0, 1, 0))
	check("all copied")
}

// A chain that a clock begun which was ahead is found at its true time.
func TestPointAtAfterClockAhead(t *testing.T) {
	t.Parallel()
	st := newStore(t)
	dir := repo(t, gittest.Normal)
	seg := backUp(t, st, created.AddDate(1, 0, 0), dir, "")
	st.redate(t, seg.Key, created.Add(time.Minute))
	git(t, dir, "update-ref", "refs/heads/new", "main")
	backUp(t, st, created.AddDate(0, 0, 7), dir, "")
	for days, want := range map[int]time.Time{8: created.AddDate(0, 0, 7), 5: created.Add(time.Minute)} {
		if p, err := PointAt(t.Context(), st, "github", "acme", "site", created.AddDate(0, 0, days), nil); err != nil || !p.At.Equal(want) {
			t.Errorf("after %d days: the point of %s, %v", days, p.At, err)
		}
	}
	if p, err := PointAt(t.Context(), st, "github", "acme", "site", created.Add(-time.Hour), nil); !errors.Is(err, ErrNoPoint) {
		t.Errorf("before all: %v, %v", p.At, err)
	}
}
