//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"mayfly/internal/gocryptfs"
)

// mayflyPush writes a push.yaml for a host, and runs mayfly push there; more is
// added to the config.
func (f *far) mayflyPush(port int, source, more string) said {
	f.s.t.Helper()
	public, err := os.ReadFile(filepath.Join(f.s.dir, "host-key.pub"))
	if err != nil {
		f.s.t.Fatal(err)
	}
	file := filepath.Join(f.dir, "push.yaml")
	text := fmt.Sprintf("deployment: hosts\nhost: %s\nhost_key: %skey: %s\naddress: %s\nport: %d\nwait: 30s\nsources: [%s]\n%s", f.name, public, f.key, f.server, port, source, more)
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		f.s.t.Fatal(err)
	}
	return f.run("env", "MAYFLY_PUSH_DIR="+filepath.Join(f.dir, "work"), mayflyBinary(f.s.t), "push", "-c", file)
}

// TestHostsSide is servers as they see it: one pushes, one encrypts and has its
// link cut in the middle, one comes only the second time, and one's push ends
// before it is done; with changes between.
func TestHostsSide(t *testing.T) {
	t.Parallel()
	if !inside(t) {
		return
	}
	s := newStation(t, 96, "a", "b", "c", "d")
	s.window = "1m"
	key := newCryptKey(t)
	crypt := fmt.Sprintf("encrypt: {gocryptfs: {config: %s, password_file: %s}}\n", key.Config, key.PasswordFile)
	sources := map[string]string{}
	for _, name := range []string{"a", "b"} {
		sources[name] = plantTree(t, filepath.Join(s.hosts[name].dir, "src"))
	}
	for round := range 2 {
		if round > 0 {
			for name, src := range sources {
				c := exec.Command("bash", "-ec", `echo changed >plain/7; rm plain/8; head -c 100 /dev/urandom | dd of=big bs=1 seek=1000000 conv=notrunc status=none; chown 77:88 acl`)
				c.Dir = src
				if out, err := c.CombinedOutput(); err != nil {
					t.Fatalf("%s: %v: %s", name, err, out)
				}
			}
			s.newInstance()
		}
		r := s.start().open()
		if got := s.hosts["a"].mayflyPush(stationPort, sources["a"], "").ok(t); !strings.Contains(got.out, "Pushed a to hosts") {
			t.Errorf("%s", got)
		}
		cuts := []int64{-1, 400_000, 900_000} // it says begin first
		port := cutterAt(t, s.hosts["b"].server+":0", fmt.Sprint(stationPort), func() int64 {
			if len(cuts) == 0 {
				return -1
			}
			n := cuts[0]
			cuts = cuts[1:]
			return n
		})
		_, number, _ := strings.Cut(port, ":")
		n := 0
		fmt.Sscan(number, &n)
		got := s.hosts["b"].mayflyPush(n, sources["b"], crypt).ok(t)
		if round == 0 && (len(cuts) > 0 || !strings.Contains(got.out, "in 3 tries")) {
			t.Errorf("it was not cut: %s", got)
		}
		d := s.hosts["d"]
		if round > 0 {
			s.hosts["c"].mayflyPush(stationPort, s.hosts["a"].dir, "").ok(t)
			d.mayflyPush(stationPort, filepath.Join(sources["a"], "plain"), "").ok(t)
		} else { // as if it were killed after the first of two sources
			d.run(append(d.ssh(), "root@"+d.server, "begin")...).ok(t)
			d.push("rsync", filepath.Join(sources["a"], "plain"), ".").ok(t)
		}
		if code := r.ends(); code != []int{3, 0}[round] {
			t.Fatalf("exit code %d", code)
		}
		if round == 0 {
			has(t, "the report", r.out.String(), "receive c: it did not come while the window was open", "never backed up: c", " MB in 3 transfers from ", "receive d: it did not say that it has sent all", "partial snapshot snap-")
		}
		s.free()
	}
	s.decrypted(key, sources["b"])
	list := s.ebs.snapshots(s.hosts["a"].volume)
	if len(list) != 2 {
		t.Fatalf("a has %d snapshots", len(list))
	}
	for i, x := range s.ebs.snapshots(s.hosts["d"].volume) {
		if want := []string{"partial", "complete"}[i]; x.tags["mayfly:data"] != want {
			t.Errorf("snapshot %d of d is %s", i, x.tags["mayfly:data"])
		}
	}
	s.ebs.mounted(s.ebs.copyOf(list[1].id), func(dir string) { same(t, sources["a"], filepath.Join(dir, sources["a"])) })
}

// decrypted finds the newest snapshot of b to hold its source, under names and
// with contents that only the key makes readable.
func (s *station) decrypted(key gocryptfs.Key, source string) {
	t := s.t
	t.Helper()
	list := s.ebs.snapshots(s.hosts["b"].volume)
	if len(list) != 2 {
		t.Fatalf("b has %d snapshots", len(list))
	}
	s.ebs.mounted(s.ebs.copyOf(list[1].id), func(dir string) {
		names := s.sh(`find "$1" -printf '%P\n'`, dir)
		if strings.Contains(names, "plain") || strings.Contains(names, "src") {
			t.Errorf("names are there: %s", names)
		}
		v, err := gocryptfs.Forward(t.Context(), key, dir, filepath.Join(s.dir, "crypt"))
		if err != nil {
			t.Fatal(err)
		}
		defer v.Close()
		for _, name := range []string{"big", "plain/7", "sparse"} {
			a, err := os.ReadFile(filepath.Join(source, name))
			b, err2 := os.ReadFile(filepath.Join(v.Dir, source, name))
			if err != nil || err2 != nil || string(a) != string(b) {
				t.Errorf("%s: %v, %v", name, err, err2)
			}
		}
		if _, err := os.Lstat(filepath.Join(v.Dir, source, "plain/8")); err == nil {
			t.Error("what is gone is there")
		}
	})
}
