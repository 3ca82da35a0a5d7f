package s3test

import (
	"cmp"
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

type upload struct {
	id, bucket, key string
	initiated       time.Time
	meta            http.Header
	algorithm       string // "crc32c", or "": none asked for
	sumType         string
	parts           map[int]*payload
}

var errNoUpload = &apiError{404, "NoSuchUpload", "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed."}

func (s *Server) createUpload(w http.ResponseWriter, r *http.Request, req *Request) *apiError {
	io.Copy(io.Discard, r.Body)
	alg := strings.ToLower(r.Header.Get("X-Amz-Checksum-Algorithm"))
	if alg != "" && newHash(alg) == nil {
		return &apiError{400, "InvalidRequest", "Checksum algorithm provided is unsupported."}
	}
	sumType := cmp.Or(r.Header.Get("X-Amz-Checksum-Type"), map[string]string{"crc64nvme": "FULL_OBJECT"}[alg], "COMPOSITE")
	if sumType == "FULL_OBJECT" && strings.HasPrefix(alg, "sha") {
		return &apiError{400, "InvalidRequest", "The FULL_OBJECT checksum type cannot be used with the " + alg + " checksum algorithm."}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	u := &upload{
		id: s.newID("UPLOAD"), bucket: req.Bucket, key: req.Key, initiated: s.now(), meta: kept(r.Header),
		algorithm: alg, sumType: sumType, parts: map[int]*payload{},
	}
	s.uploads[u.id] = u
	if alg != "" {
		w.Header().Set("X-Amz-Checksum-Algorithm", strings.ToUpper(alg))
		w.Header().Set("X-Amz-Checksum-Type", sumType)
	}
	writeXML(w, http.StatusOK, struct {
		XMLName     xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ InitiateMultipartUploadResult"`
		Bucket, Key string
		UploadID    string `xml:"UploadId"`
	}{Bucket: u.bucket, Key: u.key, UploadID: u.id})
	return nil
}

// upload finds the upload that a request means; call it with the lock held.
func (s *Server) upload(req *Request) *upload {
	u := s.uploads[req.Query.Get("uploadId")]
	if u == nil || u.bucket != req.Bucket || u.key != req.Key {
		return nil
	}
	return u
}

func (s *Server) uploadPart(w http.ResponseWriter, r *http.Request, req *Request) *apiError {
	s.mu.Lock()
	u := s.upload(req)
	s.mu.Unlock()
	if u == nil {
		io.Copy(io.Discard, r.Body)
		return errNoUpload
	}
	if req.Part < 1 || req.Part > 10_000 {
		return &apiError{400, "InvalidArgument", "Part number must be an integer between 1 and 10000, inclusive"}
	}
	p, aerr := s.receive(r, u.algorithm)
	if aerr != nil {
		return aerr
	}
	if u.algorithm != "" {
		w.Header().Set(sumHeader+u.algorithm, p.sums[u.algorithm])
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.uploads[u.id] == nil {
		return errNoUpload // aborted meanwhile
	}
	u.parts[req.Part] = p
	w.Header().Set("ETag", `"`+p.etag+`"`)
	return nil
}

type completedPart struct {
	PartNumber        int
	ETag              string
	ChecksumCRC32     string
	ChecksumCRC32C    string
	ChecksumCRC64NVME string
	ChecksumSHA1      string
	ChecksumSHA256    string
}

func (p completedPart) sum(name string) string {
	return map[string]string{
		"crc32": p.ChecksumCRC32, "crc32c": p.ChecksumCRC32C, "crc64nvme": p.ChecksumCRC64NVME,
		"sha1": p.ChecksumSHA1, "sha256": p.ChecksumSHA256,
	}[name]
}

func (s *Server) completeUpload(w http.ResponseWriter, r *http.Request, req *Request, f Fault) *apiError {
	var in struct {
		XMLName xml.Name        `xml:"CompleteMultipartUpload"`
		Parts   []completedPart `xml:"Part"`
	}
	if err := xml.NewDecoder(r.Body).Decode(&in); err != nil || len(in.Parts) == 0 {
		return &apiError{400, "MalformedXML", "The XML you provided was not well-formed or did not validate against our published schema"}
	}
	if f.ErrorIn200 {
		return &apiError{200, cmp.Or(f.Code, "InternalError"), "We encountered an internal error. Please try again."}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	// AWS looks at the condition first: a repeated completion of our own
	// upload is answered 412.
	objects := s.buckets[req.Bucket]
	if aerr := writable(r.Header, objects[req.Key]); aerr != nil {
		return aerr
	}
	u := s.upload(req)
	if u == nil {
		return errNoUpload
	}
	o, aerr := s.assemble(u, in.Parts)
	if aerr != nil {
		return aerr
	}
	for name, want := range announced(r.Header) {
		if got := o.sums[name]; got != want && !s.Discard {
			return &apiError{400, "BadDigest", fmt.Sprintf("The %s you specified did not match what we received: %q, not %q.", name, got, want)}
		}
	}
	objects[req.Key] = o
	delete(s.uploads, u.id)
	writeXML(w, http.StatusOK, struct {
		XMLName      xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ CompleteMultipartUploadResult"`
		Location     string
		Bucket, Key  string
		ETag         string
		ChecksumType string `xml:",omitempty"`
	}{Location: s.URL() + r.URL.Path, Bucket: u.bucket, Key: u.key, ETag: `"` + o.etag + `"`, ChecksumType: o.sumType})
	return nil
}

// assemble makes an object of the parts that the client lists.
func (s *Server) assemble(u *upload, list []completedPart) (*object, *apiError) {
	o := &object{modified: u.initiated, meta: u.meta, sumType: u.sumType, sums: map[string]string{}}
	md, composite, whole := md5.New(), newHash(u.algorithm), newHash(u.algorithm)
	last := 0
	for i, c := range list {
		p := u.parts[c.PartNumber]
		switch {
		case c.PartNumber <= last:
			return nil, &apiError{400, "InvalidPartOrder", "The list of parts was not in ascending order."}
		case p == nil || strings.Trim(c.ETag, `"`) != p.etag || u.algorithm != "" && u.sumType == "COMPOSITE" && c.sum(u.algorithm) != p.sums[u.algorithm]:
			return nil, &apiError{400, "InvalidPart", "One or more of the specified parts could not be found."}
		case i < len(list)-1 && p.size < cmp.Or(s.MinPart, 5<<20):
			return nil, &apiError{400, "EntityTooSmall", "Your proposed upload is smaller than the minimum allowed size"}
		}
		last = c.PartNumber
		o.size += p.size
		o.body = append(o.body, p.body...)
		raw, _ := hex.DecodeString(p.etag)
		md.Write(raw)
		if u.algorithm != "" {
			raw, _ := base64.StdEncoding.DecodeString(p.sums[u.algorithm])
			composite.Write(raw)
			whole.Write(p.body)
		}
	}
	o.etag = fmt.Sprintf("%x-%d", md.Sum(nil), len(list))
	switch {
	case u.algorithm == "":
		o.sumType = ""
	case u.sumType == "COMPOSITE":
		o.sums[u.algorithm] = fmt.Sprintf("%s-%d", base64.StdEncoding.EncodeToString(composite.Sum(nil)), len(list))
	default:
		o.sums[u.algorithm] = base64.StdEncoding.EncodeToString(whole.Sum(nil))
	}
	return o, nil
}

func (s *Server) abortUpload(w http.ResponseWriter, req *Request) *apiError {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.upload(req)
	if u == nil {
		return errNoUpload
	}
	delete(s.uploads, u.id)
	w.WriteHeader(http.StatusNoContent)
	return nil
}
