//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"mayfly/internal/awstest"
	"mayfly/internal/imdstest"
	"mayfly/userdata"
)

// shells are what /bin/sh is somewhere: Debian and Ubuntu, Amazon Linux, and
// the small ones.
var shells = [][]string{{"dash"}, {"bash", "--posix"}, {"bash"}, {"busybox", "sh"}}

func TestUserdataShellcheck(t *testing.T) {
	t.Parallel()
	data, err := userdata.Render(userdata.Values{
		Name: "e2e", Store: userdata.Store{Bucket: runBucket}, Config: sum(""), Binaries: map[string]string{"amd64": sum("")}, Deadline: time.Hour,
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{"text/cloud-boothook", "text/x-shellscript"} {
		cmd := exec.CommandContext(t.Context(), "shellcheck", "-s", "sh", "-")
		cmd.Stdin = strings.NewReader(part(t, data, kind))
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("shellcheck %s: %v\n%s", kind, err, out)
		}
	}
}

// TestUserdataStarts goes all the way, under every shell.
func TestUserdataStarts(t *testing.T) {
	t.Parallel()
	for i, shell := range append(shells, shells...) {
		t.Run(fmt.Sprint(i, shell), func(t *testing.T) {
			t.Parallel()
			var g *guest
			if i < len(shells) {
				g = newGuest(t, shell...)
			} else { // checks signatures by itself, but knows no session tokens
				g = newWorld(t).versity().guest("", shell)
			}
			g.values.Packages = []string{"there", "missing"}
			if code, out := g.hook(); code != 0 {
				t.Fatalf("boothook: exit code %d: %s", code, out)
			}
			begin := time.Now()
			code, out := g.boot()
			if code != 0 {
				t.Fatalf("exit code %d: %s", code, out)
			}
			t.Logf("started after %s", time.Since(begin))
			calls := g.read("calls")
			has(t, "calls", calls, "--unit=mayfly-deadline --property=DefaultDependencies=no --on-active=3600",
				"apt-get -q -y --no-install-recommends -o DPkg::Lock::Timeout=120 install missing\n", "systemctl start --no-block mayfly.service\n")
			if strings.Contains(calls, "systemctl --no-block poweroff\n") != strings.Contains(calls, "mayfly-deadline") || strings.Contains(calls, "mayfly-off") {
				t.Errorf("calls: %s", calls)
			}
			if g.read("var/lib/mayfly/mayfly") != guestProg || g.read("run/mayfly/config.yaml") != guestYAML {
				t.Error("program or config is not what was uploaded")
			}
			if info, err := os.Stat(filepath.Join(g.root, "var/lib/mayfly/mayfly")); err != nil || info.Mode().Perm() != 0o700 {
				t.Errorf("the program is %v, %v", info.Mode(), err)
			}
			has(t, "environment", g.read("run/mayfly/env"), "AWS_REGION=\"eu-west-1\"\n", "AWS_ENDPOINT_URL_S3=\""+g.values.Environment["AWS_ENDPOINT_URL_S3"]+"\"\n")
			has(t, "unit", g.read("run/systemd/system/mayfly.service"), "ExecStart="+g.root+"/var/lib/mayfly/mayfly run --end-instance --config "+g.root+"/run/mayfly/config.yaml\n")
			if n := len(g.aws.Messages()); n != 0 || len(g.aws.Group("e2e").Left) != 0 {
				t.Errorf("%d messages, group %+v", n, g.aws.Group("e2e"))
			}
		})
	}
}

// A package that cannot be had keeps out no other, and is named.
func TestUserdataPackages(t *testing.T) {
	t.Parallel()
	for _, shell := range shells {
		t.Run(fmt.Sprint(shell), func(t *testing.T) {
			t.Parallel()
			g := newGuest(t, shell...)
			g.values.Packages = []string{"good", "there", "wrong"}
			g.stub("apt-get", `case "$*" in *wrong*) exit 100 ;; esac`)
			if code, out := g.boot(); code != 0 {
				t.Fatalf("exit code %d: %s", code, out)
			}
			has(t, "calls", g.read("calls"), " install good wrong\n", " install good\n", " install wrong\n", "start --no-block mayfly.service")
			has(t, "the console", g.read("dev/console"), "mayfly: cannot install wrong\n")
			if strings.Contains(g.read("dev/console"), "cannot install good") {
				t.Error("a good package is said not to be there")
			}
		})
	}
}

// A bootFailure is something that keeps the run from being started, and what
// is heard of it.
type bootFailure struct {
	name    string
	prepare func(*guest)
	message []string // in the published text; nil: nothing can be published
	console []string
	stays   bool // the group cannot be left
}

var bootFailures = []bootFailure{
	{
		name: "no binary",
		prepare: func(g *guest) {
			g.remove(userdata.BinaryKey("amd64", sum(guestProg)))
			g.remove(userdata.BinaryKey("arm64", sum(guestProg)))
		},
		message: []string{"fetch mayfly: HTTP 404 NoSuchKey (http://127.0.0.1:", "/backups/p/it%27s%20%28a%29%3Db/admin/mayfly-" + sum(guestProg) + "-linux-", "): upload it", "Instance " + guestID + " in eu-west-1"},
	},
	{
		name: "wrong checksum",
		prepare: func(g *guest) {
			g.put(userdata.BinaryKey("amd64", sum(guestProg)), "another")
			g.put(userdata.BinaryKey("arm64", sum(guestProg)), "another")
		},
		message: []string{"fetch mayfly: wrong checksum: it has sha256 " + sum("another") + ", not " + sum(guestProg)},
	},
	{
		name:    "no config",
		prepare: func(g *guest) { g.remove(userdata.ConfigKey(sum(guestYAML))) },
		message: []string{"fetch the config: HTTP 404 NoSuchKey"},
	},
	{
		name:    "no binary for the architecture",
		prepare: func(g *guest) { g.stub("uname", "echo riscv64") },
		message: []string{"knows no mayfly for riscv64"},
	},
	{
		name: "S3 down",
		prepare: func(g *guest) {
			g.fault = func(service, _ string) int { return map[string]int{"s3": 503}[service] }
		},
		message: []string{"fetch mayfly: HTTP 503 InternalError"},
	},
	{
		name:    "S3 unreachable",
		prepare: func(g *guest) { g.values.Environment["AWS_ENDPOINT_URL_S3"] = "http://127.0.0.1:1" },
		message: []string{"fetch mayfly: curl: (7)"},
	},
	{
		name:    "systemd refuses",
		prepare: func(g *guest) { g.stub("systemctl", `case $* in start*) exit 1 ;; esac`) },
		message: []string{"systemd does not start mayfly.service"},
	},
	{
		name:    "state directory gone",
		prepare: func(g *guest) { g.stub("cp", "exit 1") },
		message: []string{"var/lib/mayfly/boot: is the disk full?"},
	},
	{
		name:    "no curl",
		prepare: func(g *guest) { g.unlink("bin/curl") },
		console: []string{"there is no curl"},
		stays:   true,
	},
	{
		name:    "metadata down",
		prepare: func(g *guest) { g.meta.SetFault("", imdstest.Fault{Reset: true}) },
		console: []string{"instance metadata does not answer"},
		stays:   true,
	},
	{
		name:    "no role",
		prepare: func(g *guest) { g.meta.Change(func(s *imdstest.State) { s.Role = "" }) },
		console: []string{"the instance has no role"},
		stays:   true,
	},
	{
		name: "role without credentials",
		prepare: func(g *guest) {
			g.meta.Change(func(s *imdstest.State) { s.Credentials = imdstest.Credentials{Code: "AssumeRoleUnauthorizedAccess"} })
		},
		console: []string{"the role onlinebackup gives no credentials"},
		stays:   true,
	},
	{
		name: "SNS denies",
		prepare: func(g *guest) {
			g.remove(userdata.ConfigKey(sum(guestYAML)))
			g.aws.SetFault("sns:Publish", awstest.Fault{Status: 403, Code: "AccessDenied"})
		},
		console: []string{"fetch the config: HTTP 404", "publish to " + awstest.TopicARN("e2e") + ": HTTP 403 AccessDenied: mayfly iam prints"},
	},
	{
		name: "SNS and the group are silent",
		prepare: func(g *guest) {
			g.remove(userdata.ConfigKey(sum(guestYAML)))
			g.aws.SetFault("sns:Publish", awstest.Fault{Hang: true})
			g.aws.SetFault("autoscaling:TerminateInstanceInAutoScalingGroup", awstest.Fault{Hang: true})
		},
		console: []string{"fetch the config: HTTP 404", "publish to ", "leave the Auto Scaling group: curl: (28)"},
		stays:   true,
	},
	{
		name: "the group throttles",
		prepare: func(g *guest) {
			g.remove(userdata.ConfigKey(sum(guestYAML)))
			g.aws.SetFault("autoscaling:TerminateInstanceInAutoScalingGroup", awstest.Fault{Status: 400, Code: "Throttling", Times: 3})
		},
		message: []string{"fetch the config: HTTP 404"},
	},
	{
		name: "the group denies",
		prepare: func(g *guest) {
			g.remove(userdata.ConfigKey(sum(guestYAML)))
			g.aws.SetFault("autoscaling:TerminateInstanceInAutoScalingGroup", awstest.Fault{Status: 403, Code: "AccessDenied"})
		},
		message: []string{"fetch the config: HTTP 404"},
		console: []string{"leave the Auto Scaling group: HTTP 403 AccessDenied"},
		stays:   true,
	},
}

// TestUserdataFails: whatever keeps the run from being started is said, the
// group is left where that is possible, and the machine is switched off.
func TestUserdataFails(t *testing.T) {
	t.Parallel()
	for _, f := range bootFailures {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			g := newGuest(t)
			f.prepare(g)
			begin := time.Now()
			code, out := g.boot()
			if code != 1 {
				t.Errorf("exit code %d", code)
			}
			messages := g.aws.Messages()
			if len(messages) != min(len(f.message), 1) {
				t.Fatalf("%d messages; said\n%s", len(messages), out)
			}
			for _, m := range messages {
				has(t, "message", m.Body, f.message...)
				if m.Subject != "mayfly e2e: failed before the run" || m.Topic != awstest.TopicARN("e2e") {
					t.Errorf("subject %q to %s", m.Subject, m.Topic)
				}
			}
			has(t, "console", g.read("dev/console"), append(f.message[:min(len(f.message), 1)], f.console...)...)
			if left := len(g.aws.Group("e2e").Left) == 1; left == f.stays {
				t.Errorf("group left: %v", left)
			}
			calls := g.read("calls")
			has(t, "calls", calls, "--unit=mayfly-off --property=DefaultDependencies=no /bin/sh -c timeout 10 systemctl --no-block poweroff")
			if wait := g.clock() + time.Since(begin); wait > 25*time.Minute {
				t.Errorf("it took %s", wait)
			}
		})
	}
}

// A service that is back in time costs nothing but that time.
func TestUserdataRidesOutFaults(t *testing.T) {
	t.Parallel()
	g := newGuest(t)
	n := 0
	g.fault = func(service, _ string) int {
		if n++; service == "s3" && n <= 6 {
			return []int{500, 503, 403, 429, 500, 503}[n-1]
		}
		return 0
	}
	g.meta.SetFault("meta-data/iam", imdstest.Fault{Status: 500, Times: 2})
	g.meta.SetFault(imdstest.TokenPath, imdstest.Fault{Reset: true, Times: 2})
	if code, out := g.boot(); code != 0 || len(g.aws.Messages()) != 0 {
		t.Fatalf("exit code %d: %s", code, out)
	}
}

// Nothing but the timer may end a machine whose run is kept for a look at it.
func TestUserdataKeepsTheFailed(t *testing.T) {
	t.Parallel()
	g := newGuest(t)
	g.values.KeepOnFailure = 30 * time.Minute
	g.remove(userdata.ConfigKey(sum(guestYAML)))
	if code, _ := g.boot(); code != 1 || g.clock() < 30*time.Minute {
		t.Errorf("exit code %d after %s", code, g.clock())
	}
	has(t, "console", g.read("dev/console"), "kept for 1800 s")
	has(t, "calls", g.read("calls"), "mayfly-off")
}

func TestUserdataAfterTheRun(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		env     []string
		message string
	}{
		{[]string{"SERVICE_RESULT=success"}, ""},
		{[]string{"SERVICE_RESULT=watchdog", "EXIT_CODE=killed", "EXIT_STATUS=ABRT"}, "watchdog (killed ABRT)"},
		{[]string{"SERVICE_RESULT=exit-code", "EXIT_CODE=exited", "EXIT_STATUS=2"}, "its  last\nwords[0m\n"},
	} {
		g := newGuest(t)
		code, out := g.exec("text/x-shellscript", tt.env, "ended")
		messages := g.aws.Messages()
		if code != 0 || (len(messages) == 1) != (tt.message != "") || len(g.aws.Group("e2e").Left) != len(messages) {
			t.Fatalf("%v: exit code %d, %d messages, %+v: %s", tt.env, code, len(messages), g.aws.Group("e2e"), out)
		}
		for _, m := range messages {
			has(t, "message", m.Body, tt.message)
		}
		if strings.Contains(g.read("calls"), "systemctl") || strings.Contains(g.read("calls"), "systemd-run") {
			t.Errorf("%v: calls %s", tt.env, g.read("calls"))
		}
	}
}

// TestUserdataHook: the deadline is one point in time, whatever boots there are.
func TestUserdataHook(t *testing.T) {
	t.Parallel()
	for _, shell := range shells {
		t.Run(strings.Join(shell, " "), func(t *testing.T) {
			t.Parallel()
			g := newGuest(t, shell...)
			armed := func(env ...string) int {
				g.write("calls", "")
				code, out := g.hook(env...)
				_, rest, ok := strings.Cut(g.read("calls"), "--on-active=")
				seconds, _, _ := strings.Cut(rest, " ")
				n, err := strconv.Atoi(seconds)
				if code != 0 || !ok || err != nil {
					t.Fatalf("exit code %d, armed %q: %s", code, g.read("calls"), out)
				}
				return n
			}
			near := func(what string, got, want int) {
				if got > want || got < want-20 {
					t.Errorf("%s: armed for %d s, want %d", what, got, want)
				}
			}
			near("first boot", armed(), 3600)
			first := g.read("var/lib/mayfly/deadline")
			g.write("clock", "600\n")
			near("second boot", armed(), 3000)
			if strings.Contains(g.read("calls"), "mayfly-again") {
				t.Error("a boot script that never began is taken for one that was cut off")
			}
			g.write("var/lib/mayfly/boot", "exit 0\n")
			near("third boot", armed(), 3000)
			has(t, "calls", g.read("calls"), "--unit=mayfly-again --property=DefaultDependencies=no /bin/sh "+g.root+"/var/lib/mayfly/boot again\n")
			if now := g.read("var/lib/mayfly/deadline"); now != first {
				t.Errorf("deadline moved from %s to %s", first, now)
			}
			g.write("clock", "9000\n")
			near("late boot", armed(), 30)
			g.write("clock", "-9000\n")
			near("clock set back", armed(), 3600)
			g.write("clock", "0\n")
			g.write("var/lib/mayfly/deadline", "nonsense\n")
			near("deadline unreadable", armed(), 3600)
			g.write("clock", "9000\n")
			near("another instance", armed("INSTANCE_ID=i-0fedcba9876543210"), 3600)
		})
	}
}

// A second boot tells, leaves and switches off; it runs nothing.
func TestUserdataAgain(t *testing.T) {
	t.Parallel()
	g := newGuest(t)
	g.values.KeepOnFailure = time.Hour
	if code, out := g.boot("again"); code != 1 || g.clock() > time.Minute {
		t.Errorf("exit code %d: %s", code, out)
	}
	has(t, "message", fmt.Sprint(g.aws.Messages()), "started a second time")
	has(t, "calls", g.read("calls"), "mayfly-off")
	if len(g.aws.Group("e2e").Left) != 1 {
		t.Error("the group was not left")
	}
}

// TestUserdataOff: without systemd there is a process that waits, and rungs
// below systemd.
func TestUserdataOff(t *testing.T) {
	t.Parallel()
	for _, shell := range shells {
		g := newGuest(t, shell...)
		g.stub("systemd-run", "exit 1")
		g.stub("systemctl", "exit 1")
		if code, out := g.hook(); code != 0 {
			t.Fatalf("%v: exit code %d: %s", shell, code, out)
		}
		g.eventually(10*time.Second, "the last rung", func() bool { return strings.HasPrefix(g.read("sysrq"), "o") })
		has(t, "calls", g.read("calls"), "systemctl --no-block poweroff\nsystemctl --no-block --force poweroff\n")
		if g.clock() < time.Hour {
			t.Errorf("%v: switched off after %s", shell, g.clock())
		}
	}
}
