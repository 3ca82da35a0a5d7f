package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mayfly/internal/s3test"
	"mayfly/userdata"
)

const instanceConfig = `name: online
region: eu-west-1
store: s3://bucket/pre
notify: {email: [you@example.com]}
schedule: {start: "0 17 * * FRI", deadline: 2h}
keep_on_failure: 30m
jobs:
  - name: github
    github: {owners: [octocat], token: "ssm:/online/token"}
`

// elf is the beginning of a program for the machine with that number.
func elf(machine byte) []byte {
	b := make([]byte, 64)
	copy(b, "\x7fELF\x02\x01\x01")
	b[18] = machine
	return append(b, "mayfly"...)
}

// A userdataBench is a directory with a config and programs, and an S3 to upload to.
type userdataBench struct {
	config, binaries string
	s3               *s3test.Server
	env              map[string]string
}

func newUserdataBench(t *testing.T, config string) *userdataBench {
	t.Helper()
	dir := t.TempDir()
	b := &userdataBench{config: filepath.Join(dir, "mayfly.yaml"), binaries: dir, s3: s3test.New("bucket")}
	t.Cleanup(b.s3.Close)
	for name, content := range map[string][]byte{
		"mayfly.yaml": []byte(config), "mayfly-linux-amd64": elf(0x3e), "mayfly-linux-arm64": elf(0xb7),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	b.env = map[string]string{
		"AWS_ENDPOINT_URL_S3": b.s3.URL(), "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE", "AWS_SECRET_ACCESS_KEY": "hunter2hunter2",
		"AWS_EC2_METADATA_DISABLED": "true",
	}
	return b
}

func (b *userdataBench) run(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	a := &app{
		stdin: strings.NewReader(""), stdout: &out, stderr: &errs, now: time.Now,
		getenv: func(name string) string { return b.env[name] },
	}
	code = a.main(t.Context(), append([]string{"userdata", "-c", b.config, "--binaries", b.binaries}, args...))
	return code, out.String(), errs.String()
}

func TestUserdataUpload(t *testing.T) {
	t.Parallel()
	b := newUserdataBench(t, instanceConfig)
	code, out, errs := b.run(t, "--upload")
	if code != 0 {
		t.Fatalf("exit code %d: %s", code, errs)
	}
	stored := map[string]string{}
	for _, e := range b.s3.Dump() {
		stored[e.Key] = string(e.Body)
	}
	want := map[string]string{
		"pre/" + userdata.BinaryKey("amd64", sumOf(elf(0x3e))):     string(elf(0x3e)),
		"pre/" + userdata.BinaryKey("arm64", sumOf(elf(0xb7))):     string(elf(0xb7)),
		"pre/" + userdata.ConfigKey(sumOf([]byte(instanceConfig))): instanceConfig,
	}
	for key, body := range want {
		if stored[key] != body {
			t.Errorf("%s is not what was uploaded", key)
		}
	}
	if len(stored) != len(want) {
		t.Errorf("%d objects, want %d", len(stored), len(want))
	}
	for _, w := range []string{
		"AMD64='" + sumOf(elf(0x3e)) + "'\n", "ARM64='" + sumOf(elf(0xb7)) + "'\n", "CONFIG='" + sumOf([]byte(instanceConfig)) + "'\n",
		"NAME='online'\n", "REGION='eu-west-1'\n", "STORE_PATH='/bucket/pre'\n", "STORE_ENDPOINT='" + b.s3.URL() + "'\n",
		"TOPIC=''\nTOPIC_NAME='online'\n", "DEADLINE='7200'\n", "KEEP='1800'\n", "ENVIRONMENT='AWS_ENDPOINT_URL_S3=\"" + b.s3.URL() + "\"'\n",
	} {
		if !strings.Contains(out, w) {
			t.Errorf("the user data lacks %q", w)
		}
	}
	if strings.Contains(out+errs, "hunter2") || strings.Contains(out, "AKIAEXAMPLE") {
		t.Error("credentials of this machine are shown")
	}
	if !strings.Contains(errs, "Uploaded s3://bucket/pre/admin/") || !strings.Contains(errs, "Next: ") {
		t.Errorf("said %q", errs)
	}
	puts := b.s3.Count("PutObject") + b.s3.Count("CreateMultipartUpload")
	code, again, errs := b.run(t, "--upload")
	if code != 0 || again != out || strings.Contains(errs, "Uploaded") || strings.Count(errs, "Already there: ") != 3 {
		t.Errorf("the second time: exit code %d: %s", code, errs)
	}
	if n := b.s3.Count("PutObject") + b.s3.Count("CreateMultipartUpload"); n != puts {
		t.Errorf("the second time sent %d objects", n-puts)
	}
}

// What has the right name and the wrong content would fail on the instance.
func TestUserdataUploadReadsBack(t *testing.T) {
	t.Parallel()
	b := newUserdataBench(t, instanceConfig)
	key := "pre/" + userdata.BinaryKey("arm64", sumOf(elf(0xb7)))
	b.s3.SetObject("bucket", key, []byte("something else"))
	code, out, errs := b.run(t, "--upload")
	if code != exitFailed || out != "" || !strings.Contains(errs, "s3://bucket/"+key+": it holds something else") {
		t.Errorf("exit code %d, %d bytes printed: %s", code, len(out), errs)
	}
	b.s3.Fault = func(*s3test.Request) s3test.Fault {
		return s3test.Fault{Status: 403, Code: "AccessDenied", Message: "Access Denied"}
	}
	code, out, errs = b.run(t, "--upload")
	if code != exitFailed || out != "" || !strings.Contains(errs, "upload s3://bucket/pre/admin/") {
		t.Errorf("denied: exit code %d, %d bytes printed: %s", code, len(out), errs)
	}
}

func TestUserdataWithoutUploadAsksNobody(t *testing.T) {
	t.Parallel()
	b := newUserdataBench(t, instanceConfig)
	code, out, errs := b.run(t, "--binary-url", "https://example.com/mayfly-{arch}")
	if code != 0 || !strings.Contains(out, "AMD64_URL='https://example.com/mayfly-amd64'\n") {
		t.Errorf("exit code %d: %s", code, errs)
	}
	if n := len(b.s3.Requests()); n != 0 || !strings.Contains(errs, "--upload > user-data.txt") {
		t.Errorf("%d kinds of requests; said %s", n, errs)
	}
}

func TestUserdataRefusals(t *testing.T) {
	t.Parallel()
	bare := "name: online\nstore: file:///backups\njobs:\n  - name: github\n    github: {owners: [octocat], token: \"env:TOKEN\"}\n"
	b := newUserdataBench(t, bare)
	code, out, errs := b.run(t)
	if code != exitUsage || out != "" {
		t.Errorf("exit code %d, %d bytes printed", code, len(out))
	}
	for _, w := range []string{
		"write s3://BUCKET", "schedule.deadline: missing", "add deadline: 2h", "notify: missing", "job github: env:TOKEN", "ssm:/online/NAME",
	} {
		if !strings.Contains(errs, w) {
			t.Errorf("%q is not in %s", w, errs)
		}
	}
	arm := func(content []byte) func(*userdataBench) {
		return func(b *userdataBench) {
			if err := os.WriteFile(filepath.Join(b.binaries, "mayfly-linux-arm64"), content, 0o600); err != nil {
				t.Error(err)
			}
		}
	}
	for want, change := range map[string]func(*userdataBench){
		"is a program for amd64":         arm(elf(0x3e)),
		"is no Linux program":            arm(nil),
		"holds neither":                  func(b *userdataBench) { b.binaries = t.TempDir() },
		"is not an address like https:/": func(b *userdataBench) { b.env["AWS_ENDPOINT_URL"] = "s3.example.com" },
	} {
		b := newUserdataBench(t, instanceConfig)
		change(b)
		if code, out, errs := b.run(t, "--upload"); code != exitUsage || out != "" || !strings.Contains(errs, want) {
			t.Errorf("%s: exit code %d, %d bytes printed: %s", want, code, len(out), errs)
		}
		if n := len(b.s3.Dump()); n != 0 {
			t.Errorf("%s: %d objects uploaded", want, n)
		}
	}
}
