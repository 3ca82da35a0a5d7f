package githubtest

import (
	"hash/fnv"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"sort"
	"strings"
)

// Attributes are what GitHub knows of a repository and its directory does not.
type Attributes struct {
	Private    bool
	Fork       bool
	Archived   bool
	NoWiki     bool   // the wiki is switched off; otherwise has_wiki is true, written or not
	Hidden     bool   // the token was not given this one: counted, never listed
	NoContents bool   // the token may list it and not read it
	Blocked    string // taken down; the URL of the notice
}

// Set replaces the attributes of "owner/name".
func (s *Server) Set(name string, a Attributes) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.attrs[name] = a
}

// repository is one with its place.
type repository struct {
	Attributes
	owner, name, dir string
	id               int64
}

func (r repository) fullName() string { return r.owner + "/" + r.name }

// id returns the repository's number, which it keeps through renames. s.mu is held.
func (s *Server) id(name string) int64 {
	if id, ok := s.ids[name]; ok {
		return id
	}
	s.ids[name] = number("repository " + name)
	return s.ids[name]
}

// number makes an id of a name: positive, and the same in every run.
func number(name string) int64 {
	h := fnv.New32a()
	h.Write([]byte(strings.ToLower(name)))
	return int64(h.Sum32()&0x7fffffff) + 1
}

// repositories lists what is below the directory, in name order.
func (s *Server) repositories() []repository {
	dirs, err := filepath.Glob(filepath.Join(s.o.Dir, "*", "*.git"))
	if err != nil {
		return nil // only a malformed pattern
	}
	sort.Strings(dirs)
	s.mu.Lock()
	defer s.mu.Unlock()
	var rs []repository
	for _, dir := range dirs {
		name := strings.TrimSuffix(filepath.Base(dir), ".git")
		if strings.HasSuffix(name, ".wiki") {
			continue
		}
		r := repository{owner: filepath.Base(filepath.Dir(dir)), name: name, dir: dir}
		r.Attributes, r.id = s.attrs[r.fullName()], s.id(r.fullName())
		rs = append(rs, r)
	}
	return rs
}

// visible keeps what the request may see, of one owner or, for "", of all.
func (s *Server) visible(r *http.Request, owner string) []repository {
	var seen []repository
	in := s.signedIn(r)
	for _, one := range s.repositories() {
		if (owner == "" || strings.EqualFold(one.owner, owner)) && (!one.Private || in) && !(in && one.Hidden) {
			seen = append(seen, one)
		}
	}
	return seen
}

// find returns one repository by name, in any case.
func (s *Server) find(r *http.Request, owner, name string) (repository, bool) {
	for _, one := range s.visible(r, owner) {
		if strings.EqualFold(one.name, name) {
			return one, true
		}
	}
	return repository{}, false
}

// branch is where HEAD points to, written or not.
func (r repository) branch() string {
	b, err := os.ReadFile(filepath.Join(r.dir, "HEAD"))
	if name, ok := strings.CutPrefix(strings.TrimSpace(string(b)), "ref: refs/heads/"); ok && err == nil {
		return name
	}
	return "main"
}

// size is the directory's, in kB.
func (r repository) size() int64 {
	var n int64
	err := filepath.WalkDir(r.dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return nil
		}
		if info, err := d.Info(); err == nil {
			n += info.Size()
		}
		return nil
	})
	if err != nil {
		return 0
	}
	return n / 1024
}

// move renames the directories.
func (s *Server) move(old, new string) error {
	if err := os.MkdirAll(filepath.Dir(s.Git.Dir(new)), 0o755); err != nil {
		return err
	}
	if err := os.Rename(s.Git.Dir(old), s.Git.Dir(new)); err != nil {
		return err
	}
	err := os.Rename(s.Git.Dir(old+".wiki"), s.Git.Dir(new+".wiki"))
	if os.IsNotExist(err) {
		return nil
	}
	return err
}

// access is who may read what over git, with GitHub's answers: whoever sends
// nothing gets 401 for everything that is not public, there or not.
func (s *Server) access(repo, user, password string) int {
	full := strings.TrimSuffix(repo, ".wiki")
	s.mu.Lock()
	a := s.attrs[full]
	s.mu.Unlock()
	_, err := os.Stat(s.Git.Dir(repo))
	switch {
	case user == "" && password == "":
		if a.Private || err != nil {
			return http.StatusUnauthorized
		}
		return http.StatusOK
	case user != "x-access-token" || !s.good(password):
		return http.StatusUnauthorized
	case a.Hidden || err != nil:
		return http.StatusNotFound
	case a.NoContents:
		return http.StatusForbidden
	}
	return http.StatusOK
}
