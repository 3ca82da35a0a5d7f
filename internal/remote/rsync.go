package remote

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Rsync is what this machine's rsync can do.
type Rsync struct {
	Version      string
	ACLs, Xattrs bool
	// Early is one from before 3.1: it knows no --info and no -s, keeps whole
	// seconds of times alone, and its --bwlimit is in KiB.
	Early bool
}

// Lacks says what it does not keep; "" nothing.
func (r *Rsync) Lacks() string {
	var list []string
	for _, l := range []struct {
		is   bool
		what string
	}{{!r.ACLs, "ACLs"}, {!r.Xattrs, "extended attributes"}, {r.Early, "fractions of seconds in times"}} {
		if l.is {
			list = append(list, l.what)
		}
	}
	if len(list) == 0 {
		return ""
	}
	return fmt.Sprintf("The rsync here (%s) keeps no %s.", r.Version, strings.Join(list, ", no "))
}

// install says how to get one.
const install = "install rsync 3.1 or later (Debian and Ubuntu: apt-get install rsync; macOS: brew install rsync)"

var (
	versionLine = regexp.MustCompile(`^rsync +version v?(\d+)\.(\d+)\.(\d+)\S*`)
	noACLs      = regexp.MustCompile(`\bno ACLs\b`)
	noXattrs    = regexp.MustCompile(`\bno xattrs\b`)
)

// FindModern is FindRsync for what one from before 3.1 cannot do.
func FindModern(ctx context.Context) (*Rsync, error) {
	r, err := FindRsync(ctx)
	if err == nil && r.Early {
		return nil, fmt.Errorf("rsync %s is too old: %s", r.Version, install)
	}
	return r, err
}

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

// parseVersion reads what rsync --version prints. 2.6.9 is the oldest, which
// macOS had for long.
func parseVersion(text string) (*Rsync, error) {
	m := versionLine.FindStringSubmatch(text)
	if m == nil {
		first, _, _ := strings.Cut(text, "\n")
		return nil, fmt.Errorf("rsync says that it is %q: %s", first, install)
	}
	major, _ := strconv.Atoi(m[1])
	minor, _ := strconv.Atoi(m[2])
	patch, _ := strconv.Atoi(m[3])
	if slices.Compare([]int{major, minor, patch}, []int{2, 6, 9}) < 0 {
		return nil, fmt.Errorf("%s is too old: %s", m[0], install)
	}
	return &Rsync{
		Version: strings.TrimPrefix(strings.Join(strings.Fields(m[0]), " "), "rsync version "),
		ACLs:    !noACLs.MatchString(text) && strings.Contains(text, "ACLs"),
		Xattrs:  !noXattrs.MatchString(text) && strings.Contains(text, "xattrs"),
		Early:   major < 3 || major == 3 && minor < 1,
	}, nil
}

// Modern is an rsync of these years, where this machine has none to ask.
func Modern() *Rsync { return &Rsync{ACLs: true, Xattrs: true} }
