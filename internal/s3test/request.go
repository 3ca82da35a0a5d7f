package s3test

import (
	"encoding/xml"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// A Request is what a Fault function sees of a request.
type Request struct {
	Op          string // as in the S3 API: "PutObject"
	Bucket, Key string
	Part        int // of UploadPart
	N           int // the how-manieth of its Op, from 1
	Header      http.Header
	Query       url.Values
}

// parse tells the operation by method, path and query.
func parse(r *http.Request) *Request {
	q := r.URL.Query()
	bucket, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	req := &Request{Bucket: bucket, Key: key, Header: r.Header, Query: q}
	req.Part, _ = strconv.Atoi(q.Get("partNumber"))
	req.Op = operation(r.Method, bucket, key, q)
	return req
}

func operation(method, bucket, key string, q url.Values) string {
	switch {
	case bucket == "":
		return map[string]string{"GET": "ListBuckets"}[method]
	case key == "" && method == "GET" && q.Has("uploads"):
		return "ListMultipartUploads"
	case key == "" && method == "GET" && q.Get("list-type") == "2":
		return "ListObjectsV2"
	case key == "":
		return map[string]string{"PUT": "CreateBucket", "HEAD": "HeadBucket"}[method]
	case q.Has("uploads") && method == "POST":
		return "CreateMultipartUpload"
	case q.Has("uploadId"):
		return map[string]string{
			"PUT": "UploadPart", "POST": "CompleteMultipartUpload", "DELETE": "AbortMultipartUpload",
		}[method]
	case len(q) > 0 && (len(q) != 1 || !q.Has("x-id")):
		return "" // tagging, acl, versions and the like
	}
	return map[string]string{
		"PUT": "PutObject", "GET": "GetObject", "HEAD": "HeadObject", "DELETE": "DeleteObject",
	}[method]
}

// An apiError is an S3 error document.
type apiError struct {
	status        int
	Code, Message string
}

func (e *apiError) write(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodHead {
		w.WriteHeader(e.status) // the answer to HEAD has no body: no code either
		return
	}
	writeXML(w, e.status, struct {
		XMLName   xml.Name `xml:"Error"`
		Code      string
		Message   string
		Resource  string
		RequestID string `xml:"RequestId"`
	}{Code: e.Code, Message: e.Message, Resource: r.URL.Path, RequestID: w.Header().Get("X-Amz-Request-Id")})
}

func writeXML(w http.ResponseWriter, status int, v any) {
	b, err := xml.Marshal(v)
	if err != nil {
		panic("s3test: " + err.Error())
	}
	w.Header().Set("Content-Type", "application/xml")
	w.Header().Set("Content-Length", strconv.Itoa(len(xml.Header)+len(b)))
	w.WriteHeader(status)
	w.Write([]byte(xml.Header))
	w.Write(b)
}
