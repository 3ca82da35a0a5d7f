package drill

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func shell(t *testing.T, script string, args ...string) {
	t.Helper()
	if out, err := exec.Command("sh", append([]string{"-ec", script, "sh"}, args...)...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", script, err, out)
	}
}

var all = Limits{Files: 100, Bytes: 1 << 30, Large: 1 << 30, Entries: 10_000, Exact: true}

// A directory is as itself is; contents is what differs alone in its time of
// change, too, which two directories never share.
func TestSameTree(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, name := range []string{"a", "deep/er/b", "deep/c"} {
		write(t, filepath.Join(dir, name), name+"\n")
	}
	shell(t, `ln -s /etc/passwd "$1/link"; mkfifo "$1/fifo"; ln -s nowhere "$1/dangling"`, dir)
	res, err := Compare(t.Context(), dir, dir, all)
	if err != nil || len(res.Different) > 0 || res.Files != 5 || res.Bytes != int64(len("a\ndeep/er/b\ndeep/c\n")) {
		t.Errorf("%+v, %v", res, err)
	}
	few := all
	few.Files = 2
	if res, err = Compare(t.Context(), dir, dir, few); err != nil || res.Files < 1 || res.Files > 2 {
		t.Errorf("%+v, %v", res, err)
	}
}

// differs compares two files alone.
func TestDifferences(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ change, says string }{
		"gone":      {`rm "$1/f"`, "the volume's cannot be read"},
		"a byte":    {`printf X | dd of="$1/f" bs=1 seek=70000 conv=notrunc status=none; touch -r "$2/f" "$1/f"`, "differ from byte 70000 on"},
		"shorter":   {`truncate -s 100 "$1/f"`, "its size differs"},
		"mode":      {`chmod 600 "$1/f"`, "mode differs"},
		"time":      {`touch -d 2001-01-01 "$1/f"`, "its time differs"},
		"a link":    {`rm "$1/f"; ln -s f2 "$1/f"`, "type or mode differs"},
		"leads out": {`rm -r "$1/d"; ln -s /etc "$1/d"`, "the volume's cannot be read"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			old, live := t.TempDir(), t.TempDir()
			write(t, filepath.Join(old, "f"), strings.Repeat("x", 100_000))
			write(t, filepath.Join(old, "d/passwd"), "mine")
			shell(t, `cp -a "$1/." "$2"; `, old, live)
			shell(t, tt.change, live, old)
			c := comparison{ctx: t.Context(), limits: all}
			var err error
			if c.copy, err = os.OpenRoot(old); err != nil {
				t.Fatal(err)
			}
			defer c.copy.Close()
			if c.live, err = os.OpenRoot(live); err != nil {
				t.Fatal(err)
			}
			defer c.live.Close()
			what := "f"
			if name == "leads out" {
				what = "d/passwd"
			}
			if name == "a byte" { // a copy of a device has the same time of change
				c.contents(what, 100_000)
			} else {
				c.file(what)
			}
			if len(c.Different) != 1 || !strings.Contains(c.Different[0], tt.says) {
				t.Errorf("%q", c.Different)
			}
		})
	}
}

// What has been changed since the snapshot says nothing; what cannot have been
// changed since, and differs, does.
func TestCounts(t *testing.T) {
	t.Parallel()
	old, live := t.TempDir(), t.TempDir()
	write(t, filepath.Join(old, "f"), "1")
	write(t, filepath.Join(live, "f"), "2")
	l := all
	l.Exact, l.Taken = false, time.Now().Add(-time.Hour)
	if res, err := Compare(t.Context(), old, live, l); err != nil || res.Files != 0 || res.Seen != 1 {
		t.Errorf("%+v, %v", res, err)
	}
	l.Taken = time.Now().Add(time.Hour)
	if res, err := Compare(t.Context(), old, live, l); err != nil || res.Files != 1 || len(res.Different) != 1 {
		t.Errorf("%+v, %v", res, err)
	}
}

// Of a large file its ends are read, and pieces between; no more than there is
// to be read in all.
func TestPieces(t *testing.T) {
	t.Parallel()
	c := comparison{limits: Limits{Bytes: 100 << 20, Large: 8 << 20}}
	const piece = 1 << 20
	if at := c.pieces(3*piece+1, piece); len(at) != 4 || c.Pieces != 0 {
		t.Errorf("%v", at)
	}
	at := c.pieces(50*piece+5, piece)
	if len(at) != 8 || at[0] != 0 || at[1] != 49*piece+5 || c.Pieces != 1 {
		t.Errorf("%v", at)
	}
	for _, o := range at {
		if o < 0 || o > 49*piece+5 {
			t.Errorf("%v", at)
		}
	}
	c.Bytes = c.limits.Bytes - 1
	if at := c.pieces(5, piece); len(at) != 2 || at[1] != 0 { // the rest is less than the file
		t.Errorf("%v", at)
	}
}

// A snapshot that lacks what the volume has is no good one, even if all that it
// has is right; an empty one of an empty volume is.
func TestSnapshotLacks(t *testing.T) {
	t.Parallel()
	snapshot, volume := t.TempDir(), t.TempDir()
	if res, err := Compare(t.Context(), snapshot, volume, all); err != nil || len(res.Different) > 0 || res.Files != 0 {
		t.Errorf("both are empty: %+v, %v", res, err)
	}
	write(t, filepath.Join(volume, "a/b"), "x")
	res, err := Compare(t.Context(), snapshot, volume, all)
	if err != nil || len(res.Different) != 1 || !strings.Contains(res.Different[0], "the snapshot's cannot be read") {
		t.Errorf("%+v, %v", res, err)
	}
}
