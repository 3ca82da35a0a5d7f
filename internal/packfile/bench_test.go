package packfile

import (
	"bytes"
	"io"
	"path/filepath"
	"testing"

	"mayfly/internal/gittest"
)

// BenchmarkCheck checks packs of many small deltas and of large blobs.
func BenchmarkCheck(b *testing.B) {
	dir := b.TempDir()
	if err := gittest.Many(filepath.Join(dir, "small"), 1000); err != nil {
		b.Fatal(err)
	}
	if err := gittest.Big(filepath.Join(dir, "large"), 32<<20, 1); err != nil {
		b.Fatal(err)
	}
	for _, name := range []string{"small", "large"} {
		whole := packOf(b, filepath.Join(dir, name), "--delta-base-offset")
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(whole)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Check(bytes.NewReader(whole), io.Discard); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
