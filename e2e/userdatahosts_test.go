//go:build e2e

package e2e

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"mayfly/userdata"
)

// hostPackages are those of a job that hosts push to.
var hostPackages = []string{"e2fsprogs", "rsync", "util-linux", "xfsprogs"}

// TestUserdataHostPackages has the packages of a receiver where all are there,
// where some are missing, and where none can be had, on both kinds of systems.
func TestUserdataHostPackages(t *testing.T) {
	t.Parallel()
	for _, shell := range shells {
		for _, dnf := range []bool{true, false} {
			if dnf && shell[0] == "busybox" { // which has an rpm of its own, and no system with dnf has it as its shell
				continue
			}
			t.Run(fmt.Sprint(shell, dnf), func(t *testing.T) {
				t.Parallel()
				g := newGuest(t, shell...)
				g.values.Packages = hostPackages
				install := "apt-get -q -y --no-install-recommends -o DPkg::Lock::Timeout=120 install"
				there := func(pattern string) {
					if dnf { // Amazon Linux
						install = "dnf -y -q --setopt=install_weak_deps=0 install"
						g.stub("dnf", "")
						g.stub("rpm", "case $3 in "+pattern+") ;; *) exit 1 ;; esac")
					} else {
						g.stub("dpkg-query", "case $3 in "+pattern+") echo 'install ok installed' ;; *) exit 1 ;; esac")
					}
				}
				boot := func() string {
					g.write("calls", "")
					if code, out := g.boot(); code != 0 {
						t.Fatalf("exit code %d: %s", code, out)
					}
					calls := g.read("calls")
					has(t, "calls", calls, "systemctl start --no-block mayfly.service\n")
					return calls
				}
				there("*")
				if calls := boot(); strings.Contains(calls, "install") || strings.Contains(calls, "apt-get") {
					t.Errorf("all are there: %s", calls)
				}
				there("e2fsprogs|util-linux")
				has(t, "calls", boot(), install+" rsync xfsprogs\n")
				for _, manager := range []string{"dnf", "apt-get"} {
					if manager == "apt-get" || dnf {
						g.stub(manager, "exit 100")
					}
				}
				boot()
				has(t, "the console", g.read("dev/console"), "mayfly: cannot install rsync\n", "mayfly: cannot install xfsprogs\n")
			})
		}
	}
}

// TestUserdataNoSSH has the machine's own SSH server off before the run begins,
// and the run begin whatever systemd says about it.
func TestUserdataNoSSH(t *testing.T) {
	t.Parallel()
	for _, shell := range shells {
		t.Run(fmt.Sprint(shell), func(t *testing.T) {
			t.Parallel()
			g := newGuest(t, shell...)
			g.values.NoSSH = true
			mute := g.mute()
			lint := exec.CommandContext(t.Context(), "shellcheck", "-s", "sh", "-")
			lint.Stdin = strings.NewReader(mute)
			if out, err := lint.CombinedOutput(); err != nil {
				t.Errorf("shellcheck: %v\n%s", err, out)
			}
			for _, refuses := range []string{"", `case "$*" in *mask*|*stop*|*reload*) exit 1 ;; esac`} {
				g.stub("systemctl", refuses)
				g.write("calls", "")
				if code, out := g.hook(); code != 0 {
					t.Fatalf("boothook: exit code %d: %s", code, out)
				}
				if code, out := g.run(mute, nil); code != 0 {
					t.Fatalf("the second boothook: exit code %d: %s", code, out)
				}
				if code, out := g.boot(); code != 0 {
					t.Fatalf("exit code %d: %s", code, out)
				}
				rest := g.read("calls")
				for _, call := range []string{
					"--unit=mayfly-deadline", "systemctl --no-reload mask ssh.socket\n", "systemctl --no-reload mask ssh.service\n", "systemctl --no-reload mask sshd.socket\n",
					"systemctl --no-reload mask sshd.service\n", "systemctl daemon-reload\n", "systemctl --no-block stop ssh.socket\n", "systemctl --no-block stop sshd.service\n",
					"systemctl stop ssh.socket\n", "systemctl stop sshd.service\n", "systemctl start --no-block mayfly.service\n",
				} {
					_, after, ok := strings.Cut(rest, call)
					if !ok {
						t.Fatalf("no %q in its place: %s", call, g.read("calls"))
					}
					rest = after
				}
			}
		})
	}
}

// mute is the boothook that switches an SSH server off, the second one.
func (g *guest) mute() string {
	g.t.Helper()
	data, err := userdata.Render(g.values)
	if err != nil {
		g.t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(data), "Content-Type: text/cloud-boothook")
	_, rest, also := strings.Cut(rest, "Content-Type: text/cloud-boothook")
	_, rest, body := strings.Cut(rest, "\n\n")
	script, _, end := strings.Cut(rest, "\n--=====mayfly=====")
	if !ok || !also || !body || !end {
		g.t.Fatalf("no second boothook in %s", data)
	}
	return script
}
