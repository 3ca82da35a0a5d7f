package s3test

import (
	"cmp"
	"encoding/base64"
	"encoding/xml"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

const stamp = "2006-01-02T15:04:05.000Z"

type listedObject struct {
	Key          string
	LastModified string
	ETag         string
	Size         int64
	StorageClass string
}

type commonPrefix struct{ Prefix string }

type listing struct {
	XMLName               xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ ListBucketResult"`
	Name, Prefix          string
	Delimiter             string `xml:",omitempty"`
	KeyCount, MaxKeys     int
	IsTruncated           bool
	ContinuationToken     string `xml:",omitempty"`
	NextContinuationToken string `xml:",omitempty"`
	Contents              []listedObject
	CommonPrefixes        []commonPrefix
}

// limit is the page size of a listing.
func (s *Server) limit(asked string) int {
	n := cmp.Or(s.PageSize, 1000)
	if a, err := strconv.Atoi(asked); err == nil {
		n = min(n, a)
	}
	return n
}

func (s *Server) listObjects(w http.ResponseWriter, req *Request) *apiError {
	q := req.Query
	after := q.Get("start-after")
	if t := q.Get("continuation-token"); t != "" {
		b, err := base64.URLEncoding.DecodeString(t)
		if err != nil {
			return &apiError{400, "InvalidArgument", "The continuation token provided is incorrect"}
		}
		after = string(b)
	}
	l := listing{
		Name: req.Bucket, Prefix: q.Get("prefix"), Delimiter: q.Get("delimiter"),
		ContinuationToken: q.Get("continuation-token"), MaxKeys: s.limit(q.Get("max-keys")),
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	objects := s.buckets[req.Bucket]
	keys := make([]string, 0, len(objects))
	for k := range objects {
		if strings.HasPrefix(k, l.Prefix) && k > after {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	last := ""
	for _, k := range keys {
		group := ""
		if i := strings.Index(k[len(l.Prefix):], l.Delimiter); l.Delimiter != "" && i >= 0 {
			group = k[:len(l.Prefix)+i+len(l.Delimiter)]
			if strings.HasPrefix(after, group) {
				continue // told on the page before
			}
			if n := len(l.CommonPrefixes); n > 0 && l.CommonPrefixes[n-1].Prefix == group {
				last = k
				continue
			}
		}
		if l.KeyCount == l.MaxKeys {
			l.IsTruncated = true
			l.NextContinuationToken = base64.URLEncoding.EncodeToString([]byte(last))
			break
		}
		l.KeyCount++
		last = k
		if group != "" {
			l.CommonPrefixes = append(l.CommonPrefixes, commonPrefix{group})
			continue
		}
		o := objects[k]
		l.Contents = append(l.Contents, listedObject{k, o.modified.Format(stamp), `"` + o.etag + `"`, o.size, "STANDARD"})
	}
	writeXML(w, http.StatusOK, l)
	return nil
}

type listedUpload struct {
	Key          string
	UploadID     string `xml:"UploadId"`
	StorageClass string
	Initiated    string
}

type uploadListing struct {
	XMLName            xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ ListMultipartUploadsResult"`
	Bucket, Prefix     string
	KeyMarker          string `xml:",omitempty"`
	UploadIDMarker     string `xml:"UploadIdMarker,omitempty"`
	NextKeyMarker      string `xml:",omitempty"`
	NextUploadIDMarker string `xml:"NextUploadIdMarker,omitempty"`
	MaxUploads         int
	IsTruncated        bool
	Upload             []listedUpload
}

func (s *Server) listUploads(w http.ResponseWriter, req *Request) *apiError {
	q := req.Query
	l := uploadListing{
		Bucket: req.Bucket, Prefix: q.Get("prefix"), MaxUploads: s.limit(q.Get("max-uploads")),
		KeyMarker: q.Get("key-marker"), UploadIDMarker: q.Get("upload-id-marker"),
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []*upload
	for _, u := range s.uploads {
		past := u.key > l.KeyMarker || u.key == l.KeyMarker && l.UploadIDMarker != "" && u.id > l.UploadIDMarker
		if u.bucket == req.Bucket && strings.HasPrefix(u.key, l.Prefix) && past {
			all = append(all, u)
		}
	}
	slices.SortFunc(all, func(a, b *upload) int {
		return cmp.Or(cmp.Compare(a.key, b.key), cmp.Compare(a.id, b.id))
	})
	for i, u := range all {
		if i == l.MaxUploads {
			l.IsTruncated = true
			l.NextKeyMarker, l.NextUploadIDMarker = all[i-1].key, all[i-1].id
			break
		}
		l.Upload = append(l.Upload, listedUpload{u.key, u.id, "STANDARD", u.initiated.Format(time.RFC3339)})
	}
	writeXML(w, http.StatusOK, l)
	return nil
}
