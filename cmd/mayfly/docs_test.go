package main

import (
	"bytes"
	"os"
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
	a := &app{getenv: func(string) string { return "" }}
	for _, c := range command.FindAllSubmatch(doc, -1) {
		found, rest, err := a.root().Find(strings.Fields(string(c[1]))[1:])
		if err == nil {
			err = found.ParseFlags(rest)
		}
		if err != nil {
			t.Errorf("%s: %v", c[1], err)
		}
	}
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
	var out bytes.Buffer
	a := &app{stdin: bytes.NewReader(config[1]), stdout: &out, stderr: &out, getenv: func(string) string { return "" }, now: func() time.Time { return scriptNow }}
	if code := a.main(t.Context(), []string{"check", "-c", "-"}); code != exitComplete {
		t.Errorf("mayfly check: exit code %d: %s", code, &out)
	}
	commands := command.FindAllSubmatch(doc, -1)
	if len(commands) < 8 {
		t.Errorf("only %d commands are found in it", len(commands))
	}
	for _, c := range commands {
		args := strings.Fields(string(c[1]))[1:]
		found, rest, err := a.root().Find(args)
		if err == nil {
			err = found.ParseFlags(rest)
		}
		if err != nil || !found.Runnable() {
			t.Errorf("%s: %v", c[1], err)
		}
	}
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
		for _, args := range [][]string{{"check", "-c", "-"}, {"iam", "--policy", "--account", "123456789012", "-c", "-"}} {
			var out bytes.Buffer
			a := &app{stdin: strings.NewReader(config), stdout: &out, stderr: &out, getenv: func(string) string { return "" }, now: func() time.Time { return scriptNow }}
			if code := a.main(t.Context(), args); code != exitComplete {
				t.Errorf("mayfly %s: exit code %d: %s\n%s", args, code, &out, config)
			}
		}
	}
}
