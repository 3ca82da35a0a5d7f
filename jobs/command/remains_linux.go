package command

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Remains are what a user's programs can leave beyond their own end: System V
// shared memory, message queues and semaphores, and what lies directly in the
// directories that everybody may write to.
type remains struct {
	uid int
	ipc []sysv
	ids map[string]uint64 // files by path, with their inodes
}

// open to everybody, and on every Linux; POSIX shared memory and message
// queues are files in two of them.
var open = []string{"/dev/shm", "/dev/mqueue", "/tmp", "/var/tmp", "/run/lock"}

// A sysv is an object of System V's (proc_sysvipc(5)).
type sysv struct {
	kind, id string // kind is ipcrm's option: m, q or s
	pids     []int  // who has made or used it, where that is known
	attached bool
	given    bool // to another user, by the one who has made it
}

// what it is called; ipcrm takes the same words.
func (o sysv) String() string {
	return map[string]string{"m": "shared memory", "q": "message queue", "s": "semaphores"}[o.kind] + " " + o.id
}

// remainsOf is what there is now of a user.
func remainsOf(uid int) remains {
	r := remains{uid: uid, ids: map[string]uint64{}}
	for kind, c := range map[string]struct {
		file     string
		uid      int // columns
		cuid     int
		pids     []int
		attached int
	}{
		"m": {"shm", 7, 9, []int{4, 5}, 6},
		"q": {"msg", 7, 9, []int{5, 6}, -1},
		"s": {"sem", 4, 6, nil, -1},
	} {
		b, _ := os.ReadFile("/proc/sysvipc/" + c.file) // a kernel without it has none
		for i, line := range strings.Split(string(b), "\n") {
			f := strings.Fields(line)
			me := strconv.Itoa(uid)
			if i == 0 || len(f) <= c.cuid || f[c.cuid] != me {
				continue
			}
			o := sysv{kind: kind, id: f[1], attached: c.attached > 0 && f[c.attached] != "0", given: f[c.uid] != me}
			for _, p := range c.pids {
				if pid, err := strconv.Atoi(f[p]); err == nil && pid > 0 {
					o.pids = append(o.pids, pid)
				}
			}
			r.ipc = append(r.ipc, o)
		}
	}
	for _, dir := range open {
		r.look(dir, true)
	}
	return r
}

// look takes down what the user has in a directory, and with deeper in those of
// others in it that everybody may write to, like /tmp/.X11-unix.
func (r remains) look(dir string, deeper bool) {
	list, _ := os.ReadDir(dir)
	for _, d := range list {
		fi, err := d.Info()
		if err != nil {
			continue
		}
		at := filepath.Join(dir, d.Name())
		st, ok := fi.Sys().(*syscall.Stat_t)
		switch {
		case ok && int(st.Uid) == r.uid:
			r.ids[at] = st.Ino
		case deeper && fi.IsDir() && fi.Mode()&0o002 != 0:
			r.look(at, false)
		}
	}
}

// sweep removes what has come since r was taken. alone says that the user has
// been the command's alone: all of it goes then. Of another user nobody knows
// what is the command's: left says what may be. Where the machine ends with the
// run, objects of System V go of which all who made and used them are gone; on a
// person's own nothing does. Files of such a user stay.
func (r remains) sweep(alone, ending bool) (removed, left []string, err error) {
	now := remainsOf(r.uid)
	for _, o := range now.ipc {
		if slices.ContainsFunc(r.ipc, func(was sysv) bool { return was.kind == o.kind && was.id == o.id }) {
			continue
		}
		if o.given && !alone {
			continue // some service has made it for another user
		}
		gone := len(o.pids) > 0 && !o.attached
		for _, pid := range o.pids {
			_, alive := processOf(pid)
			gone = gone && !alive
		}
		if !alone && !(ending && gone) {
			left = append(left, o.String())
			continue
		}
		if e := o.remove(); e != nil {
			err = errors.Join(err, fmt.Errorf("%s: %w", o, e))
			continue
		}
		removed = append(removed, o.String())
	}
	if !alone {
		return removed, left, err
	}
	for p, ino := range now.ids {
		if was, there := r.ids[p]; there && was == ino {
			continue
		}
		e := removeOne(p)
		if e != nil && !errors.Is(e, fs.ErrNotExist) {
			err = errors.Join(err, e)
			continue
		}
		removed = append(removed, p)
	}
	slices.Sort(removed)
	return removed, left, err
}

// removeOne removes a file or a directory, and follows no link.
func removeOne(p string) error {
	fi, err := os.Lstat(p)
	if err == nil && fi.IsDir() {
		return clear(p)
	}
	return os.Remove(p)
}

// remove is ipcrm(1).
func (o sysv) remove() error {
	id, err := strconv.Atoi(o.id)
	if err != nil {
		return err
	}
	var errno syscall.Errno
	switch o.kind {
	case "m":
		_, err = unix.SysvShmCtl(id, unix.IPC_RMID, nil)
		return err
	case "q":
		_, _, errno = unix.Syscall(unix.SYS_MSGCTL, uintptr(id), unix.IPC_RMID, 0)
	default:
		_, _, errno = unix.Syscall6(unix.SYS_SEMCTL, uintptr(id), 0, unix.IPC_RMID, 0, 0, 0)
	}
	if errno != 0 {
		return errno
	}
	return nil
}
