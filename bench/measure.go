//go:build linux

package main

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// A sample is what one command, with every process it started, cost.
type sample struct {
	wall, cpu time.Duration
	peakRSS   int64 // bytes, of the largest single process
	disk      int64 // bytes left in its work folder, the most that stood there at its end
	written   int64 // bytes it made the kernel write to any disk
}

// run runs argv in dir, which is its work folder and its TMPDIR, and measures
// it. CPU and memory come from wait4(2), which counts waited-for descendants.
func run(ctx context.Context, dir string, env []string, argv ...string) (sample, string, error) {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Dir = dir
	cmd.Env = append(append(os.Environ(), env...), "TMPDIR="+dir)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	start := time.Now()
	err := cmd.Run()
	s := sample{wall: time.Since(start)}
	if cmd.ProcessState != nil {
		ru := cmd.ProcessState.SysUsage().(*syscall.Rusage)
		s.cpu = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
		s.peakRSS = ru.Maxrss << 10  // Linux counts KiB
		s.written = ru.Oublock * 512 // getrusage(2)
	}
	if err != nil {
		return s, out.String(), fmt.Errorf("%s: %w\n%s", argv[0], err, tail(out.String(), 4000))
	}
	s.disk, err = size(dir)
	return s, out.String(), err
}

// size adds up the allocated bytes below dir.
func size(dir string) (total int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		total += info.Sys().(*syscall.Stat_t).Blocks * 512
		return nil
	})
	return total, err
}

func tail(s string, n int) string {
	if len(s) > n {
		return s[len(s)-n:]
	}
	return s
}
