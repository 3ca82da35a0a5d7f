//go:build e2evm

package vm

import (
	"io"
	"log"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"time"
)

// A front stands before the S3 gateway: it can be switched off, and knows how
// long the machine fetched the program.
type front struct {
	gateway http.Handler
	asked   first // while it was switched off

	mu       sync.Mutex
	fault    string // "down": connections break; "silent": no answer
	fetching time.Duration
}

func newFront(addr string) *front {
	return &front{gateway: &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: "http", Host: addr})
			r.Out.Host = r.In.Host // the client signed it
		},
		ErrorLog: log.New(io.Discard, "", 0),
	}}
}

// fail makes all requests from now on go wrong.
func (f *front) fail(how string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fault = how
}

func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	fault := f.fault
	f.mu.Unlock()
	if fault != "" {
		f.asked.now()
	}
	switch fault {
	case "down":
		panic(http.ErrAbortHandler)
	case "silent":
		<-r.Context().Done()
		return
	}
	began := time.Now()
	f.gateway.ServeHTTP(w, r)
	if r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/admin/mayfly-") {
		f.mu.Lock()
		f.fetching = time.Since(began)
		f.mu.Unlock()
	}
}

// fetched is how long the last fetch of the program took.
func (f *front) fetched() time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.fetching
}

// A first remembers when something happened for the first time.
type first struct {
	mu sync.Mutex
	at time.Time
}

func (f *first) now() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.at.IsZero() {
		f.at = time.Now()
	}
}

func (f *first) when() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.at
}
