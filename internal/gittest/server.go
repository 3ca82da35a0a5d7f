package gittest

import (
	"bytes"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/cgi"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
)

// A Server is an http.Handler that serves the bare repositories under its
// root for reading: root/OWNER/NAME.git at /OWNER/NAME.git. It advertises
// and refuses what GitHub does, with GitHub's status codes and bodies.
type Server struct {
	root string
	// Access decides who may read what; nil lets everyone. It gets the
	// repository ("owner/name") and what the client sent as Basic
	// authentication, and returns 200 or the status to refuse with: 401, 403
	// or 404. Set it before the first request.
	Access func(repo, user, password string) int

	mu       sync.Mutex
	faults   map[string][]*Fault
	renamed  map[string]string
	requests []Request
}

// A Request is one that the server has seen.
type Request struct {
	Repo string // "owner/name"
	Step Step
	Body int64 // bytes of the request's body as sent
}

// A Step is one of the two requests of a fetch.
type Step string

// The two requests of a fetch over smart HTTP.
const (
	Advertise Step = "info/refs"
	Pack      Step = "git-upload-pack"
)

// New returns a server of the repositories under root.
func New(root string) *Server {
	return &Server{root: root, faults: map[string][]*Fault{}, renamed: map[string]string{}}
}

// Dir returns where the repository "owner/name" is or would be.
func (s *Server) Dir(repo string) string {
	return filepath.Join(s.root, filepath.FromSlash(repo)+".git")
}

// Token returns an Access that wants user x-access-token and this password
// for every repository, as GitHub does for private ones. Whoever sends
// nothing gets 401, whoever sends another password too.
func Token(token string) func(repo, user, password string) int {
	return func(_, user, password string) int {
		if user != "x-access-token" || password != token {
			return http.StatusUnauthorized
		}
		return http.StatusOK
	}
}

// Rename makes requests for old answer 301 to the same path of new, as GitHub
// does after a rename or transfer.
func (s *Server) Rename(old, new string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.renamed[old] = new
}

// Requests returns what was asked so far, oldest first.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Request(nil), s.requests...)
}

var route = regexp.MustCompile(`^/([A-Za-z0-9._-]+/[A-Za-z0-9._-]+)\.git/(info/refs|git-upload-pack)$`)

func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	match := route.FindStringSubmatch(r.URL.Path)
	if match == nil || match[2] == "info/refs" && r.URL.Query().Get("service") != "git-upload-pack" {
		refuse(w, http.StatusNotFound)
		return
	}
	repo, step := match[1], Step(match[2])
	body, err := io.ReadAll(r.Body) // CGI wants a known length; clients send chunks
	if err != nil {
		return
	}
	r.Body, r.ContentLength, r.TransferEncoding = io.NopCloser(bytes.NewReader(body)), int64(len(body)), nil
	target, fault := s.note(Request{repo, step, int64(len(body))})
	if target != "" {
		http.Redirect(w, r, "/"+target+".git/"+string(step)+query(r), http.StatusMovedPermanently)
		return
	}
	if status := s.access(repo, r); status != http.StatusOK {
		refuse(w, status)
		return
	}
	if fault == nil {
		s.git(w, r, repo)
		return
	}
	fault.serve(w, r, func(w http.ResponseWriter) { s.git(w, r, repo) })
}

// note keeps the request and returns where the repository went, if it was
// renamed, and the fault that is due.
func (s *Server) note(r Request) (target string, fault *Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = append(s.requests, r)
	return s.renamed[r.Repo], s.due(r)
}

func (s *Server) access(repo string, r *http.Request) int {
	user, password, _ := r.BasicAuth()
	if s.Access != nil {
		if status := s.Access(repo, user, password); status != http.StatusOK {
			return status
		}
	}
	if _, err := os.Stat(s.Dir(repo)); err != nil {
		return http.StatusNotFound
	}
	return http.StatusOK
}

// git lets git itself answer.
func (s *Server) git(w http.ResponseWriter, r *http.Request, repo string) {
	path, err := exec.LookPath("git")
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	// Requests may name 100,000 objects and more; git's default ends at 10 MiB.
	h := &cgi.Handler{
		Path: path,
		Args: []string{
			"-c", "http.getanyfile=false", "-c", "http.receivepack=false", "-c", "safe.directory=*",
			"-c", "http.maxRequestBuffer=100m", "http-backend",
		},
		Dir:    s.root,
		Env:    append(Env(), "GIT_PROJECT_ROOT="+s.root, "GIT_HTTP_EXPORT_ALL=1"),
		Logger: log.New(io.Discard, "", 0),
		Stderr: io.Discard,
	}
	h.ServeHTTP(w, r)
}

// refuse answers as GitHub's git servers do.
func refuse(w http.ResponseWriter, status int) {
	text := http.StatusText(status)
	switch status {
	case http.StatusUnauthorized:
		w.Header().Set("WWW-Authenticate", `Basic realm="GitHub"`)
		text = "Invalid username or token. Password authentication is not supported for Git operations."
	case http.StatusForbidden:
		text = "Write access to repository not granted."
	case http.StatusNotFound:
		text = "Repository not found."
	}
	w.Header().Set("Content-Type", "text/plain; charset=UTF-8")
	w.WriteHeader(status)
	fmt.Fprint(w, text)
}

func query(r *http.Request) string {
	if r.URL.RawQuery == "" {
		return ""
	}
	return "?" + strings.TrimPrefix(r.URL.RawQuery, "?")
}
