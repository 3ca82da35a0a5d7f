package cloud_test

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"mayfly/internal/awstest"
	"mayfly/internal/cloud"
)

// TestMain keeps whatever AWS set-up the developer has out of the tests.
func TestMain(m *testing.M) {
	for _, kv := range os.Environ() {
		if k, _, _ := strings.Cut(kv, "="); strings.HasPrefix(k, "AWS_") {
			os.Unsetenv(k)
		}
	}
	os.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	os.Setenv("AWS_CONFIG_FILE", os.DevNull)
	os.Setenv("AWS_SHARED_CREDENTIALS_FILE", os.DevNull)
	os.Exit(m.Run())
}

func start(t *testing.T) (*awstest.Server, *cloud.Cloud) {
	t.Helper()
	s, err := awstest.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	s.Topics = []string{awstest.TopicARN("onlinebackup")}
	return s, load(t, s.Env())
}

func load(t *testing.T, env map[string]string) *cloud.Cloud {
	t.Helper()
	c, err := cloud.Load(t.Context(), cloud.Options{
		Getenv: func(k string) string { return env[k] }, MaxBackoff: time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func publisher(t *testing.T, c *cloud.Cloud, topic string) *cloud.Publisher {
	t.Helper()
	p, err := c.Publisher(awstest.TopicARN(topic))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestPublish(t *testing.T) {
	t.Parallel()
	s, c := start(t)
	body := "Grüße <&>\n" + strings.Repeat("x", 1000)
	if err := publisher(t, c, "onlinebackup").Publish(t.Context(), "mayfly: complete", body); err != nil {
		t.Fatal(err)
	}
	want := awstest.Message{Topic: awstest.TopicARN("onlinebackup"), Subject: "mayfly: complete", Body: body}
	if got := s.Messages(); len(got) != 1 || got[0] != want {
		t.Errorf("got %+v", got)
	}
}

func TestPublishLimits(t *testing.T) {
	t.Parallel()
	s, c := start(t)
	p := publisher(t, c, "onlinebackup")
	subject := strings.Repeat("s", 99)
	for name, m := range map[string]struct {
		subject, body, want string
	}{
		"largest":           {subject, strings.Repeat("x", 262144-99), ""},
		"one byte too long": {subject, strings.Repeat("x", 262144-98), "262144 are possible"},
		"long subject":      {subject + "s", "x", "the subject has 100 characters"},
		"no subject":        {"", "x", "the subject has 0 characters"},
		"line break":        {"a\nb", "x", "printable ASCII"},
		"umlaut":            {"Grüße", "x", "printable ASCII"},
		"empty":             {"s", "", "the message is empty"},
		"not UTF-8":         {"s", "\xff", "not UTF-8"},
	} {
		err := p.Publish(t.Context(), m.subject, m.body)
		if m.want == "" && err != nil || m.want != "" && (err == nil || !strings.Contains(err.Error(), m.want)) {
			t.Errorf("%s: got %v, want %q", name, err, m.want)
		}
	}
	if n := s.Calls()["sns:Publish"]; n != 1 {
		t.Errorf("%d requests, want 1: the others break a limit", n)
	}
}

// What the test server turns down must not be more than what AWS turns down,
// nor may the client's own checks let anything through.
func TestErrorsSayWhatToDo(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		env   map[string]string
		topic string
		fault *awstest.Fault
		want  []string
		is    error
	}{
		"denied": {fault: &awstest.Fault{Status: 403, Code: "AuthorizationError", Text: "not authorized to perform: SNS:Publish"},
			want: []string{"access denied", "grant sns:Publish on arn:aws:sns:eu-west-1:123456789012:onlinebackup"}, is: cloud.ErrDenied},
		"expired": {fault: &awstest.Fault{Status: 403, Code: "ExpiredToken", Text: "The security token included in the request is expired"},
			want: []string{"the AWS credentials have expired", "log in again"}},
		"no topic":  {topic: "other", want: []string{"Topic does not exist", "check its name, account and region"}, is: cloud.ErrNotFound},
		"invalid":   {fault: &awstest.Fault{Status: 400, Code: "InvalidParameter", Text: "Invalid parameter: Message too long"}, want: []string{"not accepted", "Message too long"}},
		"wrong key": {env: map[string]string{"AWS_ACCESS_KEY_ID": "AKIAOTHER"}, want: []string{"AWS does not accept the credentials", "InvalidClientTokenId"}},
		"no credentials": {env: map[string]string{"AWS_ACCESS_KEY_ID": "", "AWS_PROFILE": ""},
			want: []string{"no AWS credentials were found", "or set AWS_PROFILE"}, is: cloud.ErrNoCredentials},
		"nobody there": {env: map[string]string{"AWS_ENDPOINT_URL_SNS": "http://127.0.0.1:1"}, want: []string{"connection refused", "check network and endpoint"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, _ := start(t)
			env := s.Env()
			for k, v := range c.env {
				env[k] = v
			}
			if c.fault != nil {
				s.SetFault("sns:Publish", *c.fault)
			}
			if c.topic == "" {
				c.topic = "onlinebackup"
			}
			err := publisher(t, load(t, env), c.topic).Publish(t.Context(), "s", "b")
			if err == nil {
				t.Fatal("no error")
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q lacks %q", err, want)
				}
			}
			if c.is != nil && !errors.Is(err, c.is) {
				t.Errorf("%v is not %v", err, c.is)
			}
		})
	}
}

func TestThrottledCallsAreRetried(t *testing.T) {
	t.Parallel()
	s, c := start(t)
	s.SetFault("sns:Publish", awstest.Fault{Status: 400, Code: "Throttling", Text: "Rate exceeded", Times: 2})
	if err := publisher(t, c, "onlinebackup").Publish(t.Context(), "s", "b"); err != nil {
		t.Fatal(err)
	}
	if n := s.Calls()["sns:Publish"]; n != 3 || len(s.Messages()) != 1 {
		t.Errorf("%d calls, %d messages", n, len(s.Messages()))
	}
}

func TestHangingServiceHeedsTheContext(t *testing.T) {
	t.Parallel()
	s, c := start(t)
	s.SetFault("sns:Publish", awstest.Fault{Hang: true})
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	begin := time.Now()
	err := publisher(t, c, "onlinebackup").Publish(ctx, "s", "b")
	if err == nil || !strings.Contains(err.Error(), "no answer in time") || time.Since(begin) > 5*time.Second {
		t.Errorf("after %s: %v", time.Since(begin), err)
	}
}

func TestSecrets(t *testing.T) {
	t.Parallel()
	s, c := start(t)
	s.Parameters["/onlinebackup/github-token"] = "ghp_ssm"
	s.Secrets["github"] = "ghp_sm"
	for name, g := range map[string]struct {
		get        func(context.Context, string) (string, error)
		name, want string
		err        string
	}{
		"ssm":            {get: c.Parameters().Get, name: "/onlinebackup/github-token", want: "ghp_ssm"},
		"ssm arn":        {get: c.Parameters().Get, name: "arn:aws:ssm:eu-west-1:123456789012:parameter/onlinebackup/github-token", want: "ghp_ssm"},
		"ssm missing":    {get: c.Parameters().Get, name: "/other", err: "ssm:GetParameter /other: it does not exist (ParameterNotFound): check its name, account and region"},
		"secret":         {get: c.Secrets().Get, name: "github", want: "ghp_sm"},
		"secret missing": {get: c.Secrets().Get, name: "other", err: "secretsmanager:GetSecretValue other: it does not exist"},
	} {
		got, err := g.get(t.Context(), g.name)
		if got != g.want || (g.err == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), g.err) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	s.SetFault("ssm:GetParameter", awstest.Fault{Status: 400, Code: "AccessDeniedException", Text: "User is not authorized"})
	if _, err := c.Parameters().Get(t.Context(), "/x"); err == nil || !strings.Contains(err.Error(), "grant ssm:GetParameter on /x") {
		t.Errorf("got %v", err)
	}
}

func TestTopicARN(t *testing.T) {
	t.Parallel()
	_, c := start(t)
	arn, err := c.TopicARN(t.Context(), "onlinebackup")
	if err != nil || arn != awstest.TopicARN("onlinebackup") {
		t.Errorf("%q, %v", arn, err)
	}
}

func TestBadTopic(t *testing.T) {
	t.Parallel()
	_, c := start(t)
	if _, err := c.Publisher("onlinebackup"); err == nil || !strings.Contains(err.Error(), "is no ARN") {
		t.Errorf("got %v", err)
	}
}

func TestNoRegion(t *testing.T) {
	t.Parallel()
	env := map[string]string{"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_EC2_METADATA_DISABLED": "true"}
	c := load(t, env)
	if _, err := c.S3(cloud.S3Options{}); err == nil || !strings.Contains(err.Error(), "set region in the config, or AWS_REGION") {
		t.Errorf("s3: %v", err)
	}
	if _, err := c.Parameters().Get(t.Context(), "/x"); err == nil || !strings.Contains(err.Error(), "no AWS region is known") {
		t.Errorf("ssm: %v", err)
	}
}

func TestS3Options(t *testing.T) {
	t.Parallel()
	env := map[string]string{"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_EC2_METADATA_DISABLED": "true"}
	no := false
	for name, c := range map[string]struct {
		env              map[string]string
		o                cloud.S3Options
		region, endpoint string
		path             bool
	}{
		"aws":           {env: map[string]string{"AWS_REGION": "eu-west-1"}, region: "eu-west-1"},
		"bucket's own":  {env: map[string]string{"AWS_REGION": "eu-west-1"}, o: cloud.S3Options{Region: "us-west-2"}, region: "us-west-2"},
		"minio":         {o: cloud.S3Options{Endpoint: "http://127.0.0.1:9000"}, region: "us-east-1", endpoint: "http://127.0.0.1:9000", path: true},
		"virtual hosts": {o: cloud.S3Options{Endpoint: "http://s3.local", PathStyle: &no, Region: "auto"}, region: "auto", endpoint: "http://s3.local"},
		"variable":      {env: map[string]string{"AWS_ENDPOINT_URL_S3": "http://a"}, region: "us-east-1", endpoint: "http://a", path: true},
		"for all":       {env: map[string]string{"AWS_ENDPOINT_URL": "http://b"}, region: "us-east-1", endpoint: "http://b", path: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			all := map[string]string{}
			for _, m := range []map[string]string{env, c.env} {
				for k, v := range m {
					all[k] = v
				}
			}
			client, err := load(t, all).S3(c.o)
			if err != nil {
				t.Fatal(err)
			}
			o := client.Options()
			endpoint := ""
			if o.BaseEndpoint != nil {
				endpoint = *o.BaseEndpoint
			}
			if o.Region != c.region || endpoint != c.endpoint || o.UsePathStyle != c.path {
				t.Errorf("region %q, endpoint %q, path style %v", o.Region, endpoint, o.UsePathStyle)
			}
		})
	}
}
