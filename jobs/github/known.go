package github

import (
	"context"
	"fmt"
	"time"

	"mayfly/internal/archive"
	"mayfly/runner"
)

// known reads the index, lists what is in the store once, for all repositories,
// and returns how old the good backup of each is.
func (j *job) known(ctx context.Context) (map[string]age, error) {
	var err error
	if j.index, err = archive.ReadIndex(ctx, j.env.Store, j.env.Prefix); err != nil {
		j.rec.Log().Info("segments will be read again", "error", j.env.Redact(err.Error()))
	}
	var missing []archive.Missing
	if j.listed, missing, err = archive.Scan(ctx, j.env.Store, j.env.Prefix, j.index); err != nil {
		return nil, err
	}
	j.warnOfMissing(missing)
	j.index.Keep(func(name string) bool { return j.listed[name].Segments > 0 })
	good := make(map[string]age, len(j.listed))
	for name, l := range j.listed {
		good[name] = j.ageOf(name, l)
	}
	return good, nil
}

// warnOfMissing says in the report which archives have gone that an earlier run
// recorded. Their repositories begin anew.
func (j *job) warnOfMissing(missing []archive.Missing) {
	if len(missing) == 0 {
		return
	}
	j.missing = make(map[string]bool, len(missing))
	var names []string
	for _, m := range missing {
		j.missing[m.Repository] = true
		names = append(names, m.String())
	}
	j.warn(runner.Problem{
		Reason: fmt.Sprintf("archives that an earlier run recorded are no longer in %s: %s", j.env.Store.URL(j.env.Prefix), few(names)),
		Fix:    "nothing to do for new backups, which begin with a full archive; if nobody removed them on purpose, find out what did, and get them back from the bucket's versions or a copy",
	})
}

// forget drops the records of what is missing of repositories that are not
// backed up any more: it has been said. The others keep theirs until they have
// a new archive.
func (j *job) forget(picked []*repository) {
	if len(j.missing) == 0 {
		return
	}
	work := make(map[string]bool, len(picked))
	for _, r := range picked {
		work[r.fullName] = true
	}
	j.index.Keep(func(name string) bool { return work[name] || !j.missing[name] })
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
