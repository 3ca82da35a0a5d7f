package remote

import (
	"strings"
	"testing"
)

func TestVersion(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text, err string
		acls      bool
	}{
		{"rsync  version 3.2.7  protocol version 31\n    socketpairs, symlinks, no xattrs, ACLs, iconv\n", "", true},
		{"rsync  version v3.1.3  protocol version 31\n    64-bit files, no ACLs, xattrs\n", "", false},
		{"rsync  version 2.6.8  protocol version 29\n", "is too old: install rsync 3.1", false},
		{"openrsync: protocol version 29\nrsync version 2.6.9 compatible\n", `says that it is "openrsync: protocol version 29": install`, false},
		{"", "install", false},
	} {
		r, err := parseVersion(c.text)
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%q: %v", c.text, err)
			}
			continue
		}
		if err != nil || r.ACLs != c.acls || r.Xattrs == c.acls {
			t.Errorf("%q: %+v, %v", c.text, r, err)
		}
	}
}

// What an rsync does not keep is said.
func TestLacks(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"rsync  version 2.6.9  protocol version 29\nCapabilities: 64-bit files, socketpairs, hard links, symlinks\n": "The rsync here (2.6.9) keeps no ACLs, no extended attributes, no fractions of seconds in times.",
		"rsync  version 3.2.7  protocol version 31\n    no ACLs, xattrs, iconv\n":                                    "The rsync here (3.2.7) keeps no ACLs.",
		"rsync  version 3.2.7  protocol version 31\n    ACLs, xattrs, iconv\n":                                       "",
	} {
		r, err := parseVersion(text)
		if err != nil || r.Lacks() != want {
			t.Errorf("%q: %q, %v", text, r.Lacks(), err)
		}
	}
}

// rsync splits the words of -e at blanks, and knows quotes and no escapes.
func TestShell(t *testing.T) {
	t.Parallel()
	if got, want := Shell([]string{"ssh", "-i", "/a b", `x="/c d"`, "/it's"}), `ssh -i '/a b' 'x="/c d"' '/it''s'`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
