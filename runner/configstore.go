package runner

import (
	"errors"
	"net/url"
	"path/filepath"
	"strings"

	"mayfly/internal/store"
)

// A StoreSpec says where objects go. In the config it is an address alone, or
// a mapping with more.
type StoreSpec struct {
	URL       string `yaml:"url,required" doc:"s3://BUCKET, s3://BUCKET/PREFIX or file:///DIRECTORY" example:"s3://onlinebackupbucket"`
	Endpoint  string `yaml:"endpoint" doc:"address of an S3 compatible service; AWS by default" example:"https://minio.example.com"`
	Region    Region `yaml:"region" doc:"region of the bucket, where it is not the deployment's"`
	PathStyle *bool  `yaml:"path_style" doc:"put the bucket into the path, not the host name; true by default when there is an endpoint"`
}

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

// Location takes the address apart. It has been checked on decoding.
func (s StoreSpec) Location() store.Location {
	l, _ := store.ParseURL(s.URL) // the zero value before that
	return l
}

// Bucket is the bucket and prefix of an s3 address; both empty for a directory.
func (s StoreSpec) Bucket() (bucket, prefix string) {
	l := s.Location()
	return l.Bucket, l.Prefix
}

// IsS3 reports whether the store is a bucket.
func (s StoreSpec) IsS3() bool { return s.Location().Scheme == "s3" }

// check looks at the address.
func (s StoreSpec) check() error {
	l, err := store.ParseURL(s.URL)
	switch {
	case err != nil:
		return err
	case l.Scheme == "file" && filepath.Dir(l.Dir) == l.Dir:
		return errors.New("the whole file system cannot be the store: name a directory, like file:///var/backups")
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
	bad := s.check()
	if err := bad; err != nil {
		what, fix, _ := strings.Cut(err.Error(), ": ")
		v.doc.Add("store.url", what, fix)
	}
	if u, err := url.Parse(s.Endpoint); s.Endpoint != "" && (err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.User != nil) {
		v.doc.Add("store.endpoint", "not an address of a service", "write it like https://minio.example.com, without a user name")
	}
	for key, given := range map[string]bool{"endpoint": s.Endpoint != "", "region": s.Region != "", "path_style": s.PathStyle != nil} {
		if given && bad == nil && !s.IsS3() { // what a bad address is, is not known
			v.doc.Add("store."+key, "is for s3:// only", "remove it")
		}
	}
}
