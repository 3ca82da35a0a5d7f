// Package gittest makes git repositories and serves them over smart HTTP as
// GitHub does, with faults that a caller switches on. Git itself answers
// (git http-backend); only the faults are ours. It needs the git command and
// works without the testing package: the demo and the benchmark use it too.
package gittest

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
)

// Env returns the environment for git commands whose results do not depend
// on the machine: no configuration but the repository's, fixed author and
// dates, no prompts, loopback proxies off.
func Env() []string {
	const who, mail, when = "Ada Example", "ada@example.com", "1700000000 +0000"
	return []string{
		"PATH=" + os.Getenv("PATH"),
		"HOME=" + os.DevNull,
		"LC_ALL=C",
		"GIT_CONFIG_NOSYSTEM=1",
		"GIT_CONFIG_GLOBAL=" + os.DevNull,
		"GIT_TERMINAL_PROMPT=0",
		"GIT_AUTHOR_NAME=" + who, "GIT_AUTHOR_EMAIL=" + mail, "GIT_AUTHOR_DATE=" + when,
		"GIT_COMMITTER_NAME=" + who, "GIT_COMMITTER_EMAIL=" + mail, "GIT_COMMITTER_DATE=" + when,
		"NO_PROXY=*",
	}
}

// Git runs git in dir ("" is the current one) and returns its output without
// the final newline. The error holds what git said.
func Git(dir string, args ...string) (string, error) {
	return GitInput(dir, nil, args...)
}

// GitInput is Git with standard input.
func GitInput(dir string, in io.Reader, args ...string) (string, error) {
	cmd := exec.Command("git", args...)
	cmd.Dir, cmd.Env, cmd.Stdin = dir, Env(), in
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("git %s in %s: %w: %s", strings.Join(args, " "), dir, err, strings.TrimSpace(said.String()))
	}
	return strings.TrimSuffix(out.String(), "\n"), nil
}
