package cloud_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"strings"
	"sync"
	"testing"

	"mayfly/internal/awstest"
	"mayfly/internal/cloud"
)

// A stub is an AWS that answers each action with what a test says it does, in
// the form of the action's service: the real SDK asks it over HTTP.
type stub struct {
	t   *testing.T
	url string

	mu      sync.Mutex
	replies map[string][]reply
	asked   map[string][]request
}

// A reply is one answer. The last of an action is that to all further calls.
type reply struct {
	body   string // of the action's result
	status int    // 0: 200
	code   string // of an error
	said   string
	header map[string]string
	lose   bool // the connection is cut instead
	// do makes the reply from the request.
	do func(request) reply
}

// A request is one that came: the form of the query protocol, or JSON, or an
// S3 path.
type request struct {
	form url.Values
	json map[string]any
	body string
	http *http.Request
}

func fails(code, said string) reply { return reply{status: 400, code: code, said: said} }

func newStub(t *testing.T) (*stub, *cloud.Cloud) {
	t.Helper()
	s := &stub{t: t, replies: map[string][]reply{}, asked: map[string][]request{}}
	srv := httptest.NewServer(s)
	t.Cleanup(srv.Close)
	s.url = srv.URL
	return s, load(t, s.env())
}

func (s *stub) env() map[string]string {
	return map[string]string{
		"AWS_ACCESS_KEY_ID": awstest.AccessKey, "AWS_SECRET_ACCESS_KEY": awstest.SecretKey, "AWS_REGION": awstest.Region,
		"AWS_EC2_METADATA_DISABLED": "true", "AWS_ENDPOINT_URL": s.url,
	}
}

// on says what an action answers: "DescribeStacks", or "HEAD /bucket", or
// "GET/hostedzone/Z1".
func (s *stub) on(action string, list ...reply) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.replies[action] = list
}

// requests are those of an action so far.
func (s *stub) requests(action string) []request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]request(nil), s.asked[action]...)
}

// last is the last request of an action.
func (s *stub) last(action string) request {
	s.t.Helper()
	all := s.requests(action)
	if len(all) == 0 {
		s.t.Fatalf("%s was not called", action)
	}
	return all[len(all)-1]
}

func (s *stub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	if r.Header.Get("Content-Encoding") == "gzip" {
		z, err := gzip.NewReader(bytes.NewReader(body))
		if err == nil {
			body, err = io.ReadAll(z)
		}
		if err != nil {
			s.t.Errorf("the request: %v", err)
		}
	}
	in := request{http: r, body: string(body)}
	action, form := s.decode(r, body, &in)
	s.mu.Lock()
	s.asked[action] = append(s.asked[action], in)
	list := s.replies[action]
	var answer reply
	if len(list) > 0 {
		answer = list[0]
	}
	if len(list) > 1 {
		s.replies[action] = list[1:]
	}
	s.mu.Unlock()
	if len(list) == 0 {
		answer = fails("InvalidAction", "the test has no reply to "+action)
	}
	if answer.do != nil {
		answer = answer.do(in)
	}
	if answer.lose {
		panic(http.ErrAbortHandler)
	}
	for k, v := range answer.header {
		w.Header().Set(k, v)
	}
	form(w, answer)
}

// decode finds out which action a request is, and the form of its answers.
func (s *stub) decode(r *http.Request, body []byte, in *request) (action string, form func(http.ResponseWriter, reply)) {
	if target := r.Header.Get("X-Amz-Target"); target != "" {
		_ = json.Unmarshal(body, &in.json)
		return target[strings.LastIndex(target, ".")+1:], answerJSON
	}
	in.form, _ = url.ParseQuery(string(body))
	action = in.form.Get("Action")
	switch {
	case strings.HasPrefix(r.URL.Path, "/2013-04-01/"): // Route 53
		return r.Method + strings.TrimPrefix(r.URL.Path, "/2013-04-01"), func(w http.ResponseWriter, a reply) {
			if a.status != 0 && a.code == "" {
				w.WriteHeader(a.status)
				io.WriteString(w, a.body)
				return
			}
			answerXML(w, a, "%s", "<ErrorResponse><Error><Type>Sender</Type><Code>%s</Code><Message>%s</Message></Error></ErrorResponse>")
		}
	case action == "":
		return r.Method + " " + r.URL.Path, answerS3
	case in.form.Get("Version") == "2016-11-15":
		return action, func(w http.ResponseWriter, a reply) {
			answerXML(w, a, "<"+action+"Response>%s</"+action+"Response>", "<Response><Errors><Error><Code>%s</Code><Message>%s</Message></Error></Errors></Response>")
		}
	}
	return action, func(w http.ResponseWriter, a reply) {
		answerXML(w, a, "<"+action+"Response><"+action+"Result>%s</"+action+"Result></"+action+"Response>",
			"<ErrorResponse><Error><Type>Sender</Type><Code>%s</Code><Message>%s</Message></Error></ErrorResponse>")
	}
}

func answerXML(w http.ResponseWriter, a reply, whole, failed string) {
	w.Header().Set("Content-Type", "text/xml")
	if a.status != 0 {
		w.WriteHeader(a.status)
		fmt.Fprintf(w, failed, a.code, strings.NewReplacer("<", "&lt;", "&", "&amp;").Replace(a.said))
		return
	}
	fmt.Fprintf(w, whole, a.body)
}

func answerS3(w http.ResponseWriter, a reply) {
	if a.status != 0 {
		w.WriteHeader(a.status)
	}
	if a.code != "" {
		fmt.Fprintf(w, "<Error><Code>%s</Code><Message>%s</Message></Error>", a.code, a.said)
		return
	}
	io.WriteString(w, a.body)
}

func answerJSON(w http.ResponseWriter, a reply) {
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	if a.status != 0 {
		w.WriteHeader(a.status)
		_ = json.NewEncoder(w).Encode(map[string]string{"__type": a.code, "message": a.said})
		return
	}
	io.WriteString(w, a.body)
}

// must returns what a constructor made.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// saysAll fails when an error lacks one of these texts.
func saysAll(t *testing.T, err error, want ...string) {
	t.Helper()
	if err == nil {
		t.Errorf("no error, want %q", want)
		return
	}
	for _, w := range want {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%q lacks %q", err, w)
		}
	}
}

// same fails when a call failed or returned something else.
func same(t *testing.T, got, want any, err error) {
	t.Helper()
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v, %v\nwant %+v", got, err, want)
	}
}
