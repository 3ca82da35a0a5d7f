package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mayfly/internal/s3test"
)

const syncConfig = `name: weekly
region: eu-west-1
store: s3://backups/deep
notify: {email: [you@example.com]}
jobs:
  - name: docs
    sync: {OPTIONS}
`

// TestSyncPolicyIsWhatIsUsed is TestPolicyIsWhatIsUsed for synced directories,
// both ways.
func TestSyncPolicyIsWhatIsUsed(t *testing.T) {
	t.Parallel()
	for name, options := range map[string]string{"from": "", "with delete": ", delete: true, max_delete: 100%", "to": ""} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDeployed(t)
			dir := t.TempDir()
			for file, size := range map[string]int{"small": 10, "sub/large": 6 << 20} {
				p := filepath.Join(dir, file)
				if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(p, []byte(strings.Repeat("x", size)), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			way := "from: " + dir + options
			if name == "to" {
				way = "to: " + t.TempDir()
				d.store.SetObject("backups", "deep/docs/a", []byte("of another tool"))
			}
			const config = "s3://backups/deep/admin/config-0.yaml"
			d.store.SetObject("backups", "deep/admin/config-0.yaml", []byte(strings.Replace(syncConfig, "OPTIONS", way, 1)))
			at := time.Date(2026, 11, 20, 17, 0, 0, 0, time.UTC)
			expect := func(scenario string, want int) {
				t.Helper()
				at = at.Add(time.Hour)
				if code, said := d.run(at, config); code != want {
					t.Fatalf("%s: exit code %d, want %d:\n%s", scenario, code, want, said)
				}
			}
			expect("the first run", exitComplete)
			expect("nothing has changed", exitComplete)
			if name != "to" {
				lost, denied := false, false
				d.setFault(func(r *s3test.Request) s3test.Fault {
					switch {
					case r.Op == "CreateMultipartUpload" && !lost:
						lost = true
						return s3test.Fault{ResetAfter: true}
					case r.Op == "UploadPart" && !denied:
						denied = true
						return s3test.Fault{Status: 403, Code: "AccessDenied"}
					}
					return s3test.Fault{}
				})
				for i, size := range []int{20, 7 << 20} {
					if err := os.WriteFile(filepath.Join(dir, []string{"small", "sub/large"}[i]), []byte(strings.Repeat("y", size)), 0o644); err != nil {
						t.Fatal(err)
					}
				}
				expect("a lost reply, and an upload that fails", exitPartial)
				if err := os.Remove(filepath.Join(dir, "small")); err != nil {
					t.Fatal(err)
				}
				expect("a file is gone", exitComplete)
			}
			if _, there := d.store.Object("backups", "deep/docs/small"); there == (name != "from") {
				t.Errorf("small is there: %v", there)
			}
			if code, said := d.run(at, strings.Replace(config, "-0", "-absent", 1)); code != exitUsage {
				t.Fatalf("exit code %d:\n%s", code, said)
			}
			d.leave()
			d.judge(config)
			for _, r := range d.witness.seen {
				if r.Action == "s3:DeleteObject" && name == "to" || r.Action == "s3:DeleteObject" && name == "from" && !strings.Contains(r.Resource, "/.mayfly/") {
					t.Error(fmt.Sprint(r.Action, " on ", r.Resource))
				}
			}
		})
	}
}
