//go:build e2e

package e2e

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// What tests write to memory that is plentiful, a disk need not write while
// other tests wait for it. The rest of the memory is for these.
const spared = 8 << 30

const memoryDir = "/dev/shm" // which a container may have with 64 MiB

var inMemory struct {
	sync.Mutex
	total int64 // 0: not known yet
	taken int64
}

// roomy is a temporary directory for about so many bytes: in memory where
// there is room for them.
func roomy(t *testing.T, size int64) string {
	t.Helper()
	m := &inMemory
	m.Lock()
	defer m.Unlock()
	if m.total == 0 {
		m.total = max(1, min(available()-spared, free(memoryDir)))
	}
	if m.taken+size > m.total {
		return t.TempDir()
	}
	dir, err := os.MkdirTemp(memoryDir, "mayfly-e2e-")
	if err != nil {
		return t.TempDir()
	}
	m.taken += size
	t.Cleanup(func() {
		os.RemoveAll(dir)
		m.Lock()
		defer m.Unlock()
		m.taken -= size
	})
	return dir
}

// free is the room of a file system.
func free(dir string) int64 {
	var st syscall.Statfs_t
	if syscall.Statfs(dir, &st) != nil {
		return 0
	}
	return int64(st.Bavail) * st.Bsize
}

// available is the memory that the kernel says can be used, or 0.
func available() int64 {
	f, err := os.Open("/proc/meminfo")
	if err != nil {
		return 0
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		var kB int64
		if rest, ok := strings.CutPrefix(s.Text(), "MemAvailable:"); ok {
			fmt.Sscan(rest, &kB)
			return kB << 10
		}
	}
	return 0
}
