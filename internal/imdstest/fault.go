package imdstest

import (
	"io"
	"net/http"
	"strings"
	"time"
)

// A Fault makes calls go wrong. An answer that was lost on its way, because
// more hops lie in between than the instance's hop limit allows, looks like
// Hang on TokenPath.
type Fault struct {
	Status int           // answer with it and Body; 200 is possible
	Body   string        // an empty one too
	Delay  time.Duration // before the answer, the true one when Status is 0
	Hang   bool          // answer only when the client gives up or the server is closed
	Reset  bool          // end the connection: nobody is there
	Times  int           // how many calls; 0: all until ClearFault
}

// SetFault makes calls of every path with that prefix go wrong; "" is all of
// them. The longest prefix counts.
func (s *Server) SetFault(prefix string, f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults[prefix] = &f
}

// ClearFault ends the fault of that prefix.
func (s *Server) ClearFault(prefix string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.faults, prefix)
}

// fault finds the fault for a path and counts it; s.mu is held.
func (s *Server) fault(path string) (f Fault, ok bool) {
	longest := ""
	for prefix := range s.faults {
		if strings.HasPrefix(path, prefix) && (!ok || len(prefix) > len(longest)) {
			longest, ok = prefix, true
		}
	}
	if !ok {
		return Fault{}, false
	}
	active := s.faults[longest]
	if active.Times == 1 {
		delete(s.faults, longest)
	} else if active.Times > 1 {
		active.Times--
	}
	return *active, true
}

// pass does what f says and reports whether the call is still to be answered.
func (f Fault) pass(w http.ResponseWriter, r *http.Request, closed <-chan struct{}) bool {
	wait := time.After(f.Delay)
	if f.Hang {
		wait = nil
	}
	select {
	case <-wait:
	case <-r.Context().Done():
		return false
	case <-closed:
		return false
	}
	switch {
	case f.Reset:
		panic(http.ErrAbortHandler)
	case f.Status != 0:
		w.WriteHeader(f.Status)
		_, _ = io.WriteString(w, f.Body)
		return false
	}
	return true
}
