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
