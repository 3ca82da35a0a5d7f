package sshd

import (
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"mayfly/internal/jail"
)

// chunk is how much is moved at once: many of the SSH packets of 32 KiB.
const chunk = 256 << 10

// run runs one command in a jail, and returns its status. report has what it is.
func (s *session) run(report Session, spec jail.Spec) int {
	config := &s.server.config
	if why := s.host.enter(s, report.What != "sftp"); why != "" {
		return s.refuse(why)
	}
	defer s.host.leave(s)
	report.Host, report.Address, report.Began = s.host.Name, s.net.RemoteAddr(), time.Now()
	s.last.Store(report.Began.Unix())
	config.Observer.Began(report)
	defer func() { config.Observer.Ended(report) }()

	spec.Dir, spec.Helper = s.host.Dir, config.Helper
	var err error
	if spec.Argv == nil {
		spec.Task, err = s.task()
	}
	var p *jail.Process
	var pipes [3]*os.File
	if err == nil {
		p, pipes, err = start(spec)
	}
	if err != nil {
		report.Error, report.Exit, report.Ended = err.Error(), 1, time.Now()
		s.say("the server cannot take this now, and its own log says why")
		return 1
	}
	s.mu.Lock()
	s.process = p
	if s.cutWhy != "" { // meanwhile
		p.Terminate()
	}
	s.mu.Unlock()

	var output tail
	var answers sync.WaitGroup
	go func() {
		s.move(pipes[0], s.channel, true)
		_ = pipes[0].Close()
	}()
	answers.Go(func() { s.move(s.channel, pipes[1], false) })
	answers.Go(func() { _, _ = io.Copy(io.MultiWriter(&output, s.channel.Stderr()), pipes[2]) })
	over := make(chan struct{})
	go s.watch(over)
	status, err := p.Wait()
	if err != nil {
		report.Error = err.Error()
	}
	answers.Wait()
	s.messages.Wait()
	s.mu.Lock()
	s.over, report.Cut = true, s.cutWhy
	s.mu.Unlock()
	close(over)
	_ = s.channel.CloseWrite() // which must not meet a write
	for _, f := range pipes {
		_ = f.Close()
	}
	report.Wrote = !spec.ReadOnly
	if report.What == "sftp" && (status == 0 || status == statusChanged) {
		report.Wrote, status = status == statusChanged, 0
	}
	report.Ended, report.Exit = time.Now(), status
	report.In, report.Out = s.in.Load(), s.out.Load()
	report.Output = output.String()
	return status
}

// start starts a jail with pipes on its standard input, output and error.
func start(spec jail.Spec) (p *jail.Process, ours [3]*os.File, err error) {
	var theirs [3]*os.File
	closeAll := func(files []*os.File) {
		for _, f := range files {
			if f != nil {
				_ = f.Close()
			}
		}
	}
	defer func() { closeAll(theirs[:]) }()
	for i := range 3 {
		r, w, err := os.Pipe()
		if err != nil {
			closeAll(ours[:])
			return nil, ours, err
		}
		enlarge(w)
		if i == 0 {
			theirs[i], ours[i] = r, w
		} else {
			theirs[i], ours[i] = w, r
		}
	}
	spec.Stdin, spec.Stdout, spec.Stderr = theirs[0], theirs[1], theirs[2]
	if p, err = jail.Start(spec); err != nil {
		closeAll(ours[:])
	}
	return p, ours, err
}

// move copies until either end is closed, and counts.
func (s *session) move(to io.Writer, from io.Reader, in bool) {
	buf := make([]byte, chunk)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			if _, werr := to.Write(buf[:n]); werr != nil {
				return
			}
			s.last.Store(time.Now().Unix())
			if in {
				s.in.Add(int64(n))
				s.server.config.Observer.Bytes(s.host.Name, int64(n), 0)
			} else {
				s.out.Add(int64(n))
				s.server.config.Observer.Bytes(s.host.Name, 0, int64(n))
			}
		}
		if err != nil {
			return
		}
	}
}

// watch ends a session whose client is gone, or which stands still.
func (s *session) watch(over <-chan struct{}) {
	limits := &s.server.config.Limits
	gone := s.gone
	look := time.NewTicker(max(min(limits.Idle/4, 10*time.Second), time.Millisecond))
	defer look.Stop()
	for {
		select {
		case <-over:
			return
		case <-gone:
			gone = nil
			// rsync sees that its input has ended, and keeps what it has.
			late := time.AfterFunc(limits.Grace, func() { s.cut("the connection was lost") })
			defer late.Stop()
		case <-look.C:
			if time.Since(time.Unix(s.last.Load(), 0)) > limits.Idle+time.Second {
				s.cut("nothing was sent for " + limits.Idle.String())
			}
		}
	}
}

// cut ends the session: SIGTERM first.
func (s *session) cut(why string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cutWhy != "" || s.over {
		return
	}
	s.cutWhy = why
	if s.process != nil { // otherwise nobody waits for it
		s.messages.Go(func() { s.say(why) }) // the client may take nothing
	}
	if s.process != nil {
		s.process.Terminate()
	}
	time.AfterFunc(s.server.config.Limits.Grace, s.kill)
}

// kill ends the session at once. A client that takes nothing loses its
// connection: nothing can be said to it, not even that.
func (s *session) kill() {
	s.mu.Lock()
	p, over := s.process, s.over
	s.mu.Unlock()
	if over {
		return
	}
	if p != nil {
		p.Kill()
	}
	time.AfterFunc(time.Second, func() {
		s.mu.Lock()
		over := s.over
		s.mu.Unlock()
		if !over {
			s.close()
		}
	})
}

// tail keeps the end of a text.
type tail struct {
	mu sync.Mutex
	b  []byte
}

func (t *tail) Write(p []byte) (int, error) {
	const keep = 2000
	t.mu.Lock()
	defer t.mu.Unlock()
	t.b = append(t.b, p...)
	if len(t.b) > keep {
		t.b = append(t.b[:0], t.b[len(t.b)-keep:]...)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var lines []string
	for l := range strings.Lines(string(t.b)) {
		lines = append(lines, printable(strings.TrimSpace(l)))
	}
	return strings.Join(lines, "\n")
}
