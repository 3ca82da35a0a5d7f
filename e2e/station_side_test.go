//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// mayflyPush is a command line: mayfly push by a host, which finds the receiver
// by lines of its config. More is added to that.
func (f *far) mayflyPush(find, source, more string) []string {
	f.s.t.Helper()
	public, err := os.ReadFile(filepath.Join(f.s.dir, "host-key.pub"))
	if err != nil {
		f.s.t.Fatal(err)
	}
	file := filepath.Join(f.dir, "push.yaml")
	text := fmt.Sprintf("deployment: hosts\nhost: %s\nhost_key: %skey: %s\n%s\nwait: 90s\nsources: [%s]\n%s", f.name, public, f.key, find, source, more)
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		f.s.t.Fatal(err)
	}
	return []string{"env", "MAYFLY_PUSH_DIR=" + filepath.Join(f.dir, "work"), mayflyBinary(f.s.t), "push", "-c", file}
}

// changeTree is what happens to a planted tree from one night to the next.
const changeTree = `cd "$1"; echo changed >plain/7; rm plain/8; head -c 100 /dev/urandom | dd of=big bs=1 seek=1000000 conv=notrunc status=none; chown 77:88 acl`

// TestHostsSide is servers and their owner as they see it, from a deployment
// that is made to files that are had back. web has credentials and starts the
// deployment; db has some, too, and encrypts; mail has none, and its link is
// cut; nas is killed after the first of two sources in the first night; lap
// never comes. Two nights, with changes between; then a file, a directory and a
// whole host as of the night before are restored, all at once.
func TestHostsSide(t *testing.T) {
	t.Parallel()
	if !inside(t) {
		return
	}
	d := newDeployed(newLaptop(t), "window: 1m, keep: 20d, address: {store: true, parameter: /hosts/address}", "web", "db", "mail", "nas", "lap")
	s := d.s
	web, db, mail, nas := s.hosts["web"], s.hosts["db"], s.hosts["mail"], s.hosts["nas"]
	key := newCryptKey(t)
	source := map[string]string{}
	for _, f := range []*far{web, db, mail} {
		source[f.name] = plantTree(t, filepath.Join(f.dir, "src"))
	}
	inStore := "address: {store: s3://hosts-bucket/hosts, region: " + motoRegion + "}\nstart: {region: " + motoRegion + "}"
	inParameter := "address: {parameter: /hosts/address, region: " + motoRegion + "}"
	crypt := fmt.Sprintf("encrypt: {gocryptfs: {config: %s, password_file: %s}}\n", key.Config, key.PasswordFile)
	cuts := []int64{-1, 400_000, 900_000} // it says begin first
	_, cut, _ := strings.Cut(cutterAt(t, mail.server+":0", fmt.Sprint(stationPort), func() int64 {
		if len(cuts) == 0 {
			return -1
		}
		n := cuts[0]
		cuts = cuts[1:]
		return n
	}), ":")

	before := filepath.Join(s.dir, "before")
	var between time.Time
	for night := range 2 {
		if night > 0 {
			s.sh(`cp -a "$1" "$2"`, source["web"], before)
			for _, src := range source {
				s.sh(changeTree, src)
			}
		}
		pushes := web.start(append(d.credentials(), web.mayflyPush(inStore, source["web"], "")...)...)
		r := d.boot()
		d.opened(r)
		db.run(append(d.credentials(), db.mayflyPush(inParameter, source["db"], crypt)...)...).ok(t)
		got := mail.run(mail.mayflyPush("address: "+mail.server+"\nport: "+cut, source["mail"], "")...).ok(t)
		if night == 0 && (len(cuts) > 0 || !strings.Contains(got.out, "in 3 tries")) {
			t.Errorf("it was not cut: %s", got)
		}
		if night == 0 {
			nas.run(append(nas.ssh(), "root@"+nas.server, "begin")...).ok(t)
			nas.push("rsync", filepath.Join(source["web"], "plain"), ".").ok(t)
		} else {
			nas.run(nas.mayflyPush("address: "+publicAddress+"\nport: "+fmt.Sprint(stationPort), filepath.Join(source["web"], "plain"), "")...).ok(t)
		}
		got = pushes.wait().ok(t)
		has(t, "web", got.out, "Asked hosts for an instance.", "Pushed web to hosts")
		if code := d.ends(r); code != 3 {
			t.Fatalf("exit code %d", code)
		}
		has(t, "the report", r.out.String(), "receive lap: it did not come while the window was open", "never backed up: lap")
		if night == 0 {
			has(t, "the report", r.out.String(), " MB in 3 transfers from ", "receive nas: it did not say that it has sent all", "partial snapshot snap-")
			between = time.Now()
		}
	}
	for name, want := range map[string]string{"web": "complete complete", "db": "complete complete", "mail": "complete complete", "nas": "partial complete", "lap": ""} {
		var are []string
		for _, x := range s.ebs.snapshots(s.hosts[name].volume) {
			are = append(are, x.tags["mayfly:data"])
		}
		if strings.Join(are, " ") != want {
			t.Errorf("the snapshots of %s are %q, not %s", name, are, want)
		}
	}
	s.encrypted()
	s.sh(`! findmnt -rn | grep gocryptfs; ! ls -d "$1"/host-*/.ssh 2>/dev/null`, s.dir)

	// Back again.
	out := func(name string) string { return filepath.Join(s.dir, "back-"+name) }
	at := between.UTC().Format(time.RFC3339)
	restores := []*running{d.begin("restore", "-c", s.deployed, "hosts/mail", source["mail"][1:]+"/plain/7", "-o", out("mail"))}
	eventuallyTrue(t, time.Minute, "an instance is launched", func() bool { return len(d.group("hosts").Instances) == 1 })
	restores = append(restores, // which ask the same one
		d.begin("restore", "-c", s.deployed, "hosts/db", source["db"][1:]+"/plain", "-o", out("db"), "--gocryptfs-config", key.Config, "--password-file", key.PasswordFile),
		d.begin("restore", "-c", s.deployed, "hosts/web", "-o", out("web"), "--at", at))
	t.Cleanup(func() {
		for _, p := range restores {
			if t.Failed() {
				t.Logf("restore said\n%s", p.errs.String())
			}
		}
	})
	const waits = "its run is asked once it has begun"
	eventuallyTrue(t, time.Minute, "the others wait for its run", func() bool {
		return strings.Contains(restores[1].errs.String(), waits) && strings.Contains(restores[2].errs.String(), waits)
	})
	r := d.boot()
	if code := d.ends(r); code != 0 {
		t.Errorf("the run for restores: exit code %d", code)
	}
	for i, p := range restores {
		if r := p.wait(); r.code != 0 || !strings.Contains(r.out, "Restored") {
			t.Errorf("restore %d: %s", i, r)
		}
	}
	s.sh(`cmp "$1/$2/plain/7" "$2/plain/7"; test "$(find "$1" -type f | wc -l)" = 1`, out("mail"), source["mail"])
	same(t, filepath.Join(source["db"], "plain"), filepath.Join(out("db"), source["db"], "plain"))
	same(t, before, filepath.Join(out("web"), source["web"]))
	s.nothingTemporary()
	if n := d.group("hosts").DesiredCapacity; n != 0 {
		t.Errorf("the group wants %d instances", n)
	}
}

// encrypted finds the newest snapshot of db to show no name.
func (s *station) encrypted() {
	t := s.t
	t.Helper()
	list := s.ebs.snapshots(s.hosts["db"].volume)
	if len(list) == 0 {
		t.Fatal("db has no snapshot")
	}
	s.ebs.mounted(s.ebs.copyOf(list[len(list)-1].id), func(dir string) {
		names := s.sh(`find "$1" -printf '%P\n'`, dir)
		if strings.Contains(names, "plain") || strings.Contains(names, "src") || !strings.Contains(names, "gocryptfs.diriv") {
			t.Errorf("names are there, or nothing is: %s", names)
		}
	})
}
