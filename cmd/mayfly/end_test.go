package main

import (
	"context"
	"errors"
	"io"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"mayfly/internal/awstest"
	"mayfly/internal/ending"
	"mayfly/internal/imdstest"
	"mayfly/internal/s3test"
)

const (
	siteInstance = "i-0123456789abcdef0"
	leaveAction  = "autoscaling:TerminateInstanceInAutoScalingGroup"
)

// A sham is a machine that only pretends to be powered off: it tells its group
// that it is gone, and sends the process the signal that systemd would.
type sham struct {
	s        *site
	deadline time.Time
	leave    time.Duration
	refuse   error // the guard's answer
	unarmed  error

	mu    sync.Mutex
	asked int       // for the means to end it
	off   time.Time // when it was powered off
	offs  int
	term  context.CancelFunc
}

func (m *sham) machine(ctx context.Context, told bool, instance func(context.Context) string) (*ending.Machine, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.asked++
	if m.refuse != nil || !told {
		return nil, m.refuse
	}
	instance(ctx)
	return &ending.Machine{
		Leave: m.leave, Deadline: m.deadline, Unarmed: m.unarmed,
		PowerOff: []ending.Rung{
			{Doing: "arm", Limit: time.Second, Backs: true, Do: func(context.Context) error { return nil }},
			{Doing: "power off", Limit: time.Second, Wait: 5 * time.Second, Yield: true, Do: m.powerOff},
		},
	}, nil
}

func (m *sham) powerOff(context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.offs++
	m.off = time.Now()
	m.s.aws.InstanceGone(siteInstance)
	m.term()
	return nil
}

// oneByOne is a console: several may write to it.
type oneByOne struct {
	mu sync.Mutex
	w  io.Writer
}

func (o *oneByOne) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.w.Write(p)
}

// runAndEnd is what the boot script's unit starts.
func (s *site) runAndEnd(t *testing.T, m *sham, change func(*app), args ...string) int {
	t.Helper()
	m.s = s
	if m.leave == 0 {
		m.leave = 20 * time.Second
	}
	if m.deadline.IsZero() {
		m.deadline = time.Now().Add(time.Hour)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	m.term = cancel
	a := &app{
		stdin: strings.NewReader(""), stdout: &s.out, stderr: &oneByOne{w: &s.err}, hostname: "localhost",
		now: time.Now, getenv: func(name string) string { return s.env[name] }, machine: m.machine,
	}
	if change != nil {
		change(a)
	}
	if args == nil {
		args = []string{"run", "--end-instance", "--quiet", "-c", "s3://bucket/admin/config.yaml"}
	}
	return a.main(ctx, args)
}

func (s *site) group(g awstest.Group) {
	g.Name, g.Max, g.Desired, g.Instances = "onlinebackup", 1, 1, []string{siteInstance}
	g.Suspended = []string{"ReplaceUnhealthy", "AZRebalance"}
	s.aws.AddGroup(g)
}

// The run is over, the group is left, the machine is off, and nothing takes its
// place, however the group's API behaves.
func TestInstanceEndsWhateverTheGroupSays(t *testing.T) {
	t.Parallel()
	fault := func(status int, code string) *awstest.Fault {
		return &awstest.Fault{Status: status, Code: code, Text: "said so"}
	}
	for name, c := range map[string]struct {
		fault *awstest.Fault
		times int
		min   int
		none  bool // the instance is in no group
		left  bool
		says  string
	}{
		"left":             {left: true, says: "ending: leave the Auto Scaling group"},
		"throttled":        {fault: fault(400, "Throttling"), times: 2, left: true, says: "ending: leave"},
		"busy":             {fault: fault(400, "ScalingActivityInProgress"), times: 2, left: true, says: "ending: leave"},
		"contention":       {fault: fault(500, "ResourceContention"), times: 2, left: true, says: "ending: leave"},
		"desired is min":   {min: 1, says: "let no scheduled action set the minimum size of group onlinebackup above 0"},
		"not in a group":   {none: true, says: "the instance is in no Auto Scaling group"},
		"denied":           {fault: fault(403, "AccessDenied"), says: "grant " + leaveAction + " on group onlinebackup"},
		"throttled on":     {fault: fault(400, "Throttling"), says: "cannot leave the Auto Scaling group"},
		"silent":           {fault: &awstest.Fault{Hang: true}, says: "cannot leave the Auto Scaling group"},
		"server is broken": {fault: fault(500, "InternalFailure"), says: "cannot leave the Auto Scaling group"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, m := newSite(t), &sham{}
			if !c.none {
				s.group(awstest.Group{Min: c.min})
			}
			if c.fault != nil {
				c.fault.Times = c.times
				s.aws.SetFault(leaveAction, *c.fault)
				if c.times == 0 {
					m.leave = 2 * time.Second
				}
			}
			if code := s.runAndEnd(t, m, nil); code != 0 {
				t.Errorf("exit code %d\n%s%s", code, &s.out, &s.err)
			}
			if m.offs != 1 {
				t.Errorf("powered off %d times\n%s", m.offs, &s.err)
			}
			g := s.aws.Group("onlinebackup")
			if g.Relaunched != 0 || slices.Contains(g.Left, siteInstance) != c.left {
				t.Errorf("%+v", g)
			}
			if mail := s.aws.Messages(); len(mail) != 1 || !strings.Contains(mail[0].Subject, "complete") {
				t.Errorf("mail %+v", mail)
			}
			if !strings.Contains(s.err.String(), c.says) {
				t.Errorf("the console lacks %q:\n%s", c.says, &s.err)
			}
		})
	}
}

// Every way out of a run on an instance ends the machine, once, and says why on
// the console. Exit code 2 has the boot script tell; 1 means that they know.
func TestEveryWayOutEndsTheMachine(t *testing.T) {
	t.Parallel()
	brokenClock := func(at int) func(*app) {
		return func(a *app) {
			n := 0
			a.now = func() time.Time {
				if n++; n == at {
					panic("the clock broke")
				}
				return time.Now()
			}
		}
	}
	for name, c := range map[string]struct {
		site   func(*site)
		app    func(*app)
		args   []string
		code   int
		says   string
		mailed bool
	}{
		"config does not parse": {site: func(s *site) { s.s3.SetObject("bucket", "admin/config.yaml", []byte("name: [")) }, code: 2, says: "in s3://bucket/admin/config.yaml: nothing was done"},
		"no config":             {args: []string{"run", "--end-instance", "-c", "/nonexistent/mayfly.yaml"}, code: 2, says: "read config: /nonexistent/mayfly.yaml does not exist"},
		"secret missing":        {site: func(s *site) { delete(s.aws.Parameters, "/onlinebackup/github-token") }, code: 1, says: "ssm:GetParameter /onlinebackup/github-token", mailed: true},
		"secret and topic missing": {site: func(s *site) {
			delete(s.aws.Parameters, "/onlinebackup/github-token")
			s.aws.Topics = nil
		}, code: 2, says: "ssm:GetParameter /onlinebackup/github-token"},
		"store not writable": {site: func(s *site) {
			s.s3.Fault = func(r *s3test.Request) s3test.Fault {
				if r.Op == "PutObject" {
					return s3test.Fault{Status: 403, Code: "AccessDenied"}
				}
				return s3test.Fault{}
			}
		}, code: 1, says: "grant s3:PutObject", mailed: true},
		"no role":                {site: func(s *site) { s.meta.Change(func(st *imdstest.State) { st.Role = "" }) }, code: 2, says: "the instance has no role"},
		"metadata is off":        {site: func(s *site) { s.meta.SetFault("", imdstest.Fault{Status: 403}) }, code: 2, says: "HttpEndpoint: enabled"},
		"a failed run":           {site: func(s *site) { s.aws.Topics = nil }, code: 1, says: "publish the report"},
		"a panic before the run": {app: brokenClock(2), code: 2, says: "it panicked: the clock broke"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, m := newSite(t), &sham{}
			s.group(awstest.Group{})
			if c.site != nil {
				c.site(s)
			}
			m.leave = 5 * time.Second
			if code := s.runAndEnd(t, m, c.app, c.args...); code != c.code {
				t.Errorf("exit code %d, want %d", code, c.code)
			}
			if m.offs != 1 {
				t.Errorf("powered off %d times", m.offs)
			}
			console := s.out.String() + s.err.String()
			if !strings.Contains(console, c.says) {
				t.Errorf("the console lacks %q:\n%s", c.says, console)
			}
			if off := strings.Index(s.err.String(), "ending: power off"); !strings.Contains(s.out.String(), c.says) && strings.Index(s.err.String(), c.says) > off {
				t.Errorf("it was said only when the machine was off:\n%s", console)
			}
			if mail := s.aws.Messages(); (len(mail) == 1) != c.mailed {
				t.Errorf("mail %+v", mail)
			}
			if g := s.aws.Group("onlinebackup"); g.Relaunched != 0 {
				t.Errorf("%+v", g)
			}
			if t.Failed() {
				t.Log(console)
			}
		})
	}
}

// Without the flag, or where the guard refuses, nothing that ends a machine is
// touched, and with the flag nothing is run.
func TestNothingEndsElsewhere(t *testing.T) {
	t.Parallel()
	t.Run("without the flag", func(t *testing.T) {
		t.Parallel()
		s, m := newSite(t), &sham{}
		s.group(awstest.Group{})
		s.runAndEnd(t, m, nil, "run", "--quiet", "-c", "s3://bucket/admin/config.yaml")
		if m.asked != 0 || m.offs != 0 || s.aws.Calls()[leaveAction] != 0 {
			t.Errorf("asked for the means %d times, off %d times, %v", m.asked, m.offs, s.aws.Calls())
		}
		if len(s.aws.Messages()) != 1 {
			t.Errorf("it did not run\n%s%s", &s.out, &s.err)
		}
	})
	for name, change := range map[string]func(*app){
		"the guard refuses":        nil,
		"this test's own machine":  func(a *app) { a.machine = ending.ThisMachine },
		"a program without ending": func(a *app) { a.machine = nil },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, m := newSite(t), &sham{refuse: errors.New("this machine is not ended: it is a laptop")}
			s.group(awstest.Group{})
			if code := s.runAndEnd(t, m, change); code != 2 {
				t.Errorf("exit code %d", code)
			}
			if m.offs != 0 || len(s.aws.Calls()) != 0 || len(s.s3.Dump()) != 1 {
				t.Errorf("off %d times, %v, %d objects", m.offs, s.aws.Calls(), len(s.s3.Dump()))
			}
			if text := s.err.String(); !strings.Contains(text, "not ended") && !strings.Contains(text, "cannot end") || s.out.Len() != 0 {
				t.Errorf("%s%s", &s.out, &s.err)
			}
		})
	}
}

// A run that hangs where nothing else bounds it is ended at the deadline.
func TestHangingRunEndsAtTheDeadline(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.group(awstest.Group{})
	r, w := io.Pipe()
	defer w.Close()
	m := &sham{leave: time.Second, deadline: time.Now().Add(5 * time.Second)}
	go func() { // the run goes on for ever; the machine does not
		for {
			m.mu.Lock()
			off := m.offs > 0
			m.mu.Unlock()
			if off {
				w.CloseWithError(errors.New("the machine is off"))
				return
			}
			time.Sleep(50 * time.Millisecond)
		}
	}()
	code := s.runAndEnd(t, m, func(a *app) { a.stdin = r }, "run", "--end-instance", "-c", "-")
	if code != 2 || m.offs != 1 || m.off.After(m.deadline) {
		t.Errorf("exit code %d, off %d times, %s after the deadline", code, m.offs, m.off.Sub(m.deadline))
	}
	if !strings.Contains(s.err.String(), "the deadline is here and the run has not ended") {
		t.Errorf("the console does not say why:\n%s", &s.err)
	}
	if g := s.aws.Group("onlinebackup"); g.Desired != 0 || g.Relaunched != 0 {
		t.Errorf("%+v", g)
	}
}

// SIGTERM in mid-run: what there is is reported, then the machine ends.
func TestSignalEndsTheMachine(t *testing.T) {
	t.Parallel()
	s, m := newSite(t), &sham{}
	s.group(awstest.Group{})
	once := sync.OnceFunc(func() { m.term() })
	s.s3.Fault = func(r *s3test.Request) s3test.Fault {
		if (r.Op == "PutObject" || r.Op == "CreateMultipartUpload") && strings.HasSuffix(r.Key, ".zip") {
			once()
			return s3test.Fault{Delay: time.Second} // not done before the signal is heard
		}
		return s3test.Fault{}
	}
	if code := s.runAndEnd(t, m, nil); code != 4 || m.offs != 1 {
		t.Errorf("exit code %d, off %d times\n%s%s", code, m.offs, &s.out, &s.err)
	}
	if mail := s.aws.Messages(); len(mail) != 1 || !strings.Contains(mail[0].Subject, "interrupted") {
		t.Errorf("mail %+v", mail)
	}
	if g := s.aws.Group("onlinebackup"); g.Desired != 0 {
		t.Errorf("%+v", g)
	}
}

// A machine that is kept is kept until its deadline at the most.
func TestKeptInstanceEndsByTheDeadline(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.group(awstest.Group{})
	delete(s.aws.Parameters, "/onlinebackup/github-token")
	config, _ := s.s3.Object("bucket", "admin/config.yaml")
	s.s3.SetObject("bucket", "admin/config.yaml", append(config, "keep_on_failure: 30m\n"...))
	begin := time.Now()
	m := &sham{leave: time.Second, deadline: begin.Add(8 * time.Second)}
	s.runAndEnd(t, m, nil)
	if m.offs != 1 || m.off.Sub(begin) < 3*time.Second || m.off.After(m.deadline) {
		t.Errorf("off %d times, after %s", m.offs, m.off.Sub(begin))
	}
	if mail := s.aws.Messages(); len(mail) != 1 || !strings.Contains(mail[0].Body, "the machine is kept until") {
		t.Errorf("mail %+v", mail)
	}
}

// The report names a boot script that has not done its part.
func TestUnarmedIsReported(t *testing.T) {
	t.Parallel()
	s, m := newSite(t), &sham{unarmed: errors.New("mayfly-deadline.timer is not active")}
	if code := s.runAndEnd(t, m, nil); code != 0 || m.offs != 1 {
		t.Errorf("exit code %d, off %d times", code, m.offs)
	}
	if mail := s.aws.Messages(); len(mail) != 1 || !strings.Contains(mail[0].Body, "is not armed: mayfly-deadline.timer is not active") {
		t.Errorf("mail %+v", mail)
	}
}

// Systemd hears of the start and then gets signs of life, over its own kind of
// socket.
func TestSignsOfLife(t *testing.T) {
	t.Parallel()
	s, m := newSite(t), &sham{}
	name := filepath.Join(t.TempDir(), "notify")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s.env["NOTIFY_SOCKET"], s.env["WATCHDOG_USEC"] = name, "150000"
	if code := s.runAndEnd(t, m, nil); code != 0 {
		t.Errorf("exit code %d\n%s", code, &s.err)
	}
	var states []string
	if err := l.SetReadDeadline(time.Now().Add(200 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	for b := make([]byte, 100); ; {
		n, err := l.Read(b)
		if err != nil {
			break
		}
		states = append(states, string(b[:n]))
	}
	if len(states) < 2 || states[0] != "READY=1" || states[1] != "WATCHDOG=1" {
		t.Errorf("systemd received %q", states)
	}
}
