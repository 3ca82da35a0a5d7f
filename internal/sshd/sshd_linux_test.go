package sshd

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/unix"
)

func TestLogsInByKeyAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.login("a")
	w.login("b")
	if _, err := w.dial(signer(t)); err == nil {
		t.Error("a stranger has logged in")
	}
	eventually(t, "all is told", func() bool {
		return len(w.log.now().logins) == 2 && strings.Contains(w.log.reasons(), "it has no host's key (1 tried)")
	})
	if l := w.log.now().logins[0]; l.Host != "a" || l.Fingerprint != ssh.FingerprintSHA256(w.keys["a"].PublicKey()) || l.Client != "SSH-2.0-Go" {
		t.Errorf("%+v", l)
	}
	if _, err := ssh.Dial("tcp", w.addr, &ssh.ClientConfig{User: "root", Auth: []ssh.AuthMethod{ssh.Password("x"), ssh.KeyboardInteractive(nil)}, HostKeyCallback: ssh.FixedHostKey(w.host)}); err == nil {
		t.Error("a password was taken")
	}
}

// A client that offers another host's key, which it does not have, and then
// its own, is itself (CVE-2024-45337).
func TestIdentityIsOfTheKeyThatSigned(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	offered := &offersOnly{Signer: w.keys["b"]}
	c, err := ssh.Dial("tcp", w.addr, &ssh.ClientConfig{User: "b", Auth: []ssh.AuthMethod{ssh.PublicKeys(w.keys["a"], offered)}, HostKeyCallback: ssh.FixedHostKey(w.host)})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	w.exec(c, "done")
	if len(w.log.now().done) != 1 || w.log.now().done[0] != "a" {
		t.Errorf("%v", w.log.now().done)
	}
	if c, err := ssh.Dial("tcp", w.addr, &ssh.ClientConfig{User: "b", Auth: []ssh.AuthMethod{ssh.PublicKeys(offered)}, HostKeyCallback: ssh.FixedHostKey(w.host)}); err == nil {
		c.Close()
		t.Error("a key was enough without its private half")
	}
}

// offersOnly has a public key and signs with another.
type offersOnly struct{ ssh.Signer }

func (o *offersOnly) Sign(r io.Reader, data []byte) (*ssh.Signature, error) {
	s, err := o.Signer.Sign(r, append([]byte("not "), data...))
	return s, err
}

func TestRefusesAllElse(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	c := w.login("a")
	pushes := []string{"scp -t /x", "sudo rsync --server . x", "/usr/bin/rsync --server . x", "rsync --daemon", "rsync --server -e.iLsf . ../b", "rsync --server -vlogDtpre.iLsf . a; id"}
	for line, want := range map[string]string{
		"ls -l":                                  "ls is not run here",
		"sh -c id":                               "sh is not run here",
		"scp -t /x":                              "choose the protocol SFTP",
		"/usr/bin/scp -f x":                      "choose the protocol SFTP",
		"sudo rsync --server . x":                "leave --rsync-path away",
		"/usr/bin/rsync --server . x":            "leave --rsync-path away",
		"rsync --daemon":                         "leave --rsync-path away",
		"rsync --server --sender -e.iLsf . x":    "pull: true",
		"rsync --server -e.iLsf . ../b":          "'..'",
		"rsyncd":                                 "rsyncd is not run here",
		"":                                       " is not run here",
		"x\x1b[2J\u202egnp\n":                    "x?[2J?gnp is not run here",
		strings.Repeat("x", 40000):               "is not run here",
		"internal-sftp":                          "is not run here",
		"/usr/lib/openssh/sftp-server":           "is not run here",
		"rsync --server -vlogDtpre.iLsf . a; id": "only a shell",
	} {
		said, status := w.exec(c, line)
		if status != 1 || !strings.Contains(said, want) || !strings.HasPrefix(said, "mayfly: ") {
			t.Errorf("%.50q: status %d, %q; want %q", line, status, said, want)
		}
		if !strings.Contains(w.log.reasons(), want) {
			t.Errorf("%.50q: %q was not told", line, want)
		}
		refused := w.log.now().refused
		if last := refused[len(refused)-1]; last.Push != slices.Contains(pushes, line) {
			t.Errorf("%.50q: it was to bring something: %v", line, last.Push)
		}
	}
	s, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	out, _ := s.StderrPipe()
	if err := s.RequestPty("xterm", 24, 80, nil); err == nil {
		t.Error("there is a pty")
	}
	if err := s.Setenv("LD_PRELOAD", "x"); err == nil {
		t.Error("the environment was set")
	}
	if err := s.RequestSubsystem("netconf"); err == nil {
		t.Error("another subsystem was started")
	}
	if ok, _ := s.SendRequest("auth-agent-req@openssh.com", true, nil); ok {
		t.Error("an agent was taken")
	}
	if err := s.Shell(); err != nil {
		t.Error(err)
	}
	if b, _ := io.ReadAll(out); !strings.Contains(string(b), "there is no shell here") {
		t.Errorf("%q", b)
	}
	if c, err := c.Dial("tcp", "169.254.169.254:80"); err == nil {
		c.Close()
		t.Error("a connection was forwarded")
	}
	if c, err := c.Dial("unix", "/run/x"); err == nil {
		c.Close()
		t.Error("a connection was forwarded")
	}
	if l, err := c.Listen("tcp", "127.0.0.1:0"); err == nil {
		l.Close()
		t.Error("a port was opened")
	}
	for _, want := range []string{"pty-req", "netconf", "auth-agent-req", "channel direct-tcpip", "tcpip-forward"} {
		if !strings.Contains(w.log.reasons(), want) {
			t.Errorf("%s was not told:\n%s", want, w.log.reasons())
		}
	}
}

// breaking is an observer that panics when a host says that it begins.
type breaking struct{ *log }

func (breaking) Promised(string) { panic("a bug") }

// A session that breaks the server's own code ends, and no other does.
func TestBrokenSession(t *testing.T) {
	t.Parallel()
	var all *log
	w := newWorld(t, func(c *Config) { all = c.Observer.(*log); c.Observer = breaking{all} })
	s, err := w.login("a").NewSession()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Run("begin"); err == nil {
		t.Error("nothing broke")
	}
	if said, status := w.exec(w.login("b"), "done"); status != 0 {
		t.Errorf("%d, %q", status, said)
	}
	if !strings.Contains(all.reasons(), "a: the session broke the server's own code: a bug") {
		t.Errorf("it was not told:\n%s", all.reasons())
	}
}

func TestDone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	if said, status := w.exec(w.login("b"), "done"); status != 0 || said != "mayfly: b is done\n" {
		t.Errorf("%d, %q", status, said)
	}
	if len(w.log.now().done) != 1 || w.log.now().done[0] != "b" {
		t.Error(w.log.now().done)
	}
}

func TestSFTPSession(t *testing.T) {
	t.Parallel()
	needRoot(t)
	w := newWorld(t, func(c *Config) { c.Hosts[0].Pull = true; c.Limits.SFTP = 2 })
	c := w.login("a")
	fs, err := sftp.NewClient(c)
	if err != nil {
		t.Fatal(err)
	}
	f, err := fs.Create("/dir ü")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(make([]byte, 3<<20)); err != nil {
		t.Fatal(err)
	}
	f.Close()
	if fi, err := os.Stat(filepath.Join(w.dirs["a"], "dir ü")); err != nil || fi.Size() != 3<<20 {
		t.Error(fi, err)
	}
	if _, err := fs.ReadDir("/usr"); err == nil {
		t.Error("the jail itself can be seen")
	}
	// rsync waits for SFTP; another SFTP session does not, up to the limit.
	if said, status := w.exec(c, "rsync --server -e.iLsf . x"); status != 1 || !strings.Contains(said, "SFTP sessions of a are running") {
		t.Errorf("%d, %q", status, said)
	}
	if said, status := w.exec(c, "done"); status != 1 || !strings.Contains(said, "SFTP of a is still running") {
		t.Errorf("%d, %q", status, said)
	}
	second, err := sftp.NewClient(w.login("a"))
	if err != nil {
		t.Fatal(err)
	}
	if third, err := sftp.NewClient(w.login("a")); err == nil {
		third.Close()
		t.Error("there is a third session")
	}
	second.Close()
	fs.Close()
	eventually(t, "two sessions have ended", func() bool { return len(w.log.now().ended) == 2 })
	in := w.log.now().ended[0].In + w.log.now().ended[1].In
	if e := w.log.now().ended[0]; e.Host != "a" || e.What != "sftp" || e.Exit != 0 || e.Error != "" || in < 3<<20 || in != w.log.now().in {
		t.Errorf("%+v", w.log.now().ended)
	}
}

// A client may go on after a file that did not fit, and leave in good order: the
// session has failed all the same.
func TestSFTPFull(t *testing.T) {
	t.Parallel()
	needRoot(t)
	w := newWorld(t, nil)
	if err := unix.Mount("mayfly", w.dirs["a"], "tmpfs", 0, "size=64k"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(w.dirs["a"], unix.MNT_DETACH) })
	fs, err := sftp.NewClient(w.login("a"))
	if err != nil {
		t.Fatal(err)
	}
	for name, size := range map[string]int{"large": 1 << 20, "small": 1} {
		f, err := fs.OpenFile(name, os.O_WRONLY|os.O_CREATE)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write(make([]byte, size)); (err != nil) != (name == "large") {
			t.Errorf("%s: %v", name, err)
		}
		f.Close()
		if name == "large" {
			if err := fs.Remove(name); err != nil {
				t.Error(err)
			}
		}
	}
	fs.Close()
	eventually(t, "the session has ended", func() bool { return len(w.log.now().ended) == 1 })
	if e := w.log.now().ended[0]; e.Exit != 11 || !e.Wrote || !strings.Contains(e.Output, "no space left on device") {
		t.Errorf("%+v", e)
	}
}

func TestOneRsyncAtATime(t *testing.T) {
	t.Parallel()
	needRoot(t)
	w := newWorld(t, func(c *Config) { c.Limits.Grace = time.Second })
	c := w.login("a")
	s, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	const push = "rsync --server -logDtpre.iLsfxCIvu . x"
	if err := s.Start(push); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it runs", func() bool { return w.server.hosts["a"].busy() == "rsync" })
	for _, c := range []*ssh.Client{c, w.login("a")} {
		if said, status := w.exec(c, push); status != 1 || !strings.Contains(said, "another session of a is running") {
			t.Errorf("%d, %q", status, said)
		}
	}
	// b is not a.
	sb, err := w.login("b").NewSession()
	if err != nil {
		t.Fatal(err)
	}
	_, _ = sb.StdinPipe()
	if err := sb.Start(push); err != nil {
		t.Fatal(err)
	}
	eventually(t, "b runs", func() bool { return w.server.hosts["b"].busy() == "rsync" })
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := w.server.Stop(ctx, "a", "the volume is full"); err != nil {
		t.Error(err)
	}
	if err := s.Wait(); err == nil {
		t.Error("it ended well")
	}
	if said, _ := w.exec(c, push); said != "mayfly: the volume is full\n" {
		t.Errorf("%q", said)
	}
	if w.server.hosts["b"].busy() != "rsync" {
		t.Error("b was ended, too")
	}
	if len(w.log.now().ended) != 1 || w.log.now().ended[0].Cut != "the volume is full" || w.log.now().ended[0].Exit == 0 {
		t.Errorf("%+v", w.log.now().ended)
	}
}

func TestSaysThatThereIsNoJail(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *Config) { c.Hosts[0].Dir = "/nothing/here" })
	if said, status := w.exec(w.login("a"), "rsync --server -e.iLsf . x"); status != 1 || !strings.Contains(said, "its own log says why") {
		t.Errorf("%d, %q", status, said)
	}
	eventually(t, "it is told", func() bool { return len(w.log.now().ended) == 1 })
	if e := w.log.now().ended[0].Error; !strings.Contains(e, "build the jail") {
		t.Error(e)
	}
}

func TestIdleAndLost(t *testing.T) {
	t.Parallel()
	needRoot(t)
	w := newWorld(t, func(c *Config) { c.Limits.Idle, c.Limits.Grace = 100*time.Millisecond, 300*time.Millisecond })
	s, err := w.login("a").NewSession()
	if err != nil {
		t.Fatal(err)
	}
	_, _ = s.StdinPipe()
	var said buffer
	s.Stderr = &said
	if err := s.Run("rsync --server -e.iLsfxCIvu . x"); err == nil || !strings.Contains(said.String(), "nothing was sent for") {
		t.Errorf("%v, %q", err, said.String())
	}
}

// A client that connects and says nothing, or too slowly, is let go of; one
// that does not answer, too.
func TestSlowClients(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *Config) { c.Limits.Login, c.Limits.Keepalive = 300*time.Millisecond, 50*time.Millisecond })
	for _, says := range []string{"", "SSH-2.0-slow", "SSH-2.0-slow\r\n", "SSH-1.5-old\r\n", strings.Repeat("x", 1000), "GET / HTTP/1.1\r\n\r\n", "SSH-2.0-x\r\n\x00\x00\xff\xff\x04\x14"} {
		c, err := net.Dial("tcp", w.addr)
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(c, says)
		c.SetReadDeadline(time.Now().Add(5 * time.Second))
		if _, err := io.Copy(io.Discard, c); err != nil && strings.Contains(err.Error(), "timeout") {
			t.Errorf("%q: %v", says, err)
		}
		c.Close()
	}
	raw, err := net.Dial("tcp", w.addr)
	if err != nil {
		t.Fatal(err)
	}
	conn, chans, reqs, err := ssh.NewClientConn(raw, w.addr, &ssh.ClientConfig{Auth: []ssh.AuthMethod{ssh.PublicKeys(w.keys["a"])}, HostKeyCallback: ssh.FixedHostKey(w.host)})
	if err != nil {
		t.Fatal(err)
	}
	_, _ = chans, reqs // nobody answers them
	ended := make(chan error)
	go func() { ended <- conn.Wait() }()
	select {
	case <-ended:
	case <-time.After(5 * time.Second):
		t.Error("the connection is still there")
	}
	if !strings.Contains(w.log.reasons(), "it has not answered for") {
		t.Error(w.log.reasons())
	}
}

func TestLimitsConnections(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *Config) {
		c.Limits.PerAddress, c.Limits.PerHost, c.Limits.Failures, c.Limits.Penalty = 4, 2, 3, 200*time.Millisecond
	})
	w.exec(w.login("a"), "done")
	w.exec(w.login("a"), "done") // both are counted
	if c, err := w.dial(w.keys["a"]); err == nil {
		if _, err := c.NewSession(); err == nil || !strings.Contains(err.Error(), "a has 2 connections already") {
			t.Error(err)
		}
		c.Close()
	}
	w.login("b")
	idle, err := net.Dial("tcp", w.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer idle.Close()
	eventually(t, "an address has too many", func() bool {
		_, err := w.dial(w.keys["b"])
		return err != nil && strings.Contains(w.log.reasons(), "connections from there already")
	})
	idle.Close()
	// Addresses that fail are turned away, and let in again after a while.
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 7)}}
	refused := func() bool {
		c, err := dialer.Dial("tcp", w.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		b := make([]byte, 3)
		io.ReadFull(c, b)
		return string(b) == "Not"
	}
	for range 3 {
		if refused() {
			t.Fatal("refused too early")
		}
	}
	eventually(t, "it is refused", refused)
	eventually(t, "it is let in again", func() bool { return !refused() })
}

func TestRefusesKeys(t *testing.T) {
	t.Parallel()
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	weak, err := ssh.NewPublicKey(&small.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	ours := signer(t)
	cert := &ssh.Certificate{Key: ours.PublicKey(), CertType: ssh.UserCert}
	for what, c := range map[string]Config{
		"2048 bits":          {Hosts: []Host{{Name: "a", Keys: []ssh.PublicKey{weak}}}},
		"keys of the type":   {Hosts: []Host{{Name: "a", Keys: []ssh.PublicKey{cert}}}},
		"there is no key":    {Hosts: []Host{{Name: "a", Keys: []ssh.PublicKey{nil}}}},
		"have the same key":  {Hosts: []Host{{Name: "a", Keys: []ssh.PublicKey{ours.PublicKey()}}, {Name: "b", Keys: []ssh.PublicKey{ours.PublicKey()}}}},
		"must be there, onc": {Hosts: []Host{{Name: "a"}, {Name: "a"}}},
	} {
		c.HostKey = ours
		if _, err := New(c); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%v; want %q", err, what)
		}
	}
	if _, err := New(Config{}); err == nil {
		t.Error("no host key is needed")
	}
}

// OpenSSH's own order puts chacha20 first: who knows AES-GCM gets that.
func TestCiphers(t *testing.T) {
	t.Parallel()
	for list, fast := range map[string]bool{
		"chacha20-poly1305@openssh.com,aes128-ctr,aes256-gcm@openssh.com": true,
		"chacha20-poly1305@openssh.com,aes256-ctr":                        false, "": false,
	} {
		b := append(make([]byte, 0, 100), 4, 20)
		b = append(b, make([]byte, 16)...)
		for _, names := range []string{"kex", "hostkey", list, list} {
			b = append(b, 0, 0, 0, byte(len(names)))
			b = append(b, names...)
		}
		if knowsFast(b) != fast {
			t.Errorf("%s: %t", list, !fast)
		}
		for n := range b {
			knowsFast(b[:n]) // does not panic
		}
	}
	w := newWorld(t, nil)
	for _, cipher := range ciphers {
		c, err := ssh.Dial("tcp", w.addr, &ssh.ClientConfig{
			Config: ssh.Config{Ciphers: []string{cipher}}, Auth: []ssh.AuthMethod{ssh.PublicKeys(w.keys["a"])}, HostKeyCallback: ssh.FixedHostKey(w.host),
		})
		if err != nil {
			t.Errorf("%s: %v", cipher, err)
			continue
		}
		c.Close()
	}
	for _, weak := range []ssh.Config{{Ciphers: []string{ssh.InsecureCipherAES128CBC}}, {KeyExchanges: []string{ssh.InsecureKeyExchangeDH1SHA1}}, {MACs: []string{ssh.InsecureHMACSHA196}, Ciphers: []string{ssh.CipherAES256CTR}}} {
		c, err := ssh.Dial("tcp", w.addr, &ssh.ClientConfig{Config: weak, Auth: []ssh.AuthMethod{ssh.PublicKeys(w.keys["a"])}, HostKeyCallback: ssh.FixedHostKey(w.host)})
		if err == nil {
			c.Close()
			t.Errorf("%+v was taken", weak)
		}
	}
}

func TestNetworks(t *testing.T) {
	t.Parallel()
	for a, want := range map[string]string{"192.0.2.7": "192.0.2.7/32", "::ffff:192.0.2.7": "192.0.2.7/32", "2001:db8:1:2:3:4:5:6": "2001:db8:1:2::/64"} {
		if got := network(&net.TCPAddr{IP: net.ParseIP(a)}); got.String() != want {
			t.Errorf("%s: %s", a, got)
		}
	}
	a := newAddresses(Limits{}.filled())
	for i := range maxRecords + 100 {
		from := &net.TCPAddr{IP: net.ParseIP(fmt.Sprintf("10.%d.%d.1", i>>8&255, i&255)).To4()}
		if i >= 1<<16 {
			break
		}
		a.enter(from)
		a.leave(from, false)
	}
	if len(a.bad) > maxRecords || len(a.open) != 0 || a.total != 0 {
		t.Errorf("%d records, %d open, %d in all", len(a.bad), len(a.open), a.total)
	}
}
