package main

import (
	"os"
	"path/filepath"
	"testing"

	"mayfly/internal/store"
)

// What a command job has left is copied from a store with an endpoint of its
// own by commands that name the endpoint.
func TestCopyOutNamesTheEndpoint(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "dump", "20261101T000000Z", "db.sql")
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	st, err := store.NewDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	by := hand{" --endpoint-url https://minio.example.com"}
	for asked, want := range map[string]string{
		"dump":                         "dump is what a command job has left, kept as it was and with no archive around it: aws s3 cp --recursive s3://bucket/dump/20261101T000000Z/ 20261101T000000Z/ --endpoint-url https://minio.example.com",
		"dump/20261101T000000Z/db.sql": "dump/20261101T000000Z/db.sql is what a command job has left, kept as it was and with no archive around it: aws s3 cp s3://bucket/dump/20261101T000000Z/db.sql . --endpoint-url https://minio.example.com",
	} {
		if err := nothingThere(t.Context(), readOnly{st}, asked, "", by); err == nil || err.Error() != want {
			t.Errorf("%s: %v\nwant %s", asked, err, want)
		}
	}
}
