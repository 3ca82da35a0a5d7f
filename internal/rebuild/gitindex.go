package rebuild

import (
	"crypto/sha1"
	"encoding/binary"
	"io"
)

// writeGitIndex writes an index of version 2 (gitformat-index(5)) for files
// that are sorted. It leaves out what the file system says about them: git
// looks for itself, once, when it first needs to know whether they changed.
func writeGitIndex(path string, files []file) error {
	return replaceFile(path, func(w io.Writer) error {
		sum := sha1.New()
		out := io.MultiWriter(w, sum)
		b := []byte("DIRC\x00\x00\x00\x02")
		if _, err := out.Write(binary.BigEndian.AppendUint32(b, uint32(len(files)))); err != nil {
			return err
		}
		for _, f := range files {
			b = append(b[:0], make([]byte, 24)...) // two times, device, inode
			b = binary.BigEndian.AppendUint32(b, f.mode)
			b = append(b, make([]byte, 12)...) // owner, group, size
			b = append(b, f.id[:]...)
			b = binary.BigEndian.AppendUint16(b, uint16(min(len(f.path), 0xfff)))
			b = append(b, f.path...)
			b = append(b, make([]byte, 8-len(b)%8)...)
			if _, err := out.Write(b); err != nil {
				return err
			}
		}
		_, err := w.Write(sum.Sum(nil))
		return err
	})
}
