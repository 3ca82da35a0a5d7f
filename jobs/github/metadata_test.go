package github

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	gh "github.com/google/go-github/v57/github"

	"mayfly/internal/secret"
	"mayfly/runner"
)

// urlKeys are the addresses that GitHub gives of every repository
// (https://docs.github.com/rest/repos/repos#list-repositories-for-a-user).
const urlKeys = `archive assignees blobs branches collaborators comments commits compare contents contributors deployments downloads events forks git_commits git_refs git_tags hooks issue_comment issue_events issues keys labels languages merges milestones notifications pulls releases stargazers statuses subscribers subscription tags teams trees git svn`

// described is a repository as GitHub lists it.
func described(owner string, i int) string {
	rnd := rand.New(rand.NewPCG(1, uint64(i)))
	words := strings.Fields("fast small static site generator parser client server for the of a in with modern dotfiles configuration terminal tool library backup experimental")
	word := func() string { return words[rnd.IntN(len(words))] }
	name := fmt.Sprintf("%s-%s-%d", word(), word(), i)
	at := "https://api.github.com/repos/" + owner + "/" + name
	day := func() string { return time.Unix(1.5e9+rnd.Int64N(2.5e8), 0).UTC().Format(time.RFC3339) }
	var urls strings.Builder
	for _, k := range strings.Fields(urlKeys) {
		fmt.Fprintf(&urls, `"%s_url":"%s/%s{/sha}",`, k, at, k)
	}
	user := "https://api.github.com/users/" + owner
	return fmt.Sprintf(`{"id":%d,"node_id":"R_kgDO%06x","name":%q,"full_name":"%s/%[3]s","private":false,
"owner":{"login":%[4]q,"id":583231,"node_id":"MDQ6VXNlcjU4MzIzMQ==","avatar_url":"https://avatars.githubusercontent.com/u/583231?v=4","gravatar_id":"","url":%[5]q,"html_url":"https://github.com/%[4]s","followers_url":"%[5]s/followers","following_url":"%[5]s/following{/other_user}","gists_url":"%[5]s/gists{/gist_id}","starred_url":"%[5]s/starred{/owner}{/repo}","subscriptions_url":"%[5]s/subscriptions","organizations_url":"%[5]s/orgs","repos_url":"%[5]s/repos","events_url":"%[5]s/events{/privacy}","received_events_url":"%[5]s/received_events","type":"User","site_admin":false},
"html_url":"https://github.com/%[4]s/%[3]s","description":"%[6]s","fork":false,"url":%[7]q,%[8]s
"clone_url":"https://github.com/%[4]s/%[3]s.git","ssh_url":"git@github.com:%[4]s/%[3]s.git","mirror_url":null,"homepage":"https://%[3]s.example.org","temp_clone_token":"ATEMPORARYTOKEN",
"language":"Go","forks_count":%[9]d,"stargazers_count":%[10]d,"watchers_count":%[10]d,"size":%[11]d,"default_branch":"main","open_issues_count":3,"is_template":false,"topics":["%[12]s","%[13]s"],"has_issues":true,"has_projects":true,"has_wiki":true,"has_pages":false,"has_downloads":true,"has_discussions":false,"archived":false,"disabled":false,"visibility":"public","pushed_at":%[14]q,"created_at":%[15]q,"updated_at":%[16]q,"permissions":{"admin":true,"maintain":true,"push":true,"triage":true,"pull":true},"allow_forking":true,"web_commit_signoff_required":false,"license":{"key":"mit","name":"MIT License","spdx_id":"MIT","url":"https://api.github.com/licenses/mit","node_id":"MDc6TGljZW5zZW1pdA=="},"forks":%[9]d,"open_issues":3,"watchers":%[10]d}`,
		1e8+i, rnd.IntN(1<<24), name, owner, user, strings.Join([]string{word(), word(), word(), word(), word(), word(), word(), word()}, " "), at, urls.String(),
		rnd.IntN(50), rnd.IntN(900), rnd.IntN(1<<20), word(), word(), day(), day(), day())
}

func parsed(t *testing.T, text string) *gh.Repository {
	t.Helper()
	r := new(gh.Repository)
	if err := json.Unmarshal([]byte(text), r); err != nil {
		t.Fatal(err)
	}
	return r
}

// TestMetadataKeepsWhatAPersonWants packs a fork and reads it back.
func TestMetadataKeepsWhatAPersonWants(t *testing.T) {
	t.Parallel()
	text := described("octocat", 7)
	fork := strings.TrimSuffix(strings.Replace(text, `"fork":false`, `"fork":true`, 1), "}") + `,"parent":` + described("upstream", 8) + `}`
	p, err := newPacker()
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // a packer is used again
		z, err := p.pack(parsed(t, fork))
		if err != nil {
			t.Fatal(err)
		}
		b, err := z.text()
		if err != nil {
			t.Fatal(err)
		}
		var got, all map[string]any
		if json.Unmarshal(b, &got) != nil || json.Unmarshal([]byte(fork), &all) != nil {
			t.Fatalf("not JSON: %s", b)
		}
		for _, k := range strings.Fields("id name full_name private html_url description fork clone_url ssh_url homepage language forks_count stargazers_count watchers_count size default_branch open_issues_count is_template topics has_issues has_projects has_wiki has_pages has_downloads has_discussions archived disabled visibility pushed_at created_at updated_at permissions allow_forking web_commit_signoff_required") {
			if fmt.Sprint(got[k]) != fmt.Sprint(all[k]) || got[k] == nil {
				t.Errorf("%s is %v, want %v", k, got[k], all[k])
			}
		}
		contains(t, "metadata", string(b), `"spdx_id": "MIT"`, `"name": "MIT License"`, `"login": "octocat"`, `"parent": {`, `"login": "upstream"`)
		for _, s := range []string{"token", "TOKEN", "{/sha}", "api.github.com", "node_id"} {
			if strings.Contains(string(b), s) {
				t.Errorf("the metadata holds %q: %s", s, b)
			}
		}
	}
	if _, err := packed("not deflated").text(); err == nil {
		t.Error("damage is not noticed")
	}
}

// many answers the requests of a listing of n repositories, and nothing else.
func many(n int) roundTrip {
	const perPage = 100
	return func(r *http.Request) (*http.Response, error) {
		w := httptest.NewRecorder()
		switch {
		case strings.HasSuffix(r.URL.Path, "/user"), strings.HasSuffix(r.URL.Path, "/users/octocat"):
			fmt.Fprintf(w, `{"login":"octocat","id":583231,"type":"User","public_repos":%d}`, n)
		default:
			page := 1
			fmt.Sscan(r.URL.Query().Get("page"), &page)
			w.Header().Set("ETag", fmt.Sprintf(`"%d"`, page))
			if page*perPage < n {
				w.Header().Set("Link", fmt.Sprintf(`<https://api.github.com/user/repos?page=%d>; rel="next"`, page+1))
			}
			w.WriteString("[")
			sep := ""
			for i := (page - 1) * perPage; i < min(n, page*perPage); i++ {
				w.WriteString(sep + described("octocat", i))
				sep = ","
			}
			w.WriteString("]")
		}
		resp := w.Result()
		resp.Request = r
		return resp, nil
	}
}

// TestMemoryOfAListing bounds what the job holds for a repository that is
// listed: its own structures, those of its item in the recorder, and what is
// remembered for the next run. What does not depend on their number, at most
// fixed, is not counted. It does not run in parallel: it measures the whole
// process.
func TestMemoryOfAListing(t *testing.T) {
	const n, most, fixed = 2_000, 600, 128 << 10
	w := newWorld(t)
	w.base = many(n)
	c := &Config{Owners: []string{"octocat"}, Token: secret.Ref{Scheme: "env", Name: "TOKEN"}}
	made, err := c.New(w.env())
	if err != nil {
		t.Fatal(err)
	}
	j := made.(*job)
	j.rec = runner.NewRecorder(discard(), time.Now)
	before := heap()
	seen, err := j.connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	l := &listing{client: j.rest, config: j.config, warn: j.warn}
	all, err := l.list(t.Context())
	if err != nil || len(all) != n {
		t.Fatalf("%d repositories: %v", len(all), err)
	}
	if err := seen.save(t.Context()); err != nil {
		t.Fatal(err)
	}
	picked := j.pick(t.Context(), all, nil)
	for _, r := range picked {
		j.rec.Start(r.fullName).End(runner.Unchanged, nil)
	}
	each := (heap() - before - fixed) / n
	t.Logf("%d bytes for each of %d repositories", each, n)
	if each > most {
		t.Errorf("%d bytes for each repository, at most %d are wanted", each, most)
	}
	runtime.KeepAlive(all)
	if b, err := picked[n/2].metadata.text(); err != nil || !strings.Contains(string(b), picked[n/2].fullName) {
		t.Errorf("metadata %s, error %v", b, err)
	}
}

func heap() int64 {
	runtime.GC()
	runtime.GC() // what finalizers freed
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
