//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"mayfly/internal/volume"
)

// command is a process of the test's own.
func (d *disk) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	c := exec.CommandContext(ctx, name, args...)
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return c
}

// Where a killed formatting has to be cut off, and whose volume it is: the
// variables with which the test starts itself again.
const (
	volumePoint = "MAYFLY_E2E_VOLUME_POINT"
	volumeDir   = "MAYFLY_E2E_VOLUME_DIR"
)

// TestVolumeKilledHelper is the process that is killed by itself.
func TestVolumeKilledHelper(t *testing.T) {
	dir := os.Getenv(volumeDir)
	if dir == "" {
		return // nobody wants it
	}
	d := &disk{t: t, id: "vol-0123456789abcdef0", dir: dir, point: filepath.Join(dir, "mnt", "c"), host: "c"}
	s := d.system()
	s.At = func(point string) {
		if point == os.Getenv(volumePoint) {
			syscall.Kill(os.Getpid(), syscall.SIGKILL)
		}
	}
	_, err := s.Open(t.Context(), d.plan())
	t.Fatalf("it was not killed: %v", err)
}

// killedAt formats the volume in a process that is killed on the way.
func (d *disk) killedAt(point string) {
	d.t.Helper()
	c := d.command(d.t.Context(), "/proc/self/exe", "-test.run=^TestVolumeKilledHelper$")
	c.Env = append(os.Environ(), volumePoint+"="+point, volumeDir+"="+d.dir)
	out, err := c.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		d.t.Fatalf("not killed: %v: %s", err, out)
	}
}

// Killed anywhere, formatting is either begun anew, because nothing had been
// written, or never again.
func TestVolumeKilled(t *testing.T) {
	t.Parallel()
	for point, x := range map[string]struct {
		heals, formats bool
		says           []string
	}{
		"inspected": {heals: true, formats: true},
		"marked":    {says: []string{"was cut off; it holds nothing yet", "aws ec2 delete-volume"}},
		"made":      {says: []string{"was cut off after its file system was made", "mayfly volume adopt"}},
		"formatted": {heals: true},
	} {
		t.Run(point, func(t *testing.T) {
			t.Parallel()
			d := newDisk(t, 64*miB)
			d.killedAt(point)
			if !x.heals {
				d.refused(volume.ErrUnfinished, x.says...)
			}
			if point == "made" { // what the error says
				d.adopt(d.tags()[volume.TagFormatting])
			} else if !x.heals {
				return
			}
			m := d.open()
			if m.Formatted != x.formats {
				t.Errorf("%+v", m)
			}
			d.put("a")
			d.close(m)
		})
	}
}

// A mkfs that is cut off at any of its writes leaves something that nobody
// takes for blank, whether or not the tags say so.
func TestVolumeCutOff(t *testing.T) {
	t.Parallel()
	const cut = `strace -qq -o /dev/null -e trace=pwrite64 -e inject=pwrite64:signal=KILL:when=$2 mkfs.ext4 -q -L mayfly-c "$1" || :`
	for _, n := range []int{1, 2, 3, 5, 20, 100, 200, 280, 290, 292} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			d := newDisk(t, 64*miB)
			blank := d.sum()
			d.on(cut, fmt.Sprint(n))
			if d.sum() == blank {
				m := d.open() // it is
				d.close(m)
				return
			}
			d.refused(volume.ErrForeign, "mayfly formats no volume that is not blank")
			if err := d.mark(t.Context(), volume.TagFormatting, "0c6e08e4-6f29-43b2-bc26-28478343fa05"); err != nil {
				t.Fatal(err)
			}
			d.refused(volume.ErrUnfinished, "was cut off; it holds ")
		})
	}
}

// On a machine whose power goes while a backup writes, what was complete then
// is there afterwards, and the next run needs no help.
func TestVolumePowerLoss(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"ext4", "xfs"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			// The image is on an XFS, which copies a file in one moment.
			outside := newDisk(t, 800*miB)
			outside.on(`mkfs.xfs -q "$1" && mkdir -p "$2" && mount "$1" "$2"`, outside.point)
			d := newDisk(t, 320*miB)
			d.detach()
			d.image = filepath.Join(outside.point, "image")
			if err := errors.Join(os.WriteFile(d.image, nil, 0o600), os.Truncate(d.image, 320*miB)); err != nil {
				t.Fatal(err)
			}
			d.attach()
			if kind == "xfs" {
				d.on(`mkfs.xfs -q "$1"`)
				d.adopt(d.uuid(""))
			}
			m := d.open()
			for round := range 3 {
				complete := d.powerFails(round)
				if len(complete) < 5 {
					t.Fatalf("only %d files were complete", len(complete))
				}
				d.close(m)
				after := d.copied(round)
				next := after.open()
				if next.Formatted {
					t.Fatal("it was formatted")
				}
				after.holds(complete...)
				after.put("later")
				after.close(next)
				after.detach()
				m = d.open()
			}
			d.close(m)
			d.detach()
		})
	}
}

// powerFails writes files until the image has been copied, and names those
// that were complete before the copy was begun.
func (d *disk) powerFails(round int) []string {
	d.t.Helper()
	stop, ended := make(chan struct{}), make(chan error, 1)
	var complete atomic.Pointer[[]string]
	complete.Store(new([]string))
	go func() { ended <- d.writeUntil(stop, round, &complete) }()
	for deadline := time.Now().Add(20 * time.Second); len(*complete.Load()) < 20 && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
	sure := *complete.Load()
	d.sh(`cp --reflink=always "$1" "$1.$2"`, d.image, fmt.Sprint(round))
	close(stop)
	if err := <-ended; err != nil {
		d.t.Fatal(err)
	}
	return sure
}

// writeUntil writes files as a careful receiver does: under another name, to
// the disk, and then renamed; and others without any care.
func (d *disk) writeUntil(stop <-chan struct{}, round int, complete *atomic.Pointer[[]string]) error {
	dir, err := os.Open(d.point)
	if err != nil {
		return err
	}
	defer dir.Close()
	for i := 0; ; i++ {
		select {
		case <-stop:
			return nil
		default:
		}
		name := fmt.Sprintf("file%d-%d", round, i)
		file := filepath.Join(d.point, name)
		f, err := os.Create(file + ".part")
		if err != nil {
			return err
		}
		_, err = io.WriteString(f, content(name))
		err = errors.Join(err, f.Sync(), f.Close(), os.Rename(file+".part", file), dir.Sync(),
			os.WriteFile(filepath.Join(d.point, fmt.Sprint("loose", i%50)), randomBytes(10_000*(i%7)), 0o600))
		if err != nil {
			return err
		}
		list := append(slices.Clone(*complete.Load()), name)
		complete.Store(&list)
	}
}

// copied is the volume as the power failure left it, on a new machine.
func (d *disk) copied(round int) *disk {
	d.t.Helper()
	dir, err := filepath.EvalSymlinks(d.t.TempDir())
	if err != nil {
		d.t.Fatal(err)
	}
	after := &disk{t: d.t, id: d.id, dir: dir, point: filepath.Join(dir, "mnt", "c"), host: d.host, image: filepath.Join(dir, "image")}
	d.sh(`cp --sparse=always "$1.$3" "$2" && rm "$1.$3" && mkdir "$4"`, d.image, after.image, fmt.Sprint(round), after.links())
	b, err := os.ReadFile(d.tagFile())
	if err == nil {
		err = os.WriteFile(after.tagFile(), b, 0o600)
	}
	if err != nil {
		d.t.Fatal(err)
	}
	after.attach()
	return after
}

// A run that is cut off on this machine leaves its mount; the next one heals.
func TestVolumeStillMounted(t *testing.T) {
	t.Parallel()
	d := newDisk(t, 64*miB)
	d.open()
	d.put("a")
	m := d.open()
	if m.Formatted || len(m.Notes) != 1 || !strings.Contains(m.Notes[0], "still mounted at "+d.point) {
		t.Errorf("%+v", m)
	}
	d.holds("a")
	d.close(m)
}

// Whoever holds a volume at its end is named, it is not forced, and it can be
// closed when they have gone.
func TestVolumeBusy(t *testing.T) {
	t.Parallel()
	for name, x := range map[string]struct {
		hold string // a script, with mount point $1, that says "ready" and stays
		says []string
	}{
		"a file":    {`exec 3>"$1/held"; echo ready; exec sleep 60`, []string{`sleep (pid PID, "MOUNT/held" open)`}},
		"a deleted": {`exec 3>"$1/held"; rm "$1/held"; echo ready; exec sleep 60`, []string{`sleep (pid PID, "MOUNT/held (deleted)" open)`}},
		"a place":   {`cd "$1"; echo ready; exec sleep 60`, []string{`sleep (pid PID, cwd is "MOUNT")`}},
		"memory":    {`exec python3 -c 'import mmap,os,sys,time; fd=os.open(sys.argv[1]+"/held",os.O_RDWR|os.O_CREAT); os.ftruncate(fd,4096); m=mmap.mmap(fd,4096); os.close(fd); os.closerange(3,20); print("ready",flush=True); time.sleep(60)' "$1"`, []string{`python3 (pid PID, "MOUNT/held" `}},
		"a mount":   {`mkdir "$1/in" && mount -t tmpfs none "$1/in" && echo ready; trap 'umount "$1/in"; exit' TERM; while :; do sleep .1; done`, []string{"the mount at MOUNT/in"}},
		"a bind":    {`mkdir "$1.bind" && mount --bind "$1" "$1.bind" && echo ready; trap 'umount "$1.bind"; exit' TERM; while :; do sleep .1; done`, []string{"the mount at MOUNT.bind"}},
		"a loop":    {`truncate -s 1M "$1/held"; l=$(losetup -f --show "$1/held") && echo ready; trap 'losetup -d $l; exit' TERM; while :; do sleep .1; done`, []string{"/dev/loop", "on its MOUNT/held"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			heldBy(t, 10*time.Second, x.hold, x.says)
		})
	}
}

// A process in a mount namespace of its own keeps what was mounted when that
// was made. This has every test's volume, and so no other runs beside it.
func TestVolumeBusyElsewhere(t *testing.T) {
	heldBy(t, 4*time.Second, `exec unshare --mount --propagation private sh -c 'echo ready; exec sleep 60'`,
		[]string{"sleep (pid PID, which has it mounted at MOUNT in a namespace of its own)"})
}

// When time runs out in a try, those who held the volume in the try before are
// named all the same.
func TestVolumeBusyToTheEnd(t *testing.T) {
	dir := t.TempDir()
	real, err := exec.LookPath("umount")
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "umount"), fmt.Appendf(nil, `#!/bin/sh
[ ! -e %[1]s/tried ] || [ -e %[1]s/over ] || { sleep 60 & trap "kill $!; touch %[1]s/over; exit 1" TERM; wait; }
touch %[1]s/tried
exec %[2]s "$@"
`, dir, real), 0o700)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	heldBy(t, 4*time.Second, `cd "$1"; echo ready; exec sleep 60`, []string{`sleep (pid PID, cwd is "MOUNT")`})
	if _, err := os.Stat(filepath.Join(dir, "over")); err != nil {
		t.Error("time did not run out in the second try:", err)
	}
}

// heldBy has a script hold a volume while it is closed, which begins with
// writing everything to it.
func heldBy(t *testing.T, limit time.Duration, hold string, says []string) {
	t.Helper()
	d := newDisk(t, 64*miB)
	m := d.open()
	d.put("a")
	c := d.command(t.Context(), "sh", "-c", hold, "sh", d.point)
	out, err := c.StdoutPipe()
	if err == nil {
		err = c.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	ready := make([]byte, 6)
	if _, err := io.ReadFull(out, ready); err != nil || string(ready) != "ready\n" {
		t.Fatalf("%q, %v", ready, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	err = d.system().Close(ctx, m)
	if !errors.Is(err, volume.ErrBusy) {
		t.Errorf("%v", err)
	}
	fill := strings.NewReplacer("PID", fmt.Sprint(c.Process.Pid), "MOUNT", d.point)
	for _, s := range says {
		has(t, "the error", fmt.Sprint(err), fill.Replace(s), "it was not forced")
	}
	c.Process.Signal(syscall.SIGTERM)
	c.Wait()
	d.close(m)
	m = d.open()
	d.holds("a")
	d.close(m)
}

// A file system that the kernel has made read-only is no success.
func TestVolumeTurnedReadOnly(t *testing.T) {
	t.Parallel()
	d := newDisk(t, 64*miB)
	m := d.open()
	d.put("a")
	d.on(`mount -o remount,ro "$2"`, d.point)
	err := d.system().Close(t.Context(), m)
	if !errors.Is(err, volume.ErrDamaged) {
		t.Error(err)
	}
	has(t, "the error", fmt.Sprint(err), "had become read-only in mid-run")
	m = d.open()
	d.holds("a")
	d.close(m)
}

// A volume that somebody has unmounted in mid-run does not have what came since.
func TestVolumeUnmountedByOthers(t *testing.T) {
	t.Parallel()
	d := newDisk(t, 64*miB)
	m := d.open()
	d.put("a")
	if err := d.system().Still(m); err != nil {
		t.Error(err)
	}
	d.on(`umount "$2"`, d.point)
	err := d.system().Still(m)
	has(t, "the error", fmt.Sprint(err), "somebody has unmounted it from "+d.point, "is not on it")
	d.close(m) // of which nothing is left to be done
}

// What is at the mount point would be out of sight.
func TestVolumeMountPoint(t *testing.T) {
	t.Parallel()
	d := newDisk(t, 64*miB)
	if err := errors.Join(os.MkdirAll(d.point, 0o755), os.WriteFile(filepath.Join(d.point, "something"), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	_, err := d.system().Open(t.Context(), d.plan())
	has(t, "the error", fmt.Sprint(err), "mount "+d.id+": the mount point "+d.point+" is not empty (something): move what is in it away")
	if err := os.Remove(filepath.Join(d.point, "something")); err != nil {
		t.Fatal(err)
	}
	m := d.open()
	d.close(m)
}
