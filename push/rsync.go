package push

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
	Progress     bool // --info=progress2
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
		Version:  strings.TrimPrefix(strings.Join(strings.Fields(m[0]), " "), "rsync version "),
		ACLs:     !noACLs.MatchString(text) && strings.Contains(text, "ACLs"),
		Xattrs:   !noXattrs.MatchString(text) && strings.Contains(text, "xattrs"),
		Progress: true,
	}, nil
}

// Modern is an rsync of these years, where this machine has none to ask.
func Modern() *Rsync { return &Rsync{ACLs: true, Xattrs: true} }

// Sent is what rsync's --stats say of a transfer.
type Sent struct {
	Files   int64 // transferred
	Deleted int64
	Bytes   int64 // of the files transferred
	Wire    int64 // that went over the line
	Total   int64 // of all files of the source
}

// https://download.samba.org/pub/rsync/rsync.1#opt--stats
var statLines = []struct {
	form *regexp.Regexp
	into func(*Sent) *int64
}{
	{regexp.MustCompile(`(?m)^Number of (?:regular )?files transferred: ([\d,.]+)`), func(s *Sent) *int64 { return &s.Files }},
	{regexp.MustCompile(`(?m)^Number of deleted files: ([\d,.]+)`), func(s *Sent) *int64 { return &s.Deleted }},
	{regexp.MustCompile(`(?m)^Total transferred file size: ([\d,.]+)`), func(s *Sent) *int64 { return &s.Bytes }},
	{regexp.MustCompile(`(?m)^Total bytes sent: ([\d,.]+)`), func(s *Sent) *int64 { return &s.Wire }},
	{regexp.MustCompile(`(?m)^Total file size: ([\d,.]+)`), func(s *Sent) *int64 { return &s.Total }},
}

var digits = regexp.MustCompile(`[^\d]`)

// parseStats reads what --stats print.
func parseStats(text string) Sent {
	var s Sent
	for _, l := range statLines {
		if m := l.form.FindStringSubmatch(text); m != nil {
			*l.into(&s), _ = strconv.ParseInt(digits.ReplaceAllString(m[1], ""), 10, 64)
		}
	}
	return s
}

// A Progress is where a transfer stands.
type Progress struct {
	Source string
	Bytes  int64
	Share  int    // percent of what is known so far
	Rate   string // as rsync writes it: 10.52MB/s
}

// progressLine is what --info=progress2 prints over and over:
// "    1,238,099  42%  146.38kB/s    0:00:08 (xfr#5, ir-chk=12/48)".
var progressLine = regexp.MustCompile(`^\s*([\d,.]+)\s+(\d+)%\s+(\S+/s)\s`)

func parseProgress(line string) (p Progress, ok bool) {
	m := progressLine.FindStringSubmatch(line)
	if m == nil {
		return p, false
	}
	p.Bytes, _ = strconv.ParseInt(digits.ReplaceAllString(m[1], ""), 10, 64)
	p.Share, _ = strconv.Atoi(m[2])
	p.Rate = m[3]
	return p, true
}
