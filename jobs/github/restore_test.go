package github

import (
	"strings"
	"testing"

	"mayfly/internal/store"
	"mayfly/runner"
)

// A namedStore is a store with another address.
type namedStore struct {
	store.Store
	url string
}

func (s namedStore) URL(key string) string { return s.url + key }

// The advice of the report is a command for a shell, whatever the store is
// called; e2e does what it says.
func TestRestoreHint(t *testing.T) {
	t.Parallel()
	item := func(name string, o runner.Outcome) runner.ItemReport {
		return runner.ItemReport{Name: name, Outcome: o}
	}
	const rest = "\nwithout mayfly: RESTORE.txt in each archive has the commands"
	for _, c := range []struct {
		url, endpoint string // with the region behind it
		items         []runner.ItemReport
		want          string
	}{
		{"s3://bucket/", "", []runner.ItemReport{item("octo/a", runner.Failed), item("octo/longer", runner.Changed), item("octo/b", runner.Unchanged)},
			"mayfly restore github/octo/longer --store s3://bucket\nas of an earlier time: mayfly list github/octo/longer --store s3://bucket" + rest},
		{"file:///it's%20my%20$(backup)/", "", []runner.ItemReport{item("octo/bb", runner.Unchanged), item("octo/b", runner.Unchanged)},
			`mayfly restore github/octo/b --store 'file:///it'\''s%20my%20$(backup)'` + "\nas of an earlier time: " + `mayfly list github/octo/b --store 'file:///it'\''s%20my%20$(backup)'` + rest},
		{"s3://bucket/p/", "http://127.0.0.1:9000", []runner.ItemReport{item("octo/site", runner.Changed)},
			"AWS_ENDPOINT_URL_S3=http://127.0.0.1:9000 mayfly restore github/octo/site --store s3://bucket/p\nas of an earlier time: AWS_ENDPOINT_URL_S3=http://127.0.0.1:9000 mayfly list github/octo/site --store s3://bucket/p" + rest},
		{"s3://bucket/", "http://h region", []runner.ItemReport{item("octo/site", runner.Changed)},
			"AWS_REGION=region AWS_ENDPOINT_URL_S3=http://h mayfly restore github/octo/site --store s3://bucket\nas of an earlier time: AWS_REGION=region AWS_ENDPOINT_URL_S3=http://h mayfly list github/octo/site --store s3://bucket" + rest},
		{"s3://bucket/", "", []runner.ItemReport{item("octo/a", runner.Failed), item("octo/e", runner.Empty)}, ""},
	} {
		w := newWorld(t)
		env := w.env()
		env.Store = namedStore{w.st, c.url}
		env.Endpoint, env.StoreRegion, _ = strings.Cut(c.endpoint, " ")
		if hint := (&job{env: env}).Restore(runner.JobReport{Items: c.items}); hint != c.want {
			t.Errorf("hint\n%s\nwant\n%s", hint, c.want)
		}
	}
}
