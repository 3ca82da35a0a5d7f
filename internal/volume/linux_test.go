//go:build linux

package volume

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A disk is zero but for some bytes.
type disk struct {
	size int64
	set  map[int64]byte
	read int64
	bad  int64 // cannot be read from there on; 0: all of it can
}

func (d *disk) ReadAt(p []byte, at int64) (int, error) {
	if d.bad > 0 && at+int64(len(p)) > d.bad {
		return 0, errors.New("input/output error")
	}
	clear(p)
	n := int(min(int64(len(p)), d.size-at))
	for i, b := range d.set {
		if i >= at && i < at+int64(n) {
			p[i-at] = b
		}
	}
	d.read += int64(n)
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func TestNonzero(t *testing.T) {
	t.Parallel()
	const small = 100<<20 + 4096
	for range 50 {
		at := rand.Int64N(small)
		d := &disk{size: small, set: map[int64]byte{at: 1}}
		if got, err := nonzero(t.Context(), d, spans(small)); err != nil || got != at {
			t.Fatalf("a byte at %d: %d, %v", at, got, err)
		}
	}
	const large = 600 << 30
	d := &disk{size: large}
	if got, err := nonzero(t.Context(), d, spans(large)); got != -1 || err != nil || d.read > 200<<20 || d.read < 2*edge+samples*piece {
		t.Errorf("%d, %v after %d bytes", got, err, d.read)
	}
	// Both ends, copies of superblocks, and whatever fills more than two of
	// the stretches between the samples.
	for _, at := range []int64{0, 1, edge - 1, large - 1, large - edge, 64 << 20, 256 << 30, 128<<20 + 1024, 8<<20 + 1024, 81 * 128 << 20} {
		if got, err := nonzero(t.Context(), &disk{size: large, set: map[int64]byte{at: 1}}, spans(large)); err != nil || got != at {
			t.Errorf("a byte at %d: %d, %v", at, got, err)
		}
	}
	var end int64
	for _, s := range spans(large) {
		if s.at < 0 || s.at+s.n > large || s.at%4096 != 0 {
			t.Errorf("%+v", s)
		}
		if s.at-end > 2*(large/samples) {
			t.Errorf("nothing is read between %d and %d", end, s.at)
		}
		end = max(end, s.at+s.n)
	}
	if _, err := nonzero(t.Context(), &disk{size: small, bad: 50 << 20}, spans(small)); err == nil {
		t.Error("what cannot be read is zero")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := nonzero(ctx, &disk{size: small}, spans(small)); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestRun(t *testing.T) {
	dir := t.TempDir()
	script := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+text+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	script("fine", "echo out; echo err >&2; exit 3")
	script("hangs", "exec sleep 60")
	script("dies", "echo broken >&2; kill -9 $$")
	script("much", "yes | head -c 9000 >&2; echo the end >&2")
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	ctx := t.Context()
	r, err := run(ctx, time.Minute, nil, "fine", "a b")
	if err != nil || r.out != "out\n" || r.said != "err\n" || r.code != 3 || r.error("fine").Error() != "fine: exit code 3: err" {
		t.Errorf("%+v, %v", r, err)
	}
	began := time.Now()
	if _, err := run(ctx, 100*time.Millisecond, nil, "hangs"); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "hangs: not done in time") || time.Since(began) > 5*time.Second {
		t.Errorf("%v after %s", err, time.Since(began))
	}
	if _, err := run(ctx, time.Minute, nil, "dies"); err == nil || !strings.Contains(err.Error(), "signal: killed: broken") {
		t.Error(err)
	}
	if r, err := run(ctx, time.Minute, nil, "much"); err != nil || len(r.error("much").Error()) > 700 || !strings.HasSuffix(r.error("much").Error(), "the end") {
		t.Errorf("%v, %v", r.error("much"), err)
	}
	if _, err := run(ctx, time.Minute, nil, "no-such-program"); err == nil || !strings.Contains(err.Error(), "install the package util-linux") {
		t.Error(err)
	}
	for name, p := range packageOf {
		if p != "coreutils" && !strings.Contains(strings.Join(Packages(), " "), p) {
			t.Errorf("%s is in %s, which nobody is told to install", name, p)
		}
	}
}

func TestSuperblockSize(t *testing.T) {
	t.Parallel()
	b := make([]byte, 4096)
	copy(b, "XFSB")
	binary.BigEndian.PutUint32(b[4:], 4096)
	binary.BigEndian.PutUint64(b[8:], 1000)
	if n, err := superblockSize("xfs", b); n != 4096000 || err != nil {
		t.Error(n, err)
	}
	if _, err := superblockSize("ext4", b); err == nil {
		t.Error("an XFS is no ext4")
	}
	sb := b[1024:]
	binary.LittleEndian.PutUint16(sb[0x38:], 0xef53)
	binary.LittleEndian.PutUint32(sb[4:], 5)
	binary.LittleEndian.PutUint32(sb[0x18:], 2)
	binary.LittleEndian.PutUint32(sb[0x150:], 1)
	if n, err := superblockSize("ext4", b); n != 5*4096 || err != nil {
		t.Error(n, err)
	}
	binary.LittleEndian.PutUint32(sb[0x60:], 0x80)
	if n, err := superblockSize("ext4", b); n != (1<<32+5)*4096 || err != nil {
		t.Error(n, err)
	}
	if _, err := superblockSize("xfs", bytes.Repeat([]byte{1}, 4096)); err == nil {
		t.Error("anything is an XFS")
	}
}

func TestMountPoint(t *testing.T) {
	t.Parallel()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	full, link := filepath.Join(dir, "full"), filepath.Join(dir, "link")
	if err := errors.Join(os.Mkdir(full, 0o755), os.WriteFile(filepath.Join(full, "x"), nil, 0o600), os.Symlink(full, link)); err != nil {
		t.Fatal(err)
	}
	if err := emptyDirectory(filepath.Join(dir, "a", "b")); err != nil {
		t.Error(err)
	}
	for point, want := range map[string]string{full: "is not empty (x)", link: "in truth", "x": "no plain path", dir + "/../x": "no plain path", "/proc": "is mounted at /proc", filepath.Join(full, "x"): "not a directory"} {
		if err := emptyDirectory(point); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", point, err, want)
		}
	}
}

func TestNoDevice(t *testing.T) {
	t.Parallel()
	s := System{Finder: Links{t.TempDir()}}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := s.Find(ctx, id, ""); err == nil || !strings.Contains(err.Error(), "find "+id+": it is attached, and no device of it has come: lsblk") {
		t.Error(err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, make([]byte, 4096), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Inspect(t.Context(), Device{Volume: id, Path: file}, Record{}); err == nil || !strings.Contains(err.Error(), "is no block device") {
		t.Error(err)
	}
	if _, err := s.Open(t.Context(), Plan{Host: "c", Record: Record{Volume: id, Host: "h"}}); !errors.Is(err, ErrUnproven) {
		t.Error(err)
	}
}
