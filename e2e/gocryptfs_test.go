//go:build e2e

package e2e

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"mayfly/internal/gocryptfs"
)

func newCryptKey(t *testing.T) gocryptfs.Key {
	t.Helper()
	dir := t.TempDir()
	k := gocryptfs.Key{Config: filepath.Join(dir, "gocryptfs.conf"), PasswordFile: filepath.Join(dir, "password")}
	if err := gocryptfs.Make(t.Context(), k); err != nil {
		t.Fatal(err)
	}
	return k
}

// What a reverse view shows has neither names nor contents, and neither key; and
// comes back through a forward one, from a part of it and its companions alone.
func TestGocryptfsThereAndBack(t *testing.T) {
	t.Parallel()
	k, plain := newCryptKey(t), t.TempDir()
	long := strings.Repeat("n", 240)
	files := map[string]string{"var/lib/" + long + "/x": "hello\n", "var/lib/" + long + "/cache/y": "no\n", "etc/passwd": "root\n"}
	for name, text := range files {
		name = filepath.Join(plain, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o640); err != nil {
			t.Fatal(err)
		}
	}
	then := time.Unix(1234567890, 0)
	if err := os.Chtimes(filepath.Join(plain, "var/lib/"+long+"/x"), then, then); err != nil {
		t.Fatal(err)
	}
	v, err := gocryptfs.Reverse(t.Context(), k, plain, filepath.Join(t.TempDir(), "work"), []string{"/var/lib/*/cache"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = v.Close() })
	enc, err := v.Encrypt("var/lib/" + long)
	if err != nil {
		t.Fatal(err)
	}
	cipher := t.TempDir()
	args := append([]string{"-aR"}, gocryptfs.Companions(enc)...)
	c := exec.Command("rsync", append(args, enc, cipher+"/")...)
	c.Dir = v.Dir
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("rsync: %v: %s", err, out)
	}
	all, _ := exec.Command("sh", "-c", "find "+cipher+"; find "+v.Dir+"; cat $(find "+cipher+" -type f)").CombinedOutput()
	for _, secret := range []string{"hello", "var", "lib\n", "nnnn", "passwd", "gocryptfs.conf", "gocryptfs.reverse.conf", "EncryptedKey"} {
		if strings.Contains(strings.ReplaceAll(string(all), cipher, ""), secret) && !strings.Contains(v.Dir, secret) {
			t.Errorf("the view shows %q:\n%s", secret, all)
		}
	}
	if err := v.Close(); err != nil {
		t.Error(err)
	}
	if mounted(t, v.Dir) {
		t.Error("the view is mounted after Close")
	}
	f, err := gocryptfs.Forward(t.Context(), k, cipher, filepath.Join(t.TempDir(), "work"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	b, err := os.ReadFile(filepath.Join(f.Dir, "var/lib", long, "x"))
	if err != nil || string(b) != "hello\n" {
		t.Errorf("back came %q, %v", b, err)
	}
	if st, err := os.Stat(filepath.Join(f.Dir, "var/lib", long, "x")); err != nil || !st.ModTime().Equal(then) || st.Mode() != 0o640 {
		t.Errorf("back came %v, %v", st, err)
	}
	if _, err := os.Stat(filepath.Join(f.Dir, "var/lib", long, "cache/y")); err == nil {
		t.Error("what was excluded came")
	}
}

func mounted(t *testing.T, dir string) bool {
	t.Helper()
	b, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		t.Fatal(err)
	}
	return strings.Contains(string(b), " "+dir+" ")
}

// children are the processes of a name that a process has started.
func children(pid int, comm string) (pids []int) {
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, name := range tasks {
		list, _ := os.ReadFile(name)
		for _, kid := range strings.Fields(string(list)) {
			if is, _ := os.ReadFile("/proc/" + kid + "/comm"); string(is) == comm+"\n" {
				n, _ := strconv.Atoi(kid)
				pids = append(pids, n)
			}
		}
	}
	return pids
}

// TestMain is a process that holds a view, and that a test kills, where the
// environment says so.
func TestMain(m *testing.M) {
	if work := os.Getenv("MAYFLY_TEST_HOLDER"); work != "" {
		os.Exit(holdView(work))
	}
	os.Exit(m.Run())
}

func holdView(work string) int {
	v, err := gocryptfs.Reverse(context.Background(), gocryptfs.Key{Config: os.Getenv("KEY"), PasswordFile: os.Getenv("PASSWORD")}, "/etc", work, nil)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println("mounted")
	time.Sleep(time.Minute)
	_ = v.Close()
	return 0
}

// However what has mounted it ends, the view is gone: killed, with a file of the
// view held open, and with gocryptfs killed.
func TestGocryptfsEnds(t *testing.T) {
	t.Parallel()
	k := newCryptKey(t)
	work := filepath.Join(t.TempDir(), "work")
	view := filepath.Join(work, "view")
	hold := func() *exec.Cmd {
		t.Helper()
		c := exec.Command(os.Args[0])
		c.Env = append(os.Environ(), "MAYFLY_TEST_HOLDER="+work, "KEY="+k.Config, "PASSWORD="+k.PasswordFile)
		out, err := c.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		if line, _ := bufio.NewReader(out).ReadString('\n'); line != "mounted\n" {
			t.Fatalf("the holder said %q", line)
		}
		if !mounted(t, view) {
			t.Fatal("it is not mounted")
		}
		return c
	}
	c := hold()
	if err := c.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = c.Wait()
	for end := time.Now().Add(15 * time.Second); mounted(t, view); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("killed, it has left its view mounted")
		}
	}

	// gocryptfs and what has started it are killed: what is left is unmounted at
	// the next start.
	c = hold()
	if pids := children(c.Process.Pid, "gocryptfs"); len(pids) != 1 || syscall.Kill(pids[0], syscall.SIGKILL) != nil {
		t.Fatalf("it runs gocryptfs as %v", pids)
	}
	if err := c.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = c.Wait()
	if !mounted(t, view) {
		t.Error("nothing is left of a gocryptfs that was killed, which shows nothing")
	}
	v, err := gocryptfs.Reverse(t.Context(), k, "/etc", work, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = v.Close() })
	f, err := os.Open(v.Dir)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := v.Close(); err != nil || mounted(t, view) {
		t.Errorf("held open, it could not be closed: %v", err)
	}

	// With another key a view is empty, and says so, but for a name in 256 that
	// looks right by chance; with the right one it names what it has left out.
	cipher, other := t.TempDir(), newCryptKey(t)
	if v, err = gocryptfs.Reverse(t.Context(), k, "/etc/default", work, nil); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("cp", "-a", v.Dir+"/.", cipher).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if err := v.Close(); err != nil {
		t.Error(err)
	}
	for key, bad := range map[gocryptfs.Key]bool{k: false, other: true} {
		v, err := gocryptfs.Forward(t.Context(), key, cipher, work)
		if err != nil {
			t.Fatal(err)
		}
		entries, err := os.ReadDir(v.Dir)
		if err != nil || (len(entries) < 3) != bad || (len(v.Skipped()) > 0) != bad {
			t.Errorf("another key: %v; %d entries, %q, %v", bad, len(entries), v.Skipped(), err)
		}
		if err := v.Close(); err != nil {
			t.Error(err)
		}
	}
	for _, name := range []string{"not-encrypted", ".rsync-partial"} { // a push's that was cut off is no loss
		if err := os.Mkdir(filepath.Join(cipher, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if v, err = gocryptfs.Forward(t.Context(), k, cipher, work); err != nil {
		t.Fatal(err)
	}
	if _, err := os.ReadDir(v.Dir); err != nil {
		t.Error(err)
	}
	if bad := v.Skipped(); len(bad) != 1 || !strings.Contains(bad[0], "not-encrypted") {
		t.Errorf("left out: %q", bad)
	}
	if err := v.Close(); err != nil {
		t.Error(err)
	}

	wrong := k
	wrong.PasswordFile = filepath.Join(t.TempDir(), "wrong")
	if err := os.WriteFile(wrong.PasswordFile, []byte("wrong\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := gocryptfs.Reverse(t.Context(), wrong, "/etc", work, nil); err == nil || !strings.Contains(err.Error(), "Password incorrect") {
		t.Errorf("with a wrong password: %v", err)
	}
	if err := gocryptfs.Make(t.Context(), k); err == nil {
		t.Error("a key was replaced")
	}
	if mounted(t, view) {
		t.Error("something is mounted")
	}
}

// A view that ends takes no process with it that is to die with its parent:
// Linux means the thread that has started it.
func TestGocryptfsSparesOthers(t *testing.T) {
	t.Parallel()
	k := newCryptKey(t)
	var others []*exec.Cmd
	var all sync.WaitGroup
	var mu sync.Mutex
	for range 40 {
		all.Go(func() {
			c := exec.Command("sleep", "60")
			c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
			if err := c.Start(); err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			others = append(others, c)
		})
	}
	all.Wait()
	for range 5 {
		v, err := gocryptfs.Reverse(t.Context(), k, "/etc/default", filepath.Join(t.TempDir(), "work"), nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := v.Close(); err != nil {
			t.Error(err)
		}
	}
	time.Sleep(100 * time.Millisecond)
	for _, c := range others {
		var status syscall.WaitStatus
		if pid, err := syscall.Wait4(c.Process.Pid, &status, syscall.WNOHANG, nil); pid != 0 || err != nil {
			t.Errorf("%d has ended: %v, %v", c.Process.Pid, status, err)
			continue
		}
		_ = c.Process.Kill()
		_ = c.Wait()
	}
}
