package archive

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mayfly/internal/store"
)

// put makes an object that the store says was made at the given time.
func put(t *testing.T, st *faulty, key, content string, at time.Time) store.Object {
	t.Helper()
	if _, err := st.Put(t.Context(), key, []byte(content), ""); err != nil {
		t.Fatal(err)
	}
	return st.redate(t, key, at)
}

func TestScan(t *testing.T) {
	t.Parallel()
	st := newStore(t)
	later := created.Add(30 * time.Hour) // the store was copied later
	week := 7 * 24 * time.Hour
	seg := func(repo string, full time.Time, n int) string {
		return Key("github", filepath.Dir(repo), filepath.Base(repo), full, n, n > 0)
	}
	for key, content := range map[string]string{
		seg("acme/two", created.Add(-week), 0):             "older",
		seg("acme/two", created, 0):                        "newest",
		seg("acme/chain", created, 0):                      "full",
		seg("acme/chain", created, 1):                      "one",
		seg("acme/chain", created, 2):                      "two",
		seg("acme/gap", created, 0):                        "full",
		seg("acme/gap", created, 2):                        "two",
		seg("acme/base", created, 1):                       "no full segment",
		seg("me/site", created.Add(-week), 0):              "old",
		seg("ahead/site", later.AddDate(70, 0, 0), 0):      "by a clock that was wrong",
		seg("ahead/site", later.Add(-time.Hour), 0):        "before, by a clock that was right",
		"github/index.json":                                "{}",
		"github/acme/two/notes.txt":                        "",
		Key("github2", "acme", "other", created, 0, false): "",
	} {
		put(t, st, key, content, later)
	}
	got, missing, err := Scan(t.Context(), st, "github", nil)
	if len(missing) > 0 {
		t.Errorf("without an index %v are missing", missing)
	}
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]Listed{
		"acme/two":   {Full: created, Newest: created, Segments: 1, Base: 6},
		"acme/chain": {Full: created, Newest: later, Segments: 3, Base: 4, Increments: 6},
		"acme/gap":   {Full: created, Newest: created, Segments: 2, Base: 4, Increments: 3, Gap: true},
		"acme/base":  {Full: created, Segments: 1, Increments: 15, Gap: true},
		"me/site":    {Full: created.Add(-week), Newest: created.Add(-week), Segments: 1, Base: 3},
		"ahead/site": {Full: later.AddDate(70, 0, 0), Newest: later, Segments: 1, Base: 25},
	} {
		l := got[name]
		one, err := ScanOne(t.Context(), st, "github", filepath.Dir(name), filepath.Base(name), nil)
		if err != nil || one != l {
			t.Errorf("%s alone is %+v, %v, and among all %+v", name, one, err, l)
		}
		l.Print, l.Stored = Print{}, time.Time{}
		if l != want {
			t.Errorf("%s is %+v, want %+v", name, l, want)
		}
		delete(got, name)
	}
	if len(got) > 0 {
		t.Errorf("and there are %v", got)
	}
	st.listErr = errors.New("connection reset")
	if got, _, err := Scan(t.Context(), st, "github", nil); !errors.Is(err, st.listErr) || got != nil {
		t.Errorf("a listing that broke off: %v, %v", got, err)
	}
}

// The chain that a wrong clock began is not the newest one for ever.
func TestScanAfterWrongClock(t *testing.T) {
	t.Parallel()
	st := newStore(t)
	put(t, st, Key("github", "acme", "site", created.AddDate(70, 0, 0), 0, false), "by a clock that was ahead", created)
	week := created.AddDate(0, 0, 7)
	put(t, st, Key("github", "acme", "site", week, 0, false), "newer", week)
	isNewest(t, st, week)
}

// A chain that is copied in place, as out of cold storage, is not the newest.
func TestScanAfterCopyInPlace(t *testing.T) {
	t.Parallel()
	st := newStore(t)
	put(t, st, Key("github", "acme", "site", created.AddDate(-1, 0, 0), 0, false), "old", created.AddDate(1, 0, 0))
	put(t, st, Key("github", "acme", "site", created, 0, false), "new", created.Add(time.Minute))
	put(t, st, Key("github", "acme", "site", created.AddDate(-2, 0, 0), 0, false), "older", created.AddDate(2, 0, 0))
	isNewest(t, st, created)
}

// The newest chain stays so when its full segment is gone.
func TestScanWithoutFull(t *testing.T) {
	t.Parallel()
	st := newStore(t)
	put(t, st, Key("github", "acme", "site", created.AddDate(0, 0, -7), 0, false), "old", created)
	put(t, st, Key("github", "acme", "site", created, 1, true), "new", created)
	isNewest(t, st, created)
}

func isNewest(t *testing.T, st store.Store, want time.Time) {
	t.Helper()
	l, err := ScanOne(t.Context(), st, "github", "acme", "site", nil)
	if err != nil || !l.Full.Equal(want) {
		t.Errorf("the newest chain is %v, %v", l.Full, err)
	}
	chains, err := Chains(t.Context(), st, "github", "acme", "site", nil)
	if err != nil || !strings.Contains(chains[len(chains)-1].Objects[0].Key, want.Format(stampLayout)) {
		t.Errorf("chains %v, %v", chains, err)
	}
}

// Chains have one order, whichever two of them are compared.
func TestChainsInOrder(t *testing.T) {
	t.Parallel()
	var all []Listed
	for _, full := range []time.Duration{0, 1, 20, 30, 50, 1000, 1e6} {
		for _, stored := range []time.Duration{0, 10, 25, 49, 51, 1e5} {
			all = append(all, Listed{Full: created.Add(full * time.Hour), Stored: created.Add(stored * time.Hour)})
		}
	}
	for _, a := range all {
		for _, b := range all {
			if a.compare(b) != -b.compare(a) {
				t.Errorf("%v and %v", a, b)
			}
			for _, c := range all {
				if a.compare(b) < 0 && b.compare(c) < 0 && a.compare(c) >= 0 {
					t.Errorf("%v before %v before %v, and not before it", a, b, c)
				}
			}
		}
	}
}

// A print changes with every segment that comes, goes or changes.
func TestPrint(t *testing.T) {
	t.Parallel()
	a, b := store.Object{Size: 1, ETag: "a"}, store.Object{Size: 1, ETag: "b"}
	c := store.Object{Size: 2, ETag: "a"}
	seen := map[Print]bool{{}: true}
	for _, p := range []Print{
		Print{}.And(0, a), Print{}.And(0, b), Print{}.And(0, c), Print{}.And(1, a),
		Print{}.And(0, a).And(1, b), Print{}.And(0, b).And(1, a), Print{}.And(0, a).And(1, b).And(2, c),
	} {
		if seen[p] {
			t.Errorf("print %s stands for two chains", p)
		}
		seen[p] = true
	}
	var l Listed
	l = l.And(Segment{Object: a, Manifest: Manifest{Created: created.Add(time.Millisecond)}})
	l = l.And(Segment{Object: b})
	if l.Print != (Print{}).And(0, a).And(1, b) || !l.Full.Equal(created) || l.Gap || l.Segments != 2 {
		t.Errorf("two segments are listed as %+v", l)
	}
}

// What the index records is held against what is listed.
func TestScanByIndex(t *testing.T) {
	t.Parallel()
	st := newStore(t)
	x := readIndex(t, st)
	week := created.AddDate(0, 0, 7)
	record := func(name string, chain time.Time, objects ...store.Object) {
		var p Print
		for i, o := range objects {
			p = p.And(i, o)
		}
		x.Set(name, Summary{Host: "github.com", ID: 1, Chain: chain, Segments: len(objects), Print: p, Digest: summaryOf(1).Digest, Checked: created})
	}
	chain := func(name string, full time.Time, n int) (all []store.Object) {
		for i := range n {
			all = append(all, put(t, st, Key("github", "acme", name, full, i, i > 0), fmt.Sprint(i), full))
		}
		return all
	}
	other := store.Object{Size: 7, ETag: "other"}
	same := chain("same", created, 2)
	record("acme/same", created, same...)
	longer := chain("longer", created, 3)
	record("acme/longer", created, longer[:2]...)
	changed := chain("changed", created, 3)
	record("acme/changed", created, changed[0], other)
	shorter := chain("shorter", created, 1)
	record("acme/shorter", created, shorter[0], other)
	chain("older", created, 2)
	record("acme/older", week, other, other)
	chain("newer", week, 1)
	record("acme/newer", created, chain("newer", created, 1)...)
	record("acme/gone", created, other)
	chain("unknown", created, 1)
	chain("marked", created, 2)
	put(t, st, MarkKey("github", "acme", "marked", created), "", created)
	chain("was-marked", created, 2)
	put(t, st, MarkKey("github", "acme", "was-marked", created), "", created)
	chain("was-marked", week, 1)
	put(t, st, "github/acme/unknown/DAMAGED.txt", "", created)

	got, missing, err := Scan(t.Context(), st, "github", x)
	if err != nil {
		t.Fatal(err)
	}
	if said := fmt.Sprint(missing); said != "[acme/gone: its newest archives, 1 in 20261120T170412Z acme/older: its newest archives, 2 in 20261127T170412Z acme/shorter: 1 of the 2 newest archives, in 20261120T170412Z]" {
		t.Errorf("missing are %s", said)
	}
	for name, want := range map[string]struct{ doubt, marked, known bool }{
		"same": {known: true}, "longer": {}, "changed": {doubt: true}, "shorter": {doubt: true}, "older": {},
		"newer": {}, "unknown": {}, "marked": {marked: true}, "was-marked": {},
	} {
		l := got["acme/"+name]
		_, known := x.Find("acme/"+name, l)
		if l.Segments == 0 || l.Doubt != want.doubt || l.Marked != want.marked || known != want.known {
			t.Errorf("%s is known: %t, %+v", name, known, l)
		}
		if l.Extendable() == want.marked || l.Newest.IsZero() != want.marked {
			t.Errorf("%s: extendable %t, newest %s", name, l.Extendable(), l.Newest)
		}
		one, err := ScanOne(t.Context(), st, "github", "acme", name, x)
		if err != nil || one != l {
			t.Errorf("%s alone is %+v, %v", name, one, err)
		}
	}
	all, err := Repositories(t.Context(), st, "github")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range all {
		if r.Damaged != (r.Name == "marked" || r.Name == "was-marked") {
			t.Errorf("%s is listed as damaged: %t", r.Name, r.Damaged)
		}
	}
}
