package runner

import (
	"strings"
	"testing"
	"time"
)

// Every old name is a zone, and the one that is to be written instead is the
// same time today, and no old name itself.
func TestOldZones(t *testing.T) {
	t.Parallel()
	for line := range strings.Lines(oldZones) {
		names := strings.Fields(line)
		want, err := time.LoadLocation(names[0])
		if err != nil || canonical(names[0]) != "" {
			t.Fatalf("%s: %v, %q", names[0], err, canonical(names[0]))
		}
		for _, old := range names[1:] {
			is, err := time.LoadLocation(old)
			if err != nil {
				t.Fatal(err)
			}
			for month := range 12 {
				at := time.Date(2026, time.Month(month+1), 1, 0, 0, 0, 0, time.UTC)
				_, a := at.In(want).Zone()
				if _, b := at.In(is).Zone(); a != b {
					t.Errorf("%s is %d s from UTC, %s %d s", old, b, names[0], a)
				}
			}
			var z Zone
			if err := z.UnmarshalText([]byte(old)); err == nil || !strings.HasSuffix(err.Error(), "write "+names[0]) {
				t.Errorf("%s: %v", old, err)
			}
		}
	}
}
