//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

// An ebs is what moto lacks behind its volumes: a file each, behind a loop
// device while it is attached, found by a link that is named after the volume,
// and copied when a snapshot is taken.
type ebs struct {
	t     *testing.T
	moto  *moto
	dir   string // links/, images/, snapshots/
	wrong func(format string, a ...any)

	mu      sync.Mutex
	asked   map[*http.Request]url.Values
	devices map[string]string // volume -> device
	// fault may answer a request itself, by its action and what it is about.
	fault func(action string, form url.Values) (answer bool)
	// lost is a volume of which the answer to AttachVolume is lost, once.
	lost string
	// heard are all actions that EC2, Route 53 and SSM were asked for.
	heard []string
}

func newEBS(t *testing.T, m *moto, dir string) *ebs {
	t.Helper()
	e := &ebs{t: t, moto: m, dir: dir, wrong: t.Errorf, asked: map[*http.Request]url.Values{}, devices: map[string]string{}}
	for _, d := range []string{"links", "images", "snapshots"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	m.mu.Lock()
	m.seen = e.seen
	m.mu.Unlock()
	t.Cleanup(func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		for id := range e.devices {
			e.detach(id)
		}
	})
	return e
}

func (e *ebs) links() string                 { return filepath.Join(e.dir, "links") }
func (e *ebs) image(volume string) string    { return filepath.Join(e.dir, "images", volume) }
func (e *ebs) copyOf(snapshot string) string { return filepath.Join(e.dir, "snapshots", snapshot) }

// device is a volume's, "" when it has none.
func (e *ebs) device(volume string) string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.devices[volume]
}

// seen follows what moto is asked.
func (e *ebs) seen(r *http.Request, answered bool) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !answered {
		if target := r.Header.Get("X-Amz-Target"); target != "" {
			e.heard = append(e.heard, target)
		}
		if !strings.Contains(r.Header.Get("Authorization"), "/ec2/") {
			return true
		}
		b, err := io.ReadAll(r.Body)
		if err != nil {
			return true
		}
		r.Body = io.NopCloser(bytes.NewReader(b))
		form, err := url.ParseQuery(string(b))
		if err != nil {
			return true
		}
		e.asked[r] = form
		e.heard = append(e.heard, form.Get("Action"))
		if e.fault != nil && e.fault(form.Get("Action"), form) {
			return false
		}
		return true
	}
	form := e.asked[r]
	delete(e.asked, r)
	switch id := form.Get("VolumeId"); form.Get("Action") {
	case "AttachVolume":
		if s := e.state(id); s.attached != "" && s.word == "attached" {
			e.attach(id)
		}
		if id == e.lost {
			e.lost = ""
			panic(http.ErrAbortHandler) // before the answer is sent
		}
	case "DetachVolume":
		if e.state(id).attached == "" {
			e.detach(id)
		}
	case "CreateSnapshot":
		e.copy(id)
	case "DeleteVolume":
		_ = os.Remove(e.image(id))
	}
	return true
}

// A volumeState is what moto says of a volume.
type volumeState struct{ attached, word string }

func (e *ebs) state(volume string) (s volumeState) {
	for _, v := range e.volumes(ec2.DescribeVolumesInput{VolumeIds: []string{volume}}) {
		for _, a := range v.Attachments {
			s.attached, s.word = aws.ToString(a.InstanceId), string(a.State)
		}
	}
	return s
}

func (e *ebs) volumes(which ec2.DescribeVolumesInput) []types.Volume {
	out, err := e.moto.askEC2().DescribeVolumes(context.Background(), &which)
	if err != nil {
		e.wrong("%v", err)
		return nil
	}
	return out.Volumes
}

// taken are a volume's snapshots, oldest first.
func (e *ebs) taken(volume string) []types.Snapshot {
	out, err := e.moto.askEC2().DescribeSnapshots(context.Background(), &ec2.DescribeSnapshotsInput{
		Filters: []types.Filter{{Name: aws.String("volume-id"), Values: []string{volume}}},
	})
	if err != nil {
		e.wrong("%v", err)
		return nil
	}
	slices.SortStableFunc(out.Snapshots, func(a, b types.Snapshot) int { return aws.ToTime(a.StartTime).Compare(aws.ToTime(b.StartTime)) })
	return out.Snapshots
}

func (e *ebs) sh(script string, args ...string) (string, error) {
	c := exec.Command("sh", append([]string{"-ec", script, "sh"}, args...)...)
	c.Env = append(os.Environ(), "PATH="+os.Getenv("PATH")+":/usr/sbin:/sbin")
	out, err := c.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%s: %w: %s", script, err, out)
	}
	return strings.TrimSpace(string(out)), err
}

// create gives a volume that has no file what it was made of: a snapshot, or
// nothing but zeros.
func (e *ebs) create(id string) {
	if _, err := os.Stat(e.image(id)); err == nil {
		return
	}
	for _, v := range e.volumes(ec2.DescribeVolumesInput{VolumeIds: []string{id}}) {
		snapshot := aws.ToString(v.SnapshotId)
		script, from := `cp --sparse=always "$1" "$2"`, e.copyOf(snapshot)
		if snapshot == "" {
			script, from = `truncate -s "$1"G "$2"`, fmt.Sprint(*v.Size)
		}
		if _, err := e.sh(script, from, e.image(id)); err != nil {
			e.wrong("a volume of %q: %v", snapshot, err)
		}
	}
}

// attach makes a device of a volume's image.
func (e *ebs) attach(id string) {
	if e.devices[id] != "" {
		return
	}
	e.create(id)
	device, err := e.sh(`losetup --find --show --partscan "$1"; `, e.image(id))
	if err == nil {
		err = os.Symlink(device, filepath.Join(e.links(), id))
	}
	if err != nil {
		e.wrong("attach %s: %v", id, err)
		return
	}
	e.devices[id] = device
}

// detach takes the device away, which nobody may have mounted.
func (e *ebs) detach(id string) {
	device := e.devices[id]
	if device == "" {
		return
	}
	if out, err := e.sh(`findmnt -rno TARGET -S "$1" || :`, device); err != nil || out != "" {
		e.wrong("%s is detached while it is mounted at %s, %v", id, out, err)
		_, _ = e.sh(`for at in $(findmnt -rno TARGET -S "$1"); do umount -l "$at"; done`, device)
	}
	if _, err := e.sh(`losetup -d "$1"; rm "$2"`, device, filepath.Join(e.links(), id)); err != nil {
		e.wrong("detach %s: %v", id, err)
	}
	delete(e.devices, id)
}

// copy keeps what is on a volume now for the newest of its snapshots.
func (e *ebs) copy(id string) {
	for _, s := range e.taken(id) {
		to := e.copyOf(*s.SnapshotId)
		if _, err := os.Stat(to); err == nil {
			continue
		}
		if _, err := e.sh(`blockdev --flushbufs "$3" 2>/dev/null || :; cp --sparse=always "$1" "$2"`, e.image(id), to, e.devices[id]); err != nil {
			e.wrong("snapshot %s: %v", *s.SnapshotId, err)
		}
	}
}

// A takenSnapshot is one as moto has it.
type takenSnapshot struct {
	id   string
	tags map[string]string
}

// snapshots are those of a volume, oldest first.
func (e *ebs) snapshots(volume string) []takenSnapshot {
	e.t.Helper()
	var list []takenSnapshot
	for _, s := range e.taken(volume) {
		one := takenSnapshot{*s.SnapshotId, map[string]string{}}
		for _, tag := range s.Tags {
			one.tags[*tag.Key] = *tag.Value
		}
		list = append(list, one)
	}
	return list
}

// unmountSoon unmounts $1. Processes that look at everything, as other tests
// start them, keep it busy for a moment.
const unmountSoon = `for i in $(seq 50); do umount "$1" 2>/dev/null && exit; sleep 0.2; done; umount "$1"`

// mounted runs f over what a snapshot or an image holds, read-only.
func (e *ebs) mounted(image string, f func(dir string)) {
	e.t.Helper()
	dir := e.t.TempDir()
	copied := filepath.Join(e.t.TempDir(), "copy")
	if _, err := e.sh(`cp --sparse=always "$1" "$2"; e2fsck -fn "$2" >/dev/null; mount -o loop "$2" "$3"`, image, copied, dir); err != nil {
		e.t.Fatal(err)
	}
	defer func() {
		if _, err := e.sh(unmountSoon, dir); err != nil {
			e.t.Error(err)
		}
	}()
	f(dir)
}

// eventuallyTrue waits for something that another process does.
func eventuallyTrue(t *testing.T, limit time.Duration, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(limit); !f(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within %s: %s", limit, what)
		}
	}
}
