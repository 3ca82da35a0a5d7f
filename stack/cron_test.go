package stack

import (
	"fmt"
	"math/rand"
	"strings"
	"testing"
	"time"

	"github.com/robfig/cron/v3"
)

// oracle is somebody else's idea of when a cron comes.
func oracle(t *testing.T, s string) cron.Schedule {
	t.Helper()
	c, err := cron.ParseStandard(s)
	if err != nil {
		t.Fatalf("%s: %v", s, err)
	}
	return c
}

var epoch = time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)

// checkEnd compares starts and ends one by one, over the turns of the month
// and the end of a February of each length.
func checkEnd(t *testing.T, start, end string, after time.Duration) {
	t.Helper()
	starts, ends := oracle(t, start), oracle(t, end)
	for _, from := range []time.Time{epoch, epoch.AddDate(0, 11, 25)} {
		s, e := from, from.Add(after)
		for n := 0; n < 200 && s.Before(from.AddDate(0, 8, 0)); n++ {
			s, e = starts.Next(s), ends.Next(e)
			if !e.Equal(s.Add(after)) {
				t.Fatalf("%q ends %s later at %q: but after the start at %s comes the end at %s", start, after, end, s, e)
			}
		}
	}
}

// Every end that is offered is right, and what is surely expressible is never
// refused.
func TestEndCronAlways(t *testing.T) {
	t.Parallel()
	afters := []time.Duration{
		time.Minute, 59 * time.Minute, 75 * time.Minute, 2*time.Hour + 15*time.Minute, 7 * time.Hour,
		24 * time.Hour, 25 * time.Hour, 47*time.Hour + 31*time.Minute, 6 * 24 * time.Hour, 8 * 24 * time.Hour,
	}
	check := func(minute, hour, dom, month, dow string) {
		for _, after := range afters {
			start := strings.Join([]string{minute, hour, dom, month, dow}, " ")
			if oracle(t, start).Next(epoch).IsZero() {
				continue // 31 February
			}
			end, err := EndCron(start, after)
			if err != nil {
				if dom == "*" && month == "*" { // a week has always the same days
					t.Errorf("%q and %s are refused: %v", start, after, err)
				}
				continue
			}
			checkEnd(t, start, end, after)
		}
	}
	for _, minute := range []string{"0", "59"} {
		for _, hour := range []string{"0", "17", "23"} {
			for _, dow := range []string{"*", "0", "1-5", "FRI", "*/2"} {
				for _, dom := range []string{"*", "1", "28", "31", "1,15", "*/7"} {
					for _, month := range []string{"*", "2", "12", "1-3", "FEB,MAY"} {
						check(minute, hour, dom, month, dow)
					}
				}
			}
		}
	}
}

// Crons nobody would write, too: whatever is not refused is right.
func TestEndCronRandom(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewSource(1))
	field := func(i int) string {
		lowest, highest := cronRange[i][0], cronRange[i][1]
		value := func() int { return lowest + random.Intn(highest-lowest+1) }
		switch random.Intn(6) {
		case 0, 1:
			return "*"
		case 2:
			return fmt.Sprintf("*/%d", 1+random.Intn(highest))
		case 3:
			a, b := value(), value()
			return fmt.Sprintf("%d-%d", min(a, b), max(a, b))
		case 4:
			return fmt.Sprintf("%d,%d", value(), value())
		}
		return fmt.Sprint(value())
	}
	accepted := 0
	for range 3000 {
		start := strings.Join([]string{field(0), field(1), field(2), field(3), field(4)}, " ")
		after := time.Duration(1+random.Intn(3*24*60)) * time.Minute
		if oracle(t, start).Next(epoch).IsZero() {
			continue
		}
		end, err := EndCron(start, after)
		if err != nil {
			if !strings.Contains(err.Error(), "which no cron expresses: ") && !strings.Contains(err.Error(), " no cron expresses") {
				t.Errorf("%q and %s: %v", start, after, err)
			}
			continue
		}
		accepted++
		checkEnd(t, start, end, after)
	}
	if accepted < 300 {
		t.Errorf("only %d of 3000 accepted", accepted)
	}
}

func TestEndCron(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		start string
		after time.Duration
		end   string // or part of the error
	}{
		{"0 17 * * FRI", 135 * time.Minute, "15 19 * * FRI"},
		{"0 23 * * FRI", 135 * time.Minute, "15 1 * * SAT"},
		{"0 23 * * 6", 135 * time.Minute, "15 1 * * 0"},
		{"0 23 * * 1-5", 135 * time.Minute, "15 1 * * 2-6"},
		{"0  1 *  * *", 4 * time.Hour, "0 5 * * *"},
		{"30 23 * * *", time.Hour, "30 0 * * *"},
		{"0 3 1 * *", time.Hour, "0 4 1 * *"},
		{"0 23 1 * *", 2 * time.Hour, "0 1 2 * *"},
		{"0 23 31 12 *", 2 * time.Hour, "0 1 1 1 *"},
		{"0 23 1 * MON", 2 * time.Hour, "0 1 2 * TUE"},
		{"*/30 * * * *", 20 * time.Minute, "20,50 * * * *"},
		{"0 */6 * * *", 90 * time.Minute, "30 1,7,13,19 * * *"},
		{"0 17 * * FRI", 90*time.Second + time.Minute, "3 17 * * FRI"},
		{"0 23 31 * *", 2 * time.Hour, "0 1 1 1,2,4,6,8,9,11 *"},
		{"0 23 28 * *", 2 * time.Hour, "no cron expresses, since months are not equally long: start earlier in the day, or on one of the days 1 to 27"},
		{"0 23 * 5 MON", 2 * time.Hour, "write * for the month, or start earlier in the day"},
		{"0 11,23 * * MON", 2 * time.Hour, "falls on another day than the start for some starts and not for others"},
		{"0,30 1 * * *", 45 * time.Minute, "comes at 1:45, 2:15, which no cron expresses: start at one minute of the hour only"},
		{"0 17 * * FRI", 0, "does not come after it"},
		{"0 0 31 2 *", 25 * time.Hour, "never comes"},
		{"@weekly", time.Hour, "is not cron's five fields: write minute, hour"},
		{"CRON_TZ=UTC 0 1 * * *", time.Hour, "is not cron's five fields"},
		{"0 0 17 * * FRI", time.Hour, "is not cron's five fields"},
		{"0 24 * * *", time.Hour, "is not cron's five fields"},
		{"0 17 ? * FRI", time.Hour, "is not cron's five fields"},
	} {
		end, err := EndCron(tt.start, tt.after)
		if err != nil {
			end = err.Error()
		}
		if end != tt.end && (err == nil || !strings.Contains(end, tt.end)) {
			t.Errorf("%q and %s: got %q, want %q", tt.start, tt.after, end, tt.end)
		}
	}
}

// The times of a cron, and the shortest between two, are the oracle's.
func TestInterval(t *testing.T) {
	t.Parallel()
	for _, start := range []string{
		"0 17 * * FRI", "0 1 * * *", "*/7 * * * *", "0 3 1 * *", "0 3 1,15 * *", "0 3 1 * MON", "0 0 29 2 *", "5 4 31 * *",
		"0 0 1-31 * MON", "* * * * *", "0 9-17 * * MON-FRI", "0 0 1 1 *",
	} {
		got, err := Interval(start, "", epoch)
		if err != nil {
			t.Fatal(err)
		}
		var want time.Duration
		c, _ := parseCron(start)
		next := oracle(t, start)
		last, n := next.Next(epoch.Add(-time.Second)), 0
		for at := range c.between(epoch, epoch.AddDate(6, 0, 0), time.UTC) {
			if n == 0 && !at.Equal(last) {
				t.Fatalf("%s first comes at %s, want %s", start, at, last)
			}
			if n++; n == 1 {
				continue
			}
			if o := next.Next(last); !at.Equal(o) {
				t.Fatalf("%s comes at %s, want %s", start, at, o)
			}
			if want == 0 || at.Sub(last) < want {
				want = at.Sub(last)
			}
			if last = at; n > 20000 {
				break
			}
		}
		if got != want {
			t.Errorf("%s: %s between two, want %s", start, got, want)
		}
	}
	for start, want := range map[string]string{"0 0 30 2 *": "does not come twice in nine years", "0 0 * *": "is not cron's five fields"} {
		if _, err := Interval(start, "", epoch); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", start, err)
		}
	}
	for _, zone := range []string{"Local", "Europe/Atlantis"} {
		if _, err := Interval("0 1 * * *", zone, epoch); err == nil || !strings.Contains(err.Error(), "write an IANA name") {
			t.Errorf("%s: %v", zone, err)
		}
	}
}
