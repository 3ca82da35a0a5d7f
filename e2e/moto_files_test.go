//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestMotoFiles runs a directory, which is then restored, and a command with artifacts
// under the role that mayfly itself computes for them, and without one action
// after the other.
func TestMotoFiles(t *testing.T) {
	t.Parallel()
	m := newMoto(t)
	m.prepare()
	dir := filepath.Join(m.world.dir, "documents")
	back := filepath.Join(m.world.dir, "back")
	write := func(name, text string) {
		t.Helper()
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 5 {
		write(fmt.Sprintf("d/f%d", i), "text")
	}
	config := func(store string) string {
		text := fmt.Sprintf(`name: moto
region: %s
store: %s
notify: {email: [you@example.com]}
jobs:
  - name: documents
    sync: {from: %s, delete: true, max_delete: 100%%}
  - name: dump
    command: {run: "echo dumped >out/db.sql", artifacts: out}
`, motoRegion, store, dir)
		file := filepath.Join(m.world.dir, "work", "files.yaml")
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return file
	}
	for i, less := range []string{"", "s3:DeleteObject", "s3:PutObject", "s3:ListBucket", "s3:GetObject"} {
		store := fmt.Sprintf("s3://%s/files%d", runBucket, i)
		c := config(store)
		m.policyFor(c, "").put()
		write("gone", "x")
		first := m.mayfly("run", "-c", c)
		if first.code != 0 {
			t.Fatalf("%q: the first run: %s", less, first)
		}
		if err := os.Remove(filepath.Join(dir, "gone")); err != nil {
			t.Fatal(err)
		}
		write("d/f1", fmt.Sprintf("changed %d", i))
		m.policyFor(c, less).put()
		r := m.mayfly("run", "-c", c)
		listed := m.command(m.env(m.proxy, m.admin), "aws", "s3", "ls", "--recursive", store+"/")
		if less == "" {
			if r.code != 0 || strings.Contains(listed.out, "documents/gone") || !strings.Contains(listed.out, "/db.sql") {
				t.Errorf("with the whole policy: %s\n%s", r, listed)
			}
			if got := m.mayfly("restore", "documents", back, "-c", c); got.code != 0 {
				t.Errorf("restore: %s", got)
			}
			if b, err := os.ReadFile(filepath.Join(back, "d/f1")); err != nil || string(b) != "changed 0" {
				t.Errorf("back came %q, %v", b, err)
			}
			continue
		}
		if r.code == 0 || !strings.Contains(r.out+r.err, "grant "+less) || !strings.Contains(listed.out, "documents/gone") {
			t.Errorf("without %s: %s\n%s", less, r, listed)
		}
	}
}
