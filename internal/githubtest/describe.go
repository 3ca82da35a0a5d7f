package githubtest

import (
	"encoding/base64"
	"strconv"
	"strings"
)

const born = "2020-02-02T20:20:02Z"

// describe is a repository as listings have it: the schemas repository and
// minimal-repository. One asked for alone has a little more.
func (s *Server) describe(base string, r repository) map[string]any {
	u := base + api + "/repos/" + r.fullName()
	web := base + "/" + r.fullName()
	visibility := "public"
	if r.Private {
		visibility = "private"
	}
	m := map[string]any{
		"id": r.id, "node_id": nodeID("R", r.id), "name": r.name, "full_name": r.fullName(),
		"owner": s.account(base, r.owner), "private": r.Private, "visibility": visibility,
		"fork": r.Fork, "archived": r.Archived, "disabled": r.Blocked != "",
		"html_url": web, "url": u, "clone_url": web + ".git", "svn_url": web,
		"git_url": "git" + strings.TrimPrefix(web, "http") + ".git", "ssh_url": "git@" + hostOf(base) + ":" + r.fullName() + ".git",
		"description": nil, "homepage": nil, "language": nil, "license": nil, "mirror_url": nil,
		"default_branch": r.branch(), "size": r.size(),
		"has_issues": true, "has_projects": true, "has_wiki": !r.NoWiki, "has_pages": false, "has_discussions": false, "has_downloads": true,
		"forks": 0, "forks_count": 0, "watchers": 0, "watchers_count": 0, "stargazers_count": 0,
		"open_issues": 0, "open_issues_count": 0,
		"allow_forking": true, "is_template": false, "web_commit_signoff_required": false, "topics": []string{},
		"created_at": born, "updated_at": born, "pushed_at": born,
		"permissions": map[string]any{"admin": false, "push": false, "pull": true},
	}
	for key, path := range repositoryURLs() {
		m[key] = u + path
	}
	return m
}

// repositoryURLs are the addresses below a repository's own.
func repositoryURLs() map[string]string {
	return map[string]string{
		"archive_url": "/{archive_format}{/ref}", "assignees_url": "/assignees{/user}", "blobs_url": "/git/blobs{/sha}",
		"branches_url": "/branches{/branch}", "collaborators_url": "/collaborators{/collaborator}",
		"comments_url": "/comments{/number}", "commits_url": "/commits{/sha}", "compare_url": "/compare/{base}...{head}",
		"contents_url": "/contents/{+path}", "contributors_url": "/contributors", "deployments_url": "/deployments",
		"downloads_url": "/downloads", "events_url": "/events", "forks_url": "/forks", "git_commits_url": "/git/commits{/sha}",
		"git_refs_url": "/git/refs{/sha}", "git_tags_url": "/git/tags{/sha}", "hooks_url": "/hooks",
		"issue_comment_url": "/issues/comments{/number}", "issue_events_url": "/issues/events{/number}",
		"issues_url": "/issues{/number}", "keys_url": "/keys{/key_id}", "labels_url": "/labels{/name}",
		"languages_url": "/languages", "merges_url": "/merges", "milestones_url": "/milestones{/number}",
		"notifications_url": "/notifications{?since,all,participating}", "pulls_url": "/pulls{/number}",
		"releases_url": "/releases{/id}", "stargazers_url": "/stargazers", "statuses_url": "/statuses/{sha}",
		"subscribers_url": "/subscribers", "subscription_url": "/subscription", "tags_url": "/tags", "teams_url": "/teams",
		"trees_url": "/git/trees{/sha}",
	}
}

// account is the schema simple-user.
func (s *Server) account(base, login string) map[string]any {
	kind := "User"
	if s.isOrganization(login) {
		kind = "Organization"
	}
	u := base + api + "/users/" + login
	id := number("account " + login)
	return map[string]any{
		"login": login, "id": id, "node_id": nodeID("U", id), "type": kind, "site_admin": false, "user_view_type": "public",
		"avatar_url": base + "/avatars/u/" + strconv.FormatInt(id, 10), "gravatar_id": "", "url": u, "html_url": base + "/" + login,
		"followers_url": u + "/followers", "following_url": u + "/following{/other_user}", "gists_url": u + "/gists{/gist_id}",
		"starred_url": u + "/starred{/owner}{/repo}", "subscriptions_url": u + "/subscriptions",
		"organizations_url": u + "/orgs", "repos_url": u + "/repos", "events_url": u + "/events{/privacy}",
		"received_events_url": u + "/received_events",
	}
}

// user is the schema public-user, or private-user for the token's own account.
func (s *Server) user(base, login string, private bool) map[string]any {
	m := s.account(base, login)
	public, hidden := s.count(login)
	for k, v := range map[string]any{
		"name": login, "company": nil, "blog": "", "location": nil, "email": nil, "hireable": nil, "bio": nil,
		"twitter_username": nil, "public_repos": public, "public_gists": 0, "followers": 0, "following": 0,
		"created_at": born, "updated_at": born,
	} {
		m[k] = v
	}
	if private {
		for k, v := range map[string]any{
			"user_view_type": "private", "collaborators": 0, "disk_usage": 0, "owned_private_repos": hidden,
			"total_private_repos": hidden, "private_gists": 0, "two_factor_authentication": true,
		} {
			m[k] = v
		}
	}
	return m
}

// organization is the schema organization-full; only members see how many
// private repositories there are.
func (s *Server) organization(base, login string, member bool) map[string]any {
	u := base + api + "/orgs/" + login
	public, private := s.count(login)
	id := number("account " + login)
	m := map[string]any{
		"login": login, "id": id, "node_id": nodeID("O", id), "url": u, "html_url": base + "/" + login,
		"repos_url": u + "/repos", "events_url": u + "/events", "hooks_url": u + "/hooks", "issues_url": u + "/issues",
		"members_url": u + "/members{/member}", "public_members_url": u + "/public_members{/member}",
		"avatar_url": base + "/avatars/u/" + strconv.FormatInt(id, 10), "description": nil,
		"has_organization_projects": true, "has_repository_projects": true,
		"public_repos": public, "public_gists": 0, "followers": 0, "following": 0, "type": "Organization",
		"created_at": born, "updated_at": born, "archived_at": nil,
	}
	if member {
		m["total_private_repos"], m["owned_private_repos"] = private, private
	}
	return m
}

// count is how many public and private repositories the account has, those
// that the token does not see included.
func (s *Server) count(owner string) (public, private int) {
	for _, r := range s.repositories() {
		switch {
		case !strings.EqualFold(r.owner, owner):
		case r.Private:
			private++
		default:
			public++
		}
	}
	return public, private
}

func nodeID(kind string, id int64) string {
	return kind + "_" + base64.RawURLEncoding.EncodeToString([]byte(strconv.FormatInt(id, 10)))
}

func hostOf(base string) string {
	_, host, _ := strings.Cut(base, "://")
	return host
}
