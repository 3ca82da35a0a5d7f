package main

import (
	"bytes"
	"maps"
	"strings"
	"testing"

	"mayfly/internal/awstest"
)

// TestIAMAsksForTheAccount when it is not given.
func TestIAMAsksForTheAccount(t *testing.T) {
	t.Parallel()
	srv, err := awstest.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { srv.Close() })
	const config = `name: weekly
region: eu-west-1
store: s3://backups
notify: {email: [you@example.com]}
jobs:
  - name: github
    github: {owners: [octocat]}
`
	show := func(env map[string]string, args ...string) (stdout, stderr string) {
		t.Helper()
		var out, errs bytes.Buffer
		a := &app{stdin: strings.NewReader(config), stdout: &out, stderr: &errs, getenv: func(name string) string { return env[name] }}
		if code := a.main(t.Context(), append([]string{"iam", "-c", "-"}, args...)); code != exitComplete {
			t.Fatalf("exit code %d: %s", code, &errs)
		}
		return out.String(), errs.String()
	}
	const topic = `"arn:aws:sns:eu-west-1:` + awstest.Account + `:weekly"`
	env := srv.Env()
	if out, errs := show(env); !strings.Contains(out, topic) || errs != "" {
		t.Errorf("asked: %s %s", out, errs)
	}
	if n := srv.Calls()["sts:GetCallerIdentity"]; n != 1 {
		t.Errorf("asked %d times", n)
	}
	if out, errs := show(env, "--account", "999999999999", "--policy"); !strings.Contains(out, ":999999999999:weekly") || errs != "" {
		t.Errorf("given: %s %s", out, errs)
	}
	if n := srv.Calls()["sts:GetCallerIdentity"]; n != 1 {
		t.Errorf("asked although it was given, %d times", n)
	}
	wrong := maps.Clone(env)
	wrong["AWS_ACCESS_KEY_ID"] = "AKIAOTHER"
	out, errs := show(wrong, "--policy")
	if !strings.Contains(out, `"arn:aws:sns:eu-west-1:*:weekly"`) || !strings.Contains(errs, "the account is not known") || !strings.Contains(errs, "AWS does not accept the credentials") {
		t.Errorf("no answer: %s %s", out, errs)
	}
}
