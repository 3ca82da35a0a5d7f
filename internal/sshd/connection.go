package sshd

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"
)

// maxChannels is how many channels one connection may have open at once.
const maxChannels = 16

var errNoSSH = errors.New("it does not speak SSH 2")

// A connection is one client's.
type connection struct {
	server *Server
	net    net.Conn
	once   sync.Once
	host   *host         // nil before the login
	gone   chan struct{} // closed when the client is gone
	open   atomic.Int32  // channels
}

func (c *connection) close() { c.once.Do(func() { _ = c.net.Close() }) }

// serve takes a connection from its first byte to its last.
func (c *connection) serve() {
	s := c.server
	from := c.net.RemoteAddr()
	in := false
	defer func() {
		if p := recover(); p != nil {
			c.refused(fmt.Sprintf("the connection broke the server's own code: %v", p))
		}
		c.close()
		s.addresses.leave(from, in)
		s.mu.Lock()
		delete(s.conns, c)
		s.mu.Unlock()
	}()
	conn, chans, reqs, err := c.login()
	if err != nil {
		c.refused(reason(err))
		return
	}
	defer conn.Close()
	in = true
	s.addresses.forgive(from)
	if why := c.host.connect(); why != "" {
		c.refused(why)
		go ssh.DiscardRequests(reqs)
		for ch := range chans {
			_ = ch.Reject(ssh.ResourceShortage, "mayfly: "+why)
			return
		}
		return
	}
	defer c.host.disconnect()
	var sessions sync.WaitGroup
	defer sessions.Wait()
	c.gone = make(chan struct{})
	go func() { _ = conn.Wait(); close(c.gone) }()
	go c.keepalive(conn)
	go c.globalRequests(reqs)
	for ch := range chans {
		if t := ch.ChannelType(); t != "session" {
			c.refused("it asked for a channel " + printable(t) + ": nothing is forwarded")
			_ = ch.Reject(ssh.Prohibited, "mayfly: nothing is forwarded here")
			continue
		}
		if c.open.Load() >= maxChannels {
			_ = ch.Reject(ssh.ResourceShortage, "mayfly: too many sessions on one connection")
			continue
		}
		channel, requests, err := ch.Accept()
		if err != nil {
			continue // the connection has ended
		}
		one := &session{connection: c, channel: channel}
		c.open.Add(1)
		sessions.Go(func() {
			defer c.open.Add(-1)
			one.serve(requests)
		})
	}
}

// login does the handshake, within the time for it.
func (c *connection) login() (*ssh.ServerConn, <-chan ssh.NewChannel, <-chan *ssh.Request, error) {
	s := c.server
	late := time.AfterFunc(s.config.Limits.Login, c.close)
	defer late.Stop()
	g, fast, err := greet(c.net)
	if err != nil {
		return nil, nil, nil, err
	}
	_ = c.net.SetReadDeadline(time.Time{})
	config := s.compat
	if fast {
		config = s.fast
	}
	conn, chans, reqs, err := ssh.NewServerConn(g, config)
	if err != nil {
		return nil, nil, nil, err
	}
	c.host = s.host(conn.Permissions.Extensions[hostOf])
	if c.host == nil {
		_ = conn.Close()
		return nil, nil, nil, errors.New("it has logged in as nobody") // cannot be
	}
	s.config.Observer.Login(Login{
		Host: c.host.Name, Address: c.net.RemoteAddr(),
		Fingerprint: conn.Permissions.Extensions["fingerprint"], Client: printable(string(conn.ClientVersion())),
	})
	return conn, chans, reqs, nil
}

// reason is why a client has not come in.
func reason(err error) string {
	var auth *ssh.ServerAuthError
	if errors.As(err, &auth) {
		keys := 0
		for _, e := range auth.Errors {
			if !errors.Is(e, ssh.ErrNoAuth) {
				keys++
			}
		}
		return fmt.Sprintf("it has no host's key (%d tried)", keys)
	}
	if errors.Is(err, net.ErrClosed) {
		return "it did not log in within the time for that"
	}
	return "it did not log in: " + printable(err.Error())
}

func (c *connection) refused(why string) { c.report(Refusal{Reason: why}) }

func (c *connection) report(r Refusal) {
	r.Address = c.net.RemoteAddr()
	if c.host != nil {
		r.Host = c.host.Name
	}
	c.server.config.Observer.Refused(r)
}

// globalRequests refuses to forward ports, and answers who asks whether this is
// still here.
func (c *connection) globalRequests(reqs <-chan *ssh.Request) {
	for r := range reqs {
		if strings.HasSuffix(r.Type, "tcpip-forward") || strings.Contains(r.Type, "streamlocal-forward") {
			c.refused("it asked for " + printable(r.Type) + ": nothing is forwarded")
		}
		if r.WantReply {
			_ = r.Reply(false, nil)
		}
	}
}

// keepalive closes the connection of a client that is not there any more, or
// takes nothing. https://github.com/openssh/openssh-portable/blob/master/PROTOCOL
func (c *connection) keepalive(conn *ssh.ServerConn) {
	every := c.server.config.Limits.Keepalive
	for {
		select {
		case <-c.gone:
			return
		case <-time.After(every):
		}
		answered := make(chan error, 1)
		go func() {
			_, _, err := conn.SendRequest("keepalive@openssh.com", true, nil)
			answered <- err
		}()
		select {
		case err := <-answered:
			if err != nil {
				return
			}
		case <-c.gone:
			return
		case <-time.After(3 * every):
			c.refused("it has not answered for " + (3 * every).String())
			c.close()
			return
		}
	}
}

// printable is a client's text for people: short, and without control
// characters.
func printable(s string) string {
	if len(s) > 200 {
		s = s[:200] + "…"
	}
	q := strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == 0xfffd || r >= 0x80 && r < 0xa0 || r >= 0x2028 && r <= 0x202e || r >= 0x2066 && r <= 0x2069 {
			return '?'
		}
		return r
	}, s)
	return q
}
