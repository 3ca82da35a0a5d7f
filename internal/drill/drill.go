// Package drill finds out whether a snapshot holds what its volume does: it
// draws files at random and compares contents, owners, modes, times and
// extended attributes. It only reads. Linux only.
package drill

import "time"

// Limits bound what is compared.
type Limits struct {
	Files int
	// Bytes is how much is read of a side, all together; of a file that is
	// larger than Large, pieces are.
	Bytes, Large int64
	// Entries is how many names are looked at to draw from.
	Entries int
	// Exact says that nothing was changed since the snapshot was taken: every
	// difference counts. Without, files count that have not been changed, by
	// their inode and its time of change, which only the kernel sets.
	Exact bool
	// Taken is when the snapshot was.
	Taken time.Time
}

// A Result is what a comparison found.
type Result struct {
	Seen      int // names that were looked at
	Files     int // compared
	Bytes     int64
	Pieces    int      // of the files, so many were compared in pieces
	Different []string // what differs, each with why
}
