package github

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"

	"mayfly/internal/secret"
	"mayfly/internal/store"
	"mayfly/runner"
)

// A cannedAPI answers every request with the same bytes.
type cannedAPI struct {
	status           int
	body             []byte
	link, etag, kind string
	asked            int
}

func (c *cannedAPI) RoundTrip(req *http.Request) (*http.Response, error) {
	c.asked++
	h := http.Header{"Content-Type": {c.kind}}
	for k, v := range map[string]string{"Link": c.link, "Etag": c.etag} {
		if v != "" {
			h.Set(k, v)
		}
	}
	return &http.Response{
		Status: http.StatusText(c.status), StatusCode: c.status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: h, Body: io.NopCloser(bytes.NewReader(c.body)), Request: req, ContentLength: int64(len(c.body)),
	}, nil
}

// FuzzListing: whatever GitHub answers, the listing neither panics nor goes
// round in circles, and no name gets through that could leave its place in the
// store. What is kept of it is read again.
func FuzzListing(f *testing.F) {
	const one = `[{"id":1,"full_name":"octo/site","default_branch":"main","size":12,"has_wiki":true,"owner":{"login":"octo"}}]`
	const next = `<http://api.example.com/users/octo/repos?page=2>; rel="next"`
	f.Add(200, []byte(one), "", `W/"1"`)
	f.Add(200, []byte(one), next, `W/"1"`)
	f.Add(200, []byte(`{"login":"octo","type":"User","public_repos":1}`), "", "")
	f.Add(200, []byte(`[{"id":1,"full_name":"octo/../x"},{"id":2,"full_name":"a/b/c"},null]`), next, "")
	f.Add(200, []byte("null"), "", "")
	f.Add(304, []byte(""), "", `"x"`)
	f.Add(403, []byte(`{"message":"API rate limit exceeded","documentation_url":"https://x"}`), "", "")
	f.Add(451, []byte(`{"message":"blocked","block":{"reason":"dmca","created_at":"2026-01-02T00:00:00Z"}}`), "", "")
	f.Add(200, []byte(strings.Repeat("[", 5000)), "", "")
	f.Add(200, []byte(`[{"id":1e400,"full_name":"a/b"}]`), strings.Repeat("<x>,", 100), "")
	at, err := endpointsOf("http://127.0.0.1:1")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, status int, body []byte, link, etag string) {
		if status < 100 || status > 599 || strings.ContainsAny(link+etag, "\r\n\x00") {
			return
		}
		st, err := store.NewDir(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		for range 2 { // the second time with what the first has kept
			api := &cannedAPI{status: status, body: body, link: link, etag: etag, kind: "application/json"}
			seen, err := remember(t.Context(), api, st, "github/"+listingKey, "me")
			if err != nil {
				t.Fatal(err)
			}
			c := &Config{Owners: []string{"octo", "me"}, Token: secret.Ref{Scheme: "env", Name: "X"}}
			l := &listing{client: newClient(seen, at), config: c, warn: func(runner.Problem) {}}
			all, _ := l.list(t.Context())
			for _, r := range all {
				if !validOwner(r.owner()) || !validRepo(r.name()) || r.id == 0 {
					t.Fatalf("%q got through", r.fullName)
				}
			}
			if api.asked > 1000 {
				t.Fatalf("%d requests", api.asked)
			}
			if err := seen.save(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	})
}
