package githubtest

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// A Fault makes the REST API misbehave. The zero fields do nothing.
type Fault struct {
	Path  string // without /api/v3: "/user/repos"; "" is every path
	Query string // and this in the query: "page=2"
	Times int    // how often it strikes; 0 is always

	Before func()        // runs before the answer is made
	Then   func()        // runs after the answer is made and before it is sent
	Delay  time.Duration // then the answer waits
	Stall  bool          // never answers
	Status int           // answers with this instead
	Header http.Header   // and these beside the usual
	Body   string        // and this; "": GitHub's own for the status
	Cut    bool          // half of the answer, then the connection breaks
	Hang   bool          // half of the answer, then silence
	Half   bool          // half of the answer, and it looks whole to HTTP
	Void   bool          // an empty body, and it looks whole to HTTP
}

// PrimaryLimit refuses as GitHub does when the hour's requests are used up.
func PrimaryLimit(path string, reset time.Time) Fault {
	return Fault{Path: path, Status: http.StatusForbidden,
		Header: http.Header{"X-Ratelimit-Remaining": {"0"}, "X-Ratelimit-Reset": {strconv.FormatInt(reset.Unix(), 10)}},
		Body:   string(marshal(limitBody))}
}

var limitBody = errorBody{Message: "API rate limit exceeded for user ID 1.", Docs: "https://docs.github.com/rest/overview/rate-limits-for-the-rest-api", Status: "403"}

// SecondaryLimit refuses as GitHub does when too much is asked at once; with
// retryAfter 0 it does not say how long to wait.
func SecondaryLimit(path string, status int, retryAfter time.Duration) Fault {
	f := Fault{Path: path, Status: status, Header: http.Header{},
		Body: string(marshal(errorBody{
			Message: "You have exceeded a secondary rate limit. Please wait a few minutes before you try again.",
			Docs:    "https://docs.github.com/rest/overview/rate-limits-for-the-rest-api#about-secondary-rate-limits", Status: strconv.Itoa(status),
		}))}
	if retryAfter > 0 {
		f.Header.Set("Retry-After", strconv.Itoa(int(retryAfter/time.Second)))
	}
	return f
}

// messages are GitHub's own for the statuses that a fault may have.
func message(status int) string {
	switch status {
	case http.StatusUnauthorized:
		return "Bad credentials"
	case http.StatusForbidden:
		return "Resource not accessible by personal access token"
	case http.StatusNotFound:
		return "Not Found"
	}
	return http.StatusText(status)
}

// due returns the fault for a request and counts it. s.mu is held.
func (s *Server) due(r *http.Request) *Fault {
	path := strings.TrimPrefix(r.URL.Path, api)
	for _, f := range s.faults {
		if f.Times != 0 && (f.Path == "" || f.Path == path) && strings.Contains(r.URL.RawQuery, f.Query) {
			f.Times--
			return f
		}
	}
	return nil
}

// spoil applies the fault to an answer's body and returns what is sent, and
// whether the rest never comes.
func (f *Fault) spoil(body []byte) ([]byte, bool) {
	switch {
	case f.Cut, f.Hang:
		return body[:len(body)/2], true
	case f.Half:
		return body[:len(body)/2], false
	case f.Void:
		return nil, false
	}
	return body, false
}
