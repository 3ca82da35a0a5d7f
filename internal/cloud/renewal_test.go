package cloud_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"mayfly/internal/awstest"
	"mayfly/internal/cloud"
	"mayfly/internal/imdstest"
	"mayfly/internal/store"
)

const credentialsPath = "meta-data/iam/security-credentials/onlinebackup"

// A gate stands before an AWS test server and lets in only the session that is
// valid, as AWS does when credentials have expired.
type gate struct {
	aws *awstest.Server

	mu       sync.Mutex
	valid    string // X-Amz-Security-Token
	sessions []string
}

func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	session := r.Header.Get("X-Amz-Security-Token")
	g.mu.Lock()
	g.sessions = append(g.sessions, session)
	ok := session == g.valid
	g.mu.Unlock()
	if !ok {
		w.WriteHeader(http.StatusForbidden)
		w.Write([]byte("<ErrorResponse><Error><Code>ExpiredToken</Code><Message>The security token included in the request is expired</Message></Error></ErrorResponse>"))
		return
	}
	g.aws.ServeHTTP(w, r)
}

func (g *gate) allow(session string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.valid = session
}

func guarded(t *testing.T) (*gate, *imdstest.Server, map[string]string) {
	t.Helper()
	s, _ := start(t)
	g := &gate{aws: s, valid: "session-1"}
	front := httptest.NewServer(g)
	t.Cleanup(front.Close)
	meta := metadata(t)
	env := onInstance(s, meta)
	env["AWS_ENDPOINT_URL_SNS"] = front.URL
	return g, meta, env
}

func rotate(meta *imdstest.Server, session string, left time.Duration) {
	meta.Change(func(s *imdstest.State) {
		s.Credentials.Token, s.Credentials.Expires = session, time.Now().Add(left)
	})
}

func TestRoleFromMetadata(t *testing.T) {
	t.Parallel()
	_, meta, env := guarded(t)
	c := load(t, env)
	if c.Region() != "eu-west-1" {
		t.Errorf("region %q", c.Region())
	}
	p := publisher(t, c, "onlinebackup")
	for range 3 {
		if err := p.Publish(t.Context(), "s", "b"); err != nil {
			t.Fatal(err)
		}
	}
	if n := meta.Calls()[credentialsPath]; n != 1 || meta.Refused() != 0 {
		t.Errorf("asked for credentials %d times, %d requests without a token", n, meta.Refused())
	}
}

// A run outlives its credentials: they are fetched again when they run out.
func TestCredentialsAreRenewedWhenTheyRunOut(t *testing.T) {
	t.Parallel()
	g, meta, env := guarded(t)
	rotate(meta, "session-1", 2*time.Second)
	p := publisher(t, load(t, env), "onlinebackup")
	if err := p.Publish(t.Context(), "s", "b"); err != nil {
		t.Fatal(err)
	}
	rotate(meta, "session-2", time.Hour)
	g.allow("session-2")
	time.Sleep(2100 * time.Millisecond)
	if err := p.Publish(t.Context(), "s", "b"); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(g.sessions, " "); got != "session-1 session-2" {
		t.Errorf("used %s", got)
	}
}

// AWS says that credentials have expired before they were to: they are fetched
// once, by however many requests.
func TestCredentialsAreRenewedWhenAWSRefusesThem(t *testing.T) {
	t.Parallel()
	g, meta, env := guarded(t)
	p := publisher(t, load(t, env), "onlinebackup")
	if err := p.Publish(t.Context(), "s", "b"); err != nil {
		t.Fatal(err)
	}
	rotate(meta, "session-2", time.Hour)
	g.allow("session-2")
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if err := p.Publish(t.Context(), "s", "b"); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := meta.Calls()[credentialsPath]; n != 2 {
		t.Errorf("asked for credentials %d times, want 2", n)
	}
}

func TestCredentialsThatStayExpired(t *testing.T) {
	t.Parallel()
	g, meta, env := guarded(t)
	g.allow("another")
	err := publisher(t, load(t, env), "onlinebackup").Publish(t.Context(), "s", "b")
	if err == nil || !strings.Contains(err.Error(), "the AWS credentials have expired (ExpiredToken") {
		t.Errorf("got %v", err)
	}
	if n := meta.Calls()[credentialsPath]; n != 2 {
		t.Errorf("asked for credentials %d times, want 2: one refresh", n)
	}
}

// S3 answers HEAD without a body: nothing says that it is about the
// credentials.
func TestCredentialsAreRenewedAfterHEAD(t *testing.T) {
	t.Parallel()
	_, meta, env := guarded(t)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Amz-Security-Token") != "session-2" {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		w.Header().Set("ETag", `"e"`)
	}))
	t.Cleanup(srv.Close)
	env["AWS_ENDPOINT_URL_S3"] = srv.URL
	c := load(t, env)
	if err := publisher(t, c, "onlinebackup").Publish(t.Context(), "s", "b"); err != nil {
		t.Fatal(err)
	}
	rotate(meta, "session-2", time.Hour)
	client, err := c.S3(cloud.S3Options{})
	if err != nil {
		t.Fatal(err)
	}
	st, err := store.NewS3(store.S3Options{Client: client, Bucket: "bucket", Pool: store.NewPool(1, 5<<20)})
	if err != nil {
		t.Fatal(err)
	}
	if o, err := st.Stat(t.Context(), "key"); err != nil || o.ETag == "" {
		t.Errorf("got %+v, %v", o, err)
	}
}

// Metadata that is away for a while does not end a run whose credentials are
// still good, and says why once they are not.
func TestMetadataAwayWhileCredentialsExpire(t *testing.T) {
	t.Parallel()
	g, meta, env := guarded(t)
	p := publisher(t, load(t, env), "onlinebackup")
	if err := p.Publish(t.Context(), "s", "b"); err != nil {
		t.Fatal(err)
	}
	meta.SetFault("", imdstest.Fault{Reset: true})
	if err := p.Publish(t.Context(), "s", "b"); err != nil {
		t.Errorf("with good credentials: %v", err)
	}
	g.allow("session-2")
	err := p.Publish(t.Context(), "s", "b")
	if err == nil || !strings.Contains(err.Error(), "the role's credentials cannot be renewed: ask instance metadata: no answer") {
		t.Errorf("got %v", err)
	}
}

func TestStaticCredentialsAreNotRenewed(t *testing.T) {
	t.Parallel()
	s, c := start(t)
	s.SetFault("sns:Publish", awstest.Fault{Status: 403, Code: "ExpiredToken", Text: "expired"})
	if err := publisher(t, c, "onlinebackup").Publish(t.Context(), "s", "b"); err == nil {
		t.Error("no error")
	}
	if n := s.Calls()["sns:Publish"]; n != 1 {
		t.Errorf("%d requests with credentials that cannot change", n)
	}
}

func TestNoRole(t *testing.T) {
	t.Parallel()
	const noRole = "the instance has no role: attach an instance profile with the role that mayfly iam prints"
	for name, c := range map[string]struct {
		change func(*imdstest.State)
		path   string
		fault  imdstest.Fault
		want   string
	}{
		"none":           {change: func(s *imdstest.State) { s.Role = "" }, want: noRole},
		"empty":          {path: "meta-data/iam/security-credentials/", fault: imdstest.Fault{Status: 200}, want: noRole},
		"no trust":       {change: func(s *imdstest.State) { s.Credentials.Code = "AssumeRoleUnauthorizedAccess" }, want: "EC2 cannot assume the instance's role (AssumeRoleUnauthorizedAccess: EC2 cannot assume the role.): let ec2.amazonaws.com assume it"},
		"turned off":     {fault: imdstest.Fault{Status: 403}, want: "set HttpEndpoint: enabled"},
		"version 1 only": {path: imdstest.TokenPath, fault: imdstest.Fault{Status: 404}, want: "answered with status 404"},
		"down":           {fault: imdstest.Fault{Reset: true}, want: "no AWS credentials were found: log in with aws sso login"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, meta, env := guarded(t)
			if c.change != nil {
				meta.Change(c.change)
			}
			if c.fault != (imdstest.Fault{}) {
				meta.SetFault(c.path, c.fault)
			}
			env["AWS_REGION"] = awstest.Region
			err := publisher(t, load(t, env), "onlinebackup").Publish(t.Context(), "s", "b")
			if !errors.Is(err, cloud.ErrNoCredentials) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
			if meta.Refused() != 0 {
				t.Errorf("%d requests without a token", meta.Refused())
			}
		})
	}
}

// The 404 that metadata answers on an instance without a role is not the
// store's: an object that cannot be looked at is not an object that is not
// there.
func TestNoRoleIsNotNoObject(t *testing.T) {
	t.Parallel()
	_, meta, env := guarded(t)
	meta.Change(func(s *imdstest.State) { s.Role = "" })
	env["AWS_ENDPOINT_URL_S3"], env["AWS_REGION"] = "http://127.0.0.1:1", awstest.Region
	client, err := load(t, env).S3(cloud.S3Options{})
	if err != nil {
		t.Fatal(err)
	}
	st, err := store.NewS3(store.S3Options{Client: client, Bucket: "bucket", Pool: store.NewPool(1, 5<<20)})
	if err != nil {
		t.Fatal(err)
	}
	_, err = st.Stat(t.Context(), "runs/lock.json")
	if err == nil || errors.Is(err, store.ErrNotExist) || !strings.Contains(err.Error(), "the instance has no role") {
		t.Errorf("got %v", err)
	}
	_, _, err = st.Open(t.Context(), "runs/lock.json", 0, -1)
	if err == nil || errors.Is(err, store.ErrNotExist) || !strings.Contains(err.Error(), "the instance has no role") {
		t.Errorf("got %v", err)
	}
}
