package drill

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// skew is how far the clocks of two instances may be apart.
const skew = 2 * time.Minute

// Compare draws files of the snapshot, which is mounted at one directory, and
// compares them with the volume's, which is mounted at the other. Both have to
// be mounted read-only; no link leads out of them. The error is about the
// comparison, not about what differs; ctx's is one.
func Compare(ctx context.Context, snapshot, volume string, l Limits) (Result, error) {
	c := comparison{ctx: ctx, limits: l}
	var err error
	if c.copy, err = os.OpenRoot(snapshot); err != nil {
		return c.Result, err
	}
	defer c.copy.Close()
	if c.live, err = os.OpenRoot(volume); err != nil {
		return c.Result, err
	}
	defer c.live.Close()
	drawn := c.sample()
	for _, name := range drawn {
		if ctx.Err() != nil || c.Bytes >= l.Bytes {
			break
		}
		c.file(name)
	}
	return c.Result, ctx.Err()
}

type comparison struct {
	Result
	ctx        context.Context
	limits     Limits
	copy, live *os.Root
}

const mostDifferent = 50

func (c *comparison) differs(name, format string, a ...any) {
	if len(c.Different) < mostDifferent {
		c.Different = append(c.Different, fmt.Sprintf("%q: ", name)+fmt.Sprintf(format, a...))
	}
}

// draw walks one side in random order, and draws so many names among what it has
// seen when it has seen enough.
func (c *comparison) draw(side *os.Root, whose string, files int) []string {
	dirs, drawn, fit, seen := []string{"."}, []string{}, 0, 0
	for len(dirs) > 0 && seen < c.limits.Entries && c.ctx.Err() == nil {
		i := rand.IntN(len(dirs))
		dir := dirs[i]
		dirs[i] = dirs[len(dirs)-1]
		dirs = dirs[:len(dirs)-1]
		entries, err := list(side, dir)
		if err != nil {
			c.differs(dir, "the "+whose+"'s cannot be read: %v", cause(err))
		}
		for _, e := range entries {
			seen++
			name := path.Join(dir, e.Name())
			if e.IsDir() {
				dirs = append(dirs, name)
				continue
			}
			if t := e.Type(); t != 0 && t != fs.ModeSymlink || !c.counts(name) {
				continue
			}
			fit++
			if len(drawn) < files {
				drawn = append(drawn, name)
			} else if i := rand.IntN(fit); i < len(drawn) {
				drawn[i] = name
			}
		}
	}
	c.Seen += seen
	return drawn
}

// sample draws from the snapshot; where nothing was changed since it was taken,
// from the volume too, since the snapshot may lack something.
func (c *comparison) sample() []string {
	n := c.limits.Files
	if !c.limits.Exact {
		return c.draw(c.copy, "snapshot", n)
	}
	names := append(c.draw(c.copy, "snapshot", (n+1)/2), c.draw(c.live, "volume", (n+1)/2)...)
	slices.Sort(names)
	names = slices.Compact(names)
	rand.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	return names
}

// list reads some of a directory: one may have millions of names.
func list(side *os.Root, dir string) ([]fs.DirEntry, error) {
	d, err := side.Open(dir)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	const most = 5000
	list, err := d.ReadDir(most)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return list, err
}

// counts reports whether a file says something: it has not been changed since
// the snapshot, or cannot have been.
func (c *comparison) counts(name string) bool {
	if c.limits.Exact {
		return true
	}
	live, err := lstat(c.live, name)
	if err != nil {
		return false // it is gone, which is the host's affair
	}
	old, err := lstat(c.copy, name)
	if err != nil {
		return true
	}
	return old.Ino == live.Ino && old.Ctim == live.Ctim || changed(live).Before(c.limits.Taken.Add(-skew))
}

func changed(st *syscall.Stat_t) time.Time { return time.Unix(st.Ctim.Unix()) }

func lstat(root *os.Root, name string) (*syscall.Stat_t, error) {
	fi, err := root.Lstat(name)
	if err != nil {
		return nil, err
	}
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok {
		return nil, errors.New("the system does not say what it is")
	}
	return st, nil
}

// cause is an error without the path, which is named anyway.
func cause(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	return err
}

func (c *comparison) file(name string) {
	c.Files++
	old, err := lstat(c.copy, name)
	if err != nil {
		c.differs(name, "the snapshot's cannot be read: %v", cause(err))
		return
	}
	live, err := lstat(c.live, name)
	if err != nil {
		c.differs(name, "the volume's cannot be read: %v", cause(err))
		return
	}
	for _, m := range []struct {
		what string
		same bool
	}{
		{"type or mode", old.Mode == live.Mode}, {"owner", old.Uid == live.Uid && old.Gid == live.Gid},
		{"size", old.Size == live.Size}, {"time", old.Mtim == live.Mtim}, {"time of change", old.Ctim == live.Ctim},
	} {
		if !m.same {
			c.differs(name, "its %s differs", m.what)
			return
		}
	}
	if old.Mode&syscall.S_IFMT == syscall.S_IFLNK {
		a, errA := c.copy.Readlink(name)
		b, errB := c.live.Readlink(name)
		if err := errors.Join(errA, errB); err != nil {
			c.differs(name, "it cannot be read: %v", err)
		} else if a != b {
			c.differs(name, "it points elsewhere")
		}
		return
	}
	if old.Mode&syscall.S_IFMT == syscall.S_IFREG {
		c.contents(name, old.Size)
	}
}

func (c *comparison) contents(name string, size int64) {
	old, err := c.copy.Open(name)
	if err != nil {
		c.differs(name, "the snapshot's cannot be read: %v", cause(err))
		return
	}
	defer old.Close()
	live, err := c.live.Open(name)
	if err != nil {
		c.differs(name, "the volume's cannot be read: %v", cause(err))
		return
	}
	defer live.Close()
	if why := sameAttributes(old, live); why != "" {
		c.differs(name, "%s", why)
		return
	}
	const piece = 1 << 20
	a, b := make([]byte, piece), make([]byte, piece)
	for _, at := range c.pieces(size, piece) {
		if c.ctx.Err() != nil {
			return
		}
		n := min(piece, size-at)
		if _, err := old.ReadAt(a[:n], at); err != nil {
			c.differs(name, "the snapshot's cannot be read at byte %d: %v", at, cause(err))
			return
		}
		if _, err := live.ReadAt(b[:n], at); err != nil {
			c.differs(name, "the volume's cannot be read at byte %d: %v", at, cause(err))
			return
		}
		c.Bytes += n
		if !bytes.Equal(a[:n], b[:n]) {
			for i := range n {
				if a[i] != b[i] {
					at += i
					break
				}
			}
			c.differs(name, "its contents differ from byte %d on", at)
			return
		}
	}
}

// pieces are where a file is read: everywhere, or when it is large, or not
// much is left to be read, at its beginning, its end and some places between.
func (c *comparison) pieces(size, piece int64) []int64 {
	var at []int64
	if most := min(c.limits.Large, c.limits.Bytes-c.Bytes); size > most {
		c.Pieces++
		at = append(at, 0, max(0, size-piece))
		for range most/piece - 2 {
			at = append(at, rand.Int64N(size-piece))
		}
		return at
	}
	for o := int64(0); o < size; o += piece {
		at = append(at, o)
	}
	return at
}

// sameAttributes compares extended attributes, ACLs among them.
func sameAttributes(old, live *os.File) (why string) {
	a, err := attributes(old)
	if err != nil {
		return fmt.Sprintf("the snapshot's attributes cannot be read: %v", err)
	}
	b, err := attributes(live)
	if err != nil {
		return fmt.Sprintf("the volume's attributes cannot be read: %v", err)
	}
	if len(a) != len(b) {
		return "its attributes differ"
	}
	for k, v := range a {
		if w, ok := b[k]; !ok || w != v {
			return fmt.Sprintf("its attribute %q differs", k)
		}
	}
	return ""
}

func attributes(f *os.File) (map[string]string, error) {
	fd := int(f.Fd())
	names := make([]byte, 64<<10)
	n, err := unix.Flistxattr(fd, names)
	if errors.Is(err, unix.ENOTSUP) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	found := map[string]string{}
	value := make([]byte, 64<<10)
	for name := range bytes.SplitSeq(names[:n], []byte{0}) {
		if len(name) == 0 {
			continue
		}
		n, err := unix.Fgetxattr(fd, string(name), value)
		if err != nil {
			return nil, err
		}
		found[string(name)] = string(value[:n])
	}
	return found, nil
}
