package sshd

import (
	"context"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// An Rsync is the server's rsync, as it was found.
type Rsync struct {
	Version string // "3.4.1"
	Package string // the distribution's version, "3.2.7-1+deb12u2"; "" unknown
	// Warning says what the reader should know about it; "" nothing.
	Warning string
}

// Versions with a meaning. 3.4.0 fixed six holes through which a client could
// run code on a server or read its files (CVE-2024-12084 to 12088 and 12747:
// https://kb.cert.org/vuls/id/952657), 3.5.0 33 more, of which the jail holds
// what reaches outside of the directory
// (https://github.com/RsyncProject/rsync/blob/v3.5.0/NEWS.md).
var (
	oldestRsync = [3]int{3, 4, 0}
	goodRsync   = [3]int{3, 5, 0}
)

// patched are the distributions' packages with an older number that have what
// 3.4.0 fixed, from their first without a regression on.
var patched = []struct {
	prefix string // of the version; a number follows
	from   int
	source string
}{
	{"3.2.7-1+deb12u", 2, "Debian 12, DSA-5843-2"}, // deb12u1 loses hard links: https://bugs.debian.org/1093089
	{"3.2.3-4+deb11u", 3, "Debian 11, DLA-4015-2"},
	{"3.3.0-1ubuntu0.", 2, "Ubuntu 24.10, USN-7206-3"},
	{"3.2.7-1ubuntu1.", 2, "Ubuntu 24.04, USN-7206-3"},
	{"3.2.7-0ubuntu0.22.04.", 4, "Ubuntu 22.04, USN-7206-3"},
}

// CheckRsync looks at the server's rsync, and refuses one with holes that are
// known to let clients in. The error says what to do. Amazon Linux 2023 has
// 3.4.0 and later, so that its number alone decides.
func CheckRsync(ctx context.Context, path string) (Rsync, error) {
	if path == "" {
		path = "/usr/bin/rsync"
	}
	out, err := output(ctx, path, "--version")
	if err != nil {
		return Rsync{}, fmt.Errorf("look at the server's rsync: %w: install the package rsync", err)
	}
	pkg, err := output(ctx, "dpkg-query", "-W", "-f", "${Version}", "rsync")
	if err != nil {
		pkg, _ = output(ctx, "rpm", "-q", "--qf", "%{VERSION}-%{RELEASE}", "rsync")
	}
	return judge(out, strings.TrimSpace(pkg))
}

var rsyncVersion = regexp.MustCompile(`^rsync +version v?([0-9]+)\.([0-9]+)\.([0-9]+)`)

func judge(said, pkg string) (Rsync, error) {
	m := rsyncVersion.FindStringSubmatch(said)
	if m == nil {
		first, _, _ := strings.Cut(said, "\n")
		return Rsync{}, fmt.Errorf("look at the server's rsync: it does not say its version but %q: install the package rsync", printable(first))
	}
	var v [3]int
	for i := range v {
		v[i], _ = strconv.Atoi(m[i+1])
	}
	r := Rsync{Version: strings.Join(m[1:], "."), Package: pkg}
	if older(v, oldestRsync) && !isPatched(pkg) {
		return r, fmt.Errorf("the server's rsync %s lets clients run code on it (CVE-2024-12084 and others): update the package rsync to 3.4.0 or later, or take a newer image", describe(r))
	}
	if older(v, goodRsync) {
		r.Warning = fmt.Sprintf("the server's rsync %s has holes that 3.5.0 has not, and which the jail is there to hold: take a newer image when there is one", describe(r))
	}
	return r, nil
}

func describe(r Rsync) string {
	if r.Package == "" {
		return r.Version
	}
	return r.Version + " (package " + r.Package + ")"
}

func older(a, b [3]int) bool {
	for i := range a {
		if a[i] != b[i] {
			return a[i] < b[i]
		}
	}
	return false
}

func isPatched(pkg string) bool {
	for _, p := range patched {
		rest, ok := strings.CutPrefix(pkg, p.prefix)
		if !ok {
			continue
		}
		digits := rest[:len(rest)-len(strings.TrimLeft(rest, "0123456789"))]
		if n, err := strconv.Atoi(digits); err == nil && n >= p.from {
			return true
		}
	}
	return false
}

func output(ctx context.Context, argv ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C"}
	out, err := cmd.Output()
	return string(out), err
}
