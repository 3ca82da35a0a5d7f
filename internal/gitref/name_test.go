package gitref

import (
	"os/exec"
	"testing"
)

// Git itself says which names it allows.
func TestCheckName(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		"refs/heads/main", "refs/heads/-x", "refs/heads/a/b", "refs/x", "refs/heads/@", "refs/heads/é",
		"refs/heads/caf\xe9", "refs/heads/it's", "refs/heads/$(id)", "refs/heads/a;b", `refs/heads/a"b`, "refs/heads/a<b>&c",
		"refs/heads/{a}", "refs/heads/a@", "refs/heads/!", "refs/heads/a.b", "refs/heads/a.lockx",
		"refs/", "refs//x", "refs/heads/", "refs/heads/.a", "refs/heads/a.", "refs/heads/a..b", "refs/heads/a.lock",
		"refs/heads/a.lock/b", "refs/heads/a@{b", "refs/heads/a b", "refs/heads/a~b", "refs/heads/a^b", "refs/heads/a:b",
		"refs/heads/a?b", "refs/heads/a*b", "refs/heads/a[b", `refs/heads/a\b`, "refs/heads/a\x7fb", "refs/heads/a\tb",
		"refs/heads/a\rb", "refs/heads/a\nb",
	} {
		git := exec.Command("git", "check-ref-format", name).Run() == nil
		if err := CheckName(name); (err == nil) != git {
			t.Errorf("git allows %q: %v; CheckName: %v", name, git, err)
		}
	}
	for _, name := range []string{"main", "HEAD", "heads/main", "/refs/heads/x"} { // git allows some, but a server sends none
		if CheckName(name) == nil {
			t.Errorf("CheckName allows %q", name)
		}
	}
}
