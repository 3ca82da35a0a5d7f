package github

import (
	"fmt"
	"strings"
	"testing"

	"mayfly/internal/secret"
)

func TestValidate(t *testing.T) {
	t.Parallel()
	token := secret.Ref{Scheme: "env", Name: "T"}
	tests := []struct {
		name string
		c    Config
		want string // "key: part of the reason" of every problem
	}{
		{"one owner", Config{Owners: []string{"octo"}}, ""},
		{"everything", Config{Owners: []string{"me", "acme-inc", "jane_corp"}, Token: token, URL: "https://ghe.example.com/api/v3", Include: []string{"**"}, Exclude: []string{"*/scratch-*", "octo/{a,b}"}, Parallel: 6}, ""},
		{"nothing", Config{}, "owners: no owners"},
		{"bad names", Config{Owners: []string{"", "a/b", "../x", "ünï", "-a", "https://github.com/x"}}, "owners[0]: not a name|owners[1]: not a name|owners[2]: not a name|owners[3]: not a name|owners[4]: not a name|owners[5]: not a name"},
		{"a token", Config{Owners: []string{"ghp_secretsecretsecretsecretsecretsecret01", "github_pat_11secret_secretsecret"}}, "owners[0]: looks like a token|owners[1]: looks like a token"},
		{"twice", Config{Owners: []string{"octo", "Octo"}}, "owners[1]: named twice"},
		{"me without a token", Config{Owners: []string{"me"}}, "owners[0]: there is no token"},
		{"both", Config{Owners: []string{"o"}, Token: token, App: &App{1, 2, token}}, "app: both"},
		{"half an app", Config{Owners: []string{"o"}, App: &App{}}, "app.id: missing|app.installation: missing|app.key: missing"},
		{"http", Config{Owners: []string{"o"}, URL: "http://ghe.example.com"}, "url: unencrypted"},
		{"http to itself", Config{Owners: []string{"o"}, URL: "http://127.0.0.1:8080"}, ""},
		{"http to what looks like itself", Config{Owners: []string{"o"}, URL: "http://127.evil.example"}, "url: unencrypted"},
		{"password in the address", Config{Owners: []string{"o"}, URL: "https://me:secret@ghe.example.com"}, "url: user name or password"},
		{"no address", Config{Owners: []string{"o"}, URL: "ghe.example.com"}, "url: not an address"},
		{"no address with a password", Config{Owners: []string{"o"}, URL: "://me:secret@ghe"}, "url: not an address"},
		{"query", Config{Owners: []string{"o"}, URL: "https://ghe.example.com/?a"}, "url: more than a host"},
		{"token in the address", Config{Owners: []string{"o"}, URL: "https://ghe.example.com/?access_token=secret"}, "url: more than a host"},
		{"token in a fragment", Config{Owners: []string{"o"}, URL: "http://ghe.example.com/#secret"}, "url: more than a host"},
		{"no address with a token", Config{Owners: []string{"o"}, URL: "https://gh e/?access_token=secret"}, "url: not an address"},
		{"bad globs", Config{Owners: []string{"o"}, Include: []string{"o/["}, Exclude: []string{"scratch-*", "o/{a"}}, "include[0]: not a glob|exclude[0]: can match nothing|exclude[1]: not a glob"},
		{"negation", Config{Owners: []string{"o"}, Include: []string{"!o/b"}, Exclude: []string{"!o/a"}}, "include[0]: no negation|exclude[0]: no negation"},
		{"parallel", Config{Owners: []string{"o"}, Parallel: 7}, "parallel: out of range"},
		{"negative", Config{Owners: []string{"o"}, Parallel: -1}, "parallel: out of range"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			ps := tt.c.Validate()
			var wants []string
			if tt.want != "" {
				wants = strings.Split(tt.want, "|")
			}
			if len(ps) != len(wants) {
				t.Fatalf("%d problems, want %d: %v", len(ps), len(wants), ps)
			}
			for i, p := range ps {
				key, part, _ := strings.Cut(wants[i], ": ")
				if p.Item != key || !strings.Contains(p.Reason, part) || p.Fix == "" {
					t.Errorf("%+v, want %s", p, wants[i])
				}
				if strings.Contains(fmt.Sprint(p), "secret") {
					t.Errorf("%+v holds a password", p)
				}
			}
		})
	}
}

func TestEndpoints(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"":                                    "https://api.github.com/ https://github.com",
		"https://github.com":                  "https://api.github.com/ https://github.com",
		"https://api.github.com":              "https://api.github.com/ https://github.com",
		"https://api.github.com/":             "https://api.github.com/ https://github.com",
		"https://api.octocorp.ghe.com":        "https://api.octocorp.ghe.com/ https://octocorp.ghe.com",
		"https://octocorp.ghe.com":            "https://api.octocorp.ghe.com/ https://octocorp.ghe.com",
		"https://ghe.example.com":             "https://ghe.example.com/api/v3/ https://ghe.example.com",
		"https://ghe.example.com/api/v3/":     "https://ghe.example.com/api/v3/ https://ghe.example.com",
		"https://example.com/github":          "https://example.com/github/api/v3/ https://example.com/github",
		"https://api.example.com/api/v3":      "https://api.example.com/api/v3/ https://api.example.com",
		"http://127.0.0.1:8080":               "http://127.0.0.1:8080/api/v3/ http://127.0.0.1:8080",
		"http://localhost:8080/":              "http://localhost:8080/api/v3/ http://localhost:8080",
		"https://ghe.example.com:8443/api/v3": "https://ghe.example.com:8443/api/v3/ https://ghe.example.com:8443",
	} {
		e, err := endpointsOf(in)
		if err != nil {
			t.Errorf("%q: %v", in, err)
			continue
		}
		if got := e.api.String() + " " + e.git.String(); got != want {
			t.Errorf("%q: %s, want %s", in, got, want)
		}
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]bool{
		"a": true, "acme.github.io": true, ".github": true, "a_b-c.d": true, strings.Repeat("a", 100): true, "...": true,
		"": false, ".": false, "..": false, "a/b": false, "a b": false, "a\nb": false, "ü": false, `a\b`: false, strings.Repeat("a", 101): false, "a\x00": false,
	} {
		if got := validRepo(name); got != want {
			t.Errorf("%q: %v", name, got)
		}
	}
}

func TestNeeds(t *testing.T) {
	t.Parallel()
	token, key := secret.Ref{Scheme: "ssm", Name: "/t"}, secret.Ref{Scheme: "file", Name: "/k"}
	for _, tt := range []struct {
		c    Config
		want string
	}{
		{Config{}, "[]"},
		{Config{Token: token}, "[ssm:/t]"},
		{Config{App: &App{Key: key}}, "[file:/k]"},
	} {
		if got := fmt.Sprint(tt.c.Needs().Secrets); got != tt.want {
			t.Errorf("%s, want %s", got, tt.want)
		}
	}
}
