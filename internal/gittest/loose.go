package gittest

import (
	"bytes"
	"cmp"
	"compress/zlib"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// What an Evolution makes is written here, as loose objects, without git: a
// process for each object would take most of a suite's time.

type revision struct {
	tree    string
	parents []string
	files   map[string]file // by path
}

type file struct{ mode, id, data string }

// Modes of files in trees.
const (
	regular    = "100644"
	executable = "100755"
	symlink    = "120000"
	gitlink    = "160000"
	subtree    = "40000"
)

// put writes an object and returns its id.
func (e *Evolution) put(kind, data string) string {
	whole := fmt.Sprintf("%s %d\x00%s", kind, len(data), data)
	sum := sha1.Sum([]byte(whole))
	id := hex.EncodeToString(sum[:])
	path := filepath.Join(e.dir, "objects", id[:2], id[2:])
	if _, err := os.Lstat(path); err == nil || e.err != nil {
		return id
	}
	var packed bytes.Buffer
	z := zlib.NewWriter(&packed)
	_, err := z.Write([]byte(whole))
	e.err = errors.Join(err, z.Close(), place(path, packed.Bytes()))
	return id
}

// place writes a file that readers see whole or not at all.
func place(path string, data []byte) error {
	if err := os.Mkdir(filepath.Dir(path), 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	temporary := filepath.Join(filepath.Dir(path), "tmp_obj_evolve")
	if err := os.WriteFile(temporary, data, 0o444); err != nil {
		return err
	}
	return os.Rename(temporary, path)
}

func (e *Evolution) file(mode, data string) file {
	return file{mode, e.put("blob", data), data}
}

// tree writes a tree and those below it.
func (e *Evolution) tree(files map[string]file) string {
	entries, below := map[string]file{}, map[string]map[string]file{}
	for path, f := range files {
		dir, rest, ok := strings.Cut(path, "/")
		if !ok {
			entries[path] = f
			continue
		}
		if below[dir] == nil {
			below[dir] = map[string]file{}
		}
		below[dir][rest] = f
	}
	for dir, files := range below {
		entries[dir] = file{mode: subtree, id: e.tree(files)}
	}
	order := func(name string) string { // git's: as if the names of trees ended with a slash
		if entries[name].mode == subtree {
			return name + "/"
		}
		return name
	}
	var data strings.Builder
	for _, name := range slices.SortedFunc(maps.Keys(entries), func(a, b string) int { return cmp.Compare(order(a), order(b)) }) {
		id, err := hex.DecodeString(entries[name].id)
		if err != nil {
			panic(fmt.Sprintf("gittest: %v", err))
		}
		fmt.Fprintf(&data, "%s %s\x00%s", entries[name].mode, name, id)
	}
	return e.put("tree", data.String())
}

// commit writes a commit of these files and returns its id.
func (e *Evolution) commit(files map[string]file, parents ...string) string {
	c := revision{e.tree(files), parents, files}
	var data strings.Builder
	fmt.Fprintf(&data, "tree %s\n", c.tree)
	for _, p := range parents {
		fmt.Fprintf(&data, "parent %s\n", p)
	}
	who := e.who()
	fmt.Fprintf(&data, "author %s\ncommitter %s\n\ncommit %d\n", who, who, e.tick)
	id := e.put("commit", data.String())
	e.commits[id] = c
	e.known = append(e.known, id)
	return id
}

// annotate writes an annotated tag of an object and returns its id.
func (e *Evolution) annotate(kind, object string) string {
	who := e.who()
	id := e.put("tag", fmt.Sprintf("object %s\ntype %s\ntag t%d\ntagger %s\n\ntag %d\n", object, kind, e.tick, who, e.tick))
	e.tags[id] = true
	return id
}

// who signs the next commit or tag: a minute after the last.
func (e *Evolution) who() string {
	e.tick++
	return fmt.Sprintf("Ada Example <ada@example.com> %d +0000", 1600000000+e.tick*60)
}

// forget drops the commits that the repository has no more.
func (e *Evolution) forget() error {
	in := strings.NewReader(strings.Join(e.known, "\n") + "\n")
	out, err := GitInput(e.dir, in, "--no-replace-objects", "cat-file", "--batch-check=%(objectname)")
	if err != nil {
		return err
	}
	e.known = nil
	for line := range strings.Lines(out) {
		if id, ok := strings.CutSuffix(strings.TrimSpace(line), " missing"); ok {
			delete(e.commits, id)
		} else {
			e.known = append(e.known, id)
		}
	}
	return nil
}
