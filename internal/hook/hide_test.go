package hook

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// A server that repeats the address it was asked for gives nothing away.
func TestErrorsHideAddress(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]http.HandlerFunc{
		"not found": func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(404)
			fmt.Fprintf(w, "Cannot POST %s", r.URL)
		},
		"failed": func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(500)
			fmt.Fprintf(w, "no %s and %s", r.URL.Path, r.URL.Query().Get("key"))
		},
		"nonsense": func(w http.ResponseWriter, r *http.Request) {
			c, _, err := w.(http.Hijacker).Hijack()
			if err == nil {
				fmt.Fprintf(c, "HTTP/1.1 %s\r\n\r\n", r.URL.Path)
				c.Close()
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := httptest.NewServer(answer)
			defer s.Close()
			err := Sender{}.Post(t.Context(), s.URL+"/ping/3f1c9a52-sesame/x?key=open%20sesame", nil, nil)
			if err == nil || strings.Contains(err.Error(), "sesame") || strings.Contains(err.Error(), "3f1c") {
				t.Errorf("%v", err)
			}
		})
	}
}
