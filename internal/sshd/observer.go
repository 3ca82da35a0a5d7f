package sshd

import (
	"net"
	"time"
)

// An Observer is told what happens, by many goroutines at once. It must not
// block.
type Observer interface {
	// Login: a host has proved that it has a key.
	Login(Login)
	// Refused: an address was turned away, or a host asked for what it may not.
	Refused(Refusal)
	// Began and Ended: a session, which runs in a jail.
	Began(Session)
	Ended(Session)
	// Bytes: so many came from the host (in), and went to it (out), within
	// sessions and without what SSH adds.
	Bytes(host string, in, out int64)
	// Promised: the host says that it begins, and will say when that is all.
	// What came without a Done is a part.
	Promised(host string)
	// Done: the host says that it has finished for this time; partial: and that
	// not all it wanted to send has come.
	Done(host string, partial bool)
}

// A Login is one.
type Login struct {
	Host        string
	Address     net.Addr
	Fingerprint string // of the key, "SHA256:…"
	Client      string // what its software calls itself: not to be trusted
}

// A Refusal is one.
type Refusal struct {
	Host    string // "" before a login
	Address net.Addr
	Reason  string // for people; what it quotes of the client's is printable
	Push    bool   // it was to bring something, and nothing came
}

// A Session is one command of a host's.
type Session struct {
	Host string
	// What it is: "rsync push", "rsync pull", "rsync dry run", "sftp".
	What string
	// Path is what rsync was asked to write to or read, as the host says it,
	// several with spaces in between; "" of SFTP.
	Path    string
	Address net.Addr
	Began   time.Time
	// Old says that it is a push of an rsync from before 3.0, or of openrsync:
	// it ends well here also when the client could not read some of its files.
	Old bool

	// In Ended only. Wrote says that it may have changed something.
	Ended   time.Time
	In, Out int64
	Wrote   bool
	// Exit is the program's status, 128 plus the signal if one ended it; rsync's
	// are in its manual.
	Exit int
	// Cut is why the server ended it ("the window is over"); "": it did not.
	Cut string
	// Error is set when there was no jail, and nothing was run.
	Error string
	// Output is the end of what the program wrote to its standard error.
	Output string
}

type nobody struct{}

func (nobody) Login(Login)                {}
func (nobody) Refused(Refusal)            {}
func (nobody) Began(Session)              {}
func (nobody) Ended(Session)              {}
func (nobody) Bytes(string, int64, int64) {}
func (nobody) Promised(string)            {}
func (nobody) Done(string, bool)          {}
