package dirsync

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// A moment is a file's time, which may lie beyond what nanoseconds since 1970
// can count to in 64 bits: the year 2262.
type moment struct {
	sec  int64
	nsec int32 // from sec on
}

func momentOf(t time.Time) moment { return moment{t.Unix(), int32(t.Nanosecond())} }

func (m moment) time() time.Time { return time.Unix(m.sec, int64(m.nsec)) }

// String is the form of rclone's metadata: seconds since 1970 with a fraction,
// which is added even to negative ones.
func (m moment) String() string { return fmt.Sprintf("%d.%09d", m.sec, m.nsec) }

func parseMoment(s string) (moment, bool) {
	whole, fraction, _ := strings.Cut(s, ".")
	seconds, err := strconv.ParseInt(whole, 10, 64)
	if err != nil || len(fraction) > 9 {
		return moment{}, false
	}
	nanos, err := strconv.ParseUint(fraction+strings.Repeat("0", 9-len(fraction)), 10, 32)
	return moment{seconds, int32(nanos)}, err == nil
}

// earliest and latest are whole seconds between which nanoseconds can be counted.
const (
	earliest = math.MinInt64/int64(time.Second) + 1
	latest   = math.MaxInt64/int64(time.Second) - 1
)

// settable is the nearest time that a file can be given: os.Chtimes counts in
// nanoseconds.
func (m moment) settable() time.Time {
	switch {
	case m.sec < earliest:
		return time.Unix(earliest, 0)
	case m.sec > latest:
		return time.Unix(latest, 0)
	}
	return m.time()
}

// MarshalJSON writes nanoseconds since 1970, and beyond what these can count a
// text with seconds.
func (m moment) MarshalJSON() ([]byte, error) {
	if m.sec < earliest || m.sec > latest {
		return strconv.AppendQuote(nil, m.String()), nil
	}
	return strconv.AppendInt(nil, m.time().UnixNano(), 10), nil
}

// UnmarshalJSON reads what MarshalJSON writes.
func (m *moment) UnmarshalJSON(b []byte) error {
	if n, err := strconv.ParseInt(string(b), 10, 64); err == nil {
		*m = momentOf(time.Unix(0, n))
		return nil
	}
	var ok bool
	if *m, ok = parseMoment(strings.Trim(string(b), `"`)); !ok {
		return errors.New("no time")
	}
	return nil
}
