package github

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	gh "github.com/google/go-github/v57/github"

	"mayfly/internal/secret"
)

// A tokenSource gives the token to send now; the zero Value means: send none.
type tokenSource interface {
	token(context.Context) (secret.Value, error)
}

// fixedToken is a personal access token, or none.
type fixedToken struct{ v secret.Value }

func (t fixedToken) token(context.Context) (secret.Value, error) { return t.v, nil }

// renewBefore is how long before its end an installation token is replaced.
// They last one hour
// (https://docs.github.com/apps/creating-github-apps/authenticating-with-a-github-app/generating-an-installation-access-token-for-a-github-app).
const renewBefore = 5 * time.Minute

// appToken renews an installation token of a GitHub App when it is about to
// expire, so that runs longer than an hour keep their access.
type appToken struct {
	installation int64
	client       *gh.Client // authenticates as the app
	now          func() time.Time
	hide         func(secret.Value)

	mu      sync.Mutex
	current secret.Value
	expires time.Time
}

func (t *appToken) token(ctx context.Context) (secret.Value, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.current.IsZero() && t.now().Before(t.expires.Add(-renewBefore)) {
		return t.current, nil
	}
	it, _, err := t.client.Apps.CreateInstallationToken(ctx, t.installation, nil)
	if err != nil {
		return secret.Value{}, fmt.Errorf("get a token for installation %d of the app: %w", t.installation, err)
	}
	if it.GetToken() == "" {
		return secret.Value{}, fmt.Errorf("get a token for installation %d of the app: the answer holds none", t.installation)
	}
	t.current, t.expires = secret.New(it.GetToken()), it.GetExpiresAt().Time
	t.hide(t.current)
	return t.current, nil
}

// appSigner is the token source for the app itself: a short-lived JSON Web
// Token signed with the app's key (RFC 7519, RS256).
type appSigner struct {
	id   int
	key  *rsa.PrivateKey
	now  func() time.Time
	hide func(secret.Value)
}

func (s appSigner) token(context.Context) (secret.Value, error) {
	// A minute back for clocks that differ; at most ten minutes are allowed
	// (https://docs.github.com/apps/creating-github-apps/authenticating-with-a-github-app/generating-a-json-web-token-jwt-for-a-github-app).
	claims, err := json.Marshal(map[string]any{
		"iat": s.now().Add(-time.Minute).Unix(),
		"exp": s.now().Add(8 * time.Minute).Unix(),
		"iss": strconv.Itoa(s.id),
	})
	if err != nil {
		return secret.Value{}, err
	}
	b64 := base64.RawURLEncoding.EncodeToString
	signing := b64([]byte(`{"alg":"RS256","typ":"JWT"}`)) + "." + b64(claims)
	sum := sha256.Sum256([]byte(signing))
	sig, err := rsa.SignPKCS1v15(rand.Reader, s.key, crypto.SHA256, sum[:])
	if err != nil {
		return secret.Value{}, fmt.Errorf("sign as app %d: %w", s.id, err)
	}
	v := secret.New(signing + "." + b64(sig))
	s.hide(v)
	return v, nil
}

// parseKey reads the PEM file GitHub hands out (PKCS #1) or its PKCS #8 form.
// Its errors never hold the text.
func parseKey(v secret.Value) (*rsa.PrivateKey, error) {
	block, _ := pem.Decode([]byte(strings.TrimSpace(v.Reveal()) + "\n"))
	if block == nil {
		return nil, errors.New("read the app's private key: not a PEM file: store the whole .pem file that GitHub gave you")
	}
	if k, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
		return k, nil
	}
	k, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if rk, ok := k.(*rsa.PrivateKey); ok && err == nil {
		return rk, nil
	}
	return nil, errors.New("read the app's private key: not an RSA key: store the .pem file that GitHub gave you")
}

// newClient is a REST client on rt. go-github's own rate limit check is deaf
// to cancellation and refuses instead of waiting; it never acts here, because
// the transport keeps the headers it goes by.
func newClient(rt http.RoundTripper, e endpoints) *gh.Client {
	c := gh.NewClient(&http.Client{Transport: rt})
	c.BaseURL = e.api
	c.UserAgent = ""
	return c
}
