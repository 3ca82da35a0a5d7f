package ending

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"
)

// Notify sends states like "READY=1" to systemd, at the socket that
// NOTIFY_SOCKET names; without one it does nothing. Source: sd_notify(3).
func Notify(getenv func(string) string, state string) error {
	name := getenv("NOTIFY_SOCKET")
	if name == "" {
		return nil
	}
	if !strings.HasPrefix(name, "/") && !strings.HasPrefix(name, "@") { // "@": an abstract one
		return fmt.Errorf("notify systemd: NOTIFY_SOCKET is %q: only a local socket is possible", name)
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("notify systemd: %w", err)
	}
	defer conn.Close()
	if err := conn.SetWriteDeadline(time.Now().Add(time.Second)); err != nil {
		return fmt.Errorf("notify systemd: %w", err)
	}
	if _, err := conn.Write([]byte(state)); err != nil {
		return fmt.Errorf("notify systemd: %w", err)
	}
	return nil
}

// WatchdogTime is how long systemd waits between two signs of life before it
// kills the unit; 0: it does not. Source: sd_watchdog_enabled(3).
func WatchdogTime(getenv func(string) string, pid int) time.Duration {
	if p := getenv("WATCHDOG_PID"); p != "" && p != strconv.Itoa(pid) {
		return 0
	}
	usec, err := strconv.ParseInt(getenv("WATCHDOG_USEC"), 10, 64)
	if err != nil || usec <= 0 || usec > int64(365*24*time.Hour/time.Microsecond) {
		return 0
	}
	return time.Duration(usec) * time.Microsecond
}

// KeepAlive calls ping three times within every limit, as long as alive
// returns, until ctx ends. When alive hangs, so do the pings, and systemd kills
// the process; when the whole process is stopped, likewise.
func KeepAlive(ctx context.Context, limit time.Duration, alive, ping func()) {
	tick := time.NewTicker(limit / 3)
	defer tick.Stop()
	for {
		alive()
		ping()
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}
