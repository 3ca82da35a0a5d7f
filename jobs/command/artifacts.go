package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"mayfly/internal/store"
	"mayfly/runner"
)

// uploads is how many artifacts are written at once: fewer than the store has
// part buffers.
const uploads = 4

// prefix is where the artifacts of this run are kept: a folder of its own, so
// that none ever replaces another.
func (j *job) prefix() string {
	stamp, _, _ := strings.Cut(j.env.RunID, "-")
	return j.env.Prefix + "/" + stamp + "/"
}

// A keeping is the artifacts of one command on their way to the store.
type keeping struct {
	job  *job
	who  account
	item *runner.Item
	work errgroup.Group

	files   int
	odd     []string // neither files nor directories
	oddMore int
	stored  atomic.Int64
	mu      sync.Mutex
	failed  []string
	more    int
}

// shown is how many names of a kind are given in the report.
const shown = 5

// keep stores every regular file below the directory of artifacts, write-once.
// No process of the command is left that could change them. Nothing outside of
// the directory can be stored: no link is followed.
func (j *job) keep(ctx context.Context, rec *runner.Recorder, item *runner.Item, w *workplace, a account) (runner.Outcome, *runner.Problem) {
	failed := func(err error) (runner.Outcome, *runner.Problem) {
		return runner.Failed, &runner.Problem{Doing: "keep the artifacts of", Reason: err.Error(), Fix: "let the command leave its files in a directory " + j.config.Artifacts + " below " + w.dir}
	}
	root, err := descend(w.inside, j.config.Artifacts)
	if err != nil {
		return failed(err)
	}
	defer root.Close()
	k := &keeping{job: j, who: a, item: item}
	k.work.SetLimit(uploads)
	k.walk(ctx, root, "")
	_ = k.work.Wait() // it never fails
	if ctx.Err() != nil {
		k.failure(".", context.Cause(ctx))
	}
	return k.outcome(ctx, rec)
}

// walk keeps what is in one directory, and below it. p is its path.
func (k *keeping) walk(ctx context.Context, dir *os.Root, p string) {
	open, err := dir.Open(".")
	if err != nil {
		k.failure(p, err)
		return
	}
	defer open.Close()
	for ctx.Err() == nil {
		list, err := open.ReadDir(1024)
		if err != nil && !errors.Is(err, io.EOF) {
			k.failure(p, err)
		}
		if err != nil {
			return
		}
		slices.SortFunc(list, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
		k.some(ctx, dir, p, list)
	}
}

// some keeps a part of what is in one directory.
func (k *keeping) some(ctx context.Context, dir *os.Root, p string, list []fs.DirEntry) {
	for _, d := range list {
		if ctx.Err() != nil {
			return
		}
		at := path.Join(p, d.Name())
		switch {
		case d.IsDir() && len(k.job.prefix()+at) > store.MaxKey:
			k.failure(at, fmt.Errorf("no name below it can be held by the store: they are longer than %d bytes", store.MaxKey))
		case d.IsDir():
			sub, err := within(dir, d.Name())
			if err != nil {
				k.failure(at, err)
				continue
			}
			k.walk(ctx, sub, at)
			sub.Close()
		case !d.Type().IsRegular():
			k.strange(at)
		default:
			k.files++
			f, err := regular(dir, d.Name())
			if err != nil {
				k.failure(at, err)
				continue
			}
			k.work.Go(func() error {
				defer f.Close()
				if err := k.store(ctx, f, at); err != nil {
					k.failure(at, err)
				}
				return nil
			})
		}
	}
}

// outcome sums up.
func (k *keeping) outcome(ctx context.Context, rec *runner.Recorder) (runner.Outcome, *runner.Problem) {
	j := k.job
	if len(k.odd) > 0 {
		rec.Warn(runner.Problem{Item: j.env.Job, Reason: "not kept, for they are no regular files: " + list(k.odd, k.oddMore), Fix: "let the command copy what they stand for"})
	}
	if len(k.failed) == 0 {
		if k.files == 0 {
			rec.Warn(runner.Problem{Item: j.env.Job, Reason: "it left no artifacts: the directory " + j.config.Artifacts + " is empty", Fix: "see that it writes its files to $MAYFLY_ARTIFACTS"})
		}
		rec.Log().Info("artifacts are kept", runner.KeyCount, k.files)
		return runner.Done, nil
	}
	problem := &runner.Problem{
		Doing:  "keep the artifacts of",
		Reason: fmt.Sprintf("the command succeeded, but not all of its files could be stored (%d were): %s", k.stored.Load(), list(k.failed, k.more)),
		Fix:    "what is there is whole; see the reasons, and run it again",
	}
	switch {
	case ctx.Err() != nil:
		return runner.Interrupted, problem
	case k.stored.Load() > 0:
		return runner.Partial, problem
	}
	return runner.Failed, problem
}

func list(names []string, more int) string {
	s := strings.Join(names, "; ")
	if more > 0 {
		s += fmt.Sprintf("; and %d more, see the log", more)
	}
	return s
}

func (k *keeping) failure(p string, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	text := runner.OneLine(p, 100) + ": " + runner.OneLine(err.Error(), 200)
	if len(k.failed) == shown {
		k.more++
		return
	}
	k.failed = append(k.failed, text)
}

func (k *keeping) strange(p string) {
	if len(k.odd) == shown {
		k.oddMore++
		return
	}
	k.odd = append(k.odd, runner.OneLine(p, 200))
}

// store writes one file.
func (k *keeping) store(ctx context.Context, f *os.File, p string) error {
	key := k.job.prefix() + p
	if err := store.CheckIn(k.job.env.Store, key); err != nil {
		_, why, _ := strings.Cut(strings.TrimPrefix(err.Error(), fmt.Sprintf("bad object key %q", key)), ": ")
		return fmt.Errorf("the store cannot hold this name: %s", why)
	}
	fi, err := f.Stat()
	switch {
	case err != nil:
		return err
	case k.who.foreign(fi):
		return errors.New("it is another user's file, which the command has only moved or linked here")
	}
	err = k.write(ctx, key, f, fi.Size())
	if errors.Is(err, store.ErrAgain) {
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return err
		}
		err = k.write(ctx, key, f, fi.Size())
	}
	if err != nil {
		return err
	}
	k.stored.Add(1)
	k.item.Wrote(fi.Size())
	return nil
}

// write makes the object of what f holds, or nothing.
func (k *keeping) write(ctx context.Context, key string, f io.Reader, size int64) error {
	w, err := k.job.env.Store.Create(ctx, key)
	if err != nil {
		return err
	}
	defer w.Close()
	n, err := io.Copy(w, f)
	if err == nil && n != size {
		err = fmt.Errorf("it has %d bytes, not %d: something else changes it", n, size)
	}
	if err != nil {
		return err
	}
	_, err = w.Commit()
	return err
}

// Restore says how the artifacts of this run are got back with stock tools.
func (j *job) Restore(jr runner.JobReport) string {
	wrote := jr.CountedBytes
	for _, it := range jr.Items {
		wrote += it.Wrote
	}
	if wrote == 0 {
		return ""
	}
	at := j.env.Store.URL(strings.TrimSuffix(j.prefix(), "/"))
	if u, err := url.Parse(at); err == nil && u.Scheme == "file" {
		return "cp -R " + word(u.Path) + " ."
	}
	endpoint := ""
	if j.env.Endpoint != "" {
		endpoint = " --endpoint-url " + word(j.env.Endpoint)
		if j.env.StoreRegion != "" {
			endpoint += " --region " + word(j.env.StoreRegion)
		}
	}
	return "aws s3 cp" + endpoint + " --recursive " + word(at+"/") + " " + word(path.Base(j.prefix())) + "/"
}
