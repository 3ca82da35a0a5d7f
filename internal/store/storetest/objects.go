package storetest

import (
	"bytes"
	"errors"
	"io"
	"sync"
	"testing"
	"time"

	"mayfly/internal/store"
)

func put(t *testing.T, st store.Store, _ int) {
	ctx := t.Context()
	v1, err := st.Put(ctx, "lock.json", []byte("one"), "")
	ok(t, err)
	_, err = st.Put(ctx, "lock.json", []byte("other"), "")
	is(t, err, store.ErrExists)
	v2, err := st.Put(ctx, "lock.json", []byte("two"), v1)
	ok(t, err)
	if v1 == v2 || v2 == "" {
		t.Fatalf("versions %q and %q", v1, v2)
	}
	_, err = st.Put(ctx, "lock.json", []byte("late"), v1)
	is(t, err, store.ErrChanged)
	_, err = st.Put(ctx, "gone.json", []byte("x"), v1)
	is(t, err, store.ErrChanged)
	if o := same(t, st, "lock.json", []byte("two")); o.ETag != v2 {
		t.Errorf("version %q, Put said %q", o.ETag, v2)
	}
	_, err = st.Stat(ctx, "gone.json")
	is(t, err, store.ErrNotExist)
	_, err = st.Put(ctx, "empty", nil, "")
	ok(t, err)
	same(t, st, "empty", []byte{})
}

// Many that add to one counter by compare and swap lose no addition.
func putRace(t *testing.T, st store.Store, _ int) {
	_, err := st.Put(t.Context(), "n", []byte{0}, "")
	ok(t, err)
	const each, writers = 5, 4
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for done := 0; done < each; {
				b, o, err := Read(t.Context(), st, "n")
				if err != nil {
					t.Error(err)
					return
				}
				_, err = st.Put(t.Context(), "n", []byte{b[0] + 1}, o.ETag)
				switch {
				case err == nil:
					done++
				case !errors.Is(err, store.ErrChanged) && !errors.Is(err, store.ErrAgain):
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	same(t, st, "n", []byte{each * writers})
}

func remove(t *testing.T, st store.Store, _ int) {
	ctx := t.Context()
	v1, err := st.Put(ctx, "a/b/c", []byte("one"), "")
	ok(t, err)
	v2, err := st.Put(ctx, "a/b/c", []byte("two"), v1)
	ok(t, err)
	is(t, st.Delete(ctx, "a/b/c", v1), store.ErrChanged)
	is(t, st.Delete(ctx, "a/b/c", ""), store.ErrChanged)
	same(t, st, "a/b/c", []byte("two"))
	ok(t, st.Delete(ctx, "a/b/c", v2))
	is(t, st.Delete(ctx, "a/b/c", v2), store.ErrNotExist)
	if k := Keys(t, st, ""); len(k) != 0 {
		t.Fatal("left:", k)
	}
	_, err = st.Put(ctx, "a", []byte("a file where a directory was"), "")
	ok(t, err)
}

func ranges(t *testing.T, st store.Store, part int) {
	b := Bytes(2*part + 100)
	size := int64(len(b))
	_, err := Write(t.Context(), st, "r", b)
	ok(t, err)
	for _, c := range []struct{ off, n, want int64 }{
		{0, -1, size}, {0, size, size}, {0, 1, 1}, {1, 10, 10}, {int64(part) - 5, 10, 10}, {size - 1, 1, 1},
		{size - 3, -1, 3}, {7, -1, size - 7}, {size, -1, 0}, {5, 0, 0}, {size, 0, 0},
	} {
		r, o, err := st.Open(t.Context(), "r", c.off, c.n)
		if err != nil {
			t.Fatalf("from %d, %d bytes: %v", c.off, c.n, err)
		}
		got, err := io.ReadAll(r)
		r.Close()
		if err != nil || !bytes.Equal(got, b[c.off:c.off+c.want]) || o.Size != size {
			t.Errorf("from %d, %d bytes: got %d of object with %d, error %v", c.off, c.n, len(got), o.Size, err)
		}
	}
	for _, c := range [][2]int64{{0, size + 1}, {size - 1, 2}, {size, 1}, {size + 5, 1}} {
		_, _, err := st.Open(t.Context(), "r", c[0], c[1])
		is(t, err, io.ErrUnexpectedEOF)
	}
	if _, _, err := st.Open(t.Context(), "r", -1, 1); err == nil {
		t.Error("negative offset accepted")
	}
}

func missing(t *testing.T, st store.Store, _ int) {
	ctx := t.Context()
	_, err := st.Put(ctx, "there/it/is", nil, "")
	ok(t, err)
	for _, key := range []string{"no", "there", "there/it", "there/it/is/not", "no/such/dir"} {
		_, err := st.Stat(ctx, key)
		is(t, err, store.ErrNotExist)
		_, _, err = st.Open(ctx, key, 0, -1)
		is(t, err, store.ErrNotExist)
		_, _, err = st.Open(ctx, key, 3, 4)
		is(t, err, store.ErrNotExist)
		is(t, st.Delete(ctx, key, "v"), store.ErrNotExist)
	}
}

func clock(t *testing.T, st store.Store, _ int) {
	_, err := st.Put(t.Context(), "c", []byte("x"), "")
	ok(t, err)
	o, err := st.Stat(t.Context(), "c")
	ok(t, err)
	_, read, err := Read(t.Context(), st, "c")
	ok(t, err)
	written, err := Write(t.Context(), st, "d", []byte("x"))
	ok(t, err)
	for _, o := range []store.Object{o, read, written} {
		if d := time.Since(o.Now).Abs(); d > time.Minute {
			t.Errorf("%s: the store's clock is %s off", o.Key, d)
		}
		if d := o.Now.Sub(o.Modified).Abs(); d > time.Minute {
			t.Errorf("%s: modified %s from now", o.Key, d)
		}
	}
}
