package store

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"unicode"
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

// safePrefix is printable ASCII without what needs quoting somewhere.
var safePrefix = regexp.MustCompile(`^[A-Za-z0-9!_.*'()/=+@,-]{1,512}$`)

// ParseURL parses a store address: "s3://bucket", "s3://bucket/prefix" or
// "file:///directory". Its error does not repeat the address, which may hold a
// password.
func ParseURL(s string) (Location, error) {
	scheme, _, ok := strings.Cut(s, "://")
	if !ok {
		return Location{}, errors.New("no scheme: write s3://bucket/prefix or file:///directory")
	}
	u, err := url.Parse(s)
	if err != nil {
		var why *url.Error
		if errors.As(err, &why) {
			err = why.Err
		}
		return Location{}, fmt.Errorf("%w: write s3://bucket/prefix or file:///directory", err)
	}
	if u.User != nil {
		return Location{}, errors.New("no credentials belong into the address: give them by environment, profile or instance role")
	}
	if u.RawQuery != "" || u.ForceQuery || u.Fragment != "" {
		return Location{}, errors.New("'?' and '#' have no place in it: write %3F and %23 if a directory is named so")
	}
	switch scheme {
	case "s3":
		return s3Location(u)
	case "file":
		return fileLocation(u, runtime.GOOS)
	}
	return Location{}, fmt.Errorf("unknown scheme %q: write s3://bucket/prefix or file:///directory", scheme)
}

func s3Location(u *url.URL) (Location, error) {
	_, ip := netip.ParseAddr(u.Host)
	switch {
	case u.Host == "":
		return Location{}, errors.New("no bucket: write s3://bucket/prefix")
	case !bucketName.MatchString(u.Host) || strings.Contains(u.Host, "..") || ip == nil:
		return Location{}, fmt.Errorf("%q cannot be a bucket: 3 to 63 lower-case letters, digits, dots and hyphens, and no address", u.Host)
	}
	l := Location{Scheme: "s3", Bucket: u.Host, Prefix: strings.TrimSuffix(strings.TrimPrefix(u.Path, "/"), "/")}
	if l.Prefix == "" {
		return l, nil
	}
	if !safePrefix.MatchString(l.Prefix) {
		return Location{}, errors.New("the prefix has characters that are not safe in every tool: use letters, digits, - _ . and /")
	}
	if CheckKey(l.Prefix) != nil {
		return Location{}, errors.New("the prefix has an empty, . or .. part: write s3://bucket/prefix")
	}
	return l, nil
}

func fileLocation(u *url.URL, goos string) (Location, error) {
	if u.Host != "" || u.Path == "" {
		return Location{}, errors.New("not an absolute directory: write three slashes, as in file:///var/backups")
	}
	dir := u.Path
	if strings.Contains(dir+"/", "/../") {
		return Location{}, errors.New("the directory has .. in it: write it out")
	}
	if strings.ContainsFunc(dir, unicode.IsControl) {
		return Location{}, errors.New("the directory has control characters in it: give it another name")
	}
	if goos == "windows" {
		dir = strings.TrimPrefix(dir, "/")
		if len(dir) < 3 || dir[1] != ':' || dir[2] != '/' {
			return Location{}, errors.New("no drive: write file:///C:/backups")
		}
	}
	return Location{Scheme: "file", Dir: filepath.Clean(filepath.FromSlash(dir))}, nil
}
