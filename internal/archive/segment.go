package archive

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"math"
	"strings"
	"time"

	"mayfly/internal/store"
)

// Errors that tell apart why a segment cannot be used.
var (
	// ErrDamaged says that what is in the store is not what a mayfly wrote.
	ErrDamaged = errors.New("it is damaged")
	// ErrNewer says that a newer mayfly wrote it.
	ErrNewer = errors.New("a newer mayfly wrote it: get that one")
)

const (
	manifestName = "manifest.json"
	manifestMax  = 1 << 20   // bytes; one has about 2,000
	directoryMax = 256 << 10 // bytes that opening a zip may take; ours take 2,000
	filesMax     = 64
)

// A segmentReader reads one segment. Its entries are never taken for paths:
// only those that a mayfly writes are let in, by name.
type segmentReader struct {
	Segment
	// Sum is the SHA-256 of manifest.json, by which an increment names its
	// parent.
	Sum   string
	at    Place
	src   *objectReader
	files map[string]*zip.File
	heads map[string]bundleHead // of the bundles, after verify
}

// openSegment reads the directory and the manifest of the segment that a
// listing named, and checks that they fit each other and the key. Errors that
// are the segment's own wrap ErrDamaged or ErrNewer.
func openSegment(ctx context.Context, st store.Store, prefix string, o store.Object) (*segmentReader, error) {
	s := &segmentReader{Segment: Segment{Key: o.Key, Object: o}}
	fail := func(err error) (*segmentReader, error) {
		return nil, fmt.Errorf("segment %s: %w", st.URL(o.Key), err)
	}
	var ok bool
	if s.at, ok = ParseKey(prefix, o.Key); !ok {
		return fail(fmt.Errorf("%w: this is no key of a segment", ErrDamaged))
	}
	var err error
	if s.src, err = openObject(ctx, st, o); err != nil {
		return fail(err)
	}
	if err := s.directory(); err != nil {
		return fail(err)
	}
	if err := s.manifest(); err != nil {
		return fail(err)
	}
	return s, nil
}

// damage is an error of the segment's own.
func damage(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrDamaged, fmt.Sprintf(format, args...))
}

// A limitedAt refuses to read more than left bytes in all.
type limitedAt struct {
	r    io.ReaderAt
	left int64
}

var errTooMuch = errors.New("its directory is too large")

func (l *limitedAt) ReadAt(p []byte, off int64) (int, error) {
	if l.left -= int64(len(p)); l.left < 0 {
		return 0, errTooMuch
	}
	return l.r.ReadAt(p, off)
}

// directory reads the zip's directory. Names of paths outside, of other
// systems or of look-alikes, entries that inflate to more than they take, and
// anything else that no mayfly writes makes the whole segment a damaged one.
func (s *segmentReader) directory() error {
	src := &limitedAt{s.src, directoryMax}
	z, err := zip.NewReader(src, s.Object.Size)
	src.left = math.MaxInt64 // for the entries
	switch {
	case errors.Is(err, zip.ErrFormat), errors.Is(err, zip.ErrAlgorithm), errors.Is(err, zip.ErrInsecurePath),
		errors.Is(err, errTooMuch), err == io.ErrUnexpectedEOF, err == io.EOF: // themselves: the store's are wrapped
		return damage("no zip of ours: %v", err)
	case err != nil:
		return err
	case len(z.File) > filesMax:
		return damage("%d entries", len(z.File))
	}
	s.files = make(map[string]*zip.File, len(z.File))
	for _, f := range z.File {
		switch {
		case !entryName(f.Name):
			return damage("it has an entry %q", f.Name)
		case s.files[f.Name] != nil:
			return damage("it has two entries %q", f.Name)
		case f.Method != zip.Deflate && f.Method != zip.Store || f.Flags&1 != 0:
			return damage("%s is packed in another way than mayfly's", f.Name)
		case f.UncompressedSize64 > f.CompressedSize64:
			return damage("%s would inflate from %d bytes to %d: mayfly does not compress", f.Name, f.CompressedSize64, f.UncompressedSize64)
		}
		s.files[f.Name] = f
	}
	return nil
}

// entryName reports whether a mayfly gives an entry this name.
func entryName(name string) bool {
	switch name {
	case Repo.bundle(), Wiki.bundle(), Repo.commands(), Wiki.commands(), "refs.json", "RESTORE.txt", manifestName:
		return true
	}
	file, ok := strings.CutPrefix(name, "metadata/")
	stem, json := strings.CutSuffix(file, ".json")
	return ok && json && CheckName("metadata", stem) == nil && !strings.HasPrefix(stem, ".")
}

// manifest reads manifest.json and holds it against key and directory.
func (s *segmentReader) manifest() error {
	f := s.files[manifestName]
	if f == nil {
		return damage("it has no %s", manifestName)
	}
	if f.UncompressedSize64 > manifestMax {
		return damage("its manifest has %d bytes", f.UncompressedSize64)
	}
	b, err := s.readAll(f)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(b)
	s.Sum = hex.EncodeToString(sum[:])
	var v struct{ Format int }
	if err := json.Unmarshal(b, &v); err != nil {
		return damage("its manifest: %v", err)
	}
	if v.Format > Format {
		return fmt.Errorf("%w: format %d", ErrNewer, v.Format)
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&s.Manifest); err != nil {
		return damage("its manifest: %v", err)
	}
	return s.check()
}

func (s *segmentReader) check() error {
	m := &s.Manifest
	kind := KindFull
	if s.at.Incr {
		kind = KindIncr
	}
	switch {
	case m.Format < 1 || m.Kind != kind:
		return damage("its manifest is of format %d and says that it is %q", m.Format, m.Kind)
	case m.Owner != s.at.Owner || m.Name != s.at.Name:
		return damage("it is of %s/%s", m.Owner, m.Name)
	case m.RepositoryID <= 0 || m.Host == "":
		return damage("its manifest does not say of which repository it is")
	case !s.at.Incr && !m.Created.Truncate(time.Second).Equal(s.at.Full):
		return damage("it was made at %s", m.Created.UTC().Format(stampLayout))
	case s.at.Incr != (m.Parent != nil):
		return damage("a full segment has no parent, an increment has one")
	case m.Digest != stateDigest(m.Selection, m.Parts.Repo.Digest, m.Parts.Wiki.Digest):
		return damage("its digest is not that of its parts")
	case len(m.Entries) != len(s.files)-1:
		return damage("its manifest names %d entries, and it has %d", len(m.Entries), len(s.files)-1)
	}
	for _, e := range m.Entries {
		f := s.files[e.Name]
		if f == nil || e.Name == manifestName || e.Size < 0 || f.UncompressedSize64 != uint64(e.Size) {
			return damage("its manifest and its directory differ about %s", e.Name)
		}
	}
	for _, p := range []struct {
		part Part
		info PartInfo
	}{{Repo, m.Parts.Repo}, {Wiki, m.Parts.Wiki}} {
		if err := s.checkPart(p.part, p.info); err != nil {
			return err
		}
	}
	return nil
}

func (s *segmentReader) checkPart(part Part, p PartInfo) error {
	has := s.files[part.bundle()] != nil
	switch {
	case p.State != Present && p.State != Empty && (p.State != Absent || part == Repo):
		return damage("its manifest says that %s is %q", part, p.State)
	case p.State == Absent && (p.Digest != "" || has):
		return damage("%s is absent and yet there", part)
	case p.State != Absent && !strings.HasPrefix(p.Digest, "sha256:"):
		return damage("%s has no digest", part)
	case !s.at.Incr && has != (p.State == Present):
		return damage("%s is %s, and its bundle says otherwise", part, p.State)
	}
	return nil
}

// entry returns an entry of the manifest, nil when there is none.
func (s *segmentReader) entry(name string) *Entry {
	for i, e := range s.Manifest.Entries {
		if e.Name == name {
			return &s.Manifest.Entries[i]
		}
	}
	return nil
}

// open reads one entry. At its end it is held against the manifest: what was
// read is worthless after an error.
func (s *segmentReader) open(name string) (*entryReader, error) {
	e, f := s.entry(name), s.files[name]
	if e == nil || f == nil {
		return nil, damage("it has no %s", name)
	}
	r, err := f.Open()
	if err != nil {
		return nil, ofZip(name, err)
	}
	return &entryReader{name: name, rc: r, sum: sha256.New(), want: e.SHA256}, nil
}

// readAll reads an entry whose size was looked at.
func (s *segmentReader) readAll(f *zip.File) ([]byte, error) {
	r, err := f.Open()
	if err != nil {
		return nil, ofZip(f.Name, err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	return b, ofZip(f.Name, err)
}

// Close ends the reading.
func (s *segmentReader) Close() error { return s.src.Close() }

// ofZip tells the segment's own faults from the store's.
func ofZip(name string, err error) error {
	var corrupt flate.CorruptInputError
	switch {
	case errors.Is(err, zip.ErrFormat), errors.Is(err, zip.ErrChecksum), errors.Is(err, zip.ErrAlgorithm),
		errors.As(err, &corrupt), err == io.ErrUnexpectedEOF, err == io.EOF: // themselves: the store's are wrapped
		return damage("%s: %v", name, err)
	}
	return err
}

// An entryReader checks the SHA-256 at the end.
type entryReader struct {
	name string
	rc   io.ReadCloser
	sum  hash.Hash
	want string
	// failed is what reading failed with, so that a parser's own errors can be
	// told from it.
	failed error
}

func (e *entryReader) Read(p []byte) (int, error) {
	n, err := e.rc.Read(p)
	e.sum.Write(p[:n])
	if err == io.EOF {
		if got := hex.EncodeToString(e.sum.Sum(nil)); got != e.want {
			err = damage("%s has the SHA-256 %s, and the manifest says %s", e.name, got, e.want)
		}
	}
	if err != nil && err != io.EOF {
		err = ofZip(e.name, err)
		e.failed = err
	}
	return n, err
}

func (e *entryReader) Close() error { return e.rc.Close() }
