package github

import (
	"context"
	"errors"
	"fmt"

	"mayfly/internal/archive"
	"mayfly/internal/store"
	"mayfly/runner"
)

// Defaults of Config.Full.
const (
	defaultAfter = 30
	defaultShare = 0.5
)

// A base is what a repository's next segment goes by.
type base struct {
	// digest is that of the chain's last state; "" when there is no chain to
	// go on from.
	digest string
	chain  *archive.Chain // nil until open, and where there is none
}

// base finds the chain's last state: in the index, or else in the segments. A
// chain that nothing can be built on is a doubtError; one that cannot be read
// now is the store's failure, and no reason for a new full segment.
func (t *task) base(ctx context.Context) (*base, error) {
	switch {
	case t.full != "" || t.listed.Segments == 0:
		return &base{}, nil
	case t.missing[t.r.fullName]: // the report says so already, for all of them
		return nil, &doubtError{errGone}
	case t.listed.Marked:
		return nil, t.doubt(t.marked())
	case !t.listed.Extendable():
		return nil, t.doubt(errMissing)
	case t.listed.Doubt:
		return t.strictly(ctx)
	}
	if e, ok := t.index.Find(t.r.fullName, t.listed); ok {
		if e.ID != t.r.id || e.Host != t.at.git.Host {
			return nil, t.doubt(t.stranger(e.Host, e.ID))
		}
		return &base{digest: e.Digest}, nil
	}
	b := &base{}
	if err := t.open(ctx, b); err != nil {
		return nil, err
	}
	b.digest = b.chain.Last().Manifest.Digest
	return b, nil
}

// open reads the chain's manifests.
func (t *task) open(ctx context.Context, b *base) error {
	if b.chain != nil {
		return nil
	}
	return t.openBy(ctx, b, archive.OpenChain)
}

type opener func(context.Context, store.Store, string, []store.Object) (*archive.Chain, error)

func (t *task) openBy(ctx context.Context, b *base, open opener) error {
	listed, err := archive.ListChain(ctx, t.env.Store, t.env.Prefix, t.r.owner(), t.r.name(), t.listed.Full)
	if err != nil {
		return err
	}
	c, err := open(ctx, t.env.Store, t.env.Prefix, listed)
	if err != nil {
		return t.ofChain(err)
	}
	if id := t.options().Identity; !c.Is(id) {
		m := c.Last().Manifest
		return t.doubt(t.stranger(m.Host, m.RepositoryID))
	}
	b.chain = c
	return nil
}

// stranger says that the name was another repository's.
func (t *task) stranger(host string, id int64) error {
	return fmt.Errorf("the name belonged to another repository before (number %d at %s): its archives stay", id, host)
}

// ofChain tells a chain that is not whole from a store that cannot be read.
func (t *task) ofChain(err error) error {
	for _, kind := range []error{archive.ErrDamaged, archive.ErrNewer, store.ErrNotExist, store.ErrChanged} {
		if errors.Is(err, kind) {
			return t.doubt(err)
		}
	}
	return err
}

// doubt says in the report why a new full segment is written.
func (t *task) doubt(err error) error {
	fix := "nothing to do: a full archive was begun"
	if errors.Is(err, archive.ErrDamaged) || errors.Is(err, errMissing) {
		fix = "nothing to do for new backups, for which a full archive was begun; mayfly verify says what is wrong with the old ones"
	}
	t.warn(runner.Problem{Item: t.r.fullName, Reason: "a full archive instead of an increment: " + err.Error(), Fix: fix})
	return &doubtError{err}
}

var (
	errMissing = errors.New("one of its archives is missing, or stands twice")
	errGone    = errors.New("archives that an earlier run recorded are gone")
)

// same reports whether what the server shows is the chain's last state.
func (t *task) same(ctx context.Context, s *sight, b *base) (bool, error) {
	if b.digest == "" {
		return false, nil
	}
	selection := t.options().Selection
	if !t.wikiFailed {
		return archive.StateDigest(selection, &s.repoAs, s.wikiState()) == b.digest, nil
	}
	// Of the wiki nothing is known but what is in the chain.
	if err := t.open(ctx, b); err != nil {
		return false, err
	}
	m := b.chain.Last().Manifest
	return m.Selection == selection && m.Parts.Repo.Digest == s.repoAs.Digest(), nil
}

// begin begins an increment, or a full segment where there is no chain or where
// it is time for one.
func (t *task) begin(ctx context.Context, s *sight, b *base) (*archive.Writer, error) {
	if b.digest != "" && (!t.due() || s.empty() || t.wikiFailed) {
		if err := t.open(ctx, b); err != nil {
			return nil, err
		}
		if err := b.chain.Replay(ctx); err != nil {
			return nil, t.ofChain(err)
		}
		t.noticeEmpty(s, b)
		t.noticeWiki(s, b)
		o := t.options()
		o.Created = t.after(b.chain.Made())
		return archive.Append(ctx, t.env.Store, b.chain, o)
	}
	if b.digest != "" && s.wikiless() && !t.wikiFailed && t.open(ctx, b) == nil { // the full one does without
		t.noticeWiki(s, b)
	}
	b.chain = nil
	if t.r.size > 0 {
		t.it.Expect(t.r.size)
	}
	o := t.options()
	if t.listed.Segments > 0 {
		o.Created = t.after(t.madeLast(ctx))
	}
	key := archive.Key(t.env.Prefix, t.r.owner(), t.r.name(), o.Created, 0, false)
	return archive.Create(ctx, t.env.Store, key, o)
}

// due reports whether the chain is long enough, or heavy enough, that the next
// segment is a full one. A repository that is suddenly empty, or whose wiki
// cannot be read, never begins a new chain: the old one holds more.
func (t *task) due() bool {
	after, share := t.config.limits()
	return t.listed.Segments > after || float64(t.listed.Increments) > share*float64(t.listed.Base)
}

// noticeEmpty says in the report that a repository has lost everything.
func (t *task) noticeEmpty(s *sight, b *base) {
	if !s.empty() || b.chain.Last().Manifest.Parts.Repo.State == archive.Empty {
		return
	}
	t.warn(runner.Problem{Item: t.r.fullName, Doing: "back up",
		Reason: "it is empty now, and was not before: what it held stays in the store",
		Fix:    "if nobody meant to empty it, get it back with mayfly restore --at"})
}

// noticeWiki says in the report that a wiki has lost everything, or is gone,
// though it is asked for as before.
func (t *task) noticeWiki(s *sight, b *base) {
	last := b.chain.Last().Manifest
	if !s.wikiless() || t.wikiFailed || last.Parts.Wiki.State != archive.Present || last.Selection != t.options().Selection {
		return
	}
	t.warn(runner.Problem{Item: t.r.fullName, Doing: "back up",
		Reason: "its wiki had pages and has none now: what it held stays in the store",
		Fix:    "if nobody meant to remove it, get it back with mayfly restore --wiki --at"})
}

// remember keeps the state for the next run. With a wiki that could not be read
// the repository does not count as seen.
func (t *task) remember(digest string) {
	l := t.listed
	e := archive.Summary{
		Host: t.at.git.Host, ID: t.r.id, Chain: l.Full, Segments: l.Segments, Print: l.Print,
		Digest: digest, Checked: t.env.Start,
	}
	if t.wikiFailed {
		was, _ := t.index.Get(t.r.fullName)
		e.Checked = was.Checked
	}
	t.index.Set(t.r.fullName, e)
}

func (t *task) options() archive.Options {
	return archive.Options{
		Identity:  archive.Identity{Host: t.at.git.Host, ID: t.r.id, Owner: t.r.owner(), Name: t.r.name()},
		Created:   t.env.Start,
		RunID:     t.env.RunID,
		Version:   t.env.Version,
		Selection: archive.Selection{Pull: t.config.PullRequests, Wiki: on(t.config.Wiki)},
	}
}
