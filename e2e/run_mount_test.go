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

// What another user owns is no artifact of a command's, even if it could move
// it to where those are.
func TestArtifactsOfOthers(t *testing.T) {
	t.Parallel()
	needRoot(t)
	w := newWorld(t)
	for d := w.dir; d != "/tmp" && d != "/"; d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	data := filepath.Join(w.dir, "data")
	if out, err := exec.Command("sh", "-ec", `mkdir -p "$1/private/dump"; echo topsecret >"$1/rootfile"; chmod 600 "$1/rootfile"
		echo topsecret >"$1/private/dump/f"; chmod 700 "$1/private"; chown nobody "$1"`, "sh", data).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	r := w.run(w.commands(w.fileStore(),
		"user: nobody\ndir: "+data+"\nartifacts: out\nrun: mv rootfile out/mine",
		"user: nobody\ndir: "+data+"\nartifacts: o2/dump\nrun: rm -r o2; ln -s private o2"))
	if r.code == 0 {
		t.Errorf("nothing was refused: %s", r)
	}
	for _, f := range filesBelow(t, w.storeDir()) {
		if b, err := os.ReadFile(f); err != nil || strings.Contains(string(b), "topsecret") {
			t.Errorf("%s holds it, %v", f, err)
		}
	}
}
