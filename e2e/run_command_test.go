//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"mayfly/internal/awstest"
)

// commands is a config of command jobs: the lines of each.
func (w *world) commands(store string, jobs ...string) string {
	text := fmt.Sprintf("name: e2e\nstore: %s\nnotify: {topic: %q}\njobs:\n", store, awstest.TopicARN("e2e"))
	for i, job := range jobs {
		text += fmt.Sprintf("  - name: job%d\n    timeout: 2s\n    command:\n", i)
		for line := range strings.Lines(job) {
			text += "      " + line
		}
		text += "\n"
	}
	return text
}

// needRoot fails where the suite cannot test what only root can do.
func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("this suite runs as root")
	}
}

// alive are the processes with such an argument, of any user.
func alive(t *testing.T, arg string) (found []string) {
	t.Helper()
	all, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range all {
		if b, err := os.ReadFile(f); err == nil && slices.Contains(strings.Split(string(b), "\x00"), arg) {
			found = append(found, f)
		}
	}
	return found
}

// unique is a number that no other process has as an argument.
func unique() string { return fmt.Sprint(1_000_000 + time.Now().UnixNano()%1_000_000_000) }

// groupsLeft are control groups of commands.
func groupsLeft() []string {
	var found []string
	for _, pattern := range []string{"/sys/fs/cgroup/mayfly-*", "/sys/fs/cgroup/*/mayfly-*"} {
		list, _ := filepath.Glob(pattern)
		found = append(found, list...)
	}
	return found
}

// TestHostileCommands lets commands do what they can to go on, to fill what
// there is, and to keep the report from coming: it comes, in time and in
// little memory, and nothing of them is left.
func TestHostileCommands(t *testing.T) {
	needRoot(t)
	w := newWorld(t).versity()
	id := unique()
	jobs := []struct{ lines, says string }{
		{"stop: 1s\nrun: |\n  f() { f | f & }\n  f\n  wait\n  sleep " + id, ""},
		{"stop: 1s\nrun: |\n  trap '' TERM INT HUP QUIT\n  while :; do sleep " + id + "; done", "it did not end within 1 s of SIGTERM and was killed"},
		{"run: |\n  setsid sh -c 'trap \"\" TERM; (sleep " + id + " &) ; sleep " + id + "' &\n  nohup sleep " + id + " &\n  sleep 0.2", "ended with it"},
		{"stop: 1s\nrun: |\n  sleep " + id + " & kill -STOP $!\n  exec <&- >&- 2>&-\n  trap '' TERM\n  kill -STOP $$\n  while :; do sleep " + id + "; done", "was killed"},
		{"run: |\n  head -c 2000000000 /dev/zero\n  echo the end of the flood", ""},
		{"run: |\n  yes | tr -d '\\n' | head -c 300000000\n  exit 7", "exit status 7"},
		{"memory: 64MiB\nargv: [/usr/bin/python3, -c, 'x = b\"x\" * (1 << 30)']", "killed by signal SIGKILL (out of memory: it may use 64MiB)"},
		{"run: |\n  printf '\\033]0;title\\007\\377\\000\\200'; exit 1", "exit status 1"},
		{"run: echo the last one", ""},
	}
	var lines []string
	for _, j := range jobs {
		lines = append(lines, j.lines)
	}
	before := groupsLeft()
	// The floods may take their time on a machine that has other work.
	config := strings.NewReplacer("job4\n    timeout: 2s", "job4\n    timeout: 60s", "job5\n    timeout: 2s", "job5\n    timeout: 60s").Replace(w.commands(s3Store, lines...))
	r := w.run(config)
	if r.code != 1 || r.wall > 90*time.Second {
		t.Errorf("want exit code 1 within 90 s: %s", r)
	}
	for i, j := range jobs {
		if j.says != "" && !strings.Contains(r.out, j.says) {
			t.Errorf("job%d: the report does not say %q:\n%s", i, j.says, r.out)
		}
	}
	has(t, "the report", r.out, "job4     1 command: 1 done", "job8     1 command: 1 done")
	if r.peak > 64<<20 {
		t.Errorf("the peak was %.1f MiB", mib(r.peak))
	}
	if subject, _ := w.mail(); !strings.Contains(subject, "mayfly e2e: failed") {
		t.Errorf("subject %q", subject)
	}
	if left := alive(t, id); len(left) > 0 {
		t.Errorf("processes are left: %v", left)
	}
	if left := groupsLeft(); len(left) > len(before) {
		t.Errorf("control groups are left: %v", left)
	}
	log := ""
	for _, f := range filesBelow(t, filepath.Join(w.s3dir, runBucket, "deep", "runs")) {
		if b, err := os.ReadFile(f); err == nil && strings.Contains(f, "/log/") {
			log += string(b)
		}
	}
	for _, part := range []string{"the end of the flood", "of its output left out here", "| the last one"} {
		if !strings.Contains(log, part) {
			t.Errorf("the log does not say %q", part)
		}
	}
	if len(log) > 4<<20 || strings.ContainsFunc(log, func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }) || !utf8.ValidString(log) {
		t.Errorf("the log has %d bytes, or what a terminal would act on", len(log))
	}
}

// A command that fills its disk fails; the report comes, and the next ones say
// what is wrong.
func TestCommandFillsDisk(t *testing.T) {
	needRoot(t)
	w := newWorld(t).versity()
	small := filepath.Join(w.dir, "small")
	if err := os.Mkdir(small, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", small, "tmpfs", 0, "size=1m,nr_inodes=100"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Unmount(small, syscall.MNT_DETACH) })
	w.extra = []string{"TMPDIR=" + small}
	r := w.run(w.commands(s3Store,
		"artifacts: out\nrun: head -c 5000000 /dev/urandom > out/big",
		"dir: "+small+"\nargv: [dd, if=/dev/zero, of=stays, bs=4k, status=none]",
		"run: echo not reached",
		"argv: [df, -h]"))
	if r.code != 1 {
		t.Errorf("want exit code 1: %s", r)
	}
	has(t, "the report", r.out, "job0     1 command: 1 failed", "No space left on device", "job1     1 command: 1 failed", "job2     1 command: 1 failed", "no space left on device")
	if subject, _ := w.mail(); !strings.Contains(subject, "failed") {
		t.Errorf("subject %q", subject)
	}
	if left, _ := filepath.Glob(filepath.Join(small, "mayfly-*")); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// Interrupted, a run whose command does not listen is over in 20 s. Killed, it
// takes the command's first process with it.
func TestCommandAndSignals(t *testing.T) {
	needRoot(t)
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		t.Run(sig.String(), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			id := unique()
			config := strings.Replace(w.commands(w.fileStore(), "stop: 15s\nargv: [/usr/bin/python3, -c, \"import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(1000)\", \""+id+"\"]"), "timeout: 2s", "timeout: 10m", 1)
			p := w.start(config)
			w.eventually(10*time.Second, "the command runs", func() bool { return len(alive(t, id)) > 0 })
			time.Sleep(300 * time.Millisecond) // it ignores SIGTERM by now
			sent := time.Now()
			if err := p.cmd.Process.Signal(sig); err != nil {
				t.Fatal(err)
			}
			r := p.wait()
			if sig == syscall.SIGKILL {
				w.eventually(2*time.Second, "the command is gone", func() bool { return len(alive(t, id)) == 0 })
				for _, g := range groupsLeft() { // of nobody now
					os.Remove(g)
				}
				return
			}
			if took := time.Since(sent); took > 20*time.Second || r.code != 4 {
				t.Errorf("after %s: %s", took, r)
			}
			has(t, "the report", r.out, "e2e interrupted", "1 interrupted", "did not end within 15 s of SIGTERM and was killed")
			if len(alive(t, id)) > 0 {
				t.Error("the command is still there")
			}
		})
	}
}
