package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"mayfly/internal/awstest"
	"mayfly/internal/githubtest"
	"mayfly/internal/gittest"
	"mayfly/internal/imdstest"
	"mayfly/internal/s3test"
	"mayfly/runner"
)

// A site is an instance and all that a run on it talks to.
type site struct {
	meta   *imdstest.Server
	s3     *s3test.Server
	aws    *awstest.Server
	github *githubtest.Server
	env    map[string]string
	out    bytes.Buffer // what the run printed
	err    bytes.Buffer
}

const (
	siteToken  = "ghp_instanceTestToken0000000000000000000"
	siteConfig = `name: onlinebackup
store: s3://bucket/backups
notify: {topic: %s}
schedule: {start: "0 17 * * FRI", deadline: 2h}
jobs:
  - name: github
    github: {url: %s, owners: [octocat], token: "ssm:/onlinebackup/github-token"}
`
)

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{s3: s3test.New("bucket")}
	t.Cleanup(s.s3.Close)
	var err error
	if s.meta, err = imdstest.New(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.meta.Close() })
	if s.aws, err = awstest.New(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.aws.Close() })
	s.aws.Topics = []string{awstest.TopicARN("onlinebackup")}
	s.aws.Parameters["/onlinebackup/github-token"] = siteToken
	root := t.TempDir()
	for _, name := range []string{"site", "tools"} {
		if err := gittest.Repo(filepath.Join(root, "octocat", name+".git"), gittest.Normal); err != nil {
			t.Fatal(err)
		}
	}
	s.github = githubtest.New(githubtest.Options{Dir: root, Login: "octocat", Token: siteToken})
	url, err := s.github.Listen()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.github.Close() })
	s.s3.SetObject("bucket", "admin/config.yaml", fmt.Appendf(nil, siteConfig, awstest.TopicARN("onlinebackup"), url))

	s.env = s.aws.Env()
	for _, k := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION", "AWS_EC2_METADATA_DISABLED"} {
		delete(s.env, k)
	}
	maps.Copy(s.env, s.meta.Env())
	s.env["AWS_ENDPOINT_URL_S3"] = s.s3.URL()
	return s
}

// run is mayfly run on the instance, with the config in S3; it returns the
// exit code.
func (s *site) run(t *testing.T) int {
	t.Helper()
	a := &app{
		stdin: strings.NewReader(""), stdout: &s.out, stderr: &s.err, hostname: "localhost",
		now: time.Now, getenv: func(name string) string { return s.env[name] },
	}
	a.identify(t.Context())
	return a.main(t.Context(), []string{"run", "--quiet", "-c", "s3://bucket/admin/config.yaml"})
}

// report is the one that is in the store.
func (s *site) report(t *testing.T) (key string, r runner.Report) {
	t.Helper()
	for _, e := range s.s3.Dump() {
		if strings.HasSuffix(e.Key, "/report.json") {
			if err := json.Unmarshal(e.Body, &r); err != nil {
				t.Fatal(err)
			}
			return e.Key, r
		}
	}
	t.Fatalf("no report in the store:\n%s%s", &s.out, &s.err)
	return "", r
}

// A run has the role's credentials and nothing else: they read the config, the
// secret, write the store and publish.
func TestRunOnInstance(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.s3.Fault = func(r *s3test.Request) s3test.Fault {
		if !strings.Contains(r.Header.Get("Authorization"), "Credential="+awstest.AccessKey+"/") {
			return s3test.Fault{Status: 403, Code: "AccessDenied"}
		}
		return s3test.Fault{}
	}
	if code := s.run(t); code != 0 {
		t.Fatalf("exit code %d\n%s%s", code, &s.out, &s.err)
	}
	key, r := s.report(t)
	want := runner.Instance{ID: "i-0123456789abcdef0", Type: "t4g.nano", Zone: "eu-west-1b", Market: "spot"}
	if r.Instance == nil || *r.Instance != want || r.Host != want.ID || r.Verdict != runner.VerdictComplete {
		t.Errorf("instance %+v, host %s, %s", r.Instance, r.Host, r.Verdict)
	}
	if !strings.HasPrefix(key, "backups/runs/"+r.Run+"/") || !strings.HasSuffix(r.Run, "Z-i-0123456789abcdef0") {
		t.Errorf("run %s at %s", r.Run, key)
	}
	mail := s.aws.Messages()
	if len(mail) != 1 || !strings.Contains(mail[0].Body, "t4g.nano spot in eu-west-1b for ") {
		t.Errorf("mail %+v", mail)
	}
	if s.meta.Refused() != 0 {
		t.Errorf("%d metadata requests without a token", s.meta.Refused())
	}
}

// A run outlives its credentials, whatever it is doing when they end.
func TestCredentialsEndOnInstance(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	var session atomic.Value
	session.Store("session-1")
	expired := atomic.Int32{}
	s.s3.Fault = func(r *s3test.Request) s3test.Fault {
		if r.Header.Get("X-Amz-Security-Token") != session.Load() {
			expired.Add(1)
			return s3test.Fault{Status: 400, Code: "ExpiredToken", Message: "The provided token has expired."}
		}
		return s3test.Fault{}
	}
	s.github.Fail(githubtest.Fault{Times: 1, Then: func() {
		s.meta.Change(func(st *imdstest.State) { st.Credentials.Token = "session-2" })
		session.Store("session-2")
	}})
	if code := s.run(t); code != 0 {
		t.Fatalf("exit code %d\n%s%s", code, &s.out, &s.err)
	}
	if expired.Load() == 0 {
		t.Error("no request came with the old credentials: nothing was tested")
	}
}

// The instance is taken in mid-run: what is finished is kept, the report says
// why, and the exit code is that of an interruption.
func TestInterruptedOnInstance(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.github.Git.Fail("octocat/tools", gittest.Fault{Step: gittest.Pack, Stall: &gittest.Stall{After: 10}})
	s.github.Fail(githubtest.Fault{Times: 1, Then: func() {
		s.meta.Change(func(st *imdstest.State) { st.Action, st.ActionTime = "terminate", time.Now().Add(2*time.Minute) })
	}})
	begin := time.Now()
	if code := s.run(t); code != 4 {
		t.Fatalf("exit code %d\n%s%s", code, &s.out, &s.err)
	}
	if took := time.Since(begin); took > 20*time.Second {
		t.Errorf("took %s", took)
	}
	_, r := s.report(t)
	if r.Verdict != runner.VerdictInterrupted || !strings.HasPrefix(r.Cause, "spot interruption notice, terminate at ") || !strings.HasSuffix(r.Cause, ": the next run goes on") {
		t.Errorf("%s: %q", r.Verdict, r.Cause)
	}
	outcomes := map[string]runner.Outcome{}
	for _, it := range r.Jobs[0].Items {
		outcomes[it.Name] = it.Outcome
	}
	if outcomes["octocat/site"] != runner.Changed || outcomes["octocat/tools"] != runner.Interrupted {
		t.Errorf("items %v", outcomes)
	}
	if mail := s.aws.Messages(); len(mail) != 1 || !strings.Contains(mail[0].Body, "Cut short: spot interruption notice") || !strings.Contains(mail[0].Subject, "interrupted") {
		t.Errorf("mail %+v", mail)
	}
	if left := s.s3.Uploads(); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

// What keeps a run from starting is said on the console, and by mail where
// that is possible.
func TestCannotStartOnInstance(t *testing.T) {
	t.Parallel()
	const noRole = "the instance has no role: attach an instance profile with the role that mayfly iam prints"
	for name, c := range map[string]struct {
		change func(*site)
		want   string
		mailed bool
	}{
		"no role, config in S3": {change: func(s *site) { s.meta.Change(func(st *imdstest.State) { st.Role = "" }) }, want: noRole},
		"turned off":            {change: func(s *site) { s.meta.SetFault("", imdstest.Fault{Status: 403}) }, want: "set HttpEndpoint: enabled"},
		"secret missing":        {change: func(s *site) { delete(s.aws.Parameters, "/onlinebackup/github-token") }, want: "ssm:GetParameter /onlinebackup/github-token", mailed: true},
		"store not writable": {change: func(s *site) {
			s.s3.Fault = func(r *s3test.Request) s3test.Fault {
				if r.Op == "PutObject" {
					return s3test.Fault{Status: 403, Code: "AccessDenied"}
				}
				return s3test.Fault{}
			}
		}, want: "grant s3:PutObject", mailed: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			c.change(s)
			if code := s.run(t); code != 2 {
				t.Errorf("exit code %d", code)
			}
			if !strings.Contains(s.err.String(), c.want) {
				t.Errorf("%q lacks %q", &s.err, c.want)
			}
			mail := s.aws.Messages()
			if c.mailed && (len(mail) != 1 || !strings.Contains(mail[0].Body, c.want) || !strings.Contains(mail[0].Subject, "failed")) {
				t.Errorf("mail %+v", mail)
			}
			if c.mailed && !strings.Contains(s.out.String(), c.want) {
				t.Errorf("the report on the console lacks %q:\n%s", c.want, &s.out)
			}
			if n := len(s.s3.Dump()); n != 1 {
				t.Errorf("%d objects in the store, want the config only", n)
			}
		})
	}
}

// A role that goes missing after the config was read: the report on the
// console says so.
func TestRoleTakenAwayOnInstance(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	config, _ := s.s3.Object("bucket", "admin/config.yaml")
	s.meta.Change(func(st *imdstest.State) { st.Role = "" })
	a := &app{
		stdin: bytes.NewReader(config), stdout: &s.out, stderr: &s.err,
		now: time.Now, getenv: func(name string) string { return s.env[name] },
	}
	a.identify(t.Context())
	code := a.main(t.Context(), []string{"run", "--quiet", "-c", "-"})
	if code != 2 || !strings.Contains(s.out.String(), "the instance has no role: attach an instance profile") || !strings.Contains(s.out.String(), "onlinebackup failed.") {
		t.Errorf("exit code %d\n%s%s", code, &s.out, &s.err)
	}
}

// On any other machine nothing is asked of metadata but what the AWS clients
// ask themselves, and nothing is known of an instance.
func TestRunElsewhereAsksNoMetadata(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	config, _ := s.s3.Object("bucket", "admin/config.yaml")
	s.env["AWS_ACCESS_KEY_ID"], s.env["AWS_SECRET_ACCESS_KEY"], s.env["AWS_REGION"] = awstest.AccessKey, awstest.SecretKey, awstest.Region
	a := &app{
		stdin: bytes.NewReader(config), stdout: &s.out, stderr: &s.err, hostname: "laptop",
		now: time.Now, getenv: func(name string) string { return s.env[name] },
	}
	if code := a.main(t.Context(), []string{"run", "--quiet", "-c", "-"}); code != 0 {
		t.Fatalf("exit code %d\n%s%s", code, &s.out, &s.err)
	}
	if calls := s.meta.Calls(); len(calls) != 0 {
		t.Errorf("asked metadata %v", calls)
	}
	if _, r := s.report(t); r.Instance != nil || r.Host != "laptop" {
		t.Errorf("instance %+v, host %s", r.Instance, r.Host)
	}
}

func TestStaleAfter(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	now := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	for cron, want := range map[string]time.Duration{
		"0 17 * * FRI": 15 * day,
		"0 1 * * *":    3 * day,
		"0 * * * *":    day + 2*time.Hour,
		"0 3 * * 1-5":  7 * day, // over the weekend
		"0 3 1 * *":    63 * day,
	} {
		var s runner.Schedule
		if err := s.Start.UnmarshalText([]byte(cron)); err != nil {
			t.Fatal(err)
		}
		if got := staleAfter(s, now); got != want {
			t.Errorf("%s: %s, want %s", cron, got, want)
		}
	}
	if got := staleAfter(runner.Schedule{}, now); got != 0 {
		t.Errorf("no schedule: %s", got)
	}
}
