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
		u, _, err := l.client.Users.Get(ctx, "")
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
			return l.pages(ctx, l.installation())
		}
		return l.pages(ctx, l.own("owner,collaborator,organization_member"))
	}
	u, _, err := l.client.Users.Get(ctx, owner)
	if err != nil {
		return err
	}
	if l.config.App != nil {
		if err := l.pages(ctx, ownedBy(l.installation(), u.GetLogin())); err != nil {
			return err
		}
	}
	if u.GetType() == "Organization" {
		return l.organization(ctx, u)
	}
	if strings.EqualFold(u.GetLogin(), l.self.GetLogin()) {
		return l.myself(ctx)
	}
	if err := l.pages(ctx, l.user(u.GetLogin())); err != nil {
		return err
	}
	l.compare(u.GetLogin(), int64(u.GetPublicRepos()))
	return nil
}

// organization lists everything the token sees of one.
func (l *listing) organization(ctx context.Context, u *gh.User) error {
	o, _, err := l.client.Organizations.Get(ctx, u.GetLogin())
	if err != nil {
		return err
	}
	if err := l.pages(ctx, l.org(u.GetLogin())); err != nil {
		return err
	}
	l.compare(u.GetLogin(), int64(o.GetPublicRepos())+o.GetTotalPrivateRepos())
	return nil
}

// myself lists the repositories of the token's own account. Only this listing
// holds the private ones.
func (l *listing) myself(ctx context.Context) error {
	if err := l.pages(ctx, l.own("owner")); err != nil {
		return err
	}
	l.compare(l.self.GetLogin(), int64(l.self.GetPublicRepos())+l.self.GetOwnedPrivateRepos())
	return nil
}

// compare warns when the listing is shorter than the owner's own count: a
// token that was not given all repositories says nothing about the others.
func (l *listing) compare(owner string, counted int64) {
	var listed int64
	for _, r := range l.found {
		if strings.EqualFold(r.owner(), owner) {
			listed++
		}
	}
	if listed >= counted {
		return
	}
	l.warn(runner.Problem{
		Item: owner, Doing: "list the repositories of",
		Reason: fmt.Sprintf("%d repositories are counted, and the token sees %d of them", counted, listed),
		Fix:    "give the token access to all repositories, or leave out on purpose what is missing",
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

func (l *listing) installation() page {
	return func(ctx context.Context, o gh.ListOptions) ([]*gh.Repository, *gh.Response, error) {
		rs, resp, err := l.client.Apps.ListRepos(ctx, &o)
		if err != nil || rs == nil {
			return nil, resp, err
		}
		return rs.Repositories, resp, nil
	}
}

// ownedBy keeps one owner's repositories of a listing.
func ownedBy(p page, owner string) page {
	return func(ctx context.Context, o gh.ListOptions) ([]*gh.Repository, *gh.Response, error) {
		rs, resp, err := p(ctx, o)
		var kept []*gh.Repository
		for _, r := range rs {
			if strings.EqualFold(r.GetOwner().GetLogin(), owner) {
				kept = append(kept, r)
			}
		}
		return kept, resp, err
	}
}

// pages reads a listing to its end. By creation and ascending, a repository
// made meanwhile comes last instead of pushing another one over the edge of a
// page.
func (l *listing) pages(ctx context.Context, p page) error {
	o := gh.ListOptions{Page: 1, PerPage: 100}
	for {
		rs, resp, err := p(ctx, o)
		if err != nil {
			return err
		}
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("GitHub answered %s", resp.Status)
		}
		for _, r := range rs {
			one, err := repositoryOf(r, l.pack)
			if err != nil {
				return err
			}
			l.found[one.id] = one
		}
		if resp.NextPage == 0 {
			return nil
		}
		if resp.NextPage <= o.Page {
			return fmt.Errorf("page %d of the listing names page %d as the next", o.Page, resp.NextPage)
		}
		o.Page = resp.NextPage
	}
}
