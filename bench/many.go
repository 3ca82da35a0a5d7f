//go:build linux

package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"time"
)

// manySmall is how many small repositories there are.
const manySmall = 10_000

// many measures mayfly alone with many small repositories: the first run, and
// one that finds nothing changed, whose requests are counted.
func (b *bench) many(ctx context.Context, t *table) error {
	say("generate %d small repositories", manySmall)
	if err := small(ctx, b.served, "small", manySmall); err != nil {
		return err
	}
	if err := b.srv.empty(); err != nil {
		return err
	}
	say("%d small repositories, first run", manySmall)
	first, err := b.measure(ctx, "mayfly", "", "small", "")
	if err != nil {
		return err
	}
	counting, err := b.srv.count()
	if err != nil {
		return err
	}
	defer counting.close()
	gitBefore, apiBefore := len(b.srv.github.Git.Requests()), len(b.srv.github.Requests())
	say("%d small repositories, unchanged", manySmall)
	time.Sleep(time.Second)
	r, err := b.measure(ctx, "mayfly", "", "small", "")
	if err != nil {
		return err
	}
	fmt.Fprintf(&t.b, "### %d small repositories\n\n| mayfly | wall s | CPU s | peak memory MiB | uploaded MB |\n|---|--:|--:|--:|--:|\n", manySmall)
	for _, m := range []row{{name: "first run", sample: first.sample, stored: first.stored}, {name: "nothing changed", sample: r.sample, stored: r.stored}} {
		fmt.Fprintf(&t.b, "| %s | %.1f | %.1f | %.1f | %.1f |\n", m.name, m.wall.Seconds(), m.cpu.Seconds(), float64(m.peakRSS)/(1<<20), mb(m.stored))
	}
	fmt.Fprintf(&t.b, "\nRequests when nothing changed: %d to the git server (one for each repository and one for each wiki that may be there), %d to GitHub's API, to the store %s.\n\n",
		len(b.srv.github.Git.Requests())-gitBefore, len(b.srv.github.Requests())-apiBefore, counting)
	return nil
}

// A counter is a proxy before the store's server that counts requests.
type counter struct {
	servers *servers
	url     string // of the server behind it
	srv     *http.Server

	mu     sync.Mutex
	counts map[string]int
}

// count puts a counting proxy before the store's server until it is closed.
func (s *servers) count() (*counter, error) {
	to, err := url.Parse(s.s3URL)
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	c := &counter{servers: s, url: s.s3URL, counts: map[string]int{}}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(to)
		r.Out.Host = r.In.Host // it is signed
	}}
	c.srv = &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		what := r.Method + " object"
		if r.Method == http.MethodGet && strings.Count(strings.Trim(r.URL.Path, "/"), "/") == 0 {
			what = "list"
		}
		c.mu.Lock()
		c.counts[what]++
		c.mu.Unlock()
		proxy.ServeHTTP(w, r)
	})}
	go c.srv.Serve(l)
	s.s3URL = "http://" + l.Addr().String()
	return c, nil
}

func (c *counter) close() {
	c.srv.Close()
	c.servers.s3URL = c.url
}

// String is all counts: "12 list, 3 GET object".
func (c *counter) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var parts []string
	total := 0
	for _, what := range []string{"list", "GET object", "HEAD object", "PUT object", "POST object", "DELETE object"} {
		if n := c.counts[what]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, what))
			total += n
		}
	}
	return fmt.Sprintf("%d (%s)", total, strings.Join(parts, ", "))
}
