package stack

import (
	"errors"
	"fmt"
	"iter"
	"math/bits"
	"strconv"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
)

// A cronSpec is a time that comes again: cron's five fields, minute, hour, day
// of month, month, day of week, each as the set of its values, bit n for the
// value n.
type cronSpec struct {
	text [5]string
	set  [5]uint64
	// star says that a field is written *. It makes a difference for the two
	// kinds of days: when neither is *, a day that is one of either will do.
	star [5]bool
}

// Fields of a cronSpec.
const (
	minute = iota
	hour
	dom // day of month
	month
	dow // day of week, 0 is Sunday
)

// cronRange is the lowest and highest value of each field.
var cronRange = [5][2]int{{0, 59}, {0, 23}, {1, 31}, {1, 12}, {0, 6}}

// parseCron takes what a config takes as a start.
func parseCron(s string) (cronSpec, error) {
	fields := strings.Fields(s)
	if len(fields) != 5 || strings.ContainsAny(s, "@=?") {
		return cronSpec{}, fmt.Errorf(`%q is not cron's five fields: write minute, hour, day of month, month, day of week, like "0 17 * * FRI"`, s)
	}
	parsed, err := cron.ParseStandard(strings.Join(fields, " "))
	spec, ok := parsed.(*cron.SpecSchedule)
	if err != nil || !ok {
		return cronSpec{}, fmt.Errorf("%q is not cron's five fields: %v", s, err)
	}
	const starBit = 1 << 63
	c := cronSpec{text: [5]string(fields)}
	for i, set := range [5]uint64{spec.Minute, spec.Hour, spec.Dom, spec.Month, spec.Dow} {
		c.set[i], c.star[i] = set&^starBit, set&starBit != 0
	}
	return c, nil
}

func (c cronSpec) String() string { return strings.Join(c.text[:], " ") }

func (c cronSpec) has(field, value int) bool { return c.set[field]&(1<<value) != 0 }

// full reports whether a field has all its values, however it is written.
func (c cronSpec) full(field int) bool {
	lowest, highest := cronRange[field][0], cronRange[field][1]
	return bits.OnesCount64(c.set[field]) == highest-lowest+1
}

// either reports whether a day of the month or a day of the week will do.
func (c cronSpec) either() bool { return !c.star[dom] && !c.star[dow] }

func (c cronSpec) on(day time.Time) bool {
	inMonth, inWeek := c.has(dom, day.Day()), c.has(dow, int(day.Weekday()))
	if c.either() {
		return c.has(month, int(day.Month())) && (inMonth || inWeek)
	}
	return c.has(month, int(day.Month())) && inMonth && inWeek
}

// everyDay reports whether no day is left out.
func (c cronSpec) everyDay() bool {
	if c.either() {
		return c.full(month) && (c.full(dom) || c.full(dow))
	}
	return c.full(month) && c.full(dom) && c.full(dow)
}

// between yields the times from one moment up to, but without, another, in a
// time zone. What the change to summer time leaves out does not come; what
// the change back repeats comes once, as EventBridge Scheduler does it
// (https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html).
func (c cronSpec) between(from, to time.Time, zone *time.Location) iter.Seq[time.Time] {
	return func(yield func(time.Time) bool) {
		year, m, d := from.In(zone).Date()
		for day := time.Date(year, m, d, 0, 0, 0, 0, time.UTC); ; day = day.AddDate(0, 0, 1) {
			if !time.Date(day.Year(), day.Month(), day.Day()-1, 0, 0, 0, 0, zone).Before(to) {
				return
			}
			if !c.on(day) {
				continue
			}
			for h := range 24 {
				if !c.has(hour, h) {
					continue
				}
				for min := range 60 {
					if !c.has(minute, min) {
						continue
					}
					t := time.Date(day.Year(), day.Month(), day.Day(), h, min, 0, 0, zone)
					if t.Hour() != h || t.Minute() != min || t.Before(from) || !t.Before(to) {
						continue
					}
					if !yield(t) {
						return
					}
				}
			}
		}
	}
}

// A horizon is how far ahead one has to look to see every date on every day
// of the week, leap years included.
const (
	horizonFrom = 2026
	horizonTo   = horizonFrom + 28
)

// Interval is the shortest time between two starts in the year from now on, or
// in the years it takes to see two. A zone is an IANA name; "" is UTC.
func Interval(start, zone string, now time.Time) (time.Duration, error) {
	c, err := parseCron(start)
	if err != nil {
		return 0, err
	}
	loc, err := location(zone)
	if err != nil {
		return 0, err
	}
	var shortest time.Duration
	var last time.Time
	oneYear := now.AddDate(1, 0, 0)
	for t := range c.between(now, now.AddDate(9, 0, 0), loc) { // 29 February may take 8 years
		if !last.IsZero() && (shortest == 0 || t.Sub(last) < shortest) {
			shortest = t.Sub(last)
		}
		if shortest > 0 && (t.After(oneYear) || shortest == time.Minute) {
			break
		}
		last = t
	}
	if shortest == 0 {
		return 0, fmt.Errorf("%s does not come twice in nine years: write a day that does", start)
	}
	return shortest, nil
}

func location(zone string) (*time.Location, error) {
	if zone == "Local" {
		return nil, errors.New(`there is no time zone "Local" in AWS: write an IANA name, like "Europe/Berlin"`)
	}
	loc, err := time.LoadLocation(zone)
	if err != nil {
		return nil, fmt.Errorf(`there is no time zone %q: write an IANA name, like "Europe/Berlin"`, zone)
	}
	return loc, nil
}

// cronNames are how a field's values may be written.
var cronNames = [5][]string{
	month: {"", "JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"},
	dow:   {"SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"},
}

// write spells a set of a field's values: numbers, or names, with a range for
// three and more in a row.
func write(field int, set uint64, names bool) string {
	lowest, highest := cronRange[field][0], cronRange[field][1]
	name := func(v int) string {
		if names && cronNames[field] != nil {
			return cronNames[field][v]
		}
		return strconv.Itoa(v)
	}
	var parts []string
	for v := lowest; v <= highest; v++ {
		if set&(1<<v) == 0 {
			continue
		}
		last := v
		for last < highest && set&(1<<(last+1)) != 0 {
			last++
		}
		if last-v < 2 {
			parts = append(parts, name(v))
			continue
		}
		parts = append(parts, name(v)+"-"+name(last))
		v = last
	}
	return strings.Join(parts, ",")
}
