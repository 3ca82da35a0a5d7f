package command

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"mayfly/runner"
)

// A workplace is what a command finds on the disk: private directories that
// are gone afterwards, and where it runs.
type workplace struct {
	base    string // what is removed: mayfly's own, others may only pass
	dir     string // the working directory
	tmp     string // TMPDIR
	secrets string // "" without any; in memory where there is such a place
	inside  *os.Root
}

// makeWorkplace makes the directories. What has no name in the config goes
// below /var/tmp, which is on a disk where /tmp is often memory.
func (j *job) makeWorkplace(a account) (*workplace, error) {
	parent := j.env.Getenv("TMPDIR")
	if parent == "" {
		parent = os.TempDir()
		if fi, err := os.Stat("/var/tmp"); err == nil && fi.IsDir() {
			parent = "/var/tmp"
		}
	}
	w := &workplace{dir: j.config.Dir}
	var err error
	if w.base, err = os.MkdirTemp(parent, "mayfly-"+j.env.Job+"-"); err != nil {
		return w, fmt.Errorf("make a place to work in: %w", err)
	}
	if w.base, err = filepath.Abs(w.base); err != nil {
		return w, err
	}
	if err = os.Chmod(w.base, 0o711); err != nil {
		return w, err
	}
	own := func(name string) (string, error) {
		p := filepath.Join(w.base, name)
		if err := os.Mkdir(p, 0o700); err != nil {
			return "", err
		}
		return p, a.give(p)
	}
	if w.tmp, err = own("tmp"); err != nil {
		return w, err
	}
	if w.dir == "" {
		if w.dir, err = own("work"); err != nil {
			return w, err
		}
	}
	if w.inside, err = os.OpenRoot(w.dir); err != nil {
		return w, fmt.Errorf("dir: %w: make it, or name another", err)
	}
	return w, nil
}

// makeArtifacts makes the directory that is kept, where there is none yet. A
// link on the way there is not followed.
func (w *workplace) makeArtifacts(rel string, a account) error {
	at, err := w.inside.OpenRoot(".")
	if err != nil {
		return err
	}
	defer func() { at.Close() }()
	for _, name := range components(rel) {
		err := at.Mkdir(name, 0o755)
		switch {
		case errors.Is(err, fs.ErrExist):
		case err != nil:
			return err
		case !a.own:
			if err := at.Lchown(name, a.uid, a.gid); err != nil {
				return err
			}
		}
		next, err := within(at, name)
		if err != nil {
			return err
		}
		at.Close()
		at = next
	}
	return nil
}

// give makes the account the owner of what mayfly has made.
func (a account) give(p string) error {
	if a.own {
		return nil
	}
	return os.Lchown(p, a.uid, a.gid)
}

// write makes a file for the command to read and no one else.
func (a account) write(p string, b []byte, mode os.FileMode) error {
	f, err := os.OpenFile(p, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil && !a.own {
		err = f.Chown(a.uid, a.gid)
	}
	if err == nil {
		err = f.Chmod(mode)
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

// remove takes all of it away again. Secrets go first. It is bounded: what is
// too much to remove in time stays, and is told.
func (w *workplace) remove(ctx context.Context, rec *runner.Recorder) {
	if w.inside != nil {
		w.inside.Close()
	}
	limit := time.Minute
	if ctx.Err() != nil {
		limit = time.Second
	}
	done := make(chan error, 1)
	go func() { done <- errors.Join(clear(w.secrets), clear(w.base)) }()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	var err error
	select {
	case err = <-done:
	case <-timer.C:
		err = errors.New("it takes too long")
	}
	if err != nil {
		rec.Warn(runner.Problem{Doing: "remove the command's files below", Item: w.base, Reason: runner.OneLine(err.Error(), 300), Fix: "remove them yourself"})
	}
}
