// Package sshd is the SSH server to which hosts push their backups: with a
// public key per host, and nothing to be had but rsync, SFTP and the command
// done, each in a jail on the host's own directory (internal/jail).
package sshd

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"runtime/debug"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

// A Config is what a server is made of.
type Config struct {
	// HostKey is the deployment's own, ed25519.
	HostKey ssh.Signer
	Hosts   []Host
	// Observer is told what happens; nil: nobody is.
	Observer Observer
	// Rsync is the program, below /usr; "" is /usr/bin/rsync. See CheckRsync.
	Rsync string
	// Helper is the program that builds jails; "" is this one, whose main must
	// call IsHelper and Helper first.
	Helper string
	Limits Limits
}

// A Host is one machine that pushes, known by its keys alone: what user name it
// gives does not matter.
type Host struct {
	Name string
	// Keys are the host's public keys, none of which another host may have.
	Keys []ssh.PublicKey
	// Dir is its directory here: where its volume is mounted.
	Dir string
	// Root is the same directory's name for users: absolute paths below it are
	// taken from rsync. "" is "/mnt/NAME".
	Root string
	// Pull lets it read its files back; AppendOnly keeps what is there.
	Pull, AppendOnly bool
	// ReadOnly lets it read, and nothing else: the jail has the directory
	// read-only.
	ReadOnly bool
	// Closed, if not "", is why it cannot be served: it may log in, and is told.
	Closed string
}

// Limits bound what others can take. Zero values stand for the ones named.
type Limits struct {
	Login       time.Duration // from connection to login: 30 s
	Attempts    int           // keys tried in one connection: 6
	Connections int           // at once, all together: 256
	PerAddress  int           // at once, of one address (IPv6: one /64): 32
	PerHost     int           // at once, of one host: 16
	Failures    int           // connections without a login from one address in Penalty: 30
	Penalty     time.Duration // how long an address with more is turned away: 10 min
	SFTP        int           // SFTP sessions at once of one host: 12. rsync has a host for itself.
	Idle        time.Duration // a session without a byte in any direction: 30 min
	Keepalive   time.Duration // between two questions whether the client is there, of which three may fail: 30 s
	Grace       time.Duration // between SIGTERM and SIGKILL: 10 s
}

func (l Limits) filled() Limits {
	for _, d := range []struct {
		to *time.Duration
		or time.Duration
	}{{&l.Login, 30 * time.Second}, {&l.Penalty, 10 * time.Minute}, {&l.Idle, 30 * time.Minute}, {&l.Keepalive, 30 * time.Second}, {&l.Grace, 10 * time.Second}} {
		if *d.to == 0 {
			*d.to = d.or
		}
	}
	for _, n := range []struct {
		to *int
		or int
	}{{&l.Attempts, 6}, {&l.Connections, 256}, {&l.PerAddress, 32}, {&l.PerHost, 16}, {&l.Failures, 30}, {&l.SFTP, 12}} {
		if *n.to == 0 {
			*n.to = n.or
		}
	}
	return l
}

// A Server serves until Shutdown.
type Server struct {
	config       Config
	hosts        map[string]*host
	byKey        map[string]*host // by the key in wire format
	fast, compat *ssh.ServerConfig
	addresses    *addresses

	mu       sync.Mutex // guards hosts and byKey, too
	down     bool
	listener net.Listener
	conns    map[*connection]struct{}
	serving  sync.WaitGroup
}

// New checks the configuration. It does no I/O.
func New(c Config) (*Server, error) {
	if c.HostKey == nil || c.HostKey.PublicKey().Type() != ssh.KeyAlgoED25519 {
		return nil, errors.New("the host key must be ed25519")
	}
	if c.Observer == nil {
		c.Observer = nobody{}
	}
	if c.Rsync == "" {
		c.Rsync = "/usr/bin/rsync"
	}
	c.Limits = c.Limits.filled()
	s := &Server{config: c, hosts: map[string]*host{}, byKey: map[string]*host{}, addresses: newAddresses(c.Limits), conns: map[*connection]struct{}{}}
	for _, spec := range c.Hosts {
		if err := s.Add(spec); err != nil {
			return nil, err
		}
	}
	s.fast, s.compat = s.serverConfig(fastCiphers), s.serverConfig(ciphers)
	return s, nil
}

// Serve takes connections from l until Shutdown, and then returns nil. It may
// be called once. It closes l.
func (s *Server) Serve(l net.Listener) error {
	s.mu.Lock()
	if s.down || s.listener != nil {
		s.mu.Unlock()
		return errors.Join(errors.New("serve once, and before the shutdown"), l.Close())
	}
	s.listener = l
	s.mu.Unlock()
	defer l.Close()
	// Every packet is garbage once it has passed on, and little else is there:
	// collecting it as often as usual takes a tenth of the CPU. What bounds the
	// memory is the limit that main has set.
	defer debug.SetGCPercent(debug.SetGCPercent(400))
	for pause := 5 * time.Millisecond; ; {
		c, err := l.Accept()
		if err == nil {
			pause = 5 * time.Millisecond
			s.accept(c)
			continue
		}
		if s.isDown() {
			return nil
		}
		if errors.Is(err, net.ErrClosed) {
			return err
		}
		// Out of descriptors, say: others end.
		time.Sleep(pause)
		pause = min(2*pause, time.Second)
	}
}

func (s *Server) isDown() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.down
}

// accept takes a connection, or turns it away.
func (s *Server) accept(c net.Conn) {
	from := c.RemoteAddr()
	if why := s.addresses.enter(from); why != "" {
		s.config.Observer.Refused(Refusal{Address: from, Reason: why})
		_ = c.SetWriteDeadline(time.Now().Add(100 * time.Millisecond)) // a new connection's buffer has room
		_, _ = c.Write([]byte("Not allowed at this time\r\n"))
		_ = c.Close()
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down {
		s.addresses.leave(from, false)
		_ = c.Close()
		return
	}
	conn := &connection{server: s, net: c}
	s.conns[conn] = struct{}{}
	s.serving.Go(conn.serve)
}

// Stop refuses the host's further sessions, saying why, and ends those there
// are: SIGTERM, so that rsync keeps partial files, and SIGKILL after the grace
// time or at ctx's end. When it returns, nothing has the directory open. It
// suits a host that is done, before its volume is unmounted.
func (s *Server) Stop(ctx context.Context, name, why string) error {
	h := s.host(name)
	if h == nil {
		return fmt.Errorf("there is no host %q", name)
	}
	return h.stop(ctx, why)
}

// Shutdown takes no more connections, stops every host as Stop does, closes the
// connections, and returns when all of it is over; or with an error about what
// hangs, and lives on.
func (s *Server) Shutdown(ctx context.Context, why string) error {
	s.mu.Lock()
	s.down = true
	if s.listener != nil {
		_ = s.listener.Close()
	}
	hosts := maps.Clone(s.hosts)
	s.mu.Unlock()
	var all sync.WaitGroup
	errs := make(chan error, len(hosts))
	for _, h := range hosts {
		all.Go(func() { errs <- h.stop(ctx, why) })
	}
	all.Wait()
	close(errs)
	s.farewell(ctx)
	s.mu.Lock()
	for c := range s.conns {
		c.close()
	}
	s.mu.Unlock()
	var err error
	for e := range errs {
		err = errors.Join(err, e)
	}
	served := make(chan struct{})
	go func() { s.serving.Wait(); close(served) }()
	select {
	case <-served:
	case <-time.After(lingerTime):
		if err == nil { // else it is about the same sessions
			err = errors.New("connections do not end")
		}
	}
	return err
}

// lingerTime is for what is left of closed connections to end; longer takes
// only what hangs in the kernel, for which nobody can wait.
const lingerTime = 5 * time.Second

// farewell gives clients a moment to hear how their command has ended, and to
// leave by themselves: one whose 'done' closes the window would else see a
// broken connection.
func (s *Server) farewell(ctx context.Context) {
	const moment, look = 3 * time.Second, 20 * time.Millisecond
	for end := time.Now().Add(moment); time.Now().Before(end) && ctx.Err() == nil; time.Sleep(look) {
		s.mu.Lock()
		left := len(s.conns)
		s.mu.Unlock()
		if left == 0 {
			return
		}
	}
}
