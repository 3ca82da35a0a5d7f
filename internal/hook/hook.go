// Package hook tells services outside AWS how a run went: dead man's switches
// that expect a ping, and webhooks that take the report. Addresses count as
// secrets, for whoever knows one can speak in the run's name: no error holds
// one.
package hook

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"
)

const (
	tries   = 3
	between = 500 * time.Millisecond
	oneTry  = 5 * time.Second
)

// A Sender posts. The zero Sender uses Go's default transport.
type Sender struct {
	HTTP  http.RoundTripper
	Agent string // the User-Agent, "mayfly/1.2.3"
}

// CheckAddress says what is wrong with an address, or nothing: it is https, or
// http on this machine or a private network.
func CheckAddress(address string) error {
	u, err := url.Parse(address)
	switch {
	case err != nil || u.Host == "":
		return errors.New("it is not an address: store one like https://hc-ping.com/UUID there")
	case u.Scheme == "http" && near(u.Hostname()), u.Scheme == "https":
		return nil
	}
	return errors.New("it would be sent unencrypted: store an https address there; http is for this machine and private networks")
}

// near reports whether host is this machine or in a private network.
func near(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && (ip.IsLoopback() || ip.IsPrivate())
}

// Post sends a body to an address, until a 2xx answers or ctx ends, three times
// at most. Redirects are not followed: an answer from elsewhere is none. What
// the other side will not take the next time either (4xx but 408 and 429) is
// not tried again.
func (s Sender) Post(ctx context.Context, address string, header http.Header, body []byte) error {
	if err := CheckAddress(address); err != nil {
		return err
	}
	var last error
	for try := range tries {
		if try > 0 {
			select {
			case <-time.After(between << (2 * (try - 1))):
			case <-ctx.Done():
				return last
			}
		}
		again, err := s.once(ctx, address, header, body)
		err = hide(err, address)
		if err == nil {
			return nil
		}
		if last = err; !again || ctx.Err() != nil {
			break
		}
	}
	return last
}

func (s Sender) once(ctx context.Context, address string, header http.Header, body []byte) (again bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, oneTry)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return false, errors.New("it is not an address")
	}
	for name, values := range header {
		req.Header[name] = values
	}
	req.Header.Set("User-Agent", s.Agent)
	c := &http.Client{
		Transport:     s.HTTP,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	res, err := c.Do(req)
	if err != nil {
		return true, withoutAddress(err)
	}
	defer res.Body.Close()
	said, _ := io.ReadAll(io.LimitReader(res.Body, 300)) // for the error alone
	switch code := res.StatusCode; {
	case code >= 200 && code < 300:
		return false, nil
	case code >= 300 && code < 400:
		return false, fmt.Errorf("the server answers %d and names another address: store that one instead", code)
	case code == http.StatusNotFound || code == http.StatusGone:
		return false, fmt.Errorf("the server answers %d%s: check the address that is stored", code, quoted(said))
	default:
		again := code == http.StatusRequestTimeout || code == http.StatusTooManyRequests || code >= 500
		return again, fmt.Errorf("the server answers %d%s", code, quoted(said))
	}
}

// withoutAddress is why a request failed, without where to.
func withoutAddress(err error) error {
	var ue *url.Error
	if errors.As(err, &ue) {
		err = ue.Err
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("no answer within %s", oneTry)
	}
	return err
}

// quoted is what a server said, as one line.
func quoted(b []byte) string {
	s := strings.Join(strings.Fields(strings.ToValidUTF8(string(b), "?")), " ")
	if s == "" {
		return ""
	}
	return fmt.Sprintf(" (%.200s)", s)
}

// hide takes what an address consists of out of an error: servers repeat the
// path that they do not know, and so does Go where an answer makes no sense.
// Host names and short words are no secret.
func hide(err error, address string) error {
	if err == nil {
		return nil
	}
	const secret = 6 // letters that are worth hiding
	text := err.Error()
	u, perr := url.Parse(address)
	if perr != nil {
		return errors.New("the request failed")
	}
	pieces := strings.FieldsFunc(u.EscapedPath()+"/"+u.Path+"/"+u.RawQuery+"/"+u.User.String(), func(r rune) bool { return strings.ContainsRune("/?&=:@", r) })
	for _, values := range u.Query() {
		pieces = append(pieces, values...)
	}
	slices.SortFunc(pieces, func(a, b string) int { return len(b) - len(a) })
	for _, p := range pieces {
		if len(p) >= secret {
			text = strings.ReplaceAll(text, p, "[hidden]")
		}
	}
	if text == err.Error() {
		return err
	}
	return errors.New(text)
}
