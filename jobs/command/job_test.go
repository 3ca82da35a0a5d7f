package command

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"mayfly/internal/secret"
	"mayfly/runner"
)

func TestScripts(t *testing.T) {
	t.Parallel()
	sum := func(s string) string { h := sha256.Sum256([]byte(s)); return hex.EncodeToString(h[:]) }
	const object = "s3://bucket/a/x.sh"
	for name, tt := range map[string]struct {
		c      Config
		object string
		want   string
	}{
		"shell":            {c: Config{Run: "echo \"hello\"\necho two >&2\n"}, want: "hello\ntwo\n"},
		"arguments":        {c: Config{Run: `echo "$#$2"`, Args: []string{"a", "b c"}}, want: "2b c\n"},
		"interpreter":      {c: Config{Run: "#!/usr/bin/env cat\nline\n"}, want: "#!/usr/bin/env cat\nline\n"},
		"one argument":     {c: Config{Run: "#!/bin/sh -eu\necho $-"}, want: ""},
		"another shell":    {c: Config{Run: "echo no", Shell: []string{"sh", "-c", `. "$0"; echo and $1`}, Args: []string{"more"}}, want: "no\nand more\n"},
		"program":          {c: Config{Argv: []string{"echo", "a  b", "$HOME"}}, want: "a  b $HOME\n"},
		"object":           {c: Config{Script: object, Args: []string{"x"}}, object: "#!/bin/sh\necho from the store $1\n", want: "from the store x\n"},
		"with sum":         {c: Config{Script: object, SHA256: sum("echo sum")}, object: "echo sum", want: "sum\n"},
		"no end of line":   {c: Config{Run: "printf unfinished"}, want: "unfinished\n"},
		"nothing":          {c: Config{Run: "true"}, want: ""},
		"stdin is empty":   {c: Config{Run: "wc -c"}, want: "0\n"},
		"colours":          {c: Config{Run: `printf '\033[1;31mred\033[0m \033]0;title\007 50%%\r100%% done\r\n'`}, want: "100% done\n"},
		"control":          {c: Config{Run: `printf 'a\007b\000c\377d\342\200\256e\n'`}, want: "a\uFFFDb\uFFFDc\uFFFDd\uFFFDe\n"},
		"stdio is closed":  {c: Config{Run: "exec <&- >&- 2>&-\nsleep 0.1\nexit 0"}, want: ""},
		"a background end": {c: Config{Run: "(sleep 0.1; echo late) &\n"}, want: "late\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.objects[object] = tt.object
			got := w.ok(tt.c)
			if name == "one argument" {
				says(t, got, "e", "u")
			} else if got != tt.want {
				t.Errorf("printed %q, want %q\n%s", got, tt.want, &w.log)
			}
		})
	}
}

func TestFailures(t *testing.T) {
	t.Parallel()
	const object = "s3://bucket/a/x.sh"
	for name, tt := range map[string]struct {
		c          Config
		object     string
		says       []string
		exit       int
		notStarted bool
	}{
		"status":           {c: Config{Run: "echo one\necho two\nexit 3"}, says: []string{"exit status 3", "see what it said"}, exit: 3},
		"stops at first":   {c: Config{Run: "false\necho not reached"}, says: []string{"exit status 1", "it printed nothing"}, exit: 1},
		"signal":           {c: Config{Run: "kill -ABRT $$"}, says: []string{"killed by signal SIGABRT"}, exit: -1},
		"no such command":  {c: Config{Run: "no-such-program-here"}, says: []string{"exit status 127", "add its package to packages"}, exit: 127},
		"no such program":  {c: Config{Argv: []string{"no-such-program-here"}}, says: []string{"there is no program no-such-program-here", "packages"}, notStarted: true},
		"no interpreter":   {c: Config{Run: "#!/no/such/interpreter\n"}, says: []string{"there is no program /no/such/interpreter"}, notStarted: true},
		"not executable":   {c: Config{Argv: []string{"/etc/passwd"}}, says: []string{"/etc/passwd cannot be executed"}, notStarted: true},
		"directory":        {c: Config{Argv: []string{"/etc"}}, says: []string{"/etc cannot be executed"}, notStarted: true},
		"no such dir":      {c: Config{Run: "true", Dir: "/no/such/dir"}, says: []string{"dir", "/no/such/dir", "make it, or name another"}, notStarted: true},
		"no such object":   {c: Config{Script: "s3://bucket/other"}, says: []string{"fetch the script", "does not exist"}, notStarted: true},
		"empty object":     {c: Config{Script: object}, says: []string{"is empty"}, notStarted: true},
		"wrong sum":        {c: Config{Script: object, SHA256: strings.Repeat("0", 64)}, object: "echo x", says: []string{"has the SHA-256 ", "was not run"}, notStarted: true},
		"windows script":   {c: Config{Script: object}, object: "#!/bin/sh\r\necho x\r\n", says: []string{"CR LF"}, notStarted: true},
		"no script at all": {c: Config{Script: object}, object: "PK\x03\x04\x00\x00", says: []string{"no script and no program"}, notStarted: true},
		"no such user":     {c: Config{Run: "true", User: "nosuchuser"}, says: []string{"there is no user nosuchuser"}, notStarted: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.objects[object] = tt.object
			it := w.run(tt.c)
			if it.Outcome != runner.Failed || it.Problem == nil {
				t.Fatalf("%s: %v", it.Outcome, it.Problem)
			}
			says(t, it.Problem.Doing+" "+it.Problem.Reason+" "+it.Problem.Fix, append(tt.says, "run ")...)
			if (it.Exit == nil) != tt.notStarted || it.Exit != nil && *it.Exit != tt.exit {
				t.Errorf("exit status %v", it.Exit)
			}
			if name == "status" && it.Problem.Output != "one\ntwo" {
				t.Errorf("output %q", it.Problem.Output)
			}
		})
	}
}

// The environment is what is documented and nothing else.
func TestEnvironment(t *testing.T) {
	t.Parallel()
	names := func(printed string) []string {
		var list []string
		for line := range strings.Lines(printed) {
			n, _, _ := strings.Cut(line, "=")
			list = append(list, n)
		}
		slices.Sort(list)
		return list
	}
	w := newWorld(t)
	w.vars["AWS_SECRET_ACCESS_KEY"], w.vars["AWS_PROFILE"] = "verysecretaccesskey", "mine"
	w.env.Region = "eu-west-1"
	w.secrets[secret.Ref{Scheme: "env", Name: "X"}] = "hunter2hunter2"
	c := Config{
		Argv: []string{"env"}, Env: map[string]string{"B": "two words", "LANG": "de_DE.UTF-8"}, Artifacts: "out",
		Secrets: map[string]secret.Ref{"S": {Scheme: "env", Name: "X"}}, SecretFiles: map[string]secret.Ref{"f": {Scheme: "env", Name: "X"}},
	}
	printed := w.ok(c)
	want := []string{"B", "HOME", "LANG", "LOGNAME", "MAYFLY_ARTIFACTS", "MAYFLY_COMMAND", "MAYFLY_JOB", "MAYFLY_RUN", "MAYFLY_SECRETS", "PATH", "PWD", "S", "SHELL", "TMPDIR", "TZ", "USER"}
	if got := names(printed); !slices.Equal(got, want) {
		t.Errorf("variables %q, want %q", got, want)
	}
	says(t, printed, "B=two words\n", "LANG=de_DE.UTF-8\n", "MAYFLY_RUN=20261120T170412Z-i-0abc\n", "MAYFLY_JOB=task\n", "S=[secret]\n")

	w = newWorld(t)
	w.vars["AWS_SECRET_ACCESS_KEY"], w.vars["AWS_PROFILE"] = "verysecretaccesskey", "mine"
	w.env.Region = "eu-west-1"
	printed = w.ok(Config{Run: "env | grep ^AWS_ | sort", AWS: true})
	if want := "AWS_DEFAULT_REGION=eu-west-1\nAWS_PROFILE=mine\nAWS_REGION=eu-west-1\nAWS_SECRET_ACCESS_KEY=[secret]\n"; printed != want {
		t.Errorf("got %q, want %q", printed, want)
	}
}

// Signals, descriptors and the terminal are as a program expects them.
func TestFreshProcess(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	got := w.ok(Config{Run: "ls /proc/self/fd | sort -n | tail -1\n" +
		"grep -E '^Sig(Ign|Blk)' /proc/self/status\nyes | head -1\ncut -d' ' -f6 /proc/$$/stat | grep -qx $$ && echo session\n" +
		"{ true </dev/tty; } 2>/dev/null || echo no tty\n"})
	// 3 is ls's own.
	says(t, got, "3\n", "SigBlk:\t0000000000000000", "y\n", "session\n", "no tty\n")
	// Signals 32 and 33 are the C library's own: nobody else can set them, and
	// whoever started the test may have them ignored.
	if !regexp.MustCompile(`SigIgn:\t0000000[01][08]0000000\n`).MatchString(got) {
		t.Errorf("signals are ignored: %s", got)
	}
}

func TestSecretsAreNotShown(t *testing.T) {
	t.Parallel()
	const token = "tok+/=3n that & is 'long' enough to be folded by base64, twice: 0123456789abcdef0123456789abcdef"
	w := newWorld(t)
	ref := secret.Ref{Scheme: "ssm", Name: "/x"}
	w.secrets[ref] = token
	it := w.run(Config{
		Secrets: map[string]secret.Ref{"TOKEN": ref}, SecretFiles: map[string]secret.Ref{"token": ref}, Output: 1 << 20,
		Run: `
ls -l "$MAYFLY_SECRETS/token" | cut -c1-10
[ "$(cat "$MAYFLY_SECRETS/token")" = "$TOKEN" ] && echo same
echo "plain $TOKEN"
printf %s "$TOKEN" | base64
printf %s "$TOKEN" | base64 -w0; echo
printf %s "x:$TOKEN" | base64 -w0; echo
printf %s "$TOKEN" | od -An -v -tx1 | tr -d ' \n'; echo
printf %s "${TOKEN%%long*}"; sleep 0.05; printf %s "long${TOKEN#*long}"; echo
printf '\033[1m%s\033[0m%s\n' "${TOKEN%%long*}" "long${TOKEN#*long}"
head -c 65500 /dev/zero | tr '\0' .; printf %s "$TOKEN"; head -c 70000 /dev/zero | tr '\0' .; echo
i=0; while [ $i -lt 3000 ]; do printf %s "$TOKEN"; i=$((i+1)); done; echo
echo "the end $TOKEN" >&2
exit 1
`})
	if it.Outcome != runner.Failed {
		t.Fatalf("%v %v\n%s", it.Outcome, it.Problem, &w.log)
	}
	all := w.log.String() + it.Problem.String() + it.Problem.Output
	says(t, all, "-r--------", "same", "the end [secret]", "plain [secret]")
	for _, part := range []string{token, token[:12], token[30:50], token[60:], hex.EncodeToString([]byte(token[20:40]))} {
		if strings.Contains(all, part) {
			t.Errorf("the log has %q", part)
		}
	}
	for at := range 3 {
		enc := base64.StdEncoding.EncodeToString([]byte(token[at : at+57]))
		for _, chunk := range []string{enc[4:24], enc[40:60]} {
			if strings.Contains(all, chunk) {
				t.Errorf("the log has base64 %q\n%s", chunk, runner.CutText(all, 3000))
			}
		}
	}
	left, _ := filepath.Glob(inMemory("") + "/mayfly-secrets-*/token")
	if len(left) > 0 {
		t.Errorf("secrets are left: %v", left)
	}
}

// What is printed without end is drained at once, and a bounded part is kept.
func TestFlood(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	printed := w.ok(Config{Output: 64 << 10, Run: "echo first\nhead -c 200000000 /dev/zero | tr '\\0' x\necho\nhead -c 50000000 /dev/zero | tr '\\0' '\\n'\nseq 1 100000\necho last\n"})
	says(t, printed, "first\n", "99999\n100000\nlast\n")
	says(t, w.log.String(), "of its output left out here")
	if n := len(w.log.String()); n > 100<<10 {
		t.Errorf("the log has %d bytes", n)
	}
	if strings.Contains(printed, "\n50000\n") {
		t.Error("the middle is there")
	}
}

// Cancelled, a command gets SIGTERM, and SIGKILL when it does not listen.
func TestStops(t *testing.T) {
	t.Parallel()
	cause := &runner.TimeoutError{Job: "task", After: time.Minute}
	for name, tt := range map[string]struct {
		run  string
		says string
		took time.Duration
	}{
		"listens":         {"trap 'echo bye; exit 0' TERM\necho up\nwhile :; do sleep 0.05; done", "it ended when it was sent SIGTERM (exit status 0)", time.Second},
		"does not care":   {"echo up\nexec sleep 1000", "it ended when it was sent SIGTERM (killed by signal SIGTERM)", time.Second},
		"ignores":         {"trap '' TERM INT HUP\necho up\nwhile :; do sleep 0.05; done", "it did not end within 1 s of SIGTERM and was killed (killed by signal SIGKILL)", 3 * time.Second},
		"stopped":         {"trap '' TERM\nsleep 1000 & kill -STOP $!\necho up\nkill -STOP $$\nwhile :; do sleep 0.05; done", "and was killed (killed by signal SIGKILL)", 3 * time.Second},
		"children stay":   {"(trap '' TERM; echo up; while :; do sleep 0.05; done) &\nwait", "it ended when it was sent SIGTERM", 2 * time.Second},
		"stdio is shut":   {"echo up\nexec >&- 2>&- <&-\ntrap '' TERM\nwhile :; do sleep 0.05; done", "and was killed", 3 * time.Second},
		"forks as it can": {"echo up\nf() { (sleep 5 & f) & }\nf; wait; sleep 1000", "SIG", 8 * time.Second},
	} {
		if strings.HasPrefix(name, "forks") && os.Geteuid() != 0 {
			continue // without control groups there is no bound
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.tune = func(j *job) { j.processes = 100 }
			ctx, cancel := context.WithCancelCause(t.Context())
			var stopped time.Time
			go func() {
				for !strings.Contains(w.log.String(), "| up") && ctx.Err() == nil {
					time.Sleep(5 * time.Millisecond)
				}
				time.Sleep(100 * time.Millisecond)
				stopped = time.Now()
				cancel(cause)
			}()
			it := w.runIn(ctx, Config{Run: tt.run, Stop: runner.Duration(time.Second)})
			if took := time.Since(stopped); took > tt.took {
				t.Errorf("it took %s", took)
			}
			if it.Outcome != runner.Interrupted || it.Problem == nil {
				t.Fatalf("%s %v\n%s", it.Outcome, it.Problem, &w.log)
			}
			says(t, it.Problem.String(), "run", cause.Error(), tt.says)
		})
	}
}

// What a command leaves running is ended with it, and named.
func TestNothingSurvives(t *testing.T) {
	t.Parallel()
	for name, run := range map[string]string{
		"background":  "sleep 1000 &",
		"nohup":       "nohup sleep 1000 >/dev/null 2>&1 &",
		"session":     "setsid sleep 1000 </dev/null >/dev/null 2>&1 &",
		"double fork": "(setsid sh -c 'sleep 1000 & sleep 1000 & exit' &) >/dev/null 2>&1",
		"holds stdio": "setsid sh -c 'trap \"\" TERM HUP; sleep 1000; sleep 1000' &",
		"stopped":     "sleep 1000 &\nkill -STOP $!",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			began := time.Now()
			// Its length tells this test's processes from all others.
			length := fmt.Sprintf("%d", 1_000_000+time.Now().UnixNano()%1_000_000_000)
			w.ok(Config{Run: strings.ReplaceAll(run, "1000", length) + "\necho done\n"})
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("it took %s", took)
			}
			says(t, w.log.String(), "it had left running ended with it: s", "| done")
			if pids := withArgument(t, length); len(pids) > 0 {
				t.Errorf("still there: %v", pids)
			}
		})
	}
}

// withArgument are the processes with such an argument.
func withArgument(t *testing.T, arg string) (pids []string) {
	t.Helper()
	all, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range all {
		if b, err := os.ReadFile(f); err == nil && slices.Contains(strings.Split(string(b), "\x00"), arg) {
			pids = append(pids, f)
		}
	}
	return pids
}

func TestReadOnlyLeftovers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.ok(Config{Run: "mkdir -p a/b; touch a/b/c; chmod 500 a/b a; ln -s / link; mkfifo p; echo $PWD $TMPDIR"})
}

// A full disk fails the command and nothing else.
func TestNoPlaceToWork(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.vars["TMPDIR"] = filepath.Join(w.dir, "not there")
	it := w.run(Config{Run: "true"})
	if it.Outcome != runner.Failed {
		t.Fatal(it.Outcome)
	}
	says(t, it.Problem.String(), "make a place to work in")
}

func TestCancelledBefore(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	w.env.Object = func(ctx context.Context, _ string) (r io.ReadCloser, err error) {
		cancel(errors.New("enough"))
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if it := w.runIn(ctx, Config{Script: "s3://bucket/x"}); it.Outcome != runner.Interrupted || it.Exit != nil {
		t.Errorf("%s %v", it.Outcome, it.Problem)
	}
}
