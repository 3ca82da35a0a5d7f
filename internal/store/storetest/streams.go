package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"mayfly/internal/store"
)

// An object of any length around the boundaries of parts comes back as it was.
func stream(t *testing.T, st store.Store, part int) {
	for _, n := range []int{0, 1, part - 1, part, part + 1, 2 * part, 3*part + 17} {
		key := fmt.Sprintf("a/%d", n)
		b := Bytes(n)
		o, err := Write(t.Context(), st, key, b)
		ok(t, err)
		read := same(t, st, key, b)
		stat, err := st.Stat(t.Context(), key)
		ok(t, err)
		if o.Key != key || o.Size != int64(n) || stat.Size != o.Size || read.Size != o.Size {
			t.Errorf("%d bytes: written as %+v, looks like %+v, read as %+v", n, o, stat, read)
		}
		if o.ETag == "" || o.ETag != stat.ETag || o.ETag != read.ETag {
			t.Errorf("%d bytes: versions %q, %q, %q", n, o.ETag, stat.ETag, read.ETag)
		}
	}
}

func createOnly(t *testing.T, st store.Store, part int) {
	for _, n := range []int{10, part + 1} {
		key := fmt.Sprintf("x/%d", n)
		_, err := Write(t.Context(), st, key, Bytes(n))
		ok(t, err)
		for _, second := range []int{20, part + 2} {
			_, err = Write(t.Context(), st, key, Bytes(second))
			is(t, err, store.ErrExists)
		}
		same(t, st, key, Bytes(n))
	}
	noneOpen(t, st)
}

// Of many writers of one key, streaming and not, exactly one succeeds.
func race(t *testing.T, st store.Store, part int) {
	sizes := []int{5, 6, part + 5, part + 6}
	errs := make([]error, len(sizes))
	var wg sync.WaitGroup
	for i, n := range sizes {
		wg.Go(func() { _, errs[i] = Write(t.Context(), st, "one", Bytes(n)) })
	}
	wg.Wait()
	won := -1
	for i, err := range errs {
		switch {
		case err == nil && won >= 0:
			t.Fatal("two writers of one key succeeded")
		case err == nil:
			won = i
		case !errors.Is(err, store.ErrExists) && !errors.Is(err, store.ErrAgain):
			t.Fatal(err)
		}
	}
	if won < 0 {
		t.Fatal("no writer succeeded:", errors.Join(errs...))
	}
	same(t, st, "one", Bytes(sizes[won]))
	noneOpen(t, st)
}

// Nothing is seen of an object before Commit, nor after Close without it.
func invisible(t *testing.T, st store.Store, part int) {
	for _, n := range []int{10, 2*part + 1} {
		w, err := st.Create(t.Context(), "dir/obj")
		ok(t, err)
		_, err = w.Write(Bytes(n))
		ok(t, err)
		_, err = st.Stat(t.Context(), "dir/obj")
		is(t, err, store.ErrNotExist)
		if k := Keys(t, st, ""); len(k) != 0 {
			t.Fatal("visible before Commit:", k)
		}
		ok(t, w.Close())
		ok(t, w.Close())
		if _, err := w.Write([]byte("late")); err == nil {
			t.Fatal("write after Close succeeded")
		}
		if _, err := w.Commit(); err == nil {
			t.Fatal("Commit after Close succeeded")
		}
		if k := Keys(t, st, ""); len(k) != 0 {
			t.Fatal("left after Close:", k)
		}
		noneOpen(t, st)
	}
}

// When the context ends nothing is left, at whichever moment it does.
func cancelled(t *testing.T, st store.Store, part int) {
	for _, n := range []int{0, 10, part, 2*part + 10} {
		ctx, cancel := context.WithCancel(t.Context())
		w, err := st.Create(ctx, "c/obj")
		ok(t, err)
		_, err = w.Write(Bytes(n))
		ok(t, err)
		cancel()
		_, err = w.Commit()
		is(t, err, context.Canceled)
		ok(t, w.Close())
		if k := Keys(t, st, ""); len(k) != 0 {
			t.Fatalf("%d bytes: left: %q", n, k)
		}
		noneOpen(t, st)
		if _, err := st.Create(ctx, "c/obj"); err == nil {
			t.Fatal("Create on an ended context succeeded")
		}
		_, err = st.Put(ctx, "c/obj", nil, "")
		is(t, err, context.Canceled)
	}
}

// A writer that nobody closed is cleaned up by the next run.
func abortUploads(t *testing.T, st store.Store, part int) {
	for _, key := range []string{"left/a", "left/b", "other/c"} {
		w, err := st.Create(t.Context(), key)
		ok(t, err)
		_, err = w.Write(Bytes(part + 1))
		ok(t, err)
		t.Cleanup(func() { w.Close() })
	}
	for _, c := range []struct {
		prefix string
		before time.Duration
		want   int
	}{{"", -time.Hour, 0}, {"left/", time.Hour, 2}, {"left/", time.Hour, 0}, {"", time.Hour, 1}} {
		n, err := st.AbortUploads(t.Context(), c.prefix, time.Now().Add(c.before))
		ok(t, err)
		if n != c.want {
			t.Errorf("under %q: %d aborted, want %d", c.prefix, n, c.want)
		}
	}
	if k := Keys(t, st, ""); len(k) != 0 {
		t.Fatal("left:", k)
	}
}
