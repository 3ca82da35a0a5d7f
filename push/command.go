package push

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"mayfly/internal/gocryptfs"
	"mayfly/internal/remote"
)

// A Place is where the receiver is at the moment.
type Place struct {
	Host string
	Port int
}

// partialDir takes what was cut off: the file itself is replaced only when all
// of it is there.
const partialDir = ".rsync-partial"

// ssh is how the receiver is reached; known is the file with its key.
func (c *Config) ssh(port int, known string) remote.SSH {
	return remote.SSH{Alias: string(c.Deployment), Port: port, Key: string(c.Key), Known: known, Null: "/dev/null"}
}

// known is the file with the receiver's key.
func (c *Config) known() string { return remote.KnownHosts(string(c.Deployment), c.HostKey.text()) }

// target is the receiver as ssh takes it.
func (c *Config) target(p Place) string { return string(c.Host) + "@" + p.Host }

// sayArgs is the command that tells the receiver a word: begin before the
// first source, done after the last, or done partial.
func (c *Config) sayArgs(p Place, known, word string) []string {
	return append(c.ssh(p.Port, known).Args(), c.target(p), word)
}

// A transfer is one source on its way: rsync is run in dir, with names.
type transfer struct {
	source  Source
	dir     string   // "": anywhere
	names   []string // what is sent
	to      string   // below the host's directory
	exclude []string
	view    *gocryptfs.View // it is encrypted, and attributes are not seen
}

// check looks whether a transfer may begin, or was right to: the source is as it
// should be, and a view of it has something to show.
func (t transfer) check() error {
	if err := t.source.check(); err != nil || t.view == nil {
		return err
	}
	return shows(filepath.Join(t.dir, t.names[len(t.names)-1]), string(t.source.Path))
}

// shows says that a directory of a view has nothing but gocryptfs's own file.
func shows(dir, source string) error {
	f, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("%s cannot be encrypted: %w", source, err)
	}
	defer f.Close()
	if st, err := f.Stat(); err != nil || !st.IsDir() {
		return err
	}
	names, err := f.Readdirnames(2)
	if len(names) < 2 && (err == nil || errors.Is(err, io.EOF)) {
		return fmt.Errorf("everything in %s is excluded: an empty source would empty the backup", source)
	}
	return nil
}

// ended says that what encrypts has ended.
func (t transfer) ended() error {
	if t.view == nil {
		return nil
	}
	return t.view.Err()
}

// plain is the transfer of a source as it is. Its path is kept whole, with the
// directories above it (-R), unless to says otherwise.
func plain(s Source) transfer {
	t := transfer{source: s}
	if s.To != "" {
		t.names, t.to, t.exclude = []string{strings.TrimSuffix(string(s.Path), "/") + "/"}, s.To+"/", s.Exclude
		return t
	}
	t.names = []string{string(s.Path)}
	for _, e := range s.Exclude {
		t.exclude = append(t.exclude, below(string(s.Path), e)...)
	}
	return t
}

// plains are the transfers of the sources as they are, without the private key
// and what else has to stay here.
func (c *Config) plains(stays ...string) []transfer {
	list := make([]transfer, 0, len(c.Sources))
	for _, s := range c.Sources {
		t := plain(s)
		for _, name := range real(append(stays, string(c.Key))...) {
			rest, below := strings.CutPrefix(name, strings.TrimSuffix(string(s.Path), "/")+"/")
			switch {
			case !below && name != string(s.Path): // it is not in this source
			case t.to == "":
				t.exclude = append(t.exclude, special.ReplaceAllString(name, "[$0]"))
			default:
				t.exclude = append(t.exclude, "/"+special.ReplaceAllString(rest, "[$0]"))
			}
		}
		list = append(list, t)
	}
	return list
}

// real are files as they are named and, where that leads through links, as
// they lie.
func real(names ...string) []string {
	var list []string
	for _, name := range names {
		list = append(list, name)
		if r, err := filepath.EvalSymlinks(name); err == nil && r != name {
			list = append(list, r)
		}
	}
	return list
}

// encrypted is the transfer of a source through a view of the whole machine;
// name is the source's in it. What was excluded the view does not have.
func encrypted(s Source, v *gocryptfs.View, name string) transfer {
	return transfer{source: s, dir: v.Dir, names: append(gocryptfs.Companions(name), name), view: v}
}

// below makes of a pattern in a source ones from the root of the transfer,
// which with -R is the machine's. A pattern that could match the directories
// above the source would leave all of it out.
func below(source, pattern string) []string {
	source = strings.TrimSuffix(special.ReplaceAllString(source, "[$0]"), "/")
	if strings.HasPrefix(pattern, "/") {
		return []string{source + pattern}
	}
	return []string{source + "/" + pattern, source + "/**/" + pattern}
}

var special = regexp.MustCompile(`[*?\[\\]`)

// ignore makes of the patterns of a source ones of gitignore's, from the root of
// the view.
func ignore(s Source) []string {
	var list []string
	source := strings.TrimSuffix(gitSpecial.ReplaceAllString(string(s.Path), `\$0`), "/")
	for _, e := range s.Exclude {
		if strings.HasPrefix(e, "/") {
			list = append(list, source+e)
		} else {
			list = append(list, source+"/**/"+e)
		}
	}
	return list
}

var gitSpecial = regexp.MustCompile(`[*?\[\\]`)

// rsyncArgs is the rsync that sends a transfer.
func (c *Config) rsyncArgs(r *remote.Rsync, t transfer, p Place, known string, dryRun bool) []string {
	args := []string{"rsync", "-a"}
	if t.dir == "" {
		args = append(args, "-H")
		if r.ACLs {
			args = append(args, "-A")
		}
		if r.Xattrs { // security.* is the kernel's of the machine that has it
			args = append(args, "-X", "--filter=-x security.*")
		}
	}
	if t.to == "" {
		args = append(args, "-R")
	}
	if t.source.OneFileSystem {
		args = append(args, "-x")
	}
	if t.source.Path == "/" { // the volume's own
		args = append(args, "--filter=P /lost+found")
	}
	if c.Compress {
		args = append(args, "-z")
	}
	args = append(args, "--numeric-ids", "--no-devices", "--stats")
	if r.Early {
		args = append(args, "--progress")
	} else {
		args = append(args, "--info=progress2")
	}
	switch {
	case c.AppendOnly:
		args = append(args, "--ignore-existing")
	default:
		args = append(args, "--partial-dir="+partialDir)
	}
	if c.deletes() {
		args = append(args, "--delete", "--force", "--max-delete="+strconv.Itoa(c.maxDelete()))
	}
	if c.BWLimit != "" {
		limit := string(c.BWLimit)
		if r.Early {
			limit = strconv.FormatInt(c.BWLimit.kib(), 10)
		}
		args = append(args, "--bwlimit="+limit)
	}
	if dryRun {
		args = append(args, "--dry-run", "--itemize-changes")
	}
	for _, e := range t.exclude {
		args = append(args, "--exclude="+e)
	}
	args = append(args, "-e", remote.Shell(c.ssh(p.Port, known).Args()), "--")
	for _, n := range t.names {
		if t.dir != "" { // relative names, which may begin with anything
			n = "./" + n
		}
		args = append(args, n)
	}
	host := p.Host
	if ip := net.ParseIP(host); ip != nil && strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return append(args, fmt.Sprintf("%s@%s:%s", c.Host, host, t.to))
}
