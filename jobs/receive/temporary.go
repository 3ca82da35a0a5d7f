package receive

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"mayfly/iam"
	"mayfly/internal/volume"
	"mayfly/runner"
)

// The tags of a temporary volume: what for, as restore-ID or drill-ID, and
// whose data it is a copy of. It has no volume.TagHost, and is never taken for
// a host's own.
const (
	TagTemporary = iam.TemporaryKey
	TagOf        = "mayfly:of"
)

const (
	// copyTime is for making a volume of a snapshot, attaching and mounting it.
	copyTime = 5 * time.Minute
	// dropTime is for putting it away, hurriedDrop when the run is stopped.
	dropTime    = 2 * time.Minute
	hurriedDrop = 45 * time.Second
)

// A copied is a temporary volume, mounted to be read.
type copied struct {
	name    string // its tag
	volume  runner.Volume
	mounted *volume.Mounted
}

// newName is of what, with some letters that no other has.
func newName(what string) string {
	return what + "-" + strings.ToLower(rand.Text()[:16])
}

// pointOf is where a temporary volume is mounted: no host can be called so.
func (j *job) pointOf(name string) string {
	return filepath.Join(filepath.Dir(j.point("x")), ".mayfly-"+name)
}

// copySnapshot makes a temporary volume of a snapshot of the host's, and mounts
// it to be read. After an error nothing is left of it, or that is said in a
// warning.
func (r *run) copySnapshot(ctx context.Context, s runner.Snapshot, h *host, name string) (*copied, error) {
	limited, cancel := context.WithTimeout(ctx, copyTime)
	defer cancel()
	c := &copied{name: name}
	tags := map[string]string{TagTemporary: name, TagOf: h.name, tagRun: r.env.RunID, "Name": r.env.Deployment + " " + h.name + ", temporary"}
	v, err := r.env.Volumes.Copy(limited, s.ID, r.self, tags)
	if err != nil {
		return nil, errors.Join(err, r.dropNamed(ctx, name))
	}
	c.volume = v
	err = r.mountCopy(limited, c, h)
	if err != nil {
		return nil, errors.Join(err, r.drop(ctx, c))
	}
	r.rec.Log().Info(fmt.Sprintf("%s is a temporary volume of the snapshot %s of %s", v.ID, s.ID, h.name), runner.KeyItem, h.name)
	return c, nil
}

func (r *run) mountCopy(ctx context.Context, c *copied, h *host) error {
	v, err := r.env.Volumes.Attach(ctx, c.volume.ID, r.self)
	if err != nil {
		return err
	}
	of := volume.Copy{Volume: v.ID, Name: v.Device, Point: r.pointOf(c.name)}
	of.UUID = h.volume.Tags[volume.TagFormatted]
	if id := h.volume.Tags[volume.TagAdopted]; id != "" {
		of.UUID = id
	}
	c.mounted, err = r.system.OpenCopy(ctx, of)
	return err
}

// drop unmounts, detaches and deletes a temporary volume, whether ctx has ended
// or not.
func (r *run) drop(ctx context.Context, c *copied) error {
	limit := dropTime
	if ctx.Err() != nil {
		limit = hurriedDrop
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
	defer cancel()
	if c.mounted != nil {
		if err := r.system.CloseCopy(ctx, c.mounted); err != nil {
			return r.leftBehind(c.volume.ID, err)
		}
		c.mounted = nil
	}
	err := r.env.Volumes.Detach(ctx, c.volume.ID, r.self)
	if err == nil {
		err = r.env.Volumes.Delete(ctx, c.volume.ID)
	}
	if err != nil {
		return r.leftBehind(c.volume.ID, err)
	}
	r.rec.Log().Info("deleted the temporary volume " + c.volume.ID)
	return nil
}

// leftBehind says that a temporary volume is still there.
func (r *run) leftBehind(id string, err error) error {
	err = fmt.Errorf("the temporary volume %s is still there: %w", id, err)
	r.rec.Warn(runner.Problem{Reason: err.Error(), Fix: "the next run deletes it"})
	return err
}

// dropNamed looks for a volume whose making has failed, and may have worked.
func (r *run) dropNamed(ctx context.Context, name string) error {
	look, cancel := context.WithTimeout(context.WithoutCancel(ctx), hurriedDrop)
	defer cancel()
	list, err := r.env.Volumes.List(look)
	if err != nil {
		return fmt.Errorf("whether a temporary volume is left, nobody knows: %w", err)
	}
	for _, v := range list {
		if v.Tags[TagTemporary] == name {
			err = errors.Join(err, r.drop(ctx, &copied{name: name, volume: v}))
		}
	}
	return err
}

// clear deletes the temporary volumes that runs have left which were cut off.
func (r *run) clear(ctx context.Context, volumes []runner.Volume) {
	ctx, cancel := context.WithTimeout(ctx, dropTime)
	defer cancel()
	var all sync.WaitGroup
	for _, v := range volumes {
		// One that somebody has made a host's since is kept.
		if v.Tags[TagTemporary] == "" || v.Tags[volume.TagHost] != "" || v.Tags[tagRun] == r.env.RunID {
			continue
		}
		all.Go(func() {
			if err := r.clearOne(ctx, v); err == nil {
				r.rec.Warn(runner.Problem{Item: v.Tags[TagOf], Reason: fmt.Sprintf("the temporary volume %s was left by the run %s, which was cut off; it is deleted", v.ID, v.Tags[tagRun])})
			}
		})
	}
	all.Wait()
}

func (r *run) clearOne(ctx context.Context, v runner.Volume) error {
	if v.Instance == r.self.ID { // the run before was on this machine
		if err := r.system.DropCopy(ctx, v.ID, v.Device); err != nil {
			return r.leftBehind(v.ID, err)
		}
	} else if v.Instance != "" {
		return r.leftBehind(v.ID, fmt.Errorf("the instance %s has it", v.Instance))
	}
	if err := r.drop(ctx, &copied{name: v.Tags[TagTemporary], volume: v}); err != nil {
		return err
	}
	_ = os.Remove(r.pointOf(v.Tags[TagTemporary])) // on this machine it is there, and empty
	return nil
}
