package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"mayfly/internal/s3test"
	"mayfly/internal/strictyaml"
)

const s3Config = `name: online
store: file:///backups
jobs:
  - name: github
    github: {owners: [octocat]}
`

// checkS3 runs mayfly check on a config in S3 and returns what it printed.
func checkS3(t *testing.T, address string, env map[string]string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	a := &app{
		stdin: strings.NewReader(""), stdout: &out, stderr: &errs, now: time.Now,
		getenv: func(name string) string { return env[name] },
	}
	code = a.main(t.Context(), []string{"check", "-c", address})
	return code, out.String(), errs.String()
}

// TestConfigInS3 reads a config from S3; nobody but the environment can say
// where that is.
func TestConfigInS3(t *testing.T) {
	t.Parallel()
	srv := s3test.New("bucket")
	t.Cleanup(srv.Close)
	srv.Fault = func(r *s3test.Request) s3test.Fault {
		switch {
		case strings.HasSuffix(r.Key, "denied.yaml"):
			return s3test.Fault{Status: 403, Code: "AccessDenied", Message: "Access Denied"}
		case strings.HasSuffix(r.Key, "elsewhere.yaml"):
			return s3test.Fault{Status: 301, Code: "PermanentRedirect", Header: map[string][]string{"X-Amz-Bucket-Region": {"eu-west-1"}}}
		case strings.HasSuffix(r.Key, "cut.yaml"):
			return s3test.Fault{CutBody: 10}
		}
		return s3test.Fault{}
	}
	srv.SetObject("bucket", "admin/config 1.yaml", []byte(s3Config))
	srv.SetObject("bucket", "cut.yaml", []byte(s3Config))
	srv.SetObject("bucket", "wrong.yaml", []byte(strings.Replace(s3Config, "owners", "owner", 1)))
	srv.SetObject("bucket", "huge.yaml", bytes.Repeat([]byte("# huge\n"), strictyaml.MaxSize))
	env := map[string]string{
		"AWS_ENDPOINT_URL_S3": srv.URL(), "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret",
		"AWS_EC2_METADATA_DISABLED": "true",
	}
	for _, tt := range []struct {
		address string
		code    int
		want    []string
	}{
		{"s3://bucket/admin/config 1.yaml", 0, []string{"s3://bucket/admin/config 1.yaml is good"}},
		{"s3://bucket/absent.yaml", 2, []string{"read config: s3://bucket/absent.yaml does not exist", "--config"}},
		{"s3://absent/mayfly.yaml", 2, []string{"read config: ", "bucket absent does not exist"}},
		{"s3://bucket/denied.yaml", 2, []string{"read config: ", "s3://bucket/denied.yaml: access denied", "grant s3:GetObject on arn:aws:s3:::bucket/denied.yaml"}},
		{"s3://bucket/elsewhere.yaml", 2, []string{"is in region eu-west-1", "AWS_REGION"}},
		{"s3://bucket/wrong.yaml", 2, []string{"s3://bucket/wrong.yaml:5:14: ", `did you mean "owners"?`, "1 mistake in s3://bucket/wrong.yaml"}},
		{"s3://bucket/cut.yaml", 2, []string{"read config: read s3://bucket/cut.yaml: "}},
		{"s3://bucket/huge.yaml", 2, []string{"at most 262144 are read"}},
		{"s3://bucket", 2, []string{"write s3://BUCKET/KEY"}},
		{"s3://bucket/a//b", 2, []string{"write s3://BUCKET/KEY"}},
		{"s3://B/mayfly.yaml", 2, []string{"cannot be a bucket"}},
		{"s3://me:hunter2@bucket/mayfly.yaml", 2, []string{"no credentials belong into the address"}},
	} {
		code, out, errs := checkS3(t, tt.address, env)
		if code != tt.code {
			t.Errorf("%s: exit code %d, want %d: %s", tt.address, code, tt.code, errs)
		}
		for _, w := range tt.want {
			if !strings.Contains(out+errs, w) {
				t.Errorf("%s: %q lacks %q", tt.address, out+errs, w)
			}
		}
		if strings.Contains(out+errs, "hunter2") {
			t.Errorf("%s: shown: %s", tt.address, errs)
		}
	}
	delete(env, "AWS_ENDPOINT_URL_S3")
	code, _, errs := checkS3(t, "s3://bucket/mayfly.yaml", env)
	if code != 2 || !strings.Contains(errs, "no AWS region is known") || !strings.Contains(errs, "AWS_REGION") {
		t.Errorf("without a region: exit code %d, %s", code, errs)
	}
}
