//go:build e2e

package e2e

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The window closes in the middle of a push, and another opens while it waits:
// that receiver knows nothing of what was promised to the first, and is told.
func TestPushBeginsAgain(t *testing.T) {
	t.Parallel()
	r := newReceiver(t, nil)
	h := newPushHost(t, r, "a", "")
	second := filepath.Join(h.home, "second")
	if err := os.MkdirAll(second, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(second, "x"), []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	first, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := first.Addr().String()
	go leaves(t, first, r.port, 3, 3*time.Second)
	_, port, _ := net.SplitHostPort(at)
	h.config(fmt.Sprintf("port: %s\nsources: [%s, %s]", port, h.source, second))
	said := h.push().ok(t)
	if !strings.Contains(said.out, "the window is not open") {
		t.Errorf("the receiver was never away: %s", said)
	}
	var told []string
	for line := range strings.Lines(r.log.String()) {
		switch line = strings.TrimSpace(line); {
		case line == "a promises", line == "a is done":
			told = append(told, line)
		case strings.HasPrefix(line, "a ends rsync push"):
			told = append(told, "push")
		}
	}
	if got, want := strings.Join(told, ", "), "a promises, push, a promises, push, a is done"; got != want {
		t.Errorf("the receivers were told: %s; want %s", got, want)
	}
	h.clean()
}

// leaves passes connections on to a port, until the one with a number: that is
// cut, and nobody is there for a while.
func leaves(t *testing.T, l net.Listener, port string, number int, away time.Duration) {
	at := l.Addr().String()
	defer func() { l.Close() }()
	t.Cleanup(func() { l.Close() })
	for n := 1; ; n++ {
		in, err := l.Accept()
		if err != nil {
			return
		}
		if n == number {
			_ = l.Close()
			_ = in.Close()
			time.Sleep(away)
			if l, err = net.Listen("tcp", at); err != nil {
				t.Errorf("nobody is there any more: %v", err)
				return
			}
			continue
		}
		out, err := net.Dial("tcp", "127.0.0.1:"+port)
		if err != nil {
			_ = in.Close()
			continue
		}
		go func() { _, _ = io.Copy(in, out); in.Close(); out.Close() }()
		go func() { _, _ = io.Copy(out, in); in.Close(); out.Close() }()
	}
}
