package sshd

import (
	"strings"
	"testing"
)

func TestJudgesRsync(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		said, pkg     string
		fails, warned bool
	}{
		{"rsync  version 3.5.0  protocol version 32\nmore", "3.5.0+ds1-0+deb12u1", false, false},
		{"rsync  version v3.6.1 protocol", "", false, false},
		{"rsync  version 3.4.1  protocol version 32", "3.4.1-1.amzn2023.0.1", false, true},
		{"rsync  version 3.4.0  protocol version 32", "", false, true},
		{"rsync  version 3.2.7  protocol version 32", "3.2.7-1+deb12u2", false, true},
		{"rsync  version 3.2.7  protocol version 32", "3.2.7-1+deb12u10", false, true},
		{"rsync  version 3.2.7  protocol version 31", "3.2.7-1+deb12u1", true, false},
		{"rsync  version 3.2.7  protocol version 31", "3.2.7-1", true, false},
		{"rsync  version 3.2.7  protocol version 31", "3.2.7-1ubuntu1.2", false, true},
		{"rsync  version 3.2.7  protocol version 31", "3.2.7-1ubuntu1", true, false},
		{"rsync  version 3.2.7  protocol version 31", "", true, false},
		{"rsync  version 3.1.2  protocol version 31", "3.1.2-11.amzn2.0.2", true, false},
		{"rsync: not found", "", true, false},
		{"", "", true, false},
	} {
		r, err := judge(c.said, c.pkg)
		if (err != nil) != c.fails || (r.Warning != "") != c.warned {
			t.Errorf("%q %s: %v, warning %q", c.said, c.pkg, err, r.Warning)
		}
		if err != nil && !strings.Contains(err.Error(), "package rsync") {
			t.Errorf("%v does not say what to do", err)
		}
	}
}
