package dirsync

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// A full disk is told as that, and with what to do; what was there stays.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.write("a", strings.Repeat("x", 300<<10), "b", "2")
	w.expect(2, 0)
	w.back()
	if err := os.MkdirAll(w.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", w.dir, "tmpfs", 0, "size=64k"); err != nil {
		cannot(t, "mount: %v", err)
	}
	defer syscall.Unmount(w.dir, syscall.MNT_DETACH)
	r := w.run()
	if got := r.failed()["a"]; len(r.failed()) != 1 || !strings.Contains(got, "no space left on device: free some space there") {
		t.Errorf("%v, %q", r.err, r.failed())
	}
	w.same(w.here(), map[string]string{"b": "2"})
}

// Where times are whole seconds, a change in the second in which a file was kept
// is seen by the next run.
func TestChangedInTheSameSecond(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	image := filepath.Join(t.TempDir(), "image")
	// Inodes of 128 bytes have no room for more.
	made := exec.Command("sh", "-c", `truncate -s 8M "$1" && mkfs.ext4 -q -I 128 "$1" && mount -o loop "$1" "$2"`, "sh", image, w.dir)
	if out, err := made.CombinedOutput(); err != nil {
		cannot(t, "mount: %s %v", out, err)
	}
	defer syscall.Unmount(w.dir, syscall.MNT_DETACH)
	w.config.Exclude = []string{"lost+found/"}
	for range 2 {
		w.write("a", "first")
		w.run()
		w.write("a", "later")
		w.run()
		w.same(w.stored(), map[string]string{"a": "later"})
	}
}
