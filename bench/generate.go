//go:build linux

package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
)

// words makes file contents that compress about as source code does.
var words = [...]string{
	"func", "return", "error", "context", "if", "err", "nil", "string", "range", "package", "import",
	"struct", "interface", "type", "byte", "append", "make", "len", "for", "switch", "case", "default",
	"the", "of", "and", "value", "reader", "writer", "{", "}", "(", ")", ":=", "==", "\n", "\n\t", "\n\n",
}

// generate makes a bare repository whose pack takes about mb megabytes: a
// history of small commits over many text files and, like most large
// repositories, some binary ones. The same seed gives the same repository.
func generate(ctx context.Context, dir string, mb int, seed uint64) error {
	if err := git(ctx, "", "init", "-q", "--bare", "-b", "main", dir); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "git", "-C", dir, "fast-import", "--quiet", "--done")
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	w := bufio.NewWriterSize(in, 1<<20)
	werr := history(w, int64(mb)<<20, rand.New(rand.NewPCG(seed, seed)))
	if err := w.Flush(); werr == nil {
		werr = err
	}
	in.Close()
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("git fast-import: %w", err)
	}
	if werr != nil {
		return werr
	}
	// -f: fast-import finds few deltas itself.
	return git(ctx, dir, "repack", "-adbfq")
}

// history writes a fast-import stream. Half of the target is text, of which a
// new version of a file costs about its changed third, half is binary.
func history(w io.Writer, target int64, r *rand.Rand) error {
	files := make([][]byte, 0, 4096)
	var made int64
	for n := 0; made < target; n++ {
		if _, err := fmt.Fprintf(w, "commit refs/heads/main\ncommitter Bench <bench@example.com> %d +0000\ndata 8\ncommit\n\n", 1_700_000_000+n*60); err != nil {
			return err
		}
		for range 4 {
			at := r.IntN(len(files) + 1)
			if at == len(files) && len(files) < cap(files) {
				files = append(files, text(r, 2000+r.IntN(20000)))
				made += int64(len(files[at])) / 4
			} else if at = r.IntN(len(files)); true {
				b := files[at]
				cut := r.IntN(len(b))
				b = append(append(append([]byte(nil), b[:cut]...), text(r, 400)...), b[cut:]...)
				files[at] = b
				made += 200
			}
			if err := blob(w, fmt.Sprintf("src/%02d/file%04d.go", at%64, at), files[at]); err != nil {
				return err
			}
		}
		if n%8 == 0 {
			b := make([]byte, 20000+r.IntN(100000))
			for i := range b {
				b[i] = byte(r.Uint32())
			}
			made += int64(len(b))
			if err := blob(w, fmt.Sprintf("assets/%05d.bin", n), b); err != nil {
				return err
			}
		}
	}
	_, err := io.WriteString(w, "done\n")
	return err
}

func text(r *rand.Rand, n int) []byte {
	b := make([]byte, 0, n+16)
	for len(b) < n {
		b = append(b, words[r.IntN(len(words))]...)
		b = append(b, ' ')
	}
	return b
}

func blob(w io.Writer, name string, b []byte) error {
	if _, err := fmt.Fprintf(w, "M 100644 inline %s\ndata %d\n", name, len(b)); err != nil {
		return err
	}
	if _, err := w.Write(b); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

// mirror copies a repository (bare, or with a work tree) to a bare one, with
// bitmaps, as a hosting service keeps them.
func mirror(ctx context.Context, from, to string) error {
	if err := git(ctx, "", "clone", "-q", "--mirror", from, to); err != nil {
		return err
	}
	return git(ctx, to, "repack", "-adbq")
}

func git(ctx context.Context, dir string, args ...string) error {
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir = dir
	cmd.Env = append(cmd.Environ(), "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("git %s: %w\n%s", args[0], err, out)
	}
	return nil
}

func bare(root, owner, name string) string { return filepath.Join(root, owner, name+".git") }
