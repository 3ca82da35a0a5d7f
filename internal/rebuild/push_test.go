package rebuild_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-git/go-git/v5/plumbing"

	"mayfly/internal/gittest"
	"mayfly/internal/rebuild"
)

func target(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "target.git")
	git(t, "", "init", "--quiet", "--bare", dir)
	return dir
}

func TestPush(t *testing.T) {
	t.Parallel()
	for _, kind := range gittest.Kinds() {
		if kind == gittest.SHA256 || kind == gittest.Shallow {
			continue
		}
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			from := source(t, kind)
			for _, checkout := range []bool{false, true} {
				r, _ := filled(t, rebuild.Options{Git: findGit(t), Checkout: checkout}, from)
				to := target(t)
				var progress bytes.Buffer
				if err := r.Push(t.Context(), to, &progress); err != nil {
					t.Fatal(err)
				}
				var want []string
				_, refs := state(t, from)
				for _, ref := range refs {
					if !strings.HasPrefix(ref.Name().String(), "refs/pull/") {
						want = append(want, ref.Hash().String()+" "+ref.Name().String())
					}
				}
				if got := git(t, to, "for-each-ref", "--format=%(objectname) %(refname)"); got != strings.Join(want, "\n") {
					t.Errorf("the target has\n%s\nnot\n%s", got, strings.Join(want, "\n"))
				}
				if want != nil && !strings.Contains(progress.String(), "objects") {
					t.Errorf("the progress is %q", progress.String())
				}
				git(t, to, "fsck", "--full")
				if want == nil {
					continue
				}
				err := r.Push(t.Context(), to, nil)
				if err == nil || !strings.Contains(err.Error(), "not empty") {
					t.Errorf("pushed again: %v", err)
				}
			}
		})
	}
}

func TestPushRefuses(t *testing.T) {
	t.Parallel()
	from := source(t, gittest.Normal)
	to := target(t)
	r, _ := filled(t, rebuild.Options{}, from)
	if err := r.Push(t.Context(), to, nil); !errors.Is(err, rebuild.ErrNoGit) {
		t.Errorf("without git: %v", err)
	}
	r, _ = filled(t, rebuild.Options{Git: findGit(t)}, from)
	if err := r.Push(t.Context(), filepath.Join(t.TempDir(), "nowhere"), nil); err == nil {
		t.Error("pushed to nowhere")
	}
	if err := r.Push(t.Context(), "--upload-pack=touch owned", nil); err == nil {
		t.Error("pushed to an option")
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	enough := errors.New("enough")
	cancel(enough)
	if err := r.Push(ctx, to, nil); !errors.Is(err, enough) {
		t.Errorf("cancelled: %v", err)
	}
	git(t, to, "fetch", "--quiet", "--no-tags", from, "main:other")
	if err := r.Push(t.Context(), to, nil); err == nil || !strings.Contains(err.Error(), "not empty") {
		t.Errorf("the target has a branch: %v", err)
	}
	if out := git(t, to, "for-each-ref", "--format=%(refname)"); out != "refs/heads/other" {
		t.Errorf("the target has %q", out)
	}
}

// A credential would stand in the list of processes; it is in no error either.
func TestPushURL(t *testing.T) {
	t.Parallel()
	r, _ := empty(t, rebuild.Options{})
	if err := r.SetRefs(nil, []*plumbing.Reference{named("refs/heads/main", plumbing.NewHash(strings.Repeat("ab", 20)))}); err != nil {
		t.Fatal(err)
	}
	for url, refused := range map[string]bool{
		"https://github.com/octocat/hello.git":                false,
		"ssh://git@github.com/octocat/hello.git":              false,
		"git+ssh://git@github.com/octocat/hello.git":          false,
		"git@github.com:octocat/hello.git":                    false,
		"git@github.com:octocat/a@b.git":                      false,
		"/srv/git/a:b@c.git":                                  false,
		"../hello.git":                                        false,
		"https://s3cret@github.com/octocat/hello.git":         true,
		"https://x-access-token:s3cret@github.com/o/h.git":    true,
		"https://me:s3cret@ssword@github.com/o/h.git":         true,
		"http://me:s3cret@[::1]:8080/":                        true,
		"HTTPS://s3cret@github.com":                           true,
		"ssh://git:s3cret@github.com/octocat/hello.git":       true,
		"me:s3cret@github.com:octocat/hello.git":              true,
		"https://s3cret@github.com?x":                         true,
		"https://github.com/o/h.git?access_token=s3cret":      true,
		"https://github.com/o/h.git#s3cret":                   true,
		"https://me:s3/cret@github.com/o/h.git":               true,
		"https://me:s3?cret@github.com/o/h.git":               true,
		"https://me%3As3cret%40github.com/o/h.git":            true,
		"https:/me:s3cret@github.com/o/h.git":                 true,
		"https:/s3cret@github.com/o/h.git":                    true,
		"me:s3/cret@github.com:o/h.git":                       true,
		"ssh://me:s3/cret@github.com/o/h.git":                 true,
		"https:///s3cret":                                     true,
		"file:///srv/git/a@b?c.git":                           false,
		"https://[::1]:8443/o/h.git":                          false,
		"foo::https://me:s3cret@github.com/octocat/hello.git": true,
	} {
		err := r.Push(t.Context(), url, nil)
		if strings.Contains(err.Error(), "s3cret") {
			t.Errorf("the error shows it: %v", err)
		}
		if errors.Is(err, rebuild.ErrNoGit) == refused || (rebuild.CheckURL(url) != nil) != refused {
			t.Errorf("%s: %v", url, err)
		}
	}
}

// The user's configuration counts, but for hooks on this side; what binds git
// to another repository does not.
func TestPushConfiguration(t *testing.T) {
	t.Parallel()
	home, to, from := t.TempDir(), target(t), source(t, gittest.Normal)
	hook := filepath.Join(home, "hooks", "pre-push")
	ran := filepath.Join(home, "ran")
	for path, text := range map[string]string{
		hook:                              "#!/bin/sh\ntouch " + ran + "\n",
		filepath.Join(home, ".gitconfig"): "[core]\n\thooksPath = " + filepath.Dir(hook) + "\n[url \"" + to + "\"]\n\tpushInsteadOf = backup:\n\tinsteadOf = backup:\n",
	} {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	r, _ := filled(t, rebuild.Options{Git: findGit(t), Env: append(os.Environ(), "HOME="+home, "XDG_CONFIG_HOME="+home,
		"GIT_DIR="+home, "GIT_WORK_TREE="+home, "GIT_OBJECT_DIRECTORY="+home, "GIT_NAMESPACE=elsewhere", "GIT_INDEX_FILE="+home)}, from)
	if err := r.Push(t.Context(), "backup:", nil); err != nil {
		t.Fatal(err)
	}
	if got, want := git(t, to, "show-ref"), git(t, from, "show-ref"); got != want {
		t.Errorf("the target has\n%s\nnot\n%s", got, want)
	}
	if _, err := os.Lstat(ran); err == nil {
		t.Error("the hook ran")
	}
}
