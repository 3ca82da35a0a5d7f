package volume

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// lookMax is how long the search for those who use a volume may take: looking
// at a file of another file system that does not answer may take for ever.
const lookMax = 5 * time.Second

// mostHolders are named; more are counted.
const mostHolders = 8

// holdersOf names who uses a mount: "rsync (pid 812, /mnt/c/a open)".
func holdersOf(ctx context.Context, device, point string) []string {
	ctx, cancel := context.WithTimeout(ctx, lookMax)
	defer cancel()
	found := make(chan string)
	go func() {
		defer close(found)
		everyProcess(ctx, device, found)
		for _, h := range kernelHolders(device, point) {
			tell(ctx, found, h)
		}
	}()
	var list []string
	for {
		select {
		case h, more := <-found:
			if more {
				list = append(list, h)
				continue
			}
		case <-ctx.Done():
		}
		if more := len(list) - mostHolders; more > 0 {
			list = append(list[:mostHolders], fmt.Sprintf("and %d more", more))
		}
		return list
	}
}

func tell(ctx context.Context, to chan<- string, s string) {
	select {
	case to <- s:
	case <-ctx.Done():
	}
}

func everyProcess(ctx context.Context, device string, found chan<- string) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return
	}
	own, _ := os.Readlink("/proc/self/ns/mnt")
	seen := map[string]bool{own: true} // namespaces
	for _, e := range entries {
		if _, err := strconv.Atoi(e.Name()); err != nil || ctx.Err() != nil {
			continue
		}
		if how := uses(e.Name(), device); how != "" {
			tell(ctx, found, fmt.Sprintf("%s (pid %s, %s)", nameOf(e.Name()), e.Name(), how))
			continue
		}
		ns, err := os.Readlink("/proc/" + e.Name() + "/ns/mnt")
		if err != nil || seen[ns] {
			continue
		}
		seen[ns] = true
		mounts, err := mountsOf(e.Name())
		if err != nil {
			continue
		}
		if i := slices.IndexFunc(mounts, func(o mountPoint) bool { return o.device == device }); i >= 0 {
			tell(ctx, found, fmt.Sprintf("%s (pid %s, which has it mounted at %s in a namespace of its own)", nameOf(e.Name()), e.Name(), mounts[i].at))
		}
	}
}

func nameOf(pid string) string {
	b, err := os.ReadFile("/proc/" + pid + "/comm")
	if err != nil {
		return "a process"
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '?'
		}
		return r
	}, strings.TrimSpace(string(b)))
}

// uses says how a process uses a file system, "" when it does not.
func uses(pid, device string) string {
	dir := "/proc/" + pid
	for _, what := range []string{"cwd", "root", "exe"} {
		if isOn(filepath.Join(dir, what), device) {
			return what + " is " + linked(filepath.Join(dir, what))
		}
	}
	files, err := os.ReadDir(filepath.Join(dir, "fd"))
	if err != nil {
		return ""
	}
	for _, f := range files {
		if isOn(filepath.Join(dir, "fd", f.Name()), device) {
			return linked(filepath.Join(dir, "fd", f.Name())) + " open"
		}
	}
	return mapped(dir, device)
}

// isOn follows a link of /proc, which leads to the file whatever its name has
// become.
func isOn(link, device string) bool {
	var st unix.Stat_t
	return unix.Stat(link, &st) == nil && majorMinor(st.Dev) == device
}

func linked(link string) string {
	to, err := os.Readlink(link)
	if err != nil {
		return "a file"
	}
	return strconv.Quote(to)
}

// mapped says which file of a file system a process has in its memory. The
// maps have the device in hexadecimal.
func mapped(dir, device string) string {
	b, err := os.ReadFile(filepath.Join(dir, "maps"))
	if err != nil {
		return ""
	}
	major, minor, _ := strings.Cut(device, ":")
	n, _ := strconv.Atoi(major)
	k, _ := strconv.Atoi(minor)
	want := fmt.Sprintf("%02x:%02x", n, k)
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) > 5 && f[3] == want {
			return strconv.Quote(f[5]) + " mapped"
		}
	}
	return ""
}

// kernelHolders are those that no process shows: other mounts of it here, and
// loop devices on its files.
func kernelHolders(device, point string) []string {
	var list []string
	if mounts, err := mountsOf("self"); err == nil {
		for _, o := range mounts {
			if o.at != point && (o.device == device || strings.HasPrefix(o.at, point+"/")) {
				list = append(list, "the mount at "+o.at)
			}
		}
	}
	files, _ := filepath.Glob("/sys/block/loop*/loop/backing_file")
	for _, f := range files {
		if b, err := os.ReadFile(f); err == nil && strings.HasPrefix(string(b), point+"/") {
			list = append(list, "/dev/"+filepath.Base(filepath.Dir(filepath.Dir(f)))+" on its "+strings.TrimSpace(string(b)))
		}
	}
	return list
}
