package s3test

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

var (
	errNoKey        = &apiError{404, "NoSuchKey", "The specified key does not exist."}
	errPrecondition = &apiError{412, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold"}
)

// kept are the headers that S3 keeps with an object.
func kept(h http.Header) http.Header {
	meta := http.Header{}
	for k, v := range h {
		if strings.HasPrefix(k, "X-Amz-Meta-") || k == "Content-Type" {
			meta[k] = v
		}
	}
	return meta
}

// writable checks the conditions of a write.
func writable(h http.Header, o *object) *apiError {
	if h.Get("If-None-Match") == "*" && o != nil {
		return errPrecondition
	}
	if m := h.Get("If-Match"); m != "" {
		if o == nil {
			return errNoKey
		}
		if m != "*" && strings.Trim(m, `"`) != o.etag {
			return errPrecondition
		}
	}
	return nil
}

func (s *Server) putObject(w http.ResponseWriter, r *http.Request, req *Request) *apiError {
	if r.Header.Get("X-Amz-Copy-Source") != "" {
		return &apiError{501, "NotImplemented", "no copies here"}
	}
	p, aerr := s.receive(r, "")
	if aerr != nil {
		return aerr
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	objects := s.buckets[req.Bucket]
	if aerr := writable(r.Header, objects[req.Key]); aerr != nil {
		return aerr
	}
	o := &object{
		body: p.body, size: p.size, etag: p.etag, sums: p.sums, sumType: "FULL_OBJECT",
		modified: s.now(), meta: kept(r.Header),
	}
	objects[req.Key] = o
	o.describe(w.Header())
	return nil
}

// describe sets the headers that say which version an object is.
func (o *object) describe(h http.Header) {
	h.Set("ETag", `"`+o.etag+`"`)
	for name, v := range o.sums {
		h.Set(sumHeader+name, v)
		h.Set("X-Amz-Checksum-Type", o.sumType)
	}
}

func (s *Server) getObject(w http.ResponseWriter, r *http.Request, req *Request, f Fault) *apiError {
	s.mu.Lock()
	o := s.buckets[req.Bucket][req.Key]
	s.mu.Unlock()
	if o == nil {
		return errNoKey
	}
	if m := r.Header.Get("If-Match"); m != "" && m != "*" && strings.Trim(m, `"`) != o.etag {
		return errPrecondition
	}
	h := w.Header()
	for k, v := range o.meta {
		h[k] = v
	}
	h.Set("Last-Modified", o.modified.Format(http.TimeFormat))
	h.Set("Accept-Ranges", "bytes")
	h.Set("ETag", `"`+o.etag+`"`)
	if m := r.Header.Get("If-None-Match"); m != "" && (m == "*" || strings.Trim(m, `"`) == o.etag) {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	from, to, status := int64(0), o.size, http.StatusOK
	if rng := r.Header.Get("Range"); rng != "" {
		var ok bool
		if from, to, ok = parseRange(rng, o.size); !ok {
			return &apiError{416, "InvalidRange", "The requested range is not satisfiable"}
		}
		status = http.StatusPartialContent
		h.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, to-1, o.size))
	} else if strings.EqualFold(r.Header.Get("X-Amz-Checksum-Mode"), "ENABLED") {
		o.describe(h)
	}
	h.Set("Content-Length", strconv.FormatInt(to-from, 10))
	w.WriteHeader(status)
	if r.Method == http.MethodGet {
		send(w, r, o.body[from:to], f)
	}
	return nil
}

// send writes a download's body with what shall go wrong in it.
func send(w http.ResponseWriter, r *http.Request, b []byte, f Fault) {
	if f.Flip && len(b) > 0 {
		b = append([]byte(nil), b...)
		b[len(b)/2] ^= 1
	}
	if f.CutBody != 0 {
		w.Write(b[:min(int64(len(b)), max(f.CutBody, 0))])
		http.NewResponseController(w).Flush()
		reset(w)
		return
	}
	if f.StallBody > 0 {
		w.Write(b[:len(b)/2])
		b = b[len(b)/2:]
		http.NewResponseController(w).Flush()
		select {
		case <-time.After(f.StallBody):
		case <-r.Context().Done():
		}
	}
	w.Write(b)
}

// parseRange understands one range; to is exclusive.
func parseRange(s string, size int64) (from, to int64, ok bool) {
	first, last, ok := strings.Cut(strings.TrimPrefix(s, "bytes="), "-")
	if !ok {
		return 0, 0, false
	}
	if first == "" {
		n, err := strconv.ParseInt(last, 10, 64)
		return max(0, size-n), size, err == nil && n > 0 && size > 0
	}
	from, err := strconv.ParseInt(first, 10, 64)
	if err != nil || from >= size {
		return 0, 0, false
	}
	if last == "" {
		return from, size, true
	}
	to, err = strconv.ParseInt(last, 10, 64)
	return from, min(to+1, size), err == nil && to >= from
}

func (s *Server) deleteObject(w http.ResponseWriter, r *http.Request, req *Request) *apiError {
	s.mu.Lock()
	defer s.mu.Unlock()
	if aerr := writable(r.Header, s.buckets[req.Bucket][req.Key]); aerr != nil {
		return aerr
	}
	delete(s.buckets[req.Bucket], req.Key)
	w.WriteHeader(http.StatusNoContent)
	return nil
}
