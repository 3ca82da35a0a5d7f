// Package githubtest is a GitHub that runs in this process: the part of its
// REST API that a backup uses, over a directory of real bare repositories,
// which git itself serves over smart HTTP beside it. Like an Enterprise
// server it has both at one address: REST below /api/v3/, git at
// /OWNER/NAME.git.
package githubtest

import (
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"mayfly/internal/gittest"
)

// Options say what the server has and who may see it.
type Options struct {
	Dir           string   // DIR/OWNER/NAME.git and DIR/OWNER/NAME.wiki.git
	Login         string   // whose token it is
	Token         string   // the only one that is accepted; "": none is
	Organizations []string // owners that are organizations; the others are users
	PerPage       int      // the most entries of a page; 0: 100, as at GitHub
	Limit         int      // requests an hour; 0: 5000
	App           *App
}

// An App may get installation tokens, which see what Token sees.
type App struct {
	ID, Installation int64
	Key              *rsa.PublicKey // checks its signature
	Life             time.Duration  // of a token; 0: an hour

	Now func() time.Time // tells when a token ends; nil: the machine's clock
}

// A Server is such a GitHub: an http.Handler, or with Listen a server of its own.
type Server struct {
	// Git serves the repositories; tests switch its faults on.
	Git *gittest.Server

	o   Options
	mux *http.ServeMux

	mu       sync.Mutex
	attrs    map[string]Attributes
	ids      map[string]int64
	moved    map[string]int64 // old "owner/name" -> id
	faults   []*Fault
	requests []string
	issued   map[string]time.Time // installation token -> its end
	used     int
	reset    time.Time
	listener net.Listener
	http     *http.Server
}

var _ http.Handler = (*Server)(nil)

const api = "/api/v3"

// New returns a server of the repositories below o.Dir.
func New(o Options) *Server {
	if o.PerPage == 0 {
		o.PerPage = 100
	}
	if o.App != nil && o.App.Now == nil {
		app := *o.App
		app.Now = time.Now
		o.App = &app
	}
	if o.Limit == 0 {
		o.Limit = 5000
	}
	s := &Server{
		Git: gittest.New(o.Dir), o: o, mux: http.NewServeMux(),
		attrs: map[string]Attributes{}, ids: map[string]int64{}, moved: map[string]int64{}, issued: map[string]time.Time{},
		reset: time.Now().Add(time.Hour).Truncate(time.Second),
	}
	s.Git.Access = s.access
	handle := func(pattern string, h func(*http.Request) answer) {
		method, path, _ := strings.Cut(pattern, " ")
		s.mux.HandleFunc(method+" "+api+path, func(w http.ResponseWriter, r *http.Request) { s.serve(w, r, h) })
	}
	handle("GET /user", s.getMe)
	handle("GET /user/repos", s.listMine)
	handle("GET /users/{owner}", s.getUser)
	handle("GET /users/{owner}/repos", s.listOwner)
	handle("GET /orgs/{owner}", s.getOrganization)
	handle("GET /orgs/{owner}/repos", s.listOwner)
	handle("GET /repos/{owner}/{name}", s.getRepository)
	handle("GET /repositories/{id}", s.getByID)
	handle("POST /app/installations/{id}/access_tokens", s.createToken)
	handle("GET /installation/repositories", s.listInstallation)
	handle("GET /rate_limit", s.getLimit)
	s.mux.HandleFunc(api+"/", func(w http.ResponseWriter, r *http.Request) {
		s.serve(w, r, func(*http.Request) answer { return notFound() })
	})
	s.mux.Handle("/", s.Git)
	return s
}

// ServeHTTP answers for both services.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

// Listen serves on a loopback port of the system's choice and returns the
// base URL, "http://127.0.0.1:PORT".
func (s *Server) Listen() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("listen: %w", err)
	}
	s.http = &http.Server{Handler: s, ReadHeaderTimeout: time.Minute}
	s.listener = l
	go s.http.Serve(l) // ends with Close
	return "http://" + l.Addr().String(), nil
}

// Close ends what Listen began, open connections included.
func (s *Server) Close() error {
	if s.http == nil {
		return errors.New("close: the server was not listening")
	}
	return s.http.Close()
}

// Requests lists what was asked of the REST API so far, oldest first, as
// "GET /user/repos?page=1", without /api/v3.
func (s *Server) Requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.requests...)
}

// Fail adds faults to the REST API; of several that fit, the oldest that is
// not used up strikes.
func (s *Server) Fail(faults ...Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range faults {
		if f.Times == 0 {
			f.Times = -1
		}
		s.faults = append(s.faults, &f)
	}
}

// Rename gives a repository a new "owner/name", on disk too. The old one
// redirects, as at GitHub.
func (s *Server) Rename(old, new string) error {
	if err := s.move(old, new); err != nil {
		return fmt.Errorf("rename %s to %s: %w", old, new, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	id := s.id(old)
	s.ids[new], s.moved[old] = id, id
	delete(s.ids, old)
	s.attrs[new] = s.attrs[old]
	delete(s.attrs, old)
	s.Git.Rename(old, new)
	s.Git.Rename(old+".wiki", new+".wiki")
	return nil
}

// Renumber gives the repository another number, as if it had been deleted and
// made anew.
func (s *Server) Renumber(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ids[name] = s.id(name) + 1
}

// An answer is what an operation has to say.
type answer struct {
	status int
	header http.Header
	body   any // JSON
}

func ok(body any) answer { return answer{status: http.StatusOK, body: body} }

// errorBody is the schema basic-error of GitHub's OpenAPI description.
type errorBody struct {
	Message string `json:"message"`
	Docs    string `json:"documentation_url"`
	Status  string `json:"status,omitempty"`
	URL     string `json:"url,omitempty"`
}

func refuse(status int, message string) answer {
	return answer{status: status, body: errorBody{message, "https://docs.github.com/rest", fmt.Sprint(status), ""}}
}

func notFound() answer       { return refuse(http.StatusNotFound, "Not Found") }
func badCredentials() answer { return refuse(http.StatusUnauthorized, "Bad credentials") }

// marshal is GitHub's way to write JSON: on one line.
func marshal(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("githubtest: %v", err)) // maps and structs of this package
	}
	return b
}
