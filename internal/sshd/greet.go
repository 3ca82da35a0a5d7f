package sshd

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"net"
	"slices"
	"strings"
	"time"
)

const version = "SSH-2.0-mayfly"

// A greeted connection has sent the server's version line already, and has
// looked at what the client said first.
type greeted struct {
	net.Conn
	in      *bufio.Reader
	swallow bool // the version line, when the ssh package writes it
}

// greet sends the version line and looks, without taking it, at the client's
// list of ciphers, which clients send unasked (RFC 4253, section 7.1). fast says
// that AES-GCM is on it.
func greet(c net.Conn) (g *greeted, fast bool, err error) {
	g = &greeted{Conn: c, in: bufio.NewReaderSize(c, 128<<10), swallow: true}
	if _, err := c.Write([]byte(version + "\r\n")); err != nil {
		return nil, false, err
	}
	line := 0
	for line == 0 {
		if _, err := g.in.Peek(g.in.Buffered() + 1); err != nil {
			return nil, false, err
		}
		b, _ := g.in.Peek(g.in.Buffered())
		line = bytes.IndexByte(b, '\n') + 1
		if line == 0 && len(b) > 255 { // RFC 4253, section 4.2
			return nil, false, errNoSSH
		}
	}
	if b, _ := g.in.Peek(line); !bytes.HasPrefix(b, []byte("SSH-2.0-")) {
		return nil, false, errNoSSH
	}
	// A client that waits for the server's list gets what all can do.
	_ = c.SetReadDeadline(time.Now().Add(time.Second))
	if b, err := g.in.Peek(line + 4); err == nil {
		if n := binary.BigEndian.Uint32(b[line:]); n < 64<<10 {
			if b, err := g.in.Peek(line + 4 + int(n)); err == nil {
				fast = knowsFast(b[line+4:])
			}
		}
	}
	return g, fast, nil
}

// knowsFast reads SSH_MSG_KEXINIT: padding length, type, cookie, and lists of
// names, of which the third is the ciphers from the client.
func knowsFast(b []byte) bool {
	const before = 1 + 1 + 16
	if len(b) < before || b[1] != 20 {
		return false
	}
	b = b[before:]
	for i := range 4 {
		if len(b) < 4 {
			return false
		}
		n := binary.BigEndian.Uint32(b)
		if uint64(n) > uint64(len(b)-4) {
			return false
		}
		names := strings.Split(string(b[4:4+n]), ",")
		b = b[4+n:]
		if i >= 2 && !slices.ContainsFunc(names, func(c string) bool { return slices.Contains(fastCiphers, c) }) {
			return false
		}
	}
	return true
}

func (g *greeted) Read(b []byte) (int, error) { return g.in.Read(b) }

func (g *greeted) Write(b []byte) (int, error) {
	if g.swallow && bytes.HasPrefix(b, []byte(version)) {
		g.swallow = false
		return len(b), nil
	}
	return g.Conn.Write(b)
}
