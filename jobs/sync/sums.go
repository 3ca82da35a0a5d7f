package dirsync

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"hash/crc32"
)

// sums are taken of what the store gives back, and held against what a record
// has. They know nothing of what there is no record of.
type sums struct {
	known *record
	sha   hash.Hash // nil: there is none to hold against
	crc   uint32
}

// sums makes those that a record, or nil, can be held against.
func (r *record) sums() *sums {
	s := &sums{known: r}
	if r != nil && r.SHA256 != "" {
		s.sha = sha256.New()
	}
	return s
}

// Write implements io.Writer.
func (s *sums) Write(b []byte) (int, error) {
	if s.sha != nil {
		s.sha.Write(b)
	}
	if s.known != nil && s.known.CRC32C != "" {
		s.crc = crc32.Update(s.crc, castagnoli, b)
	}
	return len(b), nil
}

// fit reports whether what was written is what was recorded.
func (s *sums) fit() bool {
	if s.known != nil && s.known.CRC32C != "" && fmt.Sprintf("%08x", s.crc) != s.known.CRC32C {
		return false
	}
	return s.sha == nil || hex.EncodeToString(s.sha.Sum(nil)) == s.known.SHA256
}
