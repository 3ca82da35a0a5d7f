// Package imdstest is an EC2 instance metadata service, version 2 only, over
// HTTP. What it says can be changed at any time: credentials are rotated, an
// interruption notice appears, the group wants the instance to end. It serves
// an instance's user data too, and every path that cloud-init walks. It is for
// tests of any kind, and does not need package testing.
//
// What it answers follows
// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-categories.html
// and https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/configuring-instance-metadata-service.html.
package imdstest

import (
	"crypto/rand"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	tokenHeader = "X-Aws-Ec2-Metadata-Token"
	ttlHeader   = "X-Aws-Ec2-Metadata-Token-Ttl-Seconds"
	maxTTL      = 21600 // seconds
	// TokenPath is where version 2 hands out session tokens.
	TokenPath = "api/token"
)

// A Server is the metadata service of one instance. It is safe for concurrent
// use.
type Server struct {
	URL string // "http://127.0.0.1:PORT", for AWS_EC2_METADATA_SERVICE_ENDPOINT

	http   *http.Server
	closed chan struct{}

	mu      sync.Mutex
	state   State
	tokens  map[string]time.Time // until when
	faults  map[string]*Fault
	calls   map[string]int
	refused int
}

// New starts a server on a free port of the loopback interface. It describes
// Default.
func New() (*Server, error) { return Listen("127.0.0.1:0") }

// Listen starts a server at an address of its own: a virtual machine's network
// leads its 169.254.169.254:80 there.
func Listen(address string) (*Server, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("start the metadata test server: %w", err)
	}
	s := &Server{
		URL: "http://" + l.Addr().String(), closed: make(chan struct{}), state: Default(),
		tokens: map[string]time.Time{}, faults: map[string]*Fault{}, calls: map[string]int{},
	}
	s.http = &http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second}
	go s.http.Serve(l)
	return s, nil
}

// Close stops the server. Hanging calls end.
func (s *Server) Close() error {
	close(s.closed)
	return s.http.Close()
}

// Env is the environment of a process on the instance: where metadata is, and
// neither keys nor a region.
func (s *Server) Env() map[string]string {
	return map[string]string{"AWS_EC2_METADATA_SERVICE_ENDPOINT": s.URL}
}

// Change changes what the service says from now on.
func (s *Server) Change(f func(*State)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(&s.state)
}

// Forget makes every session token given out so far invalid.
func (s *Server) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.tokens)
}

// Calls returns how often each path was asked for, failed calls included; a
// path begins behind the version: TokenPath, "meta-data/instance-id",
// "dynamic/instance-identity/document", "user-data".
func (s *Server) Calls() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.calls)
}

// Refused is how many calls came without a valid token: what version 1 would
// have answered.
func (s *Server) Refused() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.refused
}

// ServeHTTP answers one call.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	version, path, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	s.mu.Lock()
	s.calls[path]++
	f, faulty := s.fault(path)
	s.mu.Unlock()
	w.Header().Set("Server", "EC2ws")
	w.Header().Set("Content-Type", "text/plain")
	switch {
	case faulty && !f.pass(w, r, s.closed):
	case path == TokenPath:
		s.token(w, r)
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		fail(w, http.StatusMethodNotAllowed)
	case !s.known(r.Header.Get(tokenHeader)):
		fail(w, http.StatusUnauthorized)
	case version != "latest" && !isVersion(version):
		fail(w, http.StatusNotFound)
	default:
		s.mu.Lock()
		text, ok := s.state.lookup(path)
		s.mu.Unlock()
		if !ok {
			fail(w, http.StatusNotFound)
			return
		}
		_, _ = io.WriteString(w, text)
	}
}

// token begins a session. A request that a proxy passed on gets none: the
// proxy may be the attacker's way in.
func (s *Server) token(w http.ResponseWriter, r *http.Request) {
	ttl, err := strconv.Atoi(r.Header.Get(ttlHeader))
	switch {
	case r.Method != http.MethodPut:
		fail(w, http.StatusMethodNotAllowed)
	case r.Header.Get("X-Forwarded-For") != "":
		fail(w, http.StatusForbidden)
	case err != nil || ttl < 1 || ttl > maxTTL:
		fail(w, http.StatusBadRequest)
	default:
		token := rand.Text()
		s.mu.Lock()
		s.tokens[token] = time.Now().Add(time.Duration(ttl) * time.Second)
		s.mu.Unlock()
		w.Header().Set(ttlHeader, strconv.Itoa(ttl))
		_, _ = io.WriteString(w, token)
	}
}

// known reports whether a session token is valid.
func (s *Server) known(token string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Now().Before(s.tokens[token]) {
		return true
	}
	s.refused++
	return false
}

// isVersion reports whether s is one of the dates that stand where "latest"
// may: "2021-03-23".
func isVersion(s string) bool {
	_, err := time.Parse(time.DateOnly, s)
	return err == nil
}

func fail(w http.ResponseWriter, status int) {
	http.Error(w, fmt.Sprintf("%d - %s", status, http.StatusText(status)), status)
}
