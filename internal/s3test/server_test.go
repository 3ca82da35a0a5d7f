package s3test_test

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"

	"mayfly/internal/s3test"
)

var bucket = aws.String("bucket")

func start(t *testing.T) (*s3test.Server, *s3.Client) {
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	srv := s3test.New("bucket")
	t.Cleanup(srv.Close)
	return srv, s3test.Client(srv.URL(), "AKID", "SECRET")
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func code(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	return fmt.Sprint(err)
}

// send makes a request by hand and returns status and body.
func send(t *testing.T, method, url, body string, header ...string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	ok(t, err)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(r)
	ok(t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	ok(t, err)
	return resp.StatusCode, string(b)
}

// A payload that does not match what its headers say is refused and not kept.
// The checksums of "hello" were made with the tools named beside them.
func TestChecksumsAreVerified(t *testing.T) {
	srv, _ := start(t)
	for header, good := range map[string]string{
		"X-Amz-Checksum-Crc32":  "NhCmhg==",                                                         // python3 zlib
		"X-Amz-Checksum-Crc32c": "mnG7TA==",                                                         // bit by bit in python3
		"X-Amz-Checksum-Sha256": "LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=",                     // sha256sum
		"X-Amz-Checksum-Sha1":   "qvTGHdzF6KLavt4PO0gs2a6pQ00=",                                     // sha1sum
		"Content-Md5":           "XUFAKrxLKna5cZ2REBfFkg==",                                         // md5sum
		"X-Amz-Content-Sha256":  "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824", // sha256sum
	} {
		url := srv.URL() + "/bucket/" + header
		if status, body := send(t, "PUT", url, "hellO", header, good); status != 400 {
			t.Errorf("%s: wrong payload: %d %s", header, status, body)
		}
		if _, there := srv.Object("bucket", header); there {
			t.Errorf("%s: a wrong payload was kept", header)
		}
		if status, body := send(t, "PUT", url, "hello", header, good); status != 200 {
			t.Errorf("%s: right payload: %d %s", header, status, body)
		}
	}
}

// The check value is the catalogue's for CRC-64/NVME.
func TestCRC64NVME(t *testing.T) {
	srv, _ := start(t)
	if status, body := send(t, "PUT", srv.URL()+"/bucket/k", "123456789", "X-Amz-Checksum-Crc64nvme", "rosUhgp5mIg="); status != 200 {
		t.Errorf("%d %s", status, body)
	}
}

// The aws-chunked encoding, signed or not, with and without a trailer.
func TestChunkedPayloads(t *testing.T) {
	srv, _ := start(t)
	for _, c := range []struct {
		name, body string
		status     int
	}{
		{"plain", "5\r\nhello\r\n0\r\n\r\n", 200},
		{"two chunks", "3;chunk-signature=ab\r\nhel\r\n2;chunk-signature=cd\r\nlo\r\n0;chunk-signature=ef\r\n\r\n", 200},
		{"trailer", "5\r\nhello\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n", 200},
		{"wrong trailer", "5\r\nhellO\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n", 400},
		{"too short", "5\r\nhel", 400},
		{"too long", "3\r\nhello\r\n0\r\n\r\n", 400},
		{"no size", "x\r\nhello\r\n0\r\n\r\n", 400},
	} {
		status, body := send(t, "PUT", srv.URL()+"/bucket/"+strings.ReplaceAll(c.name, " ", "-"), c.body,
			"X-Amz-Content-Sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER", "X-Amz-Trailer", "x-amz-checksum-crc32",
			"X-Amz-Decoded-Content-Length", "5")
		if status != c.status {
			t.Errorf("%s: %d %s", c.name, status, body)
		}
		got, there := srv.Object("bucket", strings.ReplaceAll(c.name, " ", "-"))
		if there != (status == 200) || there && string(got) != "hello" {
			t.Errorf("%s: stored %q", c.name, got)
		}
	}
}

func TestETags(t *testing.T) {
	srv, client := start(t)
	srv.MinPart = 3
	out, err := client.PutObject(t.Context(), &s3.PutObjectInput{Bucket: bucket, Key: aws.String("one"), Body: strings.NewReader("hello")})
	ok(t, err)
	if *out.ETag != `"5d41402abc4b2a76b9719d911017c592"` {
		t.Errorf("ETag %s", *out.ETag)
	}
	up, err := client.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: bucket, Key: aws.String("two")})
	ok(t, err)
	var parts []types.CompletedPart
	var sums []byte
	for i, text := range []string{"abc", "defg", "h"} {
		p, err := client.UploadPart(t.Context(), &s3.UploadPartInput{
			Bucket: bucket, Key: aws.String("two"), UploadId: up.UploadId, PartNumber: aws.Int32(int32(i + 1)), Body: strings.NewReader(text),
		})
		ok(t, err)
		parts = append(parts, types.CompletedPart{ETag: p.ETag, PartNumber: aws.Int32(int32(i + 1)), ChecksumCRC32: p.ChecksumCRC32})
		sum := md5.Sum([]byte(text))
		sums = append(sums, sum[:]...)
	}
	complete := func(parts []types.CompletedPart) (*s3.CompleteMultipartUploadOutput, error) {
		return client.CompleteMultipartUpload(t.Context(), &s3.CompleteMultipartUploadInput{
			Bucket: bucket, Key: aws.String("two"), UploadId: up.UploadId, MultipartUpload: &types.CompletedMultipartUpload{Parts: parts},
		})
	}
	if _, err := complete([]types.CompletedPart{parts[1], parts[0]}); code(err) != "InvalidPartOrder" {
		t.Errorf("wrong order: %v", err)
	}
	srv.MinPart = 4
	if _, err := complete(parts); code(err) != "EntityTooSmall" {
		t.Errorf("small part: %v", err)
	}
	srv.MinPart = 3
	done, err := complete(parts)
	ok(t, err)
	whole := md5.Sum(sums)
	if want := `"` + hex.EncodeToString(whole[:]) + `-3"`; *done.ETag != want {
		t.Errorf("ETag %s, want %s", *done.ETag, want)
	}
	if b, _ := srv.Object("bucket", "two"); string(b) != "abcdefgh" {
		t.Errorf("assembled %q", b)
	}
}

func TestConditions(t *testing.T) {
	_, client := start(t)
	put := func(key string, match, none *string) error {
		_, err := client.PutObject(t.Context(), &s3.PutObjectInput{
			Bucket: bucket, Key: &key, Body: bytes.NewReader(nil), IfMatch: match, IfNoneMatch: none,
		})
		return err
	}
	empty := aws.String(`"d41d8cd98f00b204e9800998ecf8427e"`)
	ok(t, put("a", nil, aws.String("*")))
	ok(t, put("a", empty, nil))
	for _, c := range []struct {
		key         string
		match, none *string
		want        string
	}{
		{"a", nil, aws.String("*"), "PreconditionFailed"},
		{"a", aws.String(`"x"`), nil, "PreconditionFailed"},
		{"b", empty, nil, "NoSuchKey"},
	} {
		if err := put(c.key, c.match, c.none); code(err) != c.want {
			t.Errorf("%+v: %v", c, err)
		}
	}
	_, err := client.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: bucket, Key: aws.String("a"), IfMatch: aws.String("x")})
	if code(err) != "PreconditionFailed" {
		t.Errorf("delete of another version: %v", err)
	}
}

// Pages with a delimiter, as people and other tools list a bucket.
func TestListingWithDelimiter(t *testing.T) {
	srv, client := start(t)
	srv.PageSize = 2
	for _, k := range []string{"a", "b/1", "b/2", "b/3", "c", "d/1", "d/2", "e"} {
		srv.SetObject("bucket", k, nil)
	}
	var got []string
	p := s3.NewListObjectsV2Paginator(client, &s3.ListObjectsV2Input{Bucket: bucket, Delimiter: aws.String("/")})
	for p.HasMorePages() {
		page, err := p.NextPage(t.Context())
		ok(t, err)
		if n := len(page.Contents) + len(page.CommonPrefixes); n > 2 {
			t.Errorf("%d entries on a page", n)
		}
		for _, o := range page.Contents {
			got = append(got, *o.Key)
		}
		for _, o := range page.CommonPrefixes {
			got = append(got, *o.Prefix)
		}
	}
	if strings.Join(got, " ") != "a b/ c d/ e" {
		t.Errorf("listed %q", got)
	}
}

func TestUnknownBucketAndOperation(t *testing.T) {
	srv, client := start(t)
	_, err := client.GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String("other"), Key: aws.String("k")})
	if code(err) != "NoSuchBucket" {
		t.Errorf("error %v", err)
	}
	_, err = client.PutObjectTagging(t.Context(), &s3.PutObjectTaggingInput{
		Bucket: bucket, Key: aws.String("k"), Tagging: &types.Tagging{TagSet: []types.Tag{}},
	})
	if code(err) != "NotImplemented" {
		t.Errorf("error %v", err)
	}
	if srv.Count("GetObject") != 1 || len(srv.Dump()) != 0 {
		t.Errorf("requests %v, objects %v", srv.Requests(), srv.Dump())
	}
}
