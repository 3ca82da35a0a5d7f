package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

var (
	yamlBlock = regexp.MustCompile("(?s)```yaml\n(.*?)```")
	command   = regexp.MustCompile("(?m)(?:^|`)(mayfly [a-z][^`\n>#]*)")
)

// TestHosts checks what docs/hosts.md shows: every command exists, and the
// options of ssh are those that deploy prints.
func TestHosts(t *testing.T) {
	t.Parallel()
	doc, err := os.ReadFile("../../docs/hosts.md")
	if err != nil {
		t.Fatal(err)
	}
	commandsExist(t, doc)
	for o := range strings.FieldsSeq(sshCommand("hosts", 2222)) {
		if strings.Contains(o, "=") && !strings.Contains(o, "~") && !bytes.Contains(doc, []byte("-o "+o)) {
			t.Errorf("it does not have the option %s", o)
		}
	}
}

// TestByHand checks what docs/by-hand.md shows: the config is good, and every
// command exists, with its flags.
func TestByHand(t *testing.T) {
	t.Parallel()
	doc, err := os.ReadFile("../../docs/by-hand.md")
	if err != nil {
		t.Fatal(err)
	}
	config := yamlBlock.FindSubmatch(doc)
	if config == nil {
		t.Fatal("it shows no config")
	}
	configIsGood(t, string(config[1]))
	if n := commandsExist(t, doc); n < 8 {
		t.Errorf("only %d commands are found in it", n)
	}
}

// commandsExist checks that every mayfly command that doc shows exists, with
// its flags, and returns how many there are.
func commandsExist(t *testing.T, doc []byte) int {
	t.Helper()
	a := &app{getenv: func(string) string { return "" }}
	commands := command.FindAllSubmatch(doc, -1)
	for _, c := range commands {
		found, rest, err := a.root().Find(strings.Fields(string(c[1]))[1:])
		if err == nil {
			err = found.ParseFlags(rest)
		}
		if err != nil || !found.Runnable() {
			t.Errorf("%s: %v", c[1], err)
		}
	}
	return len(commands)
}

// TestCookbook checks what docs/cookbook.md, docs/directories.md and the README
// show of commands and directories:
// the configs are good, and their policies ones that AWS takes. The end-to-end
// suite runs those of the cookbook.
func TestCookbook(t *testing.T) {
	t.Parallel()
	var configs []string
	for _, name := range []string{"cookbook", "directories", "hosts"} {
		doc, err := os.ReadFile("../../docs/" + name + ".md")
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range yamlBlock.FindAllSubmatch(doc, -1) {
			configs = append(configs, string(m[1]))
		}
	}
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range yamlBlock.FindAllSubmatch(readme, -1) {
		if strings.HasPrefix(string(m[1]), "jobs:\n") {
			configs = append(configs, "name: readme\nregion: eu-west-1\nstore: s3://backups\n"+string(m[1]))
		}
	}
	if len(configs) < 10 {
		t.Fatalf("only %d configs are found", len(configs))
	}
	for _, config := range configs {
		configIsGood(t, config)
	}
}

// configIsGood checks that a config passes check, and that its policy is one
// that AWS takes.
func configIsGood(t *testing.T, config string) {
	t.Helper()
	for _, args := range [][]string{{"check", "-c", "-"}, {"iam", "--policy", "--account", "123456789012", "-c", "-"}} {
		var out bytes.Buffer
		a := &app{stdin: strings.NewReader(config), stdout: &out, stderr: &out, getenv: func(string) string { return "" }, now: func() time.Time { return scriptNow }}
		if code := a.main(t.Context(), args); code != exitComplete {
			t.Errorf("mayfly %s: exit code %d: %s\n%s", args, code, &out, config)
		}
	}
}

// TestHandMade checks what docs/hand-made shows: the configs are good, and the
// commands exist.
func TestHandMade(t *testing.T) {
	t.Parallel()
	pages, err := filepath.Glob("../../docs/hand-made/*.md")
	if err != nil || len(pages) != 4 {
		t.Fatalf("%d pages, %v", len(pages), err)
	}
	configs := 0
	for _, page := range pages {
		doc, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		commandsExist(t, doc)
		for _, m := range yamlBlock.FindAllSubmatch(doc, -1) {
			if bytes.HasPrefix(m[1], []byte("name:")) {
				configs++
				configIsGood(t, string(m[1]))
			}
		}
	}
	if configs < 3 {
		t.Errorf("only %d configs are found", configs)
	}
}
