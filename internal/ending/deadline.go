package ending

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// Where the boot script leaves the deadline, and the timer that it arms.
const (
	DeadlineFile  = "/var/lib/mayfly/deadline"
	DeadlineTimer = "mayfly-deadline.timer"
)

// ReadDeadline reads when the machine is powered off regardless, as the boot
// script left it: the seconds since 1970, in decimal, on the first line.
func ReadDeadline(name string) (time.Time, error) {
	b, err := os.ReadFile(name)
	if errors.Is(err, os.ErrNotExist) {
		return time.Time{}, fmt.Errorf("%s does not exist: the boot script has armed no power-off", name)
	}
	if err != nil {
		return time.Time{}, fmt.Errorf("read the deadline: %w", err)
	}
	line, _, _ := strings.Cut(string(b), "\n")
	seconds, err := strconv.ParseInt(strings.TrimSpace(line), 10, 64)
	if err != nil || seconds <= 0 || seconds > 1<<40 {
		return time.Time{}, fmt.Errorf("%s holds %.40q: not the seconds since 1970", name, line)
	}
	return time.Unix(seconds, 0).UTC(), nil
}
