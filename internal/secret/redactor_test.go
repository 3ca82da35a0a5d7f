package secret

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
)

func known(t *testing.T, plain ...string) *Redactor {
	t.Helper()
	r := new(Redactor)
	for _, p := range plain {
		if err := r.Add(New(p)); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

func TestRedactorHidesEveryEncoding(t *testing.T) {
	t.Parallel()
	secrets := map[string]string{
		"token":   "ghp_0123456789abcdefABCDEF0123456789abcd",
		"special": `p@ss w"rd/+<&>'%\é`,
		"short":   "ab+d",
	}
	encodings := map[string]func(string) string{
		"plain":       func(s string) string { return s },
		"query":       url.QueryEscape,
		"path":        url.PathEscape,
		"percent-20":  func(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") },
		"lower query": func(s string) string { return lowerEscapes(url.QueryEscape(s)) },
		"every byte":  func(s string) string { return percent(s, "%%%02X") },
		"userinfo":    func(s string) string { return (&url.URL{Host: "h", User: url.UserPassword("u", s)}).String() },
		"hex":         func(s string) string { return hex.EncodeToString([]byte(s)) },
		"HEX":         func(s string) string { return strings.ToUpper(hex.EncodeToString([]byte(s))) },
		"json":        func(s string) string { b, _ := json.Marshal(s); return string(b) },
		"go":          strconv.Quote,
		"go ascii":    strconv.QuoteToASCII,
		"%x":          func(s string) string { return fmt.Sprintf("%x", s) },
		"base64 in query": func(s string) string {
			return url.QueryEscape(base64.StdEncoding.EncodeToString([]byte("x:" + s)))
		},
		"basic auth": func(s string) string {
			req, _ := http.NewRequest("GET", "http://h/", nil)
			req.SetBasicAuth("x-access-token", s)
			return req.Header.Get("Authorization")
		},
	}
	for name, s := range secrets {
		r := known(t, s)
		for enc, f := range encodings {
			text := f(s)
			got := r.Redact("before " + text + " after")
			if !strings.Contains(got, redacted) || strings.Contains(got, text) || !strings.HasPrefix(got, "before ") || !strings.HasSuffix(got, " after") {
				t.Errorf("%s, %s: %q became %q", name, enc, text, got)
			}
		}
	}
}

// In base64, what a secret looks like depends on where it stands within a
// group of three bytes. Whatever stands around it, nothing that decodes to a
// piece of it may be left.
func TestRedactorHidesBase64AtEveryAlignment(t *testing.T) {
	t.Parallel()
	const s = "ghp_0123456789abcdefABCDEF~~~???>>>"
	r := known(t, s)
	for before := range 7 {
		for after := range 7 {
			text := strings.Repeat("\xff", before) + s + strings.Repeat("\x00", after)
			for _, e := range []*base64.Encoding{base64.StdEncoding, base64.RawStdEncoding, base64.URLEncoding, base64.RawURLEncoding} {
				enc := e.EncodeToString([]byte(text))
				got := r.Redact(enc)
				head, tail, ok := strings.Cut(got, redacted)
				// Only the digits that neighbours share may be left: one at
				// each end, with less than six bits of the secret.
				if !ok || len(head) > (8*before+7)/6+1 || len(strings.TrimRight(tail, "=")) > (8*after+7)/6+1 {
					t.Errorf("%d before, %d after: %s became %s", before, after, enc, got)
				}
			}
		}
	}
}

func TestRedactorHidesEachLineOfAKey(t *testing.T) {
	t.Parallel()
	pem := "-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEA0123456789\r\nabcdefghijklmnop\nxy\n-----END RSA PRIVATE KEY-----\n"
	r := known(t, pem)
	for _, text := range []string{"MIIEowIBAAKCAQEA0123456789", "log: abcdefghijklmnop", strconv.Quote(pem), base64.StdEncoding.EncodeToString([]byte("abcdefghijklmnop"))} {
		if got := r.Redact(text); !strings.Contains(got, redacted) || strings.Contains(got, "abcdefghijklmnop") || strings.Contains(got, "MIIE") {
			t.Errorf("%q became %q", text, got)
		}
	}
	// These lines say nothing, and stand in every log about keys.
	if got := r.Redact("-----BEGIN RSA PRIVATE KEY-----"); strings.Contains(got, redacted) {
		t.Errorf("the first line was hidden: %q", got)
	}
}

func TestRedactorOverlaps(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		secrets    []string
		text, want string
	}{
		{[]string{"ABCDEF", "DEFGHI"}, "xABCDEFGHIx", "x[secret]x"},
		{[]string{"CDEF", "ABCDEFGH"}, "xABCDEFGHx", "x[secret]x"},
		{[]string{"aaaa"}, "aaaaaaa", "[secret]"},
		{[]string{"ABCD"}, "ABCDABCD-ABCD", "[secret]-[secret]"},
		{[]string{"ABCD"}, "nothing here", "nothing here"},
		{nil, "ABCD", "ABCD"},
		{[]string{"ABCDE\n"}, "x ABCDE y", "x [secret] y"},
	} {
		if got := known(t, c.secrets...).Redact(c.text); got != c.want {
			t.Errorf("%q in %q: got %q, want %q", c.secrets, c.text, got, c.want)
		}
	}
}

func TestRedactorRefusesShortSecrets(t *testing.T) {
	t.Parallel()
	r := new(Redactor)
	for _, s := range []string{"", "a", "abc", " abc\n"} {
		if err := r.Add(New(s)); !errors.Is(err, ErrTooShort) {
			t.Errorf("%q: %v", s, err)
		}
	}
	if got := r.Redact("abc a"); got != "abc a" {
		t.Errorf("got %q", got)
	}
}

func TestRedactorIsConcurrent(t *testing.T) {
	t.Parallel()
	r := new(Redactor)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			s := fmt.Sprintf("secret-number-%d", i)
			if err := r.Add(New(s)); err != nil {
				t.Error(err)
			}
			for range 50 {
				if got := r.Redact(s); got != redacted {
					t.Errorf("got %q", got)
				}
			}
		})
	}
	wg.Wait()
}

func TestWriterFindsSecretsCutInTwo(t *testing.T) {
	t.Parallel()
	r := known(t, "0123456789abcdef")
	var out bytes.Buffer
	w := r.Writer(&out)
	for _, c := range []byte("one 0123456789abcdef\ntwo 0123456789abcdef") {
		if n, err := w.Write([]byte{c}); n != 1 || err != nil {
			t.Fatal(n, err)
		}
	}
	if got := out.String(); got != "one [secret]\n" {
		t.Errorf("before Flush: %q", got)
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	if got := out.String(); got != "one [secret]\ntwo [secret]" {
		t.Errorf("after Flush: %q", got)
	}
}

// A line without an end, such as a progress bar, is passed on in bounded
// memory, and wherever it is cut, no secret is.
func TestWriterBoundsEndlessLines(t *testing.T) {
	t.Parallel()
	r := known(t, "0123456789abcdef")
	for shift := 0; shift < 40; shift += 7 {
		var out bytes.Buffer
		w := r.Writer(&out)
		text := strings.Repeat(".", shift) + strings.Repeat("0123456789abcdef-filling-", 6000)
		for p := text; p != ""; {
			n := min(len(p), 997)
			if _, err := w.Write([]byte(p[:n])); err != nil {
				t.Fatal(err)
			}
			p = p[n:]
			if len(w.held) > 2*maxHeld {
				t.Fatalf("holds %d bytes", len(w.held))
			}
		}
		if out.Len() == 0 {
			t.Fatal("nothing passed on before the end")
		}
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		if want := strings.Repeat(".", shift) + strings.Repeat("[secret]-filling-", 6000); out.String() != want {
			t.Fatalf("shift %d: a secret was cut", shift)
		}
	}
}

func TestValueNeverShowsItself(t *testing.T) {
	t.Parallel()
	v := New("hunter2hunter2")
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("m", "v", v, "p", &v, "in", struct{ V Value }{v})
	j, err := json.Marshal(map[string]any{"v": v, "p": &v})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{
		fmt.Sprint(v), fmt.Sprintf("%v %+v %#v %s %q %x", v, v, v, v, v, v), fmt.Sprintf("%v %+v", &v, struct{ V Value }{v}),
		fmt.Sprintf("%#v", struct{ V Value }{v}), fmt.Sprintf("%d", v), log.String(), string(j),
	} {
		if strings.Contains(s, "hunter2") || strings.Contains(s, hex.EncodeToString([]byte("hunter2"))) || strings.Contains(s, "104 117 110") {
			t.Errorf("shown: %s", s)
		}
	}
}

func FuzzRedactor(f *testing.F) {
	f.Add("secret", "a secret b", 3)
	f.Add("p\"w\n\x00é", "x", 0)
	f.Fuzz(func(t *testing.T, s, around string, at int) {
		r := new(Redactor)
		if r.Add(New(s)) != nil {
			return
		}
		at = max(0, min(at, len(around)))
		text := around[:at] + s + around[at:]
		if got := r.Redact(text); strings.Contains(got, s) && !strings.Contains(redacted, s) {
			// "[secret]" itself may complete a secret made of its letters.
			if !strings.ContainsAny(s, "[]secrt") {
				t.Errorf("%q in %q: %q", s, text, got)
			}
		}
	})
}
