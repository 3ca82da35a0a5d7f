package github

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"mayfly/internal/githubtest"
	"mayfly/internal/gittest"
	"mayfly/internal/secret"
)

// asApp returns a world whose GitHub knows an app, and a job that is its.
func asApp(t *testing.T) (*world, *Config) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, func(o *githubtest.Options) {
		o.App = &githubtest.App{ID: 7, Installation: 77, Key: &key.PublicKey}
	})
	w.app = string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}))
	return w, &Config{Owners: []string{"me"}, URL: w.url, App: &App{ID: 7, Installation: 77, Key: secret.Ref{Scheme: "env", Name: "KEY"}}}
}

// answer is a listing that GitHub did not mean.
func answer(path, body string) githubtest.Fault {
	return githubtest.Fault{Path: path, Status: 200, Body: body, Header: http.Header{"Content-Type": {"application/json"}}}
}

// TestListingThatIsNotWhole: what GitHub counts and its listing lacks keeps
// the job from being complete, whoever asks.
func TestListingThatIsNotWhole(t *testing.T) {
	t.Parallel()
	const inner = `[{"id":5,"full_name":"acme/inner","name":"inner","private":true,"owner":{"login":"acme"}}]`
	for _, tt := range []struct {
		name, owner string
		app         bool
		fault       githubtest.Fault
		want        string
	}{
		{"empty", "octo", false, answer("/user/repos", "[]"), "holds none"},
		{"null", "octo", false, answer("/user/repos", "null"), "not a list"},
		{"empty for me", "me", false, answer("/user/repos", "[]"), "holds none"},
		{"null for me", "me", false, answer("/user/repos", "null"), "not a list"},
		{"empty organization", "acme", false, answer("/orgs/acme/repos", "[]"), "holds none"},
		{"public ones of an organization", "acme", false, answer("/orgs/acme/repos", inner), ""},
		{"empty user", "zed", false, answer("/users/zed/repos", "[]"), "holds none"},
		{"nobody", "octo", false, answer("/user", "null"), "names no account"},
		{"no user", "zed", false, answer("/users/zed", "null"), "names no account"},
		{"no organization", "acme", false, answer("/orgs/acme", "null"), "names no organization"},
		{"empty installation", "me", true, answer("/installation/repositories", `{"total_count":3,"repositories":[]}`), "was given 3 repositories, and the listing holds 0"},
		{"installation without a list", "me", true, answer("/installation/repositories", `{"total_count":3}`), "not a list"},
		{"null installation", "me", true, answer("/installation/repositories", "null"), "not a list"},
		{"void installation", "me", true, answer("/installation/repositories", `{"total_count":0,"repositories":[]}`), "there is none"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			c := w.config()
			if tt.app {
				w, c = asApp(t)
			}
			crowd(w)
			c.Owners = []string{tt.owner}
			w.srv.Fail(tt.fault)
			rep, err := w.run(c)
			if tt.want == "" {
				if err != nil || len(rep.Items) != 2 {
					t.Errorf("%d items, error %v", len(rep.Items), err)
				}
				return
			}
			if err == nil || rep.Expected >= 0 {
				t.Fatalf("error %v, expected %d", err, rep.Expected)
			}
			contains(t, "error", err.Error(), tt.want)
		})
	}
}

// TestPublicOnesAreMissing: everyone sees public repositories. The others are
// backed up all the same.
func TestPublicOnesAreMissing(t *testing.T) {
	t.Parallel()
	for _, owner := range []string{"octo", "me", "acme", "zed"} {
		t.Run(owner, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			crowd(w)
			w.repo("zed/more", gittest.Empty)
			for _, n := range []string{"octo/plain", "acme/tool", "zed/public"} {
				w.srv.Set(n, githubtest.Attributes{Hidden: true})
			}
			c := w.config()
			c.Owners = []string{owner}
			rep, err := w.run(c)
			if err == nil || rep.Expected >= 0 || len(rep.Items) == 0 {
				t.Fatalf("error %v, expected %d, %d items", err, rep.Expected, len(rep.Items))
			}
			contains(t, "error", err.Error(), "public repositories are counted", "listing holds")
		})
	}
}

// TestDeletedMeanwhile: one that is deleted between the count and the listing
// is not missing.
func TestDeletedMeanwhile(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	crowd(w)
	w.srv.Fail(githubtest.Fault{Path: "/user/repos", Times: 1, Before: func() {
		if err := w.srv.Rename("octo/plain", "elsewhere/plain"); err != nil {
			t.Error(err)
		}
	}})
	if rep := w.mustRun(w.config()); len(rep.Items) != 3 || len(rep.Warnings) > 0 {
		t.Errorf("%d items, warnings %v", len(rep.Items), rep.Warnings)
	}
}

// TestOwnerWithoutRepositories is a warning beside others, and an error alone:
// a job that backs up nothing is not complete.
func TestOwnerWithoutRepositories(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *githubtest.Options) { o.Organizations = []string{"acme", "void"} })
	crowd(w)
	c := w.config()
	c.Owners = []string{"void", "acme"}
	rep := w.mustRun(c)
	if len(rep.Warnings) != 1 || !strings.Contains(rep.Warnings[0].String(), "void: there is none") {
		t.Errorf("warnings %v", rep.Warnings)
	}
	c.Owners = []string{"void"}
	rep, err := w.run(c)
	if err == nil || rep.Expected >= 0 {
		t.Fatalf("error %v, expected %d", err, rep.Expected)
	}
	contains(t, "error", err.Error(), "list the repositories of void: there is none")
}

// stripLink takes the header that names the next page, as some proxies do.
func stripLink(base http.RoundTripper) http.RoundTripper {
	return roundTrip(func(r *http.Request) (*http.Response, error) {
		resp, err := base.RoundTrip(r)
		if err == nil {
			resp.Header.Del("Link")
		}
		return resp, err
	})
}

// TestLostLinks: a full page without a Link header is not taken for the last.
func TestLostLinks(t *testing.T) {
	t.Parallel()
	for _, n := range []int{99, 100, 101, 250, 300} {
		l := &listing{client: newClient(stripLink(many(n)), endpoints{api: &url.URL{Scheme: "https", Host: "api.github.com", Path: "/"}}), config: &Config{Owners: []string{"octocat"}}}
		all, err := l.list(t.Context())
		if err != nil || len(all) != n {
			t.Errorf("%d of %d: %v", len(all), n, err)
		}
	}
}

// TestRepeatedPage: a server that gives the same page for ever is noticed.
func TestRepeatedPage(t *testing.T) {
	t.Parallel()
	base := stripLink(many(100))
	first := roundTrip(func(r *http.Request) (*http.Response, error) {
		r = r.Clone(r.Context())
		r.URL.RawQuery = strings.Replace(r.URL.RawQuery, "page=2", "page=1", 1)
		return base.RoundTrip(r)
	})
	l := &listing{client: newClient(first, endpoints{api: &url.URL{Scheme: "https", Host: "api.github.com", Path: "/"}}), config: &Config{Owners: []string{"octocat"}}}
	if _, err := l.list(t.Context()); err == nil || !strings.Contains(err.Error(), "not on the pages before") {
		t.Errorf("error %v", err)
	}
}
