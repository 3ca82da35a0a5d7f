// Package sftpd serves one directory by SFTP, with the limits of one host: it
// may be kept from reading, and from changing what was there before. It runs
// in a jail (internal/jail), and looks at nothing outside the directory even
// so.
package sftpd

import (
	"errors"
	"time"
)

// ErrUnfinished says that the client left while files were open for writing.
var ErrUnfinished = errors.New("the client left while files were being written")

// ErrNotWritten says that something of the client's could not be written: the
// disk is full, or broken, or an older state is kept (AppendOnly). The client has been told each time, and the one that
// it was about is not there.
var ErrNotWritten = errors.New("the client was told that something could not be written")

// Options are what one session may do.
type Options struct {
	// Pull lets it read files. Without, it may list, look up and write: clients
	// compare sizes and times before they send.
	Pull bool `json:"pull,omitempty"`
	// AppendOnly keeps what was there at Began: it can be neither written, cut,
	// renamed, replaced nor removed, and its owner, mode and times stay. What
	// was made since may be changed: clients write under a temporary name and
	// rename, and remove their locks. When a file was made the file system says
	// (statx(2), stx_btime); one that does not know keeps everything.
	AppendOnly bool `json:"append_only,omitempty"`
	// Began is when the session began, or the first of several at once: rclone
	// writes a file in one and sets its time in another.
	Began time.Time `json:"began"`
}
