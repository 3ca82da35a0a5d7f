package rebuild

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
)

// A file is what an index has an entry for: a file, a symbolic link, or a
// submodule, which is an empty directory here.
type file struct {
	path string // with slashes
	mode uint32 // as in the index
	id   plumbing.Hash
}

// The modes of files, after those of links.go.
const (
	modeFile       = 0o100644
	modeExecutable = 0o100755
	modeLink       = 0o120000
)

// checkOut implements engine. Three things keep it inside of the work tree:
// names are looked at first; no file replaces another or is opened through a
// link, for links are made last; and an os.Root would not let it out.
func (p *packs) checkOut(ctx context.Context, workTree string, head plumbing.Hash) (err error) {
	r := p.reader()
	defer func() { err = errors.Join(err, r.close()) }()
	tree, err := r.peel(head)
	if err != nil {
		return err
	}
	files, err := r.files(ctx, tree)
	if err != nil {
		return err
	}
	root, err := os.OpenRoot(workTree)
	if err != nil {
		return err
	}
	defer root.Close()
	links := linksSymbolically(filepath.Join(workTree, ".git", "probe"))
	for _, last := range []bool{false, true} {
		for _, f := range files {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			isLink := f.mode == modeLink && links
			if isLink != last {
				continue
			}
			if err := r.write(root, f, isLink); err != nil {
				return fmt.Errorf("write %q: %w", f.path, err)
			}
		}
	}
	return writeGitIndex(filepath.Join(workTree, ".git", "index"), files)
}

// content reads an object by id.
func (r *reader) content(id plumbing.Hash) (plumbing.ObjectType, []byte, error) {
	at, found := r.packs.find(id)
	if !found {
		return 0, nil, fmt.Errorf("object %s is missing", id)
	}
	data, err := r.read(at)
	return r.packs.object(at).kind, data, err
}

// peel follows tags and a commit to a tree.
func (r *reader) peel(id plumbing.Hash) (plumbing.Hash, error) {
	for {
		kind, data, err := r.content(id)
		switch {
		case err != nil:
			return id, err
		case kind == plumbing.TreeObject:
			return id, nil
		case kind == plumbing.BlobObject:
			return id, fmt.Errorf("HEAD names %s, which is a blob", id)
		}
		// Of a commit the tree comes last.
		err = links(kind, data, func(_ plumbing.ObjectType, next plumbing.Hash) error {
			id = next
			return nil
		})
		if err != nil {
			return id, fmt.Errorf("%s: %w", kind, err)
		}
	}
}

// files lists what is below a tree, sorted as in an index.
func (r *reader) files(ctx context.Context, tree plumbing.Hash) ([]file, error) {
	var files []file
	todo := []file{{id: tree}}
	for len(todo) > 0 {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		dir := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		kind, data, err := r.content(dir.id)
		if err == nil && kind != plumbing.TreeObject {
			err = fmt.Errorf("%s is a %s, not a tree", dir.id, kind)
		}
		names := map[string]bool{}
		if err == nil {
			err = eachEntry(data, func(mode uint32, name string, id plumbing.Hash) error {
				f := file{path.Join(dir.path, name), mode, id}
				switch {
				case isDangerous(name) || len(f.path) >= 4096:
					return fmt.Errorf("%q is a path that git does not allow", dir.path+"/"+name)
				case names[name]:
					return fmt.Errorf("%q is there twice", f.path)
				}
				names[name] = true
				switch mode & modeType {
				case modeDirectory:
					todo = append(todo, f)
					return nil
				case modeSubmodule, modeLink:
					f.mode = mode & modeType
				default:
					f.mode = modeFile
					if mode&0o100 != 0 {
						f.mode = modeExecutable
					}
				}
				files = append(files, f)
				return nil
			})
		}
		if err != nil {
			return nil, fmt.Errorf("folder %q: %w", dir.path, err)
		}
	}
	slices.SortFunc(files, func(a, b file) int { return strings.Compare(a.path, b.path) })
	return files, nil
}

// write makes one file. There must be none with its name, or one that the
// file system takes for the same.
func (r *reader) write(root *os.Root, f file, link bool) error {
	name := filepath.FromSlash(f.path)
	if dir := filepath.Dir(name); dir != "." {
		if err := root.MkdirAll(dir, 0o777); err != nil {
			return err
		}
	}
	if f.mode == modeSubmodule {
		return root.Mkdir(name, 0o777)
	}
	kind, data, err := r.content(f.id)
	switch {
	case err != nil:
		return err
	case kind != plumbing.BlobObject:
		return fmt.Errorf("%s is a %s, not a blob", f.id, kind)
	case link:
		return root.Symlink(string(data), name)
	}
	perm := os.FileMode(0o666)
	if f.mode == modeExecutable {
		perm = 0o777
	}
	w, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, perm)
	if err != nil {
		return err
	}
	_, err = w.Write(data)
	return errors.Join(err, w.Close())
}
