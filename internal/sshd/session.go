package sshd

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"

	"mayfly/internal/jail"
	"mayfly/internal/rsyncargs"
	"mayfly/internal/sftpd"
)

// A session is one channel, with one command.
type session struct {
	*connection
	channel ssh.Channel

	in, out atomic.Int64
	last    atomic.Int64 // when the last byte went, in Unix seconds

	mu      sync.Mutex
	process *jail.Process // nil before it is there
	cutWhy  string
	over    bool

	messages sync.WaitGroup
}

// serve answers the client's requests until it has asked for something to run,
// and runs that.
func (s *session) serve(requests <-chan *ssh.Request) {
	defer s.channel.Close()
	defer func() {
		if p := recover(); p != nil { // which would end the other hosts' sessions, too
			s.refused(fmt.Sprintf("the session broke the server's own code: %v", p))
		}
	}()
	for {
		var r *ssh.Request
		select {
		case r = <-requests:
		case <-time.After(s.server.config.Limits.Login):
			s.refuse("it asked for nothing")
			return
		}
		if r == nil {
			return
		}
		run := s.asked(r)
		if run == nil {
			continue
		}
		go ignore(requests)
		status := run()
		_, _ = s.channel.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{uint32(status)}))
		return
	}
}

// ignore refuses what comes after the command: window changes, signals.
func ignore(requests <-chan *ssh.Request) {
	for r := range requests {
		if r.WantReply {
			_ = r.Reply(false, nil)
		}
	}
}

// asked answers one request; run is what to do for it, nil for nothing.
func (s *session) asked(r *ssh.Request) (run func() int) {
	var text struct{ Value string }
	ok := false
	switch r.Type {
	case "exec":
		if ssh.Unmarshal(r.Payload, &text) == nil {
			ok, run = true, func() int { return s.command(text.Value) }
		}
	case "subsystem":
		if ssh.Unmarshal(r.Payload, &text) == nil && text.Value == "sftp" {
			ok, run = true, s.sftp
		} else {
			s.refused("it asked for the subsystem " + printable(text.Value))
		}
	case "shell":
		ok, run = true, func() int { return s.refuse("there is no shell here, only rsync, SFTP and the command 'done'") }
	case "env": // clients send LANG unasked: nothing to report
	default: // pty-req, x11-req, auth-agent-req@openssh.com …
		s.refused("it asked for " + printable(r.Type))
	}
	if r.WantReply {
		_ = r.Reply(ok, nil)
	}
	return run
}

// refuse tells the user why, and the observer.
func (s *session) refuse(why string) int {
	s.refused(why)
	s.say(why)
	return 1
}

// refuseCopy is refuse, of a command line of rsync or scp, which was to bring
// something unless it says --sender or -f.
func (s *session) refuseCopy(line, why string) int {
	words := strings.Fields(line)
	s.report(Refusal{Reason: why, Push: !slices.Contains(words, "--sender") && !slices.Contains(words, "-f")})
	s.say(why)
	return 1
}

func (s *session) say(text string) { fmt.Fprintf(s.channel.Stderr(), "mayfly: %s\n", text) }

// command runs a command line.
func (s *session) command(line string) int {
	name, _, _ := strings.Cut(strings.TrimSpace(line), " ")
	switch {
	case strings.TrimSpace(line) == "done":
		return s.done(false)
	case strings.TrimSpace(line) == "done partial":
		return s.done(true)
	case strings.TrimSpace(line) == "begin":
		s.server.config.Observer.Promised(s.host.Name)
		return 0
	case rsyncargs.Is(line):
		return s.rsync(line)
	case name == "scp" || strings.HasSuffix(name, "/scp"):
		return s.refuseCopy(line, "SCP is not spoken here: use SFTP (scp -s, or sftp; in WinSCP choose the protocol SFTP)")
	case strings.HasPrefix(line, "sudo rsync") || strings.Contains(name, "/rsync"):
		return s.refuseCopy(line, "rsync is found by itself here: leave --rsync-path away")
	}
	return s.refuse(printable(name) + " is not run here, only rsync, SFTP and the command 'done'")
}

// done takes the host's word that it has finished.
func (s *session) done(partial bool) int {
	if what := s.host.busy(); what != "" {
		return s.refuse(what + " of " + s.host.Name + " is still running: say done when it has ended")
	}
	s.server.config.Observer.Done(s.host.Name, partial)
	_, _ = fmt.Fprintf(s.channel, "mayfly: %s is done\n", s.host.Name)
	return 0
}

// rsync runs rsync's server side.
func (s *session) rsync(line string) int {
	h := s.host
	c, err := rsyncargs.Parse(line, rsyncargs.Policy{
		Root: h.Root, Dir: jail.Dir, Pull: h.Pull || h.ReadOnly, ReadOnly: h.ReadOnly, AppendOnly: h.AppendOnly, Scratch: jail.Scratch,
	}, s.secluded)
	if err != nil {
		return s.refuseCopy(line, err.Error())
	}
	spec := jail.Spec{
		Argv:     append(append([]string{s.server.config.Rsync}, c.Options...), "--", "."),
		ReadOnly: !c.Push || c.DryRun || h.ReadOnly, AppendOnly: h.AppendOnly && c.Push && !c.DryRun,
	}
	var paths []string
	for _, p := range c.Paths {
		spec.Args = append(spec.Args, jail.Arg(p))
		paths = append(paths, printable(p.Name))
	}
	what := "rsync push"
	switch {
	case !c.Push:
		what = "rsync pull"
	case c.DryRun:
		what = "rsync dry run"
	}
	return s.run(Session{What: what, Path: strings.Join(paths, " "), Old: c.Old && what == "rsync push"}, spec)
}

// secluded reads the arguments that -s announces, for as long as a login may
// take.
func (s *session) secluded() ([]string, error) {
	late := time.AfterFunc(s.server.config.Limits.Login, func() { _ = s.channel.Close() })
	defer late.Stop()
	return rsyncargs.ReadSecluded(s.channel)
}

// sftp serves SFTP.
func (s *session) sftp() int {
	return s.run(Session{What: "sftp"}, jail.Spec{ReadOnly: s.host.ReadOnly})
}

// task is what the jail of an SFTP session is told.
func (s *session) task() ([]byte, error) {
	return json.Marshal(sftpd.Options{Pull: s.host.Pull || s.host.ReadOnly, AppendOnly: s.host.AppendOnly, Began: s.host.since()})
}
