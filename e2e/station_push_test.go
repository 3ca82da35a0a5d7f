//go:build e2e

package e2e

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestStation has three hosts push, twice, with changes between, each with
// another rsync; what is in each snapshot is the source as it was.
func TestStation(t *testing.T) {
	t.Parallel()
	if !inside(t) {
		return
	}
	s := newStation(t, 96, "a", "b", "c")
	programs := map[string]string{"a": "rsync", "b": filepath.Join(moduleRoot(t), ".e2e", "rsync-old", "bin", "rsync"), "c": "rsync"}
	sources := map[string]string{}
	for name, f := range s.hosts {
		sources[name] = plantTree(t, filepath.Join(f.dir, "src"))
	}
	r := s.start().open()
	for name, f := range s.hosts {
		f.push(programs[name], sources[name], "/mnt/"+name+"/").ok(t)
		f.done().ok(t)
	}
	if code := r.ends(); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	has(t, "the report", r.out.String(), "hosts complete.", "servers  3 hosts: 3 changed", "a: ", "1 transfer from 10.77.1.2; snapshot snap-", "% of ", "all current")
	s.free()
	first := s.same(sources, 1)

	for name, src := range sources {
		c := exec.Command("bash", "-ec", `echo changed >plain/7; rm plain/8; mkdir plain/8; echo x >plain/8/new; rm -r deep; chmod 711 empty
			head -c 100 /dev/urandom | dd of=big bs=1 seek=1000000 conv=notrunc status=none; ln -sf plain/5 link; chown 77:88 acl`)
		c.Dir = src
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", name, err, out)
		}
	}
	s.newInstance()
	r = s.start().open()
	for name, f := range s.hosts {
		p := f.push(programs[name], sources[name], ".").ok(t)
		if n := stat(t, p, "Literal data"); n > 50_000 {
			t.Errorf("%s: %d bytes were sent literally", name, n)
		}
		if n := stat(t, p, "Number of regular files transferred"); n != 3 {
			t.Errorf("%s: %d files were sent again", name, n)
		}
		f.done().ok(t)
	}
	if code := r.ends(); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	s.free()
	second := s.same(sources, 2)
	for name := range s.hosts {
		if first[name] == second[name] {
			t.Errorf("%s: the snapshots are the same", name)
		}
	}
	if strings.Contains(r.out.String(), "formatted") || strings.Contains(r.out.String(), "blank") {
		t.Errorf("formatted twice: %s", &r.out)
	}
}

// same finds the newest of so many snapshots of each host to hold its source,
// and returns their ids.
func (s *station) same(sources map[string]string, n int) map[string]string {
	s.t.Helper()
	ids := map[string]string{}
	for name, f := range s.hosts {
		list := s.ebs.snapshots(f.volume)
		if len(list) != n {
			s.t.Fatalf("%s has %d snapshots", name, len(list))
		}
		last := list[n-1]
		for _, x := range list {
			if !strings.HasPrefix(x.tags["mayfly:run"], "2") || x.tags["mayfly:host"] != name || x.tags["mayfly:deployment"] != "hosts" || x.tags["mayfly:data"] != "complete" {
				s.t.Errorf("tags %v", x.tags)
			}
		}
		ids[name] = last.id
		s.ebs.mounted(s.ebs.copyOf(last.id), func(dir string) {
			s.sh(`rmdir "$1/lost+found" 2>/dev/null || :`, dir)
			same(s.t, sources[name], dir)
		})
	}
	return ids
}
