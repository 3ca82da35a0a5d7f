//go:build e2e

package e2e

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"testing"
	"time"

	"mayfly/internal/gittest"
)

const memoryPromise = 64 << 20

// The promise: at most 64 MiB, whatever the size of repositories, and about
// 1 kB more for each ref.
func TestMemory(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		space int64 // what it takes
		limit int64
		fill  func(w *world) error
		least int64 // bytes of the store at least, so that it was about that size
		repos int
	}{
		{"four of 260 MB at once", 3 << 30, memoryPromise, fourLarge, 4 * 250e6, 4},
		{"one over 4 GiB", 9 << 30, memoryPromise, func(w *world) error {
			return huge(w.bare("huge"), 4120)
		}, 4 << 30, 1},
		{"100,000 refs", 1 << 30, memoryPromise + 100_000*1000, func(w *world) error {
			return gittest.Many(w.bare("many"), 100_000)
		}, 1e6, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorldIn(t, roomy(t, c.space))
			address := s3Store
			// A server of S3 takes as long again for these; TestSyncHugeFile has more
			// in one, by the same writer.
			if c.least >= 4<<30 && os.Getenv("MAYFLY_E2E_ALL") == "" {
				address = w.fileStore()
			} else {
				w.versity()
			}
			began := time.Now()
			if err := c.fill(w); err != nil {
				t.Fatal(err)
			}
			t.Logf("made in %s", time.Since(began).Round(time.Second))
			r := w.run(w.config(address, "parallel: 4"))
			if r.code != 0 {
				t.Fatalf("%s", r)
			}
			var stored int64
			for name, file := range w.segments(w.copyDir(address)) {
				info, err := os.Stat(file)
				if err != nil {
					t.Fatal(err)
				}
				stored += info.Size()
				t.Logf("%s: %.1f MB", name, float64(info.Size())/1e6)
			}
			t.Logf("peak %.1f MiB of %.1f allowed, wall %s, cpu %s, %.0f MB/s", mib(r.peak), mib(c.limit), r.wall, r.cpu, float64(stored)/1e6/r.wall.Seconds())
			if stored < c.least {
				t.Errorf("only %d bytes were stored", stored)
			}
			if r.peak > c.limit || r.peak == 0 {
				t.Errorf("peak memory %d bytes, allowed are %d", r.peak, c.limit)
			}
		})
	}
}

// fourLarge makes two repositories of large objects and two of very many
// small ones, most of them deltas.
func fourLarge(w *world) error {
	for i, fill := range []func(dir string) error{
		func(dir string) error { return huge(dir, 250) },
		func(dir string) error { return deltas(dir, 260e6) },
	} {
		dir := w.bare(fmt.Sprintf("large-%d", 2*i))
		if err := fill(dir); err != nil {
			return err
		}
		if err := os.CopyFS(w.bare(fmt.Sprintf("large-%d", 2*i+1)), os.DirFS(dir)); err != nil {
			return err
		}
	}
	return nil
}

// deltas makes a bare repository of about size bytes in which every object but
// one in fifty is a delta of about 1 kB: fast-import makes a blob a delta of
// the one before it.
func deltas(dir string, size int) error {
	if _, err := gittest.Git("", "init", "--quiet", "--bare", "--template=", "--initial-branch=main", dir); err != nil {
		return err
	}
	cmd := exec.Command("git", "-C", dir, "-c", "core.compression=0", "-c", "fastimport.unpackLimit=1", "fast-import", "--quiet")
	cmd.Env, cmd.Stderr = gittest.Env(), os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	werr := grow(in, size, rand.NewChaCha8([32]byte{}))
	if err := in.Close(); werr == nil {
		werr = err
	}
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("git fast-import: %w", err)
	}
	return werr
}

// grow writes a history in which one file changes a kilobyte at a time.
func grow(to io.Writer, size int, noise io.Reader) error {
	w := bufio.NewWriterSize(to, 1<<20)
	content := make([]byte, 6000)
	if _, err := io.ReadFull(noise, content); err != nil {
		return err
	}
	for n, made := 0, 0; made < size; n++ {
		if n%40 == 0 {
			fmt.Fprintf(w, "commit refs/heads/main\ncommitter Ada Example <ada@example.com> %d +0000\ndata 4\ngrow\n", 1600000000+n)
		}
		at := (n % 5) * 1000
		if _, err := io.ReadFull(noise, content[at:at+1000]); err != nil {
			return err
		}
		made += 1200 // with the base in fifty, and trees
		fmt.Fprintf(w, "M 100644 inline d%02d/f%02d\ndata %d\n", n%20, n%40, len(content))
		w.Write(content)
		fmt.Fprintln(w)
	}
	return w.Flush()
}
