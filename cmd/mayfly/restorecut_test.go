package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// A restore that is cut off leaves no part of a file under its name, and what
// had that name before, with --overwrite, as it was.
func TestRestoreCutOff(t *testing.T) {
	t.Parallel()
	s, _ := newRestoring(t)
	options := s.options()
	if slices.Contains(options, "--partial") || !slices.Contains(options, "--partial-dir=.rsync-partial") {
		t.Errorf("%v", options)
	}
	if _, err := exec.LookPath("rsync"); err != nil {
		return // the options are all there is to see here
	}
	from, to := t.TempDir(), t.TempDir()
	for name, text := range map[string]string{from + "/a": strings.Repeat("new ", 5<<20), to + "/a": "old"} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c := exec.Command("rsync", append(options, "--bwlimit=2000", from+"/", to)...)
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	temporary := func() bool {
		list, err := filepath.Glob(to + "/.a.*")
		if err != nil || len(list) == 0 {
			return false
		}
		fi, err := os.Stat(list[0])
		return err == nil && fi.Size() > 1<<20
	}
	for end := time.Now().Add(20 * time.Second); !temporary(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("nothing has come")
		}
	}
	_ = c.Process.Signal(os.Interrupt)
	if err := c.Wait(); err == nil {
		t.Fatal("it was not cut off")
	}
	if b, err := os.ReadFile(to + "/a"); err != nil || string(b) != "old" {
		t.Errorf("%d bytes of the new one are there, %v", len(b), err)
	}
	kept := func() bool { // by rsync's second process, which ends by itself
		fi, err := os.Stat(to + "/.rsync-partial/a")
		return err == nil && fi.Size() >= 1<<20
	}
	for end := time.Now().Add(20 * time.Second); !kept(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("what has come is not kept")
		}
	}
	if out, err := exec.Command("rsync", append(options, from+"/", to)...).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if b, err := os.ReadFile(to + "/a"); err != nil || len(b) != 20<<20 {
		t.Errorf("%d bytes, %v", len(b), err)
	}
	if _, err := os.Stat(to + "/.rsync-partial"); !os.IsNotExist(err) {
		t.Errorf("the folder of what was cut off is there still: %v", err)
	}
}
