package store

import (
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
)

// A Location is a parsed store address.
type Location struct {
	Scheme string // "s3" or "file"
	Bucket string // s3
	Prefix string // s3: within the bucket, without slashes around it; may be ""
	Dir    string // file: absolute, in the system's own notation
}

// bucketName is S3's grammar for bucket names, upper case excluded.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
var bucketName = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)

// ParseURL parses a store address: "s3://bucket", "s3://bucket/prefix" or
// "file:///directory".
func ParseURL(s string) (Location, error) {
	scheme, _, ok := strings.Cut(s, "://")
	if !ok {
		return Location{}, fmt.Errorf("store %q: no scheme: write s3://bucket/prefix or file:///directory", s)
	}
	u, err := url.Parse(s)
	if err != nil {
		var why *url.Error
		if errors.As(err, &why) {
			err = why.Err
		}
		return Location{}, fmt.Errorf("store %q: %w: write s3://bucket/prefix or file:///directory", s, err)
	}
	if u.User != nil {
		return Location{}, errors.New("store: no credentials belong into the address: give them by environment, profile or instance role")
	}
	if u.RawQuery != "" || u.ForceQuery || u.Fragment != "" {
		return Location{}, fmt.Errorf("store %q: '?' and '#' have no place in it: write %%3F and %%23 if a directory is named so", s)
	}
	switch scheme {
	case "s3":
		return s3Location(s, u)
	case "file":
		return fileLocation(s, u, runtime.GOOS)
	}
	return Location{}, fmt.Errorf("store %q: unknown scheme %q: write s3://bucket/prefix or file:///directory", s, scheme)
}

func s3Location(s string, u *url.URL) (Location, error) {
	if u.Host == "" {
		return Location{}, fmt.Errorf("store %q: no bucket: write s3://bucket/prefix", s)
	}
	if !bucketName.MatchString(u.Host) || strings.Contains(u.Host, "..") {
		return Location{}, fmt.Errorf("store %q: %q cannot be a bucket: 3 to 63 lower-case letters, digits, dots and hyphens", s, u.Host)
	}
	l := Location{Scheme: "s3", Bucket: u.Host, Prefix: strings.Trim(u.Path, "/")}
	if l.Prefix != "" {
		if err := CheckKey(l.Prefix); err != nil {
			return Location{}, fmt.Errorf("store %q: %w", s, err)
		}
	}
	return l, nil
}

func fileLocation(s string, u *url.URL, goos string) (Location, error) {
	if u.Host != "" || u.Path == "" {
		return Location{}, fmt.Errorf("store %q: not an absolute directory: write three slashes, as in file:///var/backups", s)
	}
	dir := u.Path
	if goos == "windows" {
		dir = strings.TrimPrefix(dir, "/")
		if len(dir) < 3 || dir[1] != ':' || dir[2] != '/' {
			return Location{}, fmt.Errorf("store %q: no drive: write file:///C:/backups", s)
		}
	}
	return Location{Scheme: "file", Dir: filepath.Clean(filepath.FromSlash(dir))}, nil
}
