package hook_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"mayfly/internal/hook"
)

// A service notes what comes, and answers what a test says, the last answer to
// all further requests.
type service struct {
	*httptest.Server
	mu      sync.Mutex
	answers []int
	got     []*http.Request
	bodies  []string
	wait    time.Duration
}

func newService(t *testing.T, answers ...int) *service {
	t.Helper()
	s := &service{answers: answers}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		s.mu.Lock()
		s.got, s.bodies = append(s.got, r), append(s.bodies, string(b))
		code := s.answers[min(len(s.got), len(s.answers))-1]
		wait := s.wait
		s.mu.Unlock()
		time.Sleep(wait)
		if code/100 == 3 {
			w.Header().Set("Location", "https://elsewhere.example.com/x")
		}
		w.WriteHeader(code)
		io.WriteString(w, "said\n  the   service")
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *service) paths() (list []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.got {
		list = append(list, r.Method+" "+r.URL.RequestURI())
	}
	return list
}

func TestPing(t *testing.T) {
	t.Parallel()
	s := newService(t, 200)
	address := s.URL + "/secret-uuid?keep=1"
	start, failure, err := hook.Below(address)
	if err != nil {
		t.Fatal(err)
	}
	p := hook.Ping{Sender: hook.Sender{Agent: "mayfly/1"}, Start: start, Success: address, Failure: failure, ID: "id"}
	for _, err := range []error{p.Begin(t.Context()), p.End(t.Context(), true, "all well"), p.End(t.Context(), false, strings.Repeat("x", 200_000))} {
		if err != nil {
			t.Error(err)
		}
	}
	want := "POST /secret-uuid/start?keep=1&rid=id POST /secret-uuid?keep=1&rid=id POST /secret-uuid/fail?keep=1&rid=id"
	if got := strings.Join(s.paths(), " "); got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
	if s.bodies[1] != "all well" || len(s.bodies[2]) != 100_000 {
		t.Errorf("bodies of %d and %d bytes", len(s.bodies[1]), len(s.bodies[2]))
	}
	if a := s.got[0].UserAgent(); a != "mayfly/1" {
		t.Errorf("the agent is %q", a)
	}
	only := hook.Ping{Success: address}
	if err := only.Begin(t.Context()); err != nil || len(s.paths()) != 3 {
		t.Errorf("a start that has no address: %v", err)
	}
}

func TestWebhook(t *testing.T) {
	t.Parallel()
	s := newService(t, 204)
	w := hook.Webhook{Address: s.URL + "/hook", Secret: "It's a Secret to Everybody"}
	// The example of GitHub's documentation, so that stock code verifies it.
	if err := w.JSON(t.Context(), "20261120T170412Z-i-0abc", []byte("Hello, World!")); err != nil {
		t.Fatal(err)
	}
	h := s.got[0].Header
	if got := h.Get("X-Mayfly-Signature-256"); got != "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17" {
		t.Errorf("the signature is %s", got)
	}
	if h.Get("Content-Type") != "application/json" || h.Get("X-Mayfly-Run") != "20261120T170412Z-i-0abc" {
		t.Errorf("the header is %v", h)
	}
	w.Secret = ""
	if err := w.Text(t.Context(), "r", "a \"text\"\n"); err != nil {
		t.Fatal(err)
	}
	var doc map[string]string
	if err := json.Unmarshal([]byte(s.bodies[1]), &doc); err != nil || doc["text"] != "a \"text\"\n" || len(doc) != 1 {
		t.Errorf("%s: %v", s.bodies[1], err)
	}
	if _, signed := s.got[1].Header["X-Mayfly-Signature-256"]; signed {
		t.Error("it is signed with nothing")
	}
}

// What is tried again, and what an error says: never the address.
func TestPostFailures(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		answers []int
		want    string // in the error; "" is none
		tries   int
	}{
		{"the second time", []int{503, 200}, "", 2},
		{"throttled", []int{429, 429, 200}, "", 3},
		{"down", []int{500}, "the server answers 500 (said the service)", 3},
		{"denied", []int{403, 200}, "the server answers 403", 1},
		{"unknown", []int{404}, "check the address that is stored", 1},
		{"moved", []int{301}, "the server answers 301 and names another address", 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newService(t, tt.answers...)
			err := hook.Sender{}.Post(t.Context(), s.URL+"/secret-uuid", nil, []byte("body"))
			if (err == nil) != (tt.want == "") || err != nil && (!strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "secret-uuid")) {
				t.Errorf("the error is %v", err)
			}
			if n := len(s.paths()); n != tt.tries {
				t.Errorf("%d tries, want %d", n, tt.tries)
			}
			for _, b := range s.bodies {
				if b != "body" {
					t.Errorf("the body is %q", b)
				}
			}
		})
	}
}

func TestPostEnds(t *testing.T) {
	t.Parallel()
	s := newService(t, 200)
	s.wait = 3 * time.Second
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	began := time.Now()
	err := hook.Sender{}.Post(ctx, s.URL+"/secret-uuid", nil, nil)
	if err == nil || time.Since(began) > 2*time.Second || strings.Contains(err.Error(), "secret-uuid") {
		t.Errorf("after %s: %v", time.Since(began), err)
	}
	s.Close()
	if err := (hook.Sender{}).Post(t.Context(), s.URL+"/secret-uuid", nil, nil); err == nil || strings.Contains(err.Error(), "secret-uuid") {
		t.Errorf("nobody is there: %v", err)
	}
}

func TestCheckAddress(t *testing.T) {
	t.Parallel()
	for address, good := range map[string]bool{
		"https://hc-ping.com/x": true, "http://127.0.0.1:8000/x": true, "http://localhost/x": true, "http://[::1]/": true, "http://10.1.2.3/ping": true,
		"http://hc-ping.com/x": false, "http://8.8.8.8/": false, "hc-ping.com/x": false, "ftp://127.0.0.1/": false, "https://": false, "": false, "https://a b/": false,
	} {
		if err := hook.CheckAddress(address); (err == nil) != good {
			t.Errorf("%s: %v", address, err)
		} else if err != nil && len(address) > len("https://") && strings.Contains(err.Error(), address) {
			t.Errorf("the error holds the address: %v", err)
		}
	}
}
