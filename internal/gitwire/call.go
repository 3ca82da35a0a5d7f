package gitwire

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing/format/pktline"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/sideband"
	"github.com/go-git/go-git/v5/plumbing/transport"
	githttp "github.com/go-git/go-git/v5/plumbing/transport/http"

	"mayfly/internal/packfile"
)

// A call is one request to a server, with the redirects it leads to.
type call struct {
	ctx     context.Context // ends with the call, or when the server stalls
	parent  context.Context
	cancel  context.CancelCauseFunc
	url     string
	probe   *probe
	session transport.UploadPackSession
	redact  func(string) string
}

func (c *Client) begin(ctx context.Context, repo, contentType string) (*call, error) {
	u, err := url.Parse(repo)
	if err != nil || u.User != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return nil, errors.New("the URL of a repository must be http or https, with a host and without user information")
	}
	endpoint, err := transport.NewEndpoint(repo)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", repo, err)
	}
	inner, cancel := context.WithCancelCause(ctx)
	p := &probe{rt: c.rt, want: contentType, dog: &watchdog{limit: c.Stall, cancel: cancel}}
	session, err := githttp.NewClient(&http.Client{Transport: p}).NewUploadPackSession(endpoint, nil)
	if err != nil {
		cancel(nil)
		return nil, fmt.Errorf("%s: %w", repo, err)
	}
	return &call{inner, ctx, cancel, repo, p, session, c.Redact}, nil
}

// end lets go of whatever the call still holds; go-git leaves bodies open on
// some of its error paths.
func (c *call) end() {
	c.probe.dog.stop()
	c.cancel(nil)
}

// landed returns the URL of the repository after redirects.
func (c *call) landed() string {
	u := *c.probe.url
	u.Path, _ = strings.CutSuffix(u.Path, "/info/refs")
	u.RawPath, u.RawQuery, u.User = "", "", nil
	return u.String()
}

// fail turns an error of go-git or the pack's check into what a caller can act on.
func (c *call) fail(err error) error {
	if failed := (packfile.WriteError{}); errors.As(err, &failed) {
		return fmt.Errorf("%s: %w", c.url, err)
	}
	if c.parent.Err() != nil {
		return fmt.Errorf("%s: %w: %w", c.url, c.parent.Err(), context.Cause(c.parent))
	}
	p := c.probe
	p.mu.Lock()
	defer p.mu.Unlock()
	e := &Error{Status: p.status, URL: c.url, Err: err}
	var answer said
	switch {
	case errors.Is(context.Cause(c.ctx), errStalled):
		e.Kind, e.Err = Cut, context.Cause(c.ctx)
	case errors.Is(err, packfile.ErrDamaged):
		e.Kind = Corrupt
	case p.failed != nil:
		e.Kind, e.Err = Server, p.failed
	case p.status >= 300 && p.status < 400: // go-git would not follow it
		if e.Kind = Server; p.method == http.MethodPost {
			e.Kind = Moved // renamed since the advertisement
		}
	case p.status >= 400:
		text := oneLine(c.redact(wholeWords(p.excerpt)))
		e.Kind, e.Message, e.RetryAfter = ofStatus(p.status, p.header, text), text, retryAfter(p.header, time.Now())
		e.Err = nil
	case errors.As(err, &answer):
		e.Kind, e.Message = ofText(answer.text), answer.text
	case c.errPacket(p.excerpt) != "":
		e.Message = c.errPacket(p.excerpt)
		e.Kind = ofText(e.Message)
	case strings.Contains(string(p.excerpt), "object-format=sha256"):
		e.Kind, e.Err = Unsupported, errors.New("the repository names its objects by SHA-256; only SHA-1 can be read")
	case p.ended != nil, errors.Is(err, transport.ErrEmptyUploadPackRequest), errors.Is(err, io.ErrUnexpectedEOF):
		e.Kind = Cut
	}
	return e
}

// servesGit reports whether the answer begins with the line that names the
// service, as every smart server's does. It is all that tells the answer of a
// git before 2.41 about an empty repository, one more flush, from nothing.
// https://git-scm.com/docs/http-protocol#_smart_server_response
func (c *call) servesGit() bool {
	c.probe.mu.Lock()
	defer c.probe.mu.Unlock()
	_, line, _ := strings.Cut(string(c.probe.excerpt), "#")
	return len(c.probe.excerpt) > 4 && c.probe.excerpt[4] == '#' && strings.HasPrefix(line, " service=git-upload-pack")
}

// errPacket returns what git says in an ERR packet at the beginning of an
// answer, after the line that names the service, or "".
func (c *call) errPacket(body []byte) string {
	lines := pktline.NewScanner(strings.NewReader(string(body)))
	for range 3 {
		if !lines.Scan() {
			break
		}
	}
	var line *pktline.ErrorLine
	if errors.As(lines.Err(), &line) {
		return oneLine(c.redact(line.Text))
	}
	return ""
}

// A packBand reads the pack out of the sideband.
type packBand struct {
	*sideband.Demuxer
	redact func(string) string
}

// A said is what the server said instead of, or after, what was asked for.
type said struct{ text string }

func (s said) Error() string { return "the server says: " + s.text }

// Read tells go-git's errors apart by their text; they have no types.
func (b *packBand) Read(p []byte) (int, error) {
	n, err := b.Demuxer.Read(p)
	if err == nil {
		return n, nil
	}
	if text, ok := strings.CutPrefix(err.Error(), "unexpected error: "); ok {
		return n, said{oneLine(b.redact(text))}
	}
	if errors.Is(err, sideband.ErrMaxPackedExceeded) || strings.HasPrefix(err.Error(), "unknown channel ") {
		return n, packfile.Damaged("in the sideband: %s", oneLine(b.redact(err.Error())))
	}
	return n, err
}
