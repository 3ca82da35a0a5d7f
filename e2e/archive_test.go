//go:build e2e

package e2e

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-git/go-git/v5/plumbing"

	"mayfly/internal/archive"
	"mayfly/internal/gittest"
	"mayfly/internal/store"
)

var segmentTime = time.Date(2026, 11, 20, 17, 4, 12, 0, time.UTC)

// writeSegment commits a segment of acme/site that fill fills, to a store in a
// directory, and returns the file it is in.
func writeSegment(t *testing.T, root string, fill func(*archive.Writer) error) (file string, m archive.Manifest) {
	t.Helper()
	st, err := store.NewDir(root)
	if err != nil {
		t.Fatal(err)
	}
	key := archive.Key("github", "acme", "site", segmentTime, 0, false)
	w, err := archive.Create(t.Context(), st, key, archive.Options{
		Identity: archive.Identity{Host: "github.com", ID: 42, Owner: "acme", Name: "site"},
		Created:  segmentTime, RunID: "run", Version: "v0", Selection: archive.Selection{Wiki: true},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if err := fill(w); err != nil {
		t.Fatal(err)
	}
	seg, err := w.Commit()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(root, filepath.FromSlash(key)), seg.Manifest
}

// noise fills a bundle with size bytes that are no pack: zip readers do not
// care. They do not compress, or are all zero.
func noise(w *archive.Writer, part archive.Part, size int64, zero bool) error {
	ref := plumbing.NewHashReference("refs/heads/main", plumbing.NewHash(strings.Repeat("a", 40)))
	s := archive.Snapshot{Refs: []*plumbing.Reference{ref}}
	return w.Bundle(part, s, func(out io.Writer) (uint32, int64, error) {
		var src io.Reader = rand.NewChaCha8([32]byte{})
		if zero {
			src = zeros{}
		}
		n, err := io.Copy(out, io.LimitReader(src, size))
		return 1, n, err
	})
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// Each of these prints the entry NAME of the zip FILE.
var zipReaders = map[string]string{
	"unzip":   `unzip -p "$FILE" "$NAME"`,
	"python":  `exec python3 -c 'import os, shutil, sys, zipfile; shutil.copyfileobj(zipfile.ZipFile(os.environ["FILE"]).open(os.environ["NAME"]), sys.stdout.buffer, 1 << 20)'`,
	"7z":      `7z e -so "$FILE" "$NAME"`,
	"bsdtar":  `cat "$FILE" | bsdtar -xOf - "$NAME"`, // behind a pipe: no seeking, no central directory
	"bsdtar2": `bsdtar -xOf "$FILE" "$NAME"`,
}

// Each of these checks the whole of it.
var zipTesters = map[string]string{
	"unzip":  `unzip -tq "$FILE"`,
	"python": `test "$(python3 -c 'import os, zipfile; print(zipfile.ZipFile(os.environ["FILE"]).testzip())')" = None`,
	"7z":     `7z t "$FILE" | tee /dev/stderr | grep -qx 'Everything is Ok'`,
	"bsdtar": `cat "$FILE" | bsdtar -tvf -`,
}

func shell(t *testing.T, script string, env ...string) *exec.Cmd {
	cmd := exec.CommandContext(t.Context(), "sh", "-euc", script)
	cmd.Env = append(os.Environ(), env...)
	return cmd
}

func TestZipReaders(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name       string
		size       int64
		zero       bool
		everything bool // look at small entries too: each costs a pass over the file
	}{
		{"small", 1000, false, true},
		{"20MB", 20 << 20, false, true},
		{"over4GiB", 4<<30 + 300<<20, true, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			file, m := writeSegment(t, roomy(t, c.size), func(w *archive.Writer) error {
				if err := noise(w, archive.Repo, c.size, c.zero); err != nil {
					return err
				}
				if err := noise(w, archive.Wiki, 70_000, false); err != nil { // beyond 4 GiB from the start
					return err
				}
				return w.Metadata("repository", []byte(`{"id": 42}`))
			})
			for tool, script := range zipTesters {
				if !c.everything && os.Getenv("MAYFLY_E2E_ALL") == "" {
					break // the readers below hold every byte of the large one against its CRC-32
				}
				if out, err := shell(t, script, "FILE="+file).CombinedOutput(); err != nil {
					t.Errorf("%s: %v\n%s", tool, err, out)
				}
			}
			sums := checkWithGo(t, file, m, c.everything || os.Getenv("MAYFLY_E2E_ALL") != "")
			for _, e := range m.Entries {
				if !c.everything && !strings.HasSuffix(e.Name, ".bundle") {
					continue
				}
				for tool, script := range zipReaders {
					sum := crc32.NewIEEE() // far quicker than SHA-256, and no tool is out to deceive
					var said bytes.Buffer
					cmd := shell(t, script, "FILE="+file, "NAME="+e.Name)
					cmd.Stdout, cmd.Stderr = sum, &said
					if err := cmd.Run(); err != nil {
						t.Errorf("%s: %s: %v\n%s", tool, e.Name, err, said.Bytes())
					} else if got := sum.Sum32(); got != sums[e.Name] {
						t.Errorf("%s: %s: CRC-32 %08x, want %08x\n%s", tool, e.Name, got, sums[e.Name], said.Bytes())
					}
				}
			}
		})
	}
}

// checkWithGo reads each entry, against its CRC-32 and, deep, its SHA-256, and
// returns their CRC-32.
func checkWithGo(t *testing.T, file string, m archive.Manifest, deep bool) map[string]uint32 {
	t.Helper()
	sums := map[string]uint32{}
	r, err := zip.OpenReader(file)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for _, e := range m.Entries {
		f, err := r.Open(e.Name)
		if err != nil {
			t.Fatal(err)
		}
		sum, crc := sha256.New(), crc32.NewIEEE()
		to := io.Writer(crc)
		if deep {
			to = io.MultiWriter(sum, crc)
		}
		if _, err := io.Copy(to, f); err != nil {
			t.Errorf("Go: %s: %v", e.Name, err)
		}
		if got := hex.EncodeToString(sum.Sum(nil)); deep && got != e.SHA256 {
			t.Errorf("Go: %s: SHA-256 %s, want %s", e.Name, got, e.SHA256)
		}
		sums[e.Name] = crc.Sum32()
	}
	return sums
}

// Unpacked files have the segment's time, whatever the zone.
func TestZipTimes(t *testing.T) {
	file, _ := writeSegment(t, t.TempDir(), func(w *archive.Writer) error { return noise(w, archive.Repo, 10, false) })
	for tool, script := range map[string]string{
		"unzip":  `unzip -q "$FILE"`,
		"7z":     `7z x "$FILE"`,
		"bsdtar": `cat "$FILE" | bsdtar -xf -`,
	} {
		dir := t.TempDir()
		cmd := shell(t, script, "FILE="+file, "TZ=Asia/Tokyo")
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", tool, err, out)
			continue
		}
		info, err := os.Stat(filepath.Join(dir, "repo.bundle"))
		if err != nil {
			t.Fatal(err)
		}
		if !info.ModTime().Equal(segmentTime) {
			t.Errorf("%s: modified %v, want %v", tool, info.ModTime().UTC(), segmentTime)
		}
		if mode := info.Mode().Perm(); mode&0o600 != 0o600 || mode&0o111 != 0 {
			t.Errorf("%s: mode %v", tool, mode)
		}
	}
}

// Nothing but unzip, sh and git: what RESTORE.txt says, to the letter.
func TestRestoreByHand(t *testing.T) {
	t.Parallel()
	for _, kind := range []gittest.Kind{gittest.Normal, gittest.OddTags, gittest.Notes, gittest.Shared, gittest.Detached, gittest.Unborn, gittest.Empty} {
		t.Run(string(kind), func(t *testing.T) {
			sources := map[archive.Part]string{archive.Repo: t.TempDir() + "/repo.git", archive.Wiki: t.TempDir() + "/wiki.git"}
			for part, of := range map[archive.Part]gittest.Kind{archive.Repo: kind, archive.Wiki: gittest.Wiki} {
				if err := gittest.Repo(sources[part], of); err != nil {
					t.Fatal(err)
				}
			}
			file, _ := writeSegment(t, t.TempDir(), func(w *archive.Writer) error {
				for part, dir := range sources {
					if err := addRepository(t, w, part, dir); err != nil {
						return err
					}
				}
				return nil
			})
			cmd := shell(t, `unzip -q "$FILE"; sed -n 's/^    //p' RESTORE.txt >commands; sh -eu commands`, append(gittest.Env(), "FILE="+file)...)
			cmd.Dir = t.TempDir()
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			for part, restored := range map[archive.Part]string{archive.Repo: "site.git", archive.Wiki: "site.wiki.git"} {
				if got, want := describe(t, filepath.Join(cmd.Dir, restored)), describe(t, sources[part]); got != want {
					t.Errorf("%s restored as\n%s\nwant\n%s", part, got, want)
				}
			}
		})
	}
}

func gitIn(t *testing.T, dir string, args ...string) string {
	t.Helper()
	out, err := gittest.Git(dir, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// describe is a repository's HEAD, refs, and what git thinks of its objects.
func describe(t *testing.T, dir string) string {
	t.Helper()
	head, err := os.ReadFile(filepath.Join(dir, "HEAD"))
	if err != nil {
		t.Fatal(err)
	}
	return string(head) + gitIn(t, dir, "for-each-ref") + gitIn(t, dir, "rev-list", "--all", "--objects", "--count") + gitIn(t, dir, "fsck", "--full")
}

// addRepository writes what git packs of the repository at dir.
func addRepository(t *testing.T, w *archive.Writer, part archive.Part, dir string) error {
	t.Helper()
	var s archive.Snapshot
	for line := range strings.Lines(gitIn(t, dir, "for-each-ref", "--format=%(objectname) %(refname)")) {
		oid, name, _ := strings.Cut(strings.TrimSpace(line), " ")
		s.Refs = append(s.Refs, plumbing.NewHashReference(plumbing.ReferenceName(name), plumbing.NewHash(oid)))
	}
	if target, err := gittest.Git(dir, "symbolic-ref", "--quiet", "HEAD"); err == nil {
		s.Head = plumbing.NewSymbolicReference(plumbing.HEAD, plumbing.ReferenceName(target))
	} else {
		s.Head = plumbing.NewHashReference(plumbing.HEAD, plumbing.NewHash(gitIn(t, dir, "rev-parse", "HEAD")))
	}
	if len(s.Refs) == 0 {
		return w.Refs(part, s)
	}
	var want strings.Builder
	for _, r := range append(s.Refs, s.Head) {
		if r.Type() == plumbing.HashReference {
			fmt.Fprintln(&want, r.Hash())
		}
	}
	return w.Bundle(part, s, func(out io.Writer) (uint32, int64, error) {
		cmd := exec.CommandContext(t.Context(), "git", "pack-objects", "--revs", "--stdout", "--quiet")
		cmd.Dir, cmd.Env, cmd.Stdin = dir, append(gittest.Env(), "GIT_NO_REPLACE_OBJECTS=1"), strings.NewReader(want.String())
		var pack bytes.Buffer
		cmd.Stdout = &pack
		if err := cmd.Run(); err != nil {
			return 0, 0, err
		}
		n, err := out.Write(pack.Bytes())
		return 1, int64(n), err
	})
}
