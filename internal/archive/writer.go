package archive

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"mayfly/internal/store"
)

// A Writer streams one segment into a store. Nobody sees it before Commit,
// and any error on the way makes Commit refuse. Not for concurrent use.
type Writer struct {
	key   string
	dst   store.Writer
	zip   *zipWriter
	m     Manifest
	chain *Chain // that an increment goes on from; nil: this is a full segment
	repo  *part
	wiki  *part
	err   error // why there can be no segment any more
}

// A part is one that is in the segment.
type part struct {
	Snapshot
	changes Changes
}

var (
	errUnfinished = errors.New("an entry of it was begun and not finished")
	errCommitted  = errors.New("it is committed")
	errClosed     = errors.New("it is closed")
)

// Bundle writes the part's bundle: s as its header, in an increment what has
// changed of it, then the pack that fetch writes. fetch returns how many
// objects and bytes that was, having checked them; its error comes back
// wrapped. s must not change before Commit.
func (w *Writer) Bundle(which Part, s Snapshot, fetch func(io.Writer) (objects uint32, bytes int64, err error)) error {
	p, err := w.begin(which, s)
	if err != nil {
		return err
	}
	head, hasHead := s.resolve()
	if len(s.Refs) == 0 && !hasHead {
		return w.fail(fmt.Errorf("%s: no ref for a bundle: an empty part has none", which.bundle()))
	}
	if err := w.entry(which.bundle(), func(e io.Writer) error {
		h := bundleHead{Needs: w.needs(which), Head: head, Refs: p.changes.Set}
		if err := h.write(e); err != nil {
			return err
		}
		pack := &counter{w: e}
		objects, n, err := fetch(pack)
		if err != nil {
			return err
		}
		if n != pack.n || objects == 0 && w.chain == nil {
			return fmt.Errorf("a pack of %d objects in %d bytes was announced, %d bytes came", objects, n, pack.n)
		}
		w.m.Parts.of(which).Objects = objects
		return nil
	}); err != nil {
		return err
	}
	w.m.Entries[len(w.m.Entries)-1].Objects = w.m.Parts.of(which).Objects
	return w.commands(which, p)
}

// Refs records a part that needs no object: an empty one or, in an increment,
// one whose every ref names what the chain holds. An empty part has no refs;
// its Head may name the branch to be born.
func (w *Writer) Refs(which Part, s Snapshot) error {
	p, err := w.begin(which, s)
	if err != nil {
		return err
	}
	if wants := w.Wants(which, s); len(wants) > 0 {
		return w.fail(fmt.Errorf("%s: it needs %d objects, so it is not empty, nor as it was", which, len(wants)))
	}
	return w.commands(which, p)
}

// Keep records, in an increment, a wiki that could not be read as it was in the
// segment before, and why: it is no newer than that.
func (w *Writer) Keep(why string) error {
	if w.chain == nil || w.err != nil {
		return w.fail(w.unless(errors.New("only an increment keeps what was before it")))
	}
	now := w.chain.parts[Wiki].now
	if now == nil {
		return w.Absent(Wiki, why)
	}
	if err := w.Refs(Wiki, *now); err != nil {
		return err
	}
	w.m.Parts.Wiki.Why = printable(why)
	return nil
}

// Absent says why the wiki, though asked for, is not in the segment: there is
// none, or it could not be fetched. RESTORE.txt and the manifest repeat it, so
// it must hold no secret; it becomes one line of printable text.
func (w *Writer) Absent(which Part, why string) error {
	if w.err != nil {
		return w.fail(nil)
	}
	if which != Wiki || w.wiki != nil {
		return w.fail(fmt.Errorf("%s: only a wiki that was not written can be absent", which))
	}
	w.m.Parts.Wiki.Why = printable(why)
	return nil
}

// begin takes a part's snapshot, once.
func (w *Writer) begin(which Part, s Snapshot) (*part, error) {
	if w.err != nil {
		return nil, w.fail(nil)
	}
	slot := &w.repo
	if which == Wiki {
		slot = &w.wiki
	} else if which != Repo {
		return nil, w.fail(fmt.Errorf("%q is no part of a segment", which))
	}
	if *slot != nil {
		return nil, w.fail(fmt.Errorf("%s: it is in the segment already", which))
	}
	if err := s.check(); err != nil {
		return nil, w.fail(fmt.Errorf("%s: %w", which, err))
	}
	p := &part{s, Changes{Head: s.Head, Set: s.Refs}}
	if w.chain != nil {
		p.changes = changesOf(w.chain.parts[which].now, s)
	}
	*slot = p
	state := Present
	if _, ok := s.resolve(); len(s.Refs) == 0 && !ok {
		state = Empty
	}
	*w.m.Parts.of(which) = PartInfo{State: state, Digest: s.Digest(), Refs: len(s.Refs)}
	return p, nil
}

// commands writes an increment's changes for git, where there are any.
func (w *Writer) commands(which Part, p *part) error {
	if w.chain == nil || len(p.changes.Set)+len(p.changes.Deleted) == 0 {
		return nil
	}
	return w.entry(which.commands(), p.changes.commands)
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
	if w.chain != nil && w.m.Digest == w.chain.Last().Manifest.Digest {
		return Segment{}, w.fail(errors.New("nothing has changed since the segment before"))
	}
	if err := w.gone(); err != nil {
		return Segment{}, err
	}
	if err := w.entry("refs.json", func(e io.Writer) error { return writeRefs(e, &w.m, w.repo.said(), w.wiki.said()) }); err != nil {
		return Segment{}, err
	}
	if err := w.text("RESTORE.txt", []byte(w.restoreText())); err != nil {
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

// gone writes, for a wiki that was in the chain and is not any more, that its
// refs go: it may come back with others.
func (w *Writer) gone() error {
	if w.chain == nil || w.wiki != nil || w.chain.parts[Wiki].now == nil {
		return nil
	}
	return w.commands(Wiki, &part{changes: changesOf(w.chain.parts[Wiki].now, Snapshot{})})
}

// said is what refs.json says of the part, nil when it is absent.
func (p *part) said() *Changes {
	if p == nil {
		return nil
	}
	return &p.changes
}

// unless is nil for a segment that cannot go on, so that fail says why.
func (w *Writer) unless(err error) error {
	if w.err != nil {
		return nil
	}
	return err
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
