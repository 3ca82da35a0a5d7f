package gocryptfs

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// What is missing of a key is said the same each time, the config first.
func TestCheck(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	k := Key{Config: filepath.Join(dir, "conf"), PasswordFile: filepath.Join(dir, "password")}
	for range 20 {
		if err := k.Check(); err == nil || !strings.Contains(err.Error(), k.Config+": put the copy back") {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(k.Config, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(k.PasswordFile, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := k.Check(); err == nil || !strings.Contains(err.Error(), k.PasswordFile+" is empty") {
		t.Error(err)
	}
}

func TestCompanions(t *testing.T) {
	t.Parallel()
	got := Companions("aa/gocryptfs.longname.x/bb")
	want := []string{"gocryptfs.diriv", "aa/gocryptfs.diriv", "aa/gocryptfs.longname.x.name", "aa/gocryptfs.longname.x/gocryptfs.diriv"}
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}
