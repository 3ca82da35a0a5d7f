package main

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"mayfly/internal/archive"
	"mayfly/internal/store"
)

// A readOnly store refuses to write.
type readOnly struct{ store.Store }

func (readOnly) Put(context.Context, string, []byte, store.ETag) (store.ETag, error) {
	return "", errors.New("access denied")
}

func (readOnly) URL(key string) string { return "s3://bucket/" + key }

// Where the mark cannot be written verify says how to write it by hand; where
// a newer full archive is there it is not needed.
func TestVerifyCannotMark(t *testing.T) {
	t.Parallel()
	full := time.Date(2026, 10, 30, 12, 0, 0, 0, time.UTC)
	bad := archive.Checked{
		Folder: archive.Folder{Listed: archive.Listed{Full: full}, Objects: make([]store.Object, 3)},
		Key:    "github/octo/r/20261030T120000Z/", Problems: []error{archive.ErrDamaged}, Damaged: true, Good: 1, Affected: full.AddDate(0, 0, 7),
	}
	newer := archive.Checked{Folder: archive.Folder{Listed: archive.Listed{Full: full.AddDate(0, 0, 14)}}}
	for _, c := range []struct {
		after []archive.Checked
		says  string
	}{
		{nil, "it could not be marked, so that the next run may go on from it (access denied): with credentials that may write there, verify again, or write the mark, and the next run writes a full archive: echo damaged | aws s3 cp - s3://bucket/github/octo/r/20261030T120000Z/DAMAGED.txt --endpoint-url https://minio.example.com"},
		{[]archive.Checked{newer}, "is wanted any more, remove it: aws s3 rm --recursive s3://bucket/github/octo/r/20261030T120000Z/ --endpoint-url https://minio.example.com"},
	} {
		v := &verifier{
			app: &app{stdout: new(bytes.Buffer), now: time.Now}, st: readOnly{},
			hand: hand{" --endpoint-url https://minio.example.com"},
		}
		var r verified
		v.chain(t.Context(), &r, bad, c.after)
		said := strings.Join(r.Advice, "\n")
		if !strings.Contains(said, c.says) || !strings.Contains(said, "2 of 3 points in time, from ") || !strings.Contains(said, "; 1 before can be restored") {
			t.Errorf("verify says\n%s\nwant in it\n%s", said, c.says)
		}
		if r.Folders[0].Marked || !r.Damaged {
			t.Errorf("%+v", r)
		}
	}
}
