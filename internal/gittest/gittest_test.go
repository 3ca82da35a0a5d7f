package gittest_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"mayfly/internal/gittest"
)

func git(t *testing.T, dir string, args ...string) string {
	t.Helper()
	out, err := gittest.Git(dir, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// Every kind is what its name says, sound, and the same each time.
func TestRepo(t *testing.T) {
	t.Parallel()
	head := map[gittest.Kind]string{gittest.Shared: "refs/heads/zeta", gittest.Unborn: "refs/heads/nowhere", gittest.Wiki: "refs/heads/master", gittest.Detached: ""}
	counts := map[gittest.Kind]int{
		gittest.Normal: 6, gittest.OddTags: 6, gittest.Notes: 4, gittest.Pull: 4, gittest.Shared: 3, gittest.Detached: 1,
		gittest.Unborn: 2, gittest.Hidden: 2, gittest.Empty: 0, gittest.SHA256: 1, gittest.Shallow: 1, gittest.Wiki: 1,
	}
	for _, kind := range gittest.Kinds() {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			var refs [2]string
			for i := range refs {
				dir := filepath.Join(t.TempDir(), "acme", "site.git")
				if err := gittest.Repo(dir, kind); err != nil {
					t.Fatal(err)
				}
				git(t, dir, "fsck", "--full", "--strict")
				refs[i] = git(t, dir, "for-each-ref")
				want, special := head[kind]
				if !special {
					want = "refs/heads/main"
				}
				if got, _ := gittest.Git(dir, "symbolic-ref", "-q", "HEAD"); got != want {
					t.Errorf("HEAD is %q, not %q", got, want)
				}
				if err := gittest.Repo(dir, kind); err == nil {
					t.Error("a repository was made over another")
				}
			}
			if refs[0] != refs[1] {
				t.Errorf("references differ:\n%s\n%s", refs[0], refs[1])
			}
			if n := len(strings.FieldsFunc(refs[0], func(r rune) bool { return r == '\n' })); n != counts[kind] {
				t.Errorf("%d references, not %d:\n%s", n, counts[kind], refs[0])
			}
		})
	}
}

func TestManyAndBig(t *testing.T) {
	t.Parallel()
	many, big := filepath.Join(t.TempDir(), "many.git"), filepath.Join(t.TempDir(), "big.git")
	if err := gittest.Many(many, 3000); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(git(t, many, "for-each-ref", "refs/heads/b/"), "\n") + 1; n != 3000 {
		t.Errorf("%d references, not 3000", n)
	}
	if err := gittest.Big(big, 9<<20, 7); err != nil {
		t.Fatal(err)
	}
	git(t, big, "fsck", "--full")
	if pack := git(t, big, "count-objects", "-v"); !strings.Contains(pack, "size-pack: 92") {
		t.Errorf("the pack is not 9 MiB:\n%s", pack)
	}
}

// Git's own client reads through the server: both protocols, a redirect, a
// token.
func TestServerWithGit(t *testing.T) {
	t.Parallel()
	s := gittest.New(t.TempDir())
	s.Access = gittest.Token("hunter2")
	if err := gittest.Repo(s.Dir("acme/site"), gittest.Normal); err != nil {
		t.Fatal(err)
	}
	s.Rename("acme/old", "acme/site")
	web := httptest.NewServer(s)
	t.Cleanup(web.Close)
	url := strings.Replace(web.URL, "http://", "http://x-access-token:hunter2@", 1) + "/acme/old.git"
	for _, protocol := range []string{"0", "2"} {
		dir := filepath.Join(t.TempDir(), "clone.git")
		git(t, "", "-c", "protocol.version="+protocol, "clone", "-q", "--mirror", url, dir)
		if got, want := git(t, dir, "for-each-ref"), git(t, s.Dir("acme/site"), "for-each-ref"); got != want {
			t.Errorf("cloned %s, not %s", got, want)
		}
	}
	if _, err := gittest.Git("", "ls-remote", web.URL+"/acme/site.git"); err == nil {
		t.Error("git read without a token")
	}
	_, err := gittest.Git("", "ls-remote", strings.Replace(url, "old", "missing", 1))
	if err == nil || !strings.Contains(err.Error(), "Repository not found.") {
		t.Errorf("a missing repository gives %v", err)
	}
	if _, err := gittest.Git(s.Dir("acme/site"), "push", url, "main:refs/heads/new"); err == nil {
		t.Error("git could push")
	}
}

// GitHub hands out what references reach, nothing else.
func TestServerGivesOnlyWhatReferencesReach(t *testing.T) {
	t.Parallel()
	s := gittest.New(t.TempDir())
	if err := gittest.Repo(s.Dir("acme/site"), gittest.Wiki); err != nil {
		t.Fatal(err)
	}
	gone := git(t, s.Dir("acme/site"), "rev-parse", "master")
	if err := gittest.Rewrite(s.Dir("acme/site"), "master"); err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(s)
	t.Cleanup(web.Close)
	dir := filepath.Join(t.TempDir(), "copy.git")
	git(t, "", "init", "-q", "--bare", dir)
	_, err := gittest.Git(dir, "-c", "protocol.version=0", "fetch", web.URL+"/acme/site.git", gone)
	if err == nil {
		t.Error("a commit that no reference reaches was handed out")
	}
}

// Clients send large requests in chunks of unknown total length.
func TestServerTakesChunks(t *testing.T) {
	t.Parallel()
	s := gittest.New(t.TempDir())
	if err := gittest.Repo(s.Dir("acme/site"), gittest.Wiki); err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(s)
	t.Cleanup(web.Close)
	body := "0032want " + git(t, s.Dir("acme/site"), "rev-parse", "master") + "\n00000009done\n"
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, web.URL+"/acme/site.git/git-upload-pack", io.MultiReader(strings.NewReader(body)))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-git-upload-pack-request")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil || !strings.HasPrefix(string(answer), "0008NAK\nPACK") {
		t.Errorf("answer is %s %.40q, %v", res.Status, answer, err)
	}
	if last := s.Requests()[0]; last.Body != int64(len(body)) || last.Step != gittest.Pack || last.Repo != "acme/site" {
		t.Errorf("the server noted %+v", last)
	}
}
