package github

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	gh "github.com/google/go-github/v57/github"

	"mayfly/internal/gitwire"
	"mayfly/internal/store"
	"mayfly/runner"
)

// What to do about each failure.
const (
	fixToken     = "make a new token, with read access to Contents and Metadata, and store it where the config says"
	fixContents  = "grant the token Contents: read (classic tokens: the scope repo), authorize it for the organization's single sign-on, or exclude the repository"
	fixAccess    = "check the name, and that the token may read it"
	fixLimit     = "start later, choose a longer deadline, or use a token: it has a limit of its own"
	fixBlocked   = "read the notice; while the block lasts, exclude the repository to keep reports quiet (its older backups stay)"
	fixServer    = "run again later; https://www.githubstatus.com says whether GitHub has trouble"
	fixCorrupt   = "the server's copy is damaged: check it with git clone --mirror and git fsck, and push the missing objects again or ask GitHub's support"
	fixFormat    = "nothing to configure: this mayfly cannot read such a repository; exclude it"
	fixExists    = "run again: the next run has a new time"
	fixStore     = "see that the store can be written to and has room, then run again"
	fixEndpoints = "check url, and that this machine reaches it"
)

// problemOf turns an error into what the report says: the reason in a few
// words, and what to do about it.
func problemOf(doing, item string, err error) *runner.Problem {
	p := &runner.Problem{Item: item, Doing: doing}
	p.Reason, p.Fix = reasonAndFix(err)
	return p
}

func reasonAndFix(err error) (reason, fix string) {
	var (
		known   *runner.Problem
		limit   *limitError
		token   *tokenError
		git     *gitwire.Error
		answer  *gh.ErrorResponse
		primary *gh.RateLimitError
		second  *gh.AbuseRateLimitError
	)
	switch {
	case errors.As(err, &known):
		return known.Reason, known.Fix
	case errors.As(err, &limit):
		return limit.Error(), fixLimit
	case errors.As(err, &token):
		return token.Error(), "check the app's id, installation and key"
	case errors.Is(err, store.ErrAgain):
		return err.Error(), fixStore
	case errors.As(err, &git):
		return ofGit(git)
	case errors.As(err, &primary), errors.As(err, &second):
		return "GitHub's rate limit did not end", fixLimit
	case errors.As(err, &answer):
		return ofREST(answer)
	case errors.Is(err, store.ErrExists):
		return "another run has written this segment at the same time", fixExists
	case errors.Is(err, errStalled):
		return err.Error(), fixServer
	case isStore(err):
		return err.Error(), fixStore
	}
	return err.Error(), fixEndpoints
}

// isStore reports whether the error came from writing the segment.
func isStore(err error) bool { return strings.HasPrefix(err.Error(), "segment ") }

// ofGit reads a git server's refusal.
func ofGit(e *gitwire.Error) (reason, fix string) {
	said := func(s string) string {
		if e.Message == "" {
			return s
		}
		return s + ": " + strings.TrimSuffix(e.Message, ".")
	}
	switch e.Kind {
	case gitwire.NotFound:
		return "the git server does not find it, or the token may not see it", fixAccess
	case gitwire.Unauthorized:
		return said("the token is wrong, expired or missing"), fixToken
	case gitwire.Forbidden:
		return said("the token lacks Contents: read"), fixContents
	case gitwire.RateLimited:
		return "git's rate limit did not end", fixLimit
	case gitwire.Blocked:
		return said("GitHub has blocked it"), fixBlocked
	case gitwire.Moved:
		return "its branches changed during every try", "run again at a quieter time"
	case gitwire.Corrupt:
		return "it arrived damaged: " + textOf(e), fixCorrupt
	case gitwire.Cut:
		return "the connection ended early in every try: " + textOf(e), fixServer
	case gitwire.Unsupported:
		return textOf(e), fixFormat
	}
	if e.Status != 0 && e.Status != http.StatusOK {
		return said(fmt.Sprintf("the git server answered %d", e.Status)), fixServer
	}
	return textOf(e), fixServer
}

// textOf is what the error says without the address.
func textOf(e *gitwire.Error) string {
	switch {
	case e.Message != "":
		return e.Message
	case e.Err != nil:
		return e.Err.Error()
	}
	return e.Kind.String()
}

// ofREST reads an answer of the API
// (https://docs.github.com/rest/using-the-rest-api/troubleshooting-the-rest-api).
func ofREST(e *gh.ErrorResponse) (reason, fix string) {
	status := 0
	if e.Response != nil {
		status = e.Response.StatusCode
	}
	said := func(s string) string {
		if e.Message == "" {
			return s
		}
		return s + ": " + e.Message
	}
	switch {
	case e.Block != nil || status == http.StatusUnavailableForLegalReasons:
		return said("GitHub has blocked it" + since(e.Block)), fixBlocked
	case status == http.StatusUnauthorized:
		return said("the token is wrong or expired"), fixToken
	case status == http.StatusForbidden:
		return said("the token may not do this"), "grant the token Metadata: read and, for private repositories, Contents: read; authorize it for the organization's single sign-on"
	case status == http.StatusNotFound:
		return "GitHub does not find it, or the token may not see it", fixAccess
	case status == http.StatusTooManyRequests:
		return "GitHub's rate limit did not end", fixLimit
	case status >= 500:
		return said(fmt.Sprintf("GitHub answered %d", status)), fixServer
	}
	return said(fmt.Sprintf("GitHub answered %d", status)), fixEndpoints
}

func since(b *gh.ErrorBlock) string {
	if b == nil || b.CreatedAt == nil {
		return ""
	}
	return " since " + b.CreatedAt.UTC().Format(time.DateOnly)
}
