package dirsync

import (
	"os"
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
