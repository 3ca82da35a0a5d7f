package github

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	maxLimited     = 12               // rate limits that one request sits out
	secondaryFirst = time.Minute      // wait after a secondary limit that names no time; doubles
	secondaryMost  = 16 * time.Minute // and ends here
	longestWait    = 65 * time.Minute // primary limits reset hourly; more is a clock gone wrong
)

// limits holds requests back while GitHub's rate limits ask for it
// (https://docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api).
// A limit that one request met holds for all of its service.
type limits struct {
	clock clock
	show  func(why string, until time.Time) // the zero time: the wait is over

	mu      sync.Mutex
	until   [3]time.Time // by service
	strikes [3]int       // secondary limits in a row
	waiting int
}

// A limitError says that a rate limit lasts longer than the run may.
type limitError struct {
	until, deadline time.Time
}

func (e *limitError) Error() string {
	return fmt.Sprintf("rate limit until %s, and the run ends at %s",
		e.until.UTC().Format(time.RFC3339), e.deadline.UTC().Format(time.RFC3339))
}

// wait returns when no limit of the service holds any more, or with ctx's
// cause. It does not begin a wait that ctx's deadline would cut off.
func (l *limits) wait(ctx context.Context, to service) error {
	for {
		l.mu.Lock()
		until := l.until[to]
		d := until.Sub(l.clock.now())
		if d <= 0 {
			l.mu.Unlock()
			return nil
		}
		if end, ok := ctx.Deadline(); ok && until.After(end) {
			l.mu.Unlock()
			return &limitError{until, end}
		}
		l.waiting++
		l.show("GitHub's rate limit", until)
		l.mu.Unlock()

		err := l.clock.sleep(ctx, d)

		l.mu.Lock()
		if l.waiting--; l.waiting == 0 {
			l.show("", time.Time{})
		}
		l.mu.Unlock()
		if err != nil {
			return err
		}
	}
}

// note reads an answer's headers and reports whether it is a rate limit's.
func (l *limits) note(resp *http.Response, to service) bool {
	if to == elsewhere {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	d, limited := l.limit(resp, to)
	if d > 0 {
		if until := l.clock.now().Add(min(d, longestWait)); until.After(l.until[to]) {
			l.until[to] = until
		}
	}
	return limited
}

// limit says how long to send nothing, and whether the answer is a refusal.
// The caller holds the lock.
func (l *limits) limit(resp *http.Response, to service) (time.Duration, bool) {
	exhausted := resp.Header.Get("X-RateLimit-Remaining") == "0"
	if resp.StatusCode != http.StatusForbidden && resp.StatusCode != http.StatusTooManyRequests {
		l.strikes[to] = 0
		if exhausted && resp.StatusCode < 400 {
			return untilReset(resp), false // the last of the hour: the next would be refused
		}
		return 0, false
	}
	text := peek(resp)
	after := retryAfter(resp)
	switch {
	case resp.StatusCode == http.StatusForbidden && isPermission(text):
		return 0, false
	case after > 0:
		return after + time.Second, true
	case exhausted:
		return untilReset(resp), true
	case resp.StatusCode == http.StatusForbidden && !strings.Contains(text, "rate limit") && !strings.Contains(text, "rate-limits") && !strings.Contains(text, "abuse"):
		return 0, false
	}
	if d := l.until[to].Sub(l.clock.now()); d > 0 {
		return d, true // sent before everybody began to wait: the same limit, not the next
	}
	d := min(secondaryFirst<<l.strikes[to], secondaryMost)
	l.strikes[to] = min(l.strikes[to]+1, 10)
	return d, true
}

// isPermission reports whether a 403 is about what the token may do, whatever
// the rate limit's headers beside it say.
func isPermission(text string) bool {
	for _, s := range []string{"resource not accessible", "access to repository not granted", "must have ", "saml", "unavailable due to", "access blocked", "\"block\""} {
		if strings.Contains(text, s) {
			return true
		}
	}
	return false
}

// peek is the held body, in lower case.
func peek(resp *http.Response) string {
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return ""
	}
	resp.Body = io.NopCloser(bytes.NewReader(b))
	return strings.ToLower(string(b))
}

// untilReset is the time to the primary limit's end, by the server's clock
// where it gives one, and a second more.
func untilReset(resp *http.Response) time.Duration {
	reset, err := strconv.ParseInt(resp.Header.Get("X-RateLimit-Reset"), 10, 64)
	if err != nil {
		return secondaryFirst
	}
	now, err := http.ParseTime(resp.Header.Get("Date"))
	if err != nil {
		now = time.Now()
	}
	return max(time.Unix(reset, 0).Sub(now), 0) + time.Second
}

// retryAfter is the Retry-After header's wait, in either of its forms (RFC
// 9110, 10.2.3); 0 when there is none.
func retryAfter(resp *http.Response) time.Duration {
	v := resp.Header.Get("Retry-After")
	if v == "" {
		return 0
	}
	if s, err := strconv.Atoi(v); err == nil {
		return min(time.Duration(max(s, 0))*time.Second, longestWait)
	}
	at, err := http.ParseTime(v)
	if err != nil {
		return secondaryFirst
	}
	now, err := http.ParseTime(resp.Header.Get("Date"))
	if err != nil {
		now = time.Now()
	}
	return max(at.Sub(now), 0)
}
