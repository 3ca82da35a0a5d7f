package push

import (
	"slices"
	"strings"
	"testing"

	"mayfly/internal/remote"
)

// What rsync 3.5, OpenSSH 9.2 and the receiver say, and what follows from it.
func TestJudge(t *testing.T) {
	t.Parallel()
	c, err := Parse("push.yaml", []byte(good+"sources: [/etc]\n"))
	if err != nil {
		t.Fatal(err)
	}
	const closed = "rsync: connection unexpectedly closed (0 bytes received so far) [sender]\nrsync error: error in rsync protocol data stream (code 12) at io.c(285) [sender=3.5.0]\n"
	for _, x := range []struct {
		code   int
		stderr string
		want   outcome
		says   string
	}{
		{0, "", whole, ""},
		{24, "file has vanished: \"/etc/x\"\n", whole, ""},
		{23, "rsync: [sender] send_files failed to open \"/etc/x\": Permission denied (13)\n", partial, "some files"},
		{25, "", partial, "more than 1000 files"},
		{11, "rsync: [receiver] write failed on \"x\": No space left on device (28)\n", failed, "volume is full"},
		{12, "rsync: [receiver] write failed on \"x\": No space left on device (28)\n" + closed, failed, "volume is full"},
		{255, "No ED25519 host key is known for hosts and you have requested strict checking.\nHost key verification failed.\n", failed, "the machine at this address has the key, which is not that of hosts"},
		{255, "@@@@\nThe fingerprint for the ED25519 key sent by the remote host is\nSHA256:abc+/.\nHost key verification failed.\n", failed, "has the key SHA256:abc+/, which is not"},
		{255, "web@127.0.0.1: Permission denied (publickey).\n", failed, "does not know the key"},
		{255, "Load key \"/k\": error in libcrypto\r\nweb@127.0.0.1: Permission denied (publickey).\n", failed, "ssh cannot use the key in /etc/mayfly/push_ed25519: Load key \"/k\": error in libcrypto"},
		{1, "mayfly: begin is not run here, only rsync, SFTP and the command 'done'\n", failed, "begin is not run here"},
		{1, "mayfly: rsync of web is still running: say done when it has ended\n", later, "still running"},
		{255, "ssh: connect to host 127.0.0.1 port 1: Connection refused\r\n" + closed, later, "Connection refused"},
		{255, "ssh: Could not resolve hostname nowhere.invalid: Name or service not known\r\n" + closed, later, "Could not resolve"},
		{12, "mayfly: the window is over\n" + closed, later, "connection unexpectedly closed"},
		{12, "mayfly: another session of web is running: wait for its end (one at a time)\n" + closed, later, "another session"},
		{12, "mayfly: 2 SFTP sessions of web are running: wait for their end\n" + closed, later, "SFTP sessions"},
		{12, "mayfly: the volume of web cannot be used in this run; the report says why\n" + closed, failed, "cannot be used"},
		{12, "mayfly: the option --delete can delete or overwrite, and this host is append_only\n" + closed, failed, "append_only"},
		{12, closed, later, "connection unexpectedly closed"},
		{20, "rsync error: received SIGINT, SIGTERM, or SIGHUP (code 20) at rsync.c(716)\n", later, "SIGTERM"},
		{30, "[sender] io timeout after 60 seconds -- exiting\n", later, "timeout"},
		{1, "rsync: -Q: unknown option\nrsync error: syntax or usage error (code 1)\n", failed, "code 1: rsync: -Q"},
	} {
		got, why := c.judge(x.code, x.stderr)
		if got != x.want || !strings.Contains(why, x.says) || (got != whole) != (why != "") {
			t.Errorf("%d %q: %d %q", x.code, x.stderr, got, why)
		}
	}
}

// One as macOS had it for long: what it does not know is left out.
func TestEarlyRsync(t *testing.T) {
	t.Parallel()
	c, err := Parse("push.yaml", []byte(good+"sources: [/etc]\nbwlimit: 10M\n"))
	if err != nil {
		t.Fatal(err)
	}
	for r, want := range map[*remote.Rsync]string{
		{Early: true}:              "rsync -a -H -R --numeric-ids --no-devices --stats --progress --partial-dir=.rsync-partial --delete --force --max-delete=1000 --bwlimit=10240",
		{ACLs: true, Xattrs: true}: "rsync -a -H -A -X --filter=-x security.* -R --numeric-ids --no-devices --stats --info=progress2 --partial-dir=.rsync-partial --delete --force --max-delete=1000 --bwlimit=10M",
	} {
		if got := strings.Join(c.rsyncArgs(r, plain(c.Sources[0]), Place{Host: "x", Port: 1}, "k", false), " "); !strings.HasPrefix(got, want+" -e ") {
			t.Errorf("%s\nwant %s", got, want)
		}
	}
	for rate, want := range map[Rate]int64{"500": 500, "500K": 500, "10m": 10240, "10MiB": 10240, "10MB": 9765, "1g": 1 << 20, "1kb": 1} {
		if got := rate.kib(); got != want {
			t.Errorf("%s is %d KiB", rate, got)
		}
	}
}

func TestStats(t *testing.T) {
	t.Parallel()
	got := parseStats("Number of files: 2,345 (reg: 1,234, dir: 1,111)\nNumber of deleted files: 1,002 (reg: 2)\nNumber of regular files transferred: 1,234\nTotal file size: 9,876,543 bytes\nTotal transferred file size: 1,000 bytes\nTotal bytes sent: 2,000\n")
	if got != (Sent{Files: 1234, Deleted: 1002, Bytes: 1000, Wire: 2000, Total: 9876543}) {
		t.Errorf("%+v", got)
	}
	p, ok := parseProgress("    1,238,099  42%  146.38kB/s    0:00:08 (xfr#5, ir-chk=12/48)")
	if !ok || p != (Progress{Bytes: 1238099, Share: 42, Rate: "146.38kB/s"}) {
		t.Errorf("%+v, %v", p, ok)
	}
	if _, ok := parseProgress("etc/100%"); ok {
		t.Error("a name is progress")
	}
}

// A pattern must not match what is above the source: all of it would be left
// out, without a word.
func TestPatterns(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		source, pattern string
		rsync           []string
		git             string
	}{
		{"/srv/cache", "cache", []string{"/srv/cache/cache", "/srv/cache/**/cache"}, "/srv/cache/**/cache"},
		{"/srv/x", "/y/*", []string{"/srv/x/y/*"}, "/srv/x/y/*"},
		{"/srv/a*b[c]", "/y", []string{"/srv/a[*]b[[]c]/y"}, `/srv/a\*b\[c]/y`},
		{"/", "*.iso", []string{"/*.iso", "/**/*.iso"}, "/**/*.iso"},
	} {
		if got := below(c.source, c.pattern); !slices.Equal(got, c.rsync) {
			t.Errorf("%s in %s: %q", c.pattern, c.source, got)
		}
		if got := ignore(Source{Path: Path(c.source), Exclude: []string{c.pattern}}); !slices.Equal(got, []string{c.git}) {
			t.Errorf("%s in %s: %q", c.pattern, c.source, got)
		}
	}
}

// This host's own key is never sent, wherever a source goes, and nothing else is
// left out by that.
func TestOwnKeyStays(t *testing.T) {
	t.Parallel()
	c, err := Parse("push.yaml", []byte(strings.Replace(good, "/etc/mayfly/push_ed25519", "/srv2/k", 1)+"sources: [/etc, /srv2, {path: /srv, to: x}]\n"))
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range [][]string{nil, {"/srv2/k"}, nil} {
		if got := c.plains()[i].exclude; !slices.Equal(got, want) {
			t.Errorf("%s: %q", c.Sources[i].Path, got)
		}
	}
	c.Sources = []Source{{Path: "/srv2", To: "x"}}
	if got := c.plains()[0].exclude; !slices.Equal(got, []string{"/k"}) {
		t.Errorf("to: %q", got)
	}
	var b strings.Builder
	c.Sources = []Source{{Path: "/srv2"}}
	if err := c.Print(&b, remote.Modern(), ""); err != nil || !strings.Contains(b.String(), "--exclude=/srv2/k ") {
		t.Errorf("%v: %s", err, &b)
	}
}
