//go:build e2e

package e2e

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"mayfly/internal/gittest"
	"mayfly/runner"
)

var notify = regexp.MustCompile(`(?m)^notify:.*\n`)

// Whoever reads the output may go away, and the backup goes on: `head` used to
// kill the run with SIGPIPE, without a report and with the lock held.
func TestOutputNobodyReads(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, name := range []string{"one", "two", "three"} {
		w.repo(name, gittest.Normal)
	}
	config := notify.ReplaceAllString(w.config(w.fileStore()), "") // nobody but the console
	for _, pipe := range []string{"2>&1 | head -n 1", "2>&1 >/dev/full | head -n 1"} {
		p := w.startWith([]string{"sh", "-c", `"$@" ` + pipe, "sh"}, config, "run", "-v")
		p.wait()
		time.Sleep(1100 * time.Millisecond) // a run's id has whole seconds
	}
	dir := w.storeDir()
	verdicts := 0
	for _, f := range filesBelow(t, dir) {
		if !strings.HasSuffix(f, "/report.json") {
			continue
		}
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		var report struct {
			Verdict runner.Verdict
			Jobs    []struct{ Verdict runner.Verdict }
		}
		if err := json.Unmarshal(b, &report); err != nil {
			t.Fatal(err)
		}
		verdicts++
		// The job is well; that nobody got the report is not.
		if report.Verdict != runner.VerdictPartial || len(report.Jobs) != 1 || report.Jobs[0].Verdict != runner.VerdictComplete {
			t.Errorf("%s: %+v", f, report)
		}
	}
	if verdicts != 2 {
		t.Errorf("%d reports, not 2: %v", verdicts, filesBelow(t, dir))
	}
	if left := temporary(t, dir); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}
