package receive

import (
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"mayfly/internal/sshd"
	"mayfly/runner"
)

// visit is what a host does, in order.
type visit struct {
	t    *testing.T
	host *host
	at   time.Time
}

func newVisit(t *testing.T) *visit {
	rec := runner.NewRecorder(slog.New(slog.NewTextHandler(io.Discard, nil)), time.Now)
	return &visit{t, newHost("a", Host{}, rec.Start("a"), func() {}), time.Now().Add(-time.Hour)}
}

func (v *visit) login() {
	v.host.login(sshd.Login{Host: "a", Address: &net.TCPAddr{IP: net.ParseIP("203.0.113.5"), Port: 4711}})
}

// turned is a push that is refused.
func (v *visit) turned() { v.host.wasRefused(sshd.Refusal{Reason: "-K is not allowed", Push: true}) }

// session is one from its beginning to its end.
func (v *visit) session(what, path string, exit int, cut string) {
	what, old := strings.CutSuffix(what, ", old")
	s := sshd.Session{Host: "a", What: what, Path: path, Began: v.at, Old: old}
	v.host.began(s)
	v.at = v.at.Add(time.Minute)
	s.Ended, s.Exit, s.Cut, s.Wrote = v.at, exit, cut, what != "rsync pull"
	v.at = v.at.Add(time.Second)
	v.host.ended(s)
}

func TestOutcomes(t *testing.T) {
	t.Parallel()
	const push, oldPush = "rsync push", "rsync push, old"
	for name, x := range map[string]struct {
		do       func(*visit)
		came     came
		says     string
		finished bool // once idle
	}{
		"nobody":             {func(*visit) {}, nothing, "", false},
		"a push":             {func(v *visit) { v.login(); v.session(push, "etc/", 0, "") }, allThere, "", true},
		"files vanished":     {func(v *visit) { v.login(); v.session(push, "etc/", 24, "") }, allThere, "", true},
		"a push that failed": {func(v *visit) { v.login(); v.session(push, "etc/", 12, "") }, inParts, "rsync push to etc/ ended with rsync's exit code 12 (the connection", false},
		"made up for":        {func(v *visit) { v.login(); v.session(push, "etc/", 12, ""); v.session(push, "etc/", 0, "") }, allThere, "", true},
		"another place":      {func(v *visit) { v.login(); v.session(push, "etc/", 12, ""); v.session(push, "home/", 0, "") }, inParts, "to etc/", false},
		"failed after":       {func(v *visit) { v.login(); v.session(push, "etc/", 0, ""); v.session(push, "etc/", 23, "") }, inParts, "23 (some files were not transferred)", false},
		"cut off":            {func(v *visit) { v.login(); v.session(push, "etc/", 20, "the window is over") }, inParts, "was cut off: the window is over", false},
		"full":               {func(v *visit) { v.login(); v.session(push, "etc/", 11, "") }, inParts, "enlarge it", false},
		"failed, and done":   {func(v *visit) { v.login(); v.session(push, "etc/", 12, ""); v.host.saidDone(false) }, inParts, "", true},
		"done":               {func(v *visit) { v.login(); v.host.saidDone(false) }, saidSo, "", true},
		"done in part": {func(v *visit) {
			v.login()
			v.host.promisedAll()
			v.session(push, ".", 25, "")
			v.session(push, ".", 0, "")
			v.host.saidDone(true)
		}, inParts, "not all it wanted to send has come", true},
		"no word":   {func(v *visit) { v.login(); v.host.promisedAll(); v.session(push, ".", 0, "") }, inParts, "did not say that it has sent all", false},
		"word kept": {func(v *visit) { v.login(); v.host.promisedAll(); v.session(push, ".", 0, ""); v.host.saidDone(false) }, allThere, "", true},
		"word kept later": {func(v *visit) {
			v.login()
			v.host.promisedAll()
			v.session(push, ".", 23, "")
			v.host.saidDone(true)
			v.host.promisedAll()
			v.session(push, ".", 0, "")
			v.host.saidDone(false)
		}, allThere, "", true},
		"done, and a pull": {func(v *visit) { v.login(); v.host.saidDone(false); v.session("rsync pull", "x", 0, "") }, saidSo, "", true},
		"done, and a dry run": {func(v *visit) {
			v.login()
			v.host.promisedAll()
			v.session(push, ".", 0, "")
			v.host.saidDone(false)
			v.session("rsync dry run", ".", 0, "")
		}, allThere, "", true},
		"done, and again": {func(v *visit) {
			v.login()
			v.host.promisedAll()
			v.session(push, ".", 0, "")
			v.host.saidDone(false)
			v.session(push, ".", 0, "")
		}, inParts, "did not say that it has sent all", false},
		"an old rsync":             {func(v *visit) { v.login(); v.session(oldPush, ".", 0, "") }, inParts, "does not tell the receiver which files it could not read", false},
		"an old rsync that says":   {func(v *visit) { v.login(); v.session(oldPush, ".", 0, ""); v.host.saidDone(false) }, allThere, "", true},
		"an old rsync looks":       {func(v *visit) { v.login(); v.session(push, ".", 0, ""); v.session("rsync dry run", ".", 0, "") }, allThere, "", true},
		"a pull alone":             {func(v *visit) { v.login(); v.session("rsync pull", "x", 0, "") }, nothing, "it logged in and sent nothing", false},
		"a pull that failed":       {func(v *visit) { v.login(); v.session(push, "x", 0, ""); v.session("rsync pull", "x", 12, "") }, allThere, "", true},
		"a failed dry run":         {func(v *visit) { v.login(); v.session(push, ".", 0, ""); v.session("rsync dry run", ".", 23, "") }, allThere, "", true},
		"part of nothing":          {func(v *visit) { v.login(); v.host.promisedAll(); v.host.saidDone(true) }, nothing, "it could not send what it wanted to", true},
		"sftp":                     {func(v *visit) { v.login(); v.session("sftp", "", 0, "") }, allThere, "", true},
		"sftp full":                {func(v *visit) { v.login(); v.session("sftp", "", 11, "") }, inParts, "sftp ended with exit code 11 (a file could not be written): look whether the volume is full, and enlarge it", false},
		"sftp cut, again":          {func(v *visit) { v.login(); v.session("sftp", "", 1, ""); v.session("sftp", "", 0, "") }, allThere, "", true},
		"sftp, no word":            {func(v *visit) { v.login(); v.host.promisedAll(); v.session("sftp", "", 0, "") }, inParts, "did not say that it has sent all", false},
		"sftp, word kept":          {func(v *visit) { v.login(); v.host.promisedAll(); v.session("sftp", "", 0, ""); v.host.saidDone(false) }, allThere, "", true},
		"refused, and done":        {func(v *visit) { v.login(); v.turned(); v.host.saidDone(false) }, nothing, "it logged in and was refused: -K is not allowed", true},
		"one of two refused":       {func(v *visit) { v.login(); v.session(push, ".", 0, ""); v.turned(); v.host.saidDone(false) }, inParts, "a push of it was refused: -K is not allowed", true},
		"one refused, and no word": {func(v *visit) { v.login(); v.session(push, ".", 0, ""); v.turned() }, inParts, "a push of it was refused", false},
		"refused, then right":      {func(v *visit) { v.login(); v.turned(); v.session(push, ".", 0, "") }, allThere, "", true},
		"asked for a shell": {func(v *visit) {
			v.login()
			v.host.wasRefused(sshd.Refusal{Reason: "there is no shell"})
			v.host.saidDone(false)
		}, saidSo, "", true},
		"refused": {func(v *visit) { v.login(); v.host.wasRefused(sshd.Refusal{Reason: "-K is not allowed"}) }, nothing, "it logged in and was refused: -K is not allowed", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := newVisit(t)
			x.do(v)
			got, p := v.host.outcome()
			said := ""
			if p != nil {
				said = p.String()
			}
			if got != x.came || !strings.Contains(said, x.says) || (p == nil) != (x.says == "" && x.came != inParts) {
				t.Errorf("%s, %q; want %s, %q", got, said, x.came, x.says)
			}
			if done := v.host.finished(v.at.Add(10*time.Minute), 5*time.Minute); done != x.finished {
				t.Errorf("finished: %v", done)
			}
		})
	}
}

// Two SFTP sessions at once: the one that ends well does not make up for the
// other one, which it did not follow.
func TestParallelSFTP(t *testing.T) {
	t.Parallel()
	v := newVisit(t)
	one := sshd.Session{Host: "a", What: "sftp", Began: v.at}
	two := sshd.Session{Host: "a", What: "sftp", Began: v.at.Add(time.Second)}
	v.host.began(one)
	v.host.began(two)
	if v.host.finished(v.at.Add(time.Hour), time.Minute) {
		t.Error("finished with two sessions at work")
	}
	one.Ended, one.Exit, one.Wrote = v.at.Add(2*time.Second), 1, true
	v.host.ended(one)
	two.Ended, two.Wrote = v.at.Add(3*time.Second), true
	v.host.ended(two)
	if got, _ := v.host.outcome(); got != inParts {
		t.Errorf("%s", got)
	}
}

// Idle counts from the last byte, and only after something came whole.
func TestIdle(t *testing.T) {
	t.Parallel()
	v := newVisit(t)
	v.session("rsync push", "etc/", 0, "")
	if v.host.finished(v.at.Add(4*time.Minute), 5*time.Minute) {
		t.Error("finished before it was idle long enough")
	}
	v.host.began(sshd.Session{What: "rsync push", Began: v.at})
	if v.host.finished(v.at.Add(time.Hour), 5*time.Minute) {
		t.Error("finished while it pushes")
	}
}

// A crowd at the door is counted, and logged for a while.
func TestDoor(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	d := newDoor(runner.NewRecorder(slog.New(slog.NewTextHandler(&log, nil)), time.Now))
	if d.remark() != nil {
		t.Error("a remark about nobody")
	}
	for i := range 5000 {
		d.refused(sshd.Refusal{Address: &net.TCPAddr{IP: net.IPv4(198, 51, 100, byte(i%50)), Port: i}, Reason: "no"})
	}
	if n := strings.Count(log.String(), "\n"); n != refusalsLogged+1 {
		t.Errorf("%d lines", n)
	}
	if s := d.remark().String(); !strings.HasPrefix(s, "5000 refusals from 50 addresses") {
		t.Errorf("%s", s)
	}
}
