// Package storetest is the conformance suite that every store.Store passes,
// whatever server or file system is behind it.
package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"mayfly/internal/store"
)

// Run runs the suite. open returns an empty store; part is the size at which
// its uploads are cut in pieces.
func Run(t *testing.T, part int, open func(t *testing.T) store.Store) {
	for name, test := range map[string]func(*testing.T, store.Store, int){
		"stream": stream, "create only": createOnly, "race": race, "invisible": invisible,
		"put": put, "put race": putRace, "delete": remove, "ranges": ranges, "missing": missing,
		"list": list, "keys": keys, "cancelled": cancelled, "abort uploads": abortUploads, "clock": clock,
	} {
		t.Run(name, func(t *testing.T) { test(t, open(t), part) })
	}
}

// Bytes returns n bytes that are the same for the same n and do not compress.
func Bytes(n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{byte(n), byte(n >> 8), byte(n >> 16)}).Read(b)
	return b
}

// Write creates an object in pieces of odd sizes.
func Write(ctx context.Context, st store.Store, key string, b []byte) (store.Object, error) {
	w, err := st.Create(ctx, key)
	if err != nil {
		return store.Object{}, err
	}
	defer w.Close()
	for i := 0; len(b) > 0; i++ {
		n := min(len(b), []int{1, 70_001, 4096, 1_000_003}[i%4])
		if _, err := w.Write(b[:n]); err != nil {
			return store.Object{}, err
		}
		b = b[n:]
	}
	return w.Commit()
}

// Read reads a whole object.
func Read(ctx context.Context, st store.Store, key string) ([]byte, store.Object, error) {
	r, o, err := st.Open(ctx, key, 0, -1)
	if err != nil {
		return nil, o, err
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	return b, o, err
}

// Keys lists the keys under prefix.
func Keys(t *testing.T, st store.Store, prefix string) []string {
	t.Helper()
	keys := []string{}
	for o, err := range st.List(context.WithoutCancel(t.Context()), prefix) {
		if err != nil {
			t.Fatal("list:", err)
		}
		keys = append(keys, o.Key)
	}
	return keys
}

func is(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("error %v, want %v", err, want)
	}
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func same(t *testing.T, st store.Store, key string, want []byte) store.Object {
	t.Helper()
	got, o, err := Read(t.Context(), st, key)
	ok(t, err)
	if !bytes.Equal(got, want) {
		t.Fatalf("%s: %d bytes read, not the %d written", key, len(got), len(want))
	}
	return o
}

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

func list(t *testing.T, st store.Store, _ int) {
	if k := Keys(t, st, ""); len(k) != 0 {
		t.Fatal("not empty:", k)
	}
	all := []string{"a", "b-c/1", "b.c/1", "b/1", "b/2", "b/d/1", "b/ä/1", "b0", "c d/e+f", "d%2Fe", "z<&>'\"z"}
	for _, k := range all {
		if strings.ContainsAny(k, `<>"`) {
			if _, err := st.Put(t.Context(), k, []byte(k), ""); err != nil {
				t.Logf("%q: %v", k, err)
				all = slices.DeleteFunc(slices.Clone(all), func(s string) bool { return s == k })
			}
			continue
		}
		_, err := st.Put(t.Context(), k, []byte(k), "")
		ok(t, err)
	}
	for i := range 12 {
		k := fmt.Sprintf("many/%02d", i)
		_, err := st.Put(t.Context(), k, []byte(k), "")
		ok(t, err)
		all = append(all, k)
	}
	slices.Sort(all)
	for _, prefix := range []string{"", "b", "b/", "b/d", "b/d/", "b/d/1", "b/d/1/", "many/", "many/1", "nothing", "b.c"} {
		want := slices.DeleteFunc(slices.Clone(all), func(k string) bool { return !strings.HasPrefix(k, prefix) })
		if got := Keys(t, st, prefix); !slices.Equal(got, want) {
			t.Errorf("prefix %q: %q, want %q", prefix, got, want)
		}
	}
	n := 0
	for o, err := range st.List(t.Context(), "many/") {
		ok(t, err)
		stat, err := st.Stat(t.Context(), o.Key)
		ok(t, err)
		if o.Size != 7 || o.ETag != stat.ETag || o.Modified.IsZero() || !o.Now.IsZero() {
			t.Errorf("listed as %+v, looks like %+v", o, stat)
		}
		if n++; n == 2 {
			break
		}
	}
	if n != 2 {
		t.Errorf("%d objects before the break", n)
	}
}

func keys(t *testing.T, st store.Store, _ int) {
	for _, key := range []string{"", "/a", "a/", "a//b", ".", "..", "a/../b", "./a", "a\x00b", "a\nb", "\xff", strings.Repeat("x", 1025)} {
		if _, err := st.Create(t.Context(), key); err == nil {
			t.Errorf("Create accepted %q", key)
		}
		if _, err := st.Put(t.Context(), key, nil, ""); err == nil {
			t.Errorf("Put accepted %q", key)
		}
		if _, err := st.Stat(t.Context(), key); err == nil || errors.Is(err, store.ErrNotExist) {
			t.Errorf("Stat of %q: %v", key, err)
		}
		if _, _, err := st.Open(t.Context(), key, 0, -1); err == nil || errors.Is(err, store.ErrNotExist) {
			t.Errorf("Open of %q: %v", key, err)
		}
		if err := st.Delete(t.Context(), key, "v"); err == nil || errors.Is(err, store.ErrNotExist) {
			t.Errorf("Delete of %q: %v", key, err)
		}
	}
	if u := st.URL("a/b c"); !strings.Contains(u, "://") || !strings.Contains(u, "a/b") {
		t.Errorf("URL is %q", u)
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

// noneOpen fails when an unfinished write is left.
func noneOpen(t *testing.T, st store.Store) {
	t.Helper()
	n, err := st.AbortUploads(context.WithoutCancel(t.Context()), "", time.Now().Add(time.Hour))
	ok(t, err)
	if n != 0 {
		t.Fatalf("%d unfinished writes left", n)
	}
}
