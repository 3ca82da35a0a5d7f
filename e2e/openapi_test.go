//go:build e2e

package e2e

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"mayfly/internal/githubtest"
	"mayfly/internal/gittest"
)

// TestGitHubServerAgainstOpenAPI holds what the test server answers against
// GitHub's published description of its REST API (npm @octokit/openapi): each
// answer must fit the schema of its operation and status, and have no property
// that the schema does not know.
func TestGitHubServerAgainstOpenAPI(t *testing.T) {
	schemas := openAPI(t)
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	srv := githubtest.New(githubtest.Options{
		Dir: dir, Login: "octo", Token: "t0ken", Organizations: []string{"acme"}, PerPage: 2,
		App: &githubtest.App{ID: 7, Installation: 77, Key: &key.PublicKey},
	})
	url, err := srv.Listen()
	if err != nil {
		t.Fatal(err)
	}
	defer srv.Close()
	for _, n := range []string{"octo/a", "octo/private", "octo/old", "octo/gone", "acme/tool", "acme/empty"} {
		kind := gittest.Normal
		if n == "acme/empty" {
			kind = gittest.Empty
		}
		if err := gittest.Repo(srv.Git.Dir(n), kind); err != nil {
			t.Fatal(err)
		}
	}
	srv.Set("octo/private", githubtest.Attributes{Private: true, Fork: true, Archived: true})
	srv.Set("octo/gone", githubtest.Attributes{Blocked: "https://github.com/github/dmca"})
	if err := srv.Rename("octo/old", "octo/new"); err != nil {
		t.Fatal(err)
	}
	const token, none = "Bearer t0ken", ""
	tests := []struct {
		method, path, auth string
		operation          string // path of the description; "" takes path
		status             int
	}{
		{"GET", "/user", token, "", 200},
		{"GET", "/user", none, "", 401},
		{"GET", "/user", "Bearer wrong", "", 401},
		{"GET", "/user/repos", token, "", 200},
		{"GET", "/user/repos?page=2", token, "", 200},
		{"GET", "/user/repos", none, "", 401},
		{"GET", "/users/octo", token, "/users/{username}", 200},
		{"GET", "/users/acme", none, "/users/{username}", 200},
		{"GET", "/users/nobody", token, "/users/{username}", 404},
		{"GET", "/users/octo/repos", none, "/users/{username}/repos", 200},
		{"GET", "/orgs/acme", token, "/orgs/{org}", 200},
		{"GET", "/orgs/acme", none, "/orgs/{org}", 200},
		{"GET", "/orgs/octo", token, "/orgs/{org}", 404},
		{"GET", "/orgs/acme/repos", token, "/orgs/{org}/repos", 200},
		{"GET", "/repos/octo/a", token, "/repos/{owner}/{repo}", 200},
		{"GET", "/repos/octo/private", token, "/repos/{owner}/{repo}", 200},
		{"GET", "/repos/octo/private", none, "/repos/{owner}/{repo}", 404},
		{"GET", "/repos/octo/old", token, "/repos/{owner}/{repo}", 301},
		{"POST", "/app/installations/77/access_tokens", "app", "/app/installations/{installation_id}/access_tokens", 201},
		{"POST", "/app/installations/77/access_tokens", token, "/app/installations/{installation_id}/access_tokens", 401},
		{"POST", "/app/installations/78/access_tokens", "app", "/app/installations/{installation_id}/access_tokens", 404},
		{"GET", "/installation/repositories", "installation", "", 200},
		{"GET", "/installation/repositories", token, "", 403},
		{"GET", "/rate_limit", token, "", 200},
		{"GET", "/rate_limit", none, "", 200},
	}
	auth := map[string]string{"app": "Bearer " + jwt(t, key, 7)}
	auth["installation"] = "Bearer " + installationToken(t, url, auth["app"])
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	for _, tt := range tests {
		header := tt.auth
		if a, ok := auth[tt.auth]; ok {
			header = a
		}
		resp, body := ask(t, client, tt.method, url+"/api/v3"+tt.path, header)
		name := fmt.Sprintf("%s %s (%.12s)", tt.method, tt.path, tt.auth)
		if resp.StatusCode != tt.status {
			t.Errorf("%s: %s, want %d: %s", name, resp.Status, tt.status, body)
			continue
		}
		operation := tt.operation
		if operation == "" {
			operation, _, _ = strings.Cut(tt.path, "?")
		}
		got, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if err := schemas(operation, tt.method, tt.status).Validate(got); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if resp.Header.Get("X-RateLimit-Remaining") == "" || tt.status == 200 && resp.Header.Get("ETag") == "" {
			t.Errorf("%s: headers %v", name, resp.Header)
		}
	}
	conditional(t, client, url+"/api/v3/user/repos", token)
}

// conditional asks for the same again, and what it costs.
func conditional(t *testing.T, client *http.Client, url, auth string) {
	t.Helper()
	first, _ := ask(t, client, "GET", url, auth)
	req, err := http.NewRequestWithContext(t.Context(), "GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", auth)
	req.Header.Set("If-None-Match", first.Header.Get("ETag"))
	again, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	again.Body.Close()
	third, _ := ask(t, client, "GET", url, auth)
	if again.StatusCode != http.StatusNotModified {
		t.Errorf("the same again: %s", again.Status)
	}
	a, b := first.Header.Get("X-RateLimit-Used"), third.Header.Get("X-RateLimit-Used")
	if want := "1"; diff(t, a, b) != want {
		t.Errorf("a request with 304 between two others: %s used, then %s", a, b)
	}
}

func diff(t *testing.T, a, b string) string {
	t.Helper()
	var x, y int
	if _, err := fmt.Sscan(a+" "+b, &x, &y); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(y - x)
}

func ask(t *testing.T, client *http.Client, method, url, auth string) (*http.Response, []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if auth != "" {
		req.Header.Set("Authorization", auth)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, b
}

func jwt(t *testing.T, key *rsa.PrivateKey, app int) string {
	t.Helper()
	now := time.Now().Unix()
	b64 := base64.RawURLEncoding.EncodeToString
	text := b64([]byte(`{"alg":"RS256","typ":"JWT"}`)) + "." + b64([]byte(fmt.Sprintf(`{"iat":%d,"exp":%d,"iss":"%d"}`, now-60, now+300, app)))
	sum := sha256.Sum256([]byte(text))
	sig, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	return text + "." + b64(sig)
}

func installationToken(t *testing.T, url, auth string) string {
	t.Helper()
	_, body := ask(t, http.DefaultClient, "POST", url+"/api/v3/app/installations/77/access_tokens", auth)
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	m, _ := v.(map[string]any)
	s, _ := m["token"].(string)
	if s == "" {
		t.Fatalf("no token in %s", body)
	}
	return s
}

// openAPI loads the description and returns how to find the schema of an answer.
func openAPI(t *testing.T) func(path, method string, status int) *jsonschema.Schema {
	t.Helper()
	files, err := filepath.Glob("../.e2e/node_modules/@octokit/openapi/generated/api.github.com.json")
	if err != nil || len(files) != 1 {
		t.Fatalf("GitHub's OpenAPI description is not there (%v): run make e2e, which installs it", err)
	}
	b, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	root, ok := doc.(map[string]any)
	if !ok {
		t.Fatal("the description is no object")
	}
	asJSONSchema(root)
	strict(t, root, "minimal-repository", "repository", "full-repository", "simple-user", "organization-full", "basic-error", "installation-token")
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	c.AssertFormat()
	const at = "https://api.github.com/openapi.json"
	if err := c.AddResource(at, root); err != nil {
		t.Fatal(err)
	}
	return func(path, method string, status int) *jsonschema.Schema {
		t.Helper()
		pointer := fmt.Sprintf("/paths/%s/%s/responses/%d", escape(path), strings.ToLower(method), status)
		if ref, ok := find(root, pointer)["$ref"].(string); ok {
			pointer = strings.TrimPrefix(ref, "#")
		}
		s, err := c.Compile(at + "#" + strings.ReplaceAll(strings.ReplaceAll(pointer+"/content/application~1json/schema", "{", "%7B"), "}", "%7D"))
		if err != nil {
			t.Fatalf("%s %s %d: %v", method, path, status, err)
		}
		return s
	}
}

func escape(s string) string { return strings.ReplaceAll(strings.ReplaceAll(s, "~", "~0"), "/", "~1") }

// find follows a JSON pointer through objects.
func find(v map[string]any, pointer string) map[string]any {
	for part := range strings.SplitSeq(strings.TrimPrefix(pointer, "/"), "/") {
		v, _ = v[strings.NewReplacer("~1", "/", "~0", "~").Replace(part)].(map[string]any)
	}
	return v
}

// asJSONSchema turns OpenAPI 3.0's `nullable` into JSON Schema's null type
// (https://spec.openapis.org/oas/v3.0.3#fixed-fields-20).
func asJSONSchema(v any) {
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			asJSONSchema(e)
		}
	case map[string]any:
		for _, e := range v {
			asJSONSchema(e)
		}
		if kind, ok := v["type"].(string); ok && v["nullable"] == true {
			v["type"] = []any{kind, "null"}
			if values, ok := v["enum"].([]any); ok {
				v["enum"] = append(values, nil)
			}
		}
	}
}

// strict makes the schemas refuse what they do not know.
func strict(t *testing.T, root map[string]any, names ...string) {
	t.Helper()
	for _, n := range names {
		s := find(root, "/components/schemas/"+n)
		if s["properties"] == nil {
			t.Fatalf("no schema %s", n)
		}
		s["additionalProperties"] = false
	}
}
