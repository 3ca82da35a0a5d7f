package gitwire_test

import (
	"bufio"
	"crypto/sha1"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"testing"
	"time"

	"github.com/go-git/go-git/v5/plumbing"

	"mayfly/internal/gitwire"
)

const many = 100_000

// id returns the nth of many object ids.
func id(n int) (h plumbing.Hash) {
	sum := sha1.Sum(binary.BigEndian.AppendUint64(nil, uint64(n)))
	return plumbing.Hash(sum)
}

// manyRefs serves very many references, and one empty pack whatever is asked.
func manyRefs(t *testing.T) (url string, asked *int64) {
	asked = new(int64)
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		out := bufio.NewWriter(w)
		defer out.Flush()
		if r.Method == http.MethodPost {
			*asked, _ = io.Copy(io.Discard, r.Body)
			w.Header().Set("Content-Type", "application/x-git-upload-pack-result")
			empty := []byte("PACK\x00\x00\x00\x02\x00\x00\x00\x00")
			sum := sha1.Sum(empty)
			fmt.Fprint(out, "0008NAK\n", packet("\x01"+string(empty)+string(sum[:])), "0000")
			return
		}
		w.Header().Set("Content-Type", "application/x-git-upload-pack-advertisement")
		fmt.Fprint(out, service, packet(id(0).String()+" HEAD\x00side-band-64k ofs-delta symref=HEAD:refs/pull/0/head\n"))
		for n := range many {
			fmt.Fprint(out, packet(fmt.Sprintf("%s refs/pull/%d/head\n", id(n), n)))
		}
		fmt.Fprint(out, "0000")
	}))
	t.Cleanup(web.Close)
	return web.URL + "/acme/site.git", asked
}

// Not parallel: it measures the whole process.
func TestManyReferencesMemory(t *testing.T) {
	url, _ := manyRefs(t)
	c := client(t)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	peak := watchHeap(t)
	a, err := c.Advertise(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	most := peak()
	runtime.GC()
	runtime.ReadMemStats(&after)
	if len(a.Refs) != many || a.Head.Target() != "refs/pull/0/head" {
		t.Fatalf("%d references, HEAD %v", len(a.Refs), a.Head)
	}
	kept := (int64(after.HeapAlloc) - int64(before.HeapAlloc)) / many
	t.Logf("%d bytes per reference kept, %d at the peak", kept, (most-int64(before.HeapAlloc))/many)
	if kept > 200 {
		t.Errorf("%d bytes are kept per reference", kept)
	}
	if most := (most - int64(before.HeapAlloc)) / many; most > 1000 {
		t.Errorf("%d bytes were in use per reference", most)
	}
	runtime.KeepAlive(a)
}

// watchHeap returns a function that ends the watch and says how large the
// heap was at most, garbage included.
func watchHeap(t *testing.T) func() int64 {
	stop, result := make(chan struct{}), make(chan int64)
	go func() {
		var most int64
		for {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			most = max(most, int64(m.HeapAlloc))
			select {
			case <-stop:
				result <- most
				return
			case <-time.After(5 * time.Millisecond):
			}
		}
	}()
	return func() int64 { close(stop); return <-result }
}

// go-git compares every want with every have when it may: 34 s for as many.
func TestManyWantsAndHaves(t *testing.T) {
	t.Parallel()
	url, asked := manyRefs(t)
	c := client(t)
	a, err := c.Advertise(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	wants := append(ids(a), ids(a)...)
	start := time.Now()
	_, err = c.Fetch(t.Context(), a, wants, ids(a)[1:], io.Discard)
	wantErr(t, err, gitwire.ErrUnknownHaves) // that is what this server says
	if spent := time.Since(start); spent > 20*time.Second {
		t.Errorf("it took %s", spent)
	}
	if most := int64(many*50 + 1000); *asked > most {
		t.Errorf("the request has %d bytes, not %d at most: wants and haves are sent once", *asked, most)
	}
	_, err = c.Fetch(t.Context(), a, wants, ids(a), io.Discard)
	wantErr(t, err, gitwire.ErrNothingToFetch)
}
