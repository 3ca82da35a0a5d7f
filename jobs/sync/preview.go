package dirsync

import (
	"context"
	"errors"
	"fmt"
	"io"
	"syscall"
)

// Preview writes what Run would do now: + a file that is new on the other side,
// ~ one that is replaced there, - one that is deleted there, ! what cannot be
// kept. What Run would refuse is an error, as it is then.
func (j *job) Preview(ctx context.Context, out io.Writer) error {
	dir, x, err := j.open(ctx)
	if err != nil {
		return err
	}
	defer dir.Close()
	up := j.config.From != ""
	var n struct{ same, made, replaced, gone, bad int }
	files, inStore := 0, 0 // of which max_delete is a share
	line := func(count *int, mark, path string) {
		*count++
		fmt.Fprintf(out, "%s %q\n", mark, path)
	}
	r := run{job: j, dir: dir}
	for p, err := range j.pairs(ctx, dir, x, nil, func(error) {}) {
		if err != nil {
			return err
		}
		e := p.local
		if !p.stale && p.object != nil && j.filter.takes(p.path) {
			inStore++
			if e == nil || e.info != nil {
				files++
			}
		}
		switch {
		case !up && !x.cut && j.isLost(p):
			n.bad++
			fmt.Fprintf(out, "! %q: %v\n", p.path, errLost)
		case p.stale, e != nil && (e.gone || e.leftover):
		case e != nil && e.problem != nil:
			n.bad++
			fmt.Fprintf(out, "! %q: %v\n", p.path, p.local.problem)
		case e != nil && e.kind != "" && !up && p.object != nil && j.filter.takes(p.path):
			n.bad++
			fmt.Fprintf(out, "! %q: %v\n", p.path, errInTheWay)
		case e != nil && e.kind != "", !j.filter.takes(p.path):
		case up && p.local == nil, !up && p.object == nil:
			if j.config.Delete {
				line(&n.gone, "-", p.path)
			}
		case p.local == nil || p.object == nil:
			if err := j.readable(ctx, dir, p); err != nil {
				n.bad++
				fmt.Fprintf(out, "! %q: %v\n", p.path, err)
				continue
			}
			line(&n.made, "+", p.path)
		case r.same(p):
			n.same++
		default:
			differs, _, err := j.differs(ctx, dir, p, nil)
			if err == nil && differs {
				err = j.readable(ctx, dir, p)
			}
			if err != nil {
				n.bad++
				fmt.Fprintf(out, "! %q: %v\n", p.path, err)
			} else if differs {
				line(&n.replaced, "~", p.path)
			} else {
				n.same++
			}
		}
	}
	fmt.Fprintf(out, "%d new, %d replaced, %d deleted, %d unchanged, %d that cannot be kept\n", n.made, n.replaced, n.gone, n.same, n.bad)
	if n.same+n.made+n.replaced+n.bad == 0 {
		return j.none()
	}
	all := inStore
	if !up {
		all = files + n.gone
	}
	switch limit := j.config.MaxDelete.of(all); {
	case n.gone == 0 || n.bad > 0:
	case !up && x.cut:
		fmt.Fprintln(out, "none would be deleted here, since the last run that wrote to the store was cut off: sync to the store first")
	case n.gone > limit:
		return fmt.Errorf("%d of %d are more than max_delete: %s allows: nothing would be deleted, and the run would fail", n.gone, all, j.config.MaxDelete)
	}
	if n.bad > 0 {
		return ErrSome
	}
	return nil
}

// ErrSome says that a run would bring over all but some files.
var ErrSome = errors.New("files marked with ! would fail, and nothing would be deleted: cure that, or leave them out with exclude")

// readable says why a file cannot be read to be kept, or what stands where it is
// to be brought.
func (j *job) readable(ctx context.Context, dir *folder, p pair) error {
	if j.config.From == "" {
		fi, err := dir.lstat(p.path)
		switch {
		case err == nil && !fi.Mode().IsRegular(), errors.Is(err, errLink), errors.Is(err, syscall.ENOTDIR):
			return errInTheWay
		}
		return nil
	}
	s, err := openSource(ctx, dir, p.path, nil)
	if err != nil {
		return err
	}
	return s.Close()
}
