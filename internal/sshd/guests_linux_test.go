package sshd

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"
)

// A host that is added while the server is at work may log in; a read-only one
// reads, beside the host whose directory it is, and cannot write; once it is
// removed, its key is nobody's.
func TestGuest(t *testing.T) {
	t.Parallel()
	needRoot(t)
	w := newWorld(t, nil)
	w.keys["guest"] = signer(t)
	guest := Host{Name: "restore:1", Keys: []ssh.PublicKey{w.keys["guest"].PublicKey()}, Dir: w.dirs["a"], Root: "/mnt/a", ReadOnly: true}
	if err := w.server.Add(guest); err != nil {
		t.Fatal(err)
	}
	if err := w.server.Add(guest); err == nil || !strings.Contains(err.Error(), "must be there, once") {
		t.Errorf("a second of the name: %v", err)
	}
	again := guest
	again.Name = "restore:2"
	if err := w.server.Add(again); err == nil || !strings.Contains(err.Error(), "have the same key") {
		t.Errorf("a second of the key: %v", err)
	}
	if err := os.WriteFile(filepath.Join(w.dirs["a"], "x"), []byte("hello"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := w.login("guest")
	if said, status := w.exec(c, "rsync --server -logDtpre.iLsfxCIvu . ."); status == 0 || !strings.Contains(said, "this key may only read") {
		t.Errorf("a push: %d, %s", status, said)
	}
	s, err := sftp.NewClient(c)
	if err != nil {
		t.Fatal(err)
	}
	f, err := s.Open("x")
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(f); err != nil || string(b) != "hello" {
		t.Errorf("%q, %v", b, err)
	}
	_ = f.Close()
	if _, err := s.Create("y"); err == nil {
		t.Error("a file was written")
	}
	if err := s.Remove("x"); err == nil {
		t.Error("a file was removed")
	}
	_ = s.Close()
	if err := w.server.Remove(t.Context(), "restore:1", "it is over"); err != nil {
		t.Error(err)
	}
	if _, err := w.dial(w.keys["guest"]); err == nil {
		t.Error("the key is still known")
	}
	if _, err := w.dial(w.keys["a"]); err != nil {
		t.Error(err)
	}
	if err := w.server.Add(guest); err != nil {
		t.Errorf("added again: %v", err)
	}
}
