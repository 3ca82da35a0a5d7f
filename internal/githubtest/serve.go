package githubtest

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// serve answers one request as every operation does: the rate limit's headers,
// ETag and If-None-Match, and before all of it the fault that is due.
func (s *Server) serve(w http.ResponseWriter, r *http.Request, h func(*http.Request) answer) {
	fault := s.note(r)
	if fault.Before != nil {
		fault.Before()
	}
	if fault.Stall {
		<-r.Context().Done()
		return
	}
	a := s.limited(r)
	if a.status == 0 {
		a = s.authorized(r, h)
	}
	if fault.Status != 0 {
		a = refuse(fault.Status, message(fault.Status))
	}
	body := marshal(a.body)
	if fault.Body != "" {
		body = []byte(fault.Body)
	}
	if fault.Then != nil {
		fault.Then()
	}
	if !wait(r, fault.Delay) {
		return
	}
	s.send(w, r, a, body, fault)
}

// note keeps the request and returns its fault, which may be an empty one.
func (s *Server) note(r *http.Request) *Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	asked := r.Method + " " + strings.TrimPrefix(r.URL.Path, api)
	if r.URL.RawQuery != "" {
		asked += "?" + r.URL.RawQuery
	}
	s.requests = append(s.requests, asked)
	if f := s.due(r); f != nil {
		return f
	}
	return &Fault{}
}

func wait(r *http.Request, d time.Duration) bool {
	if d == 0 {
		return true
	}
	select {
	case <-time.After(d):
		return true
	case <-r.Context().Done():
		return false
	}
}

// limited counts the request against the hour and refuses when it is over.
func (s *Server) limited(r *http.Request) answer {
	if r.URL.Path == api+"/rate_limit" {
		return answer{}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := time.Now(); now.After(s.reset) {
		s.used, s.reset = 0, now.Add(time.Hour).Truncate(time.Second)
	}
	if s.used >= s.o.Limit {
		return answer{status: http.StatusForbidden, body: limitBody}
	}
	s.used++
	return answer{}
}

// authorized runs the operation unless the token is not one. Requests without
// a token are everybody's.
func (s *Server) authorized(r *http.Request, h func(*http.Request) answer) answer {
	if r.Header.Get("Authorization") != "" && !s.signedIn(r) && !strings.HasPrefix(r.URL.Path, api+"/app/") {
		return badCredentials()
	}
	return h(r)
}

// signedIn reports whether the request has a token that is good.
func (s *Server) signedIn(r *http.Request) bool {
	token, isBearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	return isBearer && s.good(token)
}

// good reports whether it is the token, or an installation token in its time.
func (s *Server) good(token string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return token != "" && (token == s.o.Token || s.o.App != nil && s.o.App.Now().Before(s.issued[token]))
}

func (s *Server) send(w http.ResponseWriter, r *http.Request, a answer, body []byte, f *Fault) {
	h := w.Header()
	h.Set("Content-Type", "application/json; charset=utf-8")
	h.Set("X-GitHub-Request-Id", "0000:00000:000000:000000:00000000")
	tag := ""
	if a.status == http.StatusOK && r.Method == http.MethodGet {
		sum := sha256.Sum256(body)
		tag = `W/"` + hex.EncodeToString(sum[:]) + `"`
		h.Set("ETag", tag)
	}
	unchanged := tag != "" && r.Header.Get("If-None-Match") == tag
	s.limitHeaders(h, unchanged)
	for k, v := range a.header {
		h[k] = v
	}
	for k, v := range f.Header {
		h[k] = v
	}
	if unchanged {
		h.Del("Content-Type")
		h.Del("Link")
		w.WriteHeader(http.StatusNotModified)
		return
	}
	sent, breaks := f.spoil(body)
	length := len(sent)
	if breaks {
		length = len(body)
	}
	h.Set("Content-Length", strconv.Itoa(length))
	w.WriteHeader(a.status)
	if _, err := w.Write(sent); err != nil {
		return // the client is gone
	}
	if breaks {
		if err := http.NewResponseController(w).Flush(); err != nil {
			return
		}
		if f.Hang {
			<-r.Context().Done()
		}
		panic(http.ErrAbortHandler)
	}
}

// limitHeaders says what is left of the hour. An answer of 304 is free.
func (s *Server) limitHeaders(h http.Header, free bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if free {
		s.used--
	}
	h.Set("X-RateLimit-Limit", strconv.Itoa(s.o.Limit))
	h.Set("X-RateLimit-Remaining", strconv.Itoa(s.o.Limit-s.used))
	h.Set("X-RateLimit-Used", strconv.Itoa(s.used))
	h.Set("X-RateLimit-Reset", strconv.FormatInt(s.reset.Unix(), 10))
	h.Set("X-RateLimit-Resource", "core")
}

// getLimit is GET /rate_limit.
func (s *Server) getLimit(*http.Request) answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	core := map[string]any{"limit": s.o.Limit, "used": s.used, "remaining": s.o.Limit - s.used, "reset": s.reset.Unix()}
	search := map[string]any{"limit": 30, "used": 0, "remaining": 30, "reset": s.reset.Unix()}
	return ok(map[string]any{"rate": core, "resources": map[string]any{"core": core, "search": search}})
}
