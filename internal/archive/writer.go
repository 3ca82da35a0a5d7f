package archive

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"unicode"

	"mayfly/internal/store"
)

// A Writer streams one segment into a store. Nobody sees it before Commit,
// and any error on the way makes Commit refuse. Not for concurrent use.
type Writer struct {
	key  string
	dst  store.Writer
	zip  *zipWriter
	m    Manifest
	repo *Snapshot
	wiki *Snapshot
	err  error // why there can be no segment any more
}

var (
	errUnfinished = errors.New("an entry of it was begun and not finished")
	errCommitted  = errors.New("it is committed")
	errClosed     = errors.New("it is closed")
)

// Create begins the full segment that key names. ctx governs the store's
// requests until Commit or Close.
func Create(ctx context.Context, st store.Store, key string, o Options) (*Writer, error) {
	if err := checkOptions(key, o); err != nil {
		return nil, fmt.Errorf("segment %s: %w", key, err)
	}
	dst, err := st.Create(ctx, key)
	if err != nil {
		return nil, fmt.Errorf("segment %s: create: %w", key, err)
	}
	w := &Writer{key: key, dst: dst, zip: &zipWriter{w: dst, created: o.Created}}
	id := o.Identity
	w.m = Manifest{
		Format: Format, Kind: KindFull,
		Host: id.Host, RepositoryID: id.ID, Owner: id.Owner, Name: id.Name,
		Created: o.Created.UTC(), Run: o.RunID, Mayfly: o.Version,
		Selection: o.Selection,
		Parts:     Parts{Repo: PartInfo{State: Absent}, Wiki: PartInfo{State: Absent, Why: "none was fetched"}},
	}
	if !o.Selection.Wiki {
		w.m.Parts.Wiki.Why = "it was not asked for"
	}
	return w, nil
}

func checkOptions(key string, o Options) error {
	id := o.Identity
	if err := CheckName(id.Owner, id.Name); err != nil {
		return err
	}
	if id.Host == "" || id.ID <= 0 {
		return fmt.Errorf("host %q and repository id %d do not tell which repository it is", id.Host, id.ID)
	}
	if !zipTime(o.Created) {
		return fmt.Errorf("creation time %v is out of range: is the clock set?", o.Created)
	}
	dir := key
	for range 4 {
		dir = path.Dir(dir)
	}
	if dir == "." {
		dir = ""
	}
	if p, ok := ParseKey(dir, key); !ok || p.Owner != id.Owner || p.Name != id.Name || p.Incr {
		return fmt.Errorf("this is not the key of a full segment of %s/%s", id.Owner, id.Name)
	}
	return nil
}

// Bundle writes the part's bundle: s as its header, then the pack that fetch
// writes. fetch returns how many objects and bytes that was, having checked
// them; its error comes back wrapped. s must not change before Commit.
func (w *Writer) Bundle(part Part, s Snapshot, fetch func(io.Writer) (objects uint32, bytes int64, err error)) error {
	info, err := w.begin(part, s)
	if err != nil {
		return err
	}
	if _, ok := s.resolve(); len(s.Refs) == 0 && !ok {
		return w.fail(fmt.Errorf("%s: no ref for a bundle: an empty part has none", part.bundle()))
	}
	var objects uint32
	if err := w.entry(part.bundle(), func(e io.Writer) error {
		if err := writeBundleHeader(e, s); err != nil {
			return err
		}
		pack := &counter{w: e}
		var n int64
		var err error
		if objects, n, err = fetch(pack); err != nil {
			return err
		}
		if n != pack.n || objects == 0 {
			return fmt.Errorf("a pack of %d objects in %d bytes was announced, %d bytes came", objects, n, pack.n)
		}
		return nil
	}); err != nil {
		return err
	}
	w.m.Entries[len(w.m.Entries)-1].Objects = objects
	info.State, info.Objects = Present, objects
	return nil
}

// Empty records a part without any object. Only refs.json knows it. s has no
// refs; its Head may name the branch to be born.
func (w *Writer) Empty(part Part, s Snapshot) error {
	info, err := w.begin(part, s)
	if err != nil {
		return err
	}
	if _, ok := s.resolve(); len(s.Refs) > 0 || ok {
		return w.fail(fmt.Errorf("%s: it has refs, so it is not empty", part))
	}
	info.State = Empty
	return nil
}

// Absent says why the wiki, though asked for, is not in the segment: there is
// none, or it could not be fetched. RESTORE.txt and the manifest repeat it, so
// it must hold no secret; it becomes one line of printable text.
func (w *Writer) Absent(part Part, why string) error {
	if w.err != nil {
		return w.fail(nil)
	}
	if part != Wiki || w.wiki != nil {
		return w.fail(fmt.Errorf("%s: only a wiki that was not written can be absent", part))
	}
	w.m.Parts.Wiki.Why = strings.Join(strings.FieldsFunc(why, func(r rune) bool {
		return unicode.IsSpace(r) || !unicode.IsPrint(r)
	}), " ")
	return nil
}

// begin takes a part's snapshot, once.
func (w *Writer) begin(part Part, s Snapshot) (*PartInfo, error) {
	if w.err != nil {
		return nil, w.fail(nil)
	}
	slot, info := &w.repo, &w.m.Parts.Repo
	if part == Wiki {
		slot, info = &w.wiki, &w.m.Parts.Wiki
	} else if part != Repo {
		return nil, w.fail(fmt.Errorf("%q is no part of a segment", part))
	}
	if *slot != nil {
		return nil, w.fail(fmt.Errorf("%s: it is in the segment already", part))
	}
	if err := s.check(); err != nil {
		return nil, w.fail(fmt.Errorf("%s: %w", part, err))
	}
	*slot = &s
	*info = PartInfo{Digest: s.Digest(), Refs: len(s.Refs)}
	return info, nil
}

// Metadata writes b, which must be JSON, as metadata/NAME.json.
func (w *Writer) Metadata(name string, b []byte) error {
	if w.err != nil {
		return w.fail(nil)
	}
	file := "metadata/" + name + ".json"
	if CheckName("metadata", name) != nil || strings.HasPrefix(name, ".") {
		return w.fail(fmt.Errorf("%q cannot be the name of a file", file))
	}
	for _, e := range w.m.Entries {
		if e.Name == file {
			return w.fail(fmt.Errorf("%s: it is in the segment already", file))
		}
	}
	if !json.Valid(b) {
		return w.fail(fmt.Errorf("%s: this is not JSON", file))
	}
	return w.text(file, b)
}

// Commit finishes the segment and makes it visible. store.ErrExists when
// another run wrote the same key first.
func (w *Writer) Commit() (Segment, error) {
	if w.err == nil && w.repo == nil {
		w.err = errors.New("it has no repository")
	}
	if w.err != nil {
		return Segment{}, w.fail(nil)
	}
	w.m.Digest = stateDigest(w.m.Selection, w.m.Parts.Repo.Digest, w.m.Parts.Wiki.Digest)
	if err := w.entry("refs.json", func(e io.Writer) error { return writeRefs(e, &w.m, w.repo, w.wiki) }); err != nil {
		return Segment{}, err
	}
	if err := w.text("RESTORE.txt", []byte(restoreText(&w.m, w.repo, w.wiki))); err != nil {
		return Segment{}, err
	}
	b, err := json.MarshalIndent(&w.m, "", "  ")
	if err != nil {
		return Segment{}, w.fail(fmt.Errorf("manifest.json: %w", err))
	}
	m := w.m // without an entry for itself
	if err := w.text("manifest.json", append(b, '\n')); err != nil {
		return Segment{}, err
	}
	if err := w.zip.close(); err != nil {
		return Segment{}, w.fail(fmt.Errorf("central directory: %w", err))
	}
	o, err := w.dst.Commit()
	if err != nil {
		return Segment{}, w.fail(fmt.Errorf("commit: %w", err))
	}
	w.err = errCommitted
	return Segment{Key: w.key, Object: o, Manifest: m}, nil
}

// Close drops the segment unless Commit succeeded. Always call it.
func (w *Writer) Close() error {
	if w.err == nil {
		w.err = errClosed
	}
	if err := w.dst.Close(); err != nil {
		return fmt.Errorf("segment %s: close: %w", w.key, err)
	}
	return nil
}

// entry writes one entry. While fill runs, and if it panics, there is no
// segment to commit.
func (w *Writer) entry(name string, fill func(io.Writer) error) error {
	w.err = errUnfinished
	e, err := w.zip.add(name, fill)
	if err != nil {
		w.err = nil
		return w.fail(fmt.Errorf("%s: %w", name, err))
	}
	w.m.Entries = append(w.m.Entries, e)
	w.err = nil
	return nil
}

func (w *Writer) text(name string, b []byte) error {
	return w.entry(name, func(e io.Writer) error {
		_, err := e.Write(b)
		return err
	})
}

// fail poisons the segment with its first error and returns err, or for nil
// that the segment cannot go on, and why.
func (w *Writer) fail(err error) error {
	if err == nil {
		return fmt.Errorf("segment %s cannot be written to: %w", w.key, w.err)
	}
	if w.err == nil {
		w.err = err
	}
	return fmt.Errorf("segment %s: %w", w.key, err)
}

// counter counts what passes through it.
type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}
