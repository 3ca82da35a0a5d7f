package store_test

import (
	"bytes"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"mayfly/internal/s3test"
	"mayfly/internal/store"
	"mayfly/internal/store/storetest"
)

// After so many parts an object continues in parts of the whole pool, up to
// the service's limit of parts; what is longer fails clearly.
func TestLargeObjects(t *testing.T) {
	t.Parallel()
	srv := newServer(t)
	var mu sync.Mutex
	var sizes []string
	srv.Fault = func(r *s3test.Request) s3test.Fault {
		if r.Op == "UploadPart" {
			mu.Lock()
			sizes = append(sizes, r.Header.Get("Content-Length"))
			mu.Unlock()
		}
		return s3test.Fault{}
	}
	st, _ := newS3(t, srv, store.S3Options{SmallParts: 3, MaxParts: 5})
	const most = (3 + 2*6) * smallPart
	b := storetest.Bytes(most)
	// Others must get their turn, and none may block the rest for ever.
	var wg sync.WaitGroup
	for i := range 3 {
		wg.Go(func() {
			key := string(rune('a' + i))
			if _, err := storetest.Write(t.Context(), st, key, b); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, e := range srv.Dump() {
		if !bytes.Equal(e.Body, b) {
			t.Errorf("%s: %d bytes stored, not the %d written", e.Key, e.Size, most)
		}
	}
	slices.Sort(sizes)
	if want := strings.Repeat("393216 ", 6) + strings.Repeat("65536 ", 9); strings.Join(sizes, " ")+" " != want {
		t.Errorf("parts of %v bytes", sizes)
	}
	_, err := storetest.Write(t.Context(), st, "x", storetest.Bytes(most+1))
	if err == nil || !strings.Contains(err.Error(), "larger than the store takes") {
		t.Errorf("error %v", err)
	}
	if u := srv.Uploads(); len(u) != 0 {
		t.Errorf("open uploads: %v", u)
	}

	// Where the size is known, it fails before a byte is read.
	begun, read := len(sizes), strings.NewReader(strings.Repeat("x", most+1))
	_, err = st.Overwrite(t.Context(), "x", read, most+1, store.Attributes{})
	if !store.OfOne(err) || !strings.Contains(err.Error(), "larger than the store takes") || read.Len() != most+1 || len(sizes) != begun {
		t.Errorf("error %v, %d bytes read, %d parts sent", err, most+1-read.Len(), len(sizes)-begun)
	}
	if _, err = st.Overwrite(t.Context(), "x", bytes.NewReader(b), most, store.Attributes{}); err != nil {
		t.Error(err)
	}
}

// Four uploads of 300 MB at once take the memory of the pool.
func TestMemoryStaysFlat(t *testing.T) {
	srv := s3test.New("bucket")
	defer srv.Close()
	srv.Discard = true
	pool := store.NewPool(6, 5<<20)
	st, err := store.NewS3(store.S3Options{Client: s3test.Client(srv.URL(), "AKID", "SECRET"), Bucket: "bucket", Pool: pool})
	if err != nil {
		t.Fatal(err)
	}
	before := live()
	done := make(chan struct{})
	peak := make(chan uint64)
	go func() {
		top := uint64(0)
		for {
			top = max(top, live())
			select {
			case <-done:
				peak <- top
				return
			case <-time.After(50 * time.Millisecond):
			}
		}
	}()
	const size = 300 << 20
	chunk := storetest.Bytes(32 << 10)
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			w, err := st.Create(t.Context(), string(rune('a'+i)))
			if err != nil {
				t.Error(err)
				return
			}
			defer w.Close()
			for range size / len(chunk) {
				if _, err := w.Write(chunk); err != nil {
					t.Error(err)
					return
				}
			}
			if o, err := w.Commit(); err != nil || o.Size != size {
				t.Errorf("%+v, error %v", o, err)
			}
		})
	}
	wg.Wait()
	close(done)
	top := <-peak - before
	t.Logf("%d MiB of heap at most", top>>20)
	// The pool's 30 MiB, plus the buffers of client and server.
	if top > 36<<20 {
		t.Errorf("%d MiB of heap", top>>20)
	}
	if used, most := pool.InUse(); used != 0 || most > 6 {
		t.Errorf("%d buffers in use, %d at most", used, most)
	}
}

// live is what the heap holds after a collection.
func live() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
