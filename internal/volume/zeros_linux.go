package volume

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"slices"

	"golang.org/x/sys/unix"
)

const (
	// wholeMax is up to which size a volume is read from end to end, which at
	// a gp3 volume's 125 MB/s takes half a minute, once in its life.
	wholeMax = 4 << 30
	edge     = 16 << 20 // of a larger one, this much at both ends,
	samples  = 1024     // and so many pieces in between, one anywhere in each stretch
	piece    = 64 << 10
	chunk    = 1 << 20
)

// known are places far from both ends where file systems keep copies of their
// superblocks: ext4 in the groups 1, 3, 5, 7 and their powers, of 128 MiB or,
// with blocks of 1 KiB, 8 MiB; btrfs at 64 MiB and 256 GiB.
func known(size int64) []int64 {
	list := []int64{64 << 20, 256 << 30}
	for _, group := range []int64{128 << 20, 8 << 20} {
		list = append(list, group)
		for _, base := range []int64{3, 5, 7} {
			for n := base; n*group < size; n *= base {
				list = append(list, n*group)
			}
		}
	}
	return slices.DeleteFunc(list, func(at int64) bool { return at+piece > size })
}

// A span is a part of a volume.
type span struct{ at, n int64 }

// spans are the parts of a volume that have to be zero, in order.
func spans(size int64) []span {
	if size <= wholeMax {
		return []span{{0, size}}
	}
	list := []span{{0, edge}, {size - edge, edge}}
	for _, at := range known(size) {
		list = append(list, span{at, piece})
	}
	stretch := (size - 2*edge) / samples
	for i := range int64(samples) {
		at := edge + i*stretch + rand.Int64N(stretch-piece)
		list = append(list, span{at &^ 4095, piece})
	}
	slices.SortFunc(list, func(a, b span) int { return int(max(-1, min(1, a.at-b.at))) })
	return list
}

// nonzero is where the first byte of the spans is that is not zero, -1 when
// none is.
func nonzero(ctx context.Context, r io.ReaderAt, list []span) (int64, error) {
	// What O_DIRECT reads into begins at a page.
	buf, err := unix.Mmap(-1, 0, chunk, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return 0, err
	}
	defer unix.Munmap(buf)
	for _, s := range list {
		for at := s.at; at < s.at+s.n; {
			if err := ctx.Err(); err != nil {
				return 0, err
			}
			n, err := r.ReadAt(buf[:min(chunk, s.at+s.n-at)], at)
			if n == 0 && err != nil {
				return 0, err
			}
			if i := firstSet(buf[:n]); i >= 0 {
				return at + int64(i), nil
			}
			if at += int64(n); err != nil && at < s.at+s.n && !errors.Is(err, io.EOF) {
				return 0, err
			}
		}
	}
	return -1, nil
}

var zeroChunk [4096]byte

// firstSet is the index of the first byte that is not zero, -1 when all are.
func firstSet(b []byte) int {
	for i := 0; i < len(b); i += len(zeroChunk) {
		page := b[i:min(i+len(zeroChunk), len(b))]
		if string(page) == string(zeroChunk[:len(page)]) {
			continue
		}
		return i + slices.IndexFunc(page, func(c byte) bool { return c != 0 })
	}
	return -1
}

// openDirect opens a device for reading what is on it, and not what the
// kernel remembers of it.
func openDirect(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_DIRECT, 0)
	if errors.Is(err, unix.EINVAL) { // not every device can
		f, err = os.Open(path)
	}
	return f, err
}
