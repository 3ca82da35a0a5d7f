package github

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	maxAttempts  = 4               // tries of one request before its failure is the caller's
	firstBackoff = time.Second     // doubles with every try
	stallAfter   = 2 * time.Minute // without a byte
	maxAnswer    = 64 << 20        // bytes of one REST answer; a page of 100 repositories has about 600 kB
	maxErrorBody = 64 << 10        // bytes of a git server's error page
	maxRetryWait = time.Minute     // of what Retry-After asks for after a 5xx
)

// errStalled says that the server went silent, or nearly so, with the
// connection open.
var errStalled = errors.New("the server sent nothing, or next to nothing, for a long time")

// service is which of GitHub's two services a request is for.
type service int

const (
	elsewhere service = iota // after a redirect to a host that is not the configured one
	rest
	gitHTTP
)

// A transport carries both the REST and the git requests of one job. It adds
// the token, to requests for the configured addresses only; waits out rate
// limits; tries again after resets, 5xx and cut answers, as long as no byte of
// a pack has been handed out; and ends requests that stall. All of it ends
// with the request's context.
type transport struct {
	base   http.RoundTripper
	at     endpoints
	tokens tokenSource
	agent  string
	slots  chan struct{} // its capacity is the number of requests at once
	limits *limits
	clock  clock
	stall  time.Duration
	log    *slog.Logger
}

var _ http.RoundTripper = (*transport)(nil)

// RoundTrip returns the first answer that trying again would not change.
func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Body != nil {
		defer req.Body.Close()
	}
	to := t.serviceOf(req.URL)
	for try := 1; ; try++ {
		if err := t.limits.wait(req.Context(), to); err != nil {
			return nil, err
		}
		resp, err := t.once(req, to)
		delay, again := t.judge(req, resp, err, to, try)
		if !again {
			return t.tidy(resp), err
		}
		if resp != nil {
			resp.Body.Close()
		}
		if delay == 0 {
			continue
		}
		if err := t.clock.sleep(req.Context(), delay); err != nil {
			return nil, err
		}
	}
}

// judge decides whether to try again, and after what delay. Rate limits are
// not delays: limits.wait holds the next try back, and everybody else's.
func (t *transport) judge(req *http.Request, resp *http.Response, err error, to service, try int) (time.Duration, bool) {
	if req.Context().Err() != nil || req.Body != nil && req.GetBody == nil {
		return 0, false
	}
	var limited bool
	if err == nil {
		limited = t.limits.note(resp, to)
	}
	if limited {
		return 0, try < maxLimited
	}
	transient := err != nil && !permanent(err) || err == nil && resp.StatusCode >= 500
	if !transient || try >= maxAttempts {
		return 0, false
	}
	delay := firstBackoff << (try - 1)
	if resp != nil {
		delay = max(delay, min(retryAfter(resp), maxRetryWait))
	}
	t.log.Debug("trying again", "url", withoutUserinfo(req.URL.String()), "try", try+1, "after", delay, "why", reasonOf(resp, err))
	return delay, true
}

func reasonOf(resp *http.Response, err error) string {
	if err != nil {
		return err.Error()
	}
	return resp.Status
}

// permanent reports whether the same request would fail in the same way.
func permanent(err error) bool {
	var cert *tls.CertificateVerificationError
	var denied *tokenError
	var limit *limitError
	return errors.As(err, &cert) || errors.As(err, &denied) || errors.As(err, &limit)
}

// A tokenError is a failure to get a token to send.
type tokenError struct{ err error }

func (e *tokenError) Error() string { return e.err.Error() }
func (e *tokenError) Unwrap() error { return e.err }

// once sends the request a single time.
func (t *transport) once(req *http.Request, to service) (*http.Response, error) {
	out, err := t.prepare(req, to)
	if err != nil {
		return nil, err
	}
	release, err := t.enter(req.Context())
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancelCause(req.Context())
	g := newGuard(req.Context(), t.stall, cancel, release)
	resp, err := t.base.RoundTrip(out.WithContext(ctx))
	if err != nil {
		err = g.because(ctx, err)
		g.Close()
		return nil, err
	}
	g.timer.Stop() // from here on it runs while a Read waits
	resp.Request = req
	resp.Body = &guarded{body: resp.Body, guard: g, ctx: ctx}
	switch {
	case to == rest:
		err = holdJSON(resp)
	case resp.StatusCode >= 400:
		err = hold(resp, maxErrorBody)
	}
	if err != nil {
		return nil, fmt.Errorf("read the answer: %w", err)
	}
	return resp, nil
}

// prepare copies the request, with a fresh body and the token.
func (t *transport) prepare(req *http.Request, to service) (*http.Request, error) {
	out := req.Clone(req.Context())
	out.Header.Del("Authorization")
	out.Header.Set("User-Agent", t.agent)
	if req.GetBody != nil {
		body, err := req.GetBody()
		if err != nil {
			return nil, err
		}
		out.Body = body
	}
	if to == elsewhere {
		return out, nil
	}
	v, err := t.tokens.token(req.Context())
	if err != nil {
		return nil, &tokenError{err}
	}
	if v.IsZero() {
		if to == gitHTTP {
			out.Header.Set("User-Agent", gitAgent(t.agent))
		}
		return out, nil
	}
	if to == gitHTTP {
		// git refuses Bearer and wants the token as a password
		// (https://docs.github.com/apps/creating-github-apps/authenticating-with-a-github-app/authenticating-as-a-github-app-installation).
		out.SetBasicAuth("x-access-token", v.Reveal())
		out.Header.Set("User-Agent", gitAgent(t.agent))
	} else {
		out.Header.Set("Authorization", "Bearer "+v.Reveal())
	}
	return out, nil
}

// gitAgent begins like git's: some servers answer a git client only.
func gitAgent(agent string) string { return "git/2.0 (" + agent + ")" }

// serviceOf tells the services apart by address, scheme and port included. On
// an Enterprise server both are at one host.
func (t *transport) serviceOf(u *url.URL) service {
	switch {
	case u.Scheme == t.at.api.Scheme && u.Host == t.at.api.Host && strings.HasPrefix(u.Path, t.at.api.Path):
		return rest
	case u.Scheme == t.at.git.Scheme && u.Host == t.at.git.Host:
		return gitHTTP
	}
	return elsewhere
}

// enter takes one of the slots; the returned function gives it back.
func (t *transport) enter(ctx context.Context) (func(), error) {
	select {
	case t.slots <- struct{}{}:
		return func() { <-t.slots }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// tidy takes the rate limit headers out: go-github acts on them on its own,
// without waiting and without looking at the context.
func (t *transport) tidy(resp *http.Response) *http.Response {
	if resp == nil || t.serviceOf(resp.Request.URL) != rest {
		return resp
	}
	for _, h := range []string{"X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"} {
		resp.Header.Del(h)
	}
	return resp
}

// hold replaces the body by its first max bytes, in memory.
func hold(resp *http.Response, max int64) error {
	b, err := io.ReadAll(io.LimitReader(resp.Body, max))
	resp.Body.Close()
	resp.Body = io.NopCloser(bytes.NewReader(b))
	if err != nil && resp.StatusCode >= 400 {
		return nil // the status says enough
	}
	return err
}

// holdJSON is hold for REST answers. An answer that is not whole is an error
// here and not at go-github, which takes an empty body for an empty list: a
// cut listing would pass for an account without repositories.
func holdJSON(resp *http.Response) error {
	if err := hold(resp, maxAnswer); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusCreated {
		return nil
	}
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	resp.Body = io.NopCloser(bytes.NewReader(b))
	if !json.Valid(b) {
		return fmt.Errorf("%d bytes that are not a whole JSON text: %w", len(b), io.ErrUnexpectedEOF)
	}
	return nil
}
