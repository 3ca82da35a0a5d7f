// Package rsyncargs reads the command line that an rsync client sends for its
// server side, and says what of it may be run. The list of options is an
// allow-list, after rrsync's, which comes with rsync. It is the first of two
// walls: whatever passes here runs in a jail all the same (internal/jail).
package rsyncargs

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// A Policy is what one host may do.
type Policy struct {
	// Root is the path that the host's directory has for its users, "/mnt/c":
	// absolute paths are taken if they are below it. "" takes none.
	Root string
	// Dir is the same directory's path where rsync will run: "/data".
	Dir string
	// Pull lets the host read its files back.
	Pull bool
	// ReadOnly lets it do nothing else.
	ReadOnly bool
	// AppendOnly refuses what deletes or overwrites, and makes the server skip
	// files that are there already. Stock clients then do no harm; against
	// others the jail must hold files that are there.
	AppendOnly bool
	// Scratch is the directory where files grow until they are whole, with
	// AppendOnly.
	Scratch string
}

// A Command is what may be run.
type Command struct {
	Push bool // the client sends; otherwise it reads
	// DryRun says that nothing is to be changed (-n, --only-write-batch).
	DryRun bool
	// Old says that the client's rsync is from before 3.0, or speaks as one
	// (openrsync does): it sends no -e (maybe_add_e_option in rsync's options.c),
	// and such a client does not say in a push which files it could not read.
	Old bool
	// Options are rsync's, "--server" and "--sender" among them.
	Options []string
	Paths   []Path
}

// A Path is relative to the host's directory, clean but for a slash at its end,
// which means something to rsync. It never is empty.
type Path struct {
	Name string
	// Pattern is for path.Match, "" where there is no wildcard; where nothing
	// matches, Name counts.
	Pattern string
}

// A Refusal says what of a command line is not allowed, and what to do.
type Refusal struct{ Reason string }

func (r *Refusal) Error() string { return r.Reason }

func refusef(format string, a ...any) error { return &Refusal{fmt.Sprintf(format, a...)} }

// Is reports whether the command line asks for rsync's server side at all.
func Is(line string) bool { return line == "rsync" || strings.HasPrefix(line, "rsync ") }

// Parse reads a command line. With -s (--secluded-args, --protect-args) the
// client sends the rest of it on its standard input: then more is called, once,
// for these words (ReadSecluded). What is run has no -s.
func Parse(line string, p Policy, more func() ([]string, error)) (*Command, error) {
	words, err := split(line)
	if err != nil {
		return nil, refusef("%v", err)
	}
	if len(words) < 2 || words[0].text != "rsync" || words[1].text != "--server" {
		return nil, refusef("only rsync's own server side is run, as 'rsync --server …': leave --rsync-path away")
	}
	c := &Command{Push: true, Old: true, Options: []string{"--server"}}
	words = words[2:]
	if len(words) > 0 && words[0].text == "--sender" {
		c.Push = false
		c.Options = append(c.Options, "--sender")
		words = words[1:]
		if !p.Pull {
			return nil, refusef("this host may only push: set pull: true for it in mayfly's config to restore")
		}
	}
	if c.Push && p.ReadOnly {
		return nil, refusef("this key may only read: it is for getting files back")
	}
	if secluded(words) {
		rest, err := more()
		if err != nil {
			return nil, refusef("read the arguments that -s (--secluded-args) announces: %v: leave -s away", err)
		}
		for _, w := range rest {
			words = append(words, word{text: w, pattern: w, tilde: strings.HasPrefix(w, "~")})
		}
	}
	r := reader{Command: c, policy: p}
	if err := r.read(words); err != nil {
		return nil, err
	}
	return c, nil
}

// secluded reports whether a bundle of letters has an s before its e.
func secluded(words []word) bool {
	return slices.ContainsFunc(words, func(w word) bool {
		m := bundle.FindStringSubmatch(w.text)
		return m != nil && strings.Contains(m[1], "s")
	})
}

var (
	// bundle is letters, and at its end -e with what the client can do:
	// "-vlogDtpre.iLsfxCIvu".
	bundle    = regexp.MustCompile(`^-([A-DF-Za-df-zE]+)?(e[0-9]*\.[A-Za-z0-9]*)?$`)
	withValue = regexp.MustCompile(`^-(B[0-9]{1,10}|@-?[0-9]{1,10})$`)
)

type reader struct {
	*Command
	policy  Policy
	options []option // with paths, which depend on what comes later
}

type option struct{ name, path string }

func (r *reader) read(words []word) error {
	for len(words) > 0 && words[0].text != "." {
		used, err := r.option(words)
		if err != nil {
			return err
		}
		words = words[used:]
	}
	if len(words) == 0 {
		return refusef("the command line has no '.' before its paths: is that a stock rsync?")
	}
	if err := r.paths(words[1:]); err != nil {
		return err
	}
	for _, o := range r.options {
		p, err := r.optionPath(o)
		if err != nil {
			return err
		}
		r.Options = append(r.Options, "--"+o.name+"="+p)
	}
	if r.Push && r.policy.AppendOnly {
		r.Options = append(r.Options, "--ignore-existing")
		if r.policy.Scratch != "" && !r.DryRun {
			r.Options = append(r.Options, "--temp-dir="+r.policy.Scratch)
		}
	}
	return nil
}

// option takes one option, and says of how many words it was.
func (r *reader) option(words []word) (used int, err error) {
	text := words[0].text
	if withValue.MatchString(text) {
		r.Options = append(r.Options, text)
		return 1, nil
	}
	name, isLong := strings.CutPrefix(text, "--")
	if !isLong {
		return 1, r.letters(text)
	}
	name, value, has := strings.Cut(name, "=")
	rule, known := long[name]
	if !known {
		return 0, r.unknown("--"+name, name)
	}
	switch {
	case rule.side == pushOnly && !r.Push || rule.side == pullOnly && r.Push:
		return 0, refusef("the option --%s means nothing in this direction: leave it away", name)
	case r.Push && r.policy.AppendOnly && rule.append == refuse:
		return 0, refusef("the option --%s can delete or overwrite, and this host is append_only: leave it away", name)
	}
	takes := rule.path || rule.value != nil
	if has && !takes {
		return 0, refusef("the option --%s takes no value", name)
	}
	used = 1
	if takes && !has {
		if len(words) < 2 {
			return 0, refusef("the option --%s lacks its value", name)
		}
		value, used = words[1].text, 2
	}
	switch {
	case rule.path:
		r.options = append(r.options, option{name, value})
	case takes && !rule.value.MatchString(value):
		if w := why[name]; w != "" {
			return 0, refusef("--%s %s: %s", name, clip(value), w)
		}
		return 0, refusef("the value of --%s is not taken here: %s", name, clip(value))
	case takes:
		r.Options = append(r.Options, "--"+name+"="+value)
	case r.Push && r.policy.AppendOnly && rule.append == drop:
	default:
		r.Options = append(r.Options, "--"+name)
	}
	r.DryRun = r.DryRun || name == "only-write-batch"
	return used, nil
}

// letters takes a bundle, without the s of -s.
func (r *reader) letters(text string) error {
	m := bundle.FindStringSubmatch(text)
	if m == nil || text == "-" {
		return r.unknown(clip(text), "")
	}
	for _, l := range m[1] {
		if !strings.ContainsRune(short, l) || l == 'b' && r.Push && r.policy.AppendOnly {
			return r.unknown("-"+string(l), string(l))
		}
		r.DryRun = r.DryRun || l == 'n'
	}
	r.Old = r.Old && m[2] == ""
	if kept := strings.ReplaceAll(m[1], "s", "") + m[2]; kept != "" {
		r.Options = append(r.Options, "-"+kept)
	}
	return nil
}

func (r *reader) unknown(shown, name string) error {
	if w := why[name]; w != "" {
		return refusef("the option %s is not allowed here: %s", shown, w)
	}
	return refusef("the option %s is not allowed here: leave it away", clip(shown))
}

// clip is text for a message: printable and short.
func clip(s string) string {
	if len(s) > 100 {
		s = s[:100] + "…"
	}
	for _, c := range s {
		if c < ' ' || c == 0x7f || c == 0xfffd {
			return fmt.Sprintf("%q", s)
		}
	}
	return s
}
