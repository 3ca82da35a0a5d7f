//go:build unix

package push

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// A guard keeps two pushes of one host on this machine apart, and holds a
// folder of this process's own.
type guard struct {
	dir  string
	lock *os.File
}

// newGuard takes the lock, or says that another push runs. A lock goes with the
// process that has it.
func newGuard(c *Config, getenv func(string) string) (*guard, error) {
	base, err := workDir(getenv)
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(base, string(c.Deployment)+"-"+string(c.Host))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		err = fmt.Errorf("a push of %s to %s is running already on this machine: wait for its end", c.Host, c.Deployment)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &guard{dir: dir, lock: f}, nil
}

// workDir is a folder of this user's alone that a reboot empties, where there
// is one.
func workDir(getenv func(string) string) (string, error) {
	dir := getenv("MAYFLY_PUSH_DIR")
	// Not by XDG_RUNTIME_DIR, which cron does not set: the lock would be another.
	runtime := fmt.Sprintf("/run/user/%d", os.Geteuid())
	if os.Geteuid() == 0 {
		runtime = "/run"
	}
	switch st, err := os.Stat(runtime); {
	case dir != "":
	case err == nil && st.IsDir():
		dir = filepath.Join(runtime, "mayfly-push")
	default:
		dir = filepath.Join(os.TempDir(), fmt.Sprintf("mayfly-push-%d", os.Geteuid()))
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	st, err := os.Lstat(dir)
	if err != nil {
		return "", err
	}
	if sys, ok := st.Sys().(*syscall.Stat_t); !st.IsDir() || !ok || int(sys.Uid) != os.Geteuid() || st.Mode().Perm()&0o022 != 0 {
		return "", fmt.Errorf("%s is not this user's own directory: remove it, or name another with MAYFLY_PUSH_DIR", dir)
	}
	return dir, nil
}

// close gives up the lock and leaves an empty folder.
func (g *guard) close() error {
	err := os.Remove(filepath.Join(g.dir, "known_hosts"))
	if errors.Is(err, os.ErrNotExist) {
		err = nil
	}
	return errors.Join(err, g.lock.Close())
}
