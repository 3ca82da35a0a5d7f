package secret

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

type fakeSource struct {
	value string
	err   error
	calls int
}

func (f *fakeSource) Get(context.Context, string) (string, error) {
	f.calls++
	return f.value, f.err
}

func TestResolve(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, []byte("from-a-file\r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	ssm := &fakeSource{value: "from-ssm"}
	var red Redactor
	r := NewResolver(map[string]Source{
		"env":  Env(func(n string) string { return map[string]string{"T": "from-env\n"}[n] }),
		"file": Files{}, "ssm": ssm,
	}, &red)
	refs := []Ref{{"env", "T"}, {"file", file}, {"ssm", "/x"}, {"ssm", "/x"}}
	values, err := r.Resolve(t.Context(), refs)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"from-env", "from-a-file", "from-ssm", "from-ssm"} {
		if got := values[refs[i]].Reveal(); got != want {
			t.Errorf("%s: %q, want %q", refs[i], got, want)
		}
		if got := red.Redact("a " + want); got != "a [secret]" {
			t.Errorf("%s is not hidden: %q", refs[i], got)
		}
	}
	if ssm.calls != 1 {
		t.Errorf("ssm was asked %d times for one secret", ssm.calls)
	}
}

func TestResolveNamesEveryFailure(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	big := filepath.Join(dir, "big")
	if err := os.WriteFile(big, make([]byte, maxFile+1), 0o600); err != nil {
		t.Fatal(err)
	}
	denied := errors.New("access denied: grant ssm:GetParameter")
	r := NewResolver(map[string]Source{
		"env":            Env(func(n string) string { return map[string]string{"BLANK": " \n", "SHORT": "abc"}[n] }),
		"file":           Files{},
		"ssm":            &fakeSource{err: denied},
		"secretsmanager": &fakeSource{value: "\n"},
	}, new(Redactor))
	_, err := r.Resolve(t.Context(), []Ref{
		{"env", "UNSET"}, {"env", "BLANK"}, {"env", "SHORT"}, {"file", filepath.Join(dir, "none")},
		{"file", dir}, {"file", big}, {"ssm", "/a"}, {"ssm", "/a"}, {"secretsmanager", "s"}, {"vault", "v"},
	})
	if err == nil {
		t.Fatal("no error")
	}
	want := strings.ReplaceAll(`read secret env:UNSET: the variable is not set: export UNSET=… before
read secret env:BLANK: it is empty: store the value there
read secret env:SHORT: the secret has fewer than 4 characters and cannot be kept out of logs: use a longer one
read secret file:DIR/none: no such file or directory: write the path of a file that this user may read
read secret file:DIR: is a directory: write the path of a file
read secret file:DIR/big: the file is larger than 65536 bytes: this is not a secret
read secret ssm:/a: access denied: grant ssm:GetParameter
read secret secretsmanager:s: it is empty: store the value there
read secret vault:v: vault: cannot be read here: keep it elsewhere`, "DIR", dir)
	if err.Error() != want {
		t.Errorf("got:\n%s\nwant:\n%s", err, want)
	}
	if !errors.Is(err, denied) {
		t.Error("the cause is lost")
	}
}

func TestParseRef(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"ssm:/onlinebackup/github-token", "ssm:plain", "secretsmanager:arn:aws:secretsmanager:eu-west-1:123456789012:secret:x-AbCdEf", "env:GITHUB_TOKEN", "file:/etc/my key", "file:relative"} {
		ref, err := ParseRef(s)
		if err != nil || ref.String() != s {
			t.Errorf("%s: %v, %v", s, ref, err)
		}
	}
	for _, s := range []string{
		"", "x", ":", "env:", "env:A-B", "env:ghp_0123456789abcdefghij", "ghp_0123456789abcdefghij", "ssm:a b", "vault:x", "ENV:X", "file:",
		"-----BEGIN RSA PRIVATE KEY-----\nMIIE", "env:A\n", "hunter2:hunter2",
	} {
		ref, err := ParseRef(s)
		if err == nil {
			t.Errorf("%q was taken as %v", s, ref)
		} else if len(s) > 6 && strings.Contains(err.Error(), s[len(s)-6:]) {
			t.Errorf("%q stands in its error: %v", s, err)
		}
	}
}

func TestHideTokens(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"ghp_0123456789abcdefghij", "github_pat_11ABCDEFG0abcdef_xyz", "AKIAIOSFODNN7EXAMPLE", "-----BEGIN OPENSSH PRIVATE KEY-----"} {
		if got := HideTokens("a: " + s); got != "a: [secret]" {
			t.Errorf("%s became %s", s, got)
		}
	}
	if got := HideTokens("owners: [octocat]"); got != "owners: [octocat]" {
		t.Errorf("became %s", got)
	}
}
