//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// sftp runs the stock client with a batch of commands.
func (f *far) sftp(batch string) said {
	f.s.t.Helper()
	file := filepath.Join(f.dir, "batch")
	if err := os.WriteFile(file, []byte(batch), 0o644); err != nil {
		f.s.t.Fatal(err)
	}
	argv := []string{"sftp", "-b", file, "-F", "none", "-P"}
	return f.run(append(append(argv, f.ssh()[4:]...), "root@"+f.server)...)
}

func (f *far) restic(args ...string) said {
	f.s.t.Helper()
	command := strings.Join(append(f.ssh(), "root@"+f.server, "-s", "sftp"), " ")
	return f.run(append([]string{"restic", "-q", "-r", "sftp:root@" + f.server + ":/repo", "-o", "sftp.command=" + command}, args...)...)
}

func (f *far) rclone(args ...string) said {
	f.s.t.Helper()
	known := filepath.Join(f.dir, "known")
	f.s.sh(`sed "s/^backup /[$2]:$3 /" "$1" >"$4"`, f.s.known, f.server, fmt.Sprint(stationPort), known)
	conf := filepath.Join(f.dir, "rclone.conf")
	text := fmt.Sprintf("[backup]\ntype = sftp\nhost = %s\nport = %d\nuser = x\nkey_file = %s\nknown_hosts_file = %s\nshell_type = none\n", f.server, stationPort, f.key, known)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		f.s.t.Fatal(err)
	}
	return f.run(append([]string{"rclone", "--config", conf, "--retries", "1", "--low-level-retries", "1"}, args...)...)
}

// TestStationSFTP has hosts back up and restore over SFTP through the whole
// job: with OpenSSH's client, which may only push, with rclone, and with restic,
// once where nothing may be overwritten. What is in the snapshots is theirs.
func TestStationSFTP(t *testing.T) {
	t.Parallel()
	if !inside(t) {
		return
	}
	s := newStation(t, 64, "sftp", "rclone", "restic", "worm")
	sftp, rclone, restic, worm := s.hosts["sftp"], s.hosts["rclone"], s.hosts["restic"], s.hosts["worm"]
	rclone.options, restic.options, worm.options = ", pull: true", ", pull: true", ", pull: true, append_only: true"
	src := filepath.Join(s.dir, "src")
	s.sh(`mkdir -p "$1/dir with spaces" "$1/empty"; cd "$1"; for i in $(seq 20); do echo $i >"dir with spaces/$i"; done; head -c 3000000 /dev/urandom >big; echo x >ünïcödé`, src)
	same := func(what, dir string) {
		t.Helper()
		if out := s.sh(`diff -r -x lost+found "$1" "$2" 2>&1 || :`, src, dir); out != "" {
			t.Errorf("%s: %s", what, out)
		}
	}
	r := s.start().open()
	back := func(f *far) string { return filepath.Join(f.dir, "back") }

	sftp.sftp(fmt.Sprintf("put -pR %s/* .\n", src)).ok(t)
	sftp.sftp("get big "+back(sftp)).refused(t, "ermission denied")

	rclone.rclone("sync", "--create-empty-src-dirs", src, "backup:copy").ok(t)
	if again := rclone.rclone("sync", "-v", src, "backup:copy").ok(t); strings.Contains(again.out, ": Copied") {
		t.Errorf("sent again: %s", again)
	}
	rclone.rclone("sync", "--create-empty-src-dirs", "backup:copy", back(rclone)).ok(t)
	same("rclone", back(rclone))

	for _, f := range []*far{restic, worm} {
		f.restic("init").ok(t)
		f.restic("backup", src).ok(t)
		f.restic("check").ok(t)
		f.restic("restore", "latest", "--target", back(f)).ok(t)
		same(f.name, back(f)+src)
	}
	restic.restic("forget", "--keep-last", "1", "--prune").ok(t)
	worm.sftp("rm /repo/config\n").refused(t, "")
	worm.sftp("rename /repo/config /repo/x\n").refused(t, "")
	worm.sftp(fmt.Sprintf("put %s/big /repo/config\n", src)).refused(t, "")
	worm.push("rsync", src, "/repo").refused(t, "append_only")
	worm.restic("backup", src).ok(t) // else the push that was refused is missing

	for _, f := range s.hosts {
		f.done().ok(t)
	}
	if code := r.ends(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	s.free()
	for name, dir := range map[string]string{"sftp": "", "rclone": "copy"} {
		f := s.hosts[name]
		list := s.ebs.snapshots(f.volume)
		if len(list) != 1 || list[0].tags["mayfly:data"] != "complete" {
			t.Fatalf("%s: %+v", name, list)
		}
		s.ebs.mounted(s.ebs.copyOf(list[0].id), func(at string) { same("the snapshot of "+name, filepath.Join(at, dir)) })
	}
	for _, f := range []*far{restic, worm} {
		list := s.ebs.snapshots(f.volume)
		if len(list) != 1 {
			t.Fatalf("%s: %+v", f.name, list)
		}
		s.ebs.mounted(s.ebs.copyOf(list[0].id), func(at string) {
			to := filepath.Join(f.dir, "from-snapshot")
			f.run("restic", "-q", "--no-lock", "-r", filepath.Join(at, "repo"), "restore", "latest", "--target", to).ok(t)
			same("the snapshot of "+f.name, to+src)
		})
	}
	has(t, "the report", r.out.String(), "servers  4 hosts: 4 changed")
}

// TestStationRestored goes on from an older state, as docs/hosts.md has it: a
// volume that was made from a snapshot is refused, blank or not, with what to
// do; and once adopted it is the host's.
func TestStationRestored(t *testing.T) {
	t.Parallel()
	if !inside(t) {
		return
	}
	s := newStation(t, 32, "a", "b")
	a, b := s.hosts["a"], s.hosts["b"]
	src := filepath.Join(a.dir, "src")
	s.sh(`mkdir -p "$1"; head -c 2000000 /dev/urandom >"$1/x"`, src)
	r := s.start().open()
	a.push("rsync", src, ".").ok(t)
	a.done().ok(t)
	b.push("rsync", src, ".").ok(t)
	b.done().ok(t)
	if code := r.ends(); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	snapshot := s.ebs.snapshots(a.volume)[0].id
	fromSnapshot := func(host, image string) string {
		t.Helper()
		var made struct{ VolumeId string }
		s.m.answer(&made, "ec2", "create-volume", "--availability-zone", motoRegion+"a", "--snapshot-id", snapshot,
			"--tag-specifications", "ResourceType=volume,Tags=[{Key=mayfly:deployment,Value=hosts},{Key=mayfly:host,Value="+host+"}]")
		s.sh(`if [ -n "$2" ]; then cp --sparse=always "$2" "$1"; else truncate -s 32M "$1"; fi`, s.ebs.image(made.VolumeId), image)
		return made.VolumeId
	}
	old := a.volume
	a.volume, b.volume = fromSnapshot("a", s.ebs.copyOf(snapshot)), fromSnapshot("b", "")
	sums := s.sh(`sha256sum "$1" "$2"`, s.ebs.image(a.volume), s.ebs.image(b.volume))
	s.newInstance()
	r = s.start()
	if code := r.ends(); code != 1 {
		t.Errorf("exit code %d", code)
	}
	uuid := s.sh(`blkid -o value -s UUID "$1"`, s.ebs.image(a.volume))
	adopt := "mayfly volume adopt " + a.volume + " --host a --uuid " + uuid
	has(t, "the report", r.out.String(), "2 hosts: 2 failed", adopt, b.volume+": it was made from the snapshot "+snapshot)
	if now := s.sh(`sha256sum "$1" "$2"`, s.ebs.image(a.volume), s.ebs.image(b.volume)); now != sums {
		t.Error("a volume that was refused has changed")
	}
	s.free()

	delete(s.hosts, "b")
	s.m.aws("ec2", "delete-tags", "--resources", old, "--tags", "Key=mayfly:host")
	role := s.m.role
	s.m.role = s.m.admin // the person's
	if r := s.m.mayfly(append(strings.Fields(adopt)[1:], "-c", s.config())...); r.code != 0 {
		t.Fatal(r)
	}
	s.m.role = role
	s.newInstance()
	r = s.start().open()
	p := a.push("rsync", src, ".").ok(t)
	if n := stat(t, p, "Literal data"); n != 0 {
		t.Errorf("%d bytes were sent again", n)
	}
	a.done().ok(t)
	if code := r.ends(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	s.free()
	a.whole(src)
}
