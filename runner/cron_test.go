package runner

import (
	"testing"
	"time"
)

// The last start before a moment is the one after which the next is beyond it.
func TestCronLast(t *testing.T) {
	t.Parallel()
	zone, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	for _, expression := range []string{"* * * * *", "0 17 * * FRI", "30 2 * * *", "0 0 1 1 *", "15 3 29 2 *", "0 */6 1,15 * MON"} {
		var c Cron
		if err := c.UnmarshalText([]byte(expression)); err != nil {
			t.Fatal(err)
		}
		for _, at := range []time.Time{
			time.Date(2026, 11, 26, 12, 0, 30, 0, zone), time.Date(2026, 3, 29, 3, 30, 0, 0, zone), time.Date(2026, 10, 25, 2, 59, 0, 0, zone),
			time.Date(2027, 1, 1, 0, 0, 0, 0, zone),
		} {
			last := c.Last(at, zone)
			if last.IsZero() || !last.Before(at) {
				t.Errorf("%s before %s: %s", expression, at, last)
				continue
			}
			if next := c.Next(last, zone, 1); next[0].Before(at) {
				t.Errorf("%s: between %s and %s there is %s", expression, last, at, next[0])
			}
		}
	}
	if !(Cron{}).Last(time.Now(), zone).IsZero() {
		t.Error("there is no start time")
	}
}
