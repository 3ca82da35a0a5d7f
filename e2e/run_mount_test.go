//go:build e2e

package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A command that ends before its umount leaves a mount in its directory. What
// is mounted there stays, whoever's it is.
func TestCommandLeavesMount(t *testing.T) {
	t.Parallel()
	needRoot(t)
	w := newWorld(t)
	precious := filepath.Join(w.dir, "precious with space")
	if err := os.Mkdir(precious, 0o755); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(precious, "data")
	if err := os.WriteFile(file, []byte("important"), 0o644); err != nil {
		t.Fatal(err)
	}
	r := w.run(w.commands(w.fileStore(),
		"run: |\n  mkdir 'm m' && mount --bind '"+precious+"' 'm m' && mount -t tmpfs none 'm m'/../m2 2>/dev/null || mkdir m3 && mount --bind '"+precious+"' m3",
		"run: |\n  mkdir m && mount --bind '"+precious+"' m && kill -9 $$"))
	if b, err := os.ReadFile(file); err != nil || string(b) != "important" {
		t.Errorf("what was mounted is gone: %q, %v", b, err)
	}
	if strings.Contains(r.out, "remove the command's files") {
		t.Errorf("its directory is left: %s", r)
	}
	if out, err := exec.Command("findmnt", "-rno", "TARGET").Output(); err != nil || strings.Contains(string(out), "mayfly-job") {
		t.Errorf("still mounted: %s, %v", out, err)
	}
}
