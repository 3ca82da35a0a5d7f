package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"testing"

	"mayfly/internal/store"
)

// A late reader ends with an error of its own instead of io.EOF.
type late struct {
	r   io.Reader
	err error
}

func (l late) Read(b []byte) (int, error) {
	n, err := l.r.Read(b)
	if err == io.EOF {
		err = l.err
	}
	return n, err
}

// An object of any length replaces another, or nothing; what does not come to
// its end replaces nothing and leaves nothing.
func overwrite(t *testing.T, st store.Store, part int) {
	over, can := st.(store.Overwriter)
	if !can {
		t.Fatalf("a %T is no Overwriter", st)
	}
	changed := errors.New("it changed")
	a := store.Attributes{Meta: map[string]string{"mtime": "1.5", "mode": "0100644"}}
	for _, n := range []int{0, 1, 256 << 10, 256<<10 + 1, part, 2*part + 7} {
		key := fmt.Sprintf("dir/of-%d", n)
		for round := range 2 {
			b := Bytes(n + round)
			o, err := over.Overwrite(t.Context(), key, bytes.NewReader(b), int64(len(b)), a)
			ok(t, err)
			if got := same(t, st, key, b); got.ETag != o.ETag || got.Size != int64(len(b)) {
				t.Errorf("%d bytes: wrote %+v, there is %+v", len(b), o, got)
			}
			now, meta, err := over.Meta(t.Context(), key)
			ok(t, err)
			if now.ETag != o.ETag || meta != nil && (meta["mtime"] != "1.5" || meta["mode"] != "0100644") {
				t.Errorf("%d bytes: %+v with %v", len(b), now, meta)
			}
		}
		before := Bytes(n + 1)
		for name, r := range map[string]io.Reader{
			"short": bytes.NewReader(Bytes(max(n-1, 0))), "long": bytes.NewReader(Bytes(n + 9)), "changed": late{bytes.NewReader(Bytes(n + 3)), changed},
		} {
			_, err := over.Overwrite(t.Context(), key, r, int64(n+3), a)
			if err == nil || name == "changed" && !errors.Is(err, changed) {
				t.Errorf("%d bytes, %s: %v", n, name, err)
			}
			same(t, st, key, before)
		}
	}
	noneOpen(t, st)
	_, err := over.Overwrite(t.Context(), "a/../b", bytes.NewReader(nil), 0, a)
	if err == nil {
		t.Error("a bad key was written")
	}
	_, _, err = over.Meta(t.Context(), "nothing")
	is(t, err, store.ErrNotExist)
}
