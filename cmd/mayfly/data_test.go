package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"mayfly/internal/githubtest"
	"mayfly/internal/gittest"
)

// history fills a store as three weekly runs do: history DIR. In the second
// week a branch of octo/hello-world is deleted and another one moves; its wiki
// comes in the third. octo/other never changes, octo/nothing is empty. The
// sources are left in DIR-sources.
func history(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: history DIR")
	}
	sources := ts.MkAbs(args[0] + "-sources")
	hub := githubtest.New(githubtest.Options{Dir: sources, Login: "octo"})
	url, err := hub.Listen()
	ts.Check(err)
	defer hub.Close()
	for name, kind := range map[string]gittest.Kind{"hello-world": gittest.Normal, "other": gittest.OddTags, "nothing": gittest.Empty} {
		ts.Check(gittest.Repo(hub.Git.Dir("octo/"+name), kind))
	}
	hello := hub.Git.Dir("octo/hello-world")
	git := func(args ...string) {
		_, err := gittest.Git(hello, args...)
		ts.Check(err)
	}
	config := ts.MkAbs(args[0] + ".yaml")
	ts.Check(os.WriteFile(config, []byte(fmt.Sprintf(
		"name: demo\nstore: file://%s\njobs:\n  - name: github\n    github: {url: %q, owners: [octo], full: {share: 100}}\n", filepath.ToSlash(ts.MkAbs(args[0])), url)), 0o644))
	weeks := []func(){
		func() {},
		func() {
			git("update-ref", "-d", "refs/heads/topic/two")
			git("update-ref", "refs/heads/topic/one", "main")
		},
		func() { ts.Check(gittest.Repo(hub.Git.Dir("octo/hello-world.wiki"), gittest.Wiki)) },
	}
	for i, change := range weeks {
		change()
		var out bytes.Buffer
		a := &app{
			stdin: strings.NewReader(""), stdout: &out, stderr: &out, hostname: "vm",
			getenv: func(name string) string { return map[string]string{"GOMEMLIMIT": "off"}[name] },
			now:    func() time.Time { return scriptNow.AddDate(0, 0, 7*(i-3)) },
		}
		if code := a.main(context.Background(), []string{"run", "--quiet", "-c", config}); code != 0 {
			ts.Fatalf("week %d: exit code %d\n%s", i+1, code, &out)
		}
	}
}

// spoil changes one byte in the middle of a file: spoil FILE.
func spoil(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: spoil FILE")
	}
	file := ts.MkAbs(args[0])
	b, err := os.ReadFile(file)
	ts.Check(err)
	b[len(b)/2] ^= 4
	ts.Check(os.WriteFile(file, b, 0o600))
}

// again runs once more, a week later, against what history has left: again DIR.
// What the run prints is the output.
func again(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: again DIR")
	}
	hub := githubtest.New(githubtest.Options{Dir: ts.MkAbs(args[0] + "-sources"), Login: "octo"})
	url, err := hub.Listen()
	ts.Check(err)
	defer hub.Close()
	config := ts.MkAbs(args[0] + ".yaml")
	text := regexp.MustCompile(`url: "[^"]*"`).ReplaceAllLiteralString(ts.ReadFile(config), fmt.Sprintf("url: %q", url))
	ts.Check(os.WriteFile(config, []byte(text), 0o644))
	a := &app{
		stdin: strings.NewReader(""), stdout: ts.Stdout(), stderr: ts.Stderr(), hostname: "vm",
		getenv: func(name string) string { return map[string]string{"GOMEMLIMIT": "off"}[name] },
		now:    func() time.Time { return scriptNow },
	}
	if code := a.main(context.Background(), []string{"run", "--quiet", "-c", config}); code != 0 {
		ts.Fatalf("exit code %d", code)
	}
}
