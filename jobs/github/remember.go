package github

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"mayfly/internal/store"
)

// maxRemembered bounds what is kept of listings: pages beyond it are asked
// for anew every time. About 3,000 repositories.
const maxRemembered = 4 << 20

// A memory keeps pages of listings between runs, so that the next run can ask
// "only if it changed": such an answer does not count against the rate limit
// (https://docs.github.com/rest/using-the-rest-api/best-practices-for-using-the-rest-api).
// It is an http.RoundTripper around the one that talks to GitHub. It is a
// cache: without it, a run only takes more requests.
type memory struct {
	next http.RoundTripper
	st   store.Store
	key  string
	who  string // pages are kept for: another asks for everything anew

	mu      sync.Mutex
	version store.ETag          // of the object in the store, "" when there is none
	known   map[string]pageKept // by URL
	used    map[string]pageKept // those of this run; nil after save
	changed bool
}

// remembered is the object in the store.
type remembered struct {
	For   string              `json:"for"`
	Pages map[string]pageKept `json:"pages"`
}

// pageKept is one answer.
type pageKept struct {
	ETag string          `json:"etag"`
	Link string          `json:"link"`
	Sum  string          `json:"sha256"` // of all the others: GitHub vouches for the ETag, not for what the store made of the page
	Body json.RawMessage `json:"body"`
}

func (p pageKept) sum() string {
	h := sha256.New()
	fmt.Fprintf(h, "%q %q ", p.ETag, p.Link)
	h.Write(p.Body)
	return hex.EncodeToString(h.Sum(nil))
}

// remember reads what the last run kept for who. What cannot be read, is
// damaged or was kept for another is forgotten.
func remember(ctx context.Context, next http.RoundTripper, st store.Store, key, who string) (*memory, error) {
	m := &memory{next: next, st: st, key: key, who: who, used: map[string]pageKept{}}
	r, o, err := st.Open(ctx, key, 0, -1)
	if errors.Is(err, store.ErrNotExist) {
		return m, nil
	}
	if err != nil {
		return m, fmt.Errorf("read %s: %w", st.URL(key), err)
	}
	defer r.Close()
	m.version = o.ETag
	b, err := io.ReadAll(io.LimitReader(r, 2*maxRemembered))
	var was remembered
	if err == nil {
		err = json.Unmarshal(b, &was)
	}
	if err != nil {
		return m, fmt.Errorf("read %s: %w", st.URL(key), err)
	}
	if was.For == who {
		m.known = was.Pages
	}
	return m, nil
}

// RoundTrip asks whether the answer is still what it was, and if so gives that.
func (m *memory) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Method != http.MethodGet {
		return m.next.RoundTrip(req)
	}
	url := req.URL.String()
	m.mu.Lock()
	kept, ok := m.known[url]
	m.mu.Unlock()
	if ok = ok && kept.ETag != "" && kept.Sum == kept.sum(); ok {
		req = req.Clone(req.Context())
		req.Header.Set("If-None-Match", kept.ETag)
	}
	resp, err := m.next.RoundTrip(req)
	switch {
	case err != nil:
		return nil, err
	case ok && resp.StatusCode == http.StatusNotModified:
		resp.Body.Close()
		m.keep(url, kept, false)
		return kept.answer(resp), nil
	case resp.StatusCode == http.StatusOK && resp.Header.Get("ETag") != "" && hasNext(resp.Header.Get("Link")):
		return resp, m.take(url, resp)
	}
	return resp, nil
}

// hasNext reports whether a Link header names a next page. Only such pages are
// kept. Whether there is more after the last page stands in this header alone:
// its body, and so its ETag, stays the same when another page begins behind
// it, and what is on that one would be missed.
func hasNext(link string) bool { return strings.Contains(link, `rel="next"`) }

// answer makes the kept page the answer to the request.
func (p pageKept) answer(resp *http.Response) *http.Response {
	resp.StatusCode, resp.Status = http.StatusOK, "200 OK"
	resp.Header.Set("Content-Type", "application/json; charset=utf-8")
	resp.Header.Set("Content-Length", strconv.Itoa(len(p.Body)))
	if resp.Header.Get("Link") == "" {
		resp.Header.Set("Link", p.Link)
	}
	resp.ContentLength = int64(len(p.Body))
	resp.Body = io.NopCloser(bytes.NewReader(p.Body))
	return resp
}

// take keeps an answer, shortened: what must not lie in the store goes.
func (m *memory) take(url string, resp *http.Response) error {
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	resp.Body = io.NopCloser(bytes.NewReader(b))
	body, err := shorten(b)
	if err != nil {
		return err
	}
	p := pageKept{ETag: resp.Header.Get("ETag"), Link: resp.Header.Get("Link"), Body: body}
	p.Sum = p.sum()
	m.keep(url, p, true)
	return nil
}

func (m *memory) keep(url string, p pageKept, isNew bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	size := len(p.Body)
	for _, u := range m.used {
		size += len(u.Body)
	}
	if m.used == nil || size > maxRemembered {
		return
	}
	m.used[url] = p
	m.changed = m.changed || isNew
}

// forget frees the pages; from here on requests pass unchanged. m.mu is held.
func (m *memory) forget() { m.known, m.used = nil, nil }

// drop is save for a listing that failed.
func (m *memory) drop() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.forget()
}

// save keeps this run's pages for the next, and frees their memory. A run that
// saved meanwhile wins.
func (m *memory) save(ctx context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	defer m.forget()
	if !m.changed && len(m.used) == len(m.known) {
		return nil
	}
	b, err := json.Marshal(remembered{m.who, m.used})
	if err != nil {
		return err
	}
	_, err = m.st.Put(ctx, m.key, b, m.version)
	if errors.Is(err, store.ErrChanged) || errors.Is(err, store.ErrExists) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", m.st.URL(m.key), err)
	}
	return nil
}
