package archive

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"mayfly/internal/store"
)

func summaryOf(n int) Summary {
	return Summary{
		Host: "github.com", ID: int64(n + 1), Chain: created, Segments: 1 + n%7, Print: Print{byte(n), byte(n >> 8)},
		Digest: digest(bytes.Repeat([]byte{byte(n)}, 32)), Checked: created,
	}
}

func listedOf(n int) Listed {
	e := summaryOf(n)
	return Listed{Full: e.Chain, Segments: e.Segments, Print: e.Print}
}

func readIndex(t *testing.T, st store.Store) *Index {
	t.Helper()
	x, err := ReadIndex(t.Context(), st, "github")
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func save(t *testing.T, x *Index) {
	t.Helper()
	if err := x.Save(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestIndex(t *testing.T) {
	t.Parallel()
	st := newStore(t)
	x := readIndex(t, st)
	save(t, x)
	if objects, _ := count(t, st); objects != 0 {
		t.Error("an index of nothing was written")
	}
	for n := range 300 {
		x.Set(fmt.Sprintf("acme/r%03d", n), summaryOf(n))
	}
	x.Set("acme/no-digest", Summary{Host: "github.com", ID: 9, Digest: "sha256:12"})
	save(t, x)
	b := object(t, st, "github/index.json")
	if !json.Valid(b) {
		t.Errorf("this is not JSON:\n%s", b)
	}
	x = readIndex(t, st)
	for n := range 300 {
		if got, ok := x.Find(fmt.Sprintf("acme/r%03d", n), listedOf(n)); !ok || got != summaryOf(n) {
			t.Fatalf("entry %d is %+v, %t", n, got, ok)
		}
	}
	for _, other := range []Listed{
		{Full: created, Segments: 2, Print: Print{9}},
		{Full: created, Segments: 3, Print: Print{1}},
		{Full: created.Add(time.Second), Segments: 2, Print: Print{1}},
	} {
		if _, ok := x.Find("acme/r001", other); ok {
			t.Errorf("an entry was found for segments that it is not about: %+v", other)
		}
	}
	if _, ok := x.Get("acme/no-digest"); ok {
		t.Error("an entry without a digest was kept")
	}
	x.Keep(func(name string) bool { return name == "acme/r007" })
	save(t, x)
	if x = readIndex(t, st); len(x.entries) != 1 {
		t.Errorf("%d entries are left", len(x.entries))
	}
	stat := func() store.ETag {
		o, err := st.Stat(t.Context(), "github/index.json")
		if err != nil {
			t.Fatal(err)
		}
		return o.ETag
	}
	before := stat()
	x.Set("acme/r007", summaryOf(7))
	save(t, x)
	if stat() != before {
		t.Error("an index that had not changed was written")
	}
}

// Of two runs that save at the same time one wins, whole.
func TestIndexConcurrently(t *testing.T) {
	t.Parallel()
	st := newStore(t)
	for range 2 { // where there is none, and where there is one
		a, b := readIndex(t, st), readIndex(t, st)
		a.Set("acme/a", summaryOf(len(a.entries)))
		b.Set("acme/b", summaryOf(99))
		save(t, a)
		save(t, b)
		x := readIndex(t, st)
		if _, ok := x.Get("acme/a"); !ok || len(x.entries) != 1 {
			t.Errorf("entries %v", x.entries)
		}
	}
}

// Whatever is wrong with it, the index is empty then, and mended.
func TestIndexDamaged(t *testing.T) {
	t.Parallel()
	st := newStore(t)
	x := readIndex(t, st)
	for n := range 3 {
		x.Set(fmt.Sprintf("acme/r%d", n), summaryOf(n))
	}
	good := string(x.text())
	for name, bad := range map[string]string{
		"empty":          "",
		"cut":            good[:len(good)/2],
		"without an end": good[:strings.Index(good, "]")],
		"flipped":        strings.Replace(good, `"id":2`, `"id":3`, 1),
		"longer":         good + "\n",
		"endless line":   indexHead + strings.Repeat("x", 1<<20),
		"not ours":       `{"format":2}`,
		"null":           "null",
		"no digest":      indexHead + `{"repository":"a/b","host":"h","id":1,"chain":"20261120T170412Z","segments":1,"print":"","digest":""}` + "\n" + indexEnd(nil),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			st := newStore(t)
			if _, err := st.Put(t.Context(), "github/index.json", []byte(bad), ""); err != nil {
				t.Fatal(err)
			}
			x, err := ReadIndex(t.Context(), st, "github")
			if !errors.Is(err, ErrDamaged) || len(x.entries) > 0 {
				t.Fatalf("read as %v, %v", x.entries, err)
			}
			save(t, x)
			readIndex(t, st)
		})
	}
	t.Run("newer", func(t *testing.T) {
		newer := strings.Replace(good, `"format":2`, `"format":3`, 1)
		if _, err := parseIndex(strings.NewReader(newer)); !errors.Is(err, ErrNewer) {
			t.Error(err)
		}
	})
	t.Run("older", func(t *testing.T) {
		older := strings.Replace(good, `"format":2`, `"format":1`, 1)
		if _, err := parseIndex(strings.NewReader(older)); !errors.Is(err, errOlder) {
			t.Error(err)
		}
	})
}
