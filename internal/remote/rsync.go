package remote

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Rsync is what this machine's rsync can do.
type Rsync struct {
	Version      string
	ACLs, Xattrs bool
}

// install says how to get one.
const install = "install rsync 3.1 or later (Debian and Ubuntu: apt-get install rsync; macOS: brew install rsync)"

var (
	versionLine = regexp.MustCompile(`^rsync +version v?(\d+)\.(\d+)\S*`)
	noACLs      = regexp.MustCompile(`\bno ACLs\b`)
	noXattrs    = regexp.MustCompile(`\bno xattrs\b`)
)

// FindRsync asks rsync what it is, and sees that there is an ssh.
func FindRsync(ctx context.Context) (*Rsync, error) {
	if _, err := exec.LookPath("ssh"); err != nil {
		return nil, errors.New("there is no ssh here: install OpenSSH's client")
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, "rsync", "--version").Output()
	if errors.Is(err, exec.ErrNotFound) {
		return nil, errors.New("there is no rsync here: " + install)
	}
	if err != nil {
		return nil, fmt.Errorf("ask rsync for its version: %w", err)
	}
	return parseVersion(string(out))
}

// parseVersion reads what rsync --version prints.
func parseVersion(text string) (*Rsync, error) {
	m := versionLine.FindStringSubmatch(text)
	if m == nil {
		first, _, _ := strings.Cut(text, "\n")
		return nil, fmt.Errorf("rsync says that it is %q: %s", first, install)
	}
	major, _ := strconv.Atoi(m[1])
	minor, _ := strconv.Atoi(m[2])
	if major < 3 || major == 3 && minor < 1 {
		return nil, fmt.Errorf("%s is too old: %s", m[0], install)
	}
	return &Rsync{
		Version: strings.TrimPrefix(strings.Join(strings.Fields(m[0]), " "), "rsync version "),
		ACLs:    !noACLs.MatchString(text) && strings.Contains(text, "ACLs"),
		Xattrs:  !noXattrs.MatchString(text) && strings.Contains(text, "xattrs"),
	}, nil
}

// Modern is an rsync of these years, where this machine has none to ask.
func Modern() *Rsync { return &Rsync{ACLs: true, Xattrs: true} }
