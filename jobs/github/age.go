package github

import (
	"context"
	"time"

	"mayfly/internal/archive"
)

// An age is when a repository last had a good backup: when its newest segment
// was made, or was last found to be all there is.
type age struct {
	at time.Time
	// sure says that at is of the repository with this number at this host.
	// Else it is a guess by the listing, not too new, and by the name alone.
	sure bool
	host string
	id   int64
}

// ageOf is what index and listing say.
func (j *job) ageOf(name string, l archive.Listed) age {
	e, ok := j.index.Find(name, l)
	// A time ahead of this run's is no proof of anything.
	if ok && !l.Marked && !l.Gap && e.Checked.After(l.Began()) && !e.Checked.After(j.env.Start) {
		return age{e.Checked, true, e.Host, e.ID}
	}
	if l.Newest.IsZero() {
		return age{}
	}
	a := age{at: l.Began()}
	if l.Newest.Before(a.at) { // of an older chain: of this one nothing is good
		a.at = l.Newest
	}
	a.host, a.id = e.Host, e.ID // whatever segments it is about
	return a
}

// lastGood is when the repository last had a good backup, of that number and
// not only of that name: the zero time says never. What the listing does not
// say, one manifest does: to a listing all segments of a store that was copied
// are as new as the copy.
func (j *job) lastGood(ctx context.Context, r *repository, a age) time.Time {
	if !a.sure && !a.at.IsZero() && ctx.Err() == nil {
		a = j.read(ctx, r, a)
	}
	return j.of(r, a)
}

// of is the age, unless it is that of another repository of the same name.
func (j *job) of(r *repository, a age) time.Time {
	if a.id != 0 && (a.id != r.id || a.host != j.at.git.Host) {
		return time.Time{}
	}
	return a.at
}

// read makes an age sure if it can.
func (j *job) read(ctx context.Context, r *repository, a age) age {
	l := j.listed[r.fullName]
	if l.Gap || l.Marked {
		ps, _ := archive.Points(ctx, j.env.Store, j.env.Prefix, r.owner(), r.name())
		for _, p := range ps {
			if !p.Marked {
				a = age{p.At, true, p.Manifest.Host, p.Manifest.RepositoryID}
			}
		}
		return a
	}
	made, err := archive.LastMade(ctx, j.env.Store, j.env.Prefix, r.owner(), r.name(), l.Full)
	if err != nil {
		j.rec.Log().Info("when the newest archive was made cannot be read", "repository", r.fullName, "error", j.env.Redact(err.Error()))
		return a
	}
	if made.At.Before(l.Began()) {
		made.At = l.Began()
	}
	return age{made.At, true, made.Host, made.ID}
}
