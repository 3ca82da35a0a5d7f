package gittest

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// A Fault makes the server misbehave for one repository. The zero fields do
// nothing. Before happens first; then a Status answers alone, or git answers
// and Corrupt, Cut and Stall spoil its body on the way.
type Fault struct {
	Step  Step // the request that it strikes; "" is both
	Times int  // how often it strikes; 0 is always

	Before  func()    // runs before the answer, to move a reference or to wait
	Status  int       // answer with this status instead of git's
	Body    string    // and this body
	Type    string    // and this content type; "" is text/plain
	Header  [2]string // and this header
	Corrupt bool      // one byte inside an object differs; the pack's trailer is right
	Cut     *Cut
	Stall   *Stall
}

// Cut ends a body early.
type Cut struct {
	After  int64 // bytes that still arrive
	Packet bool  // at the last packet boundary before After, not inside a packet
	Clean  bool  // the end looks regular to HTTP; otherwise the connection breaks
}

// Stall stops a body without ending it.
type Stall struct {
	After int64         // bytes that still arrive; below 0 not even the header does
	For   time.Duration // 0: until the client goes away
}

// Blocked is GitHub's answer for a repository taken down; notice is the URL
// of the published complaint.
func Blocked(notice string) Fault {
	return Fault{Status: http.StatusForbidden, Body: "Repository unavailable due to DMCA takedown.\n" +
		"See the takedown notice for more details:\n" + notice + ".\n"}
}

// RateLimited is GitHub's answer when git was used too much.
func RateLimited(retryAfter time.Duration) Fault {
	return Fault{Status: http.StatusTooManyRequests, Body: "Too many requests.",
		Header: [2]string{"Retry-After", strconv.Itoa(int(retryAfter / time.Second))}}
}

// Portal is what a network in between answers that wants its form filled in.
func Portal() Fault {
	return Fault{Status: http.StatusOK, Type: "text/html; charset=utf-8",
		Body: "<!DOCTYPE html><html><title>Welcome to the hotel</title><form>Sign in to use the network</form></html>"}
}

// Refused is GitHub's answer with 401, 403 (the token lacks Contents: read)
// or 404 (missing or invisible); other statuses come with their own text.
func Refused(status int) Fault { return Fault{Status: status} }

// Moved rewrites branch between the advertisement and the request for a pack,
// as a force push by someone else would, the first times.
func (s *Server) Moved(repo, branch string, times int) Fault {
	return Fault{Step: Pack, Times: times, Before: func() {
		if err := Rewrite(s.Dir(repo), branch); err != nil {
			panic(fmt.Sprintf("gittest: %v", err))
		}
	}}
}

// Fail adds faults to the repository "owner/name". Of several that fit a
// request the oldest that is not used up strikes.
func (s *Server) Fail(repo string, faults ...Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range faults {
		if f.Times == 0 {
			f.Times = -1
		}
		s.faults[repo] = append(s.faults[repo], &f)
	}
}

// Heal takes every fault from the repository.
func (s *Server) Heal(repo string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.faults, repo)
}

// due returns the fault for a request and counts it. s.mu is held.
func (s *Server) due(r Request) *Fault {
	i := slices.IndexFunc(s.faults[r.Repo], func(f *Fault) bool {
		return f.Times != 0 && (f.Step == "" || f.Step == r.Step)
	})
	if i < 0 {
		return nil
	}
	f := s.faults[r.Repo][i]
	f.Times--
	return f
}

func (f *Fault) serve(w http.ResponseWriter, r *http.Request, git func(http.ResponseWriter)) {
	if f.Before != nil {
		f.Before()
	}
	if f.Stall != nil && f.Stall.After < 0 {
		f.Stall.wait(r)
		return
	}
	if f.Header[0] != "" {
		w.Header().Set(f.Header[0], f.Header[1])
	}
	if f.Status != 0 {
		f.answer(w)
		return
	}
	spoiled := &body{ResponseWriter: w, request: r, fault: f}
	git(spoiled)
	spoiled.finish()
}

func (f *Fault) answer(w http.ResponseWriter) {
	if f.Body == "" {
		refuse(w, f.Status)
		return
	}
	kind := f.Type
	if kind == "" {
		kind = "text/plain; charset=UTF-8"
	}
	w.Header().Set("Content-Type", kind)
	w.WriteHeader(f.Status)
	fmt.Fprint(w, f.Body)
}

func (st *Stall) wait(r *http.Request) {
	if st.For == 0 {
		<-r.Context().Done()
		return
	}
	select {
	case <-r.Context().Done():
	case <-time.After(st.For):
	}
}
