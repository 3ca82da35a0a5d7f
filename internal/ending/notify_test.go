package ending

import (
	"context"
	"net"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func environment(pairs ...string) func(string) string {
	return func(key string) string {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i] == key {
				return pairs[i+1]
			}
		}
		return ""
	}
}

// What systemd would receive, over a real socket.
func TestNotify(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "notify")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, state := range []string{"READY=1", "WATCHDOG=1"} {
		if err := Notify(environment("NOTIFY_SOCKET", name), state); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 100)
		if err := l.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
			t.Fatal(err)
		}
		n, err := l.Read(b)
		if err != nil || string(b[:n]) != state {
			t.Errorf("received %q, %v", b[:n], err)
		}
	}
	if err := Notify(environment(), "READY=1"); err != nil {
		t.Errorf("without systemd: %v", err)
	}
	for _, bad := range []string{filepath.Join(t.TempDir(), "none"), "vsock:2:1"} {
		if err := Notify(environment("NOTIFY_SOCKET", bad), "READY=1"); err == nil || !strings.Contains(err.Error(), "notify systemd") {
			t.Errorf("%s: got %v", bad, err)
		}
	}
}

func TestWatchdogTime(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		usec, pid string
		want      time.Duration
	}{
		{"", "", 0}, {"60000000", "", time.Minute}, {"60000000", "42", time.Minute}, {"60000000", "43", 0},
		{"0", "", 0}, {"-1", "", 0}, {"soon", "", 0}, {"9223372036854775807", "", 0},
	} {
		if got := WatchdogTime(environment("WATCHDOG_USEC", c.usec, "WATCHDOG_PID", c.pid), 42); got != c.want {
			t.Errorf("%q of %q: %s, want %s", c.usec, c.pid, got, c.want)
		}
	}
}

// A process that is alive pings three times within the limit; one whose heart
// has stopped does not ping at all.
func TestKeepAlive(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const limit = 30 * time.Second
		ctx, cancel := context.WithCancel(t.Context())
		dead := make(chan struct{})
		defer close(dead)
		var pings []time.Time
		begin := time.Now()
		var hangs atomic.Bool
		go KeepAlive(ctx, limit, func() {
			if hangs.Load() {
				<-dead
			}
		}, func() { pings = append(pings, time.Now()) })
		time.Sleep(5*limit + time.Second)
		synctest.Wait()
		if len(pings) != 16 || !pings[0].Equal(begin) {
			t.Errorf("%d pings, the first after %s", len(pings), pings[0].Sub(begin))
		}
		hangs.Store(true)
		time.Sleep(10 * limit)
		synctest.Wait()
		if len(pings) != 16 {
			t.Errorf("%d pings of a process that hangs", len(pings)-16)
		}
		cancel()
	})
}

func TestKeepAliveEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		n := 0
		KeepAlive(ctx, 30*time.Second, func() {}, func() { n++ })
		if n < 6 || n > 7 {
			t.Errorf("%d pings in a minute", n)
		}
	})
}
