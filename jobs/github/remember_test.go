package github

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"mayfly/internal/githubtest"
	"mayfly/internal/gittest"
	"mayfly/internal/secret"
	"mayfly/internal/store"
	"mayfly/runner"
)

// TestUnchangedListingIsFree lists the same account twice with requests for
// once and a half: GitHub does not count answers of 304, and all pages but the
// last are asked for in that way.
func TestUnchangedListingIsFree(t *testing.T) {
	t.Parallel()
	const requests = 2 + 4 // whose token, the owner, four pages
	w := newWorld(t, func(o *githubtest.Options) { o.PerPage, o.Limit = 1, requests+3 })
	names := []string{"octo/a", "octo/b", "octo/c", "octo/d"}
	for _, n := range names {
		w.repo(n, gittest.Empty)
	}
	want(t, w.mustRun(w.config()), outcomes(runner.Empty, names...))
	if n := len(w.srv.Requests()); n != requests {
		t.Fatalf("the first listing took %d requests: %v", n, w.srv.Requests())
	}
	rep := w.mustRun(w.config())
	if rep.Expected != len(names) || len(rep.Items) != len(names) {
		t.Errorf("the second listing has %d items: %v", rep.Expected, rep.Items)
	}
	if w.clock.longest() > time.Minute {
		t.Error("the second listing met the rate limit")
	}
}

// TestChangedListing: what begins a page behind the last one is seen although
// that one stays as it is, and a cache that was damaged does no harm.
func TestChangedListing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *githubtest.Options) { o.PerPage = 1 })
	w.repo("octo/a", gittest.Empty)
	w.mustRun(w.config())
	w.repo("octo/b", gittest.Empty)
	if rep := w.mustRun(w.config()); rep.Expected != 2 {
		t.Errorf("expected %d items, want 2", rep.Expected)
	}
	if err := os.RemoveAll(w.srv.Git.Dir("octo/a")); err != nil {
		t.Fatal(err)
	}
	if rep := w.mustRun(w.config()); rep.Expected != 1 {
		t.Errorf("expected %d items, want 1", rep.Expected)
	}
	file := filepath.Join(w.dir, "github", "listing.json")
	if err := os.WriteFile(file, []byte(`{"cut`), 0o600); err != nil {
		t.Fatal(err)
	}
	if rep := w.mustRun(w.config()); rep.Expected != 1 {
		t.Errorf("expected %d items, want 1", rep.Expected)
	}
}

// TestDamagedMemory: whatever has become of the pages kept, a listing made with
// them is the one GitHub would give; nobody's pages are shown to another.
func TestDamagedMemory(t *testing.T) {
	t.Parallel()
	names := []string{"octo/a", "octo/b", "octo/c"}
	for name, damage := range map[string]func(*world, string) string{
		"none":               func(_ *world, s string) string { return s },
		"empty":              func(*world, string) string { return "" },
		"null":               func(*world, string) string { return "null" },
		"a list":             func(*world, string) string { return "[]" },
		"cut":                func(_ *world, s string) string { return s[:len(s)/2] },
		"a name":             func(_ *world, s string) string { return strings.ReplaceAll(s, "octo/a", "octo/z") },
		"no more pages":      func(_ *world, s string) string { return strings.ReplaceAll(s, "next", "last") },
		"another page's tag": func(_ *world, s string) string { return strings.ReplaceAll(s, `"etag":"`, `"etag":"W/`) },
		"no pages": func(_ *world, s string) string {
			return regexp.MustCompile(`"body":.*?\]`).ReplaceAllString(s, `"body":[]`)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, func(o *githubtest.Options) { o.PerPage = 1 })
			for _, n := range names {
				w.repo(n, gittest.Empty)
			}
			w.mustRun(w.config())
			file := filepath.Join(w.dir, "github", "listing.json")
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if s := damage(w, string(b)); s == string(b) != (name == "none") {
				t.Fatalf("nothing was damaged: %s", b)
			} else if err := os.WriteFile(file, []byte(s), 0o600); err != nil {
				t.Fatal(err)
			}
			rep := w.mustRun(w.config())
			var got []string
			for _, it := range rep.Items {
				got = append(got, it.Name)
			}
			if rep.Expected != len(names) || strings.Join(got, " ") != strings.Join(names, " ") {
				t.Errorf("%d repositories are listed: %v", rep.Expected, got)
			}
		})
	}
}

// TestMemoryIsOnes: what one token has seen is not remembered for another, and
// the token is not in it.
func TestMemoryIsOnes(t *testing.T) {
	t.Parallel()
	st, err := store.NewDir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	var asked []string
	next := roundTrip(func(r *http.Request) (*http.Response, error) {
		asked = append(asked, r.Header.Get("If-None-Match"))
		w := httptest.NewRecorder()
		w.Header().Set("ETag", `"1"`)
		w.Header().Set("Link", `<http://x/?page=2>; rel="next"`)
		if r.Header.Get("If-None-Match") == `"1"` {
			w.WriteHeader(http.StatusNotModified)
		} else {
			w.WriteString("[]")
		}
		resp := w.Result()
		resp.Request = r
		return resp, nil
	})
	list := func(token string, c *Config) {
		j := &job{config: c}
		who, err := j.whose(t.Context(), fixedToken{secret.New(token)}, "mayfly/1")
		if err != nil {
			t.Fatal(err)
		}
		m, err := remember(t.Context(), next, st, "listing.json", who)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 { // the second time after the end
			req, _ := http.NewRequestWithContext(t.Context(), "GET", "http://x/?page=1", nil)
			if _, err := m.RoundTrip(req); err != nil {
				t.Fatal(err)
			}
			if err := m.save(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	list("ghp_first", &Config{})
	list("ghp_first", &Config{})
	list("ghp_second", &Config{})
	list("ghp_second", &Config{App: &App{ID: 1, Installation: 2}})
	list("ghp_third", &Config{App: &App{ID: 1, Installation: 2}})
	list("ghp_third", &Config{App: &App{ID: 1, Installation: 3}})
	if got := strings.Join(asked, ","); got != `,,"1",,,,,,"1",,,` {
		t.Errorf("asked with %s", got)
	}
	r, _, err := st.Open(t.Context(), "listing.json", 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if b, err := io.ReadAll(r); err != nil || strings.Contains(string(b), "ghp_") {
		t.Errorf("kept %s, error %v", b, err)
	}
}

func TestNoCloneTokenIsKept(t *testing.T) {
	t.Parallel()
	b, err := shorten([]byte(`[{"id":9007199254740993,"temp_clone_token":"AAAA","parent":{"temp_clone_token":"BBBB"}}]`))
	if err != nil {
		t.Fatal(err)
	}
	if got := string(b); got != `[{"id":9007199254740993,"parent":{}}]` {
		t.Error(got)
	}
	if strings.Contains(string(b), "clone") {
		t.Error("a credential is kept")
	}
}
