//go:build e2e

package e2e

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"mayfly/internal/awstest"
	"mayfly/internal/gittest"
	"mayfly/internal/s3test"
)

// A badInput is a run that cannot begin.
type badInput struct {
	name   string
	change func(w *world, config string) string // of a config that is good
	says   []string
}

// replace is a change of the text.
func replace(old, new string) func(*world, string) string {
	return func(w *world, config string) string {
		w.t.Helper()
		if !strings.Contains(config, old) {
			w.t.Fatalf("the config has no %q", old)
		}
		return strings.Replace(config, old, new, 1)
	}
}

func storeAt(address string) func(*world, string) string { return replace(s3Store, address) }

// refusing is another S3, that answers everything with the fault.
func refusing(f s3test.Fault) func(*world, string) string {
	return func(w *world, config string) string {
		s := s3test.New(runBucket)
		s.Fault = func(*s3test.Request) s3test.Fault { return f }
		w.t.Cleanup(s.Close)
		w.s3 = s.URL()
		return config
	}
}

// password is what GitHub's own tokens look like.
const password = "ghp_0123456789abcdefghijABCDEFGHIJ012345"

func badInputs(t *testing.T) []badInput {
	readOnly := t.TempDir()
	if err := syscall.Mount("tmpfs", readOnly, "tmpfs", syscall.MS_RDONLY, "size=1m"); err != nil {
		t.Fatalf("mount a file system that cannot be written (needs root): %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(readOnly, 0); err != nil {
			t.Error(err)
		}
	})
	aFile := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(aFile, []byte("mine"), 0o644); err != nil {
		t.Fatal(err)
	}
	const token = "ssm:" + parameter
	return []badInput{
		{"unknown key", replace("      owners:", "      ownners: [x]\n      owners:"), []string{"mayfly.yaml:8:7: ", "ownners", "owners"}},
		{"wrong type", replace("      owners: [me]", "      owners: [me]\n      parallel: many"), []string{"mayfly.yaml:9:17: ", "parallel: many"}},
		{"missing owner", replace("      owners: [me]\n", ""), []string{"owners", "[octocat]"}},
		{"bad glob", replace("      owners:", "      exclude: [\"octo/[a\"]\n      owners:"), []string{"mayfly.yaml:8:17: ", "octo/[a", "is not a glob"}},
		{"bad cron", replace("jobs:", "schedule: {start: \"0 25 * * *\"}\njobs:"), []string{"mayfly.yaml:4:", "0 25 * * *", "hour"}},
		{"not a time zone", replace("jobs:", "schedule: {start: \"0 5 * * *\", timezone: Europe/Nowhere}\njobs:"), []string{"Europe/Nowhere"}},
		{"not YAML", replace("jobs:", "jobs: [\n"), []string{"mayfly.yaml:"}},
		{"several at once", replace("      owners: [me]", "      onwers: [me]\n      parallel: 99\n      wiki: perhaps"), []string{"onwers", "99", "perhaps", " mistakes in mayfly.yaml: nothing was done"}},
		{"the token itself in the config", replace(token, runToken), []string{"mayfly.yaml:9:14: "}},
		{"the token in the address", replace("url: http://", "url: http://x:"+runToken[:20]+"@"), []string{"mayfly.yaml:7:12: ", "is not an address", "url: [secret]"}},
		{"a password in the address", replace("url: http://", "url: http://x:"+password+"@"), []string{"mayfly.yaml:7:12: ", "user name or password", "url: [secret]"}},

		{"absent bucket", storeAt("s3://absent-bucket"), []string{"bucket absent-bucket does not exist", "create it or correct its name"}},
		{"wrong region", storeAt("{url: " + s3Store + ", region: us-east-1}"), []string{"region", runBucket, awstest.Region}},
		{"bucket elsewhere", refusing(s3test.Fault{Status: 301, Code: "PermanentRedirect", Message: "elsewhere",
			Header: http.Header{"X-Amz-Bucket-Region": {"eu-central-1"}}}), []string{"bucket backups is in region eu-central-1", "set region: eu-central-1"}},
		{"no permission", refusing(s3test.Fault{Status: 403, Code: "AccessDenied", Message: "Access Denied"}), []string{"access denied", "grant s3:", runBucket}},
		{"wrong keys", refusing(s3test.Fault{Status: 403, Code: "SignatureDoesNotMatch", Message: "no"}), []string{"does not accept the credentials", "check access key and secret"}},
		{"nothing at the endpoint", func(w *world, c string) string { w.s3 = "http://127.0.0.1:1"; return c }, []string{"127.0.0.1:1", "refused: check the network"}},
		{"store that cannot be written", storeAt("file://" + readOnly + "/store"), []string{"read-only file system: correct store:", readOnly}},
		{"store in a pseudo file system", storeAt("file:///proc/mayfly"), []string{"/proc/mayfly", "correct store:"}},
		{"store is a file", storeAt("file://" + aFile), []string{aFile, "name a directory"}},
		{"store without a scheme", storeAt("/var/backups"), []string{"mayfly.yaml:2:8: ", "file:///directory"}},

		{"environment variable not set", replace(token, "env:NO_SUCH_TOKEN"), []string{"env:NO_SUCH_TOKEN", "not set"}},
		{"token file missing", replace(token, "file:/no/such/token"), []string{"file:/no/such/token", "no such file"}},
		{"parameter missing", replace(token, "ssm:/no/such"), []string{"ssm:/no/such", "does not exist"}},
		{"parameter denied", func(w *world, c string) string {
			w.aws.SetFault("ssm:GetParameter", awstest.Fault{Status: 400, Code: "AccessDeniedException", Text: "not authorized"})
			return c
		}, []string{"ssm:GetParameter", "access denied", "grant"}},
		{"secret missing", replace(token, "secretsmanager:none"), []string{"secretsmanager:none", "does not exist"}},
	}
}

// A run that cannot begin says why on one screen and what to do, ends with 2,
// and has written nothing.
func TestBadInput(t *testing.T) {
	t.Parallel()
	w := newWorld(t).versity()
	w.repo("a", gittest.Normal)
	gateway := w.s3
	for _, c := range badInputs(t) {
		t.Run(c.name, func(t *testing.T) {
			w.t, w.s3 = t, gateway
			w.aws.ClearFault("ssm:GetParameter")
			r := w.run(c.change(w, w.config(s3Store)))
			if os.Getenv("SHOW") != "" {
				t.Log(r)
			}
			if r.code != 2 || r.out != "" {
				t.Errorf("want exit code 2 and nothing on stdout: %s", r)
			}
			has(t, "the error", r.err, c.says...)
			if lines := strings.Count(r.err, "\n"); lines > 24 || len(r.err) > 2000 {
				t.Errorf("%d lines, %d bytes are more than a screen: %s", lines, len(r.err), r.err)
			}
			if !strings.HasSuffix(r.err, "\n") || strings.Contains(r.err, "goroutine ") {
				t.Errorf("the error is not text: %s", r.err)
			}
			if found := leaks([]byte(r.err)); len(found) > 0 || strings.Contains(r.err, runToken[:20]) || strings.Contains(r.err, password) {
				t.Errorf("the error has the token (%v)", found)
			}
			if files := filesBelow(t, w.s3dir); len(files) > 0 {
				t.Errorf("it wrote %v", files)
			}
			if asked := w.github.Requests(); len(asked) > 0 {
				t.Errorf("it asked GitHub for %v", asked)
			}
			if m := w.aws.Messages(); len(m) > 0 {
				t.Errorf("it published %v", m)
			}
		})
	}
}

// The config is good and GitHub knows no such owner: that is a run which
// failed, with a report, and not bad usage. Another owner is backed up all the
// same.
func TestUnknownOwner(t *testing.T) {
	w := newWorld(t)
	w.repo("a", gittest.Normal)
	r := w.run(replace("[me]", "[no-such-owner]")(w, w.config(w.fileStore())))
	if r.code != 1 {
		t.Errorf("want exit code 1: %s", r)
	}
	has(t, "the report", r.out, "e2e failed.", "no-such-owner", "check the name")
	subject, body := w.mail()
	has(t, "the mail", subject+body, "mayfly e2e: failed", "no-such-owner")
	if s := w.segments(w.storeDir()); len(s) > 0 {
		t.Errorf("segments %v", s)
	}

	w = newWorld(t)
	w.repo("a", gittest.Normal)
	r = w.run(replace("[me]", "[no-such-owner, octo]")(w, w.config(w.fileStore())))
	if r.code != 1 { // what is missing from an incomplete list cannot be told
		t.Errorf("want exit code 1: %s", r)
	}
	has(t, "the report", r.out, "e2e failed.", "no-such-owner", "the list is not complete", "1 changed")
	if s := w.segments(w.storeDir()); len(s) != 1 {
		t.Errorf("segments %v", s)
	}
}
