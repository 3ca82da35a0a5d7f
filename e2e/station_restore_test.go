//go:build e2e

package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"mayfly/internal/gocryptfs"
	"mayfly/internal/imdstest"
	"mayfly/internal/store"
	"mayfly/jobs/receive"
)

// temporary are the volumes that are marked so.
func (s *station) temporary() []string {
	s.t.Helper()
	var list []string
	for _, v := range s.ebs.volumes(ec2.DescribeVolumesInput{Filters: []types.Filter{{Name: aws.String("tag-key"), Values: []string{"mayfly:temporary"}}}}) {
		list = append(list, *v.VolumeId)
	}
	return list
}

// nothingTemporary finds no temporary volume, no mount and no device of one.
func (s *station) nothingTemporary() {
	s.t.Helper()
	if list := s.temporary(); len(list) > 0 {
		s.t.Errorf("temporary volumes are left: %v", list)
	}
	if out := s.sh(`findmnt -rno TARGET | grep mayfly- || :; ls -d /mnt/.mayfly-* 2>/dev/null || :`); out != "" {
		s.t.Errorf("mounts are left: %s", out)
	}
}

// restore runs mayfly restore as the operator.
func (s *station) restore(args ...string) result {
	s.t.Helper()
	return s.m.command(s.operator(), mayflyBinary(s.t), append([]string{"restore", "-c", filepath.Join(s.dir, "hosts.yaml")}, args...)...)
}

func (s *station) operator() map[string]string {
	env := s.m.env(s.m.proxy, s.m.admin)
	env["TMPDIR"] = s.dir
	return env
}

// reachable has metadata say an address by which this machine is reached.
func (s *station) reachable() {
	s.imds.Change(func(st *imdstest.State) { st.IPv4 = "127.0.0.1" })
}

// drilled is what the store has of the last drill of a host.
func (s *station) drilled(host string) receive.Drilled {
	s.t.Helper()
	st, err := store.NewDir(s.m.world.storeDir())
	if err != nil {
		s.t.Fatal(err)
	}
	all, err := receive.LastDrills(s.t.Context(), st, "servers")
	if err != nil {
		s.t.Fatal(err)
	}
	return all[host]
}

// TestStationRestore has a host push twice, gets its files back as they are and
// as they were, and has drills pass and fail; a restore that is cut off by the
// end of the machine leaves a volume, which the next run deletes.
func TestStationRestore(t *testing.T) {
	t.Parallel()
	if !inside(t) {
		return
	}
	s := newStation(t, 64, "a", "b")
	a, b := s.hosts["a"], s.hosts["b"]
	s.more = "      drill: {every: 1d, files: 1000}\n"
	s.reachable()
	src := plantTree(t, filepath.Join(a.dir, "src"))
	const marker = "what a drill is to find, once on a disk: "
	s.sh(`printf '%s%s\n' "$2" "$3" >"$1/marked"; touch -d '2026-01-02 03:04:05.678' "$1/marked" "$1"; mkdir -p "$4/secret names"; date >"$4/secret names/x"; chown 12:34 "$4/secret names/x"; echo y >"$4/y"`, src, marker, strings.Repeat("x", 5000), filepath.Join(b.dir, "src"))
	key := newCryptKey(t)
	view, err := gocryptfs.Reverse(t.Context(), key, filepath.Join(b.dir, "src"), filepath.Join(t.TempDir(), "work"), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = view.Close() })
	push := func() {
		t.Helper()
		a.push("rsync", src, ".").ok(t)
		a.done().ok(t)
		b.push("rsync", view.Dir, ".").ok(t)
		b.done().ok(t)
	}

	r := s.start().open()
	push()
	if code := r.ends(); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	s.free()
	s.nothingTemporary()
	has(t, "the report", r.out.String(), "2 changed", "drill: 4 files ", "are as on the volume")
	if d := s.drilled("a"); d.Problem != "" || d.Files < 60 || d.Snapshot != s.ebs.snapshots(a.volume)[0].id {
		t.Errorf("the drill of a: %+v", d)
	}
	before := filepath.Join(a.dir, "before")
	s.sh(`cp -a "$1" "$2"; cd "$1"; echo changed >plain/7; rm plain/8; rm -r deep; rm -f hard1; echo new >new`, src, before)
	first := s.ebs.snapshots(a.volume)[0]
	time.Sleep(2100 * time.Millisecond) // moto's snapshots have whole seconds
	middle := time.Now().Add(-time.Second).UTC().Format(time.RFC3339)

	s.newInstance()
	s.reachable()
	r = s.start().open()
	push()
	if code := r.ends(); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	if strings.Contains(r.out.String(), "drill") {
		t.Errorf("drilled again on the same day: %s", &r.out)
	}

	// What can be restored is listed without an instance.
	listed := s.restore("servers/a", "--json")
	var list struct {
		Snapshots []struct{ ID, Data, Drill string }
	}
	if err := json.Unmarshal([]byte(listed.out), &list); err != nil || len(list.Snapshots) != 2 || list.Snapshots[1].ID != first.id || list.Snapshots[1].Data != "complete" || list.Snapshots[1].Drill != "passed" {
		t.Fatalf("%v: %s", err, listed)
	}
	if r := s.restore("servers/a"); r.code != 0 || !strings.Contains(r.out, first.id) {
		t.Errorf("%s", r)
	}
	out := filepath.Join(s.dir, "out")
	s.sh(`mkdir "$1"; touch "$1/x"`, out)
	for _, tt := range []struct {
		args []string
		says string
	}{
		{[]string{"servers/c", "x"}, "there is no such host in the config; there are a, b"},
		{[]string{"servers/a", "x", "-o", out}, "is not empty (x)"},
		{[]string{"servers/a", "x", "-o", out + "1", "--at", "2020-01-01"}, "the nearest is " + first.id},
		{[]string{"servers/b", "x", "-o", out + "1", "--at", first.id}, "is a snapshot of the host a"},
		{[]string{"servers/a", "x", "-o", out + "1", "--at", "snap-0123456789abcdef0"}, "is no snapshot of the deployment hosts"},
		{[]string{"servers/a", "../b", "-o", out + "1"}, "is no path below the host's directory"},
		{[]string{"servers/a", "x", "-o", out + "1"}, "there is no deployment hosts"}, // nothing runs, and none can be started
	} {
		if got := s.restore(tt.args...); got.code != 2 || !strings.Contains(got.err, tt.says) {
			t.Errorf("%v: %s", tt.args, got)
		}
	}
	if _, err := os.Stat(out + "1"); err == nil {
		t.Error("a folder was made for nothing")
	}

	// The run at work is asked.
	s.newInstance()
	s.reachable()
	r = s.start().open()
	get := func(to string, args ...string) string {
		t.Helper()
		dir := filepath.Join(s.dir, to)
		if got := s.restore(append([]string{"servers/a", "-o", dir}, args...)...); got.code != 0 || !strings.Contains(got.out, "Restored") {
			t.Fatalf("%v: %s", args, got)
		}
		return dir
	}
	file := get("file", "plain/7", "star*[x]?", "with spaces/and more")
	s.sh(`cmp "$1/plain/7" "$2/plain/7"; cmp "$1/star*[x]?/back\\slash" "$2/star*[x]?/back\\slash"; cmp "$1/with spaces/and more/a  b" "$2/with spaces/and more/a  b"; test "$(cd "$1"; find . -type f | wc -l)" = 3`, file, src)
	dir := get("dir", "deep", "--at", first.id)
	same(t, filepath.Join(before, "deep"), filepath.Join(dir, "deep"))
	same(t, before, get("whole", "--at", middle))
	crypted := []string{"servers/b", "secret names", "-o", filepath.Join(s.dir, "plain")}
	if got := s.restore(crypted...); got.code != 1 || !strings.Contains(got.err, "it is encrypted by gocryptfs") {
		t.Errorf("%s", got)
	}
	if got := s.restore(append(crypted, "--gocryptfs-config", key.Config, "--password-file", key.PasswordFile)...); got.code != 0 {
		t.Errorf("%s", got)
	}
	s.sh(`test "$(cd "$1"; find . -type f)" = './secret names/x'; cmp "$1/secret names/x" "$2/src/secret names/x"; test "$(stat -c '%u:%g %Y' "$1/secret names/x")" = "$(stat -c '%u:%g %Y' "$2/src/secret names/x")"
		test "$(ls -A "$3" | grep -c '^.mayfly-restore')" = 0`, filepath.Join(s.dir, "plain"), b.dir, s.dir)
	if got := s.restore("servers/a", "plain/70", "-o", out+"1"); got.code != 1 || !strings.Contains(got.err, "there is no plain/70; in plain there is 1, ") {
		t.Errorf("%s", got)
	}
	s.nothingTemporary()

	// The machine is taken away in mid-restore.
	client := exec.Command(mayflyBinary(t), "restore", "-c", filepath.Join(s.dir, "hosts.yaml"), "servers/a", "-o", out+"2", "--at", first.id)
	for k, v := range s.operator() {
		client.Env = append(client.Env, k+"="+v)
	}
	var said bytes.Buffer
	client.Stdout, client.Stderr = &said, &said
	client.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := client.Start(); err != nil {
		t.Fatal(err)
	}
	eventuallyTrue(t, time.Minute, "a temporary volume is mounted", func() bool {
		out, err := s.ebs.sh(`findmnt -rno TARGET | grep mayfly-restore`)
		return err == nil && out != ""
	})
	_ = r.cmd.Process.Kill()
	<-r.over
	_ = client.Process.Signal(syscall.SIGINT)
	if err := client.Wait(); client.ProcessState.ExitCode() != 4 && client.ProcessState.ExitCode() != 1 {
		t.Errorf("%v: %s", err, &said)
	}
	if n := len(s.temporary()); n != 1 {
		t.Fatalf("%d temporary volumes", n)
	}
	list2 := s.m.command(s.operator(), mayflyBinary(t), "volume", "list", "-c", filepath.Join(s.dir, "hosts.yaml"))
	has(t, "volume list", list2.out, "temporary", "a (copy)")

	// The next run on the machine deletes it; it is for a restore alone.
	if err := os.Remove(filepath.Join(s.m.world.storeDir(), "runs", "lock.json")); err != nil {
		t.Fatal(err)
	}
	st, err := store.NewDir(s.m.world.storeDir())
	if err != nil {
		t.Fatal(err)
	}
	s.sh(`ssh-keygen -q -t ed25519 -N "" -f "$1"`, a.key+"2")
	public, err := os.ReadFile(a.key + "2.pub")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	asked := receive.Request{ID: "by-hand-0001", Host: "a", Key: strings.TrimSpace(string(public)), By: "a test", Asked: now, Until: now.Add(time.Hour), Instance: s.instance}
	if err := receive.Ask(t.Context(), st, "servers", asked, now); err != nil {
		t.Fatal(err)
	}
	r = s.start().open()
	var answer *receive.Answer
	eventuallyTrue(t, time.Minute, "the request is answered", func() bool {
		answer, err = receive.ReadAnswer(t.Context(), st, "servers", asked.ID)
		return err == nil && answer != nil && answer.State == receive.Ready
	})
	own := a.key
	a.key += "2"
	a.run("rsync", "-e", strings.Join(a.ssh(), " "), "-a", "root@"+a.server+":new", "got").ok(t)
	s.sh(`cmp "$1/got" "$2/new"`, a.dir, src)
	a.run("rsync", "-e", strings.Join(a.ssh(), " "), "-a", "got", "root@"+a.server+":y").refused(t, "may only read")
	a.run("sh", "-c", `echo 'put got z' | sftp -b - -P `+fmt.Sprint(stationPort)+` `+strings.Join(a.ssh()[5:], " ")+` -i key2 root@`+a.server).refused(t, "")
	a.done().ok(t)
	a.key = own
	if code := r.ends(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	has(t, "the report", r.out.String(), "hosts complete.", "2 skipped", "was left by the run", "were read from the volume of a by a test")
	s.nothingTemporary()
	s.free()

	// A snapshot that has lost a byte is found out.
	if err := os.Remove(filepath.Join(s.m.world.storeDir(), "servers", "drills.json")); err != nil {
		t.Fatal(err)
	}
	s.sh(`echo again >"$1/new"`, src)
	s.newInstance()
	s.reachable()
	r = s.start().open()
	s.ebs.mu.Lock()
	s.ebs.fault = func(action string, form url.Values) bool {
		if action == "CreateVolume" {
			if _, err := s.ebs.sh(`at=$(grep -abo -m1 "$2" "$1" | cut -d: -f1); if [ -n "$at" ]; then printf W | dd of="$1" bs=1 seek=$at conv=notrunc status=none; fi`, s.ebs.copyOf(form.Get("SnapshotId")), marker); err != nil {
				s.ebs.wrong("flip a byte: %v", err)
			}
		}
		return false
	}
	s.ebs.mu.Unlock()
	push()
	if code := r.ends(); code != 3 {
		t.Errorf("exit code %d", code)
	}
	has(t, "the report", r.out.String(), "1 failed", "drill a: the snapshot snap-", `"marked": its contents differ from byte 0 on`)
	if d := s.drilled("a"); d.Problem == "" {
		t.Errorf("the drill of a: %+v", d)
	}
	s.nothingTemporary()
	s.free()
}
