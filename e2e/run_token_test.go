//go:build e2e

package e2e

import (
	"archive/zip"
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"mayfly/internal/awstest"
	"mayfly/internal/githubtest"
	"mayfly/internal/gittest"
	"mayfly/internal/s3test"
)

// spellings are the texts in which somebody could read the token.
func spellings(token string) map[string]string {
	all := map[string]string{
		"plain":                        token,
		"hex":                          hex.EncodeToString([]byte(token)),
		"HEX":                          strings.ToUpper(hex.EncodeToString([]byte(token))),
		"query":                        url.QueryEscape(token),
		"path":                         url.PathEscape(token),
		"query, lower":                 lowerHex(url.QueryEscape(token)),
		"path, lower":                  lowerHex(url.PathEscape(token)),
		"userinfo":                     url.UserPassword("x", token).String()[2:],
		"JSON":                         strings.ReplaceAll(token, "&", `\u0026`),
		"JSON, slashes escaped":        strings.ReplaceAll(token, "/", `\/`),
		"the token's end, 16 bytes":    token[len(token)-16:],
		"the token's middle, 16 bytes": token[8:24],
	}
	for name, b := range map[string]string{"the token": token, "user and token": "x-access-token:" + token, "token, escaped": url.QueryEscape(token)} {
		for shift := range 3 {
			// The digits that its neighbours have no part in.
			padded := strings.Repeat("\x00", shift) + b
			first, last := (8*shift+5)/6, 8*len(padded)/6
			all[fmt.Sprintf("base64 of %s, after %d bytes", name, shift)] = base64.RawStdEncoding.EncodeToString([]byte(padded))[first:last]
			all[fmt.Sprintf("base64url of %s, after %d bytes", name, shift)] = base64.RawURLEncoding.EncodeToString([]byte(padded))[first:last]
		}
	}
	return all
}

func lowerHex(s string) string {
	for i := 0; i+2 < len(s); i++ {
		if s[i] == '%' {
			s = s[:i] + strings.ToLower(s[i:i+3]) + s[i+3:]
		}
	}
	return s
}

// leaks names the spellings of the token that are in b.
func leaks(b []byte) []string {
	var found []string
	for name, s := range spellings(runToken) {
		if bytes.Contains(b, []byte(s)) {
			found = append(found, name)
		}
	}
	return found
}

// The search itself finds what it should.
func TestLeaksAreFound(t *testing.T) {
	for before := range 3 {
		for _, secret := range []string{runToken, "x-access-token:" + runToken} {
			text := []byte("abc"[:before] + secret + "xyz")
			for _, e := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding, base64.RawStdEncoding, base64.RawURLEncoding} {
				if len(leaks([]byte("{"+e.EncodeToString(text)+"}"))) == 0 {
					t.Errorf("base64 of %q is not found", text)
				}
			}
			if len(leaks(text)) == 0 || len(leaks([]byte(hex.EncodeToString(text)))) == 0 || len(leaks([]byte(url.QueryEscape(string(text))))) == 0 {
				t.Errorf("%q is not found", text)
			}
		}
	}
	if found := leaks([]byte("github_pat_ and nothing else, ssm:/e2e/github-token")); len(found) > 0 {
		t.Errorf("found %v", found)
	}
}

// An outsider is where a redirect leads: it serves the repositories too, and
// remembers what it was told.
type outsider struct {
	*httptest.Server
	mu    sync.Mutex
	heard bytes.Buffer
	asked int
}

func newOutsider(t *testing.T, git http.Handler) *outsider {
	o := &outsider{}
	o.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		user, password, _ := r.BasicAuth()
		o.mu.Lock()
		o.asked++
		fmt.Fprintln(&o.heard, r.Method, r.URL, r.Header, user, password, string(body))
		o.mu.Unlock()
		git.ServeHTTP(w, r)
	}))
	t.Cleanup(o.Close)
	return o
}

// echo is what a careless server or proxy says: everything it was sent.
func echo() string {
	both := "x-access-token:" + runToken
	return fmt.Sprintf("refused: Authorization: Bearer %s; Basic %s; https://x-access-token:%s@host/?t=%s (%s)",
		runToken, base64.StdEncoding.EncodeToString([]byte(both)), url.PathEscape(runToken), url.QueryEscape(runToken),
		base64.URLEncoding.EncodeToString([]byte(runToken)))
}

// Whatever goes wrong, and whatever the servers say, the token is in nothing
// that a run leaves behind.
func TestTokenAppearsNowhere(t *testing.T) {
	t.Parallel()
	cases := []*tokenCase{
		{name: "verbose", args: []string{"run", "-v"}, listed: true, s3: true},
		{name: "plain", args: []string{"run"}, listed: true, sns: true, s3: true},
		{name: "quiet, and a store with faults", args: []string{"run", "--quiet", "-v"}, listed: true},
		{name: "no listing", args: []string{"run", "-v"}, s3: true},
	}
	for _, c := range cases { // at once: most of the time is spent in waits between tries
		c.start(t)
	}
	for _, c := range cases {
		t.Run(c.name, c.check)
	}
}

// A tokenCase is one run with faults.
type tokenCase struct {
	name   string
	args   []string
	listed bool // the listing works
	sns    bool // the topic takes the report
	s3     bool // the store works

	world   *world
	other   *outsider
	bucket  *s3test.Server
	process *process
}

func (c *tokenCase) start(t *testing.T) {
	t.Helper()
	w := newWorld(t)
	c.world, c.other, c.bucket = w, troubled(w), s3test.New(runBucket)
	t.Cleanup(c.bucket.Close)
	w.s3 = c.bucket.URL()
	if !c.s3 {
		c.bucket.Fault = func(r *s3test.Request) s3test.Fault {
			switch {
			case strings.Contains(r.Key, "/good/"), r.Op == "PutObject" && strings.Contains(r.Key, "/report."):
				return s3test.Fault{Status: 403, Code: "AccessDenied", Message: echo()}
			case r.Op == "PutObject" && r.N%2 == 0 && strings.Contains(r.Key, "/log/"):
				return s3test.Fault{Status: 503, Code: "SlowDown", Message: echo()}
			}
			return s3test.Fault{}
		}
	}
	if !c.sns {
		w.aws.SetFault("sns:Publish", awstest.Fault{Status: 403, Code: "AuthorizationError", Text: echo()})
	}
	if !c.listed {
		w.github.Fail(githubtest.Fault{Path: "/user/repos", Status: 403, Body: fmt.Sprintf(`{"message": %q}`, echo())})
	}
	c.process = w.start(w.config(s3Store), c.args...)
}

func (c *tokenCase) check(t *testing.T) {
	r := c.process.wait()
	if want := map[bool]int{true: 3, false: 1}[c.listed && c.sns && c.s3]; r.code != want {
		t.Errorf("want exit code %d: %s", want, r)
	}
	if !c.sns && len(c.world.aws.Messages()) > 0 {
		t.Error("the topic took the report")
	}
	search(t, c.world, r, c.bucket)
	c.other.mu.Lock()
	defer c.other.mu.Unlock()
	if found := leaks(c.other.heard.Bytes()); len(found) > 0 {
		t.Errorf("another host was told the token (%v):\n%s", found, &c.other.heard)
	}
	if c.listed && c.other.asked == 0 {
		t.Error("no redirect was followed: this tests nothing")
	}
	// What the servers said did come through, without the token.
	has(t, "the report", r.out, "[secret]")
	if c.listed {
		has(t, "the report", r.out, "octo/unauthorized", "octo/forbidden", "octo/dmca", "octo/corrupt", "octo/cut")
	}
}

// search looks for the token in all that the run left behind.
func search(t *testing.T, w *world, r result, bucket *s3test.Server) {
	t.Helper()
	seen := func(where string, b []byte) {
		if found := leaks(b); len(found) > 0 {
			if len(b) > 5000 {
				b = b[:5000]
			}
			t.Errorf("%s has the token (%s):\n%s", where, strings.Join(found, ", "), b)
		}
	}
	seen("stdout", []byte(r.out))
	seen("stderr", []byte(r.err))
	for _, a := range r.argv {
		seen("argv", []byte(a))
	}
	if len(r.argv) == 0 {
		t.Error("no argv was seen")
	}
	for _, m := range w.aws.Messages() {
		seen("the mail", []byte(m.Subject+"\n"+m.Body))
	}
	zips := 0
	for _, o := range bucket.Dump() {
		seen(o.Key, []byte(o.Key))
		seen(o.Key, o.Body)
		seen(o.Key+" metadata", []byte(fmt.Sprint(o.Meta)))
		if strings.HasSuffix(o.Key, ".zip") {
			zips++
			entries(t, o.Body, func(name string, b []byte) { seen(o.Key+" "+name, b) })
		}
	}
	t.Logf("%d objects, %d of them segments", len(bucket.Dump()), zips)
	for _, f := range filesBelow(t, filepath.Join(w.dir, "home")) {
		t.Errorf("%s was left in home", f)
	}
	for _, f := range filesBelow(t, filepath.Join(w.dir, "work")) {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		seen(f, b)
	}
}

func entries(t *testing.T, b []byte, each func(name string, b []byte)) {
	t.Helper()
	z, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Error(err)
		return
	}
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			t.Error(err)
			continue
		}
		content, err := io.ReadAll(r)
		r.Close()
		if err != nil {
			t.Error(err)
		}
		each(f.Name, content)
	}
}

// troubled fills a world with repositories of which most have a fault. What
// servers say with it holds the token.
func troubled(w *world) *outsider {
	w.t.Helper()
	faults := map[string]gittest.Fault{
		"good":         {},
		"unauthorized": {Status: 401, Body: echo()},
		"forbidden":    {Status: 403, Body: echo()},
		"limited":      {Times: 1, Status: 429, Body: echo(), Header: [2]string{"Retry-After", "1"}},
		"teapot":       {Status: 418, Body: echo()},
		"server":       {Times: 2, Status: 503, Body: echo()},
		"cut":          {Step: gittest.Pack, Cut: &gittest.Cut{After: 3000}},
		"cut-cleanly":  {Step: gittest.Pack, Cut: &gittest.Cut{After: 3000, Clean: true}},
		"corrupt":      {Step: gittest.Pack, Corrupt: true},
		"dmca":         gittest.Blocked("https://x-access-token:" + url.PathEscape(runToken) + "@github.com/dmca"),
		"portal":       {Status: 200, Type: "text/html", Body: echo()},
		"packet":       {Status: 200, Type: "application/x-git-upload-pack-advertisement", Body: "001e# service=git-upload-pack\n0000" + errPacket(echo())},
	}
	for name := range faults {
		w.repo(name, gittest.Normal)
	}
	w.repo("moved", gittest.Normal)
	w.repo("good.wiki", gittest.Wiki)
	w.repo("elsewhere", gittest.Normal)
	other := newOutsider(w.t, gittest.New(filepath.Join(w.dir, "github")))
	for name, f := range faults {
		if name != "good" {
			w.github.Git.Fail(runOwner+"/"+name, f)
		}
	}
	w.github.Git.Fail(runOwner+"/elsewhere", gittest.Fault{Step: gittest.Advertise, Status: 302,
		Header: [2]string{"Location", other.URL + "/" + runOwner + "/elsewhere.git/info/refs?service=git-upload-pack"}})
	w.github.Git.Fail(runOwner+"/moved", gittest.Fault{Step: gittest.Pack, Status: 307,
		Header: [2]string{"Location", other.URL + "/" + runOwner + "/moved.git/git-upload-pack"}})
	w.github.Git.Fail(runOwner+"/good.wiki", gittest.Fault{Status: 500, Times: 1, Body: echo()})
	secondary := githubtest.SecondaryLimit("/user/repos", 403, time.Second)
	secondary.Times = 1
	w.github.Fail(
		githubtest.Fault{Path: "/user/repos", Times: 1, Status: 502, Body: echo()},
		secondary,
	)
	return other
}

func errPacket(text string) string { return fmt.Sprintf("%04xERR %s", 8+len(text), text) }
