package gitwire_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestSecretAtACut: what a server says is redacted before it is cut.
func TestSecretAtACut(t *testing.T) {
	t.Parallel()
	const token = "ghp_AbCdEfGhIjKlMnOpQrStUvWxYz0123456789"
	var status int
	var say string
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if status == 0 {
			w.Header().Set("Content-Type", "application/x-git-upload-pack-advertisement")
			fmt.Fprint(w, service+packet("ERR "+say))
			return
		}
		w.WriteHeader(status)
		fmt.Fprint(w, say)
	}))
	t.Cleanup(web.Close)
	c := client(t)
	c.Redact = func(s string) string { return strings.ReplaceAll(s, token, "[secret]") }
	check := func(text string) {
		t.Helper()
		say = text
		_, err := c.Advertise(t.Context(), web.URL+"/acme/site.git")
		if err == nil || strings.Contains(err.Error(), "ghp_") {
			t.Errorf("error %q", err)
		}
	}
	for _, status = range []int{0, 403, 500} {
		for pad := 970; pad < 1030; pad += 3 {
			check(strings.Repeat("x", pad) + " password " + token + " is refused")
		}
	}
	for pad := 4050; pad < 4100; pad += 3 { // beyond it the body is not kept
		check(strings.Repeat(" ", pad) + token + " is refused")
		check(strings.Repeat("x", pad) + token + " is refused")
	}
}
