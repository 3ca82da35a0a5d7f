package s3test

import (
	"bufio"
	"bytes"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"hash/crc64"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// newHash returns the hash of an x-amz-checksum-NAME header, or nil.
// CRC64NVME is defined at https://reveng.sourceforge.io/crc-catalogue/all.htm
// (CRC-64/NVME).
func newHash(name string) hash.Hash {
	switch name {
	case "crc32":
		return crc32.NewIEEE()
	case "crc32c":
		return crc32.New(crc32.MakeTable(crc32.Castagnoli))
	case "crc64nvme":
		return crc64.New(crc64.MakeTable(0x9a6c9329ac4bc9b5))
	case "sha1":
		return sha1.New()
	case "sha256":
		return sha256.New()
	}
	return nil
}

var sumNames = []string{"crc32", "crc32c", "crc64nvme", "sha1", "sha256"}

const sumHeader = "X-Amz-Checksum-"

// announced are the checksums in a header or trailer.
func announced(h http.Header) map[string]string {
	sums := map[string]string{}
	for _, name := range sumNames {
		if v := h.Get(sumHeader + name); v != "" {
			sums[name] = v
		}
	}
	return sums
}

// A payload is an uploaded body, decoded and checked.
type payload struct {
	body []byte // nil when discarded
	size int64
	etag string // MD5 in hex; with discarded content a CRC
	sums map[string]string
}

// receive reads and checks the body of an upload. always names a checksum to
// compute even if the client sent none.
func (s *Server) receive(r *http.Request, always string) (*payload, *apiError) {
	p := &payload{sums: announced(r.Header)}
	var chunked *chunkReader
	body := io.Reader(r.Body)
	sha := r.Header.Get("X-Amz-Content-Sha256")
	if strings.HasPrefix(sha, "STREAMING-") {
		chunked = &chunkReader{r: bufio.NewReader(r.Body), trailer: http.Header{}}
		body = chunked
		for name := range strings.SplitSeq(strings.ToLower(r.Header.Get("X-Amz-Trailer")), ",") {
			if name = strings.TrimPrefix(strings.TrimSpace(name), strings.ToLower(sumHeader)); name != "" {
				p.sums[name] = ""
			}
		}
	}
	if always != "" && p.sums[always] == "" {
		p.sums[always] = ""
	}
	hashes := map[string]hash.Hash{}
	var into []io.Writer
	for name := range p.sums {
		if h := newHash(name); h != nil {
			hashes[name] = h
			into = append(into, h)
		}
	}
	mac, signed := md5.New(), sha256.New()
	if !s.Discard {
		into = append(into, mac)
		if len(sha) == 64 {
			into = append(into, signed)
		}
	}
	var keep bytes.Buffer
	if !s.Discard {
		if r.ContentLength > 0 {
			keep.Grow(int(r.ContentLength))
		}
		into = append(into, &keep)
	}
	n, err := io.Copy(io.MultiWriter(into...), body)
	if err != nil || chunked == nil && r.ContentLength >= 0 && n != r.ContentLength {
		return nil, &apiError{400, "IncompleteBody", fmt.Sprintf("You did not provide the number of bytes specified: %d: %v", n, err)}
	}
	p.size, p.body, p.etag = n, keep.Bytes(), hex.EncodeToString(mac.Sum(nil))
	want := announced(r.Header)
	if chunked != nil {
		for name, v := range announced(chunked.trailer) {
			want[name] = v
		}
		if d := r.Header.Get("X-Amz-Decoded-Content-Length"); d != "" && d != strconv.FormatInt(n, 10) {
			return nil, &apiError{400, "IncompleteBody", "decoded length is " + strconv.FormatInt(n, 10) + ", announced " + d}
		}
	}
	for name, h := range hashes {
		p.sums[name] = base64.StdEncoding.EncodeToString(h.Sum(nil))
		if w, ok := want[name]; ok && w != p.sums[name] {
			return nil, &apiError{400, "BadDigest", "The " + strings.ToUpper(name) + " you specified did not match the calculated checksum."}
		}
	}
	if s.Discard {
		p.body = nil
		p.etag = hex.EncodeToString([]byte(fmt.Sprint(p.sums, n)))
		return p, nil
	}
	if len(sha) == 64 && sha != hex.EncodeToString(signed.Sum(nil)) {
		return nil, &apiError{400, "XAmzContentSHA256Mismatch", "The provided 'x-amz-content-sha256' header does not match what was computed."}
	}
	if m := r.Header.Get("Content-Md5"); m != "" && m != base64.StdEncoding.EncodeToString(mac.Sum(nil)) {
		return nil, &apiError{400, "BadDigest", "The Content-MD5 you specified did not match what we received."}
	}
	return p, nil
}

func md5hex(b []byte) string {
	sum := md5.Sum(b)
	return hex.EncodeToString(sum[:])
}

// A chunkReader decodes the aws-chunked encoding and keeps its trailer.
// https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming-trailers.html
type chunkReader struct {
	r       *bufio.Reader
	left    int64
	started bool
	ended   bool
	trailer http.Header
}

func (c *chunkReader) Read(b []byte) (int, error) {
	if c.ended {
		return 0, io.EOF
	}
	if c.left == 0 {
		if err := c.nextChunk(); err != nil {
			return 0, err
		}
		if c.ended {
			return 0, io.EOF
		}
	}
	n, err := c.r.Read(b[:min(int64(len(b)), c.left)])
	c.left -= int64(n)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

func (c *chunkReader) nextChunk() error {
	if c.started {
		if line, err := c.line(); err != nil || line != "" {
			return errors.New("a chunk is longer than it says")
		}
	}
	c.started = true
	line, err := c.line()
	if err != nil {
		return err
	}
	size, _, _ := strings.Cut(line, ";")
	if c.left, err = strconv.ParseInt(size, 16, 64); err != nil {
		return fmt.Errorf("bad chunk size %q", line)
	}
	if c.left > 0 {
		return nil
	}
	c.ended = true
	for {
		line, err := c.line()
		if err == io.ErrUnexpectedEOF || line == "" {
			return nil // the last empty line is often left out
		}
		if err != nil {
			return err
		}
		name, value, _ := strings.Cut(line, ":")
		c.trailer.Set(name, strings.TrimSpace(value))
	}
}

func (c *chunkReader) line() (string, error) {
	line, err := c.r.ReadString('\n')
	if err == io.EOF && line == "" {
		return "", io.ErrUnexpectedEOF
	}
	if err != nil && err != io.EOF {
		return "", err
	}
	return strings.TrimRight(line, "\r\n"), nil
}
