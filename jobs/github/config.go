// Package github backs up the repositories of GitHub users and organizations:
// it lists them through the REST API and streams each, with its wiki, from the
// git server into one checked segment in the store.
package github

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"

	"github.com/bmatcuk/doublestar/v4"

	"mayfly/internal/secret"
	"mayfly/runner"
)

// A Config is the `github:` mapping of a job.
type Config struct {
	Owners       []string   `yaml:"owners,required" doc:"users and organizations whose repositories are backed up; me: everything the token can read" example:"[octocat]"`
	Token        secret.Ref `yaml:"token" doc:"where the access token is kept: ssm:/name, secretsmanager:name, env:NAME or file:/path; without one, public repositories only"`
	App          *App       `yaml:"app" doc:"a GitHub App's installation, instead of token"`
	URL          string     `yaml:"url" doc:"base URL of a GitHub Enterprise server; github.com by default"`
	Include      []string   `yaml:"include" doc:"globs on OWNER/REPO in lower case; only what matches one is backed up"`
	Exclude      []string   `yaml:"exclude" doc:"globs on OWNER/REPO in lower case; what matches one is left out"`
	Forks        *bool      `yaml:"forks" doc:"back up forks too (default true)"`
	Archived     *bool      `yaml:"archived" doc:"back up archived repositories too (default true)"`
	Private      *bool      `yaml:"private" doc:"back up private repositories too (default true)"`
	Wiki         *bool      `yaml:"wiki" doc:"back up wikis (default true)"`
	PullRequests bool       `yaml:"pull_requests" doc:"back up the commits of pull requests (refs/pull) too; several times the data in busy repositories"`
	Full         Full       `yaml:"full" doc:"when a changed repository is written whole instead of what is new of it"`
	Parallel     int        `yaml:"parallel" doc:"repositories at once, 1 to 6 (default 4)" min:"1" max:"6"`
}

// An App names one installation of a GitHub App.
type App struct {
	ID           int        `yaml:"id,required" doc:"the app's id, from its settings page" example:"123456" min:"1"`
	Installation int        `yaml:"installation,required" doc:"the installation's id, the number at the end of its settings page's URL" example:"12345678" min:"1"`
	Key          secret.Ref `yaml:"key,required" doc:"where the app's private key (PEM) is kept" example:"ssm:/name"`
}

// Full says when a chain of increments ends and a new full archive begins the
// next one.
type Full struct {
	After *int     `yaml:"after" doc:"after so many increments (default 30); 0: always" min:"0" max:"1000"`
	Share *float64 `yaml:"share" doc:"when the increments together are larger than this share of the full archive (default 0.5)" min:"0" max:"1000"`
}

// limits are After and Share.
func (c *Config) limits() (after int, share float64) {
	after, share = defaultAfter, defaultShare
	if c.Full.After != nil {
		after = *c.Full.After
	}
	if c.Full.Share != nil {
		share = *c.Full.Share
	}
	return after, share
}

var _ runner.JobConfig = (*Config)(nil)

const (
	defaultParallel = 4
	// maxParallel is how many part buffers the store has: each repository in
	// work may hold one while its git server stalls, and with more of them
	// than buffers a few such servers would hold up all the others.
	maxParallel = 6
	// me stands for everything the token can read.
	me = "me"
)

// on is the value of a switch whose default is true.
func on(b *bool) bool { return b == nil || *b }

// Validate returns all mistakes at once.
func (c *Config) Validate() []runner.Problem {
	var ps []runner.Problem
	bad := func(key, reason, fix string) {
		ps = append(ps, runner.Problem{Item: key, Reason: reason, Fix: fix})
	}
	if len(c.Owners) == 0 {
		bad("owners", "no owners are given", "name at least one user or organization, or me: owners: [octocat]")
	}
	seen := map[string]bool{}
	for i, o := range c.Owners {
		key := fmt.Sprintf("owners[%d]", i)
		switch {
		case secret.HideTokens(o) != o:
			bad(key, "this looks like a token, not like a name", "take it out and revoke it, for it was written down; name the owner here, and under token where a new one is kept: token: env:GITHUB_TOKEN")
		case !validOwner(o):
			bad(key, fmt.Sprintf("%q is not a name of a user or organization", o), "give the name alone, as in https://github.com/NAME")
		case seen[strings.ToLower(o)]:
			bad(key, fmt.Sprintf("%q is named twice", o), "remove one of the two")
		case o == me && c.Token.IsZero() && c.App == nil:
			bad(key, "me means everything the token can read, and there is no token", "add token: env:GITHUB_TOKEN, or name the owner")
		}
		seen[strings.ToLower(o)] = true
	}
	if !c.Token.IsZero() && c.App != nil {
		bad("app", "both token and app are given", "keep one of them")
	}
	if a := c.App; a != nil {
		if a.ID <= 0 {
			bad("app.id", "the app's id is missing", "copy App ID from the app's settings page")
		}
		if a.Installation <= 0 {
			bad("app.installation", "the installation's id is missing", "copy the number at the end of the installation's settings URL")
		}
		if a.Key.IsZero() {
			bad("app.key", "the app's private key is missing", "say where it is kept: key: ssm:/name")
		}
	}
	if _, err := endpointsOf(c.URL); err != nil {
		bad("url", err.Error(), "write https://HOST, the address your browser shows")
	}
	badGlobs(c.Include, "include", bad)
	badGlobs(c.Exclude, "exclude", bad)
	if after, share := c.limits(); after < 0 || after > 1000 {
		bad("full.after", fmt.Sprintf("%d increments are out of range", after), "give 0 to 1000")
	} else if !(share >= 0 && share <= 1000) {
		bad("full.share", fmt.Sprintf("%v is out of range", share), "write it like 0.5")
	}
	if c.Parallel < 0 || c.Parallel > maxParallel {
		bad("parallel", fmt.Sprintf("%d repositories at once is out of range", c.Parallel), fmt.Sprintf("give 1 to %d: each holds a part of the memory that mayfly keeps to", maxParallel))
	}
	return ps
}

func badGlobs(globs []string, key string, bad func(key, reason, fix string)) {
	for i, g := range globs {
		k := fmt.Sprintf("%s[%d]", key, i)
		switch {
		case strings.HasPrefix(g, "!"):
			bad(k, fmt.Sprintf("%q begins with !, and globs know no negation", g), "write without ! what to keep under include, and what to leave out under exclude")
		case !doublestar.ValidatePattern(g):
			bad(k, fmt.Sprintf("%q is not a glob", g), "close every [ and {, and put no \\ at the end")
		case !strings.Contains(g, "/") && g != "**":
			bad(k, fmt.Sprintf("%q can match nothing: globs are matched with OWNER/REPO", g), fmt.Sprintf("write %q", "*/"+g))
		}
	}
}

// Needs names the secrets; the permission to read them is the deployment's to
// add.
func (c *Config) Needs() runner.Needs {
	n := runner.Needs{Permissions: permissions()}
	if !c.Token.IsZero() {
		n.Secrets = append(n.Secrets, c.Token)
	}
	if c.App != nil && !c.App.Key.IsZero() {
		n.Secrets = append(n.Secrets, c.App.Key)
	}
	return n
}

// endpoints is where one GitHub answers.
type endpoints struct {
	api *url.URL // ends in a slash
	git *url.URL // without a slash at the end
}

// endpointsOf derives both addresses from the one in the config. github.com
// and GHE.com answer REST at the host api.HOST, an Enterprise server at the
// path /api/v3 of its own
// (https://docs.github.com/enterprise-server/rest/overview/resources-in-the-rest-api).
func endpointsOf(base string) (endpoints, error) {
	if base == "" {
		base = "https://api.github.com"
	}
	u, err := url.Parse(base)
	if err != nil || u.Host == "" {
		return endpoints{}, errors.New("this is not an address")
	}
	switch {
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "": // not shown: it may be a token's
		return endpoints{}, errors.New("the address has more than a host and a path: it holds a ? or a #")
	case u.User != nil:
		return endpoints{}, fmt.Errorf("the address holds a user name or password")
	case u.Scheme != "https" && (u.Scheme != "http" || !loopback(u.Hostname())):
		return endpoints{}, fmt.Errorf("%q would send the token unencrypted", base)
	}
	path := strings.TrimSuffix(strings.TrimSuffix(u.Path, "/"), "/api/v3")
	host, isAPI := strings.CutPrefix(strings.ToLower(u.Host), "api.")
	if host == "github.com" || strings.HasSuffix(host, ".ghe.com") {
		isAPI = true
	}
	if isAPI && !strings.Contains(u.Path, "/api/v3") && path == "" {
		return endpoints{
			api: &url.URL{Scheme: u.Scheme, Host: "api." + host, Path: "/"},
			git: &url.URL{Scheme: u.Scheme, Host: host},
		}, nil
	}
	return endpoints{
		api: &url.URL{Scheme: u.Scheme, Host: u.Host, Path: path + "/api/v3/"},
		git: &url.URL{Scheme: u.Scheme, Host: u.Host, Path: path},
	}, nil
}

// loopback reports whether host is this machine, where http is as good as https.
func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// withoutUserinfo is an address as it may be shown.
func withoutUserinfo(s string) string {
	if i := strings.LastIndex(s, "@"); i >= 0 {
		return s[i+1:]
	}
	return s
}
