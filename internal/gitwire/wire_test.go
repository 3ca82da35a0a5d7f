package gitwire_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/go-git/go-git/v5/plumbing"

	"mayfly/internal/gittest"
	"mayfly/internal/gitwire"
)

// A host is a git server of the test's own with one repository, acme/site.
type host struct {
	*gittest.Server
	url string // of the host
	dir string // of acme/site
}

func (h *host) repo() string { return h.url + "/acme/site.git" }

func serve(t *testing.T, kind gittest.Kind) *host {
	t.Helper()
	h := serveNothing(t)
	if err := gittest.Repo(h.dir, kind); err != nil {
		t.Fatal(err)
	}
	return h
}

func serveNothing(t *testing.T) *host {
	t.Helper()
	s := gittest.New(t.TempDir())
	web := httptest.NewServer(s)
	t.Cleanup(web.Close)
	return &host{s, web.URL, s.Dir("acme/site")}
}

func advertise(t *testing.T, h *host) *gitwire.Advertisement {
	t.Helper()
	a, err := client(t).Advertise(t.Context(), h.repo())
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func client(t *testing.T) *gitwire.Client {
	rt := &http.Transport{}
	t.Cleanup(rt.CloseIdleConnections)
	return gitwire.New(rt)
}

func git(t *testing.T, dir string, args ...string) string {
	t.Helper()
	out, err := gittest.Git(dir, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func ids(a *gitwire.Advertisement) (ids []plumbing.Hash) {
	for _, r := range a.Refs {
		ids = append(ids, r.Hash())
	}
	return ids
}

func TestAdvertiseSaysWhatGitSays(t *testing.T) {
	t.Parallel()
	heads := map[gittest.Kind]string{
		gittest.Normal: "ref: refs/heads/main", gittest.OddTags: "ref: refs/heads/main", gittest.Notes: "ref: refs/heads/main",
		gittest.Pull: "ref: refs/heads/main", gittest.Shared: "ref: refs/heads/zeta", gittest.Wiki: "ref: refs/heads/master",
		gittest.Detached: "id", gittest.Hidden: "id", gittest.Unborn: "", gittest.Empty: "",
	}
	for kind, head := range heads {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			h := serve(t, kind)
			a := advertise(t, h)
			if a.Empty != (kind == gittest.Empty) {
				t.Errorf("Empty is %v", a.Empty)
			}
			var got []string
			for _, r := range a.Refs {
				got = append(got, r.Hash().String()+" "+r.Name().String())
			}
			all := git(t, h.dir, "for-each-ref", "--format=%(objectname) %(refname)")
			want := strings.FieldsFunc(all, func(r rune) bool { return r == '\n' })
			if kind == gittest.Hidden {
				want = slices.DeleteFunc(want, func(s string) bool { return strings.HasSuffix(s, "refs/heads/main") })
			}
			if !slices.Equal(got, want) {
				t.Errorf("references are\n%s\nnot\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
			checkPeeled(t, h, a)
			checkHead(t, h, a.Head, head)
		})
	}
}

func checkPeeled(t *testing.T, h *host, a *gitwire.Advertisement) {
	t.Helper()
	annotated := 0
	for _, r := range a.Refs {
		if git(t, h.dir, "cat-file", "-t", r.Hash().String()) != "tag" {
			continue
		}
		annotated++
		if want := git(t, h.dir, "rev-parse", r.Name().String()+"^{}"); a.Peeled[r.Name()].String() != want {
			t.Errorf("%s peels to %s, not %s", r.Name(), a.Peeled[r.Name()], want)
		}
	}
	if len(a.Peeled) != annotated {
		t.Errorf("%d references are peeled, %d are annotated tags", len(a.Peeled), annotated)
	}
}

func checkHead(t *testing.T, h *host, head *plumbing.Reference, want string) {
	t.Helper()
	got := ""
	if head != nil {
		got = head.Strings()[1]
	}
	if want == "id" {
		want = git(t, h.dir, "rev-parse", "HEAD")
	}
	if got != want {
		t.Errorf("HEAD is %q, not %q", got, want)
	}
}

func TestFetchGivesEveryObject(t *testing.T) {
	t.Parallel()
	for _, kind := range []gittest.Kind{gittest.Normal, gittest.OddTags, gittest.Notes, gittest.Pull, gittest.Detached, gittest.Hidden, gittest.Unborn, gittest.Wiki} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			h := serve(t, kind)
			a := advertise(t, h)
			wants := ids(a)
			if a.Head != nil && a.Head.Type() == plumbing.HashReference {
				wants = append(wants, a.Head.Hash())
			}
			var pack bytes.Buffer
			p, err := client(t).Fetch(t.Context(), a, append(wants, wants...), nil, &pack)
			if err != nil {
				t.Fatal(err)
			}
			if p.Bytes != int64(pack.Len()) || p.Objects == 0 || p.RefDeltas != 0 {
				t.Errorf("pack of %d bytes is reported as %+v", pack.Len(), p)
			}
			restoreAndCompare(t, h, a, &pack)
		})
	}
}

// restoreAndCompare gives the pack to git and compares the references.
func restoreAndCompare(t *testing.T, h *host, a *gitwire.Advertisement, pack io.Reader) {
	t.Helper()
	copied := filepath.Join(t.TempDir(), "copy.git")
	if err := gittest.Repo(copied, gittest.Empty); err != nil {
		t.Fatal(err)
	}
	if _, err := gittest.GitInput(copied, pack, "index-pack", "--stdin", "--strict"); err != nil {
		t.Fatal(err)
	}
	for _, r := range a.Refs {
		git(t, copied, "update-ref", r.Name().String(), r.Hash().String())
	}
	git(t, copied, "fsck", "--full", "--strict", "--no-dangling")
	shown := []string{"for-each-ref", "--format=%(objectname) %(objecttype) %(*objectname) %(refname)"}
	want := git(t, h.dir, shown...)
	got := git(t, copied, shown...)
	for line := range strings.SplitSeq(got, "\n") {
		if !strings.Contains(want, line) {
			t.Errorf("%q is not in the source", line)
		}
	}
	if n := strings.Count(got, "\n") + 1; n != len(a.Refs) {
		t.Errorf("%d references restored of %d", n, len(a.Refs))
	}
}

func TestFetchSendsOnlyWhatIsNew(t *testing.T) {
	t.Parallel()
	h := serve(t, gittest.Normal)
	a := advertise(t, h)
	var full, part bytes.Buffer
	whole, err := client(t).Fetch(t.Context(), a, ids(a), nil, &full)
	if err != nil {
		t.Fatal(err)
	}
	have := plumbing.NewHash(git(t, h.dir, "rev-parse", "main~1"))
	p, err := client(t).Fetch(t.Context(), a, ids(a), []plumbing.Hash{have, have}, &part)
	if err != nil {
		t.Fatal(err)
	}
	if p.Objects == 0 || p.Objects >= whole.Objects {
		t.Errorf("increment is %+v, full is %+v", p, whole)
	}
	stranger := plumbing.NewHash("1234567890123456789012345678901234567890")
	var nothing bytes.Buffer
	_, err = client(t).Fetch(t.Context(), a, ids(a), []plumbing.Hash{stranger}, &nothing)
	wantErr(t, err, gitwire.ErrUnknownHaves)
	if nothing.Len() > 0 {
		t.Errorf("%d bytes were written of a pack that counts for nothing", nothing.Len())
	}
	if p, err = client(t).Fetch(t.Context(), a, ids(a), []plumbing.Hash{stranger, have}, io.Discard); err != nil || p.Objects >= whole.Objects {
		t.Errorf("with one have that the server lacks and one that it has: %+v, %v", p, err)
	}
}

// A server asked for what the haves already reach answers with a pack of no
// objects; wants among the haves are not even asked for.
func TestFetchNothing(t *testing.T) {
	t.Parallel()
	h := serve(t, gittest.Normal)
	a := advertise(t, h)
	_, err := client(t).Fetch(t.Context(), a, ids(a), ids(a), io.Discard)
	wantErr(t, err, gitwire.ErrNothingToFetch)
	if n := len(h.Requests()); n != 1 {
		t.Errorf("%d requests were sent, not the advertisement alone", n)
	}
	tip := plumbing.NewHash(git(t, h.dir, "rev-parse", "main"))
	old := plumbing.NewHash(git(t, h.dir, "rev-parse", "topic/one"))
	p, err := client(t).Fetch(t.Context(), a, []plumbing.Hash{old}, []plumbing.Hash{tip}, io.Discard)
	if err != nil || p.Objects != 0 || p.Bytes != 32 {
		t.Errorf("got %+v, %v; want the empty pack of 32 bytes", p, err)
	}
}

func TestFilter(t *testing.T) {
	t.Parallel()
	a := advertise(t, serve(t, gittest.Pull))
	a.Filter(func(n plumbing.ReferenceName) bool { return !strings.HasPrefix(string(n), "refs/pull/") })
	if len(a.Refs) != 1 || a.Refs[0].Name() != "refs/heads/main" {
		t.Errorf("left are %v", a.Refs)
	}
	a = advertise(t, serve(t, gittest.Normal))
	a.Filter(func(n plumbing.ReferenceName) bool { return n.IsBranch() })
	if len(a.Refs) != 3 || len(a.Peeled) != 0 {
		t.Errorf("left are %v and peeled %v", a.Refs, a.Peeled)
	}
}

func TestBitmapsAndReuse(t *testing.T) {
	t.Parallel()
	h := serve(t, gittest.Normal)
	git(t, h.dir, "repack", "-q", "-a", "-d", "-b")
	if found, _ := filepath.Glob(filepath.Join(h.dir, "objects/pack/*.bitmap")); len(found) != 1 {
		t.Fatalf("bitmaps: %v", found)
	}
	var pack bytes.Buffer
	a := advertise(t, h)
	if _, err := client(t).Fetch(t.Context(), a, ids(a), nil, &pack); err != nil {
		t.Fatal(err)
	}
	restoreAndCompare(t, h, a, &pack)
}

func TestRedirectIsFollowedByBothRequests(t *testing.T) {
	t.Parallel()
	h := serve(t, gittest.Normal)
	if err := os.Rename(h.dir, h.Dir("acme/moved")); err != nil {
		t.Fatal(err)
	}
	h.Rename("acme/site", "acme/moved")
	a := advertise(t, h)
	if want := h.url + "/acme/moved.git"; a.URL() != want {
		t.Errorf("URL is %s, not %s", a.URL(), want)
	}
	if _, err := client(t).Fetch(t.Context(), a, ids(a), nil, io.Discard); err != nil {
		t.Fatal(err)
	}
	var seen []string
	for _, r := range h.Requests() {
		seen = append(seen, r.Repo+" "+string(r.Step))
	}
	if want := []string{"acme/site info/refs", "acme/moved info/refs", "acme/moved git-upload-pack"}; !slices.Equal(seen, want) {
		t.Errorf("requests were %q", seen)
	}
}

// Thin packs do not stand for themselves, so none may be asked for; offset
// deltas and a silent sideband are.
func TestCapabilitiesAsked(t *testing.T) {
	t.Parallel()
	h := serve(t, gittest.Normal)
	var asked string
	c := gitwire.New(roundTrip(func(r *http.Request) (*http.Response, error) {
		if r.Method == http.MethodPost {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				return nil, err
			}
			asked, r.Body = string(body), io.NopCloser(bytes.NewReader(body))
		}
		return http.DefaultTransport.RoundTrip(r)
	}))
	a := advertise(t, h)
	if _, err := c.Fetch(t.Context(), a, ids(a), nil, io.Discard); err != nil {
		t.Fatal(err)
	}
	line, _, _ := strings.Cut(asked, "\n")
	words := strings.Fields(line)[2:]
	words = slices.DeleteFunc(words, func(w string) bool { return strings.HasPrefix(w, "agent=") })
	slices.Sort(words)
	if want := []string{"no-progress", "ofs-delta", "side-band-64k"}; !slices.Equal(words, want) {
		t.Errorf("asked for %q, not %q", words, want)
	}
}
