package runner

import (
	"errors"
	"regexp"
	"strconv"
	"time"
)

// A Duration is a length of time as people write it in the config: "90s",
// "2h30m", "20d". Days have 24 hours.
type Duration time.Duration

var durationForm = regexp.MustCompile(Duration(0).Pattern())

// Pattern is the form for the schema.
func (Duration) Pattern() string {
	return `^(([0-9]{1,5})d)?(([0-9]{1,5})h)?(([0-9]{1,6})m)?(([0-9]{1,7})s)?$`
}

// UnmarshalText parses the form; the units stand in this order, none twice.
func (d *Duration) UnmarshalText(b []byte) error {
	parts := durationForm.FindStringSubmatch(string(b))
	if parts == nil || len(b) == 0 {
		return errors.New(`not a length of time: write it like "90s", "2h30m" or "20d"`)
	}
	units := []time.Duration{24 * time.Hour, time.Hour, time.Minute, time.Second}
	var sum time.Duration
	for i, u := range units {
		digits := parts[2*i+2]
		if digits == "" {
			continue
		}
		n, err := strconv.Atoi(digits)
		if err != nil {
			return err
		}
		sum += time.Duration(n) * u
	}
	*d = Duration(sum)
	return nil
}

// String is the form that UnmarshalText reads, "0s" for zero.
func (d Duration) String() string {
	if d <= 0 {
		return "0s"
	}
	s, left := "", time.Duration(d)
	for _, u := range []struct {
		unit time.Duration
		name string
	}{{24 * time.Hour, "d"}, {time.Hour, "h"}, {time.Minute, "m"}, {time.Second, "s"}} {
		if n := left / u.unit; n > 0 {
			s += strconv.FormatInt(int64(n), 10) + u.name
			left %= u.unit
		}
	}
	return s
}
