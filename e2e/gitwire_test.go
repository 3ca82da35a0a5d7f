//go:build e2e

package e2e

import (
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"testing"
	"time"

	"github.com/go-git/go-git/v5/plumbing"

	"mayfly/internal/gittest"
	"mayfly/internal/gitwire"
)

// A real git server with 100,000 references: listed and fetched in bounded
// time, at about 1 kB of memory for each.
func TestGitManyReferences(t *testing.T) {
	const many = 100_000
	s := gittest.New(t.TempDir())
	if err := gittest.Many(s.Dir("acme/site"), many); err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(s)
	t.Cleanup(web.Close)
	client := gitwire.New(http.DefaultTransport)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	start := time.Now()
	a, err := client.Advertise(t.Context(), web.URL+"/acme/site.git")
	if err != nil {
		t.Fatal(err)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if len(a.Refs) != many+1 || a.Head.Target() != plumbing.Main {
		t.Fatalf("%d references, HEAD %v", len(a.Refs), a.Head)
	}
	if each := (int64(after.HeapAlloc) - int64(before.HeapAlloc)) / many; each > 1000 {
		t.Errorf("%d bytes are kept per reference", each)
	}
	var wants []plumbing.Hash
	for _, r := range a.Refs {
		wants = append(wants, r.Hash())
	}
	p, err := client.Fetch(t.Context(), a, wants, nil, io.Discard)
	if err != nil || p.Objects < 3000 {
		t.Fatalf("fetched %+v, %v", p, err)
	}
	if spent := time.Since(start); spent > 30*time.Second {
		t.Errorf("listing and fetching took %s", spent)
	}
}
