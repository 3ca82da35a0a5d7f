package dirsync

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"mayfly/internal/store"
	"mayfly/runner"
)

// A job is one run of a Config.
type job struct {
	config *Config
	env    runner.Env
	filter filter
	over   store.Overwriter
}

// Unit is what an item of this job is.
func (j *job) Unit() string { return "files" }

// Restore says how the directory is got back.
func (j *job) Restore(jr runner.JobReport) string {
	if j.config.From == "" || jr.Verdict == runner.VerdictFailed {
		return ""
	}
	url := strings.TrimSuffix(j.env.Store.URL(""), "/")
	endpoint := ""
	if j.env.Endpoint != "" {
		endpoint = "AWS_ENDPOINT_URL_S3=" + word(j.env.Endpoint) + " "
	}
	hint := fmt.Sprintf("%smayfly restore %s --store %s", endpoint, word(j.env.Prefix), word(url))
	if strings.HasPrefix(url, "s3://") {
		hint += fmt.Sprintf("\nwithout mayfly: %saws s3 sync %s %s", endpoint, word(j.env.Store.URL(j.env.Prefix)+"/"), word(j.env.Prefix))
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

// open opens the directory.
func (j *job) open() (*os.Root, error) {
	key, dir := j.dir()
	if key == "to" {
		if err := os.MkdirAll(dir, 0o777); err != nil {
			return nil, fmt.Errorf("%s: %w", key, err)
		}
	}
	root, err := os.OpenRoot(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%s: %s does not exist: is its disk mounted? nothing was changed in the store", key, dir)
	case err != nil:
		return nil, fmt.Errorf("%s: %w: name a directory that this user can read", key, err)
	}
	return root, nil
}

// Run implements runner.Job.
func (j *job) Run(ctx context.Context, rec *runner.Recorder) error {
	root, err := j.open()
	if err != nil {
		return err
	}
	defer root.Close()
	over, ok := j.env.Store.(store.Overwriter)
	if !ok {
		return fmt.Errorf("the store %s cannot replace objects", j.env.Store.URL(""))
	}
	j.over = over
	x, err := findIndex(ctx, j.env.Store, j.env.Prefix)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	r := &run{job: j, rec: rec, root: root, index: x, cancel: cancel, large: make(chan struct{}, largeFiles)}
	return r.all(ctx)
}

// pairs are all paths, on both sides.
func (j *job) pairs(ctx context.Context, root *os.Root, x *index, lost func(error)) func(func(pair, error) bool) {
	return merge(ctx, walk(ctx, root, j.filter), j.env.Store.List(ctx, j.env.Prefix+"/"), x.records(ctx), j.env.Prefix, lost)
}
