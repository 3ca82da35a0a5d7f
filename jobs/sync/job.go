package dirsync

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"mayfly/internal/store"
	"mayfly/runner"
)

// A job is one run of a Config.
type job struct {
	config *Config
	env    runner.Env
	filter filter
	over   store.Overwriter
	skew   time.Duration // by which the clock of a file server may be wrong
}

// Unit is what an item of this job is.
func (j *job) Unit() string { return "files" }

// ReadsOnly says that the job writes nothing to the store.
func (j *job) ReadsOnly() bool { return j.config.To != "" }

// Brings is the directory that files are brought to from the store, "" where
// they go the other way.
func (j *job) Brings() string { return j.config.To }

// Restore says how the directory is got back.
func (j *job) Restore(jr runner.JobReport) string {
	if j.config.From == "" || jr.Verdict == runner.VerdictFailed {
		return ""
	}
	url := strings.TrimSuffix(j.env.Store.URL(""), "/")
	endpoint := ""
	if j.env.Endpoint != "" {
		endpoint = "AWS_ENDPOINT_URL_S3=" + word(j.env.Endpoint) + " "
		if j.env.StoreRegion != "" {
			endpoint = "AWS_REGION=" + word(j.env.StoreRegion) + " " + endpoint
		}
	}
	hint := fmt.Sprintf("%smayfly restore %s --store %s", endpoint, word(j.env.Prefix), word(url))
	if strings.HasPrefix(url, "s3://") {
		hint += fmt.Sprintf("\nwithout mayfly: %saws s3 sync %s %s --exclude '.mayfly/*'", endpoint, word(j.env.Store.URL(j.env.Prefix)+"/"), word(path.Base(j.env.Prefix)))
	}
	return hint
}

// word spells s as one word of sh.
func word(s string) string {
	if s != "" && strings.TrimLeft(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._:=@%+,-") == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// dir is the directory, and the key that names it.
func (j *job) dir() (key, dir string) {
	if j.config.To != "" {
		return "to", j.config.To
	}
	return "from", j.config.From
}

// open opens the directory, and finds the index of the last run.
func (j *job) open(ctx context.Context) (*folder, *index, error) {
	over, ok := j.env.Store.(store.Overwriter)
	if !ok {
		return nil, nil, fmt.Errorf("the store %s cannot replace objects", j.env.Store.URL(""))
	}
	j.over = over
	dir, err := j.openDir()
	if err != nil {
		return nil, nil, err
	}
	x, err := findIndex(ctx, j.env.Store, j.env.Prefix)
	if err != nil {
		dir.Close()
		return nil, nil, err
	}
	return dir, x, nil
}

func (j *job) openDir() (*folder, error) {
	key, dir := j.dir()
	if j.aroundStore(dir) {
		return nil, errAround(key, dir)
	}
	if key == "to" {
		if err := os.MkdirAll(dir, 0o777); err != nil {
			return nil, fmt.Errorf("%s: %w", key, err)
		}
	}
	root, err := os.OpenRoot(dir)
	var in *folder
	if err == nil {
		in, err = newFolder(root)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%s: %s does not exist: is its disk mounted? nothing was changed in the store", key, dir)
	case err != nil:
		return nil, fmt.Errorf("%s: %s: %w: name a directory that this user can read", key, dir, plain(err))
	}
	return in, nil
}

func errAround(key, dir string) error {
	return fmt.Errorf("%s: the store is in %s, and would be kept in itself: name another directory, or keep the store elsewhere", key, dir)
}

// aroundStore reports whether a directory has the store in it, or the other way
// round for what is brought back.
func (j *job) aroundStore(dir string) bool {
	u, err := url.Parse(j.env.Store.URL(""))
	if err != nil || u.Scheme != "file" {
		return false
	}
	there, here := real(filepath.FromSlash(u.Path)), real(dir)
	return within(there, here) || j.config.To != "" && within(here, there)
}

// real is a path without symbolic links, as far as there is something.
func real(p string) string {
	if r, err := filepath.EvalSymlinks(p); err == nil {
		return r
	}
	if up := filepath.Dir(p); up != p {
		return filepath.Join(real(up), filepath.Base(p))
	}
	return p
}

func within(p, dir string) bool {
	rel, err := filepath.Rel(dir, p)
	return err == nil && filepath.IsLocal(rel)
}

// Run implements runner.Job.
func (j *job) Run(ctx context.Context, rec *runner.Recorder) error {
	dir, x, err := j.open(ctx)
	if err != nil {
		return err
	}
	defer dir.Close()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	r := &run{job: j, rec: rec, dir: dir, index: x, cancel: cancel, large: make(chan struct{}, largeFiles)}
	return r.all(ctx)
}

// pairs are all paths, on both sides.
func (j *job) pairs(ctx context.Context, dir *folder, x *index, track *tracker, lost func(error)) func(func(pair, error) bool) {
	return merge(ctx, walk(ctx, dir.root, j.filter, j.badName, track), j.env.Store.List(ctx, j.env.Prefix+"/"), x.records(ctx), j.env.Prefix, lost)
}
