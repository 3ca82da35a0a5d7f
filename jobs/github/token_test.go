package github

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"mayfly/internal/githubtest"
	"mayfly/internal/gittest"
	"mayfly/internal/secret"
	"mayfly/runner"
)

// TestApp authenticates as a GitHub App, whose tokens end before the run does.
func TestApp(t *testing.T) {
	t.Parallel()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	app := &githubtest.App{ID: 7, Installation: 77, Key: &key.PublicKey, Life: renewBefore - time.Minute} // always about to end
	w := newWorld(t, func(o *githubtest.Options) { o.App = app })
	crowd(w)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for _, block := range []*pem.Block{
		{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)},
		{Type: "PRIVATE KEY", Bytes: pkcs8},
	} {
		w.app = string(pem.EncodeToMemory(block))
		rep, err := w.run(&Config{Owners: []string{"octo"}, URL: w.url, App: &App{ID: 7, Installation: 77, Key: secret.Ref{Scheme: "env", Name: "KEY"}}})
		if err != nil {
			t.Fatal(err)
		}
		if len(rep.Items) != 4 {
			t.Errorf("items %v", rep.Items)
		}
	}
	n := 0
	for _, r := range w.srv.Requests() {
		if strings.HasPrefix(r, "POST /app/installations/77/access_tokens") {
			n++
		}
	}
	if n < 4 {
		t.Errorf("asked for %d tokens although each was about to end", n)
	}
	_, err = w.run(&Config{Owners: []string{"me"}, URL: w.url, App: &App{ID: 8, Installation: 77, Key: secret.Ref{Scheme: "env", Name: "KEY"}}})
	if err == nil {
		t.Fatal("another app's id was taken")
	}
	contains(t, "error", err.Error(), "installation 77", "app's id, installation and key")
	w.app = "not a key"
	_, err = w.run(&Config{Owners: []string{"me"}, URL: w.url, App: &App{ID: 7, Installation: 77, Key: secret.Ref{Scheme: "env", Name: "KEY"}}})
	if err == nil || strings.Contains(err.Error(), w.app) {
		t.Fatal(err)
	}
	contains(t, "error", err.Error(), "not a PEM file")
}

// TestAppTokenEndsInMidRun: more than an hour passes while the first repository
// is fetched. GitHub takes the token of the beginning no longer, over REST and
// git alike.
func TestAppTokenEndsInMidRun(t *testing.T) {
	t.Parallel()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	clock := &fakeClock{base: time.Now()}
	w := newWorld(t, func(o *githubtest.Options) {
		o.App = &githubtest.App{ID: 7, Installation: 77, Key: &key.PublicKey, Now: clock.now}
	})
	w.clock = clock
	w.app = string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}))
	names := []string{"octo/a", "octo/b", "octo/c"}
	for _, n := range names {
		w.repo(n, gittest.Normal)
		w.srv.Set(n, githubtest.Attributes{Private: true})
		w.srv.Git.Fail(n, gittest.Fault{Step: gittest.Pack, Times: 1, Before: func() {
			if err := clock.sleep(t.Context(), 61*time.Minute); err != nil {
				t.Error(err)
			}
		}})
	}
	rep := w.mustRun(&Config{Owners: []string{"octo"}, URL: w.url, Parallel: 1, App: &App{ID: 7, Installation: 77, Key: secret.Ref{Scheme: "env", Name: "KEY"}}})
	want(t, rep, outcomes(runner.Changed, names...))
	// One for the listing and the first repository, one for each of the others.
	if n := strings.Count(fmt.Sprint(w.srv.Requests()), "access_tokens"); n != 3 {
		t.Errorf("asked for %d tokens, want 3", n)
	}
}

// TestAppTokenIsKept: one that lasts is asked for once.
func TestAppTokenIsKept(t *testing.T) {
	t.Parallel()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, func(o *githubtest.Options) {
		o.App = &githubtest.App{ID: 7, Installation: 77, Key: &key.PublicKey}
	})
	crowd(w)
	w.app = string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}))
	rep := w.mustRun(&Config{Owners: []string{"me"}, URL: w.url, App: &App{ID: 7, Installation: 77, Key: secret.Ref{Scheme: "env", Name: "KEY"}}})
	if len(rep.Items) != 8 {
		t.Errorf("items %v", rep.Items)
	}
	if n := strings.Count(fmt.Sprint(w.srv.Requests()), "access_tokens"); n != 1 {
		t.Errorf("asked for %d tokens", n)
	}
}

// TestAppSecretsAreHidden: what the job signs and what GitHub gives it for that
// were no secrets of the config.
func TestAppSecretsAreHidden(t *testing.T) {
	t.Parallel()
	w, c := asApp(t)
	w.repo("octo/a", gittest.Normal)
	base := w.base
	w.base = roundTrip(func(r *http.Request) (*http.Response, error) { // a gateway that shows what it got
		if !strings.Contains(r.URL.Path, ".git/") {
			return base.RoundTrip(r)
		}
		_, password, _ := r.BasicAuth()
		text := "blocked: " + r.Header.Get("Authorization") + " password " + password
		return &http.Response{StatusCode: 403, Header: http.Header{"Content-Type": {"text/plain"}}, Body: io.NopCloser(strings.NewReader(text)), Request: r}, nil
	})
	hidden := new(secret.Redactor)
	var values []string
	env := w.env()
	env.Redact = hidden.Redact
	env.Hide = func(v secret.Value) {
		values = append(values, v.Reveal())
		if err := hidden.Add(v); err != nil {
			t.Error(err)
		}
	}
	made, err := c.New(env)
	if err != nil {
		t.Fatal(err)
	}
	made.(*job).clock = clock{w.clock.now, w.clock.sleep}
	rec := runner.NewRecorder(discard(), time.Now)
	if err := made.Run(t.Context(), rec); err != nil {
		t.Fatal(err)
	}
	items := want(t, rec.Snapshot(), outcomes(runner.Failed, "octo/a"))
	if len(values) != 2 || strings.Count(values[0], ".") != 2 || !strings.HasPrefix(values[1], "ghs_") {
		t.Fatalf("hidden: %d values", len(values))
	}
	if text := items["octo/a"].Problem.String(); strings.Contains(text, "ghs_") || !strings.Contains(text, "[secret]") {
		t.Errorf("problem %q", text)
	}
}
