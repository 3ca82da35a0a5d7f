//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"mayfly/internal/sshd"
)

// A receiver is the SSH server at work, with mayfly itself building the jails,
// and the hosts that push to it.
type receiver struct {
	t      *testing.T
	dir    string
	port   string
	server *sshd.Server
	log    *receiverLog
	hosts  map[string]*pusher
}

// A pusher is a host: a directory on the server, a key of its own.
type pusher struct {
	*receiver
	name string
	dir  string // on the server
	key  string // the file
	from string // the address it comes from
}

// newReceiver starts one with the hosts: a and b may only push, p may pull, o
// may pull and is append_only.
func newReceiver(t *testing.T, tune func(*sshd.Config)) *receiver {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("jails need root")
	}
	r := &receiver{t: t, dir: t.TempDir(), log: &receiverLog{}, hosts: map[string]*pusher{}}
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	hostKey, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	c := sshd.Config{HostKey: hostKey, Observer: r.log, Helper: mayflyBinary(t), Limits: sshd.Limits{Grace: 3 * time.Second}}
	for i, h := range []sshd.Host{{Name: "a"}, {Name: "b"}, {Name: "p", Pull: true}, {Name: "o", Pull: true, AppendOnly: true}} {
		p := &pusher{receiver: r, name: h.Name, dir: filepath.Join(r.dir, "volumes", h.Name), key: filepath.Join(r.dir, "key-"+h.Name), from: fmt.Sprintf("127.0.0.%d", i+2)}
		if err := os.MkdirAll(p.dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", p.key).CombinedOutput(); err != nil {
			t.Fatalf("ssh-keygen: %v\n%s", err, out)
		}
		public, err := os.ReadFile(p.key + ".pub")
		if err != nil {
			t.Fatal(err)
		}
		k, _, _, _, err := ssh.ParseAuthorizedKey(public)
		if err != nil {
			t.Fatal(err)
		}
		h.Keys, h.Dir = []ssh.PublicKey{k}, p.dir
		c.Hosts = append(c.Hosts, h)
		r.hosts[h.Name] = p
	}
	if tune != nil {
		tune(&c)
	}
	if r.server, err = sshd.New(c); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, r.port, _ = net.SplitHostPort(l.Addr().String())
	known := fmt.Sprintf("[127.0.0.1]:%s %s", r.port, ssh.MarshalAuthorizedKey(hostKey.PublicKey()))
	if err := os.WriteFile(filepath.Join(r.dir, "known"), []byte(known), 0o644); err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- r.server.Serve(l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := errors.Join(r.server.Shutdown(ctx, "the test is over"), <-served); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("the server's log:\n%s", r.log)
		}
	})
	return r
}

// ssh is the command line of a stock ssh to the server, without the server's
// name.
func (p *pusher) ssh(options ...string) []string {
	argv := []string{"ssh", "-F", "none", "-p", p.port, "-i", p.key, "-b", p.from}
	for _, o := range append([]string{"IdentitiesOnly=yes", "BatchMode=yes", "StrictHostKeyChecking=yes", "UpdateHostKeys=no", "LogLevel=ERROR",
		"UserKnownHostsFile=" + filepath.Join(p.receiver.dir, "known"), "GlobalKnownHostsFile=/dev/null"}, options...) {
		argv = append(argv, "-o", o)
	}
	return argv
}

// remote runs a command over ssh.
func (p *pusher) remote(line ...string) said {
	return p.run(append(append(p.ssh(), "root@127.0.0.1"), line...)...)
}

// rsync runs one, by its program; HOST: in args is the server.
func (p *pusher) rsync(program string, args ...string) said {
	argv := []string{program, "-e", strings.Join(p.ssh(), " ")}
	for _, a := range args {
		argv = append(argv, strings.Replace(a, "HOST:", "root@127.0.0.1:", 1))
	}
	return p.run(argv...)
}

// said is what is left of a command.
type said struct {
	argv []string
	out  string
	code int
}

func (p *pusher) run(argv ...string) said {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	return p.runWithin(ctx, argv...)
}

func (p *pusher) runWithin(ctx context.Context, argv ...string) said {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), "RESTIC_PASSWORD=x", "RESTIC_CACHE_DIR="+filepath.Join(p.receiver.dir, "cache"), "HOME="+p.receiver.dir, "LC_ALL=C.UTF-8")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	s := said{argv, string(out), cmd.ProcessState.ExitCode()}
	if err != nil && cmd.ProcessState == nil {
		s.code, s.out = -1, s.out+err.Error()
	}
	return s
}

func (s said) String() string {
	return fmt.Sprintf("%s\nstatus %d\n%s", strings.Join(s.argv, " "), s.code, s.out)
}

// ok fails the test unless the command ended well.
func (s said) ok(t *testing.T) said {
	t.Helper()
	if s.code != 0 {
		t.Fatal(s)
	}
	return s
}

// refused fails the test unless the command ended badly, saying so.
func (s said) refused(t *testing.T, want string) {
	t.Helper()
	if s.code == 0 || !strings.Contains(s.out, want) {
		t.Errorf("it was not refused with %q: %s", want, s)
	}
}

// A receiverLog is an Observer that remembers.
type receiverLog struct {
	mu    sync.Mutex
	lines []string
	ended []sshd.Session
	in    map[string]int64
}

func (l *receiverLog) add(format string, a ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, fmt.Sprintf(format, a...))
}

func (l *receiverLog) Login(x sshd.Login) { l.add("%s has logged in from %s", x.Host, x.Address) }
func (l *receiverLog) Refused(x sshd.Refusal) {
	l.add("refused %s at %s: %s", x.Host, x.Address, x.Reason)
}
func (l *receiverLog) Began(x sshd.Session) { l.add("%s begins %s", x.Host, x.What) }
func (l *receiverLog) Promised(host string) { l.add("%s promises", host) }
func (l *receiverLog) Done(host string, partial bool) {
	if partial {
		l.add("%s is done in part", host)
	} else {
		l.add("%s is done", host)
	}
}
func (l *receiverLog) Ended(x sshd.Session) {
	l.add("%s ends %s: %d, %q %q %q", x.Host, x.What, x.Exit, x.Cut, x.Error, x.Output)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = append(l.ended, x)
}

func (l *receiverLog) Bytes(host string, in, _ int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.in == nil {
		l.in = map[string]int64{}
	}
	l.in[host] += in
}

func (l *receiverLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := len(l.lines); n > 200 {
		return strings.Join(l.lines[n-200:], "\n")
	}
	return strings.Join(l.lines, "\n")
}

// plantTree makes a directory with everything that a backup has to keep.
func plantTree(t *testing.T, dir string) string {
	t.Helper()
	script := `set -eu
mkdir -p -- plain "with spaces/and more" 'quotes '"'"' and " here' '$(touch pwned)' '-rf' 'star*[x]?' empty deep/er/still
for i in $(seq 1 40); do echo "file $i" >plain/$i; done
echo x >'with spaces/and more/a  b'; echo x >'$(touch pwned)/;id'; echo x >-rf/--delete; echo x >'star*[x]?/back\slash'
echo x >"$(printf 'new\nline')"; echo x >"$(printf 'esc\033[2J')"; echo x >"$(printf 'not\377utf8')"; echo x >'ünïcödé 日本'
printf '%0255d' 0 >long; mv long "$(printf '%0255d' 0)"
head -c 3000000 /dev/urandom >big; truncate -s 5M sparse; echo end >>sparse
ln -s plain/1 link; ln -s /etc/passwd absolute; ln -s ../../.. up; ln -s nowhere dangling
ln plain/2 hard1; ln plain/2 deep/er/hard2
echo x >suid; chown 1234:5678 suid; chmod 6755 suid; echo x >none; chmod 0 none; mkdir sticky; chown 99:99 sticky; chmod 3777 sticky
echo x >acl; setfacl -m u:1234:rw,g:5678:r acl; setfacl -d -m u:1234:rwx deep; echo x >attr; setfattr -n user.test -v value attr; setfattr -n user.b -v 0x00ff00 deep
mkfifo fifo
find . -depth -print0 | xargs -0 touch -h -d '2026-01-02 03:04:05.678' # rsync takes times of the same second for the same
touch -d '2001-02-03 04:05:06.789' plain/3; touch -h -d 1999-01-01 link; touch -d '1980-01-01' deep/er; chmod 700 empty; touch -d '2026-01-02 03:04:05.678' .`
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("bash", "-c", script)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return dir
}

// fingerprint is all that a backup keeps of a tree, as text.
func fingerprint(t *testing.T, dir string) string {
	t.Helper()
	cmd := exec.Command("bash", "-c", `set -eu
find . -mindepth 1 -printf '%P|%y %m %U:%G %l|' \( -type d -printf '\n' -o -printf '%T@ %s\n' \) | sort
find . -type d -printf '%P %T@\n' | sort
find . -samefile ./hard1 2>/dev/null | sort || true
find . -print0 | sort -z | xargs -0 getfacl -n -p --physical ; find . -type f -o -type d | sort | tr '\n' '\0' | xargs -0 getfattr -h -d -m '^user' -e hex 2>/dev/null || true
find . -type f -print0 | sort -z | xargs -0 sha256sum`)
	cmd.Dir = dir
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s", err, &errs)
	}
	return out.String()
}

// same fails the test where two trees differ.
func same(t *testing.T, source, copied string) {
	t.Helper()
	a, b := fingerprint(t, source), fingerprint(t, copied)
	if a == b {
		return
	}
	al, bl := strings.Split(a, "\n"), strings.Split(b, "\n")
	shown := 0
	for i := 0; i < max(len(al), len(bl)) && shown < 10; i++ {
		var x, y string
		if i < len(al) {
			x = al[i]
		}
		if i < len(bl) {
			y = bl[i]
		}
		if x != y {
			t.Errorf("source %q\n  copy %q", x, y)
			shown++
		}
	}
}
