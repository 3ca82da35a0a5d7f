package cloud_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"mayfly/internal/awstest"
	"mayfly/internal/cloud"
)

// inRegion is a bucket of an account in a region, as S3's endpoints answer for
// it: those of other regions say where it is, and 403 whoever expects another
// owner. wrong is what they answer, 301 or 400.
func inRegion(region, owner string, wrong int, open bool) reply {
	header := map[string]string{"X-Amz-Bucket-Region": region}
	return reply{do: func(r request) reply {
		expected := r.http.Header.Get("X-Amz-Expected-Bucket-Owner")
		switch mine := owner == awstest.Account; {
		case !strings.Contains(r.http.Header.Get("Authorization"), "/"+region+"/s3/"):
			return reply{status: wrong, header: header}
		case expected != "" && expected != owner, !mine && !open:
			return reply{status: http.StatusForbidden, header: header}
		}
		return reply{header: header}
	}}
}

func TestLookAtBucket(t *testing.T) {
	t.Parallel()
	const other = "210987654321"
	for name, x := range map[string]struct {
		says  reply
		want  cloud.Bucket
		is    error
		err   string
		looks int
	}{
		"ours":                 {says: inRegion("eu-west-1", awstest.Account, 301, false), want: cloud.Bucket{Region: "eu-west-1", Ours: true}, looks: 1},
		"ours, elsewhere":      {says: inRegion("us-west-2", awstest.Account, 301, false), want: cloud.Bucket{Region: "us-west-2", Ours: true}, looks: 2},
		"ours, elsewhere, 400": {says: inRegion("us-west-2", awstest.Account, 400, false), want: cloud.Bucket{Region: "us-west-2", Ours: true}, looks: 2},
		"another's": {says: inRegion("eu-west-1", other, 301, false), want: cloud.Bucket{Region: "eu-west-1"}, is: cloud.ErrDenied,
			err: "s3:ListBucket bucket b: it belongs to another account, or these credentials may not list it: choose another name for it, or grant s3:ListBucket on it", looks: 2},
		"another's, elsewhere": {says: inRegion("us-west-2", other, 301, false), want: cloud.Bucket{Region: "us-west-2"}, is: cloud.ErrDenied,
			err: "it belongs to another account", looks: 3},
		"another's, open":            {says: inRegion("eu-west-1", other, 301, true), want: cloud.Bucket{Region: "eu-west-1"}, looks: 2},
		"another's, open, elsewhere": {says: inRegion("us-west-2", other, 403, true), want: cloud.Bucket{Region: "us-west-2"}, looks: 3},
		"nobody's":                   {says: reply{status: 404}, is: cloud.ErrNotFound, err: "s3:ListBucket bucket b: it does not exist", looks: 1},
		"no name for one":            {says: reply{status: 400}, err: "check the bucket's name, and the region", looks: 1},
		"down":                       {says: reply{status: 503}, err: "s3:ListBucket bucket b: ", looks: 5},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, c := newStub(t)
			s.on("HEAD /b", x.says)
			got, err := c.Buckets().Look(t.Context(), "b", awstest.Account)
			if got != x.want {
				t.Errorf("got %+v, want %+v", got, x.want)
			}
			if x.err == "" && err != nil {
				t.Error(err)
			}
			if x.err != "" {
				saysAll(t, err, x.err)
			}
			if x.is != nil && !errors.Is(err, x.is) {
				t.Errorf("%v is not %v", err, x.is)
			}
			if n := len(s.requests("HEAD /b")); n != x.looks {
				t.Errorf("%d requests, want %d", n, x.looks)
			}
		})
	}
}

func TestUnfinishedUploads(t *testing.T) {
	t.Parallel()
	s, c := newStub(t)
	upload := func(key string) string {
		return "<Upload><Key>" + key + "</Key><UploadId>id-" + key + "</UploadId><Initiated>2026-11-20T16:00:00.000Z</Initiated></Upload>"
	}
	s.on("GET /b",
		reply{body: "<ListMultipartUploadsResult><IsTruncated>true</IsTruncated><NextKeyMarker>a</NextKeyMarker><NextUploadIdMarker>id-a</NextUploadIdMarker>" + upload("a") + "</ListMultipartUploadsResult>"},
		reply{body: "<ListMultipartUploadsResult><IsTruncated>false</IsTruncated>" + upload("b") + "</ListMultipartUploadsResult>"})
	at := time.Date(2026, 11, 20, 16, 0, 0, 0, time.UTC)
	got, err := c.Buckets().Unfinished(t.Context(), "b", "github/", "us-west-2")
	same(t, got, []cloud.Upload{{Key: "a", ID: "id-a", Began: at}, {Key: "b", ID: "id-b", Began: at}}, err)
	q := s.last("GET /b").http
	if u := q.URL.Query(); u.Get("prefix") != "github/" || u.Get("key-marker") != "a" || u.Get("upload-id-marker") != "id-a" || !strings.Contains(q.Header.Get("Authorization"), "/us-west-2/") {
		t.Errorf("asked for %s", q.URL)
	}
	s.on("GET /b", reply{status: 404, code: "NoSuchBucket", said: "The specified bucket does not exist"})
	if _, err = c.Buckets().Unfinished(t.Context(), "b", "", ""); !errors.Is(err, cloud.ErrNotFound) {
		t.Errorf("%v is no ErrNotFound", err)
	}
	s.on("GET /b", reply{status: 403, code: "AccessDenied", said: "no"})
	_, err = c.Buckets().Unfinished(t.Context(), "b", "", "")
	saysAll(t, err, "grant s3:ListBucketMultipartUploads on bucket b")
}
