package rebuild_test

import (
	"bytes"
	"context"
	"crypto/sha1"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"
	"time"

	"mayfly/internal/gittest"
	"mayfly/internal/rebuild"
)

// trailed gives a pack the trailer that fits.
func trailed(pack []byte) []byte {
	sum := sha1.Sum(pack)
	return append(pack, sum[:]...)
}

func noObjects() []byte { return trailed([]byte("PACK\x00\x00\x00\x02\x00\x00\x00\x00")) }

// Increments build on what came before, with and without their bases.
func TestIncrements(t *testing.T) {
	t.Parallel()
	from := source(t, gittest.Normal)
	head, refs := state(t, from)
	for name, flags := range map[string][]string{
		"self-contained": nil,
		"offset deltas":  {"--delta-base-offset"},
		"thin":           {"--thin"},
		"thin offset":    {"--thin", "--delta-base-offset"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			args := append([]string{"--revs"}, flags...)
			base := packOf(t, from, "main~4\n", args...)
			middle := packOf(t, from, "main~2\n^main~4\n", args...)
			rest := packOf(t, from, strings.Join(strings.Fields(git(t, from, "for-each-ref", "--format=%(objectname)")), "\n")+"\n^main~2\n", args...)
			bothEngines(t, func(t *testing.T, path string) {
				r, dir := empty(t, rebuild.Options{Git: path})
				add(t, r, base, noObjects(), middle, rest, rest)
				if err := r.Connected(t.Context(), tips(head, refs)); err != nil {
					t.Error(err)
				}
				if err := r.SetRefs(head, refs); err != nil {
					t.Fatal(err)
				}
				sameState(t, dir, from)
				sound(t, dir)
				if strings.HasPrefix(name, "thin") {
					lonely, _ := empty(t, rebuild.Options{Git: path})
					err := lonely.AddPack(t.Context(), bytes.NewReader(rest))
					if err == nil || !strings.Contains(err.Error(), "delta") {
						t.Errorf("a pack without its bases: %v", err)
					}
				}
			})
		})
	}
}

// Of a delta whose base is absent, the error says so and nothing is left.
func TestBaseIsAbsent(t *testing.T) {
	t.Parallel()
	from := source(t, gittest.Normal)
	thin := packOf(t, from, "main\n^main~1\n", "--revs", "--thin")
	bothEngines(t, func(t *testing.T, path string) {
		r, dir := empty(t, rebuild.Options{Git: path})
		err := r.AddPack(t.Context(), bytes.NewReader(thin))
		if err == nil || !strings.Contains(err.Error(), "delta") {
			t.Errorf("AddPack says %v", err)
		}
		nothingIn(t, dir)
	})
}

func nothingIn(t *testing.T, dir string) {
	t.Helper()
	names, err := os.ReadDir(filepath.Join(dir, "objects", "pack"))
	if err != nil || len(names) > 0 {
		t.Errorf("left in objects/pack: %v, %v", names, err)
	}
}

func TestNoObjects(t *testing.T) {
	t.Parallel()
	bothEngines(t, func(t *testing.T, path string) {
		r, dir := empty(t, rebuild.Options{Git: path})
		add(t, r, noObjects())
		nothingIn(t, dir)
		if err := r.Connected(t.Context(), nil); err != nil {
			t.Error(err)
		}
	})
}

// The same pack, however it is cut into reads, and whatever is twice in it.
func TestReads(t *testing.T) {
	t.Parallel()
	from := source(t, gittest.OddTags)
	pack := everything(t, from)
	twice := bytes.Clone(pack[:len(pack)-sha1.Size])
	blob := "\x33\x78\x9c\x4b\x4c\x4a\x06\x00\x02\x4d\x01\x27" // blob "abc"
	twice = append(twice, blob+blob...)
	binary.BigEndian.PutUint32(twice[8:], binary.BigEndian.Uint32(twice[8:])+2)
	twice = trailed(twice)
	for name, reader := range map[string]func() io.Reader{
		"whole":           func() io.Reader { return bytes.NewReader(pack) },
		"byte by byte":    func() io.Reader { return iotest.OneByteReader(bytes.NewReader(pack)) },
		"end with data":   func() io.Reader { return iotest.DataErrReader(bytes.NewReader(pack)) },
		"an object twice": func() io.Reader { return bytes.NewReader(twice) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bothEngines(t, func(t *testing.T, path string) {
				r, dir := empty(t, rebuild.Options{Git: path})
				if err := r.AddPack(t.Context(), reader()); err != nil {
					t.Fatal(err)
				}
				if err := r.SetRefs(state(t, from)); err != nil {
					t.Fatal(err)
				}
				if strings.HasSuffix(name, "twice") { // git verify-pack refuses what git index-pack takes
					git(t, dir, "fsck", "--full")
				} else {
					sound(t, dir)
				}
			})
		})
	}
}

func TestDamagedPacks(t *testing.T) {
	t.Parallel()
	pack := everything(t, source(t, gittest.Normal))
	corrupt := bytes.Clone(pack)
	if err := gittest.Corrupt(corrupt); err != nil {
		t.Fatal(err)
	}
	flipped := bytes.Clone(pack)
	flipped[len(flipped)/2] ^= 1
	fewer := bytes.Clone(pack[:len(pack)-sha1.Size])
	binary.BigEndian.PutUint32(fewer[8:], binary.BigEndian.Uint32(fewer[8:])-1)
	more := bytes.Clone(pack[:len(pack)-sha1.Size])
	binary.BigEndian.PutUint32(more[8:], binary.BigEndian.Uint32(more[8:])+1)
	none := bytes.Clone(pack[:len(pack)-sha1.Size])
	binary.BigEndian.PutUint32(none[8:], 0)
	cases := map[string][]byte{
		"nothing":                nil,
		"half a header":          pack[:7],
		"not a pack":             []byte("<!DOCTYPE html><title>404</title>"),
		"version 9":              trailed([]byte("PACK\x00\x00\x00\x09\x00\x00\x00\x01")),
		"corrupt, right trailer": corrupt,
		"a bit flipped":          flipped,
		"no trailer":             pack[:len(pack)-sha1.Size],
		"one byte short":         pack[:len(pack)-1],
		"half":                   pack[:len(pack)/2],
		"header alone":           pack[:12],
		"a byte too many":        append(bytes.Clone(pack), 0),
		"twice":                  append(bytes.Clone(pack), pack...),
		"long junk":              append(bytes.Clone(pack), make([]byte, 1<<20)...),
		"an object uncounted":    trailed(fewer),
		"an object missing":      trailed(more),
		"all uncounted":          trailed(none),
		"junk after none":        append(noObjects(), 'x'),
		"type 5":                 trailed([]byte("PACK\x00\x00\x00\x02\x00\x00\x00\x01\x50")),
		"endless size":           trailed([]byte("PACK\x00\x00\x00\x02\x00\x00\x00\x01" + strings.Repeat("\xff", 40))),
		"base before the pack":   trailed([]byte("PACK\x00\x00\x00\x02\x00\x00\x00\x01\x60\x0c")),
		"base is itself":         trailed([]byte("PACK\x00\x00\x00\x02\x00\x00\x00\x01\x60\x00\x78\x9c\x03\x00\x00\x00\x00\x01")),
		"endless base":           trailed([]byte("PACK\x00\x00\x00\x02\x00\x00\x00\x01\x60" + strings.Repeat("\xff", 40))),
	}
	for name, pack := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bothEngines(t, func(t *testing.T, path string) {
				r, dir := empty(t, rebuild.Options{Git: path})
				err := r.AddPack(t.Context(), bytes.NewReader(pack))
				if err == nil || !strings.Contains(err.Error(), dir) {
					t.Errorf("AddPack says %v", err)
				}
				t.Log(err)
				left, _ := filepath.Glob(filepath.Join(dir, "objects", "pack", "tmp*"))
				if left != nil {
					t.Errorf("left over: %q", left)
				}
			})
		})
	}
}

// What ended the reader is in the error, and nothing waits for more.
func TestReaderFails(t *testing.T) {
	t.Parallel()
	pack := everything(t, source(t, gittest.Normal))
	broken := errors.New("the line is dead")
	bothEngines(t, func(t *testing.T, path string) {
		for _, n := range []int{0, 5, 12, 100, len(pack) / 2, len(pack) - 1, len(pack)} {
			r, dir := empty(t, rebuild.Options{Git: path})
			if err := r.AddPack(t.Context(), failing(pack[:n], broken)); !errors.Is(err, broken) {
				t.Errorf("after %d bytes: %v", n, err)
			}
			if n < len(pack) {
				nothingIn(t, dir)
			}
		}
	})
}

// A pack that git finds damaged early does not wait for the rest of it. (The
// engine in Go looks when all is there.)
func TestDamagedAndSlow(t *testing.T) {
	t.Parallel()
	r, _ := empty(t, rebuild.Options{Git: findGit(t)})
	err := r.AddPack(t.Context(), hanging(t.Context(), []byte("PACK\x00\x00\x00\x02\x00\x00\x00\x01\x50"+strings.Repeat("x", 4096))))
	if err == nil || !strings.Contains(err.Error(), "object type") {
		t.Errorf("AddPack says %v", err)
	}
}

func TestCancelled(t *testing.T) {
	t.Parallel()
	pack := everything(t, source(t, gittest.Normal))
	enough := errors.New("enough")
	bothEngines(t, func(t *testing.T, path string) {
		var pid string
		if path != "" {
			// A git that says who it is.
			pid = filepath.Join(t.TempDir(), "pid")
			script := filepath.Join(filepath.Dir(pid), "git")
			if err := os.WriteFile(script, fmt.Appendf(nil, "#!/bin/sh\necho $$ >%s\nexec %s \"$@\"\n", pid, path), 0o700); err != nil {
				t.Fatal(err)
			}
			path = script
		}
		for name, never := range map[string]bool{"a reader that heeds it": false, "a reader that never returns": true} {
			r, dir := empty(t, rebuild.Options{Git: path})
			ctx, cancel := context.WithCancelCause(t.Context())
			time.AfterFunc(100*time.Millisecond, func() { cancel(enough) })
			readCtx := ctx
			if never {
				readCtx = t.Context()
			}
			start := time.Now()
			err := r.AddPack(ctx, hanging(readCtx, pack[:len(pack)/2]))
			if !errors.Is(err, enough) {
				t.Errorf("%s: AddPack says %v", name, err)
			}
			if d := time.Since(start); d > 3*time.Second {
				t.Errorf("%s: it took %v", name, d)
			}
			nothingIn(t, dir)
			if pid != "" {
				text, err := os.ReadFile(pid)
				if err != nil {
					t.Fatal(err)
				}
				n, _ := strconv.Atoi(strings.TrimSpace(string(text)))
				p, err := os.FindProcess(n)
				if err == nil && p.Signal(syscall.Signal(0)) == nil {
					t.Errorf("%s: git is still there", name)
				}
			}
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(enough)
		if _, err := rebuild.New(ctx, rebuild.Options{Dir: filepath.Join(t.TempDir(), "late")}); !errors.Is(err, enough) {
			t.Errorf("New says %v", err)
		}
		r, _ := empty(t, rebuild.Options{Git: path})
		if err := r.AddPack(ctx, bytes.NewReader(pack)); !errors.Is(err, enough) {
			t.Errorf("AddPack says %v", err)
		}
		add(t, r, pack)
		if err := r.Connected(ctx, tips(state(t, source(t, gittest.Normal)))); !errors.Is(err, enough) {
			t.Errorf("Connected says %v", err)
		}
	})
}
