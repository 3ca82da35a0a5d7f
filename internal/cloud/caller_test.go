package cloud_test

import (
	"crypto/sha1"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mayfly/internal/awstest"
	"mayfly/internal/cloud"
)

func TestCaller(t *testing.T) {
	t.Parallel()
	_, c := start(t)
	who, err := c.Caller(t.Context())
	if err != nil || who.Account != awstest.Account || who.Partition != "aws" || !strings.Contains(who.ARN, "onlinebackup") {
		t.Errorf("%+v, %v", who, err)
	}
}

// Asking who one is needs no permission: a refusal is one of the credentials.
func TestCallerRefused(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusForbidden) }))
	t.Cleanup(srv.Close)
	s, _ := newStub(t)
	env := s.env()
	env["AWS_ENDPOINT_URL"] = srv.URL
	_, err := load(t, env).Caller(t.Context())
	saysAll(t, err, "the credentials are not accepted (HTTP status 403, without a reason): check AWS_PROFILE")
	if errors.Is(err, cloud.ErrDenied) {
		t.Errorf("%v is an ErrDenied", err)
	}
}

const profiles = `[default]
region = eu-west-1
[profile no-sso-yet]
region = eu-west-1
sso_session = company
sso_account_id = 123456789012
sso_role_name = admin
[profile old-sso]
region = eu-west-1
sso_start_url = https://company.awsapps.com/start
sso_region = eu-west-1
sso_account_id = 123456789012
sso_role_name = admin
[sso-session company]
sso_start_url = https://company.awsapps.com/start
sso_region = eu-west-1
[profile ended-sso]
region = eu-west-1
sso_session = ended
sso_account_id = 123456789012
sso_role_name = admin
[sso-session ended]
sso_start_url = https://company.awsapps.com/start
sso_region = eu-west-1
[profile console]
region = eu-west-1
login_session = arn:aws:iam::123456789012:user/me
[profile mfa]
region = eu-west-1
role_arn = arn:aws:iam::123456789012:role/admin
source_profile = keys
mfa_serial = arn:aws:iam::123456789012:mfa/me
[profile process]
region = eu-west-1
credential_process = sh -c 'echo the vault is locked >&2; exit 1'
[profile no-region]
[profile keys]
region = eu-west-1
aws_access_key_id = AKIDEXAMPLE
aws_secret_access_key = wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY
[profile nowhere]
region = eu-wset-1
aws_access_key_id = AKIDEXAMPLE
aws_secret_access_key = wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY
[profile denied-role]
region = eu-west-1
role_arn = arn:aws:iam::123456789012:role/admin
source_profile = keys
`

// TestNoCredentialsOnALaptop goes through the ways in which credentials can be
// missing on a person's own machine, with the files that the SDK itself reads.
func TestNoCredentialsOnALaptop(t *testing.T) {
	home := t.TempDir()
	config := filepath.Join(home, "config")
	if err := os.WriteFile(config, []byte(profiles), 0o600); err != nil {
		t.Fatal(err)
	}
	cache := filepath.Join(home, ".aws", "sso", "cache")
	if err := os.MkdirAll(cache, 0o700); err != nil {
		t.Fatal(err)
	}
	ended := `{"accessToken": "a", "expiresAt": "2020-01-01T00:00:00Z", "startUrl": "https://company.awsapps.com/start", "region": "eu-west-1"}`
	if err := os.WriteFile(filepath.Join(cache, fmt.Sprintf("%x.json", sha1.Sum([]byte("ended")))), []byte(ended), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("HOME", home)
	t.Setenv("AWS_CONFIG_FILE", config)
	s, err := awstest.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	refuses := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusForbidden)
		w.Write([]byte("<ErrorResponse><Error><Code>AccessDenied</Code><Message>User: me is not authorized to perform: sts:AssumeRole</Message></Error></ErrorResponse>"))
	}))
	t.Cleanup(refuses.Close)
	const login = "log in with aws sso login or aws configure, or set AWS_PROFILE, or AWS_ACCESS_KEY_ID"
	for name, c := range map[string]struct {
		env    map[string]string
		fault  *awstest.Fault
		noCred bool // it is an ErrNoCredentials
		want   []string
	}{
		"none at all":      {noCred: true, want: []string{"no AWS credentials were found: " + login}},
		"ended SSO":        {env: map[string]string{"AWS_PROFILE": "ended-sso"}, noCred: true, want: []string{"(cached SSO token is expired, or not present, and cannot be refreshed)", "aws sso login, with --profile"}},
		"no console login": {env: map[string]string{"AWS_PROFILE": "console"}, noCred: true, want: []string{"login of the AWS console has expired, or there was none", "please reauthenticate", "aws login, with --profile"}},
		"no SSO yet":       {env: map[string]string{"AWS_PROFILE": "no-sso-yet"}, noCred: true, want: []string{"access portal has expired, or there was none", "aws sso login"}},
		"old SSO profile":  {env: map[string]string{"AWS_PROFILE": "old-sso"}, noCred: true, want: []string{"access portal has expired, or there was none", "aws sso login"}},
		"wrong profile":    {env: map[string]string{"AWS_PROFILE": "nope"}, want: []string{"load the AWS configuration: ", "nope", "check AWS_PROFILE and ~/.aws/config"}},
		"MFA":              {env: map[string]string{"AWS_PROFILE": "mfa"}, noCred: true, want: []string{"MFA", "aws sts get-session-token"}},
		"credential process": {env: map[string]string{"AWS_PROFILE": "process"}, noCred: true,
			want: []string{"the profile's credential_process gave no credentials", "run it by hand"}},
		"role that may not be assumed": {env: map[string]string{"AWS_PROFILE": "denied-role", "AWS_ENDPOINT_URL_STS": refuses.URL},
			want: []string{"the profile's role cannot be assumed (AccessDenied: User: me is not authorized to perform: sts:AssumeRole)", "source_profile"}},
		"no region":     {env: map[string]string{"AWS_PROFILE": "no-region", "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "x"}, want: []string{"no AWS region is known: set region in the config, or AWS_REGION"}},
		"wrong region":  {env: map[string]string{"AWS_PROFILE": "nowhere"}, want: []string{"sts.eu-wset-1.amazonaws.com cannot be resolved: check region and network"}},
		"expired token": {env: s.Env(), fault: &awstest.Fault{Status: 403, Code: "ExpiredToken", Text: "The security token included in the request is expired"}, want: []string{"the AWS credentials have expired", "log in again"}},
		"wrong key or region not enabled": {env: s.Env(), fault: &awstest.Fault{Status: 403, Code: "InvalidClientTokenId", Text: "The security token included in the request is invalid"},
			want: []string{"does not accept the credentials", "check AWS_PROFILE", "that the account has enabled the region eu-west-1"}},
		"clock is wrong": {env: s.Env(), fault: &awstest.Fault{Status: 403, Code: "SignatureDoesNotMatch", Text: "Signature expired: 20200101T000000Z is now earlier than 20261120T000000Z"}, want: []string{"the machine's clock"}},
	} {
		t.Run(name, func(t *testing.T) {
			env := map[string]string{"AWS_EC2_METADATA_DISABLED": "true"}
			for k, v := range c.env {
				env[k] = v
				t.Setenv(k, v) // the SDK reads some of them by itself
			}
			if c.fault != nil {
				s.SetFault("sts:GetCallerIdentity", *c.fault)
			}
			begin := time.Now()
			cl, err := cloud.Load(t.Context(), cloud.Options{Getenv: func(k string) string { return env[k] }, MaxBackoff: time.Millisecond})
			if err == nil {
				_, err = cl.Caller(t.Context())
			}
			if err == nil {
				t.Fatal("no error")
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q lacks %q", err, want)
				}
			}
			if c.noCred && !errors.Is(err, cloud.ErrNoCredentials) {
				t.Errorf("%v is no ErrNoCredentials", err)
			}
			if len(err.Error()) > 400 || time.Since(begin) > 20*time.Second {
				t.Errorf("%d characters after %s: %v", len(err.Error()), time.Since(begin), err)
			}
			t.Log(err)
		})
	}
}
