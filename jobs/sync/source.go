package dirsync

import (
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"regexp"
	"strings"
	"sync"
	"time"

	"mayfly/internal/store"
)

var (
	errChanged  = errors.New("it changed while it was read")
	errVanished = errors.New("it is gone")
	errSpecial  = errors.New("it is no file any more")
)

// A source is a file that is read, and found out about when somebody else
// writes to it meanwhile.
type source struct {
	ctx    context.Context
	f      *os.File
	before fs.FileInfo
	sum    hash.Hash // nil: nobody asks
	crc    uint32    // of what was read, CRC-32C
	read   func(n int64)
}

// openSource opens a file of the directory, which is what it is now: size and
// time may be others than when it was listed.
func openSource(ctx context.Context, dir *folder, path string, read func(n int64)) (*source, error) {
	f, err := dir.file(path)
	if missing(err) {
		return nil, errVanished
	}
	if err != nil {
		// What has become a link, or a socket, cannot be opened.
		if fi, lerr := dir.lstat(path); lerr == nil && !fi.Mode().IsRegular() {
			return nil, errSpecial
		}
		return nil, plain(err)
	}
	fi, err := f.Stat()
	if err == nil && !fi.Mode().IsRegular() {
		err = errSpecial
	}
	if err != nil {
		f.Close()
		return nil, plain(err)
	}
	return &source{ctx: ctx, f: f, before: fi, read: read}, nil
}

// rest waits until the file's time is so old that whatever is written to it from
// now on gives it another one. A file system may count in whole seconds, or in
// two of them: a change in the second in which the file was read would otherwise
// never be seen. A time to come says nothing.
func (s *source) rest() error {
	for range rests {
		st := stampOf(s.before)
		age := time.Since(st.newest())
		if age < 0 || age > st.step() {
			return nil
		}
		select {
		case <-time.After(st.step() - age + time.Millisecond):
		case <-s.ctx.Done():
			return context.Cause(s.ctx)
		}
		now, err := s.f.Stat()
		if err != nil {
			return plain(err)
		}
		s.before = now
	}
	return errChanged
}

// rests is how often a file that is just written to is waited for.
const rests = 3

// Read says errChanged in the place of io.EOF if what was read is not what the
// file was or is.
func (s *source) Read(b []byte) (int, error) {
	if err := context.Cause(s.ctx); err != nil {
		return 0, err
	}
	n, err := s.f.Read(b)
	s.crc = crc32.Update(s.crc, castagnoli, b[:n])
	if s.sum != nil {
		s.sum.Write(b[:n])
	}
	if n > 0 && s.read != nil {
		s.read(int64(n))
	}
	switch {
	case err == io.EOF:
		if changed := s.check(); changed != nil {
			err = changed
		}
	case err != nil:
		err = plain(err)
	}
	return n, err
}

func (s *source) check() error {
	now, err := s.f.Stat()
	if err != nil {
		return plain(err)
	}
	if now.Size() != s.before.Size() || !now.ModTime().Equal(s.before.ModTime()) || ctimeOf(now) != ctimeOf(s.before) {
		return errChanged
	}
	return nil
}

// castagnoli is the polynomial that processors have an instruction for.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// checksum is the sum of what was read, as the index has it.
func (s *source) checksum() string { return fmt.Sprintf("%08x", s.crc) }

func (s *source) Close() error { return s.f.Close() }

// sumOf reads a file to its end and returns the sum in hex, and its CRC-32C.
func sumOf(ctx context.Context, dir *folder, e *entry, h hash.Hash, read func(int64)) (sum, crc string, err error) {
	s, err := openSource(ctx, dir, e.path, read)
	if err != nil {
		return "", "", err
	}
	defer s.Close()
	s.sum = h
	buf := sumBuffers.Get().(*[64 << 10]byte)
	defer sumBuffers.Put(buf)
	if _, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, s, buf[:]); err != nil {
		return "", "", err
	}
	return hex.EncodeToString(h.Sum(nil)), s.checksum(), nil
}

var sumBuffers = sync.Pool{New: func() any { return new([64 << 10]byte) }}

var md5Form = regexp.MustCompile(`^[0-9a-f]{32}$`)

// sameBytes reports whether a file has the bytes of an object of which no more
// than the ETag is known: that of one written in one request is the MD5 of its
// bytes, unless a key encrypts it. crc is that of the file.
func sameBytes(ctx context.Context, dir *folder, e *entry, o *store.Object, read func(int64)) (same bool, crc string, err error) {
	if !md5Form.MatchString(string(o.ETag)) {
		return false, "", nil
	}
	sum, crc, err := sumOf(ctx, dir, e, md5.New(), read)
	return strings.EqualFold(sum, string(o.ETag)), crc, err
}

// differs reports whether a file is another one than its object, and if not,
// what the index is to say of it.
func (j *job) differs(ctx context.Context, dir *folder, p pair, read func(int64)) (bool, *record, error) {
	fi, o := p.local.info, p.object
	if o == nil || o.Size != fi.Size() {
		return true, nil, nil
	}
	is := &record{Path: p.path, Size: fi.Size(), MTime: momentOf(fi.ModTime()), Mode: modeOf(fi), ETag: o.ETag}
	if p.known != nil {
		if j.config.Compare != compareChecksum {
			return !j.sameTime(p.known.MTime, is.MTime) || !j.sameMode(p.known.Mode, is.Mode), p.known, nil
		}
		if p.known.SHA256 != "" {
			sum, crc, err := sumOf(ctx, dir, p.local, sha256.New(), read)
			is.SHA256, is.CRC32C = sum, crc
			return sum != p.known.SHA256, is, err
		}
	}
	if j.config.Compare != compareChecksum && p.known == nil {
		now, meta, err := j.over.Meta(ctx, o.Key)
		switch {
		case errors.Is(err, store.ErrNotExist):
			return true, nil, nil
		case err != nil:
			return false, nil, err
		case now.ETag != o.ETag:
			return true, nil, nil
		}
		if t, ok := timeIn(meta); ok {
			m, ok := modeIn(meta)
			return !j.sameTime(t, is.MTime) || ok && !j.sameMode(m, is.Mode), is, nil
		}
	}
	same, crc, err := sameBytes(ctx, dir, p.local, o, read)
	is.CRC32C = crc
	return !same, is, err
}

// sameTime compares times of files: of what is brought back, those that can be
// set.
func (j *job) sameTime(a, b moment) bool {
	if j.config.To != "" {
		return a.settable().Equal(b.settable())
	}
	return a == b
}

// sameMode compares modes as stat(2) has them: of what is brought back, what
// restoring sets.
func (j *job) sameMode(a, b uint32) bool {
	if j.config.To != "" {
		return permissions(a) == permissions(b)
	}
	return a == b
}

// fixOf is what to do about a file that could not be kept.
func fixOf(err error) string {
	switch {
	case errors.Is(err, errChanged):
		return "sync it when nobody writes to it, or a snapshot or copy of it; the store keeps what it had"
	case errors.Is(err, fs.ErrPermission):
		return fixRead
	case errors.Is(err, store.ErrBlocked):
		return "a store in a directory cannot have a file and a directory of one name: delete there what has the name, or keep the store in S3"
	}
	return ""
}
