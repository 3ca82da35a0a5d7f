//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"mayfly/internal/githubtest"
	"mayfly/internal/gittest"
)

const (
	bucket    = "bench"
	accessKey = "bench"
	secretKey = "bench-secret-key"
)

// servers are the same for every contender: git http-backend behind a GitHub,
// and versitygw.
type servers struct {
	github    *githubtest.Server
	githubURL string
	s3URL     string
	s3Dir     string
	metadata  string // the gateway's own
	gateway   *exec.Cmd
}

func startServers(ctx context.Context, dir, served string) (*servers, error) {
	s := &servers{
		github: githubtest.New(githubtest.Options{Dir: served}),
		s3Dir:  filepath.Join(dir, "s3"),
	}
	var err error
	if s.githubURL, err = s.github.Listen(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Join(s.s3Dir, bucket), 0o755); err != nil {
		return nil, err
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	addr := fmt.Sprintf("127.0.0.1:%d", port)
	s.s3URL = "http://" + addr
	// Without a folder of its own for metadata it keeps the list of an upload's
	// parts in an extended attribute, which ext4 limits to about 4 kB.
	s.metadata = filepath.Join(dir, "metadata")
	if err := os.MkdirAll(s.metadata, 0o755); err != nil {
		return nil, err
	}
	s.gateway = exec.CommandContext(ctx, "versitygw", "--port", addr, "--access", accessKey, "--secret", secretKey,
		"--quiet", "posix", "--sidecar", s.metadata, s.s3Dir)
	s.gateway.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.gateway.Start(); err != nil {
		return nil, fmt.Errorf("start versitygw: %w: run this through make bench, which installs it", err)
	}
	for range 100 {
		if c, err := net.Dial("tcp", addr); err == nil {
			c.Close()
			return s, nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	s.close()
	return nil, errors.New("versitygw does not answer")
}

func (s *servers) close() {
	s.github.Close()
	s.gateway.Process.Kill()
	s.gateway.Wait()
}

// env lets clients of S3 reach the gateway.
func (s *servers) env() []string {
	return []string{
		"AWS_ACCESS_KEY_ID=" + accessKey, "AWS_SECRET_ACCESS_KEY=" + secretKey, "AWS_REGION=us-east-1",
		"AWS_EC2_METADATA_DISABLED=true", "ENDPOINT=" + s.s3URL, "BUCKET=" + bucket,
		"GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_TERMINAL_PROMPT=0",
	}
}

// empty removes every object, and what the gateway knows of it.
func (s *servers) empty() error {
	for _, dir := range []string{s.s3Dir, s.metadata} {
		if err := os.RemoveAll(filepath.Join(dir, bucket)); err != nil {
			return err
		}
	}
	return os.Mkdir(filepath.Join(s.s3Dir, bucket), 0o755)
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

func randomBlobs(dir string, size int64, seed uint64) error { return gittest.Big(dir, size, seed) }
