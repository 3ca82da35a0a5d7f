package stack

import (
	"errors"
	"fmt"
	"math/bits"
	"strings"
	"time"
)

// EndMargin is how long after the deadline the end action comes: by then an
// instance that could end itself has.
const EndMargin = 15 * time.Minute

// NewSchedule is the schedule of runs that start at a time and end at a
// deadline. The error says what cannot be, such as an end that cron cannot
// express, or a deadline that is not over when the next run starts.
func NewSchedule(start, zone string, deadline time.Duration, now time.Time) (Schedule, error) {
	interval, err := Interval(start, zone, now)
	if err != nil {
		return Schedule{}, fmt.Errorf("schedule: %w", err)
	}
	if deadline <= 0 {
		return Schedule{}, errors.New("schedule: a run needs a deadline")
	}
	after, err := EndAfter(start, zone, deadline)
	if err != nil {
		return Schedule{}, fmt.Errorf("schedule: %w", err)
	}
	if after >= interval {
		instead := "shorten the deadline, or start less often"
		if after-deadline > EndMargin+time.Minute {
			instead += ", or leave out the time zone: with it, a run may be at work when the clocks are put forward"
		}
		return Schedule{}, fmt.Errorf("schedule: a run may take %s and %s until its instance is ended for certain, and the next starts after %s: %s",
			spell(deadline), spell(after-deadline), spell(interval), instead)
	}
	end, err := EndCron(start, after)
	if err != nil {
		return Schedule{}, fmt.Errorf("schedule: %w", err)
	}
	return Schedule{Start: start, End: end, Zone: zone, Deadline: deadline}, nil
}

// EndAfter is how much later than a start, on the clock on the wall, its end
// action must come so that at least the deadline and EndMargin have passed: an
// hour more where a run can be at work when the clocks are put forward.
func EndAfter(start, zone string, deadline time.Duration) (time.Duration, error) {
	c, err := parseCron(start)
	if err != nil {
		return 0, err
	}
	loc, err := location(zone)
	if err != nil {
		return 0, err
	}
	after := (deadline + EndMargin + time.Minute - 1).Truncate(time.Minute)
	var more time.Duration
	for _, j := range jumps(loc) {
		for range c.between(j.at.Add(-after), j.at, loc) {
			more = max(more, j.by)
			break
		}
	}
	return after + more, nil
}

// putBack is by how much the clocks may be put back between a start and what
// comes so much later by the clock on the wall.
func putBack(start, zone string, after time.Duration) (time.Duration, error) {
	c, err := parseCron(start)
	if err != nil {
		return 0, err
	}
	loc, err := location(zone)
	if err != nil {
		return 0, err
	}
	var back time.Duration
	for _, j := range jumps(loc) {
		if j.by > 0 {
			continue
		}
		// An hour that comes twice may be meant either way.
		for range c.between(j.at.Add(-after+j.by), j.at.Add(-j.by), loc) {
			back = max(back, -j.by)
			break
		}
	}
	return back, nil
}

// A jump is when the clocks are put forward, or back when by is negative.
type jump struct {
	at time.Time
	by time.Duration
}

// jumps are all there are within the horizon.
func jumps(zone *time.Location) []jump {
	var found []jump
	t := time.Date(horizonFrom, 1, 1, 0, 0, 0, 0, time.UTC).In(zone)
	for {
		_, next := t.ZoneBounds()
		if next.IsZero() || next.Year() >= horizonTo {
			return found
		}
		if !next.After(t) { // so on the last day of some leap years, Go 1.26
			next = t.AddDate(0, 0, 1)
		}
		_, before := t.Zone()
		_, after := next.Zone()
		if before != after {
			found = append(found, jump{next, time.Duration(after-before) * time.Second})
		}
		t = next
	}
}

// EndCron is the time that comes so much after every start, in the same time
// zone: the minute, rounded up, by the clock on the wall. The error says why
// cron's five fields cannot express it, and what to write instead.
func EndCron(start string, after time.Duration) (string, error) {
	c, err := parseCron(start)
	if err != nil {
		return "", err
	}
	if after <= 0 {
		return "", fmt.Errorf("an end %s after the start does not come after it", spell(after))
	}
	shift := int((after + time.Minute - 1) / time.Minute)
	end, days, err := c.laterInDay(shift)
	if err == nil && days > 0 {
		end, err = end.laterDays(days)
	}
	if err != nil {
		return "", fmt.Errorf("the end, %s after %q, %w", spell(after), c, err)
	}
	return end.String(), nil
}

// laterInDay moves hours and minutes, and says by how many days the days have
// to move.
func (c cronSpec) laterInDay(shift int) (cronSpec, int, error) {
	var minutes, hours uint64
	var ends []string
	days, count := -1, 0
	for t := range 24 * 60 {
		if !c.has(hour, t/60) || !c.has(minute, t%60) {
			continue
		}
		count++
		later := (t + shift) % (24 * 60)
		if later/60 < 24 && len(ends) < 4 {
			ends = append(ends, fmt.Sprintf("%d:%02d", later/60, later%60))
		}
		hours |= 1 << (later / 60)
		minutes |= 1 << (later % 60)
		switch carry := (t + shift) / (24 * 60); {
		case c.everyDay(): // whichever day it is
			days = 0
		case days >= 0 && carry != days:
			return c, 0, errors.New("falls on another day than the start for some starts and not for others, which no cron expresses: start in the first half of the day, shorten the deadline, or make two deployments")
		default:
			days = carry
		}
	}
	if bits.OnesCount64(hours)*bits.OnesCount64(minutes) != count {
		return c, 0, fmt.Errorf("comes at %s, which no cron expresses: start at one minute of the hour only, or change the deadline by some minutes", strings.Join(ends, ", "))
	}
	c = c.with(hour, hours)
	return c.with(minute, minutes), days, nil
}

// with replaces a field, and leaves it as it is written where it is the same.
func (c cronSpec) with(field int, set uint64) cronSpec {
	if set == c.set[field] {
		return c
	}
	names := strings.ContainsFunc(c.text[field], func(r rune) bool { return r > '9' })
	c.set[field] = set
	c.text[field] = write(field, set, names)
	if c.star[field] = c.full(field) && !(field == dom && !c.star[dow]) && !(field == dow && !c.star[dom]); c.star[field] {
		c.text[field] = "*"
	}
	return c
}

// laterDays moves the days.
func (c cronSpec) laterDays(days int) (cronSpec, error) {
	monthly := !c.full(dom) // some days of the month only
	weekly := !c.full(dow)
	if c.either() && (c.full(dom) || c.full(dow)) {
		monthly, weekly = false, false // every day of its months
		c.set[dom], c.text[dom], c.star[dom] = 1<<32-2, "*", true
		c.set[dow], c.text[dow], c.star[dow] = 1<<7-1, "*", true
	}
	if weekly {
		if !c.full(month) {
			return c, errors.New("falls on the day after, which may be in another month, and no cron expresses that: write * for the month, or start earlier in the day")
		}
		c = c.with(dow, (c.set[dow]<<(days%7)|c.set[dow]>>(7-days%7))&(1<<7-1))
	}
	if !weekly || monthly {
		later, err := c.laterDates(days)
		if errors.Is(err, errNever) {
			return c, err
		}
		if err != nil || weekly && !later.full(month) {
			return c, errors.New("falls on a day of the month that no cron expresses, since months are not equally long: start earlier in the day, or on one of the days 1 to 27")
		}
		c = later
	}
	return c, nil
}

var errNever = errors.New("never comes, since its start does not: write a day that there is")

// laterDates moves the days of the year, and finds months and days of the
// month that are just these, in leap years and in others.
func (c cronSpec) laterDates(days int) (cronSpec, error) {
	var months, monthDays uint64
	var moved [2]map[[2]int]bool
	for leap := range 2 {
		moved[leap] = map[[2]int]bool{}
		for d := time.Date(2027+leap, 1, 1, 0, 0, 0, 0, time.UTC); d.Year() == 2027+leap; d = d.AddDate(0, 0, 1) {
			if !c.has(month, int(d.Month())) || !c.has(dom, d.Day()) {
				continue
			}
			later := d.AddDate(0, 0, days)
			if later.Year() > d.Year() && later.Month() > time.February {
				return c, errors.New("too late") // beyond what could be a leap day
			}
			months |= 1 << int(later.Month())
			monthDays |= 1 << later.Day()
			moved[leap][[2]int{int(later.Month()), later.Day()}] = true
		}
	}
	if months == 0 {
		return c, errNever
	}
	c = c.with(month, months)
	c = c.with(dom, monthDays)
	for leap := range 2 {
		count := 0
		for d := time.Date(2027+leap, 1, 1, 0, 0, 0, 0, time.UTC); d.Year() == 2027+leap; d = d.AddDate(0, 0, 1) {
			if !c.has(month, int(d.Month())) || !c.has(dom, d.Day()) {
				continue
			}
			count++
			if !moved[leap][[2]int{int(d.Month()), d.Day()}] {
				return c, errors.New("more days")
			}
		}
		if count != len(moved[leap]) {
			return c, errors.New("fewer days")
		}
	}
	return c, nil
}

// spell writes a time without the zeros of time.Duration.
func spell(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
