package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"mayfly/internal/archive"
	"mayfly/runner"
)

// A verifiedJSON is how one repository came out. What is damaged or missing is
// told apart from what could not be checked.
type verifiedJSON struct {
	Repository string        `json:"repository"`
	Segments   int           `json:"segments"`
	Size       int64         `json:"size_bytes"`
	Whole      bool          `json:"whole"`
	Damaged    bool          `json:"damaged,omitempty"`
	Missing    bool          `json:"missing,omitempty"`
	NotChecked bool          `json:"not_checked,omitempty"`
	Problems   []string      `json:"problems,omitempty"`
	Advice     []string      `json:"advice,omitempty"`
	Folders    []damagedJSON `json:"damaged_folders,omitempty"`
}

// A damagedJSON is one chain that is damaged.
type damagedJSON struct {
	Folder   string    `json:"folder"`
	Points   int       `json:"points"`
	Whole    int       `json:"whole_points"` // the oldest of them
	Affected time.Time `json:"affected_from"`
	Marked   bool      `json:"marked"`
	Newer    time.Time `json:"newer_full,omitzero"` // a later full archive that is whole
}

type verified struct{ verifiedJSON }

func (r *verified) unchecked(err error) {
	r.NotChecked = true
	for line := range strings.Lines(err.Error()) {
		r.Problems = append(r.Problems, "not checked: "+strings.TrimSuffix(line, "\n"))
	}
}

func (r *verified) lacks(m archive.Missing) {
	r.Missing = true
	what := fmt.Sprintf("all %d of its newest archives, which were", m.Recorded)
	if n := m.Recorded - m.Listed; m.Listed > 0 || n == 1 {
		what = fmt.Sprintf("%d of its %s, which were", n, runner.FormatCount(m.Recorded, "newest archives"))
	}
	r.Problems = append(r.Problems, fmt.Sprintf("missing: %s recorded in the folder %s", what, m.Chain.Format("20060102T150405Z")))
	r.Advice = append(r.Advice, "the next run that backs it up says so, too, and writes a full archive; what is gone may be in the bucket's older versions, or in a copy")
}

// chain takes in one chain, and marks it in the store if it is damaged. after
// are those that came later.
func (v *verifier) chain(ctx context.Context, r *verified, c archive.Checked, after []archive.Checked) {
	url := v.st.URL(strings.TrimSuffix(c.Key, "/"))
	mark := c.Key + archive.MarkName
	var damage []error
	for _, err := range c.Problems {
		if errors.Is(err, archive.ErrDamaged) {
			damage = append(damage, err)
			for line := range strings.Lines(err.Error()) {
				r.Problems = append(r.Problems, strings.TrimSuffix(line, "\n"))
			}
		} else {
			r.unchecked(err)
		}
	}
	switch {
	case !c.Damaged && !c.Marked:
		return
	case !c.Damaged && len(c.Problems) == 0 && v.o.deep:
		r.Advice = append(r.Advice, fmt.Sprintf("%s is whole, and is marked as damaged: if it was mended, take the mark away, and runs go on from it: %s", url, v.hand.remove(v.st.URL(mark))))
		return
	case !c.Damaged:
		r.Damaged = true
		r.Problems = append(r.Problems, fmt.Sprintf("%s is marked as damaged: %s says what was found; whether it still is, mayfly verify --deep %s%s tells", url, v.st.URL(mark), r.Repository, v.flags))
		return
	}
	r.Damaged = true
	d := damagedJSON{Folder: url, Points: len(c.Objects), Whole: c.Good, Affected: c.Affected.UTC(), Marked: c.Marked}
	for _, k := range after {
		if len(k.Problems) == 0 && !k.Marked {
			d.Newer = k.Full
		}
	}
	r.Advice = append(r.Advice, fmt.Sprintf("affected in %s: %d of %s in time, from %s on%s", url, d.Points-d.Whole, runner.FormatCount(d.Points, "points"), moment(d.Affected, time.Local), wholeBefore(d.Whole)))
	err := archive.Mark(ctx, v.st, mark, v.app.now(), mayflyVersion(), errors.Join(damage...))
	d.Marked = d.Marked || err == nil
	switch newest := len(after) == 0; {
	case !d.Newer.IsZero():
		r.Advice = append(r.Advice, fmt.Sprintf("a newer full archive, of %s, is there and whole; when nothing of %s is wanted any more, remove it: %s", moment(d.Newer, time.Local), url, v.hand.removeAll(url)))
	case newest && d.Marked:
		r.Advice = append(r.Advice, fmt.Sprintf("marked in %s: the next run that backs it up writes a full archive", v.st.URL(mark)))
	case newest:
		r.Advice = append(r.Advice, fmt.Sprintf("it could not be marked, so that the next run may go on from it (%v): with credentials that may write there, verify again, or write the mark, and the next run writes a full archive: %s", err, v.hand.write(v.st.URL(mark))))
	}
	r.Folders = append(r.Folders, d)
}

func wholeBefore(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("; %d before can be restored", n)
}

// report sums up.
func (v *verifier) report(segments int) error {
	slices.SortFunc(v.found, func(a, b verified) int { return cmp.Compare(a.Repository, b.Repository) })
	whole, damaged, missing, unchecked := 0, 0, 0, 0
	for _, r := range v.found {
		switch {
		case r.Damaged:
			damaged++
		case r.Missing:
			missing++
		case r.NotChecked:
			unchecked++
		default:
			whole++
		}
	}
	var failed error
	if whole < len(v.found) || !v.dirsWhole() {
		failed = &codeError{code: exitFailed}
	}
	if v.o.json {
		enc := json.NewEncoder(v.app.stdout)
		enc.SetIndent("", "  ")
		list := make([]verifiedJSON, 0, len(v.found))
		for _, r := range v.found {
			list = append(list, r.verifiedJSON)
		}
		return errors.Join(enc.Encode(struct {
			Store        string         `json:"store"`
			Deep         bool           `json:"deep"`
			Whole        int            `json:"whole"`
			Damaged      int            `json:"damaged"`
			Missing      int            `json:"missing"`
			NotChecked   int            `json:"not_checked"`
			Repositories []verifiedJSON `json:"repositories"`
			// Directories are those that sync jobs keep; the numbers above are without them.
			Directories []verifiedDirJSON `json:"directories,omitempty"`
		}{v.st.URL(""), v.o.deep, whole, damaged, missing, unchecked, list, v.dirs}), failed)
	}
	if len(v.found) == 0 {
		return failed
	}
	fmt.Fprintf(v.app.stdout, "%s of %s checked: ", runner.FormatCount(segments, "archives"), runner.FormatCount(len(v.found), "repositories"))
	if whole == len(v.found) {
		how := "every byte of them is as it was written"
		if v.o.deep {
			how += ", and everything that the refs of any point in time need is there"
		}
		fmt.Fprintf(v.app.stdout, "%s.\n", how)
		return failed
	}
	fmt.Fprintf(v.app.stdout, "%d whole", whole)
	for _, c := range []struct {
		n    int
		what string
	}{{damaged, "damaged"}, {missing, "with archives missing"}, {unchecked, "not checked"}} {
		if c.n > 0 {
			fmt.Fprintf(v.app.stdout, ", %d %s", c.n, c.what)
		}
	}
	fmt.Fprintf(v.app.stdout, ".\n")
	return failed
}
