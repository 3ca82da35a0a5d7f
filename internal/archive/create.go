package archive

import (
	"context"
	"errors"
	"fmt"
	"path"

	"mayfly/internal/store"
)

// Create begins the full segment that key names. ctx governs the store's
// requests until Commit or Close.
func Create(ctx context.Context, st store.Store, key string, o Options) (*Writer, error) {
	if err := checkOptions(key, o); err != nil {
		return nil, fmt.Errorf("segment %s: %w", key, err)
	}
	return create(ctx, st, key, o, nil)
}

// Append begins the increment that follows the chain's last segment. Its key is
// the compare-and-append: two runs that go on from the same segment cannot both
// commit. The chain must have been replayed, and be of the same repository.
func Append(ctx context.Context, st store.Store, c *Chain, o Options) (*Writer, error) {
	first, n := c.readers[0].at, len(c.Segments)
	key := Key(c.Prefix, first.Owner, first.Name, first.Full, n, true)
	var err error
	switch {
	case c.parts == nil:
		err = errors.New("its chain was not replayed")
	case !c.Is(o.Identity) || c.Repository != o.Identity.Owner+"/"+o.Identity.Name:
		err = fmt.Errorf("its chain is of %s, with the id %d at %s", c.Repository, c.Segments[0].Manifest.RepositoryID, c.Segments[0].Manifest.Host)
	case n > MaxIncrements:
		err = fmt.Errorf("a chain has at most %d increments", MaxIncrements)
	case !zipTime(o.Created):
		err = fmt.Errorf("creation time %v is out of range: is the clock set?", o.Created)
	}
	if err != nil {
		return nil, fmt.Errorf("segment %s: %w", key, err)
	}
	return create(ctx, st, key, o, c)
}

// MaxIncrements is how many a chain can have: as the key has four digits.
const MaxIncrements = 9999

func create(ctx context.Context, st store.Store, key string, o Options, c *Chain) (*Writer, error) {
	dst, err := st.Create(ctx, key)
	if err != nil {
		return nil, fmt.Errorf("segment %s: create: %w", key, err)
	}
	w := &Writer{key: key, dst: dst, zip: &zipWriter{w: dst, created: o.Created}, chain: c}
	id := o.Identity
	w.m = Manifest{
		Format: Format, Kind: KindFull,
		Host: id.Host, RepositoryID: id.ID, Owner: id.Owner, Name: id.Name,
		Created: o.Created.UTC(), Run: o.RunID, Mayfly: o.Version,
		Selection: o.Selection,
		Parts:     Parts{Repo: PartInfo{State: Absent}, Wiki: PartInfo{State: Absent, Why: "none was fetched"}},
	}
	if !o.Selection.Wiki {
		w.m.Parts.Wiki.Why = "it was not asked for"
	}
	if c != nil {
		last := c.Last()
		w.m.Kind = KindIncr
		w.m.Parent = &Parent{Key: last.Key, Size: last.Object.Size, ManifestSHA256: c.readers[len(c.readers)-1].Sum}
	}
	return w, nil
}

func checkOptions(key string, o Options) error {
	id := o.Identity
	if err := CheckName(id.Owner, id.Name); err != nil {
		return err
	}
	if id.Host == "" || id.ID <= 0 {
		return fmt.Errorf("host %q and repository id %d do not tell which repository it is", id.Host, id.ID)
	}
	if !zipTime(o.Created) {
		return fmt.Errorf("creation time %v is out of range: is the clock set?", o.Created)
	}
	dir := key
	for range 4 {
		dir = path.Dir(dir)
	}
	if dir == "." {
		dir = ""
	}
	if p, ok := ParseKey(dir, key); !ok || p.Owner != id.Owner || p.Name != id.Name || p.Incr {
		return fmt.Errorf("this is not the key of a full segment of %s/%s", id.Owner, id.Name)
	}
	return nil
}
