//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// sftp runs stock sftp with a batch of commands.
func (p *pusher) sftp(batch string) said {
	file := filepath.Join(p.t.TempDir(), "batch")
	if err := os.WriteFile(file, []byte(batch), 0o644); err != nil {
		p.t.Fatal(err)
	}
	argv := []string{"sftp", "-b", file, "-P", p.port}
	for _, a := range p.ssh()[3:] { // without ssh -F none
		if a == "-p" {
			a = "-P"
		}
		argv = append(argv, a)
	}
	for i, a := range argv { // sftp has no -b for addresses
		if a == "-b" && i > 2 {
			argv = append(argv[:i], append([]string{"-o", "BindAddress=" + p.from}, argv[i+2:]...)...)
			break
		}
	}
	return p.run(append(argv, "-F", "none", "root@127.0.0.1")...)
}

func TestReceiveSFTP(t *testing.T) {
	t.Parallel()
	r := newReceiver(t, nil)
	src := t.TempDir()
	for _, f := range []string{"one", "dir/two words", "dir/ümläut"} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(src, f)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(src, f), []byte(strings.Repeat(f, 10_000)), 0o640); err != nil {
			t.Fatal(err)
		}
	}
	back := t.TempDir()
	p := r.hosts["p"]
	p.sftp(fmt.Sprintf("pwd\nput -pR %s/* .\nls -l\ndf\nrename one uno\nln uno eins\nln -s uno link\nchmod 600 uno\nget -pR dir %s\nget uno %[2]s/one\nrm eins\nmkdir x\nrmdir x\n", src, back)).ok(t)
	for _, f := range []string{"one", "dir/two words", "dir/ümläut"} {
		want, err := os.ReadFile(filepath.Join(src, f))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(filepath.Join(back, f)); err != nil || string(got) != string(want) {
			t.Errorf("%s: %d bytes, %v", f, len(got), err)
		}
	}
	// Push only: what WinSCP does, and no reading.
	a := r.hosts["a"]
	a.sftp(fmt.Sprintf("put %s/one one.filepart\nrename one.filepart one\nls -l one\n", src)).ok(t)
	a.sftp("get one "+filepath.Join(back, "stolen")).refused(t, "ermission denied")
	if _, err := os.Stat(filepath.Join(a.dir, "one")); err != nil {
		t.Error(err)
	}
	// append_only: again and again under new names, never over what is there.
	o := r.hosts["o"]
	o.sftp(fmt.Sprintf("put %s/one one.filepart\nrename one.filepart one\n", src)).ok(t)
	for _, batch := range []string{"put %s/one one", "rm one", "rename one other", "chmod 0 one", "put %[1]s/one x\nrename x one"} {
		if strings.Contains(batch, "%") {
			batch = fmt.Sprintf(batch, src)
		}
		if s := o.sftp(batch); s.code == 0 {
			t.Errorf("%s", s)
		}
	}
	o.sftp("get one " + filepath.Join(back, "again")).ok(t)
}

func TestReceiveSCP(t *testing.T) {
	t.Parallel()
	a := newReceiver(t, nil).hosts["a"]
	file := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(file, []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	scp := func(flag string) said {
		argv := append([]string{"scp", flag, "-P", a.port}, a.ssh()[5:]...)
		for i, v := range argv {
			if v == "-b" {
				argv[i], argv[i+1] = "-o", "BindAddress="+a.from
			}
		}
		return a.run(append(argv, "-F", "none", file, "root@127.0.0.1:g")...)
	}
	scp("-O").refused(t, "SCP is not spoken here: use SFTP")
	scp("-s").ok(t)
}

func TestReceiveRclone(t *testing.T) {
	t.Parallel()
	r := newReceiver(t, nil)
	src := plantTree(t, filepath.Join(t.TempDir(), "src"))
	remote := func(h *pusher, shell string) string {
		return fmt.Sprintf(":sftp,host=127.0.0.1,port=%s,user=x,key_file='%s',known_hosts_file='%s'%s:", h.port, h.key, filepath.Join(r.dir, "known"), shell)
	}
	rclone := func(h *pusher, args ...string) said {
		return h.run(append([]string{"rclone", "--config", "/dev/null", "--retries", "1", "--low-level-retries", "1", "--skip-links"}, args...)...)
	}
	for _, shell := range []string{",shell_type=none", ""} { // without it rclone asks for commands, and is refused
		for _, name := range []string{"a", "p"} {
			if name == "a" && shell == "" {
				continue
			}
			h := r.hosts[name]
			rclone(h, "copy", src, remote(h, shell)+"copy"+shell).ok(t)
			again := rclone(h, "copy", "-v", "--stats-one-line", src, remote(h, shell)+"copy"+shell).ok(t)
			if strings.Contains(again.out, ": Copied") {
				t.Errorf("files were sent again: %s", again)
			}
		}
		p, back := r.hosts["p"], t.TempDir()
		rclone(p, "copy", remote(p, shell)+"copy"+shell, back).ok(t)
		rclone(p, "check", "--download", src, back).ok(t)
		rclone(p, "sync", filepath.Join(src, "plain"), remote(p, shell)+"copy"+shell+"/plain").ok(t)
	}
	a := r.hosts["a"]
	rclone(a, "copy", remote(a, ",shell_type=none")+"copy,shell_type=none", t.TempDir()).refused(t, "ermission denied")
	// append_only
	o := r.hosts["o"]
	to := remote(o, ",shell_type=none") + "copy"
	rclone(o, "copy", src, to).ok(t)
	was := fingerprint(t, filepath.Join(o.dir, "copy"))
	if err := os.WriteFile(filepath.Join(src, "plain/1"), []byte("ransom ransom"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"copy", src, to}, {"sync", filepath.Join(src, "plain"), to}, {"purge", to}, {"deletefile", to + "/plain/2"}, {"moveto", to + "/plain/2", to + "/x"}} {
		if s := rclone(o, args...); s.code == 0 {
			t.Error(s)
		}
	}
	// The second of these has added files, as it may.
	now := strings.Split(fingerprint(t, filepath.Join(o.dir, "copy")), "\n")
	for line := range strings.Lines(was) {
		line = strings.TrimSuffix(line, "\n")
		if (strings.Contains(line, "|f ") || strings.Contains(line, "  ./")) && !slices.Contains(now, line) {
			t.Errorf("it is no more as it was: %s", line)
		}
	}
}

func TestReceiveRestic(t *testing.T) {
	t.Parallel()
	r := newReceiver(t, nil)
	src := plantTree(t, filepath.Join(t.TempDir(), "src"))
	command := func(h *pusher, args ...string) []string {
		ssh := strings.Join(append(h.ssh(), "root@127.0.0.1", "-s", "sftp"), " ")
		return append([]string{"restic", "-q", "-r", "sftp:root@127.0.0.1:/repo", "-o", "sftp.command=" + ssh}, args...)
	}
	restic := func(h *pusher, args ...string) said { return h.run(command(h, args...)...) }
	for _, name := range []string{"p", "o"} {
		h := r.hosts[name]
		restic(h, "init").ok(t)
		restic(h, "backup", src).ok(t)
		if err := os.WriteFile(filepath.Join(src, "more-"+name), []byte("more"), 0o644); err != nil {
			t.Fatal(err)
		}
		restic(h, "backup", src).ok(t)
		restic(h, "check").ok(t)
		back := t.TempDir()
		restic(h, "restore", "latest", "--target", back).ok(t)
		same(t, src, filepath.Join(back, src))
	}
	restic(r.hosts["p"], "forget", "--keep-last", "1", "--prune").ok(t)
	o := r.hosts["o"]
	// It tries again and again.
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if s := o.runWithin(ctx, command(o, "forget", "--keep-last", "1", "--prune")...); s.code == 0 {
		t.Error(s)
	}
	if s := restic(o, "snapshots", "--json", "--no-lock").ok(t); strings.Count(s.out, `"short_id"`) != 2 {
		t.Error(s)
	}
	restic(o, "check", "--no-lock").ok(t)
	// A host that may only push cannot have a restic repository: it is read, too.
	restic(r.hosts["a"], "init")
	ctx, cancel = context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if s := o.runWithin(ctx, command(r.hosts["a"], "backup", src)...); s.code == 0 {
		t.Error(s)
	}
}
