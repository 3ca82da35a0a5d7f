//go:build e2e

package e2e

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var hostScript = regexp.MustCompile("(?s)```sh\n(#!/bin/sh\n.*?)```")

// TestReceiveDocs runs the script that docs/hosts.md gives people for their
// servers, against the server that it is for.
func TestReceiveDocs(t *testing.T) {
	t.Parallel()
	doc, err := os.ReadFile(filepath.Join(moduleRoot(t), "docs", "hosts.md"))
	if err != nil {
		t.Fatal(err)
	}
	found := hostScript.FindSubmatch(doc)
	if found == nil {
		t.Fatal("docs/hosts.md has no script")
	}
	for _, shell := range []string{"dash", "bash"} {
		t.Run(shell, func(t *testing.T) {
			t.Parallel()
			r := newReceiver(t, nil)
			a, src := r.hosts["a"], t.TempDir()
			for _, f := range []string{"etc/one", "home/two words"} {
				if err := os.MkdirAll(filepath.Dir(filepath.Join(src, f)), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(src, f), []byte(f), 0o640); err != nil {
					t.Fatal(err)
				}
			}
			known, err := os.ReadFile(filepath.Join(r.dir, "known"))
			if err != nil {
				t.Fatal(err)
			}
			_, key, _ := strings.Cut(string(known), " ")
			file := filepath.Join(r.dir, "mayfly_known_hosts")
			write := func(line string) {
				if err := os.WriteFile(file, []byte(line), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			script := string(found[1])
			for old, now := range map[string]string{
				"web@backup.example.com": "web@127.0.0.1", "ssh -p 2222": "ssh -F none -b " + a.from + " -p " + a.port,
				"~/.ssh/id_ed25519": a.key, "~/.ssh/mayfly_known_hosts": file, "/home/me": src, "/etc /home": src + "/etc " + src + "/home", "+ 7200": "+ 0",
			} {
				if !strings.Contains(script, old) {
					t.Errorf("the script has no %s", old)
				}
				script = strings.ReplaceAll(script, old, now)
			}
			write("hosts " + key)
			a.run(shell, "-c", script).ok(t)
			if got, err := os.ReadFile(filepath.Join(a.dir, "home", "two words")); err != nil || string(got) != "home/two words" {
				t.Errorf("%q, %v", got, err)
			}
			if !strings.Contains(r.log.String(), "done") {
				t.Errorf("it has not said done: %s", r.log)
			}
			// Another machine has the address.
			write("hosts ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFSJiuN/a02ynrvN7q4MHjqj7f2FWzcbyiD5spRlCdGa\n")
			a.run(shell, "-c", script).refused(t, "Host key verification failed")
		})
	}
}
