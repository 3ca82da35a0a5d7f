package command

import (
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"mayfly/runner"
)

// Preview says what would be run, as whom and where.
func (j *job) Preview(_ context.Context, out io.Writer) error {
	c := j.config
	var b strings.Builder
	say := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	switch {
	case len(c.Argv) > 0:
		say("would run the program %s", words(c.Argv))
	case c.Script != "":
		sum := ""
		if c.SHA256 != "" {
			sum = " if its SHA-256 is " + c.SHA256
		}
		say("would fetch %s and run it%s", c.Script, sum)
	default:
		say("would run the script")
		for line := range strings.Lines(c.Run) {
			say("  | %s", plain(strings.TrimRight(line, "\r\n")))
		}
	}
	if len(c.Args) > 0 {
		say("with the arguments %s", words(c.Args))
	}
	who, problem := j.account(j.confined())
	if problem != nil {
		return problem
	}
	where := "in an empty directory that is removed afterwards"
	if c.Dir != "" {
		where = "in " + c.Dir
	}
	say("as %s, %s", who, where)
	if !j.env.Instance && !c.AWS && c.User == "" {
		say("(on an instance as an unprivileged user, kept from the role's credentials)")
	}
	if names := slices.Sorted(maps.Keys(c.Env)); len(names) > 0 {
		say("with the variables %s", strings.Join(names, ", "))
	}
	for what, m := range map[string][]string{
		"with the secret variables": slices.Sorted(maps.Keys(c.Secrets)),
		"with the secret files":     slices.Sorted(maps.Keys(c.SecretFiles)),
	} {
		if len(m) > 0 {
			say("%s %s", what, strings.Join(m, ", "))
		}
	}
	if c.Memory > 0 {
		say("with at most %s of memory", c.Memory)
	}
	if len(c.Packages) > 0 {
		say("needs the packages %s, which an instance installs first", strings.Join(c.Packages, ", "))
	}
	if c.AWS {
		say("with the credentials that mayfly has")
	}
	if len(c.Allow) > 0 {
		say("on an instance its role is allowed more: %s", c.allowed())
	}
	if c.Artifacts != "" {
		say("would then keep the files below %s as %s", c.Artifacts, j.env.Store.URL(j.prefix()+"..."))
	}
	if _, err := io.WriteString(out, b.String()); err != nil {
		return err
	}
	return j.ready()
}

// ready says why the command could not even be started here, as far as that is
// known before.
func (j *job) ready() error {
	c := j.config
	if c.Memory > 0 {
		if err := limits(); err != nil {
			return err
		}
	}
	if c.Dir != "" {
		if fi, err := os.Stat(c.Dir); err != nil {
			return fmt.Errorf("dir: %w: make it, or name another", err)
		} else if !fi.IsDir() {
			return fmt.Errorf("dir: %s is no directory: name one", c.Dir)
		}
	}
	by := c.Argv
	if c.Run != "" || len(c.Shell) > 0 {
		var err error
		if by, err = runBy(c.Shell, []byte(c.Run)); err != nil {
			return err
		}
	}
	// What is looked for in an empty directory, the command has to make.
	if len(by) == 0 || c.Dir == "" && strings.Contains(by[0], "/") && !filepath.IsAbs(by[0]) {
		return nil
	}
	search := c.Env["PATH"]
	if search == "" {
		search = j.env.Getenv("PATH")
	}
	if search == "" {
		search = defaultPath
	}
	_, err := find(by[0], c.Dir, search)
	return err
}

// words are arguments as a shell would take them.
func words(list []string) string {
	var out []string
	for _, w := range list {
		out = append(out, word(runner.OneLine(w, 200)))
	}
	return strings.Join(out, " ")
}

// word spells s as one word of sh.
func word(s string) string {
	if s != "" && strings.TrimLeft(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._:=@%+,-") == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
