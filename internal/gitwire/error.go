package gitwire

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// ErrNothingToFetch says that every want is known already: there is no pack
// to ask for, and git servers refuse such a request.
var ErrNothingToFetch = errors.New("nothing to fetch: every wanted object is known already")

// ErrUnknownHaves says that the server knows none of the objects that it was
// said to need not send: its history was replaced as a whole, or the haves are
// another repository's.
var ErrUnknownHaves = errors.New("the server knows nothing of what was fetched before")

// A Kind says what went wrong, so that a caller can tell what to do.
type Kind int

// The kinds of Error.
const (
	Server       Kind = iota // 5xx, unreachable, or an answer that is not git's: may pass
	NotFound                 // missing, or invisible to this token; a wiki that was never written
	Unauthorized             // the token is wrong, expired or missing
	Forbidden                // the token may not read contents
	RateLimited              // wait RetryAfter, if the server gave one
	Blocked                  // taken down by law or terms of service; Message holds the notice
	Moved                    // the references changed meanwhile: advertise again
	Cut                      // the answer ended early or stalled: start again
	Corrupt                  // what arrived is damaged in itself
	Unsupported              // SHA-256 objects, or a server without the whole history
)

func (k Kind) String() string {
	switch k {
	case NotFound:
		return "not found"
	case Unauthorized:
		return "not authorized"
	case Forbidden:
		return "forbidden"
	case RateLimited:
		return "rate limited"
	case Blocked:
		return "blocked"
	case Moved:
		return "references moved meanwhile"
	case Cut:
		return "answer cut off"
	case Corrupt:
		return "corrupt data"
	case Unsupported:
		return "unsupported"
	}
	return "server error"
}

// An Error is a failed request to a git server.
type Error struct {
	Kind       Kind
	Status     int           // of the last HTTP answer; 0: there was none
	URL        string        // of the repository, without user information
	Message    string        // what the server said, one line, at most 1 KiB
	RetryAfter time.Duration // what the server asked to wait; 0: it did not say
	Err        error         // the cause beneath; may be nil
}

func (e *Error) Error() string {
	text := e.URL + ": " + e.Kind.String()
	if e.Status != 0 && e.Status != http.StatusOK {
		text += fmt.Sprintf(" (HTTP %d)", e.Status)
	}
	if e.Message != "" {
		text += ": " + e.Message
	} else if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

func (e *Error) Unwrap() error { return e.Err }

// ofStatus returns the kind of an HTTP answer that is not git's, by GitHub's
// habits. text is the beginning of its body.
func ofStatus(status int, header http.Header, text string) Kind {
	low := strings.ToLower(text)
	switch status {
	case http.StatusUnauthorized:
		return Unauthorized
	case http.StatusNotFound, http.StatusGone:
		return NotFound
	case http.StatusTooManyRequests:
		return RateLimited
	case http.StatusUnavailableForLegalReasons:
		return Blocked
	case http.StatusForbidden:
		switch {
		case strings.Contains(low, "dmca"), strings.Contains(low, "terms of service"),
			strings.Contains(low, "access to this repository has been disabled"), strings.Contains(low, "repository unavailable"):
			return Blocked
		case strings.Contains(low, "rate limit"), header.Get("Retry-After") != "", header.Get("X-RateLimit-Remaining") == "0":
			return RateLimited
		}
		return Forbidden
	}
	return Server
}

// ofText returns the kind of what git itself said with HTTP status 200, in an
// ERR packet or on the sideband's error channel.
func ofText(text string) Kind {
	low := strings.ToLower(text)
	switch {
	case strings.Contains(low, "not our ref"), strings.Contains(low, "no such ref"):
		return Moved
	case strings.Contains(low, "repository not found"), strings.Contains(low, "does not exist"):
		return NotFound
	case strings.Contains(low, "rate limit"), strings.Contains(low, "too many requests"):
		return RateLimited
	case strings.Contains(low, "dmca"), strings.Contains(low, "terms of service"):
		return Blocked
	}
	return Server
}

// retryAfter reads a Retry-After header: seconds or a date (RFC 9110, 10.2.3).
// The date is measured by the server's own clock where it sent one.
func retryAfter(h http.Header, now time.Time) time.Duration {
	v := h.Get("Retry-After")
	if n, err := strconv.Atoi(v); err == nil {
		return time.Duration(min(max(n, 0), 1<<31)) * time.Second
	}
	until, err := http.ParseTime(v)
	if err != nil {
		return 0
	}
	if date, err := http.ParseTime(h.Get("Date")); err == nil {
		now = date
	}
	return max(until.Sub(now), 0)
}

// wholeWords is an excerpt without its last word, if the body may go on after
// it: that one may be the beginning of a secret. A word that is all of it
// stays; oneLine leaves less of it.
func wholeWords(excerpt []byte) string {
	text := string(excerpt)
	if len(text) < excerptSize {
		return text
	}
	if i := strings.LastIndexFunc(text, unicode.IsSpace); i >= 0 {
		return text[:i]
	}
	return text
}

// oneLine makes server text fit for a log: printable, one line, 1 KiB at most.
func oneLine(text string) string {
	words := strings.FieldsFunc(strings.ToValidUTF8(text, "?"), func(r rune) bool {
		return unicode.IsSpace(r) || !unicode.IsPrint(r)
	})
	line := strings.Join(words, " ")
	if len(line) > 1024 {
		line = strings.ToValidUTF8(line[:1021], "") + "..."
	}
	return line
}
