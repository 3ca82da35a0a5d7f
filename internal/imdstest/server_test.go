package imdstest_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"mayfly/internal/imdstest"
)

func start(t *testing.T) *imdstest.Server {
	t.Helper()
	s, err := imdstest.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// ask sends one request with these headers, name and value in turn.
func ask(t *testing.T, method, url string, header ...string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

const (
	tokenHeader = "X-aws-ec2-metadata-token"
	ttlHeader   = "X-aws-ec2-metadata-token-ttl-seconds"
)

func token(t *testing.T, s *imdstest.Server, ttl string) string {
	t.Helper()
	code, token := ask(t, "PUT", s.URL+"/latest/api/token", ttlHeader, ttl)
	if code != 200 || token == "" {
		t.Fatalf("token: %d %s", code, token)
	}
	return token
}

func TestOnlyVersion2(t *testing.T) {
	t.Parallel()
	s := start(t)
	const path = "/latest/meta-data/instance-id"
	for name, c := range map[string]struct {
		method, path string
		header       []string
		want         int
	}{
		"no token":        {"GET", path, nil, 401},
		"wrong token":     {"GET", path, []string{tokenHeader, "x"}, 401},
		"no lifetime":     {"PUT", "/latest/api/token", nil, 400},
		"too long":        {"PUT", "/latest/api/token", []string{ttlHeader, "21601"}, 400},
		"GET for a token": {"GET", "/latest/api/token", []string{ttlHeader, "60"}, 405},
		"through a proxy": {"PUT", "/latest/api/token", []string{ttlHeader, "60", "X-Forwarded-For", "10.0.0.1"}, 403},
		"POST":            {"POST", path, []string{tokenHeader, token(t, s, "60")}, 405},
		"with a token":    {"GET", path, []string{tokenHeader, token(t, s, "60")}, 200},
		"no such path":    {"GET", "/latest/meta-data/spot/instance-action", []string{tokenHeader, token(t, s, "60")}, 404},
		"no such version": {"GET", "/new/meta-data/instance-id", []string{tokenHeader, token(t, s, "60")}, 404},
	} {
		if code, text := ask(t, c.method, s.URL+c.path, c.header...); code != c.want {
			t.Errorf("%s: %d %s, want %d", name, code, text, c.want)
		}
	}
	if s.Refused() != 2 {
		t.Errorf("%d calls were refused, want 2", s.Refused())
	}
	old := token(t, s, "1")
	time.Sleep(1100 * time.Millisecond)
	if code, _ := ask(t, "GET", s.URL+path, tokenHeader, old); code != 401 {
		t.Errorf("with an expired token: %d", code)
	}
}

func TestWhatThereIs(t *testing.T) {
	t.Parallel()
	s := start(t)
	tok := token(t, s, "60")
	s.Change(func(st *imdstest.State) {
		st.Tags = map[string]string{"aws:autoscaling:groupName": "onlinebackup", "Name": "x"}
		st.Action, st.ActionTime = "terminate", time.Date(2026, 11, 20, 17, 2, 0, 0, time.UTC)
		st.Rebalance = st.ActionTime
		st.UserData = []byte("#!/bin/sh\n")
	})
	for path, want := range map[string]string{
		"latest/meta-data/instance-id":                             "i-0123456789abcdef0",
		"2021-03-23/meta-data/placement/region":                    "eu-west-1",
		"2009-04-04/user-data":                                     "#!/bin/sh\n",
		"latest/meta-data/tags/instance/":                          "Name\naws:autoscaling:groupName",
		"latest/meta-data/tags/instance/aws:autoscaling:groupName": "onlinebackup",
		"latest/meta-data/iam/":                                    "info\nsecurity-credentials/",
		"latest/meta-data/iam/security-credentials/":               "onlinebackup",
		"latest/meta-data/autoscaling/target-lifecycle-state":      "InService",
		"latest/meta-data/spot/":                                   "instance-action\ntermination-time",
		"latest/meta-data/spot/instance-action":                    "{\n  \"action\": \"terminate\",\n  \"time\": \"2026-11-20T17:02:00Z\"\n}",
		"latest/meta-data/events/recommendations/rebalance":        "{\n  \"noticeTime\": \"2026-11-20T17:02:00Z\"\n}",
		"latest": "dynamic/\nmeta-data/\nuser-data",
	} {
		if code, got := ask(t, "GET", s.URL+"/"+path, tokenHeader, tok); code != 200 || got != want {
			t.Errorf("%s: %d %q, want %q", path, code, got, want)
		}
	}
	s.Change(func(st *imdstest.State) { st.Role, st.Lifecycle, st.Tags = "", "", nil })
	for _, path := range []string{"iam/info", "iam/security-credentials/", "autoscaling/target-lifecycle-state", "tags/instance"} {
		if code, _ := ask(t, "GET", s.URL+"/latest/meta-data/"+path, tokenHeader, tok); code != 404 {
			t.Errorf("%s: %d, want 404", path, code)
		}
	}
}

func TestFaults(t *testing.T) {
	t.Parallel()
	s := start(t)
	tok := token(t, s, "60")
	get := func(path string) (int, string) { return ask(t, "GET", s.URL+"/latest/"+path, tokenHeader, tok) }
	s.SetFault("", imdstest.Fault{Reset: true})
	s.SetFault("meta-data/iam/", imdstest.Fault{Status: 200})
	s.SetFault("meta-data/instance-type", imdstest.Fault{Status: 500, Times: 1})
	if code, text := get("meta-data/instance-id"); code != 0 || !strings.Contains(text, "EOF") {
		t.Errorf("down: %d %s", code, text)
	}
	if code, text := get("meta-data/iam/security-credentials/"); code != 200 || text != "" {
		t.Errorf("empty: %d %q", code, text)
	}
	s.ClearFault("")
	if code, _ := get("meta-data/instance-type"); code != 500 {
		t.Errorf("first: %d", code)
	}
	if code, text := get("meta-data/instance-type"); code != 200 || text != "t4g.nano" {
		t.Errorf("second: %d %s", code, text)
	}
	s.Forget()
	if code, _ := get("meta-data/instance-id"); code != 401 {
		t.Errorf("with a forgotten token: %d", code)
	}
	if n := s.Calls()["meta-data/instance-type"]; n != 2 {
		t.Errorf("%d calls counted, want 2", n)
	}
}
