package runner

import (
	"errors"
	"net/netip"
	"net/url"
	"path"
	"regexp"
	"strings"
)

// A StoreSpec says where objects go. In the config it is an address alone, or
// a mapping with more.
type StoreSpec struct {
	URL       string `yaml:"url,required" doc:"s3://BUCKET, s3://BUCKET/PREFIX or file:///DIRECTORY" example:"s3://onlinebackupbucket"`
	Endpoint  string `yaml:"endpoint" doc:"address of an S3 compatible service; AWS by default" example:"https://minio.example.com"`
	Region    Region `yaml:"region" doc:"region of the bucket, where it is not the deployment's"`
	PathStyle *bool  `yaml:"path_style" doc:"put the bucket into the path, not the host name; true by default when there is an endpoint"`
}

var (
	// https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
	bucketForm = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)
	// Printable ASCII without what needs quoting somewhere.
	storePrefixForm = regexp.MustCompile(`^[A-Za-z0-9!_.*'()/=+@,-]{1,512}$`)
)

// Pattern is the form for the schema, looser than the check.
func (*StoreSpec) Pattern() string { return `^(s3://[a-z0-9][^/]*(/.*)?|file:///.+)$` }

// UnmarshalText takes the address alone.
func (s *StoreSpec) UnmarshalText(b []byte) error {
	given := StoreSpec{URL: string(b)}
	if err := given.check(); err != nil {
		return err
	}
	*s = given
	return nil
}

// Bucket and Prefix of an s3 address; both empty for a directory.
func (s StoreSpec) Bucket() (bucket, prefix string) {
	rest, ok := strings.CutPrefix(s.URL, "s3://")
	if !ok {
		return "", ""
	}
	bucket, prefix, _ = strings.Cut(rest, "/")
	return bucket, strings.TrimSuffix(prefix, "/")
}

// Dir is the directory of a file address; empty for S3.
func (s StoreSpec) Dir() string {
	rest, ok := strings.CutPrefix(s.URL, "file://")
	if !ok {
		return ""
	}
	return path.Clean(rest)
}

// IsS3 reports whether the store is a bucket.
func (s StoreSpec) IsS3() bool { return strings.HasPrefix(s.URL, "s3://") }

// check looks at the address.
func (s StoreSpec) check() error {
	const forms = "write s3://BUCKET, s3://BUCKET/PREFIX or file:///DIRECTORY"
	switch {
	case strings.HasPrefix(s.URL, "s3://"):
		return s.checkS3()
	case strings.HasPrefix(s.URL, "file://"):
		dir := strings.TrimPrefix(s.URL, "file://")
		switch {
		case !strings.HasPrefix(dir, "/"):
			return errors.New("the directory is not absolute: write file:///DIRECTORY, with three slashes")
		case path.Clean(dir) == "/":
			return errors.New("the whole file system cannot be the store: name a directory, like file:///var/backups")
		case strings.Contains(dir+"/", "/../"):
			return errors.New("the directory has .. in it: write it out")
		}
		return nil
	default:
		return errors.New("not an address of a store: " + forms)
	}
}

func (s StoreSpec) checkS3() error {
	bucket, prefix := s.Bucket()
	_, ipErr := netip.ParseAddr(bucket)
	switch {
	case !bucketForm.MatchString(bucket) || strings.Contains(bucket, "..") || ipErr == nil:
		return errors.New("not a bucket's name: 3 to 63 lower-case letters, digits, hyphens and dots")
	case prefix == "":
		return nil
	case !storePrefixForm.MatchString(prefix):
		return errors.New("the prefix has characters that are not safe in every tool: use letters, digits, - _ . and /")
	}
	for _, part := range strings.Split(prefix, "/") {
		if part == "" || part == "." || part == ".." {
			return errors.New("the prefix has an empty, . or .. part: write s3://BUCKET/PREFIX")
		}
	}
	return nil
}

// store checks what the mapping form says; the address alone has been checked
// on decoding.
func (v checker) store() {
	s := v.c.Store
	if !v.doc.Has("store.url") {
		return
	}
	if err := s.check(); err != nil {
		what, fix, _ := strings.Cut(err.Error(), ": ")
		v.doc.Add("store.url", what, fix)
	}
	if u, err := url.Parse(s.Endpoint); s.Endpoint != "" && (err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.User != nil) {
		v.doc.Add("store.endpoint", "not an address of a service", "write it like https://minio.example.com, without a user name")
	}
	for key, given := range map[string]bool{"endpoint": s.Endpoint != "", "region": s.Region != "", "path_style": s.PathStyle != nil} {
		if given && s.Dir() != "" {
			v.doc.Add("store."+key, "is for s3:// only", "remove it")
		}
	}
}
