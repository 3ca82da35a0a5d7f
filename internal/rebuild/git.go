package rebuild

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unicode"

	"github.com/go-git/go-git/v5/plumbing"
)

// oldestGit is the first git that GIT_CONFIG_GLOBAL keeps from reading the
// user's configuration (git's RelNotes/2.32.0.txt): with an older one, a
// filter configured there would run on what is checked out. Everything else
// that is asked of git is older.
const oldestGit = "2.32"

var gitVersion = regexp.MustCompile(`^git version (\d+)\.(\d+)`)

// FindGit returns the path of the git on PATH, "" when there is none that
// works or it is older than 2.32.
func FindGit(ctx context.Context) string {
	path, err := exec.LookPath("git")
	if err != nil {
		return ""
	}
	g := &git{path: path, env: closedEnv(os.Environ(), "")}
	// On a Mac without developer tools /usr/bin/git is there, and fails.
	said, err := g.run(ctx, nil, "version")
	if err != nil || !recent(said) {
		return ""
	}
	return path
}

func recent(version string) bool {
	m := gitVersion.FindStringSubmatch(version)
	if m == nil {
		return false
	}
	major, _ := strconv.Atoi(m[1])
	minor, _ := strconv.Atoi(m[2])
	return major > 2 || major == 2 && minor >= 32
}

// git is the engine that has the system's git do the work.
type git struct {
	path string
	dir  string // GIT_DIR; naming it, git neither looks for others nor asks who owns it
	env  []string
}

// closedEnv is an environment in which git knows of this repository only,
// reads no configuration but the repository's own, and asks nobody anything.
func closedEnv(from []string, gitDir string) []string {
	env := without(from, func(name string) bool { return strings.HasPrefix(name, "GIT_") })
	if gitDir != "" {
		env = append(env, "GIT_DIR="+gitDir)
	}
	return append(env,
		"GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_ATTR_NOSYSTEM=1",
		"GIT_NO_REPLACE_OBJECTS=1", "GIT_NO_LAZY_FETCH=1", "GIT_TERMINAL_PROMPT=0", "LC_ALL=C")
}

// without returns env but for the variables to drop. Windows does not care
// for the case of their names.
func without(env []string, drop func(name string) bool) []string {
	kept := make([]string, 0, len(env))
	for _, v := range env {
		name, _, _ := strings.Cut(v, "=")
		if !drop(strings.ToUpper(name)) {
			kept = append(kept, v)
		}
	}
	return kept
}

// settings go before every subcommand. There are no hooks, and none of the
// files that git would believe more than the objects.
func settings() []string {
	var args []string
	for _, s := range []string{
		"core.hooksPath=" + os.DevNull, "core.fsmonitor=false", "core.attributesFile=" + os.DevNull,
		"core.commitGraph=false", "core.multiPackIndex=false",
		"core.fsync=all", "core.fsyncMethod=fsync", // since 2.36; packs were synced before, too
		"core.protectNTFS=true", "core.protectHFS=true",
	} {
		args = append(args, "-c", s)
	}
	return args
}

// command is git with the settings. Cancelling ctx ends it, by force if need
// be.
func (g *git) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, g.path, append(settings(), args...)...)
	cmd.Env, cmd.Dir = g.env, g.dir
	cmd.Cancel = func() error {
		if cmd.Process.Signal(syscall.SIGTERM) != nil { // as on Windows, always
			return cmd.Process.Kill()
		}
		return nil
	}
	cmd.WaitDelay = 3 * time.Second
	return cmd
}

// run runs git and returns what it wrote to standard output.
func (g *git) run(ctx context.Context, stdin io.Reader, args ...string) (string, error) {
	cmd := g.command(ctx, args...)
	var out bytes.Buffer
	said := new(tail)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, &out, said
	err := cmd.Run()
	return out.String(), explain(ctx, err, said, args[0])
}

// explain makes git's exit status and last words an error.
func explain(ctx context.Context, err error, said *tail, subcommand string) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case said.String() == "":
		return fmt.Errorf("git %s: %w", subcommand, err)
	}
	return fmt.Errorf("git %s: %w: %s", subcommand, err, said)
}

// addPack implements engine. The pack goes through a pipe into index-pack,
// which computes ids, appends the bases that a thin pack lacks, and syncs.
func (g *git) addPack(ctx context.Context, in *input) error {
	cmd := g.command(ctx, "index-pack", "--stdin", "--fix-thin")
	said := new(tail)
	cmd.Stderr = said
	pipe, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	fed := make(chan struct{})
	go func() {
		defer close(fed)
		io.Copy(pipe, in) // its failures are in, or git's to tell
		pipe.Close()
	}()
	err = cmd.Wait()
	if err != nil {
		in.stop()
	}
	<-fed
	return explain(ctx, err, said, "index-pack")
}

// connected implements engine with the walk that git itself trusts after a
// fetch (connected.c). It knows trees and commits by reading them, blobs by
// their being there. Tips go through a pipe: an argument list has its limits.
func (g *git) connected(ctx context.Context, tips []plumbing.Hash) error {
	var in bytes.Buffer
	for _, id := range tips {
		in.WriteString(id.String() + "\n")
	}
	_, err := g.run(ctx, &in, "rev-list", "--objects", "--quiet", "--stdin")
	return err
}

// tailSize is how much is kept of what git says.
const tailSize = 4 << 10

// A tail keeps the last of what is written to it.
type tail struct{ text []byte }

func (t *tail) Write(p []byte) (int, error) {
	t.text = append(t.text, p...)
	if over := len(t.text) - tailSize; over > 0 {
		t.text = append(t.text[:0], t.text[over:]...)
	}
	return len(p), nil
}

// String is what was kept, on one line, without progress. A server can have git
// say things, so nothing in it controls a terminal.
func (t *tail) String() string {
	lines := strings.FieldsFunc(string(t.text), func(r rune) bool { return r == '\n' || r == '\r' })
	lines = slices.DeleteFunc(lines, func(l string) bool { return strings.Contains(l, "% (") })
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, strings.Join(lines, "; "))
}
