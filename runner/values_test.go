package runner

import (
	"encoding"
	"strings"
	"testing"
	"time"
)

func TestDurationForms(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]time.Duration{
		"90s": 90 * time.Second, "2h30m": 150 * time.Minute, "20d": 480 * time.Hour, "3h36m": 216 * time.Minute,
		"1d1h1m1s": 25*time.Hour + 61*time.Second, "0s": 0, "99999d": 99999 * 24 * time.Hour,
	} {
		var d Duration
		if err := d.UnmarshalText([]byte(s)); err != nil || time.Duration(d) != want {
			t.Errorf("%s: %v, %v", s, time.Duration(d), err)
		}
		var again Duration
		if err := again.UnmarshalText([]byte(d.String())); err != nil || again != d {
			t.Errorf("%s was printed as %s", s, d)
		}
	}
	refuse(t, func() encoding.TextUnmarshaler { return new(Duration) },
		"", "90", "2 h", "-1h", "1.5h", "h", "1m1h", "1h1h", "1w", "2h ", "100000d", "٣h", "1H")
}

// refuse checks that each text is refused with a reason and a fix.
func refuse(t *testing.T, fresh func() encoding.TextUnmarshaler, texts ...string) {
	t.Helper()
	for _, s := range texts {
		v := fresh()
		err := v.UnmarshalText([]byte(s))
		if err == nil {
			t.Errorf("%T took %q", v, s)
			continue
		}
		if what, fix, ok := strings.Cut(err.Error(), ": "); !ok || what == "" || fix == "" {
			t.Errorf("%T, %q: the error says no fix: %v", v, s, err)
		}
	}
}

func take(t *testing.T, fresh func() encoding.TextUnmarshaler, texts ...string) {
	t.Helper()
	for _, s := range texts {
		if err := fresh().UnmarshalText([]byte(s)); err != nil {
			t.Errorf("%T refused %q: %v", fresh(), s, err)
		}
	}
}

func TestGlob(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		glob, name string
		want       bool
	}{
		{"*/scratch-*", "octocat/scratch-1", true},
		{"*/scratch-*", "octocat/Scratch-1", true},
		{"Octocat/*", "octocat/hello", true},
		{"octocat/*", "octocats/hello", false},
		{"*", "octocat/hello", false},
		{"**", "octocat/hello", true},
		{"{a,b}/*.github.io", "B/x.github.io", true},
		{"a/[x-z]?", "a/y1", true},
		{"a/[!x]", "a/x", false},
	} {
		var g Glob
		if err := g.UnmarshalText([]byte(c.glob)); err != nil {
			t.Fatal(err)
		}
		if got := g.Match(c.name); got != c.want || g.String() != c.glob {
			t.Errorf("%s on %s: %v", c.glob, c.name, got)
		}
	}
	if (Glob{}).Match("") {
		t.Error("no pattern matches")
	}
	refuse(t, func() encoding.TextUnmarshaler { return new(Glob) }, "", "[", "a/{b", "a/[z-", `a\`)
}

func TestCron(t *testing.T) {
	t.Parallel()
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		cron  string
		after time.Time
		want  string
	}{
		{"0 17 * * FRI", time.Date(2026, 11, 20, 17, 0, 0, 0, berlin), "2026-11-27T17:00:00+01:00 2026-12-04T17:00:00+01:00"},
		{"*/30 1-2 1 jan,JUL *", time.Date(2026, 11, 20, 0, 0, 0, 0, berlin), "2027-01-01T01:00:00+01:00 2027-01-01T01:30:00+01:00"},
		// Clocks go forward at 2:00: 2:30 does not exist that day.
		{"30 2 * * *", time.Date(2027, 3, 27, 12, 0, 0, 0, berlin), "2027-03-29T02:30:00+02:00 2027-03-30T02:30:00+02:00"},
		{"  0  1 * * 0 ", time.Date(2026, 11, 20, 0, 0, 0, 0, berlin), "2026-11-22T01:00:00+01:00 2026-11-29T01:00:00+01:00"},
	} {
		var cr Cron
		if err := cr.UnmarshalText([]byte(c.cron)); err != nil {
			t.Fatal(err)
		}
		n := cr.Next(c.after, berlin, 2)
		if got := n[0].Format(time.RFC3339) + " " + n[1].Format(time.RFC3339); got != c.want {
			t.Errorf("%s: got %s, want %s", c.cron, got, c.want)
		}
	}
	if (Cron{}).Next(time.Time{}, time.UTC, 3) != nil || !(Cron{}).IsZero() {
		t.Error("no start time has starts")
	}
	refuse(t, func() encoding.TextUnmarshaler { return new(Cron) },
		"", "@every 1h", "@daily", "0 17 * *", "0 0 17 * * FRI", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 *", "* * * * 8",
		"* * * * FRO", "0 0 30 2 *", "CRON_TZ=UTC 0 1 * * *", "TZ=UTC 0 1 * *", "? * * * *", "0 0 L * *", "a b c d e", "5-1 * * * *")
}

func TestZone(t *testing.T) {
	t.Parallel()
	take(t, func() encoding.TextUnmarshaler { return new(Zone) }, "UTC", "Etc/UTC", "Europe/Berlin", "Europe/Stockholm", "America/Argentina/Buenos_Aires", "Etc/GMT+5")
	refuse(t, func() encoding.TextUnmarshaler { return new(Zone) }, "", "Local", "Berlin", "../etc/passwd", "Europe/Berln", "US/Eastern", "Asia/Calcutta", "EST5EDT", "GMT")
	if (Zone{}).Location() != time.UTC {
		t.Error("no time zone is not UTC")
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	a32 := strings.Repeat("a", 32)
	for _, c := range []struct {
		fresh        func() encoding.TextUnmarshaler
		taken, never []string
	}{
		{func() encoding.TextUnmarshaler { return new(Name) }, []string{"ab", "onlinebackup", "a-1", a32}, []string{"", "a", "A1", "1a", "a_b", "a-", "ä1", a32 + "a", "ab\n"}},
		{func() encoding.TextUnmarshaler { return new(JobName) }, []string{"a", "github", "1", "a_b-c"}, []string{"", "A", "a/b", "a.b", "-a", "a-", strings.Repeat("a", 41)}},
		{func() encoding.TextUnmarshaler { return new(Prefix) }, []string{"a", "A/b.c/_d"}, []string{"", "/", "/a", "a/", "a//b", ".", "a/..", "a/./b", "a b", "ä"}},
		{func() encoding.TextUnmarshaler { return new(Email) }, []string{"you@example.com", "a+b@c.d.example"}, []string{"", "you", "you@example", "You <you@example.com>", "a@b.c, d@e.f", "ü@example.com", "a@b.c\n"}},
		{func() encoding.TextUnmarshaler { return new(TopicARN) }, []string{"arn:aws:sns:eu-west-1:123456789012:t", "arn:aws-us-gov:sns:us-gov-west-1:123456789012:a_b-c"}, []string{"", "t", "arn:aws:sqs:eu-west-1:123456789012:t", "arn:aws:sns:eu-west-1:123:t", "arn:aws:sns:eu-west-1:123456789012:t.fifo", "arn:aws:sns:eu-west-1:123456789012:t:1"}},
		{func() encoding.TextUnmarshaler { return new(Image) }, []string{"ami-0123456789abcdef0", "ami-01234567", "resolve:ssm:/aws/service/canonical/ubuntu/server/24.04/stable/current/arm64/hvm/ebs-gp3/ami-id"}, []string{"", "ami-", "ami-xyz", "AMI-01234567", "debian", "resolve:ssm:a", "resolve:ssm:/a b"}},
		{func() encoding.TextUnmarshaler { return new(Device) }, []string{"/dev/xvda", "/dev/sda1"}, []string{"", "xvda", "/dev/", "/dev/../x", "/dev/xvda "}},
		{func() encoding.TextUnmarshaler { return new(Subnet) }, []string{"subnet-0123456789abcdef0", "subnet-01234567"}, []string{"", "subnet-", "vpc-01234567", "subnet-xyz"}},
		{func() encoding.TextUnmarshaler { return new(Region) }, []string{"eu-west-1", "auto", "us-gov-west-1"}, []string{"", "EU", "eu west", "-x"}},
	} {
		take(t, c.fresh, c.taken...)
		refuse(t, c.fresh, c.never...)
	}
}
