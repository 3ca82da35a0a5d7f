package github

import (
	"context"
	"time"

	"mayfly/internal/archive"
)

// known lists what is in the store once, for all repositories, reads the index,
// and returns when each repository last had a good backup: when its newest
// segment was made, or was last found to be all there is.
func (j *job) known(ctx context.Context) (map[string]time.Time, error) {
	var err error
	if j.listed, err = archive.Scan(ctx, j.env.Store, j.env.Prefix); err != nil {
		return nil, err
	}
	if j.index, err = archive.ReadIndex(ctx, j.env.Store, j.env.Prefix); err != nil {
		j.rec.Log().Info("segments will be read again", "error", j.env.Redact(err.Error()))
	}
	j.index.Keep(func(name string) bool { return j.listed[name].Segments > 0 })
	good := make(map[string]time.Time, len(j.listed))
	for name, l := range j.listed {
		at := l.Newest
		// A time ahead of this run's is no proof of anything.
		if e, ok := j.index.Find(name, l.Print); ok && e.Checked.After(at) && !e.Checked.After(j.env.Start) {
			at = e.Checked
		}
		good[name] = at
	}
	return good, nil
}

// saveIndexTime bounds the last request of a job that may have been told to
// stop.
const saveIndexTime = 10 * time.Second

// saveIndex keeps what this run found, even when it was cut short.
func (j *job) saveIndex(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), saveIndexTime)
	defer cancel()
	if err := j.index.Save(ctx); err != nil {
		j.rec.Log().Info("the next run will read segments again", "error", j.env.Redact(err.Error()))
	}
}
