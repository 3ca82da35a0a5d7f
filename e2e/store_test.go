//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"mayfly/internal/s3test"
	"mayfly/internal/store"
	"mayfly/internal/store/storetest"
)

const (
	versityKey    = "e2ekey"
	versitySecret = "e2esecret0123456789"
)

// startVersity runs versitygw over an empty directory on the loopback
// interface and returns its endpoint and the directory.
func startVersity(t *testing.T) (endpoint, root string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	root = t.TempDir()
	c := exec.Command(filepath.Join("..", ".e2e", "bin", "versitygw"),
		"--port", addr, "--access", versityKey, "--secret", versitySecret, "--quiet", "--keep-alive", "posix", root)
	log := &bytes.Buffer{}
	c.Stdout, c.Stderr = log, log
	if err := c.Start(); err != nil {
		t.Fatalf("start versitygw: %v: run e2e/install.sh first", err)
	}
	t.Cleanup(func() {
		c.Process.Kill()
		c.Wait()
		if t.Failed() {
			t.Logf("versitygw said:\n%s", log)
		}
	})
	for range 200 {
		if conn, err := net.Dial("tcp", addr); err == nil {
			conn.Close()
			return "http://" + addr, root
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatal("versitygw does not listen")
	return "", ""
}

// versityStore makes a bucket and returns a store in it.
func versityStore(t *testing.T, endpoint, bucket string) *store.S3 {
	t.Helper()
	client := s3test.Client(endpoint, versityKey, versitySecret)
	if _, err := client.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &bucket}); err != nil {
		t.Fatal(err)
	}
	pool := store.NewPool(6, 5<<20)
	st, err := store.NewS3(store.S3Options{Client: client, Bucket: bucket, Prefix: "pre/fix", Pool: pool})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if used, _ := pool.InUse(); used != 0 {
			t.Errorf("%d part buffers not returned", used)
		}
	})
	return st
}

// The suite that the in-process server passes holds for one that nobody here
// wrote, and that verifies signatures.
func TestStoreOnVersity(t *testing.T) {
	t.Parallel()
	endpoint, _ := startVersity(t)
	n := 0
	storetest.Run(t, 5<<20, func(t *testing.T) store.Store {
		n++
		return versityStore(t, endpoint, fmt.Sprintf("bucket%d", n))
	})
}

// What the server keeps is changed behind its back: the reader notices.
func TestStoreNoticesRot(t *testing.T) {
	endpoint, root := startVersity(t)
	st := versityStore(t, endpoint, "rot")
	for _, size := range []int{100_000, 11 << 20} {
		key := fmt.Sprintf("obj%d", size)
		if _, err := storetest.Write(t.Context(), st, key, storetest.Bytes(size)); err != nil {
			t.Fatal(err)
		}
		f, err := os.OpenFile(filepath.Join(root, "rot", "pre", "fix", key), os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 1)
		f.ReadAt(b, int64(size/2))
		b[0] ^= 1
		if _, err := f.WriteAt(b, int64(size/2)); err != nil {
			t.Fatal(err)
		}
		f.Close()
		if _, _, err := storetest.Read(t.Context(), st, key); err == nil || errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%d bytes with one changed: error %v", size, err)
		}
	}
}

func TestStoreAbsentBucket(t *testing.T) {
	endpoint, _ := startVersity(t)
	st, err := store.NewS3(store.S3Options{
		Client: s3test.Client(endpoint, versityKey, versitySecret), Bucket: "absent", Pool: store.NewPool(1, 5<<20),
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = st.Put(t.Context(), "k", []byte("x"), "")
	if err == nil || !strings.Contains(err.Error(), "bucket absent does not exist: create it or correct its name") {
		t.Errorf("error %v", err)
	}
	wrong, err := store.NewS3(store.S3Options{
		Client: s3test.Client(endpoint, versityKey, "wrong"), Bucket: "absent", Pool: store.NewPool(1, 5<<20),
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := wrong.Put(t.Context(), "k", []byte("x"), ""); err == nil || !strings.Contains(err.Error(), "does not accept the credentials") {
		t.Errorf("error %v", err)
	}
}

// A full disk: a clear error, nothing left, and what was there stays.
func TestStoreOnFullDisk(t *testing.T) {
	root := t.TempDir()
	if err := syscall.Mount("tmpfs", root, "tmpfs", 0, "size=1m"); err != nil {
		t.Fatalf("mount a small file system (needs root): %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(root, 0); err != nil {
			t.Error(err)
		}
	})
	d, err := store.NewDir(root)
	if err != nil {
		t.Fatal(err)
	}
	v, err := d.Put(t.Context(), "lock", []byte("x"), "")
	if err != nil {
		t.Fatal(err)
	}
	_, err = storetest.Write(t.Context(), d, "deep/big", storetest.Bytes(2<<20))
	if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "free some space") {
		t.Errorf("error %v", err)
	}
	if k := storetest.Keys(t, d, ""); len(k) != 1 {
		t.Errorf("objects: %v", k)
	}
	if n, err := d.AbortUploads(context.Background(), "", time.Now().Add(time.Hour)); n != 0 || err != nil {
		t.Errorf("%d unfinished writes left, error %v", n, err)
	}
	if _, err := d.Put(t.Context(), "lock", []byte("y"), v); err != nil {
		t.Errorf("the space was not given back: %v", err)
	}
}
