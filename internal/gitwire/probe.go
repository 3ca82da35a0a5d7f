package gitwire

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync"
	"time"
)

var (
	errStalled = errors.New("the server stalled")
	errNotGit  = errors.New("the answer is not git's")
)

// excerptSize bounds what is kept of a body for error text and sniffing.
const excerptSize = 4 << 10

// A probe is the http.RoundTripper of one call. It notes what go-git's
// errors leave out (status, text, Retry-After, the URL after redirects) and
// ends the call when the server goes silent.
type probe struct {
	rt   http.RoundTripper
	want string // content type of git's own answer
	dog  *watchdog

	mu      sync.Mutex
	status  int
	header  http.Header
	url     *url.URL
	method  string
	excerpt []byte // the beginning of the body
	ended   error  // how reading the body ended; io.EOF is regular
	failed  error  // what RoundTrip returned; go-git keeps only its text
}

// RoundTrip passes the request on. Answers that are not git's come back with
// a body cut to excerptSize, or as an error if their status claims success.
func (p *probe) RoundTrip(req *http.Request) (*http.Response, error) {
	res, err := p.ask(req)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.failed = err
	return res, err
}

func (p *probe) ask(req *http.Request) (*http.Response, error) {
	res, err := p.rt.RoundTrip(req.WithContext(p.dog.traced(req.Context())))
	p.dog.answered()
	p.note(req, res)
	if err != nil {
		return nil, err
	}
	res.Body = &watchedBody{ReadCloser: res.Body, p: p}
	ok := res.StatusCode == http.StatusOK
	redirect := res.StatusCode >= 300 && res.StatusCode < 400
	kind, _, _ := strings.Cut(res.Header.Get("Content-Type"), ";")
	if redirect || ok && kind == p.want {
		return res, nil
	}
	text, _ := io.ReadAll(io.LimitReader(res.Body, excerptSize))
	_ = res.Body.Close()
	if ok {
		return nil, fmt.Errorf("%w: it has the type %q: is a proxy or a sign-in page in between?", errNotGit, kind)
	}
	res.Body = io.NopCloser(bytes.NewReader(text))
	return res, nil
}

func (p *probe) note(req *http.Request, res *http.Response) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.url, p.method, p.status, p.header, p.excerpt, p.ended = req.URL, req.Method, 0, nil, nil, nil
	if res != nil {
		p.status, p.header = res.StatusCode, res.Header
	}
}

// A watchedBody notes the body's beginning and its end, and runs the watchdog
// while a read waits: time that our own writer takes does not count.
type watchedBody struct {
	io.ReadCloser
	p *probe
}

func (b *watchedBody) Read(buf []byte) (int, error) {
	b.p.dog.start()
	n, err := b.ReadCloser.Read(buf)
	b.p.dog.stop()
	b.p.mu.Lock()
	defer b.p.mu.Unlock()
	if room := excerptSize - len(b.p.excerpt); room > 0 {
		b.p.excerpt = append(b.p.excerpt, buf[:min(n, room)]...)
	}
	if err != nil {
		b.p.ended = err
	}
	return n, err
}

// A watchdog cancels a call when it waits for the server longer than limit.
type watchdog struct {
	limit  time.Duration
	cancel context.CancelCauseFunc

	mu    sync.Mutex
	timer *time.Timer
	body  bool // the answer's header is there: only reads of its body count
}

func (d *watchdog) start() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.arm()
}

func (d *watchdog) arm() {
	if d.timer == nil {
		d.timer = time.AfterFunc(d.limit, func() { d.cancel(fmt.Errorf("%w: nothing for %s", errStalled, d.limit)) })
		return
	}
	d.timer.Reset(d.limit)
}

func (d *watchdog) stop() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timer != nil {
		d.timer.Stop()
	}
}

// answered says that the header of an answer arrived, or that there is none.
func (d *watchdog) answered() {
	d.stop()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.body = true
}

// traced returns ctx with the watchdog running from when a request is written
// until the answer begins. The RoundTripper beneath may take as long as it
// likes otherwise: it may be waiting for a rate limit to pass.
func (d *watchdog) traced(ctx context.Context) context.Context {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.body = false
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		WroteRequest: func(httptrace.WroteRequestInfo) {
			d.mu.Lock()
			defer d.mu.Unlock()
			if !d.body { // else the answer was faster than the request
				d.arm()
			}
		},
		GotFirstResponseByte: d.stop,
	})
}
