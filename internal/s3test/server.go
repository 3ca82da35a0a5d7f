// Package s3test is an S3 server in the test process: buckets, objects,
// multipart uploads, conditional requests and checksums as AWS S3 answers them,
// over HTTP on the loopback interface, with faults that a test switches on.
// Signatures are not verified. Only path-style addresses are understood.
//
// What it answers follows https://docs.aws.amazon.com/AmazonS3/latest/API/.
package s3test

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// A Server is one in-process S3. Set the exported fields before the first
// request.
type Server struct {
	// Fault, if set, is asked before each request what shall go wrong with it.
	// It may be called concurrently.
	Fault func(*Request) Fault
	// PageSize caps listings; 0 means 1,000, as in S3.
	PageSize int
	// MinPart is the least size of every part but the last; 0 means 5 MiB, as
	// in S3.
	MinPart int64
	// Discard keeps sizes and checksums but no content: for tests of memory.
	Discard bool
	// Region is what the server claims buckets to be in; "" means us-east-1.
	Region string
	// Now is the server's clock; nil means the machine's.
	Now func() time.Time

	http     *http.Server
	listener net.Listener

	mu      sync.Mutex
	buckets map[string]map[string]*object
	uploads map[string]*upload
	counts  map[string]int
	lastID  int
}

type object struct {
	body     []byte
	size     int64
	etag     string // without quotes
	modified time.Time
	meta     http.Header // X-Amz-Meta-*, Content-Type
	sums     map[string]string
	sumType  string // FULL_OBJECT or COMPOSITE
}

// New starts a server with these buckets on a free port of 127.0.0.1.
func New(buckets ...string) *Server {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic("s3test: no port on the loopback interface: " + err.Error())
	}
	s := &Server{
		listener: l,
		buckets:  map[string]map[string]*object{},
		uploads:  map[string]*upload{},
		counts:   map[string]int{},
	}
	for _, b := range buckets {
		s.buckets[b] = map[string]*object{}
	}
	s.http = &http.Server{Handler: s}
	go func() {
		if err := s.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			panic("s3test: " + err.Error())
		}
	}()
	return s
}

// URL is the endpoint: "http://127.0.0.1:PORT".
func (s *Server) URL() string { return "http://" + s.listener.Addr().String() }

// Close ends the server and every connection.
func (s *Server) Close() { s.http.Close() }

// CreateBucket makes an empty bucket if there is none of that name.
func (s *Server) CreateBucket(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.buckets[name] == nil {
		s.buckets[name] = map[string]*object{}
	}
}

// Count says how many requests of an operation ("PutObject") came in, failed
// ones included.
func (s *Server) Count(op string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.counts[op]
}

// Requests returns a copy of all counts.
func (s *Server) Requests() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make(map[string]int, len(s.counts))
	for op, n := range s.counts {
		all[op] = n
	}
	return all
}

// An Entry is one object as it is kept.
type Entry struct {
	Bucket, Key string
	Body        []byte // nil with Discard
	Size        int64
	Meta        http.Header
}

// Dump returns every object, in order. The bodies must not be changed.
func (s *Server) Dump() []Entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []Entry
	for b, objects := range s.buckets {
		for k, o := range objects {
			all = append(all, Entry{b, k, o.body, o.size, o.meta.Clone()})
		}
	}
	slices.SortFunc(all, func(a, b Entry) int {
		return cmp.Or(cmp.Compare(a.Bucket, b.Bucket), cmp.Compare(a.Key, b.Key))
	})
	return all
}

// Object returns one object's content.
func (s *Server) Object(bucket, key string) ([]byte, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.buckets[bucket][key]
	if o == nil {
		return nil, false
	}
	return o.body, true
}

// SetObject puts an object there, as if another client had.
func (s *Server) SetObject(bucket, key string, body []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.buckets[bucket][key] = &object{
		body: body, size: int64(len(body)), etag: md5hex(body), modified: s.now(), meta: http.Header{},
	}
}

// Uploads lists the open multipart uploads as "bucket/key".
func (s *Server) Uploads() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []string
	for _, u := range s.uploads {
		all = append(all, u.bucket+"/"+u.key)
	}
	slices.Sort(all)
	return all
}

// now is the server's clock in whole seconds, as S3 tells it.
func (s *Server) now() time.Time {
	t := time.Now()
	if s.Now != nil {
		t = s.Now()
	}
	return t.UTC().Truncate(time.Second)
}

func (s *Server) newID(prefix string) string {
	s.lastID++
	return fmt.Sprintf("%s%08d", prefix, s.lastID)
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	req := parse(r)
	s.mu.Lock()
	s.counts[req.Op]++
	req.N = s.counts[req.Op]
	id := s.newID("REQ")
	s.mu.Unlock()

	var f Fault
	if s.Fault != nil {
		f = s.Fault(req)
	}
	h := w.Header()
	h.Set("Date", s.now().Format(http.TimeFormat))
	h.Set("X-Amz-Request-Id", id)
	h.Set("Server", "s3test")
	if f.before(w, r) {
		return
	}
	if f.ResetAfter {
		w = &swallow{w, http.Header{}}
		defer reset(w)
	}
	if err := s.serve(w, r, req, f); err != nil {
		err.write(w, r)
	}
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request, req *Request, f Fault) *apiError {
	w.Header().Set("X-Amz-Bucket-Region", cmp.Or(s.Region, "us-east-1"))
	if req.Op != "CreateBucket" && req.Op != "ListBuckets" {
		s.mu.Lock()
		_, ok := s.buckets[req.Bucket]
		s.mu.Unlock()
		if !ok {
			return &apiError{404, "NoSuchBucket", "The specified bucket does not exist"}
		}
	}
	switch req.Op {
	case "CreateBucket":
		s.CreateBucket(req.Bucket)
		return nil
	case "HeadBucket":
		return nil
	case "PutObject":
		return s.putObject(w, r, req)
	case "GetObject", "HeadObject":
		return s.getObject(w, r, req, f)
	case "DeleteObject":
		return s.deleteObject(w, r, req)
	case "ListObjectsV2":
		return s.listObjects(w, req)
	case "CreateMultipartUpload":
		return s.createUpload(w, r, req)
	case "UploadPart":
		return s.uploadPart(w, r, req)
	case "CompleteMultipartUpload":
		return s.completeUpload(w, r, req, f)
	case "AbortMultipartUpload":
		return s.abortUpload(w, req)
	case "ListMultipartUploads":
		return s.listUploads(w, req)
	}
	return &apiError{501, "NotImplemented", "A header you provided implies functionality that is not implemented: " + strings.ToUpper(r.Method)}
}
