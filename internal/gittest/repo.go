package gittest

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
)

// A Kind is a shape of repository that Repo makes.
type Kind string

// The kinds of repository. All but SHA256, Empty and Unborn hold the history
// of Normal's main branch.
const (
	Normal   Kind = "normal"   // branches, lightweight, annotated and nested tags
	OddTags  Kind = "odd tags" // tags on trees and blobs, annotated and lightweight
	Notes    Kind = "notes"    // notes and replace references
	Pull     Kind = "pull"     // refs/pull/N/head as GitHub keeps them
	Shared   Kind = "shared"   // three branches on one commit; HEAD is the last in order
	Detached Kind = "detached" // HEAD names a commit no branch has
	Unborn   Kind = "unborn"   // HEAD names a branch that does not exist; others do
	Hidden   Kind = "hidden"   // HEAD names a branch that the server does not show
	Empty    Kind = "empty"    // no object, no reference
	SHA256   Kind = "sha256"   // object format SHA-256
	Shallow  Kind = "shallow"  // history cut off
	Wiki     Kind = "wiki"     // pages on master
)

// Kinds returns all of them.
func Kinds() []Kind {
	return []Kind{Normal, OddTags, Notes, Pull, Shared, Detached, Unborn, Hidden, Empty, SHA256, Shallow, Wiki}
}

// Repo makes a bare repository of the given kind at dir, which must not
// exist. The same kind has the same object ids everywhere.
func Repo(dir string, kind Kind) error {
	branch, format := "main", "sha1"
	switch kind {
	case Wiki:
		branch = "master"
	case SHA256:
		format = "sha256"
	}
	if err := initBare(dir, branch, format); err != nil {
		return err
	}
	if kind == Empty {
		return nil
	}
	if err := commits(dir, branch, 12); err != nil {
		return err
	}
	if kind == Shallow {
		return cutHistory(dir, branch)
	}
	return run(dir, shapes(kind))
}

// cutHistory makes the repository a shallow one, three commits deep.
func cutHistory(dir, branch string) error {
	id, err := Git(dir, "rev-parse", branch+"~2")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "shallow"), []byte(id+"\n"), 0o644)
}

// shapes returns the git commands that turn a plain history into kind.
func shapes(kind Kind) []string {
	switch kind {
	case Normal:
		return []string{
			"branch topic/one main~3",
			"branch topic/two main~5",
			"tag light main~2",
			"tag -a -m annotated v1.0.0 main~4",
			"tag -a -m nested v1.0.0-signed-off v1.0.0",
		}
	case OddTags:
		return []string{
			"tag tree main^{tree}",
			"tag blob main:file.txt",
			"tag -a -m tree annotated-tree main^{tree}",
			"tag -a -m blob annotated-blob main:file.txt",
			"tag -a -m nested nested-blob annotated-blob",
		}
	case Notes:
		return []string{"notes add -m note main", "notes --ref review add -m fine main~1", "replace main~2 main~4"}
	case Pull:
		return []string{
			"update-ref refs/pull/1/head main~1",
			"update-ref refs/pull/2/head main~2",
			"update-ref refs/pull/2/merge main~3",
		}
	case Shared:
		return []string{"branch alpha main", "branch zeta main", "symbolic-ref HEAD refs/heads/zeta"}
	case Detached:
		return []string{"update-ref --no-deref HEAD main", "update-ref refs/heads/main main~2"}
	case Unborn:
		return []string{"branch other main", "symbolic-ref HEAD refs/heads/nowhere"}
	case Hidden:
		return []string{"branch other main~2", "config transfer.hideRefs refs/heads/main"}
	}
	return nil
}

// Many makes a bare repository with n branches at dir, refs/heads/b/000000
// and so on, over as many as a thousand commits.
func Many(dir string, n int) error {
	if err := initBare(dir, "main", "sha1"); err != nil {
		return err
	}
	if err := commits(dir, "main", min(n, 1000)); err != nil {
		return err
	}
	log, err := Git(dir, "rev-list", "main")
	if err != nil {
		return err
	}
	ids := strings.Fields(log)
	// One file (gitrepository-layout): update-ref makes one for each of them first.
	packed := bytes.NewBufferString("# pack-refs with: peeled fully-peeled sorted \n")
	for i := range n {
		fmt.Fprintf(packed, "%s refs/heads/b/%06d\n", ids[i%len(ids)], i)
	}
	return os.WriteFile(filepath.Join(dir, "packed-refs"), packed.Bytes(), 0o644)
}

// Big makes a bare repository at dir with size bytes that do not compress, in
// blobs of at most 4 MiB, one commit each. seed makes its content differ from
// others of the same size.
func Big(dir string, size int64, seed uint64) error {
	if err := initBare(dir, "main", "sha1"); err != nil {
		return err
	}
	noise := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16)})
	r, w := io.Pipe()
	go func() {
		for n := 0; size > 0; n++ {
			blob := min(size, 4<<20)
			size -= blob
			commit(w, "main", n)
			fmt.Fprintf(w, "M 100644 inline blob-%d.bin\ndata %d\n", n, blob)
			if _, err := io.CopyN(w, noise, blob); err != nil {
				w.CloseWithError(err)
				return
			}
			fmt.Fprintln(w)
		}
		w.Close()
	}()
	defer r.Close()
	return fastImport(dir, r)
}

// Rewrite replaces the named branch's tip by another commit of the same
// parent, as a force push does, so that the old tip is not reachable from it.
func Rewrite(dir, branch string) error {
	tree, err := Git(dir, "rev-parse", branch+"^{tree}")
	if err != nil {
		return err
	}
	id, err := Git(dir, "commit-tree", "-m", "rewritten", tree)
	if err != nil {
		return err
	}
	_, err = Git(dir, "update-ref", "refs/heads/"+branch, id)
	return err
}

func initBare(dir, branch, format string) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	if _, err := os.Lstat(dir); err == nil {
		return fmt.Errorf("make repository %s: it exists already", dir)
	}
	_, err := Git("", "init", "--quiet", "--bare", "--template=", "--initial-branch="+branch, "--object-format="+format, dir)
	return err
}

// commits puts n commits on branch: a text that grows, so that packs hold
// deltas, and small files around it.
func commits(dir, branch string, n int) error {
	var in, text bytes.Buffer
	for i := range n {
		if i < 40 {
			fmt.Fprintf(&text, "%d: the quick brown fox jumps over the lazy dog\n", i*i*7919)
		}
		commit(&in, branch, i)
		fmt.Fprintf(&in, "M 100644 inline file.txt\ndata %d\n%s\n", text.Len(), text.Bytes())
		note := fmt.Sprintf("note %d", i)
		fmt.Fprintf(&in, "M 100644 inline notes/n%02d.md\ndata %d\n%s\n", i%40, len(note), note)
	}
	return fastImport(dir, &in)
}

func commit(w io.Writer, branch string, n int) {
	message := fmt.Sprintf("commit %d", n)
	fmt.Fprintf(w, "commit refs/heads/%s\nauthor Ada Example <ada@example.com> %d +0000\ncommitter Ada Example <ada@example.com> %d +0000\ndata %d\n%s\n",
		branch, 1600000000+n*60, 1600000000+n*60, len(message), message)
}

// fastImport looks for no deltas between large blobs, which is what takes most
// of its time.
func fastImport(dir string, in io.Reader) error {
	_, err := GitInput(dir, in, "-c", "fastimport.unpackLimit=1", "-c", "core.compression=0", "-c", "core.bigFileThreshold=1m", "fast-import", "--quiet")
	return err
}

func run(dir string, commands []string) error {
	for _, c := range commands {
		if _, err := Git(dir, strings.Fields(c)...); err != nil {
			return err
		}
	}
	return nil
}
