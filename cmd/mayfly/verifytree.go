package main

import (
	"context"
	"fmt"
	"strings"

	dirsync "mayfly/jobs/sync"
	"mayfly/runner"
)

// A verifiedDirJSON is how one synced directory, or a part of it, came out.
type verifiedDirJSON struct {
	Directory  string   `json:"directory"`
	Files      int      `json:"files"` // that were read and are whole
	Size       int64    `json:"size_bytes"`
	Whole      bool     `json:"whole"`
	Damaged    []string `json:"damaged,omitempty"`
	Missing    []string `json:"missing,omitempty"`
	NotChecked []string `json:"not_checked,omitempty"`
	Others     []string `json:"other_versions,omitempty"` // than the last run has recorded
}

// trees checks what sync jobs keep, one after the other.
func (v *verifier) trees(ctx context.Context, trees []*dirsync.Tree) error {
	for _, t := range trees {
		n, size, err := t.Sum(ctx)
		if err != nil {
			return err
		}
		show := v.app.transfer(t.Path(), size)
		res, err := t.Verify(ctx, show.add)
		show.end()
		if err != nil {
			return err
		}
		if n == 0 && len(res.Missing) == 0 {
			return nothingThere(ctx, v.st, t.Path(), v.flags, v.hand)
		}
		v.dirs = append(v.dirs, verifiedDirJSON{t.Path(), res.Files, res.Bytes, res.Whole(), res.Damaged, res.Missing, res.Unread, res.Others})
		if !v.o.json {
			v.tellTree(t, res)
		}
	}
	return nil
}

func (v *verifier) tellTree(t *dirsync.Tree, res dirsync.Verified) {
	for _, c := range []struct {
		what  string
		paths []string
		fix   string
	}{
		{"damaged", res.Damaged, "remove it, or change the file's time, and the next run writes it again"},
		{"missing: the last run has recorded it", res.Missing, "the next run writes it again, if the file is still there; the bucket's older versions may have it"},
		{"not checked", res.Unread, ""},
		{"not the version that the last run has recorded", res.Others, "a run that was cut off has written it, and the next one records it; or somebody else has: a run from the directory writes it again"},
	} {
		for _, p := range c.paths {
			fmt.Fprintf(v.app.stdout, "%s: %s\n", c.what, runner.OneLine(p, 1000))
		}
		if len(c.paths) > 0 && c.fix != "" {
			fmt.Fprintf(v.app.stdout, "    %s\n", c.fix)
		}
	}
	fmt.Fprintf(v.app.stdout, "%s: %s, %s checked", t.Path(), runner.FormatCount(res.Files, "files"), runner.FormatSize(res.Bytes))
	if res.Whole() {
		fmt.Fprintf(v.app.stdout, ": each was read to its end")
		switch {
		case len(res.Others) > 0:
			fmt.Fprintf(v.app.stdout, "; %s not in the version that the last run has recorded", runner.FormatCount(len(res.Others), "files"))
		case res.Strong == res.Files:
			fmt.Fprint(v.app.stdout, ", and is what was kept, by its SHA-256")
		case res.Summed == res.Files:
			fmt.Fprint(v.app.stdout, ", and is what was kept, by its CRC-32C")
		case strings.HasPrefix(v.st.URL(""), "s3:"):
			fmt.Fprint(v.app.stdout, ", by the checksum that the store has of it")
		default:
			fmt.Fprintf(v.app.stdout, ", %d of them by a checksum; of the others only the length is known", res.Summed)
		}
		fmt.Fprint(v.app.stdout, ".\n")
		return
	}
	fmt.Fprintf(v.app.stdout, "; %d damaged, %d missing, %d not checked.\n", len(res.Damaged), len(res.Missing), len(res.Unread))
}

func (v *verifier) dirsWhole() bool {
	for _, d := range v.dirs {
		if !d.Whole {
			return false
		}
	}
	return true
}
