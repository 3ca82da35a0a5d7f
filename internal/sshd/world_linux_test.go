package sshd

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

func TestMain(m *testing.M) {
	if IsHelper() {
		os.Exit(Helper())
	}
	os.Exit(m.Run())
}

func signer(t testing.TB) ssh.Signer {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// A log is an Observer that remembers.
type log struct {
	mu sync.Mutex
	told
}

type told struct {
	logins  []Login
	refused []Refusal
	ended   []Session
	done    []string
	in, out int64
}

// now is what was told until now.
func (l *log) now() told {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.told
}

func (l *log) Login(x Login)     { l.mu.Lock(); defer l.mu.Unlock(); l.logins = append(l.logins, x) }
func (l *log) Refused(x Refusal) { l.mu.Lock(); defer l.mu.Unlock(); l.refused = append(l.refused, x) }
func (l *log) Began(Session)     {}
func (l *log) Ended(x Session)   { l.mu.Lock(); defer l.mu.Unlock(); l.ended = append(l.ended, x) }
func (l *log) Promised(x string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.done = append(l.done, x+" begins")
}
func (l *log) Done(x string, partial bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if partial {
		x += " in part"
	}
	l.done = append(l.done, x)
}
func (l *log) Bytes(_ string, in, out int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.in += in
	l.out += out
}

// reasons is why things were refused, one a line.
func (l *log) reasons() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var b strings.Builder
	for _, r := range l.refused {
		b.WriteString(r.Host + ": " + r.Reason + "\n")
	}
	return b.String()
}

// A world is a server with the hosts a and b, and their keys.
type world struct {
	t      testing.TB
	server *Server
	log    *log
	addr   string
	keys   map[string]ssh.Signer
	dirs   map[string]string
	host   ssh.PublicKey
}

func newWorld(t testing.TB, tune func(*Config)) *world {
	t.Helper()
	w := &world{t: t, log: &log{}, keys: map[string]ssh.Signer{}, dirs: map[string]string{}}
	hostKey := signer(t)
	w.host = hostKey.PublicKey()
	c := Config{HostKey: hostKey, Observer: w.log}
	for _, name := range []string{"a", "b"} {
		w.keys[name] = signer(t)
		w.dirs[name] = filepath.Join(t.TempDir(), name)
		if err := os.Mkdir(w.dirs[name], 0o755); err != nil {
			t.Fatal(err)
		}
		c.Hosts = append(c.Hosts, Host{Name: name, Keys: []ssh.PublicKey{w.keys[name].PublicKey()}, Dir: w.dirs[name]})
	}
	if tune != nil {
		tune(&c)
	}
	var err error
	if w.server, err = New(c); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w.addr = l.Addr().String()
	served := make(chan error, 1)
	go func() { served <- w.server.Serve(l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := w.server.Shutdown(ctx, "the test is over"); err != nil {
			t.Error(err)
		}
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return w
}

func (w *world) dial(key ssh.Signer) (*ssh.Client, error) {
	return ssh.Dial("tcp", w.addr, &ssh.ClientConfig{
		User: "anybody", Auth: []ssh.AuthMethod{ssh.PublicKeys(key)},
		HostKeyCallback: ssh.FixedHostKey(w.host), Timeout: 10 * time.Second,
	})
}

func (w *world) login(name string) *ssh.Client {
	w.t.Helper()
	c, err := w.dial(w.keys[name])
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { c.Close() })
	return c
}

// exec is what a command answers.
func (w *world) exec(c *ssh.Client, line string) (said string, status int) {
	w.t.Helper()
	s, err := c.NewSession()
	if err != nil {
		w.t.Fatal(err)
	}
	defer s.Close()
	var out buffer
	s.Stdout, s.Stderr = &out, &out
	err = s.Run(line)
	var exit *ssh.ExitError
	switch {
	case errors.As(err, &exit):
		return out.String(), exit.ExitStatus()
	case err != nil:
		w.t.Fatalf("%s: %v", line, err)
	}
	return out.String(), 0
}

// A buffer takes what two write at once.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 && os.Getenv("MAYFLY_NO_SKIP") != "" {
		t.Fatal("a jail needs root")
	}
	if os.Geteuid() != 0 {
		t.Skip("a jail needs root")
	}
}

func eventually(t testing.TB, what string, so func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !so(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("it is still not so that %s", what)
		}
	}
}
