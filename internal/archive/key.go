package archive

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"mayfly/internal/store"
)

// stampLayout is the time in a key: UTC, sortable, and legal in file names.
const stampLayout = "20060102T150405Z"

// A Place is what a segment's key says about it.
type Place struct {
	Owner, Name string
	Full        time.Time // when the full segment that begins the chain was made
	Number      int       // position in the chain, 0 for the full segment
	Incr        bool
}

// Key returns where a segment is kept below prefix:
// "github/OWNER/NAME/20261120T170412Z/0000-full.zip". full is the time of the
// chain's full segment, n the position in the chain. Owner and name must pass
// CheckName.
func Key(prefix, owner, name string, full time.Time, n int, incr bool) string {
	kind := KindFull
	if incr {
		kind = KindIncr
	}
	return below(prefix) + fmt.Sprintf("%s/%s/%s/%04d-%s.zip", owner, name, full.UTC().Format(stampLayout), n, kind)
}

// ParseKey is the inverse of Key. It reports false for every key that Key
// would not have made.
func ParseKey(prefix, key string) (Place, bool) {
	rest, ok := strings.CutPrefix(key, below(prefix))
	parts := strings.Split(rest, "/")
	if !ok || len(parts) != 4 {
		return Place{}, false
	}
	p := Place{Owner: parts[0], Name: parts[1]}
	var err error
	if p.Full, err = time.Parse(stampLayout, parts[2]); err != nil {
		return Place{}, false
	}
	number, kind, _ := strings.Cut(strings.TrimSuffix(parts[3], ".zip"), "-")
	if p.Number, err = strconv.Atoi(number); err != nil {
		return Place{}, false
	}
	p.Incr = kind == KindIncr
	if p.Incr != (p.Number > 0) || CheckName(p.Owner, p.Name) != nil {
		return Place{}, false
	}
	// One key, one spelling: "1-incr.zip" is not "0001-incr.zip".
	return p, Key(prefix, p.Owner, p.Name, p.Full, p.Number, p.Incr) == key
}

// SplitKey is ParseKey for a key below any prefix, which it returns. It reports
// false for prefixes that no store of ours would take: a person may look at what
// is printed of them.
func SplitKey(key string) (prefix string, p Place, ok bool) {
	at := len(key)
	for range 4 {
		if at = strings.LastIndex(key[:max(at, 0)], "/"); at < 0 {
			break
		}
	}
	if at > 0 {
		prefix = key[:at]
	}
	p, ok = ParseKey(prefix, key)
	return prefix, p, ok && store.CheckKey(key) == nil
}

func below(prefix string) string {
	if prefix == "" {
		return ""
	}
	return prefix + "/"
}

// CheckName refuses an owner or repository that cannot be part of a key.
// GitHub allows ASCII letters, digits, '.', '-' and '_', at most 100 of them;
// anything else comes from a server that is not to be trusted with a path.
func CheckName(owner, name string) error {
	for _, s := range []string{owner, name} {
		if s == "" || s == "." || s == ".." || len(s) > 100 || strings.ContainsFunc(s, notInName) {
			return fmt.Errorf("name of repository %q/%q: want 1 to 100 ASCII letters, digits, '.', '-' or '_'", owner, name)
		}
	}
	return nil
}

func notInName(r rune) bool {
	switch {
	case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9':
		return false
	}
	return r != '.' && r != '-' && r != '_'
}
