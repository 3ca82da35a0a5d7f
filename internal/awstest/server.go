// Package awstest is a small AWS in one process: SNS Publish, Systems Manager
// GetParameter, Secrets Manager GetSecretValue, STS GetCallerIdentity and Auto
// Scaling groups, over HTTP as the SDKs speak it. It is for tests and the demo,
// and does not need package testing.
package awstest

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// The account, region and credentials that the server knows.
const (
	Account   = "123456789012"
	Region    = "eu-west-1"
	AccessKey = "AKIDEXAMPLE"
	SecretKey = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
)

// A Message is what was published to a topic.
type Message struct{ Topic, Subject, Body string }

// A Fault makes calls fail. Status and Code are AWS's: 400 "Throttling", 403
// "AccessDenied". Hang makes the server answer only when the client gives up
// or the server is closed.
type Fault struct {
	Status int
	Code   string
	Text   string
	Hang   bool
	Times  int // how many calls; 0: all until ClearFault
}

// A Server is one AWS. Topics, Parameters and Secrets are set before the first
// request.
type Server struct {
	URL        string
	Topics     []string          // ARNs that exist
	Parameters map[string]string // SSM, decrypted
	Secrets    map[string]string // Secrets Manager

	http   *http.Server
	closed chan struct{}

	mu       sync.Mutex
	messages []Message
	groups   []*Group
	launched int            // by SetDesiredCapacity
	calls    map[string]int // by action, "sns:Publish"
	faults   map[string]*Fault
}

// New starts a server on a free port of the loopback interface.
func New() (*Server, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("start the AWS test server: %w", err)
	}
	s := &Server{
		URL:        "http://" + l.Addr().String(),
		Parameters: map[string]string{}, Secrets: map[string]string{},
		closed: make(chan struct{}), calls: map[string]int{}, faults: map[string]*Fault{},
	}
	s.http = &http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second}
	go s.http.Serve(l)
	return s, nil
}

// Close stops the server. Hanging calls end.
func (s *Server) Close() error {
	close(s.closed)
	return s.http.Close()
}

// TopicARN is the ARN of a topic of the server's account and region.
func TopicARN(name string) string { return "arn:aws:sns:" + Region + ":" + Account + ":" + name }

// Env is the environment that makes an AWS client use this server.
func (s *Server) Env() map[string]string {
	return map[string]string{
		"AWS_ACCESS_KEY_ID": AccessKey, "AWS_SECRET_ACCESS_KEY": SecretKey, "AWS_REGION": Region,
		"AWS_EC2_METADATA_DISABLED": "true",
		"AWS_ENDPOINT_URL_SNS":      s.URL, "AWS_ENDPOINT_URL_SSM": s.URL,
		"AWS_ENDPOINT_URL_SECRETS_MANAGER": s.URL, "AWS_ENDPOINT_URL_STS": s.URL,
		"AWS_ENDPOINT_URL_AUTO_SCALING": s.URL,
	}
}

// Messages returns what was published so far.
func (s *Server) Messages() []Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Message(nil), s.messages...)
}

// Calls returns how often each action was called, failed calls included.
func (s *Server) Calls() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.calls)
}

// SetFault makes calls of an action ("sns:Publish") fail.
func (s *Server) SetFault(action string, f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults[action] = &f
}

// ClearFault makes calls of an action work again.
func (s *Server) ClearFault(action string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.faults, action)
}

// ServeHTTP answers one call of any of the services.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 4<<20))
	if err != nil {
		return // the client is gone
	}
	c := call{w: w}
	var do func()
	switch target := r.Header.Get("X-Amz-Target"); target {
	case "AmazonSSM.GetParameter":
		c.json, c.action = true, "ssm:GetParameter"
		do = func() { s.getParameter(c, body) }
	case "secretsmanager.GetSecretValue":
		c.json, c.action = true, "secretsmanager:GetSecretValue"
		do = func() { s.getSecretValue(c, body) }
	case "":
		form, err := url.ParseQuery(string(body))
		if err != nil {
			c.fail(400, "MalformedQueryString", err.Error())
			return
		}
		switch form.Get("Action") {
		case "Publish":
			c.action = "sns:Publish"
			do = func() { s.publish(c, form) }
		case "GetCallerIdentity":
			c.action = "sts:GetCallerIdentity"
			do = func() { s.callerIdentity(c) }
		default:
			c.action, do = s.groupCall(c, form)
		}
	default:
		c.json = true
	}
	if do == nil {
		c.fail(400, "InvalidAction", "the AWS test server does not know this call")
		return
	}
	if !s.admit(c, r) {
		return
	}
	do()
}

// admit counts the call, checks who signs and applies faults. It reports
// whether the call is to be answered.
func (s *Server) admit(c call, r *http.Request) bool {
	s.mu.Lock()
	s.calls[c.action]++
	var f Fault
	active := s.faults[c.action]
	if active != nil {
		f = *active
		if active.Times == 1 {
			delete(s.faults, c.action)
		} else if active.Times > 1 {
			active.Times--
		}
	}
	s.mu.Unlock()
	switch auth := r.Header.Get("Authorization"); {
	case active != nil && f.Hang:
		select {
		case <-r.Context().Done():
		case <-s.closed:
		}
		return false
	case active != nil:
		c.fail(f.Status, f.Code, f.Text)
		return false
	case auth == "":
		c.fail(403, "MissingAuthenticationToken", "Missing Authentication Token")
		return false
	case !strings.Contains(auth, "Credential="+AccessKey+"/"):
		code := "InvalidClientTokenId"
		if c.json {
			code = "UnrecognizedClientException"
		}
		c.fail(403, code, "The security token included in the request is invalid.")
		return false
	}
	return true
}

// A call is one request being answered.
type call struct {
	w      http.ResponseWriter
	action string
	json   bool // AWS JSON 1.1; else the query protocol's XML
}

func (c call) fail(status int, code, text string) {
	c.w.Header().Set("X-Amzn-Requestid", "00000000-0000-0000-0000-000000000000")
	if c.json {
		c.w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		c.w.Header().Set("X-Amzn-Errortype", code)
		c.w.WriteHeader(status)
		_ = json.NewEncoder(c.w).Encode(map[string]string{"__type": code, "message": text})
		return
	}
	who := "Sender"
	if status >= 500 {
		who = "Receiver"
	}
	c.w.Header().Set("Content-Type", "text/xml")
	c.w.WriteHeader(status)
	fmt.Fprintf(c.w, "<ErrorResponse><Error><Type>%s</Type><Code>%s</Code><Message>%s</Message></Error><RequestId>0</RequestId></ErrorResponse>",
		who, escape(code), escape(text))
}

func (c call) answerJSON(v any) {
	c.w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	_ = json.NewEncoder(c.w).Encode(v)
}

func (c call) answerXML(format string, args ...any) {
	c.w.Header().Set("Content-Type", "text/xml")
	fmt.Fprintf(c.w, format, args...)
}
