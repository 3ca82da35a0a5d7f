//go:build unix

package dirsync

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

func TestMoment(t *testing.T) {
	t.Parallel()
	for text, m := range map[string]moment{
		"1234567890123456789":      {1234567890, 123456789},
		"-4999999995":              {-5, 5},
		`"17000000000.000000001"`:  {17000000000, 1},
		`"-62135596800.500000000"`: {-62135596800, 500000000},
		`"9223372036.000000000"`:   {9223372036, 0},
		"9223372035999999999":      {9223372035, 999999999},
		"-9223372035000000000":     {-9223372035, 0},
		`"-9223372036.000000000"`:  {-9223372036, 0},
	} {
		b, err := json.Marshal(record{MTime: m})
		var r struct{ MTime json.RawMessage }
		if err == nil {
			err = json.Unmarshal(b, &r)
		}
		if err != nil || string(r.MTime) != text {
			t.Errorf("%v: %s, %v, want %s", m, r.MTime, err, text)
		}
		var back record
		if err := json.Unmarshal(b, &back); err != nil || back.MTime != m {
			t.Errorf("%s: %v, %v", text, back.MTime, err)
		}
		if got, ok := parseMoment(m.String()); !ok || got != m {
			t.Errorf("%s: %v", m, got)
		}
		if s := m.settable(); !time.Unix(0, s.UnixNano()).Equal(s) {
			t.Errorf("%s: %v cannot be set", m, s)
		}
	}
}

// A file of the year 2400, or of 1500, is not sent, or fetched, again and again,
// and lists as what it is.
func TestTimesFarAway(t *testing.T) {
	t.Parallel()
	everyStore(t, func(t *testing.T, w *world) {
		w.write("late", "1", "early", "2")
		for file, date := range map[string]string{"late": "2400-01-02 03:04:05 UTC", "early": "1500-01-02 UTC"} {
			if out, err := exec.Command("touch", "-d", date, filepath.Join(w.dir, file)).CombinedOutput(); err != nil {
				cannot(t, "touch: %v: %s", err, out)
			}
		}
		fi, err := os.Stat(filepath.Join(w.dir, "late"))
		if err != nil || fi.ModTime().UTC().Year() != 2400 {
			cannot(t, "this file system has no such times: %v", fi.ModTime())
		}
		w.expect(2, 0)
		w.expect(0, 2)
		for f, err := range w.kept("my/docs").Files(t.Context()) {
			if err != nil || f.Path == "late" && !f.Modified.Equal(fi.ModTime()) {
				t.Errorf("%s: %v, %v", f.Path, f.Modified, err)
			}
		}
		w.back()
		w.expect(2, 0)
		w.expect(0, 2)
		fi, err = os.Stat(filepath.Join(w.dir, "late"))
		if err != nil || fi.ModTime().UTC().Year() != 2262 {
			t.Errorf("%v, %v", fi.ModTime(), err)
		}
	})
}
