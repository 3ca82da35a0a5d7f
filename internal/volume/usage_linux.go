package volume

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// UsageOf asks a file system how full it is.
func UsageOf(point string) (Usage, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(point, &st); err != nil {
		return Usage{}, fmt.Errorf("ask how full %s is: %w", point, err)
	}
	size := int64(st.Bsize)
	u := Usage{
		Bytes: int64(st.Blocks) * size, Used: int64(st.Blocks-st.Bfree) * size, Free: int64(st.Bavail) * size,
		Inodes: int64(st.Files), InodesUsed: int64(st.Files - st.Ffree),
	}
	u.Percent = percent(u.Used, u.Free)
	u.InodePercent = percent(u.InodesUsed, int64(st.Ffree))
	return u, nil
}
