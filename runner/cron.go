package runner

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
)

// A Cron is a start time that comes again: five fields, minute, hour, day of
// month, month, day of week, as EC2 Auto Scaling's scheduled actions take
// them (https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-scheduled-scaling.html).
// It has no time zone; Next is given one.
type Cron struct {
	text     string
	schedule cron.Schedule
}

var cronFields = [5]string{"minute", "hour", "day of month", "month", "day of week"}

// UnmarshalText checks the fields, and that they ever come true.
func (c *Cron) UnmarshalText(b []byte) error {
	s := string(b)
	const fix = `write minute, hour, day of month, month, day of week, like "0 17 * * FRI"`
	fields := strings.Fields(s)
	switch {
	case strings.HasPrefix(s, "@"):
		return fmt.Errorf("%.20s is not known to Auto Scaling: %s", fields[0], fix)
	case strings.Contains(s, "="):
		return errors.New("a time zone does not belong here: write it under timezone")
	case len(fields) != 5:
		return fmt.Errorf("has %d fields, not 5: %s", len(fields), fix)
	}
	for i, f := range fields {
		one := []string{"*", "*", "*", "*", "*"}
		one[i] = f
		if _, err := cron.ParseStandard(strings.Join(one, " ")); err != nil || strings.Contains(f, "?") {
			return fmt.Errorf("the %s %.20q does not exist: %s", cronFields[i], f, fix)
		}
	}
	sched, err := cron.ParseStandard(strings.Join(fields, " "))
	if err != nil {
		return errors.New("not a start time: " + fix)
	}
	if sched.Next(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)).IsZero() {
		return errors.New("this day never comes: " + fix)
	}
	*c = Cron{strings.Join(fields, " "), sched}
	return nil
}

// Next returns the next n starts after a moment, in the time zone given. A
// start that daylight saving time leaves out does not happen that day.
func (c Cron) Next(after time.Time, zone *time.Location, n int) []time.Time {
	if c.schedule == nil {
		return nil
	}
	var starts []time.Time
	t := after.In(zone)
	for range n {
		if t = c.schedule.Next(t); t.IsZero() {
			break
		}
		starts = append(starts, t)
	}
	return starts
}

// Last returns the newest start before a moment, in the time zone given; zero:
// there was none in the four years before, or there is no start time.
func (c Cron) Last(before time.Time, zone *time.Location) time.Time {
	if c.schedule == nil {
		return time.Time{}
	}
	const day = 24 * time.Hour
	for _, back := range []time.Duration{2 * time.Hour, 2 * day, 32 * day, 367 * day, 1462 * day} {
		var last time.Time
		for t := c.schedule.Next(before.Add(-back).In(zone)); !t.IsZero() && t.Before(before); t = c.schedule.Next(t) {
			last = t
		}
		if !last.IsZero() {
			return last
		}
	}
	return time.Time{}
}

// IsZero reports whether there is no start time.
func (c Cron) IsZero() bool { return c.schedule == nil }

func (c Cron) String() string { return c.text }

// A Zone is a time zone by its IANA name.
type Zone struct{ loc *time.Location }

// UnmarshalText looks the name up.
func (z *Zone) UnmarshalText(b []byte) error {
	// Auto Scaling takes canonical names only.
	// https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_PutScheduledUpdateGroupAction.html
	if name := canonical(string(b)); name != "" {
		return fmt.Errorf("an old name of a time zone, which AWS does not take: write %s", name)
	}
	loc, err := time.LoadLocation(string(b))
	if err != nil || len(b) == 0 || string(b) == "Local" {
		return errors.New(`no such time zone: write an IANA name, like "Europe/Berlin" or "UTC"`)
	}
	if name := loc.String(); !strings.Contains(name, "/") && name != "UTC" { // EST5EDT
		return errors.New("a name without a place, which AWS does not take: write the continent and a city, like Europe/Berlin or America/New_York")
	}
	*z = Zone{loc}
	return nil
}

// Location is the time zone, UTC when none was given.
func (z Zone) Location() *time.Location {
	if z.loc == nil {
		return time.UTC
	}
	return z.loc
}

func (z Zone) String() string { return z.Location().String() }
