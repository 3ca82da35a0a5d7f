package s3test

import (
	"io"
	"net"
	"net/http"
	"time"
)

// A Fault is what shall go wrong with one request. The zero Fault is none.
type Fault struct {
	// Delay holds the request back before anything happens.
	Delay time.Duration
	// Status answers with this error, without any effect; Code and Message
	// make its document (Code "" is InternalError). A region in Header is how
	// AWS answers for a bucket elsewhere.
	Status        int
	Code, Message string
	Header        http.Header
	// ResetBefore breaks the connection before the request has any effect.
	ResetBefore bool
	// ResetAfter lets the request take effect and loses the reply.
	ResetAfter bool
	// ErrorIn200 makes CompleteMultipartUpload answer 200 with an error
	// document of Code, without effect.
	ErrorIn200 bool
	// CutBody breaks a download's connection after so many bytes, -1 before
	// the first.
	CutBody int64
	// Flip changes a byte in the middle of a download.
	Flip bool
	// StallBody stops a download in the middle for so long.
	StallBody time.Duration
}

// before carries out what happens before the request takes effect and reports
// whether it was answered thereby.
func (f Fault) before(w http.ResponseWriter, r *http.Request) bool {
	if f.Delay > 0 {
		select {
		case <-time.After(f.Delay):
		case <-r.Context().Done():
			return true
		}
	}
	if f.ResetBefore {
		reset(w)
		return true
	}
	if f.Status == 0 {
		return false
	}
	// Servers read the request before they answer; if not, the client may see
	// a broken connection instead of the answer.
	io.Copy(io.Discard, r.Body)
	for k, v := range f.Header {
		w.Header()[k] = v
	}
	e := &apiError{f.Status, f.Code, f.Message}
	if e.Code == "" {
		e.Code = "InternalError"
	}
	e.write(w, r)
	return true
}

// reset breaks the connection.
func reset(w http.ResponseWriter) {
	if sw, ok := w.(*swallow); ok {
		w = sw.ResponseWriter
	}
	c, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		panic("s3test: " + err.Error())
	}
	if tcp, ok := c.(*net.TCPConn); ok {
		tcp.SetLinger(0)
	}
	c.Close()
}

// swallow drops a reply.
type swallow struct {
	http.ResponseWriter
	header http.Header
}

func (s *swallow) Header() http.Header         { return s.header }
func (s *swallow) WriteHeader(int)             {}
func (s *swallow) Write(b []byte) (int, error) { return len(b), nil }
