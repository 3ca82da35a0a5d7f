package archive

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/go-git/go-git/v5/plumbing"

	"mayfly/internal/store"
)

var (
	errCut = errors.New("the body ended early")
	oneRef = Snapshot{Head: symbolic("refs/heads/main"), Refs: []*plumbing.Reference{ref("refs/heads/main", oidA)}}
)

// good writes what it announces. Nothing here looks into a pack.
func good(w io.Writer) (uint32, int64, error) {
	n, err := io.WriteString(w, "PACK")
	return 1, int64(n), err
}

func TestCreateRefuses(t *testing.T) {
	t.Parallel()
	key := Key("github", "acme", "site", created, 0, false)
	for _, c := range []struct {
		name, key string
		change    func(*Options)
		want      string
	}{
		{"another repository's key", Key("github", "acme", "other", created, 0, false), func(*Options) {}, "not the key"},
		{"an increment's key", Key("github", "acme", "site", created, 1, true), func(*Options) {}, "not the key"},
		{"no key", "site.zip", func(*Options) {}, "not the key"},
		{"path in the owner", key, func(o *Options) { o.Identity.Owner = "../acme" }, "name of repository"},
		{"no host", key, func(o *Options) { o.Identity.Host = "" }, "which repository"},
		{"no id", key, func(o *Options) { o.Identity.ID = 0 }, "which repository"},
		{"no time", key, func(o *Options) { o.Created = created.AddDate(-2000, 0, 0) }, "clock"},
	} {
		o := testOptions()
		c.change(&o)
		if _, err := Create(t.Context(), newStore(t), c.key, o); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q", c.name, err, c.want)
		}
	}
}

// Of two writers of one key the first to commit has it.
func TestCreateTwice(t *testing.T) {
	t.Parallel()
	st := newStore(t)
	first, second := begin(t, st), begin(t, st)
	for _, w := range []*Writer{first, second} {
		if err := w.Bundle(Repo, oneRef, good); err != nil {
			t.Fatal(err)
		}
	}
	seg, err := second.Commit()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := first.Commit(); !errors.Is(err, store.ErrExists) {
		t.Errorf("the other's Commit: %v, want store.ErrExists", err)
	}
	first.Close()
	if o, err := st.Stat(t.Context(), seg.Key); err != nil || o.ETag != seg.Object.ETag {
		t.Errorf("the segment is %+v now, %v; want %+v", o, err, seg.Object)
	}
}

// Whatever went wrong, Commit refuses, says why, and nothing is stored.
func TestPoisoned(t *testing.T) {
	t.Parallel()
	bundle := func(part Part, s Snapshot, fetch func(io.Writer) (uint32, int64, error)) func(*Writer, *faulty) error {
		return func(w *Writer, _ *faulty) error { return w.Bundle(part, s, fetch) }
	}
	for _, c := range []struct {
		name string
		do   func(*Writer, *faulty) error
		want string
	}{
		{"cut", bundle(Wiki, oneRef, func(w io.Writer) (uint32, int64, error) {
			w.Write(make([]byte, 200_000))
			return 0, 0, errCut
		}), errCut.Error()},
		{"bytes lost", bundle(Wiki, oneRef, func(w io.Writer) (uint32, int64, error) {
			w.Write(make([]byte, 5))
			return 1, 6, nil
		}), "1 objects in 6 bytes was announced, 5 bytes came"},
		{"no objects", bundle(Wiki, oneRef, func(w io.Writer) (uint32, int64, error) { return 0, 0, nil }), "0 objects"},
		{"bundle without refs", bundle(Wiki, Snapshot{Head: symbolic("refs/heads/main")}, good), "no ref for a bundle"},
		{"bad ref", bundle(Wiki, Snapshot{Refs: []*plumbing.Reference{ref("x", oidA)}}, good), "not a name"},
		{"part twice", bundle(Repo, oneRef, good), "already"},
		{"unknown part", bundle("issues", oneRef, good), "no part"},
		{"empty with refs", func(w *Writer, _ *faulty) error { return w.Refs(Wiki, oneRef) }, "not empty"},
		{"empty detached", func(w *Writer, _ *faulty) error { return w.Refs(Wiki, Snapshot{Head: ref("HEAD", oidA)}) }, "not empty"},
		{"empty twice", func(w *Writer, _ *faulty) error { return w.Refs(Repo, Snapshot{}) }, "already"},
		{"repository absent", func(w *Writer, _ *faulty) error { return w.Absent(Repo, "x") }, "only a wiki"},
		{"metadata twice", func(w *Writer, _ *faulty) error {
			return errors.Join(w.Metadata("x", []byte("1")), w.Metadata("x", []byte("1")))
		}, "already"},
		{"metadata outside", func(w *Writer, _ *faulty) error { return w.Metadata("../x", []byte("1")) }, "name of a file"},
		{"metadata hidden", func(w *Writer, _ *faulty) error { return w.Metadata(".x", []byte("1")) }, "name of a file"},
		{"metadata cut", func(w *Writer, _ *faulty) error { return w.Metadata("x", []byte(`{"a":`)) }, "not JSON"},
		{"store full", func(w *Writer, st *faulty) error {
			st.writeErr = errFull
			return w.Metadata("x", []byte("1"))
		}, errFull.Error()},
		{"closed", func(w *Writer, _ *faulty) error {
			w.Close()
			return w.Metadata("x", []byte("1"))
		}, "closed"},
	} {
		st := newStore(t)
		w := begin(t, st)
		if err := w.Bundle(Repo, oneRef, good); err != nil {
			t.Fatal(err)
		}
		if err := c.do(w, st); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q", c.name, err, c.want)
		}
		st.writeErr = nil
		if err := w.Metadata("later", []byte("1")); err == nil {
			t.Errorf("%s: the segment can still be written to", c.name)
		}
		if _, err := w.Commit(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: Commit: %v, want %q", c.name, err, c.want)
		}
		if err := w.Close(); err != nil {
			t.Errorf("%s: Close: %v", c.name, err)
		}
		if objects, unfinished := count(t, st); objects != 0 || unfinished != 0 {
			t.Errorf("%s: %d objects and %d unfinished writes are left", c.name, objects, unfinished)
		}
	}
}

// The caller finds its own errors again.
func TestFetchErrorIsWrapped(t *testing.T) {
	t.Parallel()
	w := begin(t, newStore(t))
	err := w.Bundle(Repo, oneRef, func(io.Writer) (uint32, int64, error) { return 0, 0, errCut })
	if !errors.Is(err, errCut) || !strings.Contains(err.Error(), "acme/site/20261120T170412Z/0000-full.zip: repo.bundle: ") {
		t.Errorf("error %v", err)
	}
	if _, err := w.Commit(); !errors.Is(err, errCut) {
		t.Errorf("Commit: %v, want the first error", err)
	}
}

func TestPanicPoisons(t *testing.T) {
	t.Parallel()
	st := newStore(t)
	w := begin(t, st)
	func() {
		defer func() { recover() }()
		w.Bundle(Repo, oneRef, func(io.Writer) (uint32, int64, error) { panic("bug") })
	}()
	if _, err := w.Commit(); !errors.Is(err, errUnfinished) {
		t.Errorf("Commit after a panic: %v", err)
	}
	if objects, _ := count(t, st); objects != 0 {
		t.Error("a segment was stored after a panic")
	}
}

// An entry within an entry would end up inside the first one's data.
func TestEntryWithinEntry(t *testing.T) {
	t.Parallel()
	w := begin(t, newStore(t))
	err := w.Bundle(Repo, oneRef, func(io.Writer) (uint32, int64, error) { return 0, 0, w.Metadata("x", []byte("1")) })
	if !errors.Is(err, errUnfinished) {
		t.Errorf("error %v, want %v", err, errUnfinished)
	}
}

func TestCommitErrors(t *testing.T) {
	t.Parallel()
	st := newStore(t)
	w := begin(t, st)
	if _, err := w.Commit(); err == nil || !strings.Contains(err.Error(), "no repository") {
		t.Errorf("Commit of nothing: %v", err)
	}
	w.Close()

	st.commitErr = store.ErrExists
	w = begin(t, st)
	if err := w.Bundle(Repo, oneRef, good); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Commit(); !errors.Is(err, store.ErrExists) {
		t.Errorf("Commit: %v, want store.ErrExists", err)
	}
	st.commitErr = nil
	if _, err := w.Commit(); err == nil {
		t.Error("a second Commit succeeded after a failed one")
	}
	if err := w.Close(); err != nil {
		t.Error(err)
	}
	if objects, unfinished := count(t, st); objects != 0 || unfinished != 0 {
		t.Errorf("%d objects and %d unfinished writes are left", objects, unfinished)
	}

	w = begin(t, st)
	if err := w.Bundle(Repo, oneRef, good); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Commit(); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Commit(); !errors.Is(err, errCommitted) {
		t.Errorf("second Commit: %v", err)
	}
}

func TestCloseDropsIt(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	st := newStore(t)
	w, err := Create(ctx, st, Key("github", "acme", "site", created, 0, false), testOptions())
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Bundle(Repo, oneRef, good); err != nil {
		t.Fatal(err)
	}
	cancel() // the run is over
	if _, err := w.Commit(); !errors.Is(err, context.Canceled) {
		t.Errorf("Commit after the run's end: %v", err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if objects, unfinished := count(t, st); objects != 0 || unfinished != 0 {
		t.Errorf("%d objects and %d unfinished writes are left", objects, unfinished)
	}
}

// Close after Commit, as deferred, harms nothing.
func TestCloseAfterCommit(t *testing.T) {
	t.Parallel()
	st := newStore(t)
	w := begin(t, st)
	if err := w.Bundle(Repo, oneRef, good); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Commit(); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if objects, unfinished := count(t, st); objects != 1 || unfinished != 0 {
		t.Errorf("%d objects and %d unfinished writes, want the segment alone", objects, unfinished)
	}
}

// The same state written twice is the same segment, to the byte.
func TestDeterministic(t *testing.T) {
	t.Parallel()
	var first []byte
	for range 2 {
		st := newStore(t)
		w := begin(t, st)
		if err := errors.Join(w.Bundle(Repo, oneRef, good), w.Refs(Wiki, Snapshot{}), w.Metadata("repository", []byte("{}"))); err != nil {
			t.Fatal(err)
		}
		seg, err := w.Commit()
		if err != nil {
			t.Fatal(err)
		}
		b := object(t, st, seg.Key)
		if int64(len(b)) != seg.Object.Size {
			t.Errorf("the object is %d bytes long, want %d", len(b), seg.Object.Size)
		}
		if first == nil {
			first = b
		} else if !bytes.Equal(first, b) {
			t.Error("two segments of one state differ")
		}
	}
}

// The manifest and RESTORE.txt say why a wiki is not there.
func TestAbsentWiki(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, want string
		selected   bool
		absent     string
	}{
		{"not selected", "it was not asked for", false, ""},
		{"none", "none was fetched", true, ""},
		{"failed", "fetch failed: 403 forbidden", true, "fetch failed:\n  403\x1b\u009b forbidden\n"},
	} {
		st := newStore(t)
		o := testOptions()
		o.Selection.Wiki = c.selected
		w, err := Create(t.Context(), st, Key("", "acme", "site", created, 0, false), o)
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		if c.absent != "" {
			if err := w.Absent(Wiki, c.absent); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Bundle(Repo, oneRef, good); err != nil {
			t.Fatal(err)
		}
		seg, err := w.Commit()
		if err != nil {
			t.Fatal(err)
		}
		if got := seg.Manifest.Parts.Wiki; got != (PartInfo{State: Absent, Why: c.want}) {
			t.Errorf("%s: %+v", c.name, got)
		}
		if !strings.Contains(string(object(t, st, seg.Key)), "not in this archive: "+c.want+".\n") { // stored blocks are plain text
			t.Errorf("%s: RESTORE.txt does not say why", c.name)
		}
	}
}
