package stack

import (
	"strings"
	"testing"
	"time"
)

// zones are where the clocks are put forward and back in every way there is:
// at different hours, by half an hour, at midnight, in the south, twice a year
// for Ramadan, never.
var zones = []string{
	"", "Europe/Berlin", "America/New_York", "America/Santiago", "America/Havana", "Australia/Lord_Howe",
	"Africa/Casablanca", "Africa/Cairo", "Asia/Kolkata", "Pacific/Chatham",
}

// In every time zone and all through the year, an end comes after every
// start: no earlier than the deadline and the margin allow, no more than two
// changes of the clocks later, and before the next start. And what looks for
// missed runs looks at the runs since that start.
func TestSchedulesAcrossClockChanges(t *testing.T) {
	t.Parallel()
	from, to := epoch, epoch.AddDate(1, 6, 0)
	made := 0
	for _, zone := range zones {
		loc, err := location(zone)
		if err != nil {
			t.Fatal(err)
		}
		for _, start := range []string{
			"0 17 * * FRI", "30 0 * * *", "0 1 * * *", "15 2 * * SUN", "59 2 * * *", "0 3 * * *",
			"0 23 * * SAT", "45 23 * * *", "0 */6 * * *", "30 * * * *", "0 3 1 * *", "30 1 29 3 *", "0 1 1,15 * MON",
		} {
			for _, deadline := range []time.Duration{5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 4 * time.Hour, 11 * time.Hour, 23*time.Hour + 40*time.Minute} {
				s, err := NewSchedule(start, zone, deadline, epoch)
				if err != nil {
					continue // its own test
				}
				made++
				checkSchedule(t, s, loc, from, to)
			}
		}
	}
	if made < 500 {
		t.Errorf("only %d schedules made", made)
	}
}

func checkSchedule(t *testing.T, s Schedule, loc *time.Location, from, to time.Time) {
	t.Helper()
	starts, ends := times(t, s.Start, from, to, loc), times(t, s.End, from, to.AddDate(0, 0, 3), loc)
	before := builder{Options: Options{Schedule: s}}.startBefore()
	next := 0
	for i, start := range starts {
		for next < len(ends) && !ends[next].After(start) {
			next++
		}
		if next == len(ends) {
			t.Fatalf("%+v: no end after the start at %s", s, start)
		}
		end := ends[next]
		took := end.Sub(start)
		if least := s.Deadline + EndMargin; took < least || took > least+2*time.Hour {
			t.Fatalf("%+v: the start at %s has an end %s later", s, start, took)
		}
		if i+1 < len(starts) && !end.Before(starts[i+1]) {
			t.Fatalf("%+v: the start at %s has its end at %s, after the next start", s, start, end)
		}
		since := end.Add(-before)
		if since.After(start) {
			t.Fatalf("%+v: runs are looked for since %s, after the start at %s", s, since, start)
		}
		if i > 0 && start.Sub(starts[i-1]) > 2*time.Hour && !since.After(starts[i-1]) {
			t.Fatalf("%+v: runs are looked for since %s, before the start at %s", s, since, starts[i-1])
		}
	}
}

func times(t *testing.T, s string, from, to time.Time, loc *time.Location) []time.Time {
	t.Helper()
	c, err := parseCron(s)
	if err != nil {
		t.Fatal(err)
	}
	var all []time.Time
	for at := range c.between(from, to, loc) {
		all = append(all, at)
	}
	return all
}

// The times in a zone are the oracle's, but where the clocks change.
func TestBetween(t *testing.T) {
	t.Parallel()
	for _, zone := range zones {
		loc, err := location(zone)
		if err != nil {
			t.Fatal(err)
		}
		var changes []time.Time
		for _, j := range jumps(loc) {
			changes = append(changes, j.at)
		}
		for _, start := range []string{"0 17 * * FRI", "30 2 * * *", "0 0 * * *", "15 4 1,15 * MON"} {
			ours := map[time.Time]bool{}
			for _, at := range times(t, start, epoch, epoch.AddDate(2, 0, 0), loc) {
				ours[at.UTC()] = true
			}
			next := oracle(t, start)
			for at := next.Next(epoch.In(loc).Add(-time.Second)); at.Before(epoch.AddDate(2, 0, 0)); at = next.Next(at) {
				near := false
				for _, c := range changes {
					near = near || at.Sub(c).Abs() < 3*time.Hour
				}
				if !near && !ours[at.UTC()] {
					t.Errorf("%s in %q: not at %s", start, zone, at)
				}
			}
		}
	}
}

func TestNewSchedule(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		start, zone string
		deadline    time.Duration
		end         string // or part of the error
	}{
		{"0 17 * * FRI", "Europe/Berlin", 2 * time.Hour, "15 19 * * FRI"},
		{"0 1 * * *", "Europe/Berlin", 4 * time.Hour, "15 6 * * *"}, // an hour more, for one night in March
		{"0 1 * * *", "", 4 * time.Hour, "15 5 * * *"},
		{"0 1 * * *", "Asia/Kolkata", 4 * time.Hour, "15 5 * * *"},
		{"30 1 * * MON", "Europe/Berlin", 4 * time.Hour, "45 5 * * MON"}, // clocks change on Sundays
		{"0 1 * * *", "Australia/Lord_Howe", 4 * time.Hour, "45 5 * * *"},
		{"0 17 * * *", "", 24 * time.Hour, "a run may take 24h and 15m until its instance is ended for certain, and the next starts after 24h: shorten the deadline, or start less often"},
		{"0 * * * *", "", 45 * time.Minute, "shorten the deadline"},
		{"30 * * * *", "Europe/Berlin", 30 * time.Minute, "30m and 1h15m until its instance is ended for certain, and the next starts after 1h: shorten the deadline, or start less often, or leave out the time zone"},
		{"0 * * * *", "", 44 * time.Minute, "59 * * * *"},
		{"0 17 * * *", "", 0, "a run needs a deadline"},
		{"0 23 28 * *", "", 2 * time.Hour, "start earlier in the day"},
		{"0 17 * *", "", time.Hour, "five fields"},
		{"0 17 * * *", "Mars", time.Hour, "write an IANA name"},
	} {
		s, err := NewSchedule(tt.start, tt.zone, tt.deadline, epoch)
		got := s.End
		if err != nil {
			got = err.Error()
			if !strings.HasPrefix(got, "schedule: ") {
				t.Errorf("%q: %s", tt.start, got)
			}
		} else if s.Start != tt.start || s.Zone != tt.zone || s.Deadline != tt.deadline {
			t.Errorf("%q: %+v", tt.start, s)
		}
		if got != tt.end && (err == nil || !strings.Contains(got, tt.end)) {
			t.Errorf("%q in %q for %s: got %q, want %q", tt.start, tt.zone, tt.deadline, got, tt.end)
		}
	}
}

// EventBridge Scheduler's dialect says the same.
func TestSchedulerCrons(t *testing.T) {
	t.Parallel()
	for five, want := range map[string]string{
		"15 19 * * FRI":      "cron(15 19 ? * FRI *)",
		"15 19 * * 5":        "cron(15 19 ? * FRI *)", // where 5 is Thursday
		"15 19 * * 0":        "cron(15 19 ? * SUN *)",
		"15 1 * * 7":         "", // cron's Sunday is 0
		"5 1 * * *":          "cron(5 1 * * ? *)",
		"5 1 1,15 * *":       "cron(5 1 1,15 * ? *)",
		"5 1 1,15 * MON":     "cron(5 1 1,15 * ? *) cron(5 1 ? * MON *)",
		"5 1 1-31 * MON":     "cron(5 1 * * ? *)",
		"5 1 2 * 0-6":        "cron(5 1 * * ? *)",
		"5 1 * 3,4,5 1-5":    "cron(5 1 ? MAR-MAY MON-FRI *)",
		"20,50 */8 * * */3":  "cron(20,50 0,8,16 ? * SUN,WED,SAT *)",
		"0-59 * */15 1,12 *": "cron(* * 1,16,31 JAN,DEC ? *)",
	} {
		if want == "" {
			if _, err := parseCron(five); err == nil {
				t.Errorf("%s is taken", five)
			}
			continue
		}
		if got := strings.Join(schedulerCrons(five), " "); got != want {
			t.Errorf("%s: got %s, want %s", five, got, want)
		}
	}
}
