package storetest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"mayfly/internal/store"
)

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
