package github

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sort"
	"strings"
	"unique"

	gh "github.com/google/go-github/v57/github"

	"mayfly/runner"
)

// A repository is what the listing says about one.
type repository struct {
	id            int64
	fullName      string // OWNER/NAME
	defaultBranch string
	size          int64  // bytes, roughly
	metadata      packed // GitHub's description of it
	fork          bool
	archived      bool
	private       bool
	hasWiki       bool
}

func (r *repository) owner() string {
	owner, _, _ := strings.Cut(r.fullName, "/")
	return owner
}

func (r *repository) name() string {
	_, name, _ := strings.Cut(r.fullName, "/")
	return name
}

// repositoryOf reads go-github's form. The error names what is missing.
func repositoryOf(r *gh.Repository, p *packer) (*repository, error) {
	owner, name, ok := strings.Cut(r.GetFullName(), "/")
	if !ok || r.GetID() == 0 || !validOwner(owner) || !validRepo(name) {
		return nil, fmt.Errorf("the listing holds a repository with the name %q and the id %d, which GitHub does not allow", r.GetFullName(), r.GetID())
	}
	z, err := p.pack(r)
	if err != nil {
		return nil, fmt.Errorf("pack the metadata of %s: %w", r.GetFullName(), err)
	}
	return &repository{
		id: r.GetID(), fullName: r.GetFullName(),
		defaultBranch: unique.Make(r.GetDefaultBranch()).Value(), // most have the same
		size:          int64(r.GetSize()) * 1024,
		fork:          r.GetFork(), archived: r.GetArchived(), private: r.GetPrivate(),
		hasWiki:  r.GetHasWiki(),
		metadata: z,
	}, nil
}

// A listing collects the repositories of all owners, each once.
type listing struct {
	client *gh.Client
	config *Config
	warn   func(runner.Problem)
	self   *gh.User // whose the token is; nil for an app or without a token

	found map[int64]*repository
	pack  *packer
}

// list asks for the repositories of every owner. What was found is returned
// in name order even when the error says that it is not all.
func (l *listing) list(ctx context.Context) ([]*repository, error) {
	var errs []error
	var err error
	l.found = map[int64]*repository{}
	if l.pack, err = newPacker(); err != nil {
		return nil, err
	}
	if !l.config.Token.IsZero() {
		u, err := l.account(ctx, "")
		if err != nil {
			return nil, problemOf("ask whose token this is", "", err)
		}
		l.self = u
	}
	for _, owner := range l.config.Owners {
		if err := l.owner(ctx, owner); err != nil {
			errs = append(errs, problemOf("list the repositories of", owner, err))
		}
		if ctx.Err() != nil {
			return l.sorted(), context.Cause(ctx)
		}
	}
	if len(errs) == 0 && len(l.found) == 0 {
		p := noneOf(strings.Join(l.config.Owners, ", "))
		errs = append(errs, &p)
	}
	return l.sorted(), errors.Join(errs...)
}

func (l *listing) sorted() []*repository {
	all := make([]*repository, 0, len(l.found))
	for _, r := range l.found {
		all = append(all, r)
	}
	sort.Slice(all, func(i, k int) bool { return all[i].fullName < all[k].fullName })
	return all
}

// owner lists one entry of the config's owners.
func (l *listing) owner(ctx context.Context, owner string) error {
	if owner == me {
		if l.config.App != nil {
			n, err := l.installed(ctx, "")
			if err == nil && n == 0 {
				l.warn(noneOf("the installation"))
			}
			return err
		}
		return l.myself(ctx, "owner,collaborator,organization_member")
	}
	u, err := l.account(ctx, owner)
	if err != nil {
		return err
	}
	installed := 0
	if l.config.App != nil {
		if installed, err = l.installed(ctx, u.GetLogin()); err != nil {
			return err
		}
	}
	if u.GetType() == "Organization" {
		return l.organization(ctx, u.GetLogin(), installed)
	}
	if strings.EqualFold(u.GetLogin(), l.self.GetLogin()) {
		return l.myself(ctx, "owner")
	}
	_, listed, err := l.pages(ctx, l.user(u.GetLogin()), "")
	if err != nil {
		return err
	}
	return l.compare(ctx, u.GetLogin(), listed+installed, countsOf(u), func(ctx context.Context) (counts, error) {
		u, err := l.account(ctx, owner)
		return countsOf(u), err
	})
}

// account asks who that is; "" is whose the token is.
func (l *listing) account(ctx context.Context, name string) (*gh.User, error) {
	u, _, err := l.client.Users.Get(ctx, name)
	if err == nil && u.GetLogin() == "" {
		err = errors.New("GitHub's answer names no account")
	}
	return u, err
}

// installed lists what a GitHub App's installation was given, of one owner or,
// with "", of all, and returns how many those are.
func (l *listing) installed(ctx context.Context, owner string) (int, error) {
	total := 0
	all, kept, err := l.pages(ctx, func(ctx context.Context, o gh.ListOptions) ([]*gh.Repository, *gh.Response, error) {
		rs, resp, err := l.client.Apps.ListRepos(ctx, &o)
		if err != nil || rs == nil {
			return nil, resp, err
		}
		total = rs.GetTotalCount()
		return rs.Repositories, resp, nil
	}, owner)
	if err == nil && all < total {
		err = fewer("the installation was given %d repositories, and the listing holds %d of them", total, all)
	}
	return kept, err
}

// organization lists everything the token sees of one.
func (l *listing) organization(ctx context.Context, name string, installed int) error {
	count := func(ctx context.Context) (counts, error) {
		o, _, err := l.client.Organizations.Get(ctx, name)
		if err == nil && o.GetLogin() == "" {
			err = errors.New("GitHub's answer names no organization")
		}
		return counts{int64(o.GetPublicRepos()), o.GetTotalPrivateRepos()}, err
	}
	was, err := count(ctx)
	if err != nil {
		return err
	}
	_, listed, err := l.pages(ctx, l.org(name), "")
	if err != nil {
		return err
	}
	return l.compare(ctx, name, listed+installed, was, count)
}

// myself lists the repositories of the token's own account and, as the
// affiliation says, others'. Only this listing holds the private ones.
func (l *listing) myself(ctx context.Context, affiliation string) error {
	_, listed, err := l.pages(ctx, l.own(affiliation), "")
	if err != nil {
		return err
	}
	return l.compare(ctx, l.self.GetLogin(), listed, countsOf(l.self), func(ctx context.Context) (counts, error) {
		u, err := l.account(ctx, "")
		return countsOf(u), err
	})
}

// A page is one request of a listing.
type page func(context.Context, gh.ListOptions) ([]*gh.Repository, *gh.Response, error)

func (l *listing) own(affiliation string) page {
	return func(ctx context.Context, o gh.ListOptions) ([]*gh.Repository, *gh.Response, error) {
		return l.client.Repositories.ListByAuthenticatedUser(ctx, &gh.RepositoryListByAuthenticatedUserOptions{
			Visibility: "all", Affiliation: affiliation, Sort: "created", Direction: "asc", ListOptions: o})
	}
}

func (l *listing) user(name string) page {
	return func(ctx context.Context, o gh.ListOptions) ([]*gh.Repository, *gh.Response, error) {
		return l.client.Repositories.ListByUser(ctx, name, &gh.RepositoryListByUserOptions{
			Type: "owner", Sort: "created", Direction: "asc", ListOptions: o})
	}
}

func (l *listing) org(name string) page {
	return func(ctx context.Context, o gh.ListOptions) ([]*gh.Repository, *gh.Response, error) {
		return l.client.Repositories.ListByOrg(ctx, name, &gh.RepositoryListByOrgOptions{
			Type: "all", Sort: "created", Direction: "asc", ListOptions: o})
	}
}

// pages reads a listing to its end and adds to what is found: one owner's
// repositories or, with "", all. It returns how many different ones the
// listing held, and how many of them are the owner's. By creation and
// ascending, a repository made meanwhile comes last instead of pushing another
// one over the edge of a page.
func (l *listing) pages(ctx context.Context, p page, owner string) (all, kept int, err error) {
	seen := map[int64]bool{}
	o := gh.ListOptions{Page: 1, PerPage: 100}
	for {
		rs, resp, err := p(ctx, o)
		if err != nil {
			return 0, 0, err
		}
		if resp.StatusCode != http.StatusOK {
			return 0, 0, fmt.Errorf("GitHub answered %s", resp.Status)
		}
		if rs == nil { // null, which is no list
			return 0, 0, fmt.Errorf("page %d of the listing is not a list of repositories", o.Page)
		}
		before := len(seen)
		for _, r := range rs {
			one, err := repositoryOf(r, l.pack)
			if err != nil {
				return 0, 0, err
			}
			if seen[one.id] {
				continue
			}
			seen[one.id] = true
			if owner == "" || strings.EqualFold(one.owner(), owner) {
				l.found[one.id] = one
				kept++
			}
		}
		if resp.NextPage == 0 && len(rs) >= o.PerPage && resp.Header.Get("Link") == "" {
			// A proxy may have taken the header; a page beyond the last is empty.
			if resp.NextPage = o.Page + 1; len(seen) == before {
				return 0, 0, fmt.Errorf("page %d of the listing holds nothing that was not on the pages before", o.Page)
			}
		}
		if resp.NextPage == 0 {
			return len(seen), kept, nil
		}
		if resp.NextPage <= o.Page {
			return 0, 0, fmt.Errorf("page %d of the listing names page %d as the next", o.Page, resp.NextPage)
		}
		o.Page = resp.NextPage
	}
}
