package store_test

import (
	"os"
	"strings"
	"testing"

	"mayfly/internal/s3test"
	"mayfly/internal/store"
	"mayfly/internal/store/storetest"
)

const smallPart = 64 << 10

func TestDirConforms(t *testing.T) {
	t.Parallel()
	storetest.Run(t, smallPart, func(t *testing.T) store.Store {
		root := t.TempDir()
		d, err := store.NewDir(root + "/new/store")
		if err != nil {
			t.Fatal(err)
		}
		return d
	})
}

func TestS3Conforms(t *testing.T) {
	t.Parallel()
	for _, prefix := range []string{"", "deep/prefix"} {
		t.Run("prefix "+prefix, func(t *testing.T) {
			storetest.Run(t, smallPart, func(t *testing.T) store.Store {
				srv := newServer(t)
				srv.PageSize = 3
				srv.SetObject("bucket", "deep/prefixed", nil) // no object of ours
				if prefix == "" {
					srv = newServer(t)
				}
				st, _ := newS3(t, srv, store.S3Options{Prefix: prefix})
				return st
			})
		})
	}
}

func newServer(t *testing.T) *s3test.Server {
	srv := s3test.New("bucket")
	srv.MinPart = smallPart
	t.Cleanup(srv.Close)
	return srv
}

// newS3 returns a store with small parts whose buffers must all be back in the
// pool in the end.
func newS3(t *testing.T, srv *s3test.Server, o store.S3Options) (*store.S3, *store.Pool) {
	t.Helper()
	pool := store.NewPool(6, smallPart)
	o.Client, o.Bucket, o.Pool = s3test.Client(srv.URL(), "AKID", "SECRET"), "bucket", pool
	st, err := store.NewS3(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if used, _ := pool.InUse(); used != 0 {
			t.Errorf("%d part buffers not returned", used)
		}
	})
	return st, pool
}

func TestMain(m *testing.M) {
	for _, kv := range os.Environ() {
		if name, _, _ := strings.Cut(kv, "="); strings.HasPrefix(name, "AWS_") {
			os.Unsetenv(name)
		}
	}
	os.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	os.Exit(m.Run())
}
