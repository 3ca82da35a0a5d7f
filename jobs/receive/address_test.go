package receive

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"mayfly/internal/secret"
	"mayfly/internal/store"
	"mayfly/runner"
)

func TestFillAddress(t *testing.T) {
	t.Parallel()
	both := []netip.Addr{netip.MustParseAddr("203.0.113.5"), netip.MustParseAddr("2001:db8::5")}
	for _, x := range []struct {
		address string
		list    []netip.Addr
		want    string
	}{
		{"https://dyn.example.com/update?ip={ip}&h=a", both, "https://dyn.example.com/update?ip=203.0.113.5&h=a"},
		{"https://dyn.example.com/u/{ipv4}/{ipv6}", both, "https://dyn.example.com/u/203.0.113.5/2001%3Adb8%3A%3A5"},
		{"https://dyn.example.com/{ip}", both[1:], "https://dyn.example.com/2001%3Adb8%3A%3A5"},
		{"https://dyn.example.com/plain", nil, "https://dyn.example.com/plain"},
		{"https://dyn.example.com/{ipv6}", both[:1], ""},
		{"http://dyn.example.com/{ip}", both, ""}, // the address is a secret
		{"http://127.0.0.1:1/{ip}", both, "http://127.0.0.1:1/203.0.113.5"},
		{"dyn.example.com", both, ""},
	} {
		got, err := fillAddress(x.address, x.list)
		if got != x.want || (err == nil) != (x.want != "") {
			t.Errorf("%s: %q, %v", x.address, got, err)
		}
	}
}

// dynRun is a run whose dynamic DNS service is at an address.
func dynRun(t *testing.T, address string) (*run, secret.Ref) {
	t.Helper()
	ref := secret.Ref{Scheme: "ssm", Name: "/dyn"}
	return &run{job: &job{config: &Config{}, env: runner.Env{
		Secret: func(secret.Ref) (secret.Value, error) { return secret.New(address), nil },
		Hide:   func(secret.Value) {}, HTTP: http.DefaultTransport, Version: "1",
	}}}, ref
}

func TestDynamicDNS(t *testing.T) {
	t.Parallel()
	list := []netip.Addr{netip.MustParseAddr("203.0.113.5")}
	for name, x := range map[string]struct {
		status int
		body   string
		says   string // "": it worked
	}{
		"good":      {200, "good 203.0.113.5", ""},
		"same":      {200, "nochg 203.0.113.5", ""},
		"html":      {200, "<p>updated</p>", ""},
		"password":  {200, "badauth", `says "badauth"`},
		"duckdns":   {200, "KO", `says "KO"`},
		"forbidden": {403, "no such token", "403 Forbidden: no such token"},
		"moved":     {302, "", "302 Found"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			asked := make(chan string, 10)
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				asked <- r.URL.String()
				w.WriteHeader(x.status)
				io.WriteString(w, x.body)
			}))
			defer s.Close()
			r, ref := dynRun(t, s.URL+"/sesame?ip={ip}")
			err := r.call(t.Context(), ref, list)
			if got := <-asked; got != "/sesame?ip=203.0.113.5" {
				t.Errorf("asked for %s", got)
			}
			switch {
			case x.says == "" && err != nil, x.says != "" && (err == nil || !strings.Contains(err.Error(), x.says)):
				t.Errorf("%v", err)
			case err != nil && strings.Contains(err.Error(), "sesame"):
				t.Errorf("%v holds the address", err)
			case len(asked) > 0:
				t.Error("asked again")
			}
		})
	}
	t.Run("a bad moment", func(t *testing.T) {
		t.Parallel()
		var n atomic.Int32
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if n.Add(1) == 1 {
				w.WriteHeader(503)
			}
		}))
		defer s.Close()
		r, ref := dynRun(t, s.URL)
		if err := r.call(t.Context(), ref, list); err != nil || n.Load() != 2 {
			t.Errorf("%v after %d", err, n.Load())
		}
	})
	t.Run("nobody there", func(t *testing.T) {
		t.Parallel()
		s := httptest.NewServer(nil)
		s.Close()
		r, ref := dynRun(t, s.URL+"/sesame")
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		if err := r.call(ctx, ref, list); err == nil || strings.Contains(err.Error(), "sesame") {
			t.Errorf("%v", err)
		}
	})
}

// The file in the store is replaced, whoever wrote it, and says in the end that
// there is nobody.
func TestAddressFile(t *testing.T) {
	t.Parallel()
	st, err := store.NewDir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := st.Put(t.Context(), "servers/address.json", []byte("of an earlier run"), ""); err != nil {
		t.Fatal(err)
	}
	key, err := parseHostKey(secret.New(newKey(t, false, "")))
	if err != nil {
		t.Fatal(err)
	}
	rec := runner.NewRecorder(slog.New(slog.NewTextHandler(io.Discard, nil)), time.Now)
	r := &run{job: &job{hostKey: key, config: &Config{Listen: Listen{Port: 2222}, Address: Address{Store: true}}, env: runner.Env{Store: st, Prefix: "servers", Deployment: "hosts", RunID: "r"}},
		rec: rec, self: runner.Self{Addresses: []netip.Addr{netip.MustParseAddr("2001:db8::5"), netip.MustParseAddr("203.0.113.5")}}}
	read := func() string {
		rc, _, err := st.Open(t.Context(), "servers/address.json", 0, -1)
		if err != nil {
			t.Fatal(err)
		}
		defer rc.Close()
		b, err := io.ReadAll(rc)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	told, where := r.announce(t.Context(), time.Now().Add(time.Hour))
	if len(r.errs) > 0 || len(told) != 0 {
		t.Fatalf("%v, %d told", r.errs, len(told))
	}
	for _, want := range []string{`"state": "open"`, `"host": "203.0.113.5"`, `"port": 2222`, `"host_key": "ssh-ed25519 AAAA`, `"until": "2`} {
		if !strings.Contains(read(), want) {
			t.Errorf("%s without %s", read(), want)
		}
	}
	r.withdraw(t.Context(), told, where)
	if s := read(); !strings.Contains(s, `"state": "closed"`) || strings.Contains(s, "203.0.113.5") || strings.Contains(s, "until") {
		t.Errorf("%s", s)
	}
}
